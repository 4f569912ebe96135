//! Files that go out (logs) and come in (firmware): what is asked for, what is told of it, what a shell is to carry.
//!
//! The station decides and keeps the time; the shell makes one attempt at a time and says how it ended.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Where a file goes to or comes from. The name and password in it are never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Location(String);

impl Location {
    /// As the CSMS has written it.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole URL, secrets included: for whoever opens the connection.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.0))
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

/// A URL without user information and query: both may hold secrets (a signed address is one).
#[must_use]
pub fn masked(url: &str) -> String {
    let (url, query) = match url.split_once(['?', '#']) {
        Some((url, _)) => (url, "?***"),
        None => (url, ""),
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        return format!("***{query}");
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{path}{query}"),
        None => format!("{scheme}://{authority}{path}{query}"),
    }
}

/// Which record is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// What helps to find a fault.
    Diagnostics,
    /// Security events.
    Security,
}

/// How often and how fast an attempt is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Further attempts after the first (1.6 errata 3.50).
    pub times: u32,
    /// Pause before each of them.
    pub pause: Duration,
}

impl Retry {
    /// Most repeats that are kept to.
    pub const MAX_TIMES: u32 = 100;
    /// Where the CSMS leaves it to the charge point.
    pub const OWN: Self = Self {
        times: 2,
        pause: Duration::from_secs(30),
    };

    /// What the CSMS asks for, in sane bounds; negative numbers count as zero.
    #[must_use]
    pub fn of(times: Option<i32>, pause_s: Option<i32>) -> Self {
        let whole = |number: i32| u32::try_from(number).unwrap_or(0);
        Self {
            times: times.map_or(Self::OWN.times, whole).min(Self::MAX_TIMES),
            pause: pause_s.map_or(Self::OWN.pause, |pause| {
                Duration::from_secs(u64::from(whole(pause).clamp(1, 86_400)))
            }),
        }
    }
}

/// A record to be uploaded (1.6 GetDiagnostics, 1.6 whitepaper and 2.x GetLog).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRequest {
    /// Which.
    pub kind: LogKind,
    /// `requestId` of GetLog; `None`: GetDiagnostics, whose messages carry none.
    pub request_id: Option<i32>,
    /// Where to.
    pub location: Location,
    /// Repeats.
    pub retry: Retry,
    /// Nothing older, Unix milliseconds.
    pub oldest_ms: Option<i64>,
    /// Nothing younger, Unix milliseconds.
    pub latest_ms: Option<i64>,
}

/// Answer to a [`LogRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutcome {
    /// It will be uploaded under this name.
    Accepted {
        /// Name of the file.
        name: String,
        /// An upload under way was given up for it.
        canceled: bool,
    },
    /// There is nothing to upload.
    Nothing,
    /// Refused; the reason is for logs.
    Rejected(&'static str),
}

/// How far an upload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadStatus {
    /// None is under way; only told when asked for.
    Idle,
    /// Under way.
    Uploading,
    /// Done.
    Uploaded,
    /// Failed for another reason than the following.
    Failed,
    /// Location or peer do not keep to a protocol.
    BadMessage,
    /// The server does not do that.
    NotSupported,
    /// The server does not let us.
    PermissionDenied,
}

/// What is told of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogNotice {
    /// Of GetLog.
    pub request_id: Option<i32>,
    /// It is a matter of GetDiagnostics (1.6), which has a message of its own.
    pub diagnostics: bool,
    /// How far it has come.
    pub status: UploadStatus,
}

/// Firmware to be fetched and installed (1.6 UpdateFirmware and SignedUpdateFirmware, 2.x UpdateFirmware).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirmwareRequest {
    /// Of the signed request; `None`: the one of 1.6 without a signature.
    pub request_id: Option<i32>,
    /// Where from.
    pub location: Location,
    /// Repeats of the download.
    pub retry: Retry,
    /// Not fetched before, Unix milliseconds.
    pub retrieve_ms: i64,
    /// Not installed before, Unix milliseconds.
    pub install_ms: Option<i64>,
    /// What proves its origin.
    pub signing: Option<Signing>,
}

