//! The last configuration that was good, kept beside the ledger, so that a mistake in a file stops nothing.
//!
//! What is kept is what was in force: drop-ins and environment laid over the main file, relative paths made absolute,
//! the site's own device profiles with it. Files that the configuration names are not copied, and neither is a secret that
//! stands in it: it is looked up again where it stood, in the present files, however wrong they are elsewhere.

use super::gather::{self, Gathered, LoadOptions};
use super::issue::{Issues, Report};
use super::keys::ROOT;
use super::place::{Sources, names_a_secret};
use super::profiles;
use super::setting::{Kind, Section, Table};
use super::tree::{Node, Value};
use super::{Loaded, Places, concluded, gateway, read};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Folder in the state directory.
const FOLDER: &str = "last-good";
/// The configuration in it.
const FILE: &str = "retrovolt.toml";
/// Stands for a secret that is not kept.
const NOT_KEPT: &str = "(a secret, still where it stood)";
/// How the first line begins; the path of the main file follows.
const MADE_OF: &str = "# The last good configuration of ";

/// A good configuration as it is to be kept.
#[derive(Clone)]
pub struct Keepsake {
    text: toml::Table,
    made_of: PathBuf,
    /// Name and text of each profile of the site, in the order they were read in.
    profiles: Vec<(String, String)>,
}

/// Where the daemon of a configuration that cannot be used keeps its state and is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// State directory.
    pub state_dir: PathBuf,
    /// Control socket.
    pub socket: PathBuf,
}

/// What can still be read of a configuration that cannot be used, and the defaults for the rest.
#[must_use]
pub fn whereabouts(path: &Path, options: &LoadOptions) -> Whereabouts {
    let (mut sources, mut found) = (Sources::default(), Issues::default());
    let root = present(path, options, &mut sources);
    let keys = Section::open(ROOT, &root, &mut found).map(|root| gateway(&root, &mut found));
    let places = keys.map(|keys| Places::of(&keys, &sources));
    let (state_dir, socket) = places.map_or((None, None), |places| (places.state_dir, places.socket));
    Whereabouts {
        state_dir: state_dir.unwrap_or_else(|| "/var/lib/retrovolt".into()),
        socket: socket.unwrap_or_else(|| "/run/retrovolt/ctl.sock".into()),
    }
}

/// The last good configuration of a main file. `None`: there is none.
///
/// # Errors
/// Why it cannot be used any more, e.g. because a file it names is gone.
pub fn last_good(path: &Path, options: &LoadOptions, state_dir: &Path) -> Option<Result<Loaded, Report>> {
    let file = state_dir.join(FOLDER).join(FILE);
    let text = std::fs::read_to_string(&file).ok()?;
    let of = text.lines().next()?.strip_prefix(MADE_OF)?;
    if Path::new(of) != absolute(path) {
        tracing::warn!("{} is of another configuration, {of}", file.display());
        return None;
    }
    let alone = LoadOptions {
        dropins: None,
        ..LoadOptions::default()
    };
    let (mut sources, mut found) = (Sources::default(), Issues::default());
    let Some(mut gathered) = gather::gather(&file, &alone, &mut sources, &mut found) else {
        return Some(Err(Report {
            issues: found.resolve(&sources),
            no_input: true,
        }));
    };
    let now = present(path, options, &mut sources);
    look_up(&mut gathered.root, &now);
    leave_out_missing(&mut gathered.root);
    let (parts, found) = read(&gathered.root, options, &sources, found);
    Some(concluded(&gathered, parts, found, &sources, path))
}

/// What the files and the environment say now, as far as it can be understood.
fn present(path: &Path, options: &LoadOptions, sources: &mut Sources) -> Node {
    let mut found = Issues::default();
    let gathered = gather::gather(path, options, sources, &mut found);
    gathered.map_or_else(
        || {
            let mut root = Node::empty(super::Place::default());
            gather::environment(&mut root, options, sources, &mut found);
            root
        },
        |gathered| gathered.root,
    )
}

/// Puts secrets that were not kept back in, from the same place of the present configuration.
fn look_up(kept: &mut Node, now: &Node) {
    match (&mut kept.value, &now.value) {
        (Value::Table(kept), Value::Table(now)) => {
            for (name, entry) in kept {
                let Some(there) = now.get(name) else { continue };
                if is_missing(&entry.node) {
                    entry.node = there.node.clone();
                } else {
                    look_up(&mut entry.node, &there.node);
                }
            }
        }
        (Value::List(kept), Value::List(now)) => {
            for (index, item) in kept.iter_mut().enumerate() {
                let named = now
                    .iter()
                    .find(|other| names(item).is_some_and(|name| names(other) == Some(name)));
                if let Some(there) = named.or_else(|| now.get(index).filter(|_| names(item).is_none())) {
                    look_up(item, there);
                }
            }
        }
        _ => {}
    }
}

