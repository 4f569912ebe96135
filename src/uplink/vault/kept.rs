//! The file with what a CSMS has changed of the credentials of its link: one for each link, in the state directory,
//! readable by the service alone, replaced as a whole or not at all.

use crate::domain::{CertificateUse, CpId, Secret};
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Folder within the state directory.
const FOLDER: &str = "credentials";

/// Longer files are none of ours: eleven certificates of the longest kind fit.
const LARGEST: u64 = 256 * 1024;

/// Everything that is kept. Never printed.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    /// What works.
    pub(super) held: Held,
    /// What the next connection is to try, with `held` to go back to.
    pub(super) trial: Option<Held>,
    /// Roots the CSMS has installed.
    pub(super) roots: Vec<Root>,
    /// The key whose certificate was requested.
    pub(super) pending: Option<Pending>,
}

/// How the link presents itself; what is absent is that of the configuration.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Held {
    pub(super) profile: Option<u8>,
    #[serde(with = "hex")]
    pub(super) password: Option<Secret>,
    pub(super) client: Option<Client>,
}

/// A client certificate with its key, both PEM.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Client {
    pub(super) chain: String,
    pub(super) key: String,
}

/// An installed root.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Root {
    pub(super) usage: Usage,
    pub(super) pem: String,
}

/// [`CertificateUse`] in the file.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Usage {
    CentralSystem,
    Manufacturer,
}

impl From<CertificateUse> for Usage {
    fn from(usage: CertificateUse) -> Self {
        match usage {
            CertificateUse::CentralSystemRoot => Self::CentralSystem,
            CertificateUse::ManufacturerRoot => Self::Manufacturer,
        }
    }
}

/// A key whose certificate was requested, and for whom.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) key: String,
    pub(super) common_name: String,
    pub(super) organisation: String,
}

/// Bytes as hexadecimal digits.
mod hex {
    use crate::domain::Secret;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::fmt::Write as _;

    pub(super) fn serialize<S: Serializer>(secret: &Option<Secret>, to: S) -> Result<S::Ok, S::Error> {
        let text = secret.as_ref().map(|secret| {
            secret.bytes().iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        });
        text.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        let pairs = (0..text.len()).step_by(2).map(|at| {
            let pair = text.get(at..at + 2)?;
            u8::from_str_radix(pair, 16).ok()
        });
        match pairs.collect::<Option<Vec<u8>>>() {
            Some(bytes) => Ok(Some(Secret::new(bytes))),
            None => Err(serde::de::Error::custom("not hexadecimal")),
        }
    }
}

/// The file of a link. Identities and names of the configuration are safe as names of files.
pub(super) fn path_of(state_dir: &Path, cp: &CpId, csms: &str) -> PathBuf {
    state_dir
        .join(FOLDER)
        .join(cp.as_str())
        .join(format!("{csms}.json"))
}

/// What is kept; nothing, where there is no file yet. A file that cannot be understood is put aside.
pub(super) fn load(path: &Path) -> Kept {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes)) {
        Ok(_) => serde_json::from_slice(&bytes).unwrap_or_else(|_| {
            put_aside(path);
            Kept::default()
        }),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::error!(
                    "{} cannot be read: {error}; the credentials of the configuration are used",
                    path.display()
                );
            }
            Kept::default()
        }
    }
}

/// The parser's words may quote the file, so they are not told.
fn put_aside(path: &Path) {
    let aside = path.with_extension("json.bad");
    let done = match std::fs::rename(path, &aside) {
        Ok(()) => format!("kept as {}", aside.display()),
        Err(error) => format!("and cannot be moved: {error}"),
    };
    tracing::error!(
        "{} is damaged ({done}); the credentials of the configuration are used",
        path.display()
    );
}

/// Replaces the file, durably.
pub(super) fn save(path: &Path, kept: &Kept) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let text = serde_json::to_vec(kept).map_err(io::Error::other)?;
    let fresh = path.with_extension("json.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    // A file left over from before keeps its mode otherwise.
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(&text)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    for folder in folder.ancestors().take(3) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Kept {
        Kept {
            held: Held {
                password: Some(Secret::new([0, 1, 0xff])),
                ..Held::default()
            },
            trial: Some(Held {
                profile: Some(2),
                ..Held::default()
            }),
            roots: vec![Root {
                usage: Usage::Manufacturer,
                pem: "pem".to_owned(),
            }],
            pending: None,
        }
    }

    #[test]
    fn what_is_kept_is_found_again_and_only_the_service_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = path_of(dir.path(), &CpId::new("CP1"), "main");
        assert!(load(&path) == Kept::default());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path.with_extension("json.new"), "left over").unwrap();
        save(&path, &some()).unwrap();
        assert!(load(&path) == some());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!path.with_extension("json.new").exists());
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_never_a_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("main.json");
        for bad in [
            &b"{"[..],
            b"\xff\xfe",
            b"{\"held\":{\"password\":\"0g\"}}",
            b"{\"held\":{\"password\":\"\xc3\xa4a\"}}",
        ] {
            std::fs::write(&path, bad).unwrap();
            assert!(load(&path) == Kept::default());
            assert!(!path.exists() && path.with_extension("json.bad").exists());
        }
    }
}
