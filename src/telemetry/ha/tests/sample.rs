//! A site with everything, and one of which nothing is known.

use crate::domain::HaForm;
use crate::telemetry::ha::{Messages, Rights, Seen, Settings};
use crate::telemetry::payload::*;
use crate::telemetry::picture::{Device, Meter, Picture, Point, Reach, Totals};
use crate::telemetry::units::{At, Milli, Slug};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const NOW: At = At(1_772_359_200_123);

/// As installed by somebody who allows everything.
pub(in crate::telemetry::ha) fn settings() -> Settings {
    let keys = [
        "enabled", "limit_a", "mode", "phases", "priority", "unlock", "reset",
    ];
    Settings {
        form: HaForm::Device,
        prefix: "homeassistant".into(),
        app: "retrovolt".into(),
        gateway: Slug::of("gw1"),
        refresh: Duration::from_secs(60),
        rights: Some(Rights {
            user: "homeassistant".into(),
            keys: keys.map(Into::into).into(),
        }),
    }
}

fn device(name: &str) -> Arc<Device> {
    Arc::new(Device {
        name: name.into(),
        vendor: Some("Heidelberg".into()),
        model: Some("Energy Control".into()),
        serial: Some("HE-0815".into()),
        firmware: Some("1.0.8".into()),
    })
}

fn three(a: i64, b: i64, c: i64) -> Phases {
    [a, b, c].map(|milli| Some(Milli(milli)))
}

/// The state of an EVSE of which nothing was heard.
pub(in crate::telemetry::ha) fn nothing() -> PointState {
    PointState {
        ts: NOW,
        seq: 0,
        status: None,
        connected: None,
        charging: false,
        enabled: false,
        fault: None,
        power_w: None,
        current_a: [None; 3],
        voltage_v: [None; 3],
        energy_import_wh: None,
        energy_export_wh: None,
        meter_epoch: 0,
        limit_a: None,
        limit_source: None,
        phases_active: None,
        phases_allowed: None,
        mode: None,
        priority: None,
        temperature_c: None,
        soc_pct: None,
        session_energy_wh: None,
        session_start: None,
        id_tag_hash: None,
    }
}

fn charging() -> PointState {
    PointState {
        seq: 7,
        status: Some(Status::Charging),
        connected: Some(true),
        charging: true,
        enabled: true,
        fault: Some("ground failure \"F1\" <'&'>".into()),
        power_w: Some(Milli(7_205_500)),
        current_a: three(10_400, 10_500, 10_450),
        voltage_v: three(230_100, 231_000, 229_900),
        energy_import_wh: Some(1_234_567),
        energy_export_wh: Some(12),
        meter_epoch: 1,
        limit_a: Some(Milli(10_500)),
        limit_source: Some("tx profile".into()),
        phases_active: Some(3),
        phases_allowed: Some(3),
        mode: Some("fast".into()),
        priority: Some(2),
        temperature_c: Some(Milli(31_500)),
        soc_pct: Some(Milli(64_000)),
        session_energy_wh: Some(3_200),
        session_start: Some(At(NOW.0 - 1_800_000)),
        id_tag_hash: Some("5f2c".into()),
        ..nothing()
    }
}

fn session() -> Session {
    Session {
        id: Some("tx-1".into()),
        started_at: Some(At(NOW.0 - 1_800_000)),
        ended_at: Some(NOW),
        energy_wh: Some(3_200),
        meter_start_wh: Some(1_231_367),
        meter_stop_wh: Some(1_234_567),
        duration_s: Some(1_800),
        reason: Some("ev_disconnected".into()),
        id_tag_hash: Some("5f2c".into()),
    }
}

fn csms() -> Csms {
    Csms {
        state: LinkState::Connected,
        protocol: Some("ocpp1.6".into()),
        since: Some(NOW),
        last_message_at: Some(NOW),
        queued: 2,
        last_error: Some("x".repeat(300)),
    }
}

fn bus() -> BusState {
    BusState {
        ts: NOW,
        open: true,
        requests: 1_000,
        ok: 990,
        timeouts: 5,
        crc_errors: 3,
        exceptions: 2,
        retries: 8,
        latency_ms: Latency {
            p50: Some(Milli(12_000)),
            p95: Some(Milli(40_500)),
            max: Some(Milli(300_000)),
        },
        utilisation_pct: Some(Milli(23_400)),
        devices_online: 1,
        devices_total: 2,
        last_error: Some("no answer within 1 s".into()),
    }
}

fn info() -> Info {
    Info {
        schema: SCHEMA,
        app: "retrovolt",
        version: "0.1.0",
        hardware: Some("Raspberry Pi 4".into()),
        os: Some("Debian 12".into()),
        started_at: At(NOW.0 - 7_200_000),
        url: Some("http://192.168.1.5:8080/".into()),
        charge_points: vec![Slug::of("garage"), Slug::of("yard")],
        meters: vec![Slug::of("house")],
        buses: vec![Slug::of("rs-485")],
    }
}

