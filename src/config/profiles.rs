//! Device profiles: the shipped ones, those of the user, and what the configuration must know of each.

use super::issue::{Issue, Issues, Severity, Told};
use super::place::Place;
use crate::device::{Kind, Library, Profile, ProfileError};
use crate::domain::{MilliAmps, Protocol};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest silence after which a charger must be at its safe current (promise S5).
pub(super) const SAFE_WITHIN: Duration = Duration::from_secs(60);

/// The profiles that may be named.
pub(super) struct Catalogue {
    library: Library,
}

impl Catalogue {
    /// The shipped profiles, and over them those of the user's folder in the order of their names.
    pub fn read(folder: Option<&Path>, at: Place, found: &mut Issues) -> Self {
        let mut library = Library::builtin();
        if let Some(folder) = folder {
            add_folder(&mut library, folder, at, found);
        }
        Self { library }
    }

    /// A profile by its id.
    pub fn get(&self, id: &str) -> Option<Arc<Profile>> {
        self.library.get(id)
    }

    /// All ids.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.library.ids()
    }

    /// The library, to be handed on.
    pub fn into_library(self) -> Library {
        self.library
    }
}

fn add_folder(library: &mut Library, folder: &Path, at: Place, found: &mut Issues) {
    let mut files = Vec::new();
    if let Err(error) = toml_files(folder, 0, &mut files) {
        let told = Told::new(
            "gateway.device_dir",
            format!("{} cannot be read: {error}", folder.display()),
            "a folder with device profiles",
            "create it, or remove the line",
        );
        found.error(at, told);
    }
    files.sort();
    for file in files {
        let name = file.display().to_string();
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                for error in library.add(&name, &text).err().into_iter().flatten() {
                    found.foreign(profile_issue(error));
                }
            }
            Err(error) => {
                let told = Told::new(
                    "(file)",
                    error.to_string(),
                    "a readable UTF-8 file",
                    "mend or remove the file",
                );
                found.foreign(Issue::at_line(Severity::Error, &name, (1, 1), told));
            }
        }
    }
}

/// A profile's mistake in the words of a configuration's.
fn profile_issue(error: ProfileError) -> Issue {
    let (problem, expected) = match error.message.split_once(", expected ") {
        Some((problem, expected)) => (problem.to_owned(), expected.to_owned()),
        None => (
            error.message,
            "what config/schema/device.schema.json describes".to_owned(),
        ),
    };
    let suggestion = error.suggestion.map_or_else(
        || "mend it, or move the file away".to_owned(),
        |near| format!("did you mean '{near}'"),
    );
    let key = if error.key.is_empty() {
        "(file)".to_owned()
    } else {
        error.key
    };
    let told = Told::new(key, problem, expected, suggestion);
    Issue::at_line(Severity::Error, &error.file, (error.line, error.column), told)
}

/// Profiles may be sorted into folders, as the shipped ones are: `vendor/model.toml`.
fn toml_files(folder: &Path, depth: u8, files: &mut Vec<std::path::PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && depth < 2 {
            toml_files(&path, depth + 1, files)?;
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            files.push(path);
        }
    }
    Ok(())
}

/// The kind in words.
pub(super) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Charger => "charger",
        Kind::Meter => "meter",
        Kind::Reader => "card reader",
        Kind::Contacts => "contact device",
    }
}

/// Why the device does not protect the installation by itself when the gateway dies; `None`: it does.
pub(super) fn unsafe_because(profile: &Profile) -> Option<String> {
    match profile.watchdog() {
        None if profile.protocol() == Protocol::Gpio => {
            Some("then the GPIO driver and the relay board decide, see docs/gpio.md".to_owned())
        }
        None => Some("it has no watchdog and keeps the last current".to_owned()),
        Some(watchdog) if !watchdog.fallback_safe => {
            Some(watchdog.fallback.trim().trim_end_matches('.').to_owned())
        }
        Some(watchdog) if watchdog.min_timeout > SAFE_WITHIN => Some(format!(
            "it falls back only after {} s, {} s are wanted at most",
            watchdog.min_timeout.as_secs(),
            SAFE_WITHIN.as_secs()
        )),
        Some(_) => None,
    }
}

/// The time-outs a watchdog takes, and the one written by default.
pub(super) fn watchdog_times(profile: &Profile) -> Option<(Duration, Duration, Duration)> {
    profile
        .watchdog()
        .map(|watchdog| (watchdog.min_timeout, watchdog.max_timeout, watchdog.timeout))
}

/// Most the device can be told.
pub(super) fn most(profile: &Profile) -> Option<MilliAmps> {
    profile.limits().map(|limits| limits.max)
}
