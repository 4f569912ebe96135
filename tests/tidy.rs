//! The house rules that a compiler does not hold: arrows between rooms, purity, sizes, and documents that stay true.
#![allow(clippy::disallowed_methods, reason = "not a pure room")]

#[path = "tidy/source.rs"]
mod source;

use source::{SourceFile, files_under, repository, sources, text_of};
use std::collections::{BTreeMap, BTreeSet};

/// Which rooms a room may use, beside itself. `docs/ARCHITECTURE.md` tells why.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("device", &["domain"]),
    ("station", &["domain"]),
    ("site", &["domain"]),
    ("ocpp", &["domain"]),
    ("config", &["domain", "device", "ocpp"]),
    ("store", &["domain"]),
    ("bus", &["domain", "device"]),
    ("uplink", &["domain", "ocpp"]),
    ("transfer", &["domain"]),
    ("telemetry", &["domain"]),
    ("commission", &["domain", "device", "bus"]),
    ("sim", &["domain", "device", "ocpp"]),
    (
        "runtime",
        &[
            "domain",
            "device",
            "station",
            "site",
            "ocpp",
            "config",
            "store",
            "bus",
            "uplink",
            "transfer",
            "telemetry",
        ],
    ),
    // The demo judges the ledger and builds its hardware from shipped profiles.
    (
        "cli",
        &[
            "domain",
            "device",
            "config",
            "store",
            "runtime",
            "sim",
            "commission",
        ],
    ),
];

/// Rooms that are given everything and reach for nothing.
const PURE: &[&str] = &["domain", "device", "station", "site", "ocpp"];

/// What a pure room does not name.
const IMPURE: &[&str] = &[
    "tokio",
    "tokio_serial",
    "tokio_tungstenite",
    "tokio_rustls",
    "rustls",
    "suppaftp",
    "ureq",
    "rusqlite",
    "rustix",
    "getrandom",
    "rand",
    "tracing",
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
    "std::io",
    "SystemTime",
    "Instant",
    "HashMap",
    "HashSet",
    "Timestamp::now",
    "Zoned::now",
    "println!",
    "eprintln!",
    "dbg!",
];

const LONGEST_FILE: usize = 600;
const LONGEST_FUNCTION: usize = 60;
const LONGEST_ARCHITECTURE: usize = 200;

fn report(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn arrows_between_rooms() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut found = Vec::new();
    for file in sources() {
        let Some(room) = file.room() else { continue };
        let Some(may) = arrows.get(room.as_str()) else {
            found.push(format!(
                "{}: the room '{room}' has no arrows; add it to ARROWS",
                file.name
            ));
            continue;
        };
        for (line, used) in file.rooms_used() {
            if used != room && arrows.contains_key(used.as_str()) && !may.contains(&used.as_str()) {
                found.push(format!("{}:{line}: '{room}' may not use '{used}'", file.name));
            }
        }
    }
    report("rooms that lean on the wrong rooms", &found);
}

#[test]
fn pure_rooms_reach_for_nothing() {
    let mut found = Vec::new();
    for file in sources()
        .iter()
        .filter(|file| file.room().is_some_and(|room| PURE.contains(&room.as_str())))
    {
        for word in IMPURE {
            for line in file.lines_with(word) {
                found.push(format!("{}:{line}: names {word}", file.name));
            }
        }
    }
    report("pure rooms that are not", &found);
}

/// The simulated world starts gateways, the demo shows that.
const MAY_START_PROGRAMS: &[&str] = &["src/sim/", "src/cli/demo/"];

/// Promise X1: the gateway starts no other program, whatever it is asked for.
#[test]
fn x1_nothing_starts_another_program() {
    let mut found = Vec::new();
    let mut excused = 0;
    for file in sources() {
        let lines = file.starts_programs();
        if MAY_START_PROGRAMS
            .iter()
            .any(|folder| file.name.starts_with(folder))
        {
            excused += lines.len();
        } else {
            found.extend(lines.iter().map(|line| format!("{}:{line}", file.name)));
        }
    }
    assert!(
        excused > 0,
        "the rule does not even see how the demo starts a gateway"
    );
    report("starts another program", &found);
}

#[test]
fn files_and_functions_fit() {
    let mut found = Vec::new();
    for file in sources() {
        let lines = file.code_lines();
        if lines > LONGEST_FILE {
            found.push(format!(
                "{}: {lines} lines before the tests, {LONGEST_FILE} at most",
                file.name
            ));
        }
        for (line, name, length) in file.functions() {
            if length > LONGEST_FUNCTION {
                let name = format!("{}:{line}: fn {name}", file.name);
                found.push(format!("{name} has {length} lines, {LONGEST_FUNCTION} at most"));
            }
        }
    }
    report("too long", &found);
}

