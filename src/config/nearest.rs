//! The nearest valid name to a misspelt one.

/// The candidate that was most likely meant, if any is near enough to be worth naming.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = flat(word);
    candidates
        .into_iter()
        .filter_map(|candidate| score(&plain, candidate).map(|score| (score, candidate)))
        .min_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(b.1)))
        .map(|(_, candidate)| candidate)
}

/// Edits needed; `None` when it is a different word altogether.
fn score(plain: &str, candidate: &str) -> Option<usize> {
    let other = flat(candidate);
    if plain.is_empty() {
        return None;
    }
    let edits = strsim::damerau_levenshtein(plain, &other);
    if edits <= (other.len().max(plain.len()) / 3).max(1) {
        return Some(edits);
    }
    // A word left off or added (`interval` for `poll_interval`) is a likely slip too, but less likely.
    let long_enough = plain.len() >= 4 && other.len() >= 4;
    (long_enough && (other.contains(plain) || plain.contains(&other))).then_some(edits + 10)
}

/// Case, `-`, `_` and blanks are what people mix up most; they do not count.
fn flat(word: &str) -> String {
    word.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .take(80)
        .collect()
}

/// `did you mean 'x'`, or the fallback where nothing is near.
pub(super) fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    nearest(word, candidates).map_or_else(otherwise, |near| format!("did you mean '{near}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_not_strangers() {
        let keys = ["baud", "parity", "stop_bits", "data_bits", "reconnect_min"];
        assert_eq!(nearest("buad", keys), Some("baud"));
        assert_eq!(nearest("Stop-Bits", keys), Some("stop_bits"));
        assert_eq!(nearest("reconect_min", keys), Some("reconnect_min"));
        assert_eq!(nearest("reconnect", keys), Some("reconnect_min"));
        assert_eq!(nearest("zebra", keys), None);
        assert_eq!(nearest("", keys), None);
        assert_eq!(nearest("äöü", keys), None);
    }
}
