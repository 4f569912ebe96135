//! What is wrong with a profile, where, and what would be right.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One mistake in a profile file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {}{message}{}", key_part(key), hint_part(suggestion.as_deref()))]
pub struct ProfileError {
    /// File as named by the caller.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Path of the key, e.g. `points.status.type`; empty for the file as a whole.
    pub key: String,
    /// What is wrong and what was expected.
    pub message: String,
    /// The nearest thing that would be valid.
    pub suggestion: Option<String>,
}

fn key_part(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("{key}: ")
    }
}

fn hint_part(suggestion: Option<&str>) -> String {
    suggestion
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default()
}

/// Where in the file: a key or an index per level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
}

impl Path {
    /// One level down, by key.
    pub fn key(&self, key: &str) -> Self {
        let mut path = self.clone();
        path.0.push(Segment::Key(key.to_owned()));
        path
    }

    /// One level down, by index.
    pub fn index(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.0.push(Segment::Index(index));
        path
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for segment in &self.0 {
            match segment {
                Segment::Key(key) if text.is_empty() => text.push_str(key),
                Segment::Key(key) => text.push_str(&format!(".{key}")),
                Segment::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }

    /// The byte where the deepest part of the path that is there begins: the key of a table, else the value.
    fn offset(&self, root: &DeTable<'_>) -> usize {
        let (mut offset, mut place): (usize, Option<&Spanned<DeValue<'_>>>) = (0, None);
        for segment in &self.0 {
            let next = match (segment, place.map(Spanned::get_ref)) {
                (Segment::Key(key), None) => entry(root, key),
                (Segment::Key(key), Some(DeValue::Table(table))) => entry(table, key),
                (Segment::Index(index), Some(DeValue::Array(array))) => {
                    array.get(*index).map(|value| (value.span().start, value))
                }
                _ => None,
            };
            let Some((key_start, value)) = next else { break };
            offset = if value.get_ref().is_table() {
                key_start
            } else {
                value.span().start
            };
            place = Some(value);
        }
        offset
    }
}

fn entry<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<(usize, &'t Spanned<DeValue<'i>>)> {
    let (key, value) = table.iter().find(|(name, _)| name.get_ref().as_ref() == key)?;
    Some((key.span().start, value))
}

/// Gathers mistakes.
#[derive(Debug)]
pub(super) struct Problems<'a> {
    file: &'a str,
    text: &'a str,
    found: Vec<ProfileError>,
}

impl<'a> Problems<'a> {
    /// None yet.
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Self {
            file,
            text,
            found: Vec::new(),
        }
    }

    /// A mistake at a byte offset.
    pub fn at(&mut self, offset: usize, path: &Path, message: impl Into<String>, suggestion: Option<String>) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        self.found.push(ProfileError {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key: path.text(),
            message: message.into(),
            suggestion,
        });
    }

    /// A mistake at a path.
    pub fn push(&mut self, root: &DeTable<'_>, path: &Path, message: impl Into<String>) {
        self.at(path.offset(root), path, message, None);
    }

    /// A mistake at a path, with the nearest valid word.
    pub fn push_near<'n>(
        &mut self,
        root: &DeTable<'_>,
        path: &Path,
        message: impl Into<String>,
        word: &str,
        valid: impl IntoIterator<Item = &'n str>,
    ) {
        self.at(path.offset(root), path, message, nearest(word, valid));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them in the order of the file.
    pub fn finish(mut self) -> Vec<ProfileError> {
        self.found
            .sort_by(|a, b| (a.line, a.column, &a.key).cmp(&(b.line, b.column, &b.key)));
        self.found
    }
}

/// The valid word most like this one, if any is like it.
pub(super) fn nearest<'n>(word: &str, valid: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let score = |candidate: &str| strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase());
    let scored = valid.into_iter().map(|candidate| (score(candidate), candidate));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.75).then(|| best.1.to_owned())
}
