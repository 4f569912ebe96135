//! The edge node as a whole: stories, and a host of our own that holds it to the rules while everything changes.

mod docs;
mod held_up;
mod host;
mod model;
mod stories;

use super::super::payload::{BusState, Info, MeterState, PointState, Status};
use super::super::picture::{Device, Meter, Picture, Point, Reach, Totals};
use super::super::units::{At, Milli, Slug};
use super::edge::{EdgeNode, Effect, Input, Role};
use crate::domain::{Mono, Now, Wall};
use std::sync::Arc;
use std::time::Duration;

/// Wall time at `Mono(0)`.
pub const EPOCH: i64 = 1_700_000_000_000;

pub fn at(ms: u64) -> Now {
    Now {
        mono: Mono(ms),
        wall: Wall {
            unix_ms: EPOCH + i64::try_from(ms).unwrap(),
            ..Wall::default()
        },
        ..Now::default()
    }
}

/// A site with charge points, one meter and one bus.
pub fn picture(points: &[&str]) -> Picture {
    let device = Arc::new(Device {
        vendor: Some("Maker".to_owned()),
        ..Device::default()
    });
    let point = |id: &&str| (Slug::of(id), point(&device));
    let meter = Meter {
        device: device.clone(),
        available: true,
        state: MeterState {
            ts: At(EPOCH),
            power_w: Some(Milli(1_000_000)),
            ..MeterState::default()
        },
    };
    Picture {
        info: Info {
            os: Some("Linux".to_owned()),
            started_at: At(EPOCH),
            ..Picture::blank().info
        },
        buses: [(Slug::of("rs485"), BusState::default())].into(),
        points: points.iter().map(point).collect(),
        meters: [(Slug::of("grid"), meter)].into(),
        ..Picture::blank()
    }
}

fn point(device: &Arc<Device>) -> Point {
    let state = PointState {
        ts: At(EPOCH),
        status: Some(Status::Available),
        connected: Some(false),
        enabled: true,
        power_w: Some(Milli(0)),
        current_a: [Some(Milli(0)), None, None],
        voltage_v: [Some(Milli(230_000)), None, None],
        energy_import_wh: Some(1_000),
        limit_a: Some(Milli(16_000)),
        ..PointState::default()
    };
    Point {
        device: device.clone(),
        reach: Reach {
            min_a: Milli(6_000),
            max_a: Milli(32_000),
            phases: 1,
            switches_phases: false,
            unlocks: false,
        },
        available: true,
        state,
        session: super::super::payload::Session::default(),
        csms: super::super::payload::Csms::default(),
        totals: Totals::default(),
    }
}

pub fn role() -> Role {
    Role {
        group: "site".to_owned(),
        node: "gw".to_owned(),
        host: None,
        aliases: false,
        commands: true,
        servers: 1,
        retry: (Duration::from_secs(1), Duration::from_secs(60)),
    }
}

/// A node with its time and its picture, and what it wants done.
pub struct Bench {
    pub node: EdgeNode,
    pub ms: u64,
    pub picture: Picture,
    pub host: host::Host,
}

impl Bench {
    pub fn new(role: Role, bd_seq: u8) -> Self {
        Self {
            host: host::Host::new(&role),
            node: EdgeNode::new(role, bd_seq, 7),
            ms: 0,
            picture: picture(&["cp-1", "cp-2"]),
        }
    }

    /// Gives an input; what comes of it goes to the host and is returned.
    pub fn give(&mut self, input: Input) -> Vec<Effect> {
        self.node.handle(at(self.ms), input);
        let mut all = Vec::new();
        while let Some(effect) = self.node.poll() {
            self.host.see(&effect);
            all.push(effect);
        }
        all
    }

    /// Shows the picture as it is now.
    pub fn show(&mut self) -> Vec<Effect> {
        self.give(Input::Picture(Arc::new(self.picture.clone())))
    }

    /// Changes a charge point, with the present as time of its sample, and shows it.
    pub fn change(&mut self, id: &str, change: impl FnOnce(&mut Point)) -> Vec<Effect> {
        let now = at(self.ms).wall.unix_ms;
        let point = self.picture.points.get_mut(&Slug::of(id)).unwrap();
        point.state.ts = At(now);
        change(point);
        self.show()
    }

    /// Lets time pass.
    pub fn pass(&mut self, ms: u64) -> Vec<Effect> {
        self.ms += ms;
        self.give(Input::Tick)
    }

    /// From the start to the births.
    pub fn online(&mut self) -> Vec<Effect> {
        self.show();
        self.give(Input::Connected)
    }

    /// A message from the broker.
    pub fn heard(&mut self, topic: &str, payload: Vec<u8>) -> Vec<Effect> {
        self.give(Input::Heard {
            topic: topic.to_owned(),
            payload,
            retained: false,
        })
    }

    /// What the primary host says of itself.
    pub fn state(&mut self, online: bool, timestamp: u64) -> Vec<Effect> {
        let text = format!(r#"{{"online":{online},"timestamp":{timestamp}}}"#);
        self.heard("spBv1.0/STATE/scada", text.into_bytes())
    }
}

/// The kinds of messages among effects, and whom they are about.
pub fn kinds(effects: &[Effect]) -> Vec<String> {
    let kind = |effect: &Effect| match effect {
        Effect::Publish(message) => {
            let levels: Vec<&str> = message.topic.split('/').collect();
            let device = levels
                .get(4)
                .map(|device| format!(" {device}"))
                .unwrap_or_default();
            Some(format!("{}{device}", levels[2]))
        }
        _ => None,
    };
    effects.iter().filter_map(kind).collect()
}
