//! The two keys of the journal, in files of their own beside the database: one signs records, one hashes tokens.
//!
//! Both are made at the first start, readable by their owner only, and are whole or not there: written beside, synced,
//! renamed. A file that cannot be used is put aside, and the journal says that another key signs from there on.

use crate::domain::IdToken;
use crate::store::error::StoreError;
use crate::store::file::sync_dir;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use ring::{digest, hmac};
use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// PKCS#8 PEM of the Ed25519 key that signs.
pub(super) const SIGNING: &str = "sessions-sign.pem";
/// Hexadecimal key of the HMAC over tokens.
pub(super) const TOKENS: &str = "sessions-token.key";

/// What precedes the 32 bytes of an Ed25519 private key in PKCS#8 (RFC 8410 section 7).
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// What precedes the 32 bytes of an Ed25519 public key in SubjectPublicKeyInfo (RFC 8410 section 4).
const SPKI_HEAD: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// A public key of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// How records name it: the first eight bytes of its SHA-256, hexadecimal.
    #[must_use]
    pub fn id(&self) -> String {
        let hash = digest::digest(&digest::SHA256, &self.0);
        hex(hash.as_ref().get(..8).unwrap_or_default())
    }

    /// As a SubjectPublicKeyInfo in PEM, which openssl and most libraries read.
    #[must_use]
    pub fn pem(&self) -> String {
        pem("PUBLIC KEY", &[&SPKI_HEAD[..], &self.0].concat())
    }

    /// Reads [`PublicKey::pem`], or its 32 bytes in hexadecimal.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = match from_pem(text, "PUBLIC KEY") {
            Some(der) => der.strip_prefix(&SPKI_HEAD)?.to_vec(),
            None => unhex(text.trim())?,
        };
        bytes.try_into().ok().map(Self)
    }
}

/// The keys at work.
pub(crate) struct Keys {
    pair: Ed25519KeyPair,
    tokens: hmac::Key,
    /// The public half, hexadecimal in records.
    pub(super) public: PublicKey,
    pub(super) id: String,
}

impl Keys {
    /// Reads the keys of a state directory; what is missing is made.
    pub(in crate::store) fn load(dir: &Path) -> Result<Self, StoreError> {
        let seed = kept(dir, SIGNING, seed_of, |seed| {
            pem("PRIVATE KEY", &[&PKCS8_HEAD[..], seed].concat())
        })?;
        let tokens = kept(
            dir,
            TOKENS,
            |text| array(&unhex(text.trim())?),
            |key| hex(key) + "\n",
        )?;
        Self::of(&seed, &tokens)
    }

    /// Keys of given secrets.
    pub(super) fn of(seed: &[u8; 32], tokens: &[u8; 32]) -> Result<Self, StoreError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|_| StoreError::Refused("the key of the session journal".to_owned()))?;
        let public = array(pair.public_key().as_ref()).unwrap_or_default();
        let public = PublicKey(public);
        Ok(Self {
            pair,
            tokens: hmac::Key::new(hmac::HMAC_SHA256, tokens),
            id: public.id(),
            public,
        })
    }

    /// Signature of a record, 64 bytes.
    pub(super) fn sign(&self, text: &str) -> Vec<u8> {
        self.pair.sign(text.as_bytes()).as_ref().to_vec()
    }

    /// What the journal keeps of a token.
    pub(super) fn token(&self, token: &IdToken) -> String {
        hash_token(&self.tokens, token)
    }
}

/// HMAC-SHA-256 over the token in lower case, hexadecimal: tokens are compared without regard to case.
fn hash_token(key: &hmac::Key, token: &IdToken) -> String {
    hex(hmac::sign(key, token.key().as_bytes()).as_ref())
}

/// What the journal of a state directory keeps of a token, for whoever may read the key.
///
/// # Errors
/// When the key cannot be read.
pub fn journal_token(dir: &Path, token: &IdToken) -> Result<String, StoreError> {
    let path = dir.join(TOKENS);
    let text = std::fs::read_to_string(&path).map_err(|e| StoreError::path(&path, &e))?;
    let key: [u8; 32] = unhex(text.trim())
        .and_then(|bytes| array(&bytes))
        .ok_or_else(|| StoreError::Corrupt(format!("{} is no key", path.display())))?;
    Ok(hash_token(&hmac::Key::new(hmac::HMAC_SHA256, &key), token))
}

