//! What a location of a CSMS comes to.
//!
//! A location of an upload is a folder (1.6 section 6.25). Back ends also name the file itself, as signed addresses do,
//! so a location with a query, or whose last part has a dot in it and no slash behind it, is taken for the file.

use crate::domain::{Location, TransferError};
use url::Url;

/// What is spoken, as `SupportedFileTransferProtocols` tells it (1.6 errata 3.90).
pub const PROTOCOLS: [&str; 4] = ["FTP", "FTPS", "HTTP", "HTTPS"];

/// Where to connect and what to name there.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Its scheme, in small letters.
    pub scheme: String,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Name and password, decoded.
    pub login: Option<(String, String)>,
    /// Folders on the way, decoded.
    pub folders: Vec<String>,
    /// The file, decoded.
    pub file: String,
    /// The URL without name and password.
    pub url: Url,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({}://{}:{})", self.scheme, self.host, self.port)
    }
}

impl Target {
    /// Where a file of this name is to be put.
    ///
    /// # Errors
    /// [`TransferError::Location`] and [`TransferError::Scheme`].
    pub fn upload(location: &Location, name: &str) -> Result<Self, TransferError> {
        let mut url = parsed(location)?;
        let last = url.path().rsplit('/').next().unwrap_or_default();
        let names_file = url.query().is_some() || last.contains('.');
        if !names_file {
            let bad = || TransferError::Location("it has no path".to_owned());
            url.path_segments_mut()
                .map_err(|()| bad())?
                .pop_if_empty()
                .push(name);
        }
        Self::of(url)
    }

    /// Where a file is to be fetched.
    ///
    /// # Errors
    /// As [`Target::upload`]; and when the location names no file.
    pub fn download(location: &Location) -> Result<Self, TransferError> {
        let target = Self::of(parsed(location)?)?;
        if target.is_ftp() && target.file.is_empty() {
            return Err(TransferError::Location("it names no file".to_owned()));
        }
        Ok(target)
    }

    /// Whether it is FTP or FTPS.
    #[must_use]
    pub fn is_ftp(&self) -> bool {
        self.scheme.starts_with("ftp")
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        matches!(self.scheme.as_str(), "ftps" | "https")
    }

    fn of(mut url: Url) -> Result<Self, TransferError> {
        let port = match url.scheme() {
            "ftp" | "ftps" => 21,
            "http" => 80,
            "https" => 443,
            other => {
                let shown: String = other.chars().take(20).collect();
                return Err(TransferError::Scheme(shown));
            }
        };
        let bad = |why: &str| TransferError::Location(why.to_owned());
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| bad("it names no host"))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let login = (!url.username().is_empty()).then(|| {
            let password = url.password().unwrap_or_default();
            (decoded(url.username()), decoded(password))
        });
        let mut folders: Vec<String> = url.path().split('/').skip(1).map(decoded).collect();
        let file = folders.pop().unwrap_or_default();
        // Each becomes a line of the control connection.
        let login_parts = login.iter().flat_map(|(name, password)| [name, password]);
        if folders
            .iter()
            .chain([&file])
            .chain(login_parts)
            .any(|part| part.chars().any(char::is_control))
        {
            return Err(bad("there are control characters in it"));
        }
        folders.retain(|folder| !folder.is_empty());
        let scheme = url.scheme().to_owned();
        let port = url.port().unwrap_or(port);
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        cleared.map_err(|()| bad("it names no host"))?;
        url.set_fragment(None);
        Ok(Self {
            scheme,
            host,
            port,
            login,
            folders,
            file,
            url,
        })
    }
}

fn parsed(location: &Location) -> Result<Url, TransferError> {
    Url::parse(location.secret().trim()).map_err(|error| TransferError::Location(error.to_string()))
}

/// `%41` to `A`; what is no such thing stays.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| (*byte as char).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
