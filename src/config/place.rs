//! Where a value was written: a stretch of one of the texts that were read.

use std::ops::Range;
use std::path::PathBuf;

/// Longer lines are not shown; line and column must do.
const LONGEST_EXCERPT: usize = 240;

/// A stretch of bytes in one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Index into [`Sources`].
    pub source: usize,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// One text that was read: a file, or the environment written as lines of `NAME=value`.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Name shown to a person.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Folder that relative paths start from.
    pub dir: PathBuf,
    /// First byte of each line.
    lines: Vec<usize>,
    /// Values that must never be shown.
    hidden: Vec<Range<usize>>,
}

/// Every text that was read, in the order of reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources(Vec<Source>);

impl Sources {
    /// Adds a text and says under which index.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        text: impl Into<String>,
        dir: impl Into<PathBuf>,
    ) -> usize {
        let text = text.into();
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        self.0.push(Source {
            lines: std::iter::once(0).chain(breaks).collect(),
            name: name.into(),
            text,
            dir: dir.into(),
            hidden: Vec::new(),
        });
        self.0.len() - 1
    }

    /// The text a place is in.
    pub fn of(&self, place: Place) -> Option<&Source> {
        self.0.get(place.source)
    }

    /// Marks a value as one that no output may show.
    pub fn hide(&mut self, place: Place) {
        if let Some(source) = self.0.get_mut(place.source) {
            source.hidden.push(place.start..place.end);
        }
    }
}

impl Source {
    /// Line and column, both from 1; columns count characters.
    pub fn line_column(&self, at: usize) -> (usize, usize) {
        let at = self.boundary(at);
        let line = self.lines.partition_point(|start| *start <= at);
        let column = self.text[self.lines[line - 1]..at].chars().count() + 1;
        (line, column)
    }

    /// The line a byte is in, with secrets masked, and how many characters of the stretch lie on it.
    pub fn excerpt(&self, start: usize, end: usize) -> (String, usize) {
        let start = self.boundary(start);
        let first = self.text[..start].rfind('\n').map_or(0, |found| found + 1);
        let last = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |found| start + found);
        if last - first > LONGEST_EXCERPT {
            return (String::new(), 1);
        }
        let width = self.text[start..self.boundary(end).clamp(start, last)]
            .chars()
            .count();
        let mut shown = String::new();
        for (at, letter) in self.text[first..last].char_indices() {
            let at = first + at;
            if !self.hidden.iter().any(|range| range.contains(&at)) {
                shown.push(letter);
            } else if !shown.ends_with("***") {
                shown.push_str("***");
            }
        }
        (mask_line(shown.trim_end()), width.max(1))
    }

    fn boundary(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// Masks what looks like a secret in a line that could not be parsed: everything after the `=` of a name like
/// `password`, and the user part of a URL.
fn mask_line(line: &str) -> String {
    let mut line = line.to_owned();
    if let Some(scheme) = line.find("://") {
        let rest = &line[scheme + 3..];
        let end = rest.find(['/', '"', '\'', ' ']).unwrap_or(rest.len());
        if let Some(at) = rest[..end].rfind('@') {
            line.replace_range(scheme + 3..scheme + 3 + at, "***");
        }
    }
    let mut word_start = None;
    for (at, letter) in line.char_indices() {
        if letter.is_ascii_alphanumeric() || letter == '_' {
            word_start.get_or_insert(at);
            continue;
        }
        if let Some(start) = word_start.take()
            && names_a_secret(&line[start..at])
            && let Some(equals) = line[at..].find(['=', ':'])
        {
            line.truncate(at + equals + 1);
            line.push_str(" ***");
            break;
        }
    }
    line
}

/// Whether a key is, or is a misspelling of, one that holds a secret. References to secrets are not secrets.
pub(super) fn names_a_secret(word: &str) -> bool {
    let word = word.rsplit("__").next().unwrap_or(word).to_ascii_lowercase();
    if word.ends_with("_file") || word.ends_with("_credential") {
        return false;
    }
    [
        "password",
        "passwd",
        "secret",
        "authorizationkey",
        "basicauthpassword",
    ]
    .iter()
    .any(|name| word.contains(name) || strsim::normalized_damerau_levenshtein(&word, name) > 0.65)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_columns_in_characters() {
        let mut sources = Sources::default();
        let source = sources.add("a", "ä = 1\nöö = x\n", "");
        let source = sources
            .of(Place {
                source,
                start: 0,
                end: 0,
            })
            .unwrap();
        assert_eq!(source.line_column(0), (1, 1));
        let x = source.text.find('x').unwrap();
        assert_eq!(source.line_column(x), (2, 6));
        assert_eq!(source.line_column(9999), (3, 1));
        assert_eq!(
            source.line_column(1),
            (1, 1),
            "inside a character counts as its start"
        );
    }

    #[test]
    fn masks_secrets_even_where_the_line_is_broken() {
        assert_eq!(mask_line("password = \"canary"), "password = ***");
        assert_eq!(mask_line("pasword: canary"), "pasword: ***");
        assert_eq!(
            mask_line("x = { Password=\"canary\", y = 1"),
            "x = { Password= ***"
        );
        assert_eq!(
            mask_line("url = \"ws://me:canary@host/\""),
            "url = \"ws://***@host/\""
        );
        assert_eq!(mask_line("password_file = \"/a\""), "password_file = \"/a\"");
    }
}
