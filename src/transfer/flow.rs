//! Bytes on their way: counted, bounded, and called off from outside.

use super::{RESERVE_BYTES, own};
use crate::domain::TransferError;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A server that dribbles holds a connection for so long.
const LONGEST: Duration = Duration::from_secs(2 * 3_600);
/// Bytes handed on at once.
const CHUNK: usize = 32 * 1024;

/// Calls a transfer off; clones are one.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Calls it off: it ends at the next byte or time-out.
    pub fn call(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was called off.
    #[must_use]
    pub fn is_called(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A file that is read for an upload.
#[derive(Debug)]
pub(super) struct Guarded {
    file: File,
    stop: Stop,
    left: u64,
    began: Instant,
}

impl Guarded {
    /// Exactly `length` bytes of the file, whatever is appended to it meanwhile.
    pub fn new(file: File, stop: Stop, length: u64) -> Self {
        Self {
            file,
            stop,
            left: length,
            began: Instant::now(),
        }
    }

    /// The same from its begin: a server may want it another way. Only of one that was not read from yet.
    pub fn again(&self) -> Result<Again, TransferError> {
        Ok(Again {
            file: self
                .file
                .try_clone()
                .map_err(|error| TransferError::Own(error.to_string()))?,
            stop: self.stop.clone(),
            length: self.left,
        })
    }
}

/// What [`Guarded::again`] gives.
#[derive(Debug)]
pub(super) struct Again {
    file: File,
    stop: Stop,
    length: u64,
}

impl Again {
    pub fn read(mut self) -> Result<Guarded, TransferError> {
        let back = self.file.seek(SeekFrom::Start(0));
        back.map_err(|error| TransferError::Own(error.to_string()))?;
        Ok(Guarded::new(self.file, self.stop, self.length))
    }
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.stop.is_called() {
            return Err(Error::new(ErrorKind::ConnectionAborted, "called off"));
        }
        if self.began.elapsed() > LONGEST {
            return Err(Error::new(ErrorKind::TimedOut, "it takes too long"));
        }
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.file.read(&mut buffer[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}

/// A file that comes in.
#[derive(Debug)]
pub(super) struct Sink {
    file: File,
    path: PathBuf,
    most: u64,
    count: u64,
}

impl Sink {
    pub fn new(file: File, path: &Path, most: u64) -> Result<Self, TransferError> {
        let sink = Self {
            file,
            path: path.to_owned(),
            most,
            count: 0,
        };
        sink.room_for(0).map(|()| sink)
    }

    /// Looks ahead, where the server says how large the file is.
    pub fn expect(&self, bytes: u64) -> Result<(), TransferError> {
        if bytes > self.most {
            return Err(TransferError::TooBig(self.most));
        }
        self.room_for(bytes)
    }

    fn room_for(&self, bytes: u64) -> Result<(), TransferError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let Ok(disk) = rustix::fs::statvfs(folder) else {
            return Ok(());
        };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < bytes.saturating_add(RESERVE_BYTES) {
            let words = format!("{free} bytes are free in {}", folder.display());
            return Err(TransferError::NoSpace(words));
        }
        Ok(())
    }

    /// Takes everything; gives how much it was.
    pub fn take(&mut self, from: &mut impl Read, stop: &Stop) -> Result<u64, TransferError> {
        let mut buffer = vec![0; CHUNK];
        let began = Instant::now();
        loop {
            if began.elapsed() > LONGEST {
                return Err(TransferError::Broken("it takes too long".to_owned()));
            }
            if stop.is_called() {
                return Err(TransferError::Broken("called off".to_owned()));
            }
            let count = match from.read(&mut buffer) {
                Ok(0) => return Ok(self.count),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(TransferError::Broken(error.to_string())),
            };
            self.count += count as u64;
            if self.count > self.most {
                return Err(TransferError::TooBig(self.most));
            }
            let written = self.file.write_all(&buffer[..count]);
            written.map_err(|error| own(&self.path, &error))?;
        }
    }

    /// It is whole and on the disk.
    pub fn finish(self) -> Result<(), TransferError> {
        self.file.sync_all().map_err(|error| own(&self.path, &error))
    }
}
