//! Pulse counts that outlive the process: one small file each, written at every pulse and left to the kernel.
//!
//! A killed process loses nothing that was written, for the file is in the kernel's hands at once; a flash card is
//! spared, for the kernel writes it out every half minute or so. What a power cut takes back the ledger still
//! knows (`runtime` keeps the count there with everything that depends on it); the larger of both is true.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

/// Length of the record: count and checksum, each as fixed digits.
const LENGTH: usize = 20 + 1 + 16 + 1;

/// The file of one device.
#[derive(Debug)]
pub(super) struct CountFile {
    file: File,
}

impl CountFile {
    /// Opens or makes the file of a device; gives what it holds, if it holds anything sound.
    pub(super) fn open(folder: &Path, device: &str) -> io::Result<(Self, Option<u64>)> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join(device))?;
        let mut text = Vec::with_capacity(LENGTH);
        file.by_ref().take(LENGTH as u64).read_to_end(&mut text)?;
        let count = parse(&text);
        Ok((Self { file }, count))
    }

    /// Puts a count in the place of the older one.
    pub(super) fn write(&self, count: u64) -> io::Result<()> {
        self.file.write_all_at(record(count).as_bytes(), 0)
    }

    /// Makes it survive a power cut too.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn record(count: u64) -> String {
    format!("{count:020} {:016x}\n", sum(count))
}

fn parse(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let count = text.get(..20)?.parse().ok()?;
    (record(count) == text).then_some(count)
}

/// FNV-1a over the count: tells a torn or foreign file from a count.
fn sum(count: u64) -> u64 {
    count
        .to_le_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_found_again_and_a_damaged_one_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, before) = CountFile::open(dir.path(), "meter").unwrap();
        assert_eq!(before, None);
        for count in [0, 1, 99, u64::MAX] {
            file.write(count).unwrap();
            assert_eq!(CountFile::open(dir.path(), "meter").unwrap().1, Some(count));
        }
        let path = dir.path().join("meter");
        file.write(1234).unwrap();
        let sound = std::fs::read(&path).unwrap();
        for at in 0..sound.len() {
            let mut torn = sound.clone();
            torn[at] ^= 1;
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(CountFile::open(dir.path(), "meter").unwrap().1, None, "byte {at}");
            std::fs::write(&path, &sound[..at]).unwrap();
            assert_eq!(
                CountFile::open(dir.path(), "meter").unwrap().1,
                None,
                "length {at}"
            );
        }
    }
}
