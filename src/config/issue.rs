//! What is wrong with a configuration, and how it is told: one line each, the source line with a caret, or JSON.

use super::place::{Place, Sources};
use serde::Serialize;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The gateway does not run with this.
    Error,
    /// It runs, but somebody should look.
    Warning,
}

/// One mistake, with everything a person needs to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// Error or warning.
    pub severity: Severity,
    /// The file as it was named, or `environment`.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// The key with the tables it is in, e.g. `charge_point.csms.url`.
    pub key: String,
    /// What was found.
    pub problem: String,
    /// What would have been right.
    pub expected: String,
    /// The nearest valid thing, or the next step.
    pub suggestion: String,
    /// The line itself, secrets masked.
    #[serde(skip)]
    excerpt: String,
    /// How many characters of it are meant.
    #[serde(skip)]
    width: usize,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warning = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        write!(
            f,
            "{}:{}:{}: {warning}{}: {}, expected {}; {}",
            self.file, self.line, self.column, self.key, self.problem, self.expected, self.suggestion
        )
    }
}

impl Issue {
    /// An issue that was found by another parser and already knows its position.
    #[must_use]
    pub fn at_line(severity: Severity, file: &str, (line, column): (usize, usize), told: Told) -> Self {
        Self {
            severity,
            file: file.to_owned(),
            line,
            column,
            key: told.key,
            problem: told.problem,
            expected: told.expected,
            suggestion: told.suggestion,
            excerpt: String::new(),
            width: 1,
        }
    }

    /// The issue on one line, its source line and a caret under the place.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!("{self}\n");
        if !self.excerpt.is_empty() {
            let number = self.line.to_string();
            let pad: String = self
                .excerpt
                .chars()
                .take(self.column - 1)
                .map(|letter| if letter == '\t' { '\t' } else { ' ' })
                .collect();
            let room = self
                .excerpt
                .chars()
                .count()
                .saturating_sub(self.column - 1)
                .max(1);
            let caret = "^".repeat(self.width.min(room));
            let margin = " ".repeat(number.len());
            text.push_str(&format!(
                "  {number} | {}\n  {margin} | {pad}{caret}\n",
                self.excerpt
            ));
        }
        text
    }
}

/// The words of an issue, without its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The key with its tables.
    pub key: String,
    /// What was found.
    pub problem: String,
    /// What would have been right.
    pub expected: String,
    /// The nearest valid thing, or the next step.
    pub suggestion: String,
}

impl Told {
    /// All four must be said: promise U5 holds because none can be left out.
    pub fn new(
        key: impl Into<String>,
        problem: impl Into<String>,
        expected: impl Into<String>,
        suggestion: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            problem: problem.into(),
            expected: expected.into(),
            suggestion: suggestion.into(),
        }
    }
}

/// What an issue rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Basis {
    /// The text is not TOML.
    Syntax,
    /// One setting by itself.
    Setting,
    /// Several settings, or something that is not there.
    Whole,
}

/// Issues as they are found; places are turned into lines once, at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Issues {
    found: Vec<(Severity, Place, Told, Basis)>,
    foreign: Vec<Issue>,
}

impl Issues {
    /// Notes an error that rests on several settings, or on something that is not there.
    pub fn error(&mut self, at: Place, told: Told) {
        self.found.push((Severity::Error, at, told, Basis::Whole));
    }

    /// Notes an error of one setting by itself.
    pub fn setting(&mut self, at: Place, told: Told) {
        self.found.push((Severity::Error, at, told, Basis::Setting));
    }

    /// Notes a mistake against TOML.
    pub fn syntax(&mut self, at: Place, told: Told) {
        self.found.push((Severity::Error, at, told, Basis::Syntax));
    }

    /// Notes a warning.
    pub fn warning(&mut self, at: Place, told: Told) {
        self.found.push((Severity::Warning, at, told, Basis::Whole));
    }

    /// Notes an issue of a file that is not one of the sources (a device profile).
    pub fn foreign(&mut self, issue: Issue) {
        self.foreign.push(issue);
    }

    /// Whether anything forbids the start.
    pub fn any_error(&self) -> bool {
        self.found
            .iter()
            .any(|(severity, ..)| *severity == Severity::Error)
            || self.foreign.iter().any(|issue| issue.severity == Severity::Error)
    }

    /// Forgets what may be wrong only because a text could not be understood.
    pub fn keep_certain(&mut self) {
        self.found.retain(|(.., basis)| *basis != Basis::Whole);
    }

    /// All issues in the order of files and lines, with line and column.
    pub fn resolve(mut self, sources: &Sources) -> Vec<Issue> {
        self.found
            .sort_by(|a, b| (a.1, a.0, &a.2.key, &a.2.problem).cmp(&(b.1, b.0, &b.2.key, &b.2.problem)));
        self.found.dedup();
        let mut issues: Vec<Issue> = Vec::with_capacity(self.found.len() + self.foreign.len());
        let mut garbled = std::collections::BTreeSet::new();
        for (_, place, _, basis) in &self.found {
            if let (Basis::Syntax, Some(source)) = (basis, sources.of(*place)) {
                garbled.insert((place.source, source.line_column(place.start).0));
            }
        }
        for (severity, place, told, basis) in self.found {
            let Some(source) = sources.of(place) else { continue };
            let position = source.line_column(place.start);
            // On a line that is not TOML whatever else was understood is an echo of that.
            if basis != Basis::Syntax && garbled.contains(&(place.source, position.0)) {
                continue;
            }
            let mut issue = Issue::at_line(severity, &source.name, position, told);
            (issue.excerpt, issue.width) = source.excerpt(place.start, place.end);
            issues.push(issue);
        }
        issues.extend(self.foreign);
        issues
    }
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Errors and warnings.
    pub issues: Vec<Issue>,
    /// The file could not be read at all.
    pub no_input: bool,
}

impl Report {
    /// Number of errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        count(&self.issues, Severity::Error)
    }

    /// Number of warnings.
    #[must_use]
    pub fn warnings(&self) -> usize {
        count(&self.issues, Severity::Warning)
    }

    /// sysexits: 66 no input, 78 configuration, 0 when there are only warnings.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match (self.no_input, self.errors()) {
            (true, _) => 66,
            (false, 0) => 0,
            (false, _) => 78,
        }
    }

    /// The report for a person.
    #[must_use]
    pub fn human(&self) -> String {
        self.issues.iter().map(Issue::render).collect()
    }

    /// The report for a machine: one object, `schema` 1.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "schema": 1,
            "ok": self.errors() == 0 && !self.no_input,
            "errors": self.errors(),
            "warnings": self.warnings(),
            "issues": self.issues,
        })
    }
}

fn count(issues: &[Issue], severity: Severity) -> usize {
    issues.iter().filter(|issue| issue.severity == severity).count()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, issue) in self.issues.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{issue}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}
