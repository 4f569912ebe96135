//! Credentials of systemd: what the gateway is handed, and what a tool beside it finds in its stead.
//!
//! The gateway itself takes only what stands in `$CREDENTIALS_DIRECTORY`. A verb that somebody types has no such folder: it looks
//! where systemd keeps the credentials of the service while that runs, then where its unit takes them from. What it does not
//! find there is no mistake of the configuration; only a verb that needs the secret itself cannot go on.

use super::context::Context;
use super::setting::Given;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The service whose credentials are meant.
const UNIT: &str = "retrovolt.service";
/// Where units and their drop-ins lie, the first of a name wins (systemd.unit(5)).
const UNIT_DIRS: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];
/// Where a credential comes from that is named without a path (systemd.exec(5)).
const STORES: [&str; 4] = [
    "etc/credstore",
    "run/credstore",
    "usr/local/lib/credstore",
    "usr/lib/credstore",
];

/// Where credentials are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// In `$CREDENTIALS_DIRECTORY` alone, as the service does.
    #[default]
    Handed,
    /// Without `$CREDENTIALS_DIRECTORY`, those of the service on this machine.
    OfService {
        /// The machine's root folder; another one in tests.
        root: PathBuf,
        /// Whether one that cannot be read is an error; else it is a warning, and its secret is not known.
        needed: bool,
    },
}

/// A credential that is named.
pub(super) enum Credential {
    /// It is to be read here; the file it comes from, where that is another one.
    At(PathBuf, Option<PathBuf>),
    /// Its secret is not known, and need not be; here the service finds it.
    Unknown(PathBuf),
}

/// The credential that a setting names. `None`: none, or an error that is told.
pub(super) fn named(given: &Given<String>, context: &mut Context<'_>) -> Option<Credential> {
    let name = given.value.as_deref()?;
    if name.contains('/') || name.starts_with('.') {
        given.error(
            &mut context.found,
            "is not the name of a credential",
            "a name without slashes, as in LoadCredential=NAME:...",
            "did you mean the key that ends in _file",
        );
        return None;
    }
    if let Some(folder) = &context.options.credentials_directory() {
        return Some(Credential::At(folder.join(name), None));
    }
    match &context.options.credentials {
        Credentials::Handed => {
            given.error(
                &mut context.found,
                "there are no credentials: $CREDENTIALS_DIRECTORY is not set",
                "a service started by systemd with LoadCredential=",
                format!(
                    "add LoadCredential={name}:/etc/retrovolt/secrets/{name} to the unit, or use the key that ends in _file"
                ),
            );
            None
        }
        Credentials::OfService { root, needed } => match find(name, root) {
            Ok((path, origin)) => Some(Credential::At(path, origin)),
            Err(Absent { problem, next }) => {
                let expected = "a credential of the service that can be read here";
                if *needed {
                    given.error(&mut context.found, problem, expected, next);
                    return None;
                }
                given.warning(&mut context.found, problem, expected, next);
                Some(Credential::Unknown(handed(Path::new("/"), name)))
            }
        },
    }
}

/// Where systemd keeps it while the service runs.
fn handed(root: &Path, name: &str) -> PathBuf {
    root.join("run/credentials").join(UNIT).join(name)
}

/// Why a credential is not to be had.
struct Absent {
    problem: String,
    next: String,
}

/// What the unit says of a credential.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    File(PathBuf),
    Store,
    Encrypted,
}

