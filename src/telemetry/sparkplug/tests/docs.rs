//! `docs/sparkplug.md` has the metrics that are published; `UPDATE_DOCS=1` writes them there.
#![allow(clippy::disallowed_methods, reason = "reads a page")]

use super::super::row::Row;
use super::super::table::{BUS, HEALTH, INFO, METER, POINT, SITE};
use std::fmt::Write;

const BEGIN: &str = "<!-- metrics: written by a test -->\n";
const END: &str = "<!-- end of metrics -->";

fn rows<S>(text: &mut String, prefix: &str, rows: &[Row<S>]) {
    for row in rows {
        let unit = row.unit.unwrap_or("");
        let band = match (row.band.milli, row.band.pct) {
            (0, _) => "any change".to_owned(),
            (milli, 0) => format!("{} {unit}", f64::from(i32::try_from(milli).unwrap()) / 1000.0),
            (milli, pct) => format!("{} {unit} or {pct} %", milli / 1000),
        };
        let write = if row.writable { "yes" } else { "" };
        let (kind, help) = (row.kind, row.help);
        writeln!(
            text,
            "| `{prefix}{}` | {kind:?} | {unit} | {band} | {write} | {help} |",
            row.name
        )
        .unwrap();
    }
}

fn metrics() -> String {
    let head = |title: &str| {
        format!(
            "\n### {title}\n\n| metric | type | unit | told at | writable | what |\n|---|---|---|---|---|---|\n"
        )
    };
    let mut all = head("A charge point");
    rows(&mut all, "", POINT);
    all += &head("A meter");
    rows(&mut all, "", METER);
    all += &head("The node: the gateway itself");
    rows(&mut all, "", INFO);
    rows(&mut all, "", HEALTH);
    rows(&mut all, "", SITE);
    rows(&mut all, "Bus/BUS/", BUS);
    all.push('\n');
    all
}

#[test]
fn the_page_has_every_metric() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sparkplug.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}{}{END}{after}", metrics());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, wanted).unwrap();
    } else {
        assert!(
            page == wanted,
            "docs/sparkplug.md is behind; write it with UPDATE_DOCS=1"
        );
    }
}
