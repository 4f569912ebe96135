//! Which device profiles there are, and the one a person means: the same look-up for every verb.

use crate::config::{self, LoadOptions};
use crate::device::{Library, Profile, ProfileError};
use crate::runtime::exit;
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// What a profile could not be had for.
pub enum Unusable {
    /// It is not there.
    Unreadable(String),
    /// Its file has mistakes.
    Mistakes(Vec<ProfileError>),
    /// Files of the folder have.
    Folder(config::Report),
}

impl Unusable {
    /// The exit code that says so.
    pub fn code(&self) -> u8 {
        match self {
            Self::Unreadable(_) => exit::NO_INPUT,
            Self::Folder(report) if report.no_input => exit::NO_INPUT,
            Self::Mistakes(_) | Self::Folder(_) => exit::DATA,
        }
    }

    /// For a person, with a line end.
    pub fn text(&self) -> String {
        match self {
            Self::Unreadable(why) => format!("{why}\n"),
            Self::Mistakes(errors) => errors
                .iter()
                .fold(String::new(), |text, error| text + &format!("{error}\n")),
            Self::Folder(report) => format!("{report}\n"),
        }
    }

    /// For a machine.
    pub fn json(&self) -> Value {
        match self {
            Self::Unreadable(why) => json!([{ "message": why }]),
            Self::Mistakes(errors) => errors.iter().map(mistake).collect(),
            Self::Folder(report) => json!([{ "message": report.to_string() }]),
        }
    }

    /// Says so, and ends with its code.
    pub fn give_up(&self) -> ExitCode {
        eprint!("retrovolt: {}", self.text());
        self.code().into()
    }
}

fn mistake(error: &ProfileError) -> Value {
    json!({
        "file": error.file, "line": error.line, "column": error.column, "key": error.key,
        "message": error.message, "suggestion": error.suggestion,
    })
}

/// A profile by file, or by its id.
pub fn find(name: &str, library: &Library) -> Result<Arc<Profile>, Unusable> {
    if !Path::new(name).exists()
        && let Some(profile) = library.get(name)
    {
        return Ok(profile);
    }
    match std::fs::read_to_string(name) {
        Ok(text) => Profile::parse(name, &text)
            .map(Arc::new)
            .map_err(Unusable::Mistakes),
        Err(error) => Err(Unusable::Unreadable(format!(
            "{name}: no such profile or file: {error}"
        ))),
    }
}

/// The shipped profiles with those of a folder over them.
pub fn of_folder(folder: Option<&Path>) -> Result<Library, Unusable> {
    config::library(folder).map_err(Unusable::Folder)
}

/// The profiles of the site of this configuration. Where there is none yet, or one with mistakes, those of the folder
/// beside it.
pub fn of_site(file: &Path) -> Result<Library, Unusable> {
    match config::load(file, &LoadOptions::for_a_verb(file)) {
        Ok(loaded) => return Ok(loaded.library),
        Err(report) if report.no_input => {}
        Err(_) => eprintln!(
            "retrovolt: {} has mistakes, so of your own profiles only those in devices.d beside it are known; see `retrovolt check-config`",
            file.display()
        ),
    }
    of_folder(config::own_profiles(file).as_deref())
}
