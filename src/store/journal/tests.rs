use super::check::{Expected, check};
use super::reconcile::reconcile;
use super::*;
use crate::domain::{
    ClockQuality, CpId, DeviceId, End, Event, EvseId, IdToken, MeterIdentity, MilliWattHours, Mono, NewRow,
    Quality, ReaderId, Receipt, ReceiptAnswer, ReceiptPart, SessionFlag, StopReason, TokenKind, TxId, Wall,
};
use crate::store::ledger::{self, ReaderRow};
use crate::store::schema;
use proptest::prelude::*;
use std::collections::BTreeSet;

const NEW_YEAR: i64 = 1_767_225_600_000;

fn keys(seed: u8) -> Keys {
    Keys::of(&[seed; 32], &[9; 32]).unwrap()
}

fn stamp(boot: u32, mono: u64, quality: ClockQuality) -> Stamp {
    Stamp {
        boot: BootId(boot),
        mono: Mono(mono),
        wall: Wall {
            unix_ms: NEW_YEAR + i64::try_from(mono).unwrap(),
            quality,
        },
    }
}

fn session(tx: &str) -> SessionRecord {
    SessionRecord {
        cp: CpId::new("CP-1"),
        evse: EvseId(1),
        tx: TxId::new(tx),
        begun: Some(stamp(2, 1_000, ClockQuality::Ntp)),
        ended: stamp(2, 61_000, ClockQuality::Ntp),
        ran: std::time::Duration::from_secs(60),
        meter_start: MilliWattHours(5_000_001),
        meter_stop: MilliWattHours(12_345_678),
        meter_raw: MilliWattHours(12_345_678),
        reason: StopReason::EVDisconnected,
        token: Some(IdToken::new("04A1", TokenKind::Iso14443)),
        meter: Some(MeterIdentity {
            device: DeviceId::new("meter"),
            profile: Some("eastron-sdm630".to_owned()),
            model: None,
            serial: Some("Ω\" \\ \u{1}\u{7f}".to_owned()),
        }),
        flags: BTreeSet::from([SessionFlag::Resumed, SessionFlag::BeginOffline]),
    }
}

fn empty() -> Connection {
    let mut db = Connection::open_in_memory().unwrap();
    schema::migrate(&mut db, schema::STEPS).unwrap();
    db
}

/// A journal of `count` sessions behind its opening.
fn filled(count: u64) -> (Connection, Chain) {
    let db = empty();
    let keys = keys(1);
    let mut chain = open(&db, &keys, Opening::New, 0).unwrap();
    for n in 1..=count {
        append(&db, &mut chain, &keys, &session(&format!("tx-{n}")), n * 10).unwrap();
    }
    (db, chain)
}

fn checked(db: &Connection) -> Checked {
    check(db, &Expected::default(), drop).unwrap()
}

fn faults(db: &Connection) -> Vec<JournalFault> {
    checked(db).faults
}

/// The record that is named first.
fn named(db: &Connection) -> Option<i64> {
    faults(db).first().map(|fault| match fault {
        JournalFault::Altered(n)
        | JournalFault::Missing(n)
        | JournalFault::ForeignKey(n)
        | JournalFault::OtherHead(n)
        | JournalFault::HeadPruned(n) => *n,
    })
}

fn bodies(db: &Connection) -> Vec<String> {
    let mut bodies = Vec::new();
    check(db, &Expected::default(), |record| bodies.push(record.text)).unwrap();
    bodies
}

