//! retrovolt.toml(5), made from the declarations in `keys` as the reference is.

use super::convert::expectation;
use super::document::default;
use super::keys::ROOT;
use super::setting::{Key, Table};
use roff::{Roff, bold, roman};

/// How the file is read and how values are written: what no single key tells.
const GROUND: &[&str] = &[
    "The file is in TOML. `retrovolt check-config` tells every mistake at once, each with its line, what was expected and \
     the nearest valid thing. A service with a mistake in its configuration starts in safe mode and waits for a reload.",
    "Values come, low to high, from the defaults below, the main file, conf.d/*.toml beside it in the order of their names \
     (tables merge, single values and lists are replaced), and the environment: RETROVOLT__GATEWAY__LOG_LEVEL=debug sets \
     gateway.log_level. Elements of a list are named by their number from 0.",
    "A time, current or voltage carries its unit: \"500ms\", \"1h\", \"16A\", \"230V\". A plain number is taken where the \
     name of the key ends in the unit: poll_ms = 500. A relative path starts from the folder of the file it is written in.",
    "A password is better kept in a file of its own (password_file, mode 0600) or in a systemd credential \
     (password_credential) than in this file.",
];

/// The manual page; `source` names program and version in its foot.
#[must_use]
pub fn manual(source: &str) -> String {
    let mut page = Roff::new();
    page.control("TH", ["RETROVOLT.TOML", "5", "", source, "Retrovolt"]);
    page.control("SH", ["NAME"]);
    page.text([roman("retrovolt.toml - configuration of the Retrovolt gateway")]);
    page.control("SH", ["SYNOPSIS"]);
    page.text([roman(
        "/etc/retrovolt/retrovolt.toml, /etc/retrovolt/conf.d/*.toml",
    )]);
    page.control("SH", ["DESCRIPTION"]);
    for words in GROUND {
        page.control("PP", []);
        page.text([roman(*words)]);
    }
    page.control("SH", ["SETTINGS"]);
    for table in ROOT.tables {
        describe(table, &mut page);
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([roman("retrovolt(1), retrovolt-check-config(1), systemd.exec(5)")]);
    page.render()
}

fn describe(table: &Table, page: &mut Roff) {
    page.control("SS", [table.header().as_str()]);
    page.text([roman(table.help.trim())]);
    for key in table.keys {
        page.control("TP", []);
        page.text([bold(key.name)]);
        page.text([roman(format!(
            "{} Takes {}; {}.",
            key.help,
            expectation(key.kind),
            otherwise(key)
        ))]);
    }
    for inner in table.tables {
        describe(inner, page);
    }
}

fn otherwise(key: &Key) -> String {
    let words = default(key).replace(['`', '*'], "");
    match words.as_str() {
        "required" => words,
        _ => format!("default: {words}"),
    }
}
