//! Two made-up chargers and a meter: one fed by any request with everything in one register, one fed by a write
//! with a switch, a slow settle and five seconds between writes.

use crate::device::{
    About, Action, Cadence, Condition, Decimal, Dimension, FactFormat, Feed, Kind, Layout, Limits,
    LinkDefaults, Order, Point, PointId, Profile, Raw, ReadFc, Recipes, Role, StateMap, StateRule, StepSpec,
    Test, ValueSpec, ValueType, Watchdog, WriteFcs, WriteSpec,
};
use crate::domain::{DeviceFact, MilliAmps, Phase, Quality, Quantity, VehicleState};
use std::sync::Arc;
use std::time::Duration;

pub(super) const VERSION: u16 = 4;
pub(super) const STATE: u16 = 5;
pub(super) const CURRENT: u16 = 6;
pub(super) const ENERGY: u16 = 17;
pub(super) const TIMEOUT: u16 = 257;
pub(super) const STANDBY: u16 = 258;
pub(super) const LIMIT: u16 = 261;
pub(super) const FALLBACK: u16 = 262;
pub(super) const SWITCH: u16 = 300;
pub(super) const LOCK: u16 = 301;

fn point(name: &str, addr: u16, role: Role, cadence: Cadence) -> Point {
    Point {
        name: name.into(),
        fc: Some(ReadFc::HoldingRegisters),
        addr,
        connector_offset: 0,
        layout: Layout {
            kind: ValueType::U16,
            width: 1,
            words: Order::Big,
            bytes: Order::Big,
        },
        mask: None,
        to_milli: Decimal::new(1, 3),
        offset_milli: 0,
        dimension: Dimension::Plain,
        absolute: false,
        na: Vec::new(),
        polled: role != Role::Helper,
        role,
        cadence,
        when: Vec::new(),
        write: None,
        wear: false,
        allowed: Vec::new(),
        forbidden: Vec::new(),
        off: None,
        lookup: Vec::new(),
    }
}

fn writable(point: Point, dimension: Dimension, to_milli: Decimal) -> Point {
    Point {
        write: Some(WriteFcs {
            single: true,
            multi: true,
        }),
        dimension,
        to_milli,
        ..point
    }
}

fn tenths(point: Point) -> Point {
    let point = writable(point, Dimension::Current, Decimal::new(1, 2));
    Point {
        allowed: vec![(0, 0), (60, 160)],
        off: Some(0),
        ..point
    }
}

fn write(point: u16, value: ValueSpec, verify: bool, settle_ms: u64) -> StepSpec {
    let point = PointId(point);
    let write = WriteSpec {
        point,
        value,
        verify: verify.then_some(point),
        tolerance: 0,
        settle: Duration::from_millis(settle_ms),
        unless_equal: false,
        when_paused: false,
        after_write: false,
    };
    StepSpec {
        action: Action::Write(write),
        when: Vec::new(),
    }
}

fn link(write_gap_ms: u64) -> LinkDefaults {
    LinkDefaults {
        serial: None,
        tcp_port: Some(502),
        unit: 1,
        timeout: Duration::from_millis(500),
        min_gap: Duration::from_millis(20),
        write_gap: Duration::from_millis(write_gap_ms),
        poll: Duration::from_secs(1),
        slow_poll: Duration::from_secs(10),
        max_read_regs: 30,
        max_read_bits: 100,
        join: true,
        read_holes: false,
        no_read: Vec::new(),
    }
}

fn state_map() -> StateMap {
    let rule = |raw, state| StateRule {
        raw: vec![Raw::Int(raw)],
        when: Vec::new(),
        state,
    };
    StateMap {
        point: PointId(1),
        rules: vec![
            rule(2, VehicleState::Absent),
            rule(4, VehicleState::Connected),
            rule(7, VehicleState::Charging),
        ],
        otherwise: VehicleState::Unavailable,
    }
}

fn points() -> Vec<Point> {
    let reading = |quantity| Role::Reading {
        quantity,
        phase: Phase::Total,
        quality: Quality::Good,
    };
    vec![
        point(
            "version",
            VERSION,
            Role::Fact(DeviceFact::MapVersion, FactFormat::Plain),
            Cadence::Once,
        ),
        point("state", STATE, Role::Status, Cadence::Fast),
        point("current", CURRENT, reading(Quantity::Current), Cadence::Fast),
        point("energy", ENERGY, reading(Quantity::EnergyImport), Cadence::Slow),
        writable(
            point("timeout", TIMEOUT, Role::Helper, Cadence::Slow),
            Dimension::Time,
            Decimal::ONE,
        ),
        writable(
            point("standby", STANDBY, Role::Helper, Cadence::Slow),
            Dimension::Plain,
            Decimal::ONE,
        ),
        tenths(point("limit", LIMIT, Role::LimitReadBack, Cadence::Slow)),
        tenths(point("fallback", FALLBACK, Role::Helper, Cadence::Slow)),
        writable(
            point("switch", SWITCH, Role::Helper, Cadence::Slow),
            Dimension::Plain,
            Decimal::ONE,
        ),
        writable(
            point("lock", LOCK, Role::Helper, Cadence::Slow),
            Dimension::Plain,
            Decimal::ONE,
        ),
    ]
}

