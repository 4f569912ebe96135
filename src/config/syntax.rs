//! Text to tree. Mistakes against TOML itself are told in the words of a configuration, not of a grammar.

use super::issue::{Issues, Told};
use super::place::{Place, Source, Sources};
use super::tree::Node;
use toml::de::DeTable;

/// How the parser's message begins for a key that is there twice.
const DUPLICATE: &str = "duplicate key";

/// A file with more mistakes against TOML than this is something else; more of them help nobody.
const MOST_ERRORS: usize = 100;

/// Reads one source. The flag says that the text is not TOML, so that what is missing may be missing by accident.
pub(super) fn parse(sources: &Sources, source: usize, found: &mut Issues) -> (Node, bool) {
    let start = Place {
        source,
        start: 0,
        end: 0,
    };
    let Some(text) = sources.of(start) else {
        return (Node::empty(start), true);
    };
    let (table, errors) = DeTable::parse_recoverable(&text.text);
    let mut last_line = 0;
    for error in errors.iter().take(MOST_ERRORS) {
        let span = error.span().unwrap_or(0..0);
        let (line, _) = text.line_column(span.start);
        // One slip often makes the parser stumble several times on the same line.
        if line == last_line {
            continue;
        }
        last_line = line;
        let at = Place {
            source,
            start: span.start,
            end: span.end,
        };
        found.syntax(at, tell(text, span.start, line, error.message()));
    }
    // A key that is there twice hides nothing but its second value.
    let broken = errors.iter().any(|error| !error.message().starts_with(DUPLICATE));
    (Node::from_toml(source, &table), broken)
}

