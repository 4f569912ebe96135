//! Secrets that are planted and must not come up anywhere (promise X2).
//!
//! A canary is looked for as it is, in base64 at any alignment, and as hexadecimal digits in either case.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was planted, by the place it was planted in.
#[derive(Default)]
pub struct Canaries {
    planted: BTreeMap<String, Vec<String>>,
}

impl Canaries {
    /// Makes a secret for a place: 20 characters that are nowhere else.
    pub fn plant(&mut self, place: &str) -> String {
        // Told apart by their number, whoever planted the others, and long enough for a password.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let secret = format!("c4nary{number:02}X{:011x}", 0x5eed_0000 + number * 7_919);
        self.plant_text(place, &secret);
        secret
    }

    /// Plants a secret of somebody else's making, e.g. a line of a private key.
    pub fn plant_text(&mut self, place: &str, secret: &str) {
        assert!(secret.len() >= 12, "too short to be told from chance: {place}");
        let mut shapes = vec![secret.to_owned()];
        for pad in 0..3 {
            // The letters at both ends depend on their neighbours.
            let coded = STANDARD.encode([vec![b' '; pad], secret.as_bytes().to_vec()].concat());
            let letters: Vec<char> = coded.trim_end_matches('=').chars().collect();
            let from = if pad == 0 { 0 } else { 4 };
            shapes.push(letters[from..letters.len() - 2].iter().collect());
        }
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        shapes.push(hex.to_uppercase());
        shapes.push(hex);
        let before = self.planted.insert(place.to_owned(), shapes);
        assert!(before.is_none(), "planted twice: {place}");
    }

    /// How many were planted.
    pub fn count(&self) -> usize {
        self.planted.len()
    }

    /// Places whose secret is in these bytes.
    pub fn in_bytes(&self, bytes: &[u8]) -> Vec<&str> {
        let holds = |shape: &String| {
            bytes
                .windows(shape.len())
                .any(|window| window == shape.as_bytes())
        };
        let found = self.planted.iter().filter(|(_, shapes)| shapes.iter().any(holds));
        found.map(|(place, _)| place.as_str()).collect()
    }

    /// Asserts that none is in these bytes.
    pub fn none_in(&self, what: &str, bytes: &[u8]) {
        let found = self.in_bytes(bytes);
        assert!(found.is_empty(), "{what} holds the secrets of: {found:?}");
    }

    /// Asserts that none is in any file below a folder, but for files that are there to keep one.
    pub fn none_below(&self, folder: &Path, but: impl Fn(&Path) -> bool) {
        for path in files(folder) {
            if !but(&path) {
                self.none_in(
                    &path.display().to_string(),
                    &std::fs::read(&path).expect("a file"),
                );
            }
        }
    }
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for path in std::fs::read_dir(folder)
        .expect("a folder")
        .flatten()
        .map(|entry| entry.path())
    {
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn no_two_canaries_are_alike() {
    let (mut some, mut others) = (Canaries::default(), Canaries::default());
    let secret = some.plant("here");
    assert_ne!(secret, others.plant("there"));
    assert!(others.in_bytes(secret.as_bytes()).is_empty());
}

#[test]
fn a_canary_is_found_in_every_shape() {
    let mut canaries = Canaries::default();
    let secret = canaries.plant("here");
    let other = canaries.plant("there");
    for text in [
        format!("password={secret}!"),
        STANDARD.encode(format!("id:{secret}")),
        STANDARD.encode(format!("i:{secret}")),
        STANDARD.encode(&secret),
        secret.bytes().map(|byte| format!("{byte:02X}")).collect(),
    ] {
        assert_eq!(canaries.in_bytes(text.as_bytes()), ["here"], "{text}");
    }
    assert_eq!(canaries.in_bytes(other.as_bytes()), ["there"]);
    assert!(canaries.in_bytes(b"nothing of the kind").is_empty());
}