#[test]
fn a_record_says_what_the_documentation_says_byte_for_byte() {
    let (db, _) = filled(1);
    let bodies = bodies(&db);
    let id = keys(1).id;
    let opened = format!(
        "{{\"key\":\"{id}\",\"kind\":\"opened\",\"n\":1,\"prev\":\"{}\",\"public_key\":\"{}\",\"row\":0,\"v\":1,\"why\":\"new\"}}",
        "0".repeat(64),
        hex(&keys(1).public.0),
    );
    assert_eq!(bodies[0], opened);
    let token = keys(1).token(&IdToken::new("04a1", TokenKind::Local));
    assert_eq!(
        bodies[1],
        format!(
            "{{\"begin_clock\":\"ntp\",\"begin_ms\":1767225601000,\"begin_run\":2,\"begin_run_ms\":1000,\"cp\":\"CP-1\",\
             \"end_clock\":\"ntp\",\"end_ms\":1767225661000,\"end_run\":2,\"end_run_ms\":61000,\"energy_mwh\":7345677,\
             \"evse\":1,\"flags\":[\"begin_offline\",\"resumed\"],\"key\":\"{id}\",\"kind\":\"session\",\"meter\":\"meter\",\
             \"meter_model\":null,\"meter_profile\":\"eastron-sdm630\",\"meter_raw_mwh\":12345678,\
             \"meter_serial\":\"Ω\\\" \\\\ \\u0001\u{7f}\",\"meter_start_mwh\":5000001,\"meter_stop_mwh\":12345678,\"n\":2,\
             \"prev\":\"{}\",\"reason\":\"EVDisconnected\",\"row\":10,\"token\":\"{token}\",\"token_kind\":\"iso14443\",\
             \"tx\":\"tx-1\",\"v\":1}}",
            hex(&hash(&opened)),
        )
    );
    let checked = checked(&db);
    assert_eq!((checked.records, checked.sessions), (2, 1));
    assert_eq!(checked.head, Some(format!("2:{}", hex(&hash(&bodies[1])))));
    assert_eq!(checked.faults, []);
    assert!(!bodies[1].contains("04A1"), "the token itself is nowhere");
}

