//! The simulated site: two charge points, three EVSEs on one fuse.

use crate::south::index_of;
use retrovolt::domain::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the fuse allows per phase: less than three chargers can draw.
pub const FUSE: MilliAmps = MilliAmps(20_000);
/// What each EVSE allows.
pub const EVSE_MAX: MilliAmps = MilliAmps(16_000);
/// Wall time at the begin: 2026-09-21T14:13:20Z.
pub const T0: i64 = 1_790_000_000_000;

/// Charge point, EVSE, charger, meter of its own.
pub const EVSES: [(&str, u16, &str, Option<&str>); 3] = [
    ("A", 1, "box-a", Some("meter-a")),
    ("B", 1, "box-b1", None),
    ("B", 2, "box-b2", Some("meter-b2")),
];

/// An EVSE of the site.
pub type Place = (CpId, EvseId);

/// Every EVSE.
pub fn places() -> Vec<Place> {
    let place = |(cp, evse, ..): &(&str, u16, &str, Option<&str>)| (CpId::new(*cp), EvseId(*evse));
    EVSES.iter().map(place).collect()
}

/// The charger of an EVSE, as its place among the devices.
pub fn charger_of((cp, evse): &Place) -> usize {
    let of =
        |(name, number, ..): &&(&str, u16, &str, Option<&str>)| *cp == CpId::new(*name) && evse.0 == *number;
    index_of(EVSES.iter().find(of).expect("an EVSE of the site").2)
}

fn evse((_, id, charger, meter): &(&str, u16, &str, Option<&str>), auth: &AuthMode) -> EvseSetup {
    EvseSetup {
        id: EvseId(*id),
        charger: DeviceId::new(*charger),
        meter: meter.map(DeviceId::new),
        reader: None,
        contacts: Vec::new(),
        phases: 3,
        first_phase: Phase::L1,
        max_current: EVSE_MAX,
        min_current: MilliAmps(6_000),
        dimmed_current: MilliAmps(6_000),
        nominal_voltage: 230,
        auth: auth.clone(),
        meter_stale_after: Duration::from_secs(15),
        has_lock: false,
        switches_phases: false,
    }
}

/// A charge point: `A` is free to all, `B` waits for the CSMS.
pub fn charge_point(name: &str) -> CpSetup {
    let auth = if name == "A" {
        AuthMode::Free(IdToken::new("FREE", TokenKind::Local))
    } else {
        AuthMode::Remote
    };
    let own = EVSES.iter().filter(|(cp, ..)| *cp == name);
    CpSetup {
        id: CpId::new(name),
        vendor: "Test".into(),
        model: "Test".into(),
        serial: None,
        evses: own.map(|row| evse(row, &auth)).collect(),
        csms: vec![csms()],
        keys: BTreeMap::from([("MeterValueSampleInterval".into(), "20".into())]),
        firmware: None,
        variables: BTreeMap::new(),
    }
}

/// The back end.
pub fn csms() -> CsmsSetup {
    CsmsSetup {
        name: "main".into(),
        url: "ws://localhost/".into(),
        secure_url: None,
        version: OcppVersion::V16,
        security: Security::None,
        reconnect_min: Duration::from_secs(1),
        reconnect_max: Duration::from_secs(4),
        message_timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(5),
        ping: Duration::ZERO,
        boot_retry: Duration::from_secs(5),
        tags: TagRule::default(),
    }
}

/// The fuse over all EVSEs.
pub fn fuse() -> FuseSetup {
    FuseSetup {
        name: "main".into(),
        max_current: FUSE,
        members: places(),
    }
}
