//! The folder through which firmware goes to an installer (ADR 12). Only renames are seen from outside, the JSON last.

use super::own;
use crate::domain::{InstallerSaid, TransferError};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Longest result file.
const RESULT_BYTES: u64 = 16 * 1024;

/// The spool of a site.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
}

/// What an installer is told beside the image.
#[derive(Clone, Debug, Serialize)]
pub struct Handover<'a> {
    /// Of this form.
    pub version: u32,
    /// Name of the update, and of its files.
    pub job: &'a str,
    /// Whose back end ordered it.
    pub charge_point: &'a str,
    /// `package` or `charger`.
    pub kind: &'a str,
    /// Number of a signed request.
    pub request_id: Option<i32>,
    /// Whether a signature was verified.
    pub signed: bool,
}

#[derive(Serialize)]
struct Sheet<'a> {
    #[serde(flatten)]
    handover: &'a Handover<'a>,
    image: String,
    bytes: u64,
    sha256: String,
}

#[derive(Deserialize)]
struct Result_ {
    status: String,
    #[serde(default)]
    reason: Option<String>,
}

impl Spool {
    /// A spool; the folder is made when it is needed.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    fn incoming(&self) -> PathBuf {
        self.folder.join(".incoming")
    }

    fn file(&self, job: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{job}.{ending}"))
    }

    /// Where the image of an update comes in.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn arriving(&self, job: &str) -> Result<PathBuf, TransferError> {
        let folder = self.incoming();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(&folder)
            .map_err(|error| own(&folder, &error))?;
        Ok(folder.join(format!("{job}.image")))
    }

    /// Hands an image over. Done twice it is the same as once.
    ///
    /// # Errors
    /// When there is no such image, or the folder cannot be written.
    pub fn hand_over(&self, handover: &Handover<'_>) -> Result<(), TransferError> {
        let job = handover.job;
        let image = self.file(job, "image");
        let arrived = self.arriving(job)?;
        if arrived.exists() {
            std::fs::rename(&arrived, &image).map_err(|error| own(&image, &error))?;
        }
        let (bytes, sha256) = measure(&image)?;
        let sheet = Sheet {
            handover,
            image: format!("{job}.image"),
            bytes,
            sha256,
        };
        let text =
            serde_json::to_string_pretty(&sheet).map_err(|error| TransferError::Own(error.to_string()))?;
        let sheet = self.file(job, "json");
        if sheet.exists() {
            return Ok(());
        }
        let draft = self.incoming().join(format!("{job}.json"));
        let written = write_through(&draft, &text).and_then(|()| std::fs::rename(&draft, &sheet));
        written
            .and_then(|()| std::fs::File::open(&self.folder)?.sync_all())
            .map_err(|error| own(&sheet, &error))
    }

    /// What the installer has said last; nothing, also while it is still writing.
    #[must_use]
    pub fn said(&self, job: &str) -> Option<InstallerSaid> {
        let file = std::fs::File::open(self.file(job, "result")).ok()?;
        let mut text = String::new();
        file.take(RESULT_BYTES).read_to_string(&mut text).ok()?;
        let result: Result_ = serde_json::from_str(&text).ok()?;
        match result.status.as_str() {
            "installing" => Some(InstallerSaid::Installing),
            "installed" => Some(InstallerSaid::Installed),
            "failed" => Some(InstallerSaid::Failed(super::quoted(
                &result.reason.unwrap_or_default(),
            ))),
            _ => None,
        }
    }

    /// Throws away every file of an update.
    pub fn discard(&self, job: &str) {
        let incoming = self.incoming();
        let files = ["image", "part", "json"].map(|ending| incoming.join(format!("{job}.{ending}")));
        let handed = ["json", "image", "result"].map(|ending| self.file(job, ending));
        for file in files.iter().chain(&handed) {
            // Most of them are not there.
            let _ = std::fs::remove_file(file);
        }
    }
}

fn write_through(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Length and SHA-256 of a file.
fn measure(path: &Path) -> Result<(u64, String), TransferError> {
    let failed = |error: std::io::Error| own(path, &error);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut digest = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        let count = file.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        digest.update(&buffer[..count]);
        bytes += count as u64;
    }
    let sum = digest.finish();
    Ok((
        bytes,
        sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
    ))
}
