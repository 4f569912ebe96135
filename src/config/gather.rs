//! The texts a configuration is made of: the main file, the drop-ins in the order of their names, the environment.
//! Later ones lie over earlier ones: tables merge, everything else is replaced.

use super::credential::Credentials;
use super::issue::{Issues, Told};
use super::place::{Place, Sources, names_a_secret};
use super::syntax;
use super::tree::{Node, Value};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Larger files are not configurations but mistakes.
const LARGEST: usize = 1024 * 1024;

/// Deeper paths of environment variables name nothing.
const DEEPEST: usize = 8;

/// Where else to look.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Folder of drop-ins (`*.toml`); one that is not there is no mistake.
    pub dropins: Option<PathBuf>,
    /// The environment: `RETROVOLT__SECTION__KEY` and `CREDENTIALS_DIRECTORY` are looked at.
    pub env: Vec<(String, String)>,
    /// Where credentials are looked for without that.
    pub credentials: Credentials,
}

impl LoadOptions {
    /// As the service starts: `conf.d` beside the file, and the environment of the process.
    #[must_use]
    pub fn for_file(path: &Path) -> Self {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            dropins: Some(folder_of(path).join("conf.d")),
            env,
            credentials: Credentials::Handed,
        }
    }

    /// As a verb beside the service reads it: whatever secret it cannot read is a warning.
    #[must_use]
    pub fn for_a_verb(path: &Path) -> Self {
        Self {
            credentials: Credentials::OfService {
                root: "/".into(),
                needed: false,
            },
            ..Self::for_file(path)
        }
    }

    /// As [`LoadOptions::for_a_verb`], for one that needs the secrets themselves: there it is an error.
    #[must_use]
    pub fn for_a_login(path: &Path) -> Self {
        Self {
            credentials: Credentials::OfService {
                root: "/".into(),
                needed: true,
            },
            ..Self::for_file(path)
        }
    }

    /// `$CREDENTIALS_DIRECTORY`.
    pub(super) fn credentials_directory(&self) -> Option<PathBuf> {
        self.env
            .iter()
            .find(|(name, value)| name == "CREDENTIALS_DIRECTORY" && !value.is_empty())
            .map(|(_, value)| PathBuf::from(value))
    }
}

/// When the main file or a drop-in was last changed; `None`: the main file is not there.
#[must_use]
pub fn last_change(path: &Path, options: &LoadOptions) -> Option<SystemTime> {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let folder = options.dropins.as_deref();
    // A folder is changed by what comes into it and goes.
    let around = folder.into_iter().filter_map(changed);
    let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok());
    let within = entries.into_iter().flatten().flatten();
    let within = within.filter_map(|entry| changed(&entry.path()));
    let main = changed(path)?;
    around.chain(within).chain([main]).max()
}

/// All texts laid over one another.
pub(super) struct Gathered {
    /// The whole.
    pub root: Node,
    /// One of the texts is not TOML.
    pub broken: bool,
}

/// Reads everything there is. `None`: the main file cannot be read.
pub(super) fn gather(
    path: &Path,
    options: &LoadOptions,
    sources: &mut Sources,
    found: &mut Issues,
) -> Option<Gathered> {
    let (mut root, mut broken) = file(path, sources, found)?;
    for dropin in dropins(options.dropins.as_deref()) {
        match file(&dropin, sources, found) {
            Some((over, also_broken)) => {
                root.merge(over);
                broken |= also_broken;
            }
            None => broken = true,
        }
    }
    environment(&mut root, options, sources, found);
    Some(Gathered { root, broken })
}

fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new(""));
    std::path::absolute(if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    })
    .unwrap_or_else(|_| folder.to_owned())
}

fn dropins(folder: Option<&Path>) -> Vec<PathBuf> {
    let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok());
    let mut files: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml") && path.is_file())
        .collect();
    files.sort();
    files
}

