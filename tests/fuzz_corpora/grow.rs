//! The growth of a corpus without an instrumented build: what a target tells of its steps takes the place of coverage.
//! An input is kept if it makes the parser take a step, or two steps one after the other, that no input before did;
//! then it is made as small as it can be with the same news in it. One seed, one result.

use super::targets::{Outcome, Target};
use super::{outcome, valid};
use retrovolt::domain::Rng;
use std::collections::BTreeSet;

/// Longest input that is tried; what is kept is far shorter.
const LONGEST: usize = 4_096;
/// Attempts without news after which single steps count as known.
const STALE: usize = 1_500;
/// Attempts for a target at most.
const TRIES: usize = 200_000;
/// Attempts to make one input smaller.
const SHRINKS: usize = 400;

/// The inputs of a target and what they have shown.
pub struct Corpus {
    target: Target,
    inputs: Vec<Vec<u8>>,
    seen: BTreeSet<String>,
    whole: BTreeSet<String>,
}

/// What growing gave.
pub struct Grown {
    pub inputs: Vec<Vec<u8>>,
    pub tried: usize,
}

/// Steps, and where asked for pairs of steps.
fn shown(outcome: &Outcome, pairs: bool) -> BTreeSet<String> {
    let kinds: Vec<&str> = outcome.kinds().collect();
    let mut shown: BTreeSet<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    if pairs {
        shown.extend(kinds.windows(2).map(|pair| pair.join(" > ")));
    }
    shown
}

/// A file name that says nothing but which input it is (FNV-1a, 64 bits).
pub fn name(input: &[u8]) -> String {
    let hash = input.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    format!("{hash:016x}")
}

impl Corpus {
    pub fn new(target: Target, inputs: Vec<Vec<u8>>) -> Self {
        let mut corpus = Self {
            target,
            inputs: Vec::new(),
            seen: BTreeSet::new(),
            whole: BTreeSet::new(),
        };
        for input in inputs {
            let outcome = corpus.outcome(&input);
            corpus.take(input, &outcome);
        }
        corpus
    }

    /// # Panics
    /// With the input, if the target panics: a finding.
    fn outcome(&self, input: &[u8]) -> Outcome {
        outcome(self.target, input).unwrap_or_else(|| panic!("a finding: {}", input.escape_ascii()))
    }

    fn take(&mut self, input: Vec<u8>, outcome: &Outcome) {
        self.seen.extend(shown(outcome, true));
        self.whole.insert(outcome.to_string());
        self.inputs.push(input);
    }

    /// Adds inputs up to a number of them in all.
    pub fn grow(mut self, fresh: impl Fn(&mut Rng) -> Vec<u8>, most: usize) -> Grown {
        let mut rng = Rng::new(1);
        let (had, mut tried, mut idle, mut pairs) = (self.inputs.len(), 0, 0, false);
        while self.inputs.len() < most && tried < TRIES {
            tried += 1;
            let input = self.next(&fresh, &mut rng);
            if input.len() > LONGEST {
                continue;
            }
            let outcome = self.outcome(&input);
            let news: BTreeSet<String> = shown(&outcome, pairs).difference(&self.seen).cloned().collect();
            if news.is_empty() || self.whole.contains(&outcome.to_string()) {
                idle += 1;
                pairs |= idle > STALE;
                continue;
            }
            idle = 0;
            let small = self.shrink(input, &news, &mut rng);
            let outcome = self.outcome(&small);
            self.take(small, &outcome);
        }
        Grown {
            inputs: self.inputs.split_off(had.min(self.inputs.len())),
            tried,
        }
    }

    /// Valid bytes, or a known input with some changes.
    fn next(&self, fresh: &impl Fn(&mut Rng) -> Vec<u8>, rng: &mut Rng) -> Vec<u8> {
        let mut input = match (valid::pick(rng, &self.inputs), rng.below(10)) {
            (Some(known), 5..) => known.clone(),
            _ => fresh(rng),
        };
        for _ in 0..rng.below(4) {
            if let Some(other) = valid::pick(rng, &self.inputs) {
                valid::change(&mut input, other, rng);
            }
        }
        input
    }

    /// Leaves out whatever the news does not need, in halves, quarters and so on down to single bytes.
    fn shrink(&self, mut input: Vec<u8>, news: &BTreeSet<String>, rng: &mut Rng) -> Vec<u8> {
        let mut left = SHRINKS;
        let mut length = input.len().div_ceil(2);
        while length > 0 && left > 0 {
            let mut from = 0;
            while from < input.len() && left > 0 {
                let end = (from + length).min(input.len());
                let shorter = [&input[..from], &input[end..]].concat();
                left -= 1;
                let outcome = self.outcome(&shorter);
                if shown(&outcome, true).is_superset(news) && !self.whole.contains(&outcome.to_string()) {
                    input = shorter;
                } else {
                    from = end;
                }
            }
            length /= 2;
        }
        // What follows does not depend on how long this took.
        let _ = rng.next_u64();
        input
    }
}
