//! Device profiles: the shipped ones, those of the user, and what the configuration must know of each.

use super::issue::{Issue, Issues, Report, Severity, Told};
use super::place::{Place, Sources};
use crate::device::{Kind, Library, Profile, ProfileError};
use crate::domain::MilliAmps;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The shipped profiles, and over them those of the user's folder in the order of their names.
pub(super) fn read(folder: Option<&Path>, at: Place, found: &mut Issues) -> Library {
    let mut library = Library::builtin();
    if let Some(folder) = folder {
        add_folder(&mut library, folder, at, found);
    }
    library
}

/// The shipped profiles, and over them those of a folder, outside a configuration.
///
/// # Errors
/// Every mistake in every file; [`Report::no_input`]: the folder cannot be read.
pub fn library(folder: Option<&Path>) -> Result<Library, Report> {
    let mut found = Issues::default();
    if let Some(folder) = folder
        && let Err(error) = std::fs::read_dir(folder)
    {
        let told = Told::new(
            "(folder)",
            error.to_string(),
            "a folder with device profiles",
            "name another folder",
        );
        let name = folder.display().to_string();
        return Err(Report {
            issues: vec![Issue::at_line(Severity::Error, &name, (1, 1), told)],
            no_input: true,
        });
    }
    let library = read(folder, Place::default(), &mut found);
    if !found.any_error() {
        return Ok(library);
    }
    Err(Report {
        issues: found.resolve(&Sources::default()),
        no_input: false,
    })
}

/// Where a site keeps its own profiles unless its configuration says otherwise: beside it, if there is such a folder.
#[must_use]
pub fn own_profiles(file: &Path) -> Option<PathBuf> {
    beside(file.parent()?)
}

/// The user's profiles in the folder of a configuration.
pub(super) fn beside(dir: &Path) -> Option<PathBuf> {
    let folder = dir.join("devices.d");
    folder.is_dir().then_some(folder)
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

/// Name and text of each profile of a folder, in the order they are read in; the name holds that order.
pub(super) fn texts(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    // What cannot be listed or read has been told when the profiles were read.
    let _ = toml_files(folder, 0, &mut files);
    files.sort();
    let texts = files.iter().enumerate().filter_map(|(number, file)| {
        let name = file.file_name()?.to_str()?;
        Some((format!("{number:04}-{name}"), std::fs::read_to_string(file).ok()?))
    });
    texts.collect()
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
fn toml_files(folder: &Path, depth: u8, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
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
