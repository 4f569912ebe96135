//! Rust source as the tidy rules see it: without comments, strings and tests.

use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository, if it is there.
pub fn text_of(name: &str) -> Option<String> {
    std::fs::read_to_string(repository().join(name)).ok()
}

/// Every file below a folder, build products and version control left out.
pub fn files_under(folder: &Path) -> Vec<PathBuf> {
    let skipped = [".git", ".lab", ".venv", "__pycache__", "dist", "node_modules"];
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if !skipped.contains(&name.as_str()) && !name.starts_with("target") {
                    folders.push(path);
                }
            } else if name != ".git" {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// All production sources.
pub fn sources() -> Vec<SourceFile> {
    let root = repository();
    let all: Vec<SourceFile> = files_under(&root.join("src"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
            SourceFile::new(&name, &std::fs::read_to_string(&path).expect("a readable source"))
        })
        .collect();
    assert!(all.len() > 10, "found only {} sources", all.len());
    let tests: Vec<String> = all.iter().flat_map(SourceFile::test_modules).collect();
    all.into_iter()
        .filter(|file| !tests.iter().any(|test| file.name.starts_with(test.as_str())))
        .collect()
}

/// One source file.
pub struct SourceFile {
    /// Its path in the repository.
    pub name: String,
    /// Code before the tests, comments and strings blanked, lines kept.
    code: String,
}

impl SourceFile {
    /// Reads a source.
    pub fn new(name: &str, text: &str) -> Self {
        let blank = blanked(text);
        let lines: Vec<&str> = blank.lines().collect();
        let tests = (0..lines.len()).find(|at| {
            let next = lines.get(at + 1).map_or("", |line| line.trim());
            lines[*at].trim() == "#[cfg(test)]" && next.starts_with("mod ") && next.ends_with('{')
        });
        let code = lines[..tests.unwrap_or(lines.len())].join("\n");
        Self {
            name: name.to_owned(),
            code,
        }
    }

    /// The room it is in; `None` for `lib.rs` and `main.rs`.
    pub fn room(&self) -> Option<String> {
        let rest = self.name.strip_prefix("src/")?;
        let room = rest.split('/').next()?;
        (!matches!(room, "lib.rs" | "main.rs")).then(|| room.trim_end_matches(".rs").to_owned())
    }

    /// Lines before the tests.
    pub fn code_lines(&self) -> usize {
        self.code.lines().count()
    }

    /// Files that are modules for tests only (`#[cfg(test)] mod x;`), as the beginning of their path.
    fn test_modules(&self) -> Vec<String> {
        let lines: Vec<&str> = self.code.lines().map(str::trim).collect();
        let folder = match self.name.strip_suffix("/mod.rs") {
            Some(folder) => folder.to_owned(),
            None => self.name.trim_end_matches(".rs").to_owned(),
        };
        lines
            .windows(2)
            .filter(|pair| pair[0] == "#[cfg(test)]")
            .filter_map(|pair| {
                pair[1]
                    .trim_start_matches("pub ")
                    .strip_prefix("mod ")?
                    .strip_suffix(';')
            })
            .flat_map(|module| [format!("{folder}/{module}.rs"), format!("{folder}/{module}/")])
            .collect()
    }

    /// How many modules deep the file is: 1 is the room itself.
    fn depth(&self) -> usize {
        let parts = self.name.trim_start_matches("src/").split('/').count();
        if self.name.ends_with("/mod.rs") {
            parts - 1
        } else {
            parts
        }
    }

    /// Rooms named by paths from the root of the crate, with their line.
    pub fn rooms_used(&self) -> Vec<(usize, String)> {
        let roots = ["crate::".to_owned(), "super::".repeat(self.depth())];
        let mut found = Vec::new();
        for root in &roots {
            for (at, _) in self.code.match_indices(root.as_str()) {
                if self.code[..at]
                    .ends_with(|letter: char| letter.is_alphanumeric() || "_:$".contains(letter))
                {
                    continue;
                }
                let line = self.code[..at].matches('\n').count() + 1;
                let rest = &self.code[at + root.len()..];
                found.extend(heads(rest).into_iter().map(|room| (line, room)));
            }
        }
        found.sort_by_key(|(line, _)| *line);
        found
    }

    /// Lines on which a word or path stands by itself.
    pub fn lines_with(&self, word: &str) -> Vec<usize> {
        let part = |letter: char| letter.is_alphanumeric() || letter == '_';
        self.code
            .match_indices(word)
            .filter(|(at, _)| {
                !self.code[..*at].ends_with(part) && !self.code[at + word.len()..].starts_with(part)
            })
            .map(|(at, _)| self.code[..at].matches('\n').count() + 1)
            .collect()
    }

    /// Lines that reach for what starts other programs.
    pub fn starts_programs(&self) -> Vec<usize> {
        let line_of = |at: usize| self.code[..at].matches('\n').count() + 1;
        let names = |path: &str| {
            let used = match path.strip_prefix('{') {
                Some(list) => list.split_once('}').map_or(list, |(list, _)| list),
                None => path
                    .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '*')
                    .next()
                    .unwrap_or(path),
            };
            let mut words = used.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '*');
            words.any(|word| ["Command", "*"].contains(&word))
        };
        let mut found: Vec<usize> = self
            .code
            .match_indices("process::")
            .filter(|(at, word)| names(&self.code[at + word.len()..]))
            .map(|(at, _)| line_of(at))
            .collect();
        for word in ["process as", "CommandExt", "posix_spawn", "execve", "fork"] {
            found.extend(self.lines_with(word));
        }
        found
    }

    /// Every function with a body: line, name, lines of code in it.
    pub fn functions(&self) -> Vec<(usize, String, usize)> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            if self.code[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_') {
                continue;
            }
            let rest = &self.code[at + 3..];
            let name: String = rest
                .chars()
                .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
                .collect();
            let Some(body) = body(rest).filter(|_| !name.is_empty()) else {
                continue;
            };
            let length = body.lines().filter(|line| !line.trim().is_empty()).count();
            found.push((self.code[..at].matches('\n').count() + 1, name, length));
        }
        found
    }
}