#[test]
fn the_words_of_flags_are_those_the_station_stores() {
    for flag in [
        SessionFlag::BeginUnknown,
        SessionFlag::RegisterJumped,
        SessionFlag::EndUnseen,
    ] {
        assert_eq!(serde_json::to_value(flag).unwrap(), flag.word());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_flipped_bit_of_any_record_is_found_and_the_record_named(
        n in 1..=6_i64, place in 0..10_000_usize, bit in 0..8_u32, column in 0..3_usize,
    ) {
        let (db, _) = filled(5);
        let column = ["body", "signature", "kind"][column];
        let old: Vec<u8> = db
            .query_row(&format!("SELECT CAST({column} AS BLOB) FROM sessions WHERE n = ?1"), [n], |r| r.get(0))
            .unwrap();
        let mut new = old.clone();
        let place = place % new.len();
        new[place] ^= 1 << bit;
        let kept = if column == "signature" { "?2" } else { "CAST(?2 AS TEXT)" };
        db.execute(&format!("UPDATE sessions SET {column} = {kept} WHERE n = ?1"), (n, &new)).unwrap();
        prop_assert_eq!(named(&db), Some(n), "{} byte {} bit {}", column, place, bit);
        db.execute(&format!("UPDATE sessions SET {column} = {kept} WHERE n = ?1"), (n, &old)).unwrap();
        prop_assert_eq!(named(&db), None);
    }

    #[test]
    fn a_removed_moved_or_added_record_is_found_and_its_place_named(
        from in 1..=6_i64, to in 1..=6_i64,
    ) {
        let (db, _) = filled(5);
        db.execute("DELETE FROM sessions WHERE n = ?1", [from]).unwrap();
        prop_assert_eq!(&faults(&db)[0], &JournalFault::Missing(from));

        let (db, _) = filled(5);
        for (old, new) in [(from, 99), (to, from), (99, to)] {
            db.execute("UPDATE sessions SET n = ?2 WHERE n = ?1", (old, new)).unwrap();
        }
        prop_assert_eq!(named(&db), (from != to).then_some(from.min(to)));

        let (db, _) = filled(5);
        db.execute(
            "INSERT INTO sessions SELECT 7, kind, body, signature FROM sessions WHERE n = ?1", [from],
        ).unwrap();
        prop_assert_eq!(faults(&db), vec![JournalFault::Altered(7)]);
        db.execute("UPDATE sessions SET n = 0 WHERE n = 7", []).unwrap();
        prop_assert_eq!(faults(&db), vec![JournalFault::Altered(0)]);
    }
}

#[test]
fn records_cut_off_the_end_leave_a_gap_for_ever() {
    let (db, chain) = filled(3);
    db.execute("DELETE FROM sessions WHERE n >= 3", []).unwrap();
    assert_eq!(faults(&db), [JournalFault::Missing(3)]);
    let mut again = open(&db, &keys(1), Opening::New, 0).unwrap();
    assert_eq!(again.last, chain.last, "numbers are not used again");
    append(&db, &mut again, &keys(1), &session("later"), 90).unwrap();
    assert_eq!(faults(&db), [JournalFault::Missing(3)]);
    // Whoever also sets the counter back is found by a head that was noted elsewhere.
    let (db, _) = filled(3);
    let head = checked(&db).head.unwrap();
    let (n, hash) = head.split_once(':').unwrap();
    db.execute("DELETE FROM sessions WHERE n >= 3", []).unwrap();
    set_meta(&db, LAST, 2).unwrap();
    assert_eq!(faults(&db), []);
    let expected = Expected {
        head: Some((n.parse().unwrap(), hash.to_owned())),
        ..Expected::default()
    };
    let found = check(&db, &expected, drop).unwrap().faults;
    assert_eq!(found, [JournalFault::Missing(3)]);
    let (db, _) = filled(3);
    assert_eq!(check(&db, &expected, drop).unwrap().faults, []);
    let expected = Expected {
        head: Some((4, "00".repeat(32))),
        ..Expected::default()
    };
    let found = check(&db, &expected, drop).unwrap().faults;
    assert_eq!(found, [JournalFault::OtherHead(4)]);
}

#[test]
fn a_chain_made_anew_without_the_key_is_found_by_whoever_kept_the_public_one() {
    let expected = Expected {
        trusted: vec![keys(1).public],
        ..Expected::default()
    };
    let (db, _) = filled(2);
    assert_eq!(check(&db, &expected, drop).unwrap().faults, []);
    let forged = empty();
    let mut chain = open(&forged, &keys(2), Opening::New, 0).unwrap();
    append(&forged, &mut chain, &keys(2), &session("cheap"), 1).unwrap();
    assert_eq!(faults(&forged), [], "it hangs together");
    assert_eq!(
        check(&forged, &expected, drop).unwrap().faults,
        [JournalFault::ForeignKey(1), JournalFault::ForeignKey(2)]
    );
}

#[test]
fn a_key_that_was_lost_is_told_in_the_chain() {
    let (db, _) = filled(2);
    let mut chain = open(&db, &keys(2), Opening::New, 70).unwrap();
    append(&db, &mut chain, &keys(2), &session("later"), 80).unwrap();
    let checked = checked(&db);
    assert_eq!(checked.faults, []);
    let since: Vec<_> = checked
        .keys
        .iter()
        .map(|key| (key.id.as_str(), key.since))
        .collect();
    assert_eq!(
        since,
        [(keys(1).id.as_str(), Some(1)), (keys(2).id.as_str(), Some(4))]
    );
    assert!(bodies(&db)[3].contains("\"why\":\"another_key\""));
}

#[test]
fn a_time_that_is_known_later_is_a_record_of_its_own() {
    let (db, mut chain) = filled(1);
    db.execute("INSERT INTO boots(boot, epoch_ms) VALUES(7, NULL)", [])
        .unwrap();
    let blind = SessionRecord {
        begun: Some(stamp(7, 5_000, ClockQuality::Unset)),
        ended: stamp(7, 65_000, ClockQuality::Restored),
        ..session("blind")
    };
    append(&db, &mut chain, &keys(1), &blind, 20).unwrap();
    let before = bodies(&db);
    corrected(&db, &mut chain, &keys(1), BootId(7), 1_800_000_000_000).unwrap();
    corrected(&db, &mut chain, &keys(1), BootId(7), 1_800_000_000_777).unwrap();
    let after = bodies(&db);
    assert_eq!(after[..3], before[..], "nothing that was written is altered");
    assert_eq!(after.len(), 4, "and it is corrected once");
    assert!(
        after[3].starts_with("{\"begin_ms\":1800000005000,\"end_ms\":1800000065000,\"key\":")
            && after[3].contains("\"of\":3,"),
        "{}",
        after[3]
    );
    // A session that ends once the time is known has only its begin corrected, at once.
    let half = SessionRecord {
        begun: Some(stamp(7, 70_000, ClockQuality::Unset)),
        ..session("half")
    };
    append(&db, &mut chain, &keys(1), &half, 30).unwrap();
    assert!(bodies(&db)[5].contains("\"begin_ms\":1800000070777,\"end_ms\":null"));
    let mut seen = Vec::new();
    let checked = check(&db, &Expected::default(), |record| seen.extend(record.session)).unwrap();
    assert_eq!(checked.faults, []);
    let blind = &seen[1];
    assert_eq!(
        (blind.begin_ms, blind.end_ms),
        (Some(1_800_000_005_000), 1_800_000_065_000)
    );
    assert!(blind.begin_is_sure() && blind.end_is_sure());
    assert_eq!(seen[2].begin_ms, Some(1_800_000_070_777));
    let left: i64 = db
        .query_row("SELECT count(*) FROM session_times", [], |r| r.get(0))
        .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn the_oldest_records_go_with_their_receipts_and_the_rest_stays_provable() {
    let (db, mut chain) = filled(0);
    chain.keep(100);
    for n in 1..=250 {
        let tx = format!("tx-{n}");
        append(&db, &mut chain, &keys(1), &session(&tx), n * 10).unwrap();
        receipts::put(
            &db,
            &receipt(&tx, ReceiptPart::End, n * 10, ReceiptAnswer::NotForIt, None),
        )
        .unwrap();
    }
    let checked = checked(&db);
    assert_eq!(checked.faults, []);
    assert!((100..=106).contains(&checked.records), "{}", checked.records);
    assert_eq!(checked.keys.len(), 1, "the key is still told");
    assert_eq!(checked.keys[0].since, None);
    let receipts: i64 = db
        .query_row("SELECT count(*) FROM receipts", [], |r| r.get(0))
        .unwrap();
    assert_eq!(u64::try_from(receipts).unwrap(), checked.sessions);
    let again = open(&db, &keys(1), Opening::New, 0).unwrap();
    assert_eq!(
        (again.first, again.last, again.hash),
        (chain.first, chain.last, chain.hash)
    );

    let first: i64 = db
        .query_row("SELECT min(n) FROM sessions", [], |r| r.get(0))
        .unwrap();
    let (gone_n, gone_hash) = (first - 1, "ab".repeat(32));
    let old = Expected {
        head: Some((5, gone_hash)),
        ..Expected::default()
    };
    assert_eq!(
        check(&db, &old, drop).unwrap().faults,
        [JournalFault::HeadPruned(5)]
    );
    // More than was said is gone, or less.
    db.execute("DELETE FROM sessions WHERE n = ?1", [first]).unwrap();
    assert_eq!(faults(&db), [JournalFault::Missing(first)]);
    db.execute(
        "INSERT INTO sessions SELECT ?1, kind, body, signature FROM sessions WHERE n = ?2",
        (gone_n, first + 1),
    )
    .unwrap();
    assert_eq!(named(&db), Some(gone_n));
}

#[test]
fn a_journal_that_was_tampered_with_holds_no_session_up() {
    let (db, mut chain) = filled(0);
    chain.keep(10);
    for n in 1..=8 {
        append(&db, &mut chain, &keys(1), &session(&format!("tx-{n}")), n).unwrap();
    }
    db.execute("UPDATE sessions SET body = CAST(x'ff00' AS TEXT)", [])
        .unwrap();
    db.execute("INSERT INTO sessions VALUES(10, 'session', '{}', x'00')", [])
        .unwrap();
    assert_eq!(named(&db), Some(1));
    let mut chain = open(&db, &keys(1), Opening::New, 0).unwrap();
    chain.keep(10);
    for n in 9..=40 {
        append(&db, &mut chain, &keys(1), &session(&format!("tx-{n}")), n).unwrap();
    }
    let mut seen = Vec::new();
    let checked = check(&db, &Expected::default(), |record| seen.extend(record.session)).unwrap();
    assert_eq!(seen.last().map(|s| s.tx.as_str()), Some("tx-40"));
    assert_eq!(
        checked.faults,
        [],
        "what was tampered with has gone with the oldest"
    );
}

fn receipt(tx: &str, part: ReceiptPart, row: u64, answer: ReceiptAnswer, register: Option<i64>) -> Receipt {
    Receipt {
        reader: ReaderId::new("CP-1/main"),
        tx: TxId::new(tx),
        part,
        row,
        answer,
        register: register.map(MilliWattHours),
    }
}

fn put_reader(db: &Connection, name: &str, cp: &str, cursor: u64) {
    let row = ReaderRow {
        reader: ReaderId::new(name),
        cp: CpId::new(cp),
        cursor,
    };
    ledger::put_reader(db, &row).unwrap();
}

/// Both ends acknowledged, with these registers.
fn acknowledge(db: &Connection, tx: &str, row: u64, start: i64, stop: i64) {
    let number = Some(17);
    let begin = receipt(
        tx,
        ReceiptPart::Begin,
        row - 5,
        ReceiptAnswer::Accepted { number },
        Some(start),
    );
    let end = receipt(
        tx,
        ReceiptPart::End,
        row,
        ReceiptAnswer::Accepted { number: None },
        Some(stop),
    );
    receipts::put(db, &begin).unwrap();
    receipts::put(db, &end).unwrap();
}

fn standings(db: &Connection) -> Vec<(String, Option<String>, Standing)> {
    let (_, found) = reconcile(db, |_| true).unwrap();
    found
        .into_iter()
        .map(|one| (one.tx, one.reader, one.standing))
        .collect()
}

fn stands(tx: &str, standing: Standing) -> (String, Option<String>, Standing) {
    (tx.to_owned(), Some("CP-1/main".to_owned()), standing)
}

#[test]
fn each_session_is_held_against_what_its_csms_acknowledged() {
    let (db, _) = filled(8);
    put_reader(&db, "CP-1/main", "CP-1", 75);
    put_reader(&db, "CP-2/main", "CP-2", 0);
    set_meta(&db, "since/CP-1/main", 15).unwrap();
    acknowledge(&db, "tx-2", 20, 5_000_000, 12_345_000);
    acknowledge(&db, "tx-3", 30, 5_000_000, 12_344_000);
    let refused = ReceiptAnswer::GivenUp {
        code: "InternalError".to_owned(),
    };
    acknowledge(&db, "tx-4", 40, 5_000_000, 12_345_000);
    let begin = receipt("tx-4", ReceiptPart::Begin, 35, refused.clone(), Some(5_000_000));
    receipts::put(&db, &begin).unwrap();
    receipts::put(
        &db,
        &receipt("tx-5", ReceiptPart::End, 50, ReceiptAnswer::NotForIt, None),
    )
    .unwrap();
    receipts::put(&db, &receipt("tx-6", ReceiptPart::End, 60, refused, None)).unwrap();
    assert_eq!(
        standings(&db),
        [
            stands("tx-1", Standing::BeforeItsTime),
            stands("tx-2", Standing::Acknowledged),
            stands("tx-3", Standing::Differs),
            stands("tx-4", Standing::Refused),
            stands("tx-5", Standing::NotForIt),
            stands("tx-6", Standing::Refused),
            stands("tx-7", Standing::Unexplained),
            stands("tx-8", Standing::Waiting),
        ]
    );
    let (_, found) = reconcile(&db, |session| session.tx == "tx-2").unwrap();
    let told = &found[0];
    assert_eq!((told.number, told.n), (Some(17), Some(3)));
    assert_eq!(
        (told.energy_mwh, told.sent_energy_mwh),
        (Some(7_345_677), Some(7_345_000))
    );
    let (_, found) = reconcile(&db, |session| session.tx == "tx-4").unwrap();
    assert_eq!(
        found[0].detail.as_deref(),
        Some("begin given up, last answer InternalError")
    );
    ledger::drop_reader(&db, &ReaderId::new("CP-1/main")).unwrap();
    receipts::put(
        &db,
        &receipt(
            "tx-8",
            ReceiptPart::Begin,
            79,
            ReceiptAnswer::Accepted { number: None },
            None,
        ),
    )
    .unwrap();
    assert_eq!(standings(&db).last(), Some(&stands("tx-8", Standing::Left)));
}

#[test]
fn what_was_told_and_is_not_in_the_journal_is_found() {
    let (db, _) = filled(1);
    acknowledge(&db, "ghost", 500, 0, 0);
    let ended = |tx: &str| NewRow {
        cp: CpId::new("CP-1"),
        at: stamp(2, 1, ClockQuality::Ntp),
        event: Event::Ended(End {
            tx: TxId::new(tx),
            tx_seq: 1,
            evse: EvseId(1),
            token: None,
            meter: MilliWattHours(0),
            quality: Quality::Good,
            reason: StopReason::Local,
            data: Vec::new(),
            energy: MilliWattHours(0),
            offline: false,
        }),
    };
    ledger::insert(&db, 600, &ended("untold")).unwrap();
    let strange: Vec<_> = standings(&db)
        .into_iter()
        .filter(|(.., standing)| *standing == Standing::NotInJournal)
        .collect();
    assert_eq!(
        strange,
        [
            stands("ghost", Standing::NotInJournal),
            ("untold".to_owned(), None, Standing::NotInJournal)
        ]
    );
    // What ended before there was a journal is nobody's fault.
    let old = empty();
    open(&old, &keys(1), Opening::New, 700).unwrap();
    ledger::insert(&old, 600, &ended("old")).unwrap();
    acknowledge(&old, "older", 500, 0, 0);
    assert_eq!(standings(&old), []);
}