/// Proof of origin of a firmware file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// PEM: the signing certificate, and what is between it and a root.
    pub certificate: String,
    /// Base64, over the SHA-256 of the file.
    pub signature: String,
}

/// Answer to a [`FirmwareRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirmwareOutcome {
    /// Begun.
    Accepted,
    /// Begun; another that had not been installed yet was given up for it.
    AcceptedCanceled,
    /// Refused; the reason is for logs.
    Rejected(&'static str),
    /// The signing certificate does not lead to a root that is trusted for it.
    InvalidCertificate,
}

/// How far an update has come (1.6 whitepaper 6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirmwareStatus {
    /// None is under way; only told when asked for.
    Idle,
    /// It waits for its time to be fetched.
    DownloadScheduled,
    /// It is fetched.
    Downloading,
    /// It is here.
    Downloaded,
    /// It could not be fetched.
    DownloadFailed,
    /// Its signature is good.
    SignatureVerified,
    /// Its signature is bad.
    InvalidSignature,
    /// It waits for its time to be installed.
    InstallScheduled,
    /// It is installed.
    Installing,
    /// Done.
    Installed,
    /// It could not be installed.
    InstallationFailed,
}

impl FirmwareStatus {
    /// The nearest word of the message without a signature (1.6 section 7.25).
    #[must_use]
    pub fn plain(self) -> Self {
        match self {
            Self::DownloadScheduled => Self::Idle,
            Self::SignatureVerified | Self::InstallScheduled => Self::Downloaded,
            Self::InvalidSignature => Self::InstallationFailed,
            other => other,
        }
    }

    /// Whether the message without a signature (1.6 section 7.25) has a word for it.
    #[must_use]
    pub fn is_plain(self) -> bool {
        !matches!(
            self,
            Self::DownloadScheduled
                | Self::SignatureVerified
                | Self::InvalidSignature
                | Self::InstallScheduled
        )
    }
}

/// What is told of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirmwareNotice {
    /// Of the signed request.
    pub request_id: Option<i32>,
    /// It is a matter of the signed messages.
    pub signed: bool,
    /// How far it has come.
    pub status: FirmwareStatus,
}

/// What the shell is to do about a file. Each order is answered once, unless it is called off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferOrder {
    /// Write a record into a file of this name -> [`TransferDone::Collected`].
    Collect {
        /// Which.
        kind: LogKind,
        /// Name of the file, without a folder.
        name: String,
        /// Nothing older, Unix milliseconds.
        oldest_ms: Option<i64>,
        /// Nothing younger, Unix milliseconds.
        latest_ms: Option<i64>,
    },
    /// Upload it -> [`TransferDone::Done`].
    Upload {
        /// Name of the file.
        name: String,
        /// Where to.
        location: Location,
    },
    /// Forget it: it is uploaded, or never will be. Not answered.
    Drop {
        /// Name of the file.
        name: String,
    },
    /// Does this certificate lead to a root trusted for firmware? -> [`TransferDone::Done`].
    CheckCertificate {
        /// PEM.
        certificate: String,
    },
    /// Fetch a firmware file -> [`TransferDone::Done`].
    Download {
        /// Which update.
        job: String,
        /// Where from.
        location: Location,
    },
    /// Is the signature of the file good? -> [`TransferDone::Done`].
    Verify {
        /// Which update.
        job: String,
        /// Certificate and signature.
        signing: Signing,
    },
    /// Hand the file over to the installer, and watch for what it says from now on -> [`TransferDone::Done`], then
    /// any number of [`TransferDone::Installer`].
    HandOver {
        /// Which update.
        job: String,
        /// Of the signed request.
        request_id: Option<i32>,
        /// Whether a signature was verified.
        signed: bool,
    },
    /// Watch for what the installer says -> any number of [`TransferDone::Installer`].
    Watch {
        /// Which update.
        job: String,
    },
    /// The update is over: throw away what is left of it. Not answered.
    Discard {
        /// Which update.
        job: String,
    },
}