fn tell(source: &Source, at: usize, line: usize, message: &str) -> Told {
    let written = source.text.lines().nth(line - 1).unwrap_or("").trim();
    let (problem, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let duplicate = problem.starts_with(DUPLICATE);
    let expected = match (duplicate, expected) {
        (true, _) => "each key once in its table",
        (false, "") => "TOML: [tables] and lines of key = value",
        (false, words) => words,
    };
    let key = key_at(&source.text, line);
    if let Some((problem, next)) = unquoted(written).filter(|_| problem.starts_with("string values must")) {
        return Told::new(key, problem, "a number, true, false, or a text in quotes", next);
    }
    let suggestion = if duplicate {
        let name = key.rsplit('.').next().unwrap_or(&key);
        match first_line_of(&source.text, name, line) {
            Some(first) => format!("remove this line or line {first}"),
            None => "remove one of the two".to_owned(),
        }
    } else {
        next_step(
            written,
            source.text[..at.min(source.text.len())]
                .lines()
                .last()
                .unwrap_or(""),
        )
    };
    let problem = if duplicate { "is there twice" } else { problem };
    Told::new(
        key,
        format!("{}{problem}", if duplicate { "" } else { "not TOML: " }),
        expected,
        suggestion,
    )
}

/// The key of a line, with the table it is in.
fn key_at(text: &str, line: usize) -> String {
    let mut table = "";
    for earlier in text.lines().take(line) {
        let earlier = earlier.trim();
        if let Some(rest) = earlier.strip_prefix('[')
            && !earlier.contains('=')
        {
            table = rest
                .trim_start_matches('[')
                .split(']')
                .next()
                .unwrap_or("")
                .trim();
        }
    }
    let written = text.lines().nth(line - 1).unwrap_or("").trim();
    if written.starts_with('[') {
        return if table.is_empty() {
            "[table]".to_owned()
        } else {
            table.to_owned()
        };
    }
    let key = written
        .split(['=', ':', ' ', '#'])
        .next()
        .unwrap_or("")
        .trim()
        .trim_matches('"');
    match (table.is_empty(), key.is_empty()) {
        (true, true) => "(file)".to_owned(),
        (true, false) => key.to_owned(),
        (false, true) => table.to_owned(),
        (false, false) => format!("{table}.{key}"),
    }
}

fn first_line_of(text: &str, key: &str, before: usize) -> Option<usize> {
    let lines: Vec<&str> = text.lines().take(before - 1).collect();
    lines
        .iter()
        .rposition(|line| {
            let line = line.trim();
            let header = line.trim_matches(['[', ']']).trim();
            line.split('=').next().unwrap_or("").trim() == key
                || (line.starts_with('[') && header.ends_with(key))
        })
        .map(|index| index + 1)
}

/// A value that is neither a number nor in quotes: what was found, and the next step.
fn unquoted(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split(" #").next()?.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let next = match value {
        "" => {
            return Some((
                "not TOML: there is no value".to_owned(),
                format!("write a value after {key} ="),
            ));
        }
        "True" | "TRUE" | "yes" | "Yes" | "on" | "On" => format!("write {key} = true"),
        "False" | "FALSE" | "no" | "No" | "off" | "Off" => format!("write {key} = false"),
        _ if value.starts_with(['"', '\'', '[', '{']) => return None,
        _ if super::place::names_a_secret(key) => format!("put the value of {key} in quotes"),
        _ => format!("did you mean {key} = \"{}\"", value.trim_matches(['"', '\''])),
    };
    Some(("not TOML: the value is not in quotes".to_owned(), next))
}

/// What to do about the other usual slips.
fn next_step(line: &str, before: &str) -> String {
    let line = line.split(" #").next().unwrap_or(line).trim();
    if line.starts_with('[') {
        let wanted = line.trim_matches(['[', ']', ' ']);
        return format!("write [{wanted}] for a table, [[{wanted}]] for an element of a list");
    }
    if line.starts_with("//") || line.starts_with(';') || line.starts_with("/*") {
        return "start a comment with #".to_owned();
    }
    let Some((key, value)) = line.split_once('=') else {
        return match line.split_once(':') {
            Some((key, _)) => format!("write {} = value, with = in place of :", key.trim()),
            None => "write key = value, or start a comment with #".to_owned(),
        };
    };
    let (key, value) = (key.trim(), value.trim());
    match value {
        _ if value.starts_with(['"', '\'']) => {
            let quote = &value[..1];
            if value.len() > 1 && value.ends_with(quote) {
                "double each backslash, or use 'single quotes', which take every character as it is"
                    .to_owned()
            } else {
                format!("end the text with {quote}")
            }
        }
        _ if value.starts_with('[') || before.contains('[') => {
            "separate the elements with commas and close the list with ]".to_owned()
        }
        _ if value.starts_with('{') => "separate the pairs with commas and close with }".to_owned(),
        _ => unquoted(line).map_or_else(|| format!("write {key} = value"), |(_, next)| next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let mut sources = Sources::default();
        let source = sources.add("f", text, "");
        let mut found = Issues::default();
        parse(&sources, source, &mut found);
        assert!(found.any_error(), "{text}");
        found.resolve(&sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn tells_the_next_step_for_usual_slips() {
        for (text, words) in [
            ("[bus]\ntimeout = 500ms\n", "did you mean timeout = \"500ms\""),
            ("[bus]\nport: \"/dev/x\"\n", "with = in place of :"),
            ("a = True\n", "write a = true"),
            ("a =\n", "write a value after a ="),
            ("// x\n", "start a comment with #"),
            ("a = \"x\n", "end the text with \""),
            ("[bus\na = 1\n", "write [bus] for a table"),
            ("[g]\na = 1\nb = 2\na = 3\n", "remove this line or line 2"),
            ("a = [1 2]\n", "separate the elements with commas"),
            ("a = \"c:\\d\"\n", "double each backslash"),
        ] {
            let lines = told(text);
            assert!(
                lines.iter().any(|line| line.contains(words)),
                "{text:?}: {lines:#?}"
            );
        }
    }

    #[test]
    fn names_key_and_position() {
        let lines = told("[bus]\nid = \"a\"\ntimeout = 500ms\n");
        assert!(lines[0].starts_with("f:3:"), "{lines:?}");
        assert!(lines[0].contains("bus.timeout"), "{lines:?}");
    }

    #[test]
    fn a_secret_is_not_repeated() {
        let lines = told("password = canary\n").join("\n");
        assert!(!lines.contains("canary"), "{lines}");
    }
}
