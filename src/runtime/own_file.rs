//! The file this process was started from: whether another one lies in its place now.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A program on disk, as it was when it was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnFile {
    path: PathBuf,
    id: (u64, u64),
}

fn id(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

impl OwnFile {
    /// That of this process; `None`: the kernel does not tell, or it lies there no more.
    pub fn of_this_process() -> Option<Self> {
        // The link leads to the file itself, whatever lies in its place.
        let running = std::fs::metadata("/proc/self/exe").ok()?;
        let path = std::fs::read_link("/proc/self/exe").ok()?;
        // What the kernel adds when the file was taken away (proc(5)).
        let text = path.to_str()?;
        let path = PathBuf::from(text.strip_suffix(" (deleted)").unwrap_or(text));
        Some(Self {
            path,
            id: id(&running),
        })
    }

    /// Another program can be started in its place.
    pub fn is_replaced(&self) -> bool {
        is_program(&self.path).is_some_and(|there| there != self.id)
    }
}

fn is_program(path: &Path) -> Option<(u64, u64)> {
    let file = std::fs::metadata(path).ok()?;
    (file.is_file() && file.len() > 0 && file.permissions().mode() & 0o111 != 0).then(|| id(&file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn another_program_in_its_place_is_seen_and_a_half_written_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (path, new) = (dir.path().join("program"), dir.path().join("new"));
        fs::write(&path, "old").unwrap();
        let own = OwnFile {
            path: path.clone(),
            id: id(&fs::metadata(&path).unwrap()),
        };
        assert!(!own.is_replaced());
        fs::write(&new, "").unwrap();
        fs::rename(&new, &path).unwrap();
        assert!(!own.is_replaced(), "empty");
        fs::write(&path, "new").unwrap();
        assert!(!own.is_replaced(), "not to be started yet");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(own.is_replaced());
        fs::remove_file(&path).unwrap();
        assert!(!own.is_replaced(), "gone");
    }

    #[test]
    fn the_running_program_is_itself() {
        let own = OwnFile::of_this_process().expect("Linux tells");
        assert!(!own.is_replaced(), "{own:?}");
    }
}