fn file(path: &Path, sources: &mut Sources, found: &mut Issues) -> Option<(Node, bool)> {
    let name = path.display().to_string();
    let folder = folder_of(path);
    let bytes = match bytes_of(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let source = sources.add(name, "", folder);
            let next = match error.kind() {
                std::io::ErrorKind::NotFound => "create it, or name another with --config",
                std::io::ErrorKind::PermissionDenied => "let the user of the gateway read it",
                _ => "name a file",
            };
            let told = Told::new(
                "(file)",
                format!("cannot be read: {error}"),
                "a readable file",
                next,
            );
            found.setting(
                Place {
                    source,
                    start: 0,
                    end: 0,
                },
                told,
            );
            return None;
        }
    };
    Some(text(name, folder, &bytes, sources, found))
}

/// One byte more than is taken, so that a file without an end is noticed too.
fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(LARGEST as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text(
    name: String,
    folder: PathBuf,
    bytes: &[u8],
    sources: &mut Sources,
    found: &mut Issues,
) -> (Node, bool) {
    let refuse =
        |source: usize, at: usize, problem: String, expected: &str, next: &str, found: &mut Issues| {
            let place = Place {
                source,
                start: at,
                end: at,
            };
            found.setting(place, Told::new("(file)", problem, expected, next));
            (Node::empty(place), true)
        };
    if bytes.len() > LARGEST {
        let source = sources.add(name, "", folder);
        let problem = "is too large".to_owned();
        return refuse(
            source,
            0,
            problem,
            "at most 1 MiB",
            "is this the right file?",
            found,
        );
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let source = sources.add(name, text, folder);
            let (node, broken) = syntax::parse(sources, source, found);
            hide_secrets(&node, sources);
            (node, broken)
        }
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
            let at = good.len();
            let source = sources.add(name, good, folder);
            refuse(
                source,
                at,
                "is not UTF-8 here".to_owned(),
                "text in UTF-8",
                "save the file as UTF-8",
                found,
            )
        }
    }
}

/// Secrets are marked before anything is said about anything, under their right names and likely misspellings.
fn hide_secrets(node: &Node, sources: &mut Sources) {
    match &node.value {
        Value::Table(entries) => {
            for (name, entry) in entries {
                if names_a_secret(name) {
                    sources.hide(entry.node.at);
                } else {
                    hide_secrets(&entry.node, sources);
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| hide_secrets(item, sources)),
        _ => {}
    }
}

/// `RETROVOLT__GATEWAY__LOG_LEVEL=debug` sets `gateway.log_level`; `RETROVOLT__BUS__0__PORT` that of the first bus.
pub(super) fn environment(root: &mut Node, options: &LoadOptions, sources: &mut Sources, found: &mut Issues) {
    let mut ours: Vec<&(String, String)> = options
        .env
        .iter()
        .filter(|(name, _)| name.starts_with("RETROVOLT__"))
        .collect();
    if ours.is_empty() {
        return;
    }
    ours.sort();
    let mut text = String::new();
    let mut spots = Vec::new();
    for (name, value) in &ours {
        let key = (text.len(), text.len() + name.len());
        text.push_str(name);
        text.push('=');
        let from = text.len();
        // One line each, so that the line number counts variables.
        text.push_str(&value.replace(['\n', '\r'], " "));
        spots.push((key, (from, text.len())));
        text.push('\n');
    }
    let source = sources.add(super::ENVIRONMENT, text, folder_of(Path::new("")));
    for ((name, value), (key, spot)) in ours.iter().zip(spots) {
        let key_at = Place {
            source,
            start: key.0,
            end: key.1,
        };
        let at = Place {
            source,
            start: spot.0,
            end: spot.1,
        };
        if names_a_secret(name) {
            sources.hide(at);
        }
        let path: Vec<&str> = name.trim_start_matches("RETROVOLT__").split("__").collect();
        if path.len() > DEEPEST || path.iter().any(|segment| segment.is_empty()) {
            let told = Told::new(
                name.as_str(),
                "does not name a setting",
                "RETROVOLT__SECTION__KEY",
                "write for example RETROVOLT__GATEWAY__LOG_LEVEL",
            );
            found.setting(key_at, told);
            continue;
        }
        root.set(
            &path,
            key_at,
            Node {
                at,
                value: Value::Raw(value.clone()),
            },
            found,
        );
    }
}