/// How an order ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferDone {
    /// As ordered.
    Done,
    /// The record has so many entries; none means that there is no file.
    Collected {
        /// How many.
        entries: u64,
    },
    /// The installer has said something.
    Installer(InstallerSaid),
}

/// What an installer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallerSaid {
    /// It has begun.
    Installing,
    /// It has done it.
    Installed,
    /// It has not; the reason is for logs.
    Failed(String),
}

/// Why an order failed. The words in it are for logs and carry no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// No scheme that is spoken.
    #[error("no file transfer over {0}")]
    Scheme(String),
    /// No URL.
    #[error("the location is no usable URL: {0}")]
    Location(String),
    /// The server cannot be reached, or its certificate is not trusted.
    #[error("cannot reach the server: {0}")]
    Unreachable(String),
    /// The connection broke.
    #[error("the transfer broke off: {0}")]
    Broken(String),
    /// Name or password refused, or no permission.
    #[error("the server does not permit it: {0}")]
    Denied(String),
    /// There is no such file or folder.
    #[error("the server does not have it: {0}")]
    Missing(String),
    /// The server does not do that.
    #[error("the server does not support it: {0}")]
    Unsupported(String),
    /// The peer does not keep to the protocol.
    #[error("the server does not keep to the protocol: {0}")]
    Protocol(String),
    /// It is larger than the site allows.
    #[error("larger than the {0} bytes allowed")]
    TooBig(u64),
    /// The disk has no room for it.
    #[error("no room on the disk: {0}")]
    NoSpace(String),
    /// A file of our own.
    #[error("own files: {0}")]
    Own(String),
    /// The certificate does not lead to a trusted root, or is not for this.
    #[error("the signing certificate is refused: {0}")]
    Certificate(String),
    /// The signature does not fit.
    #[error("the signature is refused: {0}")]
    Signature(String),
}

impl TransferError {
    /// Whether the same may go well later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::Broken(_)
            | Self::Denied(_)
            | Self::Missing(_)
            | Self::Protocol(_)
            | Self::NoSpace(_)
            | Self::Own(_) => true,
            Self::Scheme(_)
            | Self::Location(_)
            | Self::Unsupported(_)
            | Self::TooBig(_)
            | Self::Certificate(_)
            | Self::Signature(_) => false,
        }
    }

    /// What an upload that failed for it is told as (1.6 whitepaper 6.19).
    #[must_use]
    pub fn upload_status(&self) -> UploadStatus {
        match self {
            Self::Scheme(_) | Self::Unsupported(_) => UploadStatus::NotSupported,
            Self::Location(_) | Self::Protocol(_) => UploadStatus::BadMessage,
            Self::Denied(_) => UploadStatus::PermissionDenied,
            Self::Unreachable(_)
            | Self::Broken(_)
            | Self::Missing(_)
            | Self::TooBig(_)
            | Self::NoSpace(_)
            | Self::Own(_)
            | Self::Certificate(_)
            | Self::Signature(_) => UploadStatus::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_a_location_is_printed() {
        for (url, shown) in [
            ("ftp://u:p@h:21/d", "ftp://***@h:21/d"),
            ("ftp://u:p@ss@h/d", "ftp://***@h/d"),
            ("https://h/d?X-Signature=abc", "https://h/d?***"),
            ("https://h/d#abc", "https://h/d?***"),
            ("ftp://h/a@b", "ftp://h/a@b"),
            ("u:p@h", "***"),
        ] {
            assert_eq!(Location::new(url).to_string(), shown);
            assert_eq!(format!("{:?}", Location::new(url)), format!("Location({shown})"));
        }
    }

    #[test]
    fn repeats_have_bounds() {
        assert_eq!(Retry::of(None, None), Retry::OWN);
        assert_eq!(Retry::of(Some(-1), Some(-5)).times, 0);
        assert_eq!(Retry::of(Some(i32::MAX), None).times, Retry::MAX_TIMES);
        assert_eq!(Retry::of(Some(1), Some(0)).pause, Duration::from_secs(1));
    }
}
