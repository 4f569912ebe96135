//! What every reading step shares: the texts, the issues, the profiles, and how a reference is followed.

use super::gather::LoadOptions;
use super::issue::{Issues, Told};
use super::nearest::did_you_mean;
use super::place::{Place, Sources};
use super::setting::Given;
use super::tree::show_text;
use crate::device::Library;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Shared by every reading step.
pub(super) struct Context<'a> {
    /// The texts.
    pub sources: &'a Sources,
    /// What was found wrong.
    pub found: Issues,
    /// Where else to look.
    pub options: &'a LoadOptions,
    /// What is known of the device profiles.
    pub library: Library,
    /// Files with passwords and keys.
    pub secrets: Vec<PathBuf>,
}

impl Context<'_> {
    /// A path as meant.
    pub fn path(&self, given: &Given<PathBuf>) -> Option<PathBuf> {
        resolve(given, self.sources)
    }

    /// `file:line` of something, for a pointer from one place to another.
    pub fn line_of(&self, at: Place) -> String {
        self.sources.of(at).map_or_else(String::new, |source| {
            format!("{}:{}", source.name, source.line_column(at.start).0)
        })
    }

    /// Complains where two things of one kind carry the same name.
    pub fn unique<'k>(&mut self, what: &str, names: impl IntoIterator<Item = &'k Given<String>>) {
        let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
        for given in names {
            let Some(name) = given.value.as_deref() else {
                continue;
            };
            match seen.get(name) {
                None => {
                    seen.insert(name, given.at);
                }
                Some(first) => {
                    let first = self.line_of(*first);
                    let told = Told::new(
                        &given.path,
                        format!("there is a {what} '{name}' already, in {first}"),
                        format!("a name of its own for each {what}"),
                        if given.written {
                            format!("rename one of them, for example to '{name}-2'")
                        } else {
                            format!(
                                "add {} = \"{name}-2\"",
                                given.path.rsplit('.').next().unwrap_or("name")
                            )
                        },
                    );
                    self.found.error(given.at, told);
                }
            }
        }
    }

    /// Complains where a reference points nowhere; says whether it points somewhere.
    pub fn refers(&mut self, given: &Given<String>, what: &str, header: &str, names: &Names<'_>) -> bool {
        let Some(name) = given.value.as_deref() else {
            return false;
        };
        if names.known.contains(&name) {
            return true;
        }
        if !names.sure {
            return false;
        }
        let names = &names.known;
        let expected = if names.is_empty() {
            format!("the id of a {header}, but there is none")
        } else {
            let mut listed: Vec<&str> = names.iter().copied().take(20).collect();
            listed.dedup();
            format!("the id of a {header}: {}", listed.join(", "))
        };
        let suggestion = did_you_mean(name, names.iter().copied(), || {
            format!("add a {header} with id = \"{name}\"")
        });
        given.error(
            &mut self.found,
            format!("there is no {what} {}", show_text(name)),
            expected,
            suggestion,
        );
        false
    }
}

/// The names of all things of one kind.
pub(super) struct Names<'a> {
    /// As far as they could be read.
    pub known: Vec<&'a str>,
    /// Each has a name of its own. Where one has none, or two have the same, that has been told, and a reference
    /// that points nowhere may only be its echo.
    pub sure: bool,
}

impl<'a> Names<'a> {
    /// Gathers them.
    pub fn of(given: impl IntoIterator<Item = &'a Given<String>>) -> Self {
        let mut names = Self {
            known: Vec::new(),
            sure: true,
        };
        for given in given {
            match given.value.as_deref() {
                Some(name) if !names.known.contains(&name) => names.known.push(name),
                Some(_) | None => names.sure = false,
            }
        }
        names
    }
}

/// A path that is written somewhere in a text, as meant.
pub(super) fn beside(path: &Path, at: Place, sources: &Sources) -> PathBuf {
    let folder = sources.of(at).map_or(Path::new(""), |source| &source.dir);
    folder.join(path)
}

/// A path as meant: relative ones start from the folder of the file they are written in.
pub(super) fn resolve(given: &Given<PathBuf>, sources: &Sources) -> Option<PathBuf> {
    let path = given.value.as_ref()?;
    let folder = sources
        .of(given.at)
        .filter(|_| given.written)
        .map_or(Path::new(""), |source| &source.dir);
    Some(folder.join(path))
}
