//! Every shell script of the repository before shellcheck, which `tests/deploy/setup.sh` installs.

use crate::sandbox::{root, said};
use std::path::{Path, PathBuf};
use std::process::Command;

fn scripts(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            scripts(&path, found);
        } else if std::fs::read(&path).is_ok_and(|bytes| {
            let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            first.starts_with(b"#!") && first.ends_with(b"sh")
        }) {
            found.push(path);
        }
    }
}

#[test]
fn shellcheck_has_nothing_to_say() {
    let mut found = Vec::new();
    for folder in ["deploy", "tests", ".ci"] {
        scripts(&root().join(folder), &mut found);
    }
    assert!(found.len() > 15, "{found:#?}");
    let told = said(
        Command::new("shellcheck")
            .args(["--severity=warning", "--exclude=SC2164"])
            .args(&found),
    );
    assert_eq!(told.code, 0, "{}", told.text);
}