fn health() -> Health {
    Health {
        ts: NOW,
        uptime_s: 7_200,
        clock_synced: true,
        cpu_pct: Some(Milli(1_500)),
        rss_bytes: Some(12_345_678),
        disk_free_bytes: Some(9_876_543_210),
        temperature_c: Some(Milli(48_300)),
        throttled: Some(false),
        csms_connected: Some(true),
        queue: Queue {
            messages: 3,
            oldest_s: Some(12),
            dropped: 1,
        },
        budgets: vec![Budget {
            back_end: "garage/main".into(),
            month_bytes: 1_000,
            budget_bytes: 10_000,
            stage: "free",
        }],
        watchdog_ok: true,
    }
}

fn meter() -> Meter {
    Meter {
        device: device("house"),
        available: true,
        state: MeterState {
            ts: NOW,
            power_w: Some(Milli(-1_500_000)),
            current_a: three(-2_000, -2_100, -2_200),
            voltage_v: three(230_000, 231_000, 232_000),
            frequency_hz: Some(Milli(50_010)),
            energy_import_wh: Some(5_000_000),
            energy_export_wh: Some(2_000_000),
            meter_epoch: 0,
        },
    }
}

/// A charge point that can do everything, one that can do little, a meter, a bus.
pub(in crate::telemetry::ha) fn everything() -> Picture {
    let garage = Point {
        device: device("garage"),
        reach: Reach {
            min_a: Milli(6_000),
            max_a: Milli(16_000),
            phases: 3,
            switches_phases: true,
            unlocks: true,
        },
        available: true,
        state: charging(),
        session: session(),
        csms: csms(),
        totals: Totals::default(),
    };
    let yard = Point {
        device: Arc::new(Device::default()),
        reach: Reach {
            min_a: Milli(6_000),
            max_a: Milli(32_000),
            phases: 1,
            ..Reach::default()
        },
        available: true,
        state: PointState {
            current_a: [Some(Milli(0)), None, None],
            status: Some(Status::Available),
            connected: Some(false),
            enabled: true,
            limit_a: Some(Milli(0)),
            session_start: Some(NOW),
            session_energy_wh: Some(0),
            phases_active: Some(0),
            ..nothing()
        },
        session: Session::default(),
        csms: Csms::default(),
        totals: Totals::default(),
    };
    Picture {
        info: info(),
        health: health(),
        buses: [(Slug::of("rs-485"), bus())].into(),
        points: [(Slug::of("garage"), garage), (Slug::of("yard"), yard)].into(),
        meters: [(Slug::of("house"), meter())].into(),
        site: SiteState {
            ts: NOW,
            grid_power_w: Some(Milli(7_205_500)),
            limit_w: Some(Milli(22_000_000)),
            limit_source: Some("static".into()),
            headroom_a: three(21_600, 21_500, 21_550),
            active_constraint: Some("main".into()),
        },
    }
}

/// The same site before anything was heard.
pub(in crate::telemetry::ha) fn unknown() -> Picture {
    let mut picture = everything();
    for point in picture.points.values_mut() {
        point.state = nothing();
        point.session = Session::default();
        point.csms = Csms::default();
        point.available = false;
    }
    for meter in picture.meters.values_mut() {
        meter.state = MeterState::default();
    }
    for bus in picture.buses.values_mut() {
        *bus = BusState::default();
    }
    picture.health = Health::default();
    picture.site = SiteState::default();
    picture.info.hardware = None;
    picture.info.os = None;
    picture.info.url = None;
    picture
}

/// Discovery messages for a picture, of which everything was seen that the site with everything has.
pub(in crate::telemetry::ha) fn messages(picture: &Picture, settings: &Settings) -> Messages {
    let mut seen = Seen::default();
    seen.look(&everything());
    crate::telemetry::ha::messages(picture, settings, &seen)
}

/// Every topic the messages read, with what it carries.
pub(in crate::telemetry::ha) fn values(picture: &Picture, settings: &Settings) -> BTreeMap<String, Value> {
    let online = |yes| json!(if yes { "online" } else { "offline" });
    let mut all = vec![
        ("status".to_owned(), online(true)),
        ("info".to_owned(), json!(picture.info)),
        ("health".to_owned(), json!(picture.health)),
        ("site/state".to_owned(), json!(picture.site)),
    ];
    for (id, bus) in &picture.buses {
        all.push((format!("bus/{id}/state"), json!(bus)));
    }
    for (id, point) in &picture.points {
        let tag = json!({ "event_type": "tag", "ts": NOW, "seq": 8, "id_tag_hash": "5f2c" });
        all.extend([
            (format!("cp/{id}/availability"), online(point.available)),
            (format!("cp/{id}/state"), json!(point.state)),
            (format!("cp/{id}/session"), json!(point.session)),
            (format!("cp/{id}/csms"), json!(point.csms)),
            (format!("cp/{id}/event/tag"), tag),
        ]);
    }
    for (id, meter) in &picture.meters {
        all.push((format!("meter/{id}/availability"), online(meter.available)));
        all.push((format!("meter/{id}/state"), json!(meter.state)));
    }
    all.into_iter()
        .map(|(below, value)| (settings.topic(&below), value))
        .collect()
}