/// The cells of every row of the table whose header has a column of this name: the row's first cell, that column.
fn column(text: &str, name: &str) -> Vec<(String, String)> {
    let cells = |line: &str| -> Vec<String> {
        line.trim()
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let mut at = None;
    let mut rows = Vec::new();
    for line in text.lines() {
        if !line.trim_start().starts_with('|') {
            at = None;
            continue;
        }
        let row = cells(line);
        match at {
            None => at = row.iter().position(|cell| cell.eq_ignore_ascii_case(name)),
            Some(_)
                if row
                    .iter()
                    .all(|cell| cell.chars().all(|letter| "-: ".contains(letter))) => {}
            Some(at) => rows.push((row[0].clone(), row.get(at).cloned().unwrap_or_default())),
        }
    }
    rows
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .collect()
}

fn witness_missing(entry: &str) -> Option<String> {
    if let Some(target) = entry.strip_prefix("make ") {
        let makefile = text_of("Makefile").unwrap_or_default();
        let rule = format!("{}:", target.split(' ').next().unwrap_or(target));
        let there = makefile.lines().any(|line| line.starts_with(&rule));
        return (!there).then(|| format!("the Makefile has no target '{target}'"));
    }
    let (file, test) = match entry.split_once(".rs::") {
        Some((file, path)) => (format!("{file}.rs"), path.rsplit("::").next()),
        None => (entry.to_owned(), None),
    };
    let Some(text) = text_of(&file) else {
        return Some(format!("there is no {file}"));
    };
    let test = test?;
    let there = [format!("fn {test}("), format!("fn {test}<")]
        .iter()
        .any(|declared| text.contains(declared));
    (!there).then(|| format!("{file} has no 'fn {test}'"))
}

#[test]
fn every_promise_names_its_witness() {
    let text = text_of("docs/PROMISES.md").expect("docs/PROMISES.md belongs to the project");
    assert!(
        text.contains("shown by"),
        "docs/PROMISES.md has no column 'shown by'"
    );
    let mut found = Vec::new();
    for (promise, cell) in column(&text, "shown by") {
        let entries = quoted(&cell);
        if entries.is_empty() {
            found.push(format!("{promise}: nothing in backticks shows it"));
        }
        for entry in entries {
            found.extend(witness_missing(entry).map(|missing| format!("{promise}: `{entry}`: {missing}")));
        }
    }
    report("promises without a witness", &found);
}

#[test]
fn every_dependency_has_its_line() {
    let manifest: toml::Table = text_of("Cargo.toml")
        .expect("Cargo.toml")
        .parse()
        .expect("Cargo.toml is TOML");
    let mut wanted = BTreeSet::new();
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        if let Some(table) = manifest.get(section).and_then(toml::Value::as_table) {
            wanted.extend(table.keys().cloned());
        }
    }
    let text = text_of("docs/dependencies.md").expect("docs/dependencies.md belongs to the project");
    let named: BTreeSet<String> = column(&text, "what for")
        .iter()
        .flat_map(|(crate_, _)| quoted(crate_))
        .map(str::to_owned)
        .collect();
    let mut found: Vec<String> = wanted
        .difference(&named)
        .map(|name| format!("{name}: has no line"))
        .collect();
    found.extend(
        named
            .difference(&wanted)
            .map(|name| format!("{name}: is not a direct dependency any more")),
    );
    report("docs/dependencies.md", &found);
}

#[test]
fn the_architecture_fits_and_names_every_room() {
    // Expected from the moment the front page sends readers there.
    let expected = text_of("README.md").is_some_and(|readme| readme.contains("docs/ARCHITECTURE.md"));
    let Some(text) = text_of("docs/ARCHITECTURE.md") else {
        assert!(
            !expected,
            "README.md names docs/ARCHITECTURE.md, which is not there"
        );
        return;
    };
    let lines = text.lines().count();
    assert!(
        lines <= LONGEST_ARCHITECTURE,
        "{lines} lines, {LONGEST_ARCHITECTURE} at most"
    );
    let missing: Vec<String> = ARROWS
        .iter()
        .map(|(room, _)| format!("`{room}/`"))
        .filter(|room| !text.contains(room.as_str()) && !text.contains(&room.replace('/', "")))
        .collect();
    report("rooms that docs/ARCHITECTURE.md does not name", &missing);
}

