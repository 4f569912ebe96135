//! Which sessions a back end is told of: patterns in the configuration, or in a file of their own.

use super::context::Context;
use super::issue::Told;
use super::keys::CsmsKeys;
use super::tree::show_text;
use crate::domain::TagRule;
use std::io::Read;
use std::path::Path;

/// Larger files are not lists of tokens but mistakes.
const LARGEST: u64 = 1024 * 1024;

/// What a pattern is expected to be.
const WANTED: &str =
    "a token of at most 36 characters, `*` for any characters, `!` before it to take tokens out";

/// Reads the rule of a back end; `None` where something was wrong with it.
pub(super) fn read(keys: &CsmsKeys, context: &mut Context<'_>) -> Option<TagRule> {
    let mut rule = TagRule::default();
    let mut good = !keys.tags.is_bad() && !keys.tags_file.is_bad();
    if keys.tags.written && keys.tags.value.as_ref().is_some_and(Vec::is_empty) {
        keys.tags.error(
            &mut context.found,
            "is an empty list: it would say nothing",
            "a list such as [\"04A1*\"]",
            "name a pattern, or remove the line: every session is told then",
        );
        good = false;
    }
    for (text, at) in keys.tags.value.iter().flatten() {
        if let Err(problem) = rule.add(text) {
            let problem = format!("the pattern {} {problem}", show_text(text));
            let told = Told::new(&keys.tags.path, problem, WANTED, mended(text));
            context.found.error(*at, told);
            good = false;
        }
    }
    if let Some(path) = context.path(&keys.tags_file) {
        good &= from_file(keys, &path, &mut rule, context);
    }
    good.then_some(rule)
}

/// One pattern a line; a line that begins with `#` is a comment.
fn from_file(keys: &CsmsKeys, path: &Path, rule: &mut TagRule, context: &mut Context<'_>) -> bool {
    let shown = path.display();
    let refuse = |problem: String, expected: &str, next: String, context: &mut Context<'_>| {
        keys.tags_file.error(&mut context.found, problem, expected, next);
        false
    };
    let read = std::fs::File::open(path).and_then(|file| {
        let mut text = String::new();
        file.take(LARGEST + 1).read_to_string(&mut text)?;
        Ok(text)
    });
    let text = match read {
        Ok(text) if text.len() as u64 > LARGEST => {
            let problem = format!("{shown} is too large");
            return refuse(
                problem,
                "at most 1 MiB",
                "is this the right file?".to_owned(),
                context,
            );
        }
        Ok(text) => text,
        Err(error) => {
            let next = match error.kind() {
                std::io::ErrorKind::NotFound => format!("create {shown}, or mend the path"),
                std::io::ErrorKind::PermissionDenied => "let the gateway read it".to_owned(),
                _ => "name a text file".to_owned(),
            };
            let problem = format!("{shown} cannot be read: {error}");
            return refuse(problem, "a readable file", next, context);
        }
    };
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
    let mut patterns = 0;
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        patterns += 1;
        if let Err(problem) = rule.add(line) {
            let problem = format!(
                "line {number} of {shown}: the pattern {} {problem}",
                show_text(line)
            );
            return refuse(problem, WANTED, mended(line), context);
        }
    }
    if patterns == 0 {
        let problem = format!("there is no pattern in {shown}: every session would be told");
        let next = "write one pattern a line, or remove tags_file".to_owned();
        return refuse(problem, "one pattern a line", next, context);
    }
    true
}

fn mended(text: &str) -> String {
    let kept: String = text
        .chars()
        .enumerate()
        .filter(|(at, c)| !c.is_whitespace() && !c.is_control() && (*at == 0 || *c != '!'))
        .map(|(_, c)| c)
        .take(36)
        .collect();
    if kept.is_empty() || kept == "!" {
        "remove it".to_owned()
    } else {
        format!("did you mean '{kept}'")
    }
}
