//! One story: fate strikes for some minutes, then everything is well again and everybody drives away.

use crate::house::{Happening, House};
use crate::process::Process;
use crate::south::LINES;
use retrovolt::domain::{CpId, Event, MilliAmps, MilliWattHours};
use retrovolt::sim::{Ev, EvSpec};
use serde_json::json;
use std::fmt;

/// Fate strikes until then, milliseconds.
const STORM: u64 = 300_000;
/// Everything must be told this long after it (T3).
const CALM: u64 = 120_000;
const CHARGERS: [&str; 3] = ["box-a", "box-b1", "box-b2"];

/// What came of it.
#[derive(Debug, Default)]
pub struct Told {
    /// Line by line.
    pub log: String,
    /// Sessions.
    pub begun: u64,
    /// Kills of the process.
    pub kills: u64,
    /// Messages repeated after a lost answer.
    pub repeats: u64,
    /// Commands that offered current.
    pub judged: u64,
    /// Most that was ever offered together.
    pub most: MilliAmps,
}

impl Told {
    /// Adds figures, not logs.
    pub fn add(&mut self, other: &Self) {
        self.begun += other.begun;
        self.kills += other.kills;
        self.repeats += other.repeats;
        self.judged += other.judged;
        self.most = self.most.max(other.most);
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sessions, {} kills, {} repeats after lost answers, {} commands judged, {} at most together",
            self.begun, self.kills, self.repeats, self.judged, self.most
        )
    }
}

/// Tells the story of a seed.
pub fn tell(seed: u64) -> Told {
    let mut house = House::new(seed);
    let mut kills = 0;
    house.start();
    house.later(1_000, Happening::Fate);
    while let Some(what) = house.step(STORM) {
        match what {
            Happening::Fate => {
                kills += strike(&mut house);
                let wait = 300 + house.rng.below(6_000);
                house.later(wait, Happening::Fate);
            }
            other => recover(&mut house, &other),
        }
    }
    heal(&mut house);
    let end = STORM + CALM;
    while let Some(what) = house.step(end) {
        recover(&mut house, &what);
    }
    check(seed, &house);
    let begun = house
        .csms
        .points
        .values()
        .flat_map(|p| &p.told)
        .filter(|t| t.what == "begin")
        .count();
    Told {
        begun: begun as u64,
        kills,
        repeats: house.csms.points.values().map(|p| p.repeats).sum(),
        judged: house.account.judged,
        most: house.account.most,
        log: std::mem::take(&mut house.log),
    }
}

fn recover(house: &mut House, what: &Happening) {
    match what {
        Happening::Start => house.start(),
        Happening::PortBack { line } => house.port_back(*line),
        _ => {}
    }
}

/// One stroke; how many kills it was.
fn strike(house: &mut House) -> u64 {
    let name = CHARGERS[pick(house, 3)];
    match house.rng.below(22) {
        0..=3 => plug(house, name),
        4 if house.rng.below(2) == 0 => {
            house.note(format_args!("{name} is unplugged"));
            house.device(name).body.ev = None;
        }
        5 => {
            let asks = house.rng.below(3) > 0;
            house.device(name).body.ev.iter_mut().for_each(|ev| ev.ask(asks));
        }
        6 => {
            let silent = ["box-a", "meter-a", "box-b1", "box-b2", "meter-b2"][pick(house, 5)];
            house.note(format_args!("{silent} falls silent or speaks again"));
            let device = house.device(silent);
            device.silent = !device.silent;
        }
        7 => house.faults.lost_permille = [0, 0, 20, 200][pick(house, 4)],
        8 => {
            let line = pick(house, LINES as u64);
            if !house.faults.no_port[line] {
                house.port_lost(line);
                let wait = 500 + house.rng.below(20_000);
                house.later(wait, Happening::PortBack { line });
            }
        }
        9 | 10 => link(house),
        11 => house.csms.swallow = 1 + house.rng.below(3),
        12 => house.csms.delay = [0, 0, 200, 2_000][pick(house, 4)],
        13 => house.faults.disk_hangs_until = house.now + house.rng.below(15_000),
        14 => return kill(house),
        15..=17 => remote_start(house),
        18 => remote_stop(house),
        19 | 20 => limit(house),
        _ => {
            let cp = CpId::new(if house.rng.below(2) == 0 { "A" } else { "B" });
            house.ask(&cp, "ClearChargingProfile", &json!({}));
        }
    }
    0
}

fn pick(house: &mut House, of: u64) -> usize {
    usize::try_from(house.rng.below(of)).expect("small")
}

fn plug(house: &mut House, name: &str) {
    if house.device(name).body.ev.is_some() {
        return;
    }
    let spec = EvSpec {
        phases: if house.rng.below(3) == 0 { 1 } else { 3 },
        stored: MilliWattHours::from_base(20_000 + i64::try_from(house.rng.below(39_900)).expect("small")),
        ..EvSpec::default()
    };
    house.note(format_args!("{name} is plugged in"));
    house.device(name).body.ev = Some(Ev::new(spec));
}

