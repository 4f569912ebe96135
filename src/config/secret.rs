//! Secrets come from a file, a systemd credential, the environment or, with a warning, the configuration itself.
//! Nothing here ever puts one into words.

use super::context::Context;
use super::credential::{self, Credential};
use super::issue::Told;
use super::keys::CsmsKeys;
use super::place::Place;
use super::setting::Given;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Longer files are not secrets but mistakes.
const LARGEST: u64 = 64 * 1024;

/// Where a secret is to be found.
enum Source {
    Plain(String, Place),
    File(PathBuf, Place, String),
    /// Nobody here can read it, and nobody needs to.
    Unknown(PathBuf, Place),
}

/// Where the secret of a section may stand.
pub(super) struct Places<'k> {
    /// The section's path.
    pub section: &'static str,
    /// Where it is said that one is needed.
    pub at: Place,
    /// In the configuration itself.
    pub plain: &'k Given<String>,
    /// In a file.
    pub file: &'k Given<PathBuf>,
    /// In a credential.
    pub credential: &'k Given<String>,
}

impl Places<'_> {
    /// Whether one of them is written.
    pub fn any(&self) -> bool {
        self.plain.written || self.file.written || self.credential.written
    }
}

/// The password of a back end, and the place that names it; see [`password_of`].
pub(super) fn password(keys: &CsmsKeys, context: &mut Context<'_>) -> Option<(Option<String>, Place)> {
    let places = Places {
        section: "charge_point.csms",
        at: keys.security.at,
        plain: &keys.password,
        file: &keys.password_file,
        credential: &keys.password_credential,
    };
    password_of(&places, context)
}

/// A password, and the place that names it. One that is not known, and need not be, is `None` with its place.
pub(super) fn password_of(places: &Places<'_>, context: &mut Context<'_>) -> Option<(Option<String>, Place)> {
    let mut sources = Vec::new();
    if let Some(text) = &places.plain.value {
        sources.push(Source::Plain(text.clone(), places.plain.at));
    }
    if let Some(path) = context.path(places.file) {
        sources.push(Source::File(path, places.file.at, places.file.path.clone()));
    }
    let credential_bad = !named(places.credential, &mut sources, context);
    let wrong = places.plain.is_bad() || places.file.is_bad() || credential_bad;
    match one(places.section, "password", places.at, sources, wrong, context)? {
        Source::Plain(text, at) => {
            in_the_open(places.plain, context);
            Some((Some(text), at))
        }
        Source::File(path, at, key) => Some((Some(read(&path, at, &key, context)?), at)),
        Source::Unknown(_, at) => Some((None, at)),
    }
}

/// A file that must hold PEM of a kind.
pub(super) fn pem_file(given: &Given<PathBuf>, label: &str, context: &mut Context<'_>) -> Option<PathBuf> {
    let path = context.path(given)?;
    let text = contents(&path, given.at, &given.path, context)?;
    pem(&text, label, given.at, &given.path, context).then_some(path)
}

/// The file of the client's private key.
pub(super) fn key(keys: &CsmsKeys, context: &mut Context<'_>) -> Option<PathBuf> {
    let mut sources = Vec::new();
    if let Some(path) = context.path(&keys.key_file) {
        sources.push(Source::File(path, keys.key_file.at, keys.key_file.path.clone()));
    }
    let credential_bad = !named(&keys.key_credential, &mut sources, context);
    match one(
        "charge_point.csms",
        "key",
        keys.security.at,
        sources,
        keys.key_file.is_bad() || credential_bad,
        context,
    )? {
        Source::File(path, at, key) => {
            let text = read(&path, at, &key, context)?;
            pem(&text, "PRIVATE KEY", at, &key, context).then_some(path)
        }
        Source::Unknown(path, _) => Some(path),
        Source::Plain(..) => None,
    }
}

/// Adds the credential that a setting names. `false`: it is wrong, and that is told.
fn named(given: &Given<String>, sources: &mut Vec<Source>, context: &mut Context<'_>) -> bool {
    match credential::named(given, context) {
        Some(Credential::At(path, origin)) => {
            // Systemd's own copy is for the service alone, whatever its mode says (an access list shows as a group's right).
            context.secrets.extend(origin);
            sources.push(Source::File(path, given.at, given.path.clone()));
        }
        Some(Credential::Unknown(path)) => sources.push(Source::Unknown(path, given.at)),
        None => return !given.written,
    }
    true
}

