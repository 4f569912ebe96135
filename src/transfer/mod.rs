//! Files between the gateway and servers a CSMS names: logs go out, firmware comes in, over FTP, FTPS, HTTP and HTTPS.
//!
//! Everything here blocks and makes one attempt; the caller runs it apart from every control loop and repeats it.
//! Names and passwords stand only in the [`Target`]; no error repeats them. Servers are trusted as CSMSs are.
//!
//! | file | what it is about |
//! |---|---|
//! | `target` | what a location comes to |
//! | `flow` | bytes with a bound that can be called off |
//! | `ftp`, `http` | the protocols |
//! | `signature`, `spool` | firmware: where it comes from, where it goes |

mod flow;
mod ftp;
mod http;
mod signature;
mod spool;
mod target;

pub use flow::Stop;
pub use signature::{check_certificate, verify};
pub use spool::{Handover, Spool};
pub use target::{PROTOCOLS, Target};

use crate::domain::{Location, TransferError};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Wait for a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// Wait for the next byte, or for a server to take one.
const SILENCE: Duration = Duration::from_secs(60);
/// Room that stays free on the disk beside a file that comes in.
const RESERVE_BYTES: u64 = 32 * 1024 * 1024;

/// Whom to trust.
#[derive(Clone)]
pub struct Trust {
    /// TLS settings of FTPS.
    pub config: Arc<ClientConfig>,
    /// The roots in it, for HTTPS.
    pub roots: Vec<CertificateDer<'static>>,
}

/// Uploads a file under its own name.
///
/// # Errors
/// Says how it failed; [`TransferError::is_retryable`] whether another attempt may help.
pub fn upload(file: &Path, location: &Location, trust: &Trust, stop: &Stop) -> Result<(), TransferError> {
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| TransferError::Own("the file has no name".to_owned()))?;
    let target = Target::upload(location, name)?;
    let open = std::fs::File::open(file).map_err(|error| own(file, &error))?;
    let length = open.metadata().map_err(|error| own(file, &error))?.len();
    let source = flow::Guarded::new(open, stop.clone(), length);
    if target.is_ftp() {
        ftp::upload(&target, source, trust)
    } else {
        http::upload(&target, source, length, trust)
    }
}

/// Fetches a file; what is there under that path is replaced only by a whole one.
///
/// # Errors
/// As [`upload`], and when it is larger than `most` bytes or than the disk has room for.
pub fn download(
    location: &Location,
    into: &Path,
    most: u64,
    trust: &Trust,
    stop: &Stop,
) -> Result<(), TransferError> {
    let target = Target::download(location)?;
    let part = into.with_extension("part");
    let fetched = fetch(&target, &part, most, trust, stop)
        .and_then(|()| std::fs::rename(&part, into).map_err(|error| own(into, &error)));
    if fetched.is_err() {
        // Nothing of an attempt that failed stays behind.
        let _ = std::fs::remove_file(&part);
    }
    fetched
}

fn fetch(target: &Target, part: &Path, most: u64, trust: &Trust, stop: &Stop) -> Result<(), TransferError> {
    let file = std::fs::File::create(part).map_err(|error| own(part, &error))?;
    let mut sink = flow::Sink::new(file, part, most)?;
    if target.is_ftp() {
        ftp::download(target, &mut sink, trust, stop)?;
    } else {
        http::download(target, &mut sink, trust, stop)?;
    }
    sink.finish()
}

pub(crate) fn own(path: &Path, error: &std::io::Error) -> TransferError {
    let words = format!("{}: {error}", path.display());
    if error.kind() == std::io::ErrorKind::StorageFull {
        TransferError::NoSpace(words)
    } else {
        TransferError::Own(words)
    }
}

/// Foreign words as they may stand in a log: one line, no control characters, not long.
fn quoted(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(160).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests;