/// First names of a path or of each branch of a `{a::x, b}` group.
fn heads(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
            .collect()
    };
    let Some(group) = rest.strip_prefix('{') else {
        return vec![name(rest)];
    };
    let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(name(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(name(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.retain(|room| !room.is_empty());
    found
}

/// What stands between a function's braces; `None` where it ends with a semicolon.
fn body(signature: &str) -> Option<&str> {
    let mut nested = 0_i32;
    let mut start = None;
    for (at, letter) in signature.char_indices() {
        match (letter, start) {
            ('(' | '[', None) => nested += 1,
            (')' | ']', None) => nested -= 1,
            (';', None) if nested == 0 => return None,
            ('{', None) if nested == 0 => {
                start = Some(at + 1);
                nested = 1;
            }
            ('{', Some(_)) => nested += 1,
            ('}', Some(from)) => {
                nested -= 1;
                if nested == 0 {
                    return Some(&signature[from..at]);
                }
            }
            _ => {}
        }
    }
    None
}

/// The text with comments and the inside of strings and characters turned into blanks.
fn blanked(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < letters.len() {
        let rest = &letters[at..];
        let length = match rest {
            ['/', '/', ..] => rest
                .iter()
                .position(|letter| *letter == '\n')
                .unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            ['r', '"' | '#', ..] | ['b', 'r', ..]
                if starts_word(&letters, at) && raw_string(rest).is_some() =>
            {
                raw_string(rest).unwrap_or(1)
            }
            ['"', ..] => string(rest),
            ['\'', '\\', ..] => rest
                .iter()
                .skip(2)
                .position(|letter| *letter == '\'')
                .map_or(1, |end| end + 3),
            ['\'', _, '\'', ..] => 3,
            _ => {
                out.push(letters[at]);
                at += 1;
                continue;
            }
        };
        out.extend(
            rest[..length]
                .iter()
                .map(|letter| if *letter == '\n' { '\n' } else { ' ' }),
        );
        at += length;
    }
    out
}

fn starts_word(letters: &[char], at: usize) -> bool {
    at == 0 || !(letters[at - 1].is_alphanumeric() || letters[at - 1] == '_')
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at + 1 < rest.len() {
        match (rest[at], rest[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &[char]) -> Option<usize> {
    let from = rest.iter().position(|letter| *letter == 'r')? + 1;
    let hashes = rest[from..].iter().take_while(|letter| **letter == '#').count();
    (rest.get(from + hashes) == Some(&'"')).then_some(())?;
    let mut at = from + hashes + 1;
    while at < rest.len() {
        let closing = rest[at] == '"'
            && rest[at + 1..]
                .iter()
                .take(hashes)
                .filter(|letter| **letter == '#')
                .count()
                == hashes;
        if closing {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(rest.len())
}