fn seed_of(text: &str) -> Option<[u8; 32]> {
    array(from_pem(text, "PRIVATE KEY")?.strip_prefix(&PKCS8_HEAD)?)
}

fn array(bytes: &[u8]) -> Option<[u8; 32]> {
    bytes.try_into().ok()
}

/// The secret of a file, or a new one where there is none that can be used.
fn kept(
    dir: &Path,
    name: &str,
    parse: impl Fn(&str) -> Option<[u8; 32]>,
    print: impl Fn(&[u8; 32]) -> String,
) -> Result<[u8; 32], StoreError> {
    let path = dir.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            if let Some(secret) = parse(&text) {
                let private = std::fs::set_permissions(&path, Permissions::from_mode(0o600));
                private.map_err(|e| StoreError::path(&path, &e))?;
                return Ok(secret);
            }
            put_aside(dir, name)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => put_aside(dir, name)?,
        Err(error) => return Err(StoreError::path(&path, &error)),
    }
    let mut secret = [0; 32];
    SystemRandom::new()
        .fill(&mut secret)
        .map_err(|_| StoreError::Io("no randomness from the system".to_owned()))?;
    write_whole(dir, name, &print(&secret))?;
    Ok(secret)
}

fn put_aside(dir: &Path, name: &str) -> Result<(), StoreError> {
    let path = dir.join(name);
    let aside = (1_u32..)
        .map(|number| dir.join(format!("{name}.bad-{number}")))
        .find(|candidate| !candidate.exists())
        .unwrap_or_else(|| dir.join(format!("{name}.bad")));
    tracing::error!(
        kept = %aside.display(),
        "{name} is no key; the session journal goes on with a new one, and says so"
    );
    std::fs::rename(&path, &aside).map_err(|e| StoreError::path(&path, &e))
}

/// Writes a file that is there as a whole or not at all, whenever the power goes.
fn write_whole(dir: &Path, name: &str, text: &str) -> Result<(), StoreError> {
    let (path, new) = (dir.join(name), dir.join(format!("{name}.new")));
    let written = || -> std::io::Result<()> {
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file: File = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &path)
    };
    written().map_err(|e| StoreError::path(&path, &e))?;
    sync_dir(dir)
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

fn from_pem(text: &str, label: &str) -> Option<Vec<u8>> {
    let body = text.trim().strip_prefix(&format!("-----BEGIN {label}-----"))?;
    let body = body.strip_suffix(&format!("-----END {label}-----"))?;
    let body: String = body.split_whitespace().collect();
    BASE64.decode(body).ok()
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Reads [`hex`], in either case.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TokenKind;

    #[test]
    fn keys_are_made_once_are_private_and_are_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let first = Keys::load(dir.path()).unwrap();
        let again = Keys::load(dir.path()).unwrap();
        assert_eq!(first.public, again.public);
        let token = IdToken::new("04a1B2", TokenKind::Iso14443);
        assert_eq!(
            first.token(&token),
            again.token(&IdToken::new("04A1b2", TokenKind::Local))
        );
        assert_eq!(journal_token(dir.path(), &token).unwrap(), first.token(&token));
        for name in [SIGNING, TOKENS] {
            let mode = std::fs::metadata(dir.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(PublicKey::parse(&first.public.pem()), Some(first.public));
        assert_eq!(PublicKey::parse(&hex(&first.public.0)), Some(first.public));
        assert_eq!(PublicKey::parse("no key"), None);
    }

    #[test]
    fn a_token_is_not_recognised_with_the_key_of_another_site() {
        let token = IdToken::new("04A1B2C3", TokenKind::Iso14443);
        let of = |key| Keys::of(&[1; 32], &[key; 32]).unwrap().token(&token);
        assert_ne!(of(1), of(2));
        assert!(!of(1).contains("04a1b2c3"));
    }

    #[test]
    fn a_damaged_key_is_put_aside_and_half_a_new_one_never_counts() {
        let dir = tempfile::tempdir().unwrap();
        let first = Keys::load(dir.path()).unwrap().public;
        std::fs::write(dir.path().join(SIGNING), "-----BEGIN").unwrap();
        std::fs::write(dir.path().join(format!("{SIGNING}.new")), "half").unwrap();
        let second = Keys::load(dir.path()).unwrap().public;
        assert_ne!(first, second);
        assert_eq!(Keys::load(dir.path()).unwrap().public, second);
        assert!(dir.path().join(format!("{SIGNING}.bad-1")).exists());
    }
}
