//! Whatever happens in whatever order, the host of `host.rs` sees no rule broken, and while the node is online every tag
//! of it is what the picture says, within its dead band.

use super::super::datum::Datum;
use super::super::edge::{Effect, Input, Role};
use super::super::sheet::Sheets;
use super::super::wire::{Metric, Payload, Value};
use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Power(usize, Option<i64>),
    Text(usize, bool),
    Available(usize, bool),
    Add(usize),
    Remove(usize),
    Range(usize, i64),
    Bus(bool),
    Meter(bool),
    Queue(u64),
    Connected,
    Closed,
    Pass(u64),
    Rebirth,
    State(bool, u64),
    Write(usize, i64),
    Answer(u64, bool),
    Noise(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let cp = 0_usize..4;
    prop_oneof![
        6 => (cp.clone(), proptest::option::of(-8_000_000_i64..8_000_000)).prop_map(|(cp, power)| Step::Power(cp, power)),
        3 => (cp.clone(), any::<bool>()).prop_map(|(cp, on)| Step::Text(cp, on)),
        3 => (cp.clone(), any::<bool>()).prop_map(|(cp, on)| Step::Available(cp, on)),
        1 => cp.clone().prop_map(Step::Add),
        1 => cp.clone().prop_map(Step::Remove),
        1 => (cp.clone(), 6_000_i64..64_000).prop_map(|(cp, most)| Step::Range(cp, most)),
        1 => any::<bool>().prop_map(Step::Bus),
        1 => any::<bool>().prop_map(Step::Meter),
        1 => (0_u64..5).prop_map(Step::Queue),
        5 => Just(Step::Connected),
        2 => Just(Step::Closed),
        4 => prop_oneof![0_u64..2_000, Just(6_000), Just(61_000)].prop_map(Step::Pass),
        2 => Just(Step::Rebirth),
        3 => (any::<bool>(), 0_u64..5).prop_map(|(online, at)| Step::State(online, at)),
        2 => (cp, 0_i64..40_000).prop_map(|(cp, limit)| Step::Write(cp, limit)),
        1 => (0_u64..6, any::<bool>()).prop_map(|(id, good)| Step::Answer(id, good)),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Step::Noise),
    ]
}

fn name(cp: usize) -> String {
    format!("cp-{cp}")
}

struct World {
    bench: Bench,
    connecting: bool,
    connected: bool,
    with_host: bool,
    online: bool,
}