fn is_missing(node: &Node) -> bool {
    matches!(&node.value, Value::Text(text) if text == NOT_KEPT)
}

/// A secret that was not found counts as not written.
fn leave_out_missing(node: &mut Node) {
    match &mut node.value {
        Value::Table(entries) => {
            entries.retain(|_, entry| !is_missing(&entry.node));
            entries
                .values_mut()
                .for_each(|entry| leave_out_missing(&mut entry.node));
        }
        Value::List(items) => items.iter_mut().for_each(leave_out_missing),
        _ => {}
    }
}

/// What tells one table of a list from another.
fn names(node: &Node) -> Option<&str> {
    let Value::Table(entries) = &node.value else {
        return None;
    };
    let text = |key: &str| match &entries.get(key)?.node.value {
        Value::Text(text) | Value::Raw(text) => Some(text.as_str()),
        _ => None,
    };
    text("id").or_else(|| text("name"))
}

impl Keepsake {
    /// Of a configuration that has just been found good.
    pub(super) fn of(path: &Path, gathered: &Gathered, sources: &Sources, device_dir: Option<&Path>) -> Self {
        Self {
            text: table(&gathered.root, Some(ROOT), sources),
            made_of: absolute(path),
            profiles: device_dir.map_or_else(Vec::new, profiles::texts),
        }
    }

    /// Keeps it durably in the state directory; one that is kept already is not written again.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn keep(&self, state_dir: &Path) -> io::Result<()> {
        let folder = state_dir.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let mut text = self.text.clone();
        let own = self.keep_profiles(&folder)?;
        let entry = text.entry("gateway").or_insert_with(|| toml::Table::new().into());
        if let Some(gateway) = entry.as_table_mut() {
            gateway.insert("state_dir".to_owned(), shown(&absolute(state_dir)));
            match &own {
                Some(own) => gateway.insert("device_dir".to_owned(), shown(&absolute(own))),
                None => gateway.remove("device_dir"),
            };
        }
        let text = format!("{MADE_OF}{}\n{text}", self.made_of.display());
        let file = folder.join(FILE);
        if std::fs::read_to_string(&file).is_ok_and(|there| there == text) {
            return Ok(());
        }
        written(&folder, FILE, &text)?;
        forget_profiles(&folder, own.as_deref());
        File::open(state_dir)?.sync_all()
    }

    /// Profiles get a folder named by what is in them, so that it never changes under a configuration.
    fn keep_profiles(&self, folder: &Path) -> io::Result<Option<PathBuf>> {
        if self.profiles.is_empty() {
            return Ok(None);
        }
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        for (name, text) in &self.profiles {
            for part in [name, text] {
                hash.update(&(part.len() as u64).to_le_bytes());
                hash.update(part.as_bytes());
            }
        }
        let sum: String = hash.finish().as_ref()[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let own = folder.join(format!("profiles-{sum}"));
        DirBuilder::new().recursive(true).mode(0o700).create(&own)?;
        for (name, text) in &self.profiles {
            if std::fs::read_to_string(own.join(name)).is_ok_and(|there| there == *text) {
                continue;
            }
            written(&own, name, text)?;
        }
        Ok(Some(own))
    }
}

/// Secrets stand in `text` only as [`NOT_KEPT`], but tokens may stand there.
impl std::fmt::Debug for Keepsake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keepsake")
            .field("made_of", &self.made_of)
            .finish_non_exhaustive()
    }
}

fn forget_profiles(folder: &Path, but: Option<&Path>) {
    for path in std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
    {
        let is_old = path.is_dir() && Some(path.as_path()) != but;
        if is_old && let Err(error) = std::fs::remove_dir_all(&path) {
            tracing::debug!("{}: {error}", path.display());
        }
    }
}

/// Temporary file, sync, rename, sync of the folder.
fn written(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let fresh = folder.join(format!(".{name}.new"));
    let _ = std::fs::remove_file(&fresh);
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, folder.join(name))?;
    File::open(folder)?.sync_all()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn shown(path: &Path) -> toml::Value {
    toml::Value::String(path.display().to_string())
}

