//! The ledger reaches the CSMS in order and once, and a store that hangs stops nothing else.

use crate::rig::{CP, Door, Plan, Rig, ask, say};
use retrovolt::domain::*;
use retrovolt::sim::csms::{Csms, Loss};
use retrovolt::uplink::{FromUplink, ToUplink};
use serde_json::json;
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(20);

fn stamp(second: u64) -> Stamp {
    Stamp {
        boot: BootId(1),
        mono: Mono(second * 1000),
        wall: Wall {
            unix_ms: 1_790_000_000_000 + i64::try_from(second).expect("small") * 1000,
            quality: ClockQuality::Ntp,
        },
    }
}

/// Puts transactions of three rows each behind what is there.
fn charge(rig: &Rig, transactions: u64) -> u64 {
    let mut rows = rig.shelf.rows.lock().unwrap();
    for _ in 0..transactions {
        let n = rows.len() as u64;
        let tx = TxId::new(format!("tx{n}"));
        let wh = i64::try_from(n).expect("small") * 1_000_000;
        let point = SamplePoint {
            quantity: Quantity::EnergyImport,
            phase: Phase::Total,
            milli: wh,
            quality: Quality::Good,
        };
        let began = Event::Began(Begin {
            tx: tx.clone(),
            evse: EvseId(1),
            token: Some(IdToken::new("CARD1", TokenKind::Local)),
            group: None,
            meter: MilliWattHours(wh),
            quality: Quality::Good,
            trigger: TxTrigger::Authorized,
            charging_state: ChargingState::EVConnected,
            remote_start_id: None,
            reservation_id: None,
            offline: false,
        });
        let sampled = Event::Sampled {
            offline: false,
            beside: None,
            tx: Some(tx.clone()),
            tx_seq: 1,
            evse: Some(EvseId(1)),
            context: SampleContext::Periodic,
            points: vec![point],
            charging_state: None,
        };
        let ended = Event::Ended(End {
            tx,
            tx_seq: 2,
            evse: EvseId(1),
            token: None,
            meter: MilliWattHours(wh + 500_000),
            quality: Quality::Good,
            reason: StopReason::Local,
            data: Vec::new(),
            energy: MilliWattHours(500_000),
            offline: false,
        });
        for event in [began, sampled, ended] {
            let seq = rows.len() as u64 + 1;
            rows.push(Row {
                seq,
                cp: CpId::new(CP),
                at: stamp(seq),
                event,
            });
        }
    }
    rows.len() as u64
}

#[tokio::test]
async fn rows_arrive_in_order_and_once_through_cuts_lost_answers_and_refused_writes() {
    let csms = Csms::start().await.expect("a port");
    let mut rig = Plan::to(csms.url(CP)).start();
    rig.online(true).await;
    let mut last = 0;
    for round in 0..6 {
        let mark = csms.mark();
        *rig.shelf.refusals.lock().unwrap() = 2;
        last = charge(&rig, 10);
        rig.tell(ToUplink::LedgerGrew).await;
        let lost = ["StartTransaction", "MeterValues", "StopTransaction"][round % 3];
        csms.lose_answer(lost, Loss::Cut);
        csms.wait_call(mark, BOUND, CP, "StopTransaction")
            .await
            .expect("a stop");
        rig.listen();
        csms.cut();
    }
    rig.shelf.cursor_reaches(last).await;
    let verdict = csms.verdict();
    assert!(verdict.is_clean(), "{verdict:?}");
    assert_eq!((verdict.begun, verdict.ended, verdict.events), (60, 60, last));
    assert!(verdict.open.is_empty());
    assert!(verdict.repeats_excused > 0, "answers were lost: {verdict:?}");
    rig.stop().await;
}