impl World {
    fn follow(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Connect { .. } => self.connecting = true,
                Effect::Disconnect { .. } => (self.connecting, self.connected) = (false, false),
                Effect::Publish(message) => {
                    assert!(self.connected, "{}", message.topic);
                    if message.topic.contains("BIRTH") {
                        assert!(!self.with_host || self.online, "births without the primary host");
                    }
                }
                _ => {}
            }
        }
    }

    fn on(&mut self, cp: usize, change: impl FnOnce(&mut Point)) -> Vec<Effect> {
        if self.bench.picture.points.contains_key(&Slug::of(&name(cp))) {
            self.bench.change(&name(cp), change)
        } else {
            Vec::new()
        }
    }

    fn send(&mut self, topic: &str, name: &str, value: Value) -> Vec<Effect> {
        let now = u64::try_from(at(self.bench.ms).wall.unix_ms).ok();
        let metric = Metric {
            name: Some(name.to_owned()),
            value: Some(value),
            ..Metric::default()
        };
        let payload = Payload {
            timestamp: now,
            metrics: vec![metric],
            ..Payload::default()
        };
        self.bench.heard(topic, payload.to_bytes())
    }

    fn take(&mut self, step: Step) {
        let effects = self.site(&step).unwrap_or_else(|| self.event(step));
        self.follow(&effects);
    }

    /// The site changes; `None`: this step is about something else.
    fn site(&mut self, step: &Step) -> Option<Vec<Effect>> {
        let picture = &mut self.bench.picture;
        match *step {
            Step::Power(cp, power) => {
                return Some(self.on(cp, |point| point.state.power_w = power.map(Milli)));
            }
            Step::Text(cp, on) => {
                return Some(self.on(cp, |point| point.state.fault = on.then(|| "fault".to_owned())));
            }
            Step::Available(cp, on) => return Some(self.on(cp, |point| point.available = on)),
            Step::Range(cp, most) => return Some(self.on(cp, |point| point.reach.max_a = Milli(most))),
            Step::Add(cp) => picture.points.extend(super::picture(&[&name(cp)]).points),
            Step::Remove(cp) => drop(picture.points.remove(&Slug::of(&name(cp)))),
            Step::Bus(true) => drop(picture.buses.insert(Slug::of("lan"), BusState::default())),
            Step::Bus(false) => drop(picture.buses.remove(&Slug::of("lan"))),
            Step::Meter(on) => picture.meters.get_mut(&Slug::of("grid")).unwrap().available = on,
            Step::Queue(messages) => picture.health.queue.messages = messages,
            _ => return None,
        }
        Some(self.bench.show())
    }

    fn event(&mut self, step: Step) -> Vec<Effect> {
        match step {
            Step::Connected if self.connecting => {
                (self.connecting, self.connected) = (false, true);
                self.online = false;
                self.bench.give(Input::Connected)
            }
            Step::Closed if self.connecting || self.connected => {
                (self.connecting, self.connected) = (false, false);
                self.bench.host.cut();
                self.bench.give(Input::Closed)
            }
            Step::Connected | Step::Closed => Vec::new(),
            Step::Pass(ms) => self.bench.pass(ms),
            Step::Rebirth => self.send(
                "spBv1.0/site/NCMD/gw",
                "Node Control/Rebirth",
                Value::Boolean(true),
            ),
            Step::State(online, at) if self.connected => {
                self.online |= online;
                self.bench.state(online, at)
            }
            Step::State(..) => Vec::new(),
            Step::Write(cp, limit) => {
                let topic = format!("spBv1.0/site/DCMD/gw/{}", name(cp));
                self.send(
                    &topic,
                    "Control/Limit Current",
                    Value::Double(Milli(limit).value()),
                )
            }
            Step::Answer(id, good) => {
                let result = if good { Ok(()) } else { Err("no".to_owned()) };
                self.bench.give(Input::Answered { id, result })
            }
            Step::Noise(bytes) => {
                self.bench.heard("spBv1.0/STATE/scada", bytes.clone());
                self.bench.heard("spBv1.0/site/NCMD/gw", bytes.clone());
                self.bench.heard("spBv1.0/site/DCMD/gw/cp-1", bytes)
            }
            other => panic!("{other:?} is about the site"),
        }
    }

    /// While online, the host's tags are what the picture says.
    fn agree(&self) {
        if self.bench.node.snapshot().stage != "online" {
            assert!(self.bench.host.alive.is_empty(), "alive though not online");
            return;
        }
        if self.bench.node.next_deadline().is_some() {
            return; // Births are due: data waits.
        }
        let sheets = Sheets::of(&self.bench.picture, true);
        let alive = sheets.devices.iter().filter(|(_, sheet)| sheet.available);
        let expected: Vec<&str> = alive.clone().map(|(id, _)| &**id).collect();
        let known: Vec<&str> = self
            .bench
            .host
            .alive
            .keys()
            .map(String::as_str)
            .filter(|id| !id.is_empty())
            .collect();
        assert_eq!(known, expected);
        let devices = alive.map(|(id, sheet)| (&**id, &sheet.lines));
        for (id, lines) in devices.chain([("", &sheets.node)]) {
            for line in lines {
                let tag = self.bench.host.tag(id, &line.name);
                match (&tag.value, &line.value) {
                    (Some(Value::Double(told)), Some(Datum::Number(is))) => {
                        let band = line.band.milli.max(told.abs() as i64 * 10 * line.band.pct);
                        assert!(
                            (told - is.value()).abs() * 1000.0 <= band as f64,
                            "{}: {told} for {is:?}",
                            line.name
                        );
                    }
                    (told, is) => assert_eq!(told, &is.as_ref().map(Datum::wire), "{}", line.name),
                }
            }
        }
    }
}

fn run(with_host: bool, aliases: bool, servers: usize, bd_seq: u8, steps: Vec<Step>) {
    let role = Role {
        host: with_host.then(|| "scada".to_owned()),
        aliases,
        servers,
        ..role()
    };
    let mut world = World {
        bench: Bench::new(role, bd_seq),
        connecting: false,
        connected: false,
        with_host,
        online: false,
    };
    let first = world.bench.show();
    world.follow(&first);
    for step in steps {
        world.take(step);
        world.agree();
    }
    let last = world.bench.give(Input::Stop);
    world.follow(&last);
    assert!(world.bench.host.alive.is_empty());
}

proptest! {
    #[test]
    fn no_order_of_events_breaks_a_rule(
        with_host: bool,
        aliases: bool,
        servers in 1_usize..4,
        bd_seq: u8,
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        run(with_host, aliases, servers, bd_seq, steps);
    }
}

/// More messages than `seq` has numbers, and more connections than `bdSeq` has.
#[test]
fn both_numbers_wrap() {
    let mut steps = Vec::new();
    for connection in 0_i64..300 {
        steps.push(Step::Connected);
        steps.extend((0..3).map(|n| Step::Power(1, Some((connection * 7 + n) * 1_000_000 % 8_000_000))));
        steps.extend([Step::Closed, Step::Pass(61_000)]);
    }
    steps.push(Step::Connected);
    steps.extend((0..700).map(|n| Step::Power(1, Some(n % 2 * 1_000_000))));
    run(false, false, 1, 0, steps);
}