/// The file to read, and the one the unit takes it from.
fn find(name: &str, root: &Path) -> Result<(PathBuf, Option<PathBuf>), Absent> {
    let line = of_unit(name, root);
    let origin = match &line {
        Some(Line::File(path)) => Some(path.clone()),
        Some(Line::Store) => {
            let mut stores = STORES.iter().map(|store| root.join(store).join(name));
            stores.find(|path| path.exists())
        }
        Some(Line::Encrypted) | None => None,
    };
    let handed = handed(root, name);
    let mut denied = None;
    for path in std::iter::once(&handed).chain(&origin) {
        match File::open(path) {
            Ok(_) => return Ok((path.clone(), origin)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => denied = denied.or(Some(format!("{}: {error}", path.display()))),
        }
    }
    Err(Absent::of(name, line.as_ref(), origin.as_deref(), denied))
}

impl Absent {
    fn of(name: &str, line: Option<&Line>, origin: Option<&Path>, denied: Option<String>) -> Self {
        if let Some(denied) = denied {
            return Self {
                problem: format!("the credential '{name}' cannot be read here: {denied}"),
                next: "say that again with sudo".to_owned(),
            };
        }
        match (line, origin) {
            (Some(Line::Encrypted), _) => Self {
                problem: format!("the credential '{name}' is encrypted, and the service does not run"),
                next: format!("`systemctl start {UNIT}`, then say that again with sudo"),
            },
            (Some(_), origin) => Self {
                problem: match origin {
                    Some(origin) => format!(
                        "the unit takes the credential '{name}' from {}, which is not there",
                        origin.display()
                    ),
                    None => format!("the unit takes the credential '{name}' from a store, and it is in none"),
                },
                next: "write the secret there; the service does not start without it".to_owned(),
            },
            (None, _) => Self {
                problem: format!("nothing hands the credential '{name}' to {UNIT}"),
                next: format!(
                    "add LoadCredential={name}:/etc/retrovolt/secrets/{name} to the unit, as /usr/share/doc/retrovolt/examples/credentials.conf shows"
                ),
            },
        }
    }
}

/// What the unit and its drop-ins say last of a credential.
fn of_unit(name: &str, root: &Path) -> Option<Line> {
    let dirs = || UNIT_DIRS.iter().map(|dir| root.join(dir));
    let main = dirs().map(|dir| dir.join(UNIT)).find(|path| path.exists());
    let mut dropins: Vec<PathBuf> = Vec::new();
    for dir in dirs() {
        let entries = std::fs::read_dir(dir.join(format!("{UNIT}.d")))
            .into_iter()
            .flatten();
        let paths = entries.flatten().map(|entry| entry.path());
        for path in paths.filter(|path| path.extension().is_some_and(|ending| ending == "conf")) {
            if !dropins.iter().any(|first| first.file_name() == path.file_name()) {
                dropins.push(path);
            }
        }
    }
    dropins.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
    let mut said = None;
    for path in main.into_iter().chain(dropins) {
        // One that is a link to /dev/null, or not for us to read, says nothing.
        let Ok(text) = std::fs::read_to_string(path) else {
            continue;
        };
        for line in text.replace("\\\n", " ").lines() {
            said = of_line(line.trim(), name, root, said);
        }
    }
    said
}

/// What is known of a credential after one more line.
fn of_line(line: &str, name: &str, root: &Path, said: Option<Line>) -> Option<Line> {
    let Some((key, value)) = line.split_once('=') else {
        return said;
    };
    let encrypted = match key.trim() {
        "LoadCredential" => false,
        "LoadCredentialEncrypted" | "SetCredentialEncrypted" => true,
        _ => return said,
    };
    let (id, from) = value
        .trim()
        .split_once(':')
        .map_or((value.trim(), None), |(id, from)| (id, Some(from)));
    match (id, from) {
        // An empty one takes back all before it.
        ("", _) => None,
        (id, _) if id != name => said,
        (_, _) if encrypted => Some(Line::Encrypted),
        (_, Some(from)) if from.starts_with('/') => Some(Line::File(root.join(from.trim_start_matches('/')))),
        (_, _) => Some(Line::Store),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn the_last_line_of_the_unit_counts() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let said = || of_unit("key", root);
        assert_eq!(said(), None);
        let shipped = "usr/lib/systemd/system/retrovolt.service";
        put(
            root,
            shipped,
            "[Service]\nLoadCredential=key\nLoadCredential=other:/o\n",
        );
        assert_eq!(said(), Some(Line::Store));
        let own = "etc/systemd/system/retrovolt.service.d";
        put(
            root,
            &format!("{own}/b.conf"),
            "[Service]\nLoadCredential = \\\n key:/etc/b\n",
        );
        assert_eq!(said(), Some(Line::File(root.join("etc/b"))));
        put(
            root,
            &format!("{own}/a.conf"),
            "[Service]\n#LoadCredential=key:/etc/a\nLoadCredential=key:/etc/a\n",
        );
        assert_eq!(
            said(),
            Some(Line::File(root.join("etc/b"))),
            "b.conf comes after it"
        );
        put(
            root,
            "run/systemd/system/retrovolt.service.d/b.conf",
            "[Service]\nLoadCredential=key:/run/b\n",
        );
        assert_eq!(
            said(),
            Some(Line::File(root.join("etc/b"))),
            "that of /etc hides it"
        );
        put(
            root,
            &format!("{own}/c.conf"),
            "[Service]\nLoadCredentialEncrypted=key:/etc/c\n",
        );
        assert_eq!(said(), Some(Line::Encrypted));
        put(root, &format!("{own}/d.conf"), "[Service]\nLoadCredential=\n");
        assert_eq!(said(), None);
        put(root, "etc/systemd/system/retrovolt.service", "[Service]\n");
        std::fs::remove_dir_all(root.join(own)).unwrap();
        assert_eq!(said(), Some(Line::File(root.join("run/b"))));
    }

    #[test]
    fn what_is_not_found_has_its_next_step() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let told = || find("key", root).map_err(|absent| (absent.problem, absent.next));
        let words = |problem: &str, next: &str| {
            let (found, step) = told().unwrap_err();
            assert!(found.contains(problem) && step.contains(next), "{found}; {step}");
        };
        words("nothing hands the credential 'key'", "LoadCredential=key:");
        let unit = "etc/systemd/system/retrovolt.service.d/x.conf";
        put(root, unit, "LoadCredentialEncrypted=key:/etc/key.cred\n");
        words("is encrypted", "systemctl start");
        put(root, unit, "LoadCredential=key\n");
        words("from a store, and it is in none", "write the secret");
        put(root, "etc/credstore/key", "x");
        let stored = root.join("etc/credstore/key");
        assert_eq!(told(), Ok((stored.clone(), Some(stored))));
        put(root, unit, "LoadCredential=key:/etc/secrets/key\n");
        words("/etc/secrets/key, which is not there", "write the secret");
        put(root, "etc/secrets/key", "x");
        let source = root.join("etc/secrets/key");
        assert_eq!(told(), Ok((source.clone(), Some(source.clone()))));
        // While the service runs, what it was handed counts.
        put(root, "run/credentials/retrovolt.service/key", "x");
        let handed = root.join("run/credentials/retrovolt.service/key");
        assert_eq!(told(), Ok((handed, Some(source))));
    }
}