#[test]
fn no_path_of_the_machine_it_was_built_on() {
    let needles: Vec<String> = [
        ["/ro", "ot/"],
        ["/ho", "me/"],
        ["/wo", "rk/"],
        ["/tmp/", "w/"],
        ["/tmp/", "wt/"],
        ["/Us", "ers/"],
    ]
    .iter()
    .map(|halves| halves.concat())
    .collect();
    let mut found = Vec::new();
    for path in files_under(&repository()) {
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        // Inside a guest it is the guest's own.
        let of_guest = ["tests/boards", "tests/package"]
            .iter()
            .any(|rig| path.starts_with(repository().join(rig)));
        for (number, line) in text.lines().enumerate() {
            let needles = &needles[usize::from(of_guest)..];
            if let Some(needle) = needles.iter().find(|needle| line.contains(needle.as_str())) {
                found.push(format!("{}:{}: {needle}", path.display(), number + 1));
            }
        }
    }
    report("paths of a machine", &found);
}

mod rules {
    //! The rules are held by code that could be wrong itself.
    use super::*;

    fn file(name: &str, text: &str) -> SourceFile {
        SourceFile::new(name, text)
    }

    #[test]
    fn sees_every_way_to_use_a_room() {
        let text = "use crate::domain::{A, B};\nuse crate::{store, bus::X};\nfn f() { crate::ocpp::g(); }\n\
                    use super::super::uplink::Y; // crate::cli\n/* crate::sim */ const S: &str = \"crate::site::Z\";\n";
        let used: Vec<(usize, String)> = file("src/ocpp/v16/keys.rs", text).rooms_used();
        let names: Vec<(usize, &str)> = used.iter().map(|(line, room)| (*line, room.as_str())).collect();
        assert_eq!(names, [(1, "domain"), (2, "store"), (2, "bus"), (3, "ocpp")]);
        let deep = file(
            "src/station/limits.rs",
            "use super::super::uplink::Y;\nuse super::machine::Z;\n",
        )
        .rooms_used();
        assert_eq!(deep, [(1, "uplink".to_owned())]);
    }

    #[test]
    fn does_not_read_comments_strings_and_tests() {
        let text = "// tokio\nfn f() -> &'static str { \"tokio\" }\nlet c = '\"'; // tokio\nlet r = r#\"tokio\"#;\n\
                    struct NotInstantly;\n#[cfg(test)]\nmod tests {\n    use tokio::time;\n}\n";
        let file = file("src/site/a.rs", text);
        assert!(file.lines_with("tokio").is_empty());
        assert!(file.lines_with("Instant").is_empty());
        assert_eq!(file.code_lines(), 5);
    }

    #[test]
    fn sees_every_way_to_start_a_program() {
        let lines = |text: &str| file("src/bus/a.rs", text).starts_programs();
        for text in [
            "use std::process::Command;",
            "use tokio::process::{Child, Command};",
            "fn f() { std::process::Command::new(x); }",
            "use std::process as p;",
            "use std::process::*;",
            "use std::os::unix::process::CommandExt;",
        ] {
            assert_eq!(lines(text), [1], "{text}");
        }
        for text in [
            "use std::process::ExitCode;",
            "use rustix::process::{Pid, Signal};",
            "use crate::domain::Command; // std::process::Command",
            "fn f() { process::exit(Command::Stop.code()) }",
        ] {
            assert!(lines(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn measures_functions() {
        let body = "    let x = 1;\n\n    // why\n".repeat(61);
        let text =
            format!("trait T {{ fn g(&self); }}\nfn short() {{}}\nfn long() -> [u8; 1] {{\n{body}}}\n");
        let lengths: Vec<(String, usize)> = file("src/site/a.rs", &text)
            .functions()
            .into_iter()
            .map(|(_, name, length)| (name, length))
            .collect();
        assert_eq!(lengths, [("short".to_owned(), 0), ("long".to_owned(), 61)]);
    }

    #[test]
    fn misses_no_witness() {
        assert_eq!(witness_missing("tests/tidy.rs::arrows_between_rooms"), None);
        assert!(witness_missing("tests/tidy.rs::no_such_test").is_some());
        assert!(witness_missing("tests/no_such_file.rs").is_some());
        let table = "| id | promise | shown by |\n|---|---|---|\n| D1 | x | `a`, `b` |\n| D2 | y | later |\n";
        let rows = column(table, "shown by");
        assert_eq!(rows.len(), 2);
        assert_eq!(quoted(&rows[0].1), ["a", "b"]);
        assert!(quoted(&rows[1].1).is_empty());
    }
}
