//! Promise X4: every input that fuzzing was begun with, or that it once found, is survived again with each test run.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "not a pure room")]

#[path = "../fuzz/src/lib.rs"]
#[allow(dead_code, reason = "the fuzz targets run one at a time")]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn every_committed_input_is_survived() {
    for (name, target) in targets::TARGETS {
        let folder = corpus().join(name);
        let files = names(&folder);
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let data = fs::read(folder.join(&file)).unwrap();
            let survived = std::panic::catch_unwind(|| target(&data));
            assert!(survived.is_ok(), "fuzz/corpus/{name}/{file}");
        }
    }
}

#[test]
fn every_corpus_has_its_target_and_every_target_its_binary() {
    let known: BTreeSet<String> = targets::TARGETS
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(names(&corpus()), known);
    let binaries = names(&corpus().with_file_name("fuzz_targets"));
    let stems: BTreeSet<String> = binaries
        .iter()
        .map(|file| file.trim_end_matches(".rs").to_owned())
        .collect();
    assert_eq!(stems, known);
    let manifest: toml::Table = fs::read_to_string(corpus().with_file_name("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let declared: BTreeSet<String> = manifest["bin"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bin| bin["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(declared, known);
}
