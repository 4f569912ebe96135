//! Packs a support bundle: texts into a `.tar.gz` of mode 0600, secrets masked once more on their way in.

use super::bundle::{security_lines, without_secrets};
use super::machine::Machine;
use crate::domain::SiteSetup;
use crate::store;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Most of one text; begin and end are kept. Packed, a dozen of them stay far below the 5 MB of promise U6.
const MOST_BYTES: usize = 1024 * 1024;

/// The texts.
#[derive(Default)]
pub struct Bundle {
    files: BTreeMap<String, String>,
    setup: Option<SiteSetup>,
}

impl Bundle {
    /// Empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The site whose secrets are to be masked.
    pub fn hide(&mut self, setup: &SiteSetup) {
        self.setup = Some(setup.clone());
    }

    /// Adds a text.
    pub fn add(&mut self, name: &str, text: &str) {
        let nobody;
        let setup = match &self.setup {
            Some(setup) => setup,
            None => {
                nobody = SiteSetup::default();
                &nobody
            }
        };
        let text = super::bundle::bounded(without_secrets(text, setup), MOST_BYTES);
        // Names come from another process: nothing may lead out of the folder.
        let plain = |letter: char| {
            if letter.is_ascii_alphanumeric() || "._-".contains(letter) {
                letter
            } else {
                '_'
            }
        };
        let name: String = name.chars().map(plain).collect();
        self.files.insert(name.trim_start_matches('.').to_owned(), text);
    }

    /// Adds what the gateway has told: texts by name.
    pub fn add_all(&mut self, files: &Value) {
        for (name, text) in files.as_object().into_iter().flatten() {
            self.add(name, text.as_str().unwrap_or_default());
        }
    }

    /// Adds what the disk tells without the gateway: its security events and the sizes of its files.
    pub fn add_from_disk(&mut self, state_dir: &Path) {
        let mut listed = String::new();
        sizes(state_dir, 0, &mut listed);
        self.add("state-dir.txt", &listed);
        let text = match store::read_security_log(state_dir) {
            Err(error) => format!("{error}\n"),
            Ok(log) => {
                let fault = log.fault.map_or_else(String::new, |fault| format!("{fault}\n"));
                fault + &security_lines(&log.entries)
            }
        };
        self.add("security.jsonl", &text);
    }

    /// Writes the bundle and tells its contents, one line a file. It is there as a whole or not at all.
    ///
    /// # Errors
    /// When the file is there already or cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<String> {
        if path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let fresh = path.with_file_name(format!(".{name}.new"));
        let _ = std::fs::remove_file(&fresh);
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&fresh)?;
        let packed = self.pack(&mut file).and_then(|contents| {
            file.sync_all()?;
            std::fs::rename(&fresh, path)?;
            Ok(contents)
        });
        if packed.is_err() {
            let _ = std::fs::remove_file(&fresh);
        }
        packed
    }

    fn pack(&self, file: impl io::Write) -> io::Result<String> {
        let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
        let mut contents = String::new();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        for (name, text) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(now);
            archive.append_data(&mut header, format!("retrovolt-diag/{name}"), text.as_bytes())?;
            // Writing to a string cannot fail.
            let _ = writeln!(contents, "  {name:<28} {:>8} bytes", text.len());
        }
        archive.into_inner()?.finish()?.flush()?;
        Ok(contents)
    }
}

fn sizes(folder: &Path, depth: u8, out: &mut String) {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let Ok(facts) = entry.metadata() else { continue };
        let path = entry.path();
        let _ = writeln!(out, "{:>10} {}", facts.len(), path.display());
        if facts.is_dir() && depth < 3 {
            sizes(&path, depth + 1, out);
        }
    }
}

/// Program, architecture, kernel and system.
#[must_use]
pub fn versions() -> String {
    let system = rustix::system::uname();
    let machine = Machine::here();
    format!(
        "retrovolt {}\narchitecture {}\nkernel {} {}\nsystem {}\nboard {}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        machine.os.as_deref().unwrap_or("unknown"),
        machine.hardware.as_deref().unwrap_or("unknown"),
    )
}

/// A name that says when, for the folder one is in.
#[must_use]
pub fn file_name() -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at =
        jiff::Timestamp::from_second(i64::try_from(now.as_secs()).unwrap_or_default()).unwrap_or_default();
    format!("retrovolt-diag-{}.tar.gz", at.to_string().replace([':', '-'], "")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_bundle_is_readable_by_its_owner_alone_and_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.tar.gz");
        let mut bundle = Bundle::new();
        bundle.add("../../etc/x", "one\n");
        bundle.add("log.txt", "to ftp://u:hunter2@h/d\n");
        bundle.add("big.txt", &"0123456789\n".repeat(1_000_000));
        let contents = bundle.write(&path).unwrap();
        assert!(
            contents.contains("log.txt") && contents.contains("big.txt"),
            "{contents}"
        );
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let mut archive =
            tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(&path).unwrap()));
        let mut all = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            all.insert(entry.path().unwrap().display().to_string(), text);
        }
        assert_eq!(all["retrovolt-diag/_.._etc_x"], "one\n");
        assert_eq!(all["retrovolt-diag/log.txt"], "to ftp://***@h/d\n");
        assert!(all["retrovolt-diag/big.txt"].len() <= MOST_BYTES);
        assert!(bundle.write(&path).is_err(), "what is there is not overwritten");
    }
}