#[tokio::test]
async fn a_restarted_uplink_goes_on_behind_its_cursor() {
    let csms = Csms::start().await.expect("a port");
    let mut rig = Plan::to(csms.url(CP)).start();
    let last = charge(&rig, 5);
    rig.online(true).await;
    rig.shelf.cursor_reaches(last).await;
    let shelf = rig.shelf.clone();
    rig.stop().await;
    let mut plan = Plan::to(csms.url(CP));
    plan.shelf = shelf;
    let mut rig = plan.start();
    let last = charge(&rig, 5);
    rig.online(true).await;
    rig.shelf.cursor_reaches(last).await;
    let verdict = csms.verdict();
    assert!(verdict.is_clean(), "{verdict:?}");
    assert_eq!(
        (verdict.begun, verdict.events, verdict.repeats_excused),
        (10, last, 0)
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_remote_stop_gets_through_while_the_store_hangs() {
    let csms = Csms::start().await.expect("a port");
    let mut plan = Plan::to(csms.url(CP));
    plan.restored = vec![("tx/running".to_owned(), "7".to_owned())];
    plan.shelf.alive.send_replace(false);
    let shelf = plan.shelf.clone();
    let mut rig = plan.start();
    rig.online(true).await;
    // A setting whose commit hangs, as the reading of rows does.
    let setting = json!({"key": "HeartbeatInterval", "value": "77"});
    let stop = async {
        let (id, command) = rig.command().await;
        let Command::RemoteStop { tx } = command else {
            panic!("{command:?}")
        };
        assert_eq!(tx, TxId::new("running"));
        let outcome = Outcome::Simple(Accepted::Yes);
        rig.tell(ToUplink::Answer { id, outcome }).await;
    };
    let mark = csms.mark();
    let set = csms.call(CP, "ChangeConfiguration", setting);
    let asked = async {
        let sent = |frame: &retrovolt::sim::csms::Frame| matches!(&frame.kind, retrovolt::sim::csms::Kind::Call { action, .. } if action == "ChangeConfiguration");
        csms.wait(mark, BOUND, sent)
            .await
            .expect("the setting on its way");
        let answer = csms
            .call(CP, "RemoteStopTransaction", json!({"transactionId": 7}))
            .await;
        assert_eq!(answer, Ok(json!({"status": "Accepted"})));
        shelf.alive.send_replace(true);
    };
    let (set, (), ()) = tokio::join!(set, asked, stop);
    assert_eq!(
        set,
        Ok(json!({"status": "Accepted"})),
        "the setting is answered once it is durable"
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_station_without_room_loses_no_command_and_does_not_stop_the_connection() {
    let door = Door::open().await;
    let mut plan = Plan::to(door.url());
    plan.room = 1;
    let mut rig = plan.start();
    let mut socket = door.serve().await;
    for n in 0..10 {
        let request = json!({"connectorId": 1, "idTag": format!("TAG{n}")});
        say(
            &mut socket,
            &json!([2, format!("start{n}"), "RemoteStartTransaction", request]),
        )
        .await;
    }
    // The connection lives although nobody takes the commands.
    let keys = ask(
        &mut socket,
        "keys",
        "GetConfiguration",
        json!({"key": ["HeartbeatInterval"]}),
    )
    .await;
    assert!(keys["configurationKey"].is_array(), "{keys}");
    for n in 0..10 {
        let (_, command) = rig.command().await;
        let Command::RemoteStart(start) = command else {
            panic!("{command:?}")
        };
        assert_eq!(start.token.text, format!("TAG{n}"));
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_token_is_asked_about_and_when_the_csms_is_away_the_answer_says_so() {
    let csms = Csms::start().await.expect("a port");
    csms.set_token("BAD", "Blocked");
    let mut rig = Plan::to(csms.url(CP)).start();
    rig.online(true).await;
    let question = |request, text: &str| ToUplink::Authorize {
        request,
        evse: EvseId(1),
        token: IdToken::new(text, TokenKind::Local),
    };
    let verdict = |message| match message {
        FromUplink::Authorized { request, result } => Some((request, result.map(|info| info.status))),
        _ => None,
    };
    rig.tell(question(1, "GOOD")).await;
    assert_eq!(
        rig.heard("a verdict", verdict).await,
        (1, Some(AuthStatus::Accepted))
    );
    rig.tell(question(2, "BAD")).await;
    assert_eq!(
        rig.heard("a verdict", verdict).await,
        (2, Some(AuthStatus::Blocked))
    );
    csms.lose_answer("Authorize", Loss::Cut);
    rig.tell(question(3, "GOOD")).await;
    assert_eq!(rig.heard("a verdict", verdict).await, (3, None));
    rig.stop().await;
}
