//! Journal and acknowledgements side by side.

use super::print::{csv_line, kwh, plain, second, time, wh};
use crate::runtime::exit;
use crate::store::{Reconciled, Standing};
use std::collections::BTreeMap;

const COLUMNS: [&str; 12] = [
    "record",
    "charge_point",
    "transaction",
    "end",
    "back_end",
    "standing",
    "csms_transaction",
    "energy_wh",
    "sent_start_wh",
    "sent_stop_wh",
    "sent_energy_wh",
    "detail",
];

/// How many stand how.
pub(super) fn counts(all: &[Reconciled]) -> BTreeMap<Standing, usize> {
    let mut counts = BTreeMap::new();
    for one in all {
        *counts.entry(one.standing).or_default() += 1;
    }
    counts
}

/// 0: nothing to do; 75: something waits; 76: somebody has to look.
pub(super) fn exit_code(all: &[Reconciled]) -> u8 {
    if all.iter().any(|one| one.standing.is_difference()) {
        exit::PROTOCOL
    } else if all.iter().any(|one| one.standing == Standing::Waiting) {
        exit::TEMPORARY
    } else {
        0
    }
}

/// For a person on a terminal.
pub(super) fn table(all: &[Reconciled]) -> String {
    let mut out = format!(
        "{:>6}  {:<20}  {:<20}  {:<18}  {:>10}  {:>10}  {:>10}  {}\n",
        "record", "end", "back end", "standing", "at CSMS", "kWh", "sent kWh", "notes"
    );
    for one in all {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let line = format!(
            "{:>6}  {:<20}  {:<20}  {:<18}  {:>10}  {:>10}  {:>10}  {}",
            or_dash(one.n.map(|n| n.to_string())),
            or_dash(one.end_ms.map(second)),
            or_dash(one.reader.clone().or_else(|| one.cp.clone())),
            one.standing.words(),
            or_dash(one.number.map(|number| number.to_string())),
            or_dash(one.energy_mwh.map(kwh)),
            or_dash(one.sent_energy_mwh.map(kwh)),
            one.detail.as_deref().unwrap_or_default(),
        );
        out.push_str(&plain(line.trim_end()));
        out.push('\n');
    }
    let counts = counts(all).into_iter();
    let told: Vec<String> = counts
        .map(|(standing, count)| format!("{count} {}", standing.words()))
        .collect();
    if told.is_empty() {
        out.push_str("no session has ended yet\n");
    } else {
        out.push_str(&(told.join(", ") + "\n"));
    }
    out
}

/// For another program.
pub(super) fn csv(all: &[Reconciled]) -> String {
    let mut out = csv_line(&COLUMNS.map(str::to_owned));
    for one in all {
        let standing = serde_json::to_value(one.standing).unwrap_or_default();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let number = |number: Option<i64>| number.map(|n| n.to_string()).unwrap_or_default();
        let energy = |mwh: Option<i64>| mwh.map(wh).unwrap_or_default();
        out.push_str(&csv_line(&[
            number(one.n),
            text(&one.cp),
            one.tx.clone(),
            one.end_ms.map(time).unwrap_or_default(),
            text(&one.reader),
            standing.as_str().unwrap_or_default().to_owned(),
            number(one.number),
            energy(one.energy_mwh),
            energy(one.sent_start_mwh),
            energy(one.sent_stop_mwh),
            energy(one.sent_energy_mwh),
            text(&one.detail),
        ]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(standing: Standing) -> Reconciled {
        Reconciled {
            n: Some(4),
            cp: Some("CP-1".to_owned()),
            tx: "tx".to_owned(),
            end_ms: Some(1_767_229_200_500),
            reader: Some("CP-1/main".to_owned()),
            standing,
            number: Some(17),
            energy_mwh: Some(11_345_678),
            sent_start_mwh: Some(1_000_000),
            sent_stop_mwh: Some(12_345_000),
            sent_energy_mwh: Some(11_345_000),
            detail: None,
        }
    }

    #[test]
    fn the_worst_decides_how_it_ends() {
        let of = |all: &[Standing]| exit_code(&all.iter().map(|s| one(*s)).collect::<Vec<_>>());
        assert_eq!(of(&[]), 0);
        assert_eq!(
            of(&[Standing::Acknowledged, Standing::NotForIt, Standing::Left]),
            0
        );
        assert_eq!(of(&[Standing::Waiting, Standing::Acknowledged]), 75);
        for bad in [
            Standing::Refused,
            Standing::Differs,
            Standing::NotInJournal,
            Standing::Unexplained,
        ] {
            assert_eq!(of(&[Standing::Waiting, bad]), 76);
        }
    }

    #[test]
    fn what_was_sent_stands_beside_the_journal() {
        let all = [one(Standing::Acknowledged), one(Standing::Differs)];
        let told = table(&all);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(
            lines[1],
            "     4  2026-01-01T01:00:00Z  CP-1/main             acknowledged                17      11.345      11.345"
        );
        assert_eq!(lines[3], "1 acknowledged, 1 DIFFERS");
        let told = csv(&all);
        assert!(told.ends_with(
            "4,CP-1,tx,2026-01-01T01:00:00.500Z,CP-1/main,differs,17,11345.678,1000.000,12345.000,11345.000,\r\n"
        ));
    }
}
