//! Sessions as a table, as comma-separated values, and the verdict on their journal.

use super::print::{csv_line, kwh, plain, second, time, wh};
use crate::store::{Checked, Session};

/// The columns of [`sessions_csv`].
const COLUMNS: [&str; 18] = [
    "record",
    "charge_point",
    "evse",
    "transaction",
    "begin",
    "begin_is_sure",
    "end",
    "end_is_sure",
    "meter_start_wh",
    "meter_stop_wh",
    "energy_wh",
    "reason",
    "token",
    "meter",
    "meter_profile",
    "meter_model",
    "meter_serial",
    "flags",
];

/// For a person on a terminal.
pub(super) fn sessions(all: &[Session]) -> String {
    let mut out = format!(
        "{:>6}  {:<20}  {:<21}  {:<21}  {:>10}  {:<14}  {:<8}  {}\n",
        "record", "charge point", "begin", "end", "kWh", "reason", "token", "notes"
    );
    let unsure = |sure: bool| if sure { "" } else { "?" };
    for session in all {
        let begin = session.begin_ms.map_or_else(
            || "-".to_owned(),
            |ms| second(ms) + unsure(session.begin_is_sure()),
        );
        let end = second(session.end_ms) + unsure(session.end_is_sure());
        let token = session.token.as_deref().and_then(|token| token.get(..8));
        let line = format!(
            "{:>6}  {:<20}  {begin:<21}  {end:<21}  {:>10}  {:<14}  {:<8}  {}",
            session.n,
            format!("{}/{}", session.cp, session.evse),
            kwh(session.energy_mwh),
            session.reason,
            token.unwrap_or("-"),
            session.flags.join(" "),
        );
        out.push_str(plain(line.trim_end()).as_str());
        out.push('\n');
    }
    let total = all.iter().map(|session| session.energy_mwh).sum();
    let count = all.len();
    let noun = if count == 1 { "session" } else { "sessions" };
    out + &format!("{count} {noun}, {} kWh\n", kwh(total))
}

/// For another program.
pub(super) fn sessions_csv(all: &[Session]) -> String {
    let mut out = csv_line(&COLUMNS.map(str::to_owned));
    for session in all {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        out.push_str(&csv_line(&[
            session.n.to_string(),
            session.cp.clone(),
            session.evse.to_string(),
            session.tx.clone(),
            session.begin_ms.map(time).unwrap_or_default(),
            session.begin_is_sure().to_string(),
            time(session.end_ms),
            session.end_is_sure().to_string(),
            wh(session.meter_start_mwh),
            wh(session.meter_stop_mwh),
            wh(session.energy_mwh),
            session.reason.clone(),
            text(&session.token),
            text(&session.meter),
            text(&session.meter_profile),
            text(&session.meter_model),
            text(&session.meter_serial),
            session.flags.join(" "),
        ]));
    }
    out
}

/// What a check came to; faults are told apart.
pub(super) fn verdict(checked: &Checked) -> String {
    let mut out = format!(
        "{} records, {} sessions among them\n",
        checked.records, checked.sessions
    );
    for key in &checked.keys {
        let since = key
            .since
            .map_or_else(|| "the begin".to_owned(), |n| format!("record {n}"));
        out.push_str(&format!("key {} from {since} on\n", key.id));
    }
    if let Some(head) = &checked.head {
        out.push_str(&format!("head {head}\n"));
    }
    if checked.faults.is_empty() {
        out.push_str("each record is as it was written\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::JournalKey;

    fn session(n: i64) -> Session {
        Session {
            n,
            cp: "CP-1".to_owned(),
            evse: 1,
            tx: "tx".to_owned(),
            row: 7,
            begin_ms: (n != 3).then_some(1_767_225_600_000),
            begin_clock: (n != 3).then(|| "ntp".to_owned()),
            end_ms: 1_767_229_200_500,
            end_clock: "restored".to_owned(),
            meter_start_mwh: 1_000_001,
            meter_stop_mwh: 12_345_679,
            energy_mwh: 11_345_678,
            reason: "Local".to_owned(),
            token: Some("0123456789abcdef".to_owned()),
            meter: Some("meter".to_owned()),
            meter_profile: Some("eastron-sdm630".to_owned()),
            meter_model: Some("SDM\u{1b}[2J, \"630\"".to_owned()),
            meter_serial: None,
            flags: vec!["end_clock_untrusted".to_owned(), "resumed".to_owned()],
            begin_corrected: false,
            end_corrected: n == 2,
        }
    }

    #[test]
    fn a_person_sees_sessions_with_their_sum() {
        let told = sessions(&[session(2), session(3)]);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(
            lines[1],
            "     2  CP-1/1                2026-01-01T00:00:00Z   2026-01-01T01:00:00Z       11.345  Local           \
             01234567  end_clock_untrusted resumed"
        );
        assert!(lines[2].contains("  -  "), "an unknown begin: {}", lines[2]);
        assert!(lines[2].contains("2026-01-01T01:00:00Z? "), "{}", lines[2]);
        assert_eq!(lines[3], "2 sessions, 22.691 kWh");
        assert!(sessions(&[]).ends_with("0 sessions, 0.000 kWh\n"));
    }

    #[test]
    fn a_program_gets_every_figure_exactly() {
        let told = sessions_csv(&[session(2)]);
        let lines: Vec<&str> = told.split("\r\n").collect();
        assert_eq!(lines[0].split(',').count(), COLUMNS.len());
        assert_eq!(
            lines[1],
            "2,CP-1,1,tx,2026-01-01T00:00:00.000Z,true,2026-01-01T01:00:00.500Z,true,1000.001,12345.679,11345.678,\
             Local,0123456789abcdef,meter,eastron-sdm630,\"SDM\u{1b}[2J, \"\"630\"\"\",,end_clock_untrusted resumed"
        );
        assert_eq!(lines[2], "");
    }

    #[test]
    fn the_verdict_names_keys_and_head() {
        let key = |id: &str, since| JournalKey {
            id: id.to_owned(),
            public_key: String::new(),
            since,
        };
        let checked = Checked {
            records: 3,
            sessions: 1,
            head: Some("3:ab".to_owned()),
            keys: vec![key("a", None), key("b", Some(2))],
            faults: Vec::new(),
        };
        assert_eq!(
            verdict(&checked),
            "3 records, 1 sessions among them\nkey a from the begin on\nkey b from record 2 on\nhead 3:ab\n\
             each record is as it was written\n"
        );
    }
}