fn link(house: &mut House) {
    house.csms.reachable = house.rng.below(3) > 0;
    for cp in ["A", "B"] {
        if house.rng.below(2) == 0 {
            house.cut(&CpId::new(cp));
        }
    }
    house.settle();
}

fn kill(house: &mut House) -> u64 {
    if house.process.is_none() {
        return 0;
    }
    if house.rng.below(4) == 0 {
        house.leave();
    }
    house.kill();
    let wait = 200 + house.rng.below(8_000);
    house.later(wait, Happening::Start);
    1
}

fn remote_start(house: &mut House) {
    let connector = 1 + house.rng.below(2);
    let payload = json!({ "connectorId": connector, "idTag": "APP" });
    house.ask(&CpId::new("B"), "RemoteStartTransaction", &payload);
}

fn remote_stop(house: &mut House) {
    let cp = CpId::new(if house.rng.below(2) == 0 { "A" } else { "B" });
    let skip = house.rng.below(4);
    if let Some(tx) = house.csms.open(&cp, skip) {
        house.ask(&cp, "RemoteStopTransaction", &json!({ "transactionId": tx }));
    }
}

fn limit(house: &mut House) {
    let (cp, evses) = if house.rng.below(2) == 0 {
        ("A", 1)
    } else {
        ("B", 2)
    };
    let (purpose, connector) = if house.rng.below(2) == 0 {
        ("ChargePointMaxProfile", 0)
    } else {
        ("TxDefaultProfile", house.rng.below(evses + 1))
    };
    let amps = 5 + house.rng.below(12);
    let level = house.rng.below(2);
    let schedule =
        json!({ "chargingRateUnit": "A", "chargingSchedulePeriod": [{ "startPeriod": 0, "limit": amps }] });
    let profile = json!({
        "chargingProfileId": 1 + house.rng.below(6), "stackLevel": level, "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative", "chargingSchedule": schedule,
    });
    let payload = json!({ "connectorId": connector, "csChargingProfiles": profile });
    house.ask(&CpId::new(cp), "SetChargingProfile", &payload);
}

/// Everything is well again, and everybody leaves.
fn heal(house: &mut House) {
    house.note(format_args!("calm"));
    for line in 0..LINES {
        house.port_back(line);
    }
    house.faults = crate::house::Faults::default();
    (house.csms.reachable, house.csms.swallow, house.csms.delay) = (true, 0, 0);
    for name in ["box-a", "meter-a", "box-b1", "box-b2", "meter-b2"] {
        house.device(name).silent = false;
    }
    for name in CHARGERS {
        house.device(name).body.ev = None;
    }
}

/// D1 and T3: every begin and end is told once, in the order recorded, and the gateway knows that it was taken.
fn check(seed: u64, house: &House) {
    assert_eq!(
        house.untold(),
        0,
        "seed {seed}: rows wait {CALM} ms after the faults"
    );
    let sessions = house.process.as_ref().map(Process::sessions);
    assert_eq!(sessions, Some(0), "seed {seed}: sessions still run");
    for (cp, point) in &house.csms.points {
        assert_eq!(point.violations, Vec::<String>::new(), "seed {seed}: {cp}");
        assert!(
            point.all_answered(),
            "seed {seed}: {cp} does not know what was taken"
        );
        let mut names: Vec<&retrovolt::domain::TxId> = Vec::new();
        let recorded: Vec<(&str, usize, i64)> = house
            .ledger
            .rows
            .iter()
            .filter(|row| row.cp == *cp)
            .filter_map(|row| match &row.event {
                Event::Began(begin) => {
                    assert!(
                        !names.contains(&&begin.tx),
                        "seed {seed}: {} begins twice",
                        begin.tx
                    );
                    names.push(&begin.tx);
                    Some(("begin", names.len() - 1, begin.meter.0 / 1000))
                }
                Event::Ended(end) => {
                    let place = names.iter().position(|tx| **tx == end.tx);
                    Some(("end", place.expect("an end has a begin"), end.meter.0 / 1000))
                }
                _ => None,
            })
            .collect();
        let mut numbers: Vec<i64> = Vec::new();
        let told: Vec<(&str, usize, i64)> = point
            .told
            .iter()
            .map(|told| {
                if told.what == "begin" {
                    numbers.push(told.tx);
                }
                let place = numbers.iter().position(|tx| *tx == told.tx).expect("begun");
                (told.what, place, told.meter)
            })
            .collect();
        assert_eq!(
            told, recorded,
            "seed {seed}: what {cp} told is not what it recorded"
        );
        let ends = told.iter().filter(|(what, ..)| *what == "end").count();
        assert_eq!(
            ends * 2,
            told.len(),
            "seed {seed}: {cp} has a begin without an end"
        );
    }
}
