//! The real gateway: whatever it starts leaves its mark.

use crate::device::Library;
use crate::domain::*;
use crate::runtime::clock::SystemClock;
use crate::runtime::gateway::Gateway;
use crate::store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

pub(in crate::runtime) fn csms() -> CsmsSetup {
    CsmsSetup {
        name: "main".to_owned(),
        url: "ws://127.0.0.1:1/CP1".to_owned(),
        secure_url: None,
        version: OcppVersion::V16,
        security: Security::None,
        reconnect_min: Duration::from_secs(1),
        reconnect_max: Duration::from_secs(1),
        message_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        ping: Duration::ZERO,
        boot_retry: Duration::from_secs(1),
        tags: TagRule::default(),
    }
}

pub(super) fn site(dir: &std::path::Path) -> SiteSetup {
    let bus = BusSetup {
        id: BusId::new("line"),
        link: Link::Tcp {
            host: "127.0.0.1".to_owned(),
            port: 1,
        },
        protocol: Protocol::Modbus,
        framing: Framing::Tcp,
        min_gap: Duration::ZERO,
        timeout: Duration::from_secs(1),
        reopen_wait: Duration::from_secs(1),
        devices: Vec::new(),
    };
    let point = CpSetup {
        id: CpId::new("CP1"),
        vendor: String::new(),
        model: String::new(),
        serial: None,
        evses: Vec::new(),
        csms: vec![csms()],
        keys: BTreeMap::new(),
        variables: BTreeMap::new(),
        firmware: None,
    };
    SiteSetup {
        mqtt: None,
        buses: vec![bus],
        charge_points: vec![point],
        fuses: Vec::new(),
        sparkplug: None,
        state_dir: dir.to_owned(),
        session_records: 1_000,
        socket: dir.join("socket"),
        trust_dir: None,
        device_dir: None,
        page_url: None,
        inhibit_shutdown: Duration::ZERO,
        metrics: None,
        budgets: BTreeMap::new(),
    }
}

/// Every task of `gateway` is among those whose hang ends the leases (promise S6).
#[tokio::test]
async fn every_task_leaves_its_mark() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    let setup = site(dir.path());
    let clock = Arc::new(SystemClock::new(BootId(1), None, 0));
    let gateway = Gateway::start(setup, &Library::builtin(), clock, store, Some(1))
        .await
        .unwrap();
    let names: Vec<String> = gateway.vitals.marks().keys().cloned().collect();
    assert_eq!(
        names,
        [
            "CSMS link CP1/main",
            "bus line",
            "charge point CP1",
            "commands of CP1/main",
            "ledger",
            "main",
            "router",
            "shared fuses"
        ]
    );
    for name in names {
        let mut mark = gateway.vitals.marks()[&name].clone();
        let before = *mark.borrow_and_update();
        let turns = async {
            gateway.turn();
            mark.wait_for(|now| *now > before).await.map(|_| ())
        };
        if name != "main" {
            timeout(Duration::from_secs(10), turns)
                .await
                .expect("it turns")
                .expect("it runs");
        }
    }
    assert!(gateway.hung().is_empty());
    gateway.stop().await;
}
