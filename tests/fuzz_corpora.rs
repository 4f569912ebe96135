//! Promise X4: every input that fuzzing was begun with, that was grown, or that a campaign once found, is given to its
//! target again with each test run. A target asserts what holds of any bytes (`fuzz/src`), and what comes of each input
//! has to be what `fuzz/outcomes/TARGET.txt` says; `UPDATE_CORPORA=1` writes these files anew.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "not a pure room"
)]

#[path = "fuzz_corpora/grow.rs"]
mod grow;
#[path = "config/mistakes.rs"]
#[allow(dead_code, reason = "only the texts are needed")]
mod mistakes;
#[path = "fuzz_corpora/sparkplug.rs"]
mod sparkplug;
#[path = "../fuzz/src/lib.rs"]
#[allow(dead_code, reason = "the fuzz targets run one at a time")]
mod targets;
#[path = "fuzz_corpora/telegrams.rs"]
mod telegrams;
#[path = "fuzz_corpora/texts.rs"]
mod texts;
#[path = "fuzz_corpora/valid.rs"]
mod valid;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use targets::{Outcome, TARGETS, Target};

/// Inputs in all corpora together (X4), and bytes they may have.
const INPUTS: usize = 2_000;
const BYTES: usize = 1_000_000;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// The inputs of a target by name.
fn inputs(target: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = fuzz().join("corpus").join(target);
    let read = |file: String| (file.clone(), fs::read(folder.join(file)).unwrap());
    names(&folder).into_iter().map(read).collect()
}

/// What comes of each input.
fn outcomes(target: &str) -> PathBuf {
    fuzz().join("outcomes").join(target).with_extension("txt")
}

/// What a target makes of an input; `None`: it panicked.
fn outcome(target: Target, data: &[u8]) -> Option<Outcome> {
    std::panic::catch_unwind(|| target(data)).ok()
}

#[test]
fn every_committed_input_is_survived() {
    for (name, target) in TARGETS {
        let mut told = String::new();
        for (file, data) in inputs(name) {
            let outcome = outcome(target, &data).unwrap_or_else(|| panic!("fuzz/corpus/{name}/{file}"));
            writeln!(told, "{file}: {outcome}").unwrap();
        }
        let file = outcomes(name);
        if std::env::var_os("UPDATE_CORPORA").is_some() {
            fs::write(&file, told).unwrap();
            continue;
        }
        let known = fs::read_to_string(&file).unwrap_or_default();
        for (now, was) in told.lines().zip(known.lines()) {
            assert_eq!(now, was, "{}; meant? UPDATE_CORPORA=1", file.display());
        }
        assert_eq!(told.lines().count(), known.lines().count(), "{}", file.display());
    }
}

/// Inputs count once for each outcome: two that make a parser do the same are one.
#[test]
fn the_corpora_are_many_and_small() {
    let (mut count, mut bytes) = (0, 0);
    for (name, _) in TARGETS {
        bytes += inputs(name).values().map(Vec::len).sum::<usize>();
        let told = fs::read_to_string(outcomes(name)).unwrap();
        let different: BTreeSet<&str> = told
            .lines()
            .filter_map(|line| Some(line.split_once(": ")?.1))
            .collect();
        count += different.len();
    }
    assert!(count >= INPUTS, "{count} inputs with an outcome of their own");
    assert!(bytes <= BYTES, "{bytes} bytes");
}

/// `make corpora`: adds inputs that make a parser do what no input before made it do.
#[test]
#[ignore = "writes into fuzz/corpus"]
fn grow_the_corpora() {
    let only = std::env::var("TARGET").ok();
    // More than needed: some targets have fewer outcomes than others.
    let share = INPUTS.div_ceil(TARGETS.len()) + 36;
    for (name, target) in TARGETS {
        if only.as_ref().is_none_or(|only| only == name) {
            let known: Vec<Vec<u8>> = inputs(name).into_values().collect();
            let grown = grow::Corpus::new(target, known).grow(|rng| valid::fresh(name, rng), share);
            println!(
                "{name}: {} inputs more, {} tried",
                grown.inputs.len(),
                grown.tried
            );
            for input in grown.inputs {
                let file = fuzz().join("corpus").join(name).join(grow::name(&input));
                fs::write(file, input).unwrap();
            }
        }
    }
}

#[test]
fn every_corpus_has_its_target_and_every_target_its_binary() {
    let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz().join("corpus")), known);
    let stems = |folder: &str, end: &str| -> BTreeSet<String> {
        let files = names(&fuzz().join(folder));
        files
            .iter()
            .map(|file| file.trim_end_matches(end).to_owned())
            .collect()
    };
    assert_eq!(stems("fuzz_targets", ".rs"), known);
    assert_eq!(stems("outcomes", ".txt"), known);
    let manifest: toml::Table = fs::read_to_string(fuzz().join("Cargo.toml"))
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
