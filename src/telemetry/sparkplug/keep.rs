//! The number of the next connection, kept over restarts in a file of one line.
//!
//! A file of its own: it is written once for each connection, and a ledger that is busy or damaged must not stand in the
//! way of a SCADA system, nor this in the way of the ledger.

use std::fs::{File, OpenOptions, Permissions, rename};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Name of the file in the state directory.
const NAME: &str = "sparkplug-bdseq";

/// Where the number is.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    file: PathBuf,
}

impl Memory {
    pub(super) fn within(state_dir: &Path) -> Self {
        Self {
            file: state_dir.join(NAME),
        }
    }

    /// The number kept; 0 where there is none. One that cannot be read counts as none, and is told.
    pub(super) fn recall(&self) -> u8 {
        let read = io::read_to_string(match File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return 0,
            Err(error) => return self.without(&error),
        });
        match read.map(|text| text.trim().parse()) {
            Ok(Ok(number)) => number,
            Ok(Err(error)) => self.without(&error),
            Err(error) => self.without(&error),
        }
    }

    /// Keeps a number; it is there whole or not at all.
    pub(super) fn keep(&self, number: u8) -> io::Result<()> {
        let fresh = self.file.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        // One that was left there may be open to others.
        file.set_permissions(Permissions::from_mode(0o600))?;
        writeln!(file, "{number}")?;
        file.sync_all()?;
        rename(&fresh, &self.file)?;
        match self.file.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    fn without(&self, why: &dyn std::fmt::Display) -> u8 {
        tracing::warn!(
            "sparkplug: {} cannot be read ({why}); bdSeq begins at 0 again",
            self.file.display()
        );
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_survives_and_a_damaged_one_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::within(folder.path());
        assert_eq!(memory.recall(), 0);
        // Left by a crash, and open to others.
        File::create(memory.file.with_extension("new")).unwrap();
        for number in [1, 255, 0, 42] {
            memory.keep(number).unwrap();
            let mode = memory.file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "for its owner alone");
            assert_eq!(Memory::within(folder.path()).recall(), number);
        }
        File::create(&memory.file).unwrap().write_all(b"256\n").unwrap();
        assert_eq!(memory.recall(), 0);
        File::create(&memory.file).unwrap().write_all(b"\xff").unwrap();
        assert_eq!(memory.recall(), 0);
    }
}
