use super::super::super::client::Incoming;
use super::super::super::picture::{Picture, Point, Reach};
use super::super::super::units::{At, Milli, Slug};
use super::*;
use crate::domain::{ClockQuality, Wall};
use std::sync::Arc;
use tokio::time::{Instant, advance};

const NOW_MS: i64 = 1_772_359_200_000;

fn now(mono_s: u64) -> Now {
    Now {
        mono: Mono(mono_s * 1000),
        wall: Wall {
            unix_ms: NOW_MS,
            quality: ClockQuality::Ntp,
        },
        ..Now::default()
    }
}

fn picture() -> Picture {
    let mut picture = Picture::blank();
    let point = Point {
        device: Arc::default(),
        reach: Reach {
            min_a: Milli(6_000),
            max_a: Milli(16_000),
            phases: 3,
            switches_phases: false,
            unlocks: false,
        },
        available: true,
        state: Default::default(),
        session: Default::default(),
        csms: Default::default(),
        totals: Default::default(),
    };
    picture.points.insert(Slug::of("garage"), point);
    picture
}

fn gate() -> Gatekeeper {
    let all = CommandRights {
        keys: Key::ALL.iter().map(|key| key.word().to_owned()).collect(),
        operations: OPERATIONS.iter().map(|&name| name.to_owned()).collect(),
        spacing: Duration::from_secs(1),
    };
    let few = CommandRights {
        keys: ["limit_a".to_owned()].into(),
        ..CommandRights::default()
    };
    Gatekeeper::new(BTreeMap::from([
        ("ha".to_owned(), all),
        ("scada".to_owned(), few),
    ]))
}

fn message(rest: &str, payload: &str) -> Incoming {
    Incoming {
        topic: format!("r/gw/{rest}"),
        payload: payload.as_bytes().to_vec().into(),
        retained: false,
        arrived: Instant::now(),
        expires_in: None,
    }
}

fn judge_at(gate: &mut Gatekeeper, at_s: u64, message: &Incoming) -> Heard {
    let now = now(at_s);
    gate.judge(now, message, &Topics::new("r", "gw"), &picture())
}

/// What one message comes to with a fresh gate.
fn judge(rest: &str, payload: &str) -> Heard {
    judge_at(&mut gate(), 0, &message(rest, payload))
}

fn ask(rest: &str, payload: &str) -> Result<Ask, String> {
    match judge(rest, payload) {
        Heard::Order(order, _) => Ok(order.ask),
        Heard::Rejected(_, reason) => Err(reason),
        other => Err(format!("{other:?}")),
    }
}

fn set(key: &str, payload: &str) -> Result<Ask, String> {
    ask(&format!("as/ha/cp/garage/{key}/set"), payload)
}