/// The file of the client's certificate.
pub(super) fn certificate(keys: &CsmsKeys, context: &mut Context<'_>) -> Option<PathBuf> {
    let key = "charge_point.csms.certificate_file";
    let Some(path) = context.path(&keys.certificate_file) else {
        if !keys.certificate_file.is_bad() {
            let told = Told::new(
                key,
                "is missing",
                "with security = \"client\" a certificate",
                "add certificate_file = \"/etc/retrovolt/secrets/csms.crt\"",
            );
            context.found.error(keys.security.at, told);
        }
        return None;
    };
    let text = contents(&path, keys.certificate_file.at, key, context)?;
    pem(&text, "CERTIFICATE", keys.certificate_file.at, key, context).then_some(path)
}

fn pem(text: &str, label: &str, at: Place, key: &str, context: &mut Context<'_>) -> bool {
    let fits = text
        .lines()
        .any(|line| line.starts_with("-----BEGIN ") && line.contains(label));
    if !fits {
        let told = Told::new(
            key,
            format!("the file holds no {label}"),
            format!("a PEM file with -----BEGIN {label}-----"),
            "name another file, or convert it with `openssl`",
        );
        context.found.error(at, told);
    }
    fits
}

/// Exactly one source is right.
fn one(
    section: &str,
    name: &str,
    at: Place,
    mut sources: Vec<Source>,
    wrong: bool,
    context: &mut Context<'_>,
) -> Option<Source> {
    let path = format!("{section}.{name}");
    match sources.len() {
        0 if wrong => None,
        0 => {
            let told = Told::new(
                path,
                "is missing",
                format!("one of {name}_file, {name}_credential"),
                format!(
                    "add {name}_file = \"/etc/retrovolt/secrets/{}.{name}\"",
                    section.rsplit('.').next().unwrap_or(section)
                ),
            );
            context.found.error(at, told);
            None
        }
        1 => sources.pop(),
        _ => {
            let last = sources.pop()?;
            let (Source::Plain(_, at) | Source::File(_, at, _) | Source::Unknown(_, at)) = &last;
            let told = Told::new(
                path,
                "is given more than once",
                format!("one of {name}, {name}_file, {name}_credential"),
                "remove the others",
            );
            context.found.error(*at, told);
            None
        }
    }
}

fn in_the_open(given: &Given<String>, context: &mut Context<'_>) {
    let from_environment = context
        .sources
        .of(given.at)
        .is_some_and(|source| source.name == super::ENVIRONMENT);
    if given.written && !from_environment {
        given.warning(
            &mut context.found,
            "a password stands in the configuration",
            "it in a file of its own",
            "move it to a file with mode 0600 and name that in password_file",
        );
    }
}

/// Reads a secret that is one line of text or PEM, and looks at who else may read it.
fn read(path: &Path, at: Place, key: &str, context: &mut Context<'_>) -> Option<String> {
    let is_credential = key.ends_with("_credential");
    if !is_credential {
        context.secrets.push(path.to_owned());
    }
    let text = contents(path, at, key, context)?;
    let mode = std::fs::metadata(path).map_or(0, |facts| facts.permissions().mode() & 0o777);
    if mode & 0o077 != 0 && !is_credential {
        let told = Told::new(
            key,
            format!("others may read {} (mode {mode:04o})", path.display()),
            "mode 0600",
            format!("chmod 600 {}", path.display()),
        );
        context.found.warning(at, told);
    }
    let text = text.trim_end_matches(['\r', '\n']).to_owned();
    if text.is_empty() {
        let told = Told::new(
            key,
            format!("{} is empty", path.display()),
            "a file with the secret on its first line",
            "write the secret into it",
        );
        context.found.error(at, told);
        return None;
    }
    Some(text)
}

fn contents(path: &Path, at: Place, key: &str, context: &mut Context<'_>) -> Option<String> {
    let read = std::fs::File::open(path).and_then(|file| {
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text)?;
        Ok(text)
    });
    read.map_err(|error| {
        let next = match error.kind() {
            std::io::ErrorKind::NotFound => format!("create {}, or mend the path", path.display()),
            std::io::ErrorKind::PermissionDenied => {
                format!("let the gateway read it: chown retrovolt {}", path.display())
            }
            _ => "name a text file".to_owned(),
        };
        let told = Told::new(
            key,
            format!("{} cannot be read: {error}", path.display()),
            "a readable file",
            next,
        );
        context.found.error(at, told);
    })
    .ok()
}