fn watchdog(feed: Feed) -> Watchdog {
    Watchdog {
        timeout: Duration::from_secs(15),
        min_timeout: Duration::from_secs(1),
        max_timeout: Duration::from_secs(60),
        failsafe: MilliAmps::from_base(6),
        fallback_safe: true,
        fallback: "falls to its fallback current".into(),
        persistent: false,
        feed,
    }
}

fn profile(
    points: Vec<Point>,
    recipes: Recipes,
    watchdog: Option<Watchdog>,
    write_gap_ms: u64,
) -> Arc<Profile> {
    Arc::new(Profile {
        id: "made-up".into(),
        kind: Kind::Charger,
        about: About::default(),
        link: link(write_gap_ms),
        points,
        state: Some(state_map()),
        limits: Some(Limits {
            min: MilliAmps::from_base(6),
            max: MilliAmps::from_base(16),
            step: MilliAmps::ZERO,
        }),
        recipes,
        watchdog,
        identify: None,
    })
}

/// Fed by any request; the limit is also the pause; standby can be switched off from map version 2.
pub(super) fn any_fed() -> Arc<Profile> {
    let mut standby = write(5, ValueSpec::Constant(4), true, 0);
    standby.when = vec![Condition {
        point: PointId(0),
        mask: None,
        test: Test::Within(Some(2.0), None),
    }];
    let recipes = Recipes {
        limit: vec![write(6, ValueSpec::Limit, true, 2_000)],
        unlock: vec![write(9, ValueSpec::Constant(1), false, 500)],
        arm: vec![
            standby,
            write(4, ValueSpec::Timeout, true, 0),
            write(7, ValueSpec::Failsafe, true, 0),
        ],
        ..Recipes::default()
    };
    profile(points(), recipes, Some(watchdog(Feed::AnyRequest)), 0)
}

/// Fed by writing the time-out; pauses by a switch; at least five seconds between two writes.
pub(super) fn write_fed() -> Arc<Profile> {
    let mut resume = write(8, ValueSpec::Constant(1), true, 1_000);
    if let Action::Write(write) = &mut resume.action {
        write.when_paused = true;
    }
    let recipes = Recipes {
        limit: vec![write(6, ValueSpec::Limit, true, 1_000), resume],
        pause: vec![write(8, ValueSpec::Constant(0), true, 1_000)],
        enable: vec![write(8, ValueSpec::Constant(1), true, 1_000)],
        disable: vec![write(8, ValueSpec::Constant(0), true, 1_000)],
        arm: vec![write(4, ValueSpec::Timeout, true, 1_000)],
        ..Recipes::default()
    };
    let feed = Feed::Steps(vec![write(4, ValueSpec::Timeout, false, 0)]);
    profile(points(), recipes, Some(watchdog(feed)), 5_000)
}

/// No watchdog, and nothing polled that would show the limit.
pub(super) fn bare() -> Arc<Profile> {
    let mut points = points();
    points.retain(|point| point.name != "version");
    points
        .iter_mut()
        .filter(|point| point.name == "limit")
        .for_each(|point| point.polled = false);
    let limit = points
        .iter()
        .position(|point| point.name == "limit")
        .expect("it is there");
    let limit = u16::try_from(limit).expect("few points");
    let recipes = Recipes {
        limit: vec![write(limit, ValueSpec::Limit, true, 2_000)],
        ..Recipes::default()
    };
    let charger = profile(points, recipes, None, 0);
    let state = Some(StateMap {
        point: PointId(0),
        ..state_map()
    });
    Arc::new(Profile {
        state,
        ..(*charger).clone()
    })
}

/// What the devices hold when they have just been switched on.
pub(super) const POWER_ON: [(u16, u16); 10] = [
    (VERSION, 2),
    (STATE, 2),
    (CURRENT, 0),
    (ENERGY, 1234),
    (TIMEOUT, 60_000),
    (STANDBY, 0),
    (LIMIT, 160),
    (FALLBACK, 0),
    (SWITCH, 0),
    (LOCK, 0),
];