#[test]
fn values_are_taken_as_text_or_json_and_cleared_by_the_words_for_nothing() {
    let amps = |milli| Ok(Ask::Limit(Some(Milli(milli)), Until::Replaced));
    assert_eq!(set("limit_a", "16"), amps(16_000));
    assert_eq!(set("limit_a", " 7.5\n"), amps(7_500));
    assert_eq!(set("limit_a", "\"10\""), amps(10_000));
    assert_eq!(
        set("limit_a", r#"{"value": 10, "transaction": "t"}"#),
        amps(10_000)
    );
    assert_eq!(set("limit_a", "0"), amps(0));
    for clear in ["none", "null", "-", "\"\"", r#"{"value": null}"#] {
        assert_eq!(
            set("limit_a", clear),
            Ok(Ask::Limit(None, Until::Replaced)),
            "{clear}"
        );
        assert_eq!(set("enabled", clear), Ok(Ask::Enabled(None)), "{clear}");
    }
    for on in ["true", "ON", "on", "1", "\"On\"", r#"{"value":true}"#] {
        assert_eq!(set("enabled", on), Ok(Ask::Enabled(Some(true))), "{on}");
    }
    for off in ["false", "OFF", "0"] {
        assert_eq!(set("enabled", off), Ok(Ask::Enabled(Some(false))), "{off}");
    }
    assert_eq!(
        set("authorize", "04AABB"),
        Ok(Ask::Authorize("04AABB".to_owned()))
    );
    assert_eq!(set("reset", "PRESS"), Ok(Ask::Reset(ResetKind::OnIdle)));
    assert_eq!(set("reset", "soft"), Ok(Ask::Reset(ResetKind::Soft)));
}

#[test]
fn a_limit_may_end_by_itself() {
    let limit = |until| Ok(Ask::Limit(Some(Milli(10_000)), until));
    let ten_minutes = Until::For(Duration::from_secs(600));
    assert_eq!(set("limit_a", r#"{"value":10,"for_s":600}"#), limit(ten_minutes));
    let later = At(NOW_MS + 60_000);
    assert_eq!(
        set("limit_a", &format!(r#"{{"value":10,"until":"{later}"}}"#)),
        limit(Until::At(later.0))
    );
    for (payload, why) in [
        (r#"{"value":10,"for_s":0}"#, "for_s"),
        (r#"{"value":10,"for_s":-1}"#, "for_s"),
        (r#"{"value":10,"until":"2020-01-01T00:00:00Z"}"#, "over"),
        (r#"{"value":10,"until":"noon"}"#, "not a time"),
        (r#"{"value":10,"for_s":1,"until":"2030-01-01T00:00:00Z"}"#, "both"),
        (r#"{"value":10,"for":600}"#, "'for' has no meaning"),
    ] {
        let error = set("limit_a", payload).unwrap_err();
        assert!(error.contains(why), "{payload}: {error}");
    }
}

#[test]
fn what_device_and_installation_do_not_allow_is_rejected_with_the_reason() {
    for (key, payload, why) in [
        ("limit_a", "16.1", "more than the 16 A of the installation"),
        ("limit_a", "5.9", "less than the least current of 6 A"),
        ("limit_a", "-1", "less than"),
        ("limit_a", "1e3", "more than the 16 A of the installation"),
        ("limit_a", "NaN", "no number"),
        ("limit_a", "10.0001", "no number"),
        ("limit_a", "99999999999999999999", "no number"),
        ("limit_a", "[10]", "a list"),
        ("limit_a", "{\"value\":", "not well-formed JSON"),
        ("enabled", "maybe", "neither on nor off"),
        ("phases", "1", "cannot switch phases"),
        ("mode", "pv", "no choice"),
        ("priority", "1", "no choice"),
        ("departure", "07:00", "not planned"),
        ("unlock", "PRESS", "cannot be told to release"),
        ("reset", "now", "PRESS is expected"),
        ("authorize", &"A".repeat(37), "no token"),
        ("colour", "red", "there is no 'colour'"),
    ] {
        let error = set(key, payload).unwrap_err();
        assert!(error.contains(why), "{key} {payload}: {error}");
    }
    let error = ask("as/ha/cp/elsewhere/limit_a/set", "10").unwrap_err();
    assert!(error.contains("no charge point 'elsewhere'"), "{error}");
}

#[test]
fn one_phase_or_three_where_the_charger_can_switch() {
    let mut picture = picture();
    for point in picture.points.values_mut() {
        point.reach.switches_phases = true;
    }
    let told = |payload: &str| {
        let message = message("as/ha/cp/garage/phases/set", payload);
        let now = now(0);
        match gate().judge(now, &message, &Topics::new("r", "gw"), &picture) {
            Heard::Order(order, _) => Ok(order.ask),
            other => Err(format!("{other:?}")),
        }
    };
    assert_eq!(told("1"), Ok(Ask::Phases(Some(1))));
    assert_eq!(told("{\"value\": 3}"), Ok(Ask::Phases(Some(3))));
    assert_eq!(told("none"), Ok(Ask::Phases(None)));
    for wrong in ["2", "0", "1.5", "one"] {
        assert!(told(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn only_who_is_in_the_allow_list_gets_through_and_only_with_what_stands_there() {
    assert!(ask("as/scada/cp/garage/limit_a/set", "10").is_ok());
    let error = ask("as/scada/cp/garage/enabled/set", "0").unwrap_err();
    assert!(error.contains("may not send 'enabled'"), "{error}");
    let error = ask("as/mallory/cp/garage/limit_a/set", "10").unwrap_err();
    assert!(error.contains("may send no commands"), "{error}");
    let error = ask("as/scada/request/status", "{}").unwrap_err();
    assert!(error.contains("may not send 'status'"), "{error}");
}

#[test]
fn an_empty_payload_and_foreign_topics_mean_nothing() {
    assert_eq!(judge("as/ha/cp/garage/limit_a/set", ""), Heard::Nothing);
    for topic in [
        "status",
        "cp/garage/limit_a/set",
        "as/ha/cp/garage/limit_a",
        "as/ha/x",
    ] {
        assert_eq!(judge(topic, "10"), Heard::Nothing, "{topic}");
    }
    let mut elsewhere = message("x", "10");
    elsewhere.topic = "r/other/as/ha/cp/garage/limit_a/set".to_owned();
    assert_eq!(judge_at(&mut gate(), 0, &elsewhere), Heard::Nothing);
}

#[tokio::test(start_paused = true)]
async fn stored_expired_and_old_commands_are_rejected() {
    let reason =
        |message: &Incoming| match gate().judge(now(10), message, &Topics::new("r", "gw"), &picture()) {
            Heard::Rejected(_, reason) => reason,
            other => format!("{other:?}"),
        };
    let good = message("as/ha/cp/garage/limit_a/set", "10");
    let stored = Incoming {
        retained: true,
        ..good.clone()
    };
    assert!(reason(&stored).contains("stored by the broker"));
    let expired = Incoming {
        expires_in: Some(Duration::from_secs(5)),
        ..good
    };
    advance(Duration::from_millis(4_999)).await;
    assert!(reason(&expired).starts_with("Order"));
    advance(Duration::from_millis(1)).await;
    assert!(reason(&expired).contains("expired"));
    let dated = |offset_ms: i64| {
        let at = At(NOW_MS + offset_ms);
        message(
            "as/ha/cp/garage/limit_a/set",
            &format!(r#"{{"value":10,"ts":"{at}"}}"#),
        )
    };
    assert!(reason(&dated(-30_000)).starts_with("Order"));
    assert!(reason(&dated(30_000)).starts_with("Order"));
    assert!(reason(&dated(-31_000)).contains("31 s old"));
    assert!(reason(&dated(31_000)).contains("31 s ahead"));
    let odd = message("as/ha/cp/garage/limit_a/set", r#"{"value":10,"ts":5}"#);
    assert!(reason(&odd).contains("not a time"));
}

#[test]
fn commands_are_spaced_but_a_stop_never_waits() {
    let mut gate = gate();
    let mut at = |tenth: u64, key: &str, payload: &str| {
        let message = message(&format!("as/ha/cp/garage/{key}/set"), payload);
        let now = Now {
            mono: Mono(tenth * 100),
            ..now(0)
        };
        match gate.judge(now, &message, &Topics::new("r", "gw"), &picture()) {
            Heard::Order(..) => "order".to_owned(),
            Heard::Rejected(_, reason) => reason,
            other => format!("{other:?}"),
        }
    };
    assert_eq!(at(0, "limit_a", "10"), "order");
    assert!(at(9, "limit_a", "11").contains("too often; again in 1 s"));
    assert_eq!(at(10, "limit_a", "12"), "order");
    assert_eq!(at(11, "limit_a", "0"), "order", "a stop");
    assert!(
        at(12, "limit_a", "0").contains("too often"),
        "it has stopped already"
    );
    assert!(at(13, "limit_a", "10").contains("too often"));
    assert_eq!(at(14, "enabled", "on"), "order", "another key");
    assert_eq!(at(15, "enabled", "off"), "order", "a stop");
    assert!(at(16, "enabled", "on").contains("too often"));
}

#[test]
fn a_token_is_masked_in_what_goes_on_record_and_a_transaction_comes_back() {
    let Heard::Order(_, about) = judge(
        "as/ha/cp/garage/authorize/set",
        r#"{"value":"04AABB","transaction":7}"#,
    ) else {
        panic!("no order");
    };
    assert_eq!(about.asked, Some(Value::String("***".to_owned())));
    assert_eq!(about.transaction, Some(Value::from(7)));
    let long = format!(r#"{{"value":"10","transaction":"{}"}}"#, "x".repeat(65));
    let Heard::Order(_, about) = judge("as/ha/cp/garage/limit_a/set", &long) else {
        panic!("no order");
    };
    assert_eq!(about.transaction, None, "nobody makes us repeat a book");
}

#[test]
fn requests_are_answered_for_one_or_for_all() {
    assert!(matches!(judge("as/ha/request/status", "{}"), Heard::Request(name, None, _) if name == "status"));
    let one = judge("as/ha/request/sessions", r#"{"cp":"garage"}"#);
    assert!(matches!(one, Heard::Request(_, Some(point), _) if point.as_str() == "garage"));
    assert!(
        ask("as/ha/request/status", r#"{"cp":"nowhere"}"#)
            .unwrap_err()
            .contains("no charge point")
    );
    assert!(
        ask("as/ha/request/explode", "{}")
            .unwrap_err()
            .contains("there is no 'explode'")
    );
}