/// A table of the configuration as one text says it; below a setting of free names nothing is declared.
fn table(node: &Node, declared: Option<&'static Table>, sources: &Sources) -> toml::Table {
    let Value::Table(entries) = &node.value else {
        return toml::Table::new();
    };
    let mut out = toml::Table::new();
    for (name, entry) in entries {
        let below = declared.and_then(|table| table.tables.iter().find(|below| below.name() == name));
        let value = match (&entry.node.value, below) {
            (_, None) if is_secret(name, declared) => toml::Value::String(NOT_KEPT.to_owned()),
            (Value::List(items), Some(below)) => {
                let tables = items.iter().map(|item| table(item, Some(below), sources).into());
                toml::Value::Array(tables.collect())
            }
            (_, Some(below)) => table(&entry.node, Some(below), sources).into(),
            (_, None) => plain(name, &entry.node, declared, sources),
        };
        out.insert(name.clone(), value);
    }
    out
}

fn is_secret(name: &str, declared: Option<&Table>) -> bool {
    let key = declared.and_then(|table| table.keys.iter().find(|key| key.name == name));
    key.map_or_else(|| names_a_secret(name), |key| key.kind == Kind::Secret)
}

/// A value that is no declared table.
fn plain(name: &str, node: &Node, declared: Option<&Table>, sources: &Sources) -> toml::Value {
    let kind = declared
        .and_then(|table| table.keys.iter().find(|key| key.name == name))
        .map(|key| key.kind);
    match &node.value {
        Value::Text(text) | Value::Raw(text) if kind == Some(Kind::Path) => {
            let folder = sources.of(node.at).map_or(Path::new(""), |source| &source.dir);
            shown(&folder.join(text))
        }
        Value::Text(text) | Value::Date(text) => toml::Value::String(text.clone()),
        Value::Raw(text) => typed(text, kind, declared.is_some()),
        Value::Int(number) => toml::Value::Integer(number.unwrap_or_default()),
        Value::Float(text) => number(text),
        Value::Bool(value) => toml::Value::Boolean(*value),
        Value::List(items) => {
            toml::Value::Array(items.iter().map(|item| plain("", item, None, sources)).collect())
        }
        Value::Table(_) => table(node, None, sources).into(),
    }
}

/// Text from the environment as the file would have to say it.
fn typed(text: &str, kind: Option<Kind>, declared: bool) -> toml::Value {
    match kind {
        Some(Kind::Bool) => toml::Value::Boolean(text == "true"),
        Some(Kind::Texts) => {
            let items = text
                .split(',')
                .map(|item| toml::Value::String(item.trim().to_owned()));
            toml::Value::Array(items.collect())
        }
        // A name with its unit at its end is none of those declared: its value is a number.
        Some(Kind::Int { .. } | Kind::OneOfInt(_)) | None if declared => number(text),
        _ => toml::Value::String(text.to_owned()),
    }
}

fn number(text: &str) -> toml::Value {
    let text = text.trim();
    let whole = text.parse().map(toml::Value::Integer);
    whole
        .or_else(|_| text.parse().map(toml::Value::Float))
        .unwrap_or_else(|_: std::num::ParseFloatError| toml::Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(table: &Table, missing: &mut Vec<String>) {
        for key in table.keys.iter().filter(|key| key.kind == Kind::Secret) {
            for form in ["file", "credential"] {
                let name = format!("{}_{form}", key.name);
                if table.keys.iter().all(|key| key.name != name) {
                    missing.push(table.path_of(&name));
                }
            }
        }
        table.tables.iter().for_each(|below| forms(below, missing));
    }

    #[test]
    fn every_secret_can_be_given_as_a_file_and_as_a_credential() {
        let mut missing = Vec::new();
        forms(ROOT, &mut missing);
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn text_from_the_environment_gets_its_type() {
        let int = Some(Kind::Int { min: 0, max: 9 });
        assert_eq!(typed("5", int, true), toml::Value::Integer(5));
        assert_eq!(typed("2.5", None, true), toml::Value::Float(2.5), "`poll_s`");
        assert_eq!(
            typed("5", None, false),
            toml::Value::String("5".into()),
            "a free name"
        );
        assert_eq!(typed("true", Some(Kind::Bool), true), toml::Value::Boolean(true));
        let list = typed("a, b", Some(Kind::Texts), true);
        assert_eq!(list, toml::Value::Array(vec!["a".into(), "b".into()]));
    }
}
