//! What there is to tell: the picture of the site as a list of metrics for the node and for each device.

use super::super::picture::{Meter, Picture, Point};
use super::super::units::At;
use super::datum::{Datatype, Datum, Traits};
use super::row::{Band, Row};
use super::table::{BUS, HEALTH, INFO, METER, POINT, SITE, range_of};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One metric with its value of this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Name.
    pub name: Arc<str>,
    /// Type.
    pub kind: Datatype,
    /// What a birth says besides.
    pub traits: Traits,
    /// Dead band.
    pub band: Band,
    /// Once known and then no longer, it is stale.
    pub measured: bool,
    /// Value; `None`: null.
    pub value: Option<Datum>,
    /// When it was sampled.
    pub at: At,
}

impl Line {
    /// Whether a birth announces both alike.
    #[must_use]
    pub fn same_metric(&self, other: &Self) -> bool {
        self.name == other.name && self.kind == other.kind && self.traits == other.traits
    }

    /// Whether another value of it is news.
    #[must_use]
    pub fn is_news(&self, told: Option<&Datum>) -> bool {
        match (told, self.value.as_ref()) {
            (Some(Datum::Number(was)), Some(Datum::Number(is))) => !self.band.holds(*was, *is),
            (was, is) => was != is,
        }
    }
}

/// What a device is in the picture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A charge point.
    Point(super::super::units::Slug),
    /// A meter.
    Meter,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// What it is.
    pub origin: Origin,
    /// It answers on its bus.
    pub available: bool,
    /// Its metrics.
    pub lines: Vec<Line>,
}

/// All there is to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheets {
    /// The node's own metrics.
    pub node: Vec<Line>,
    /// Devices by their Sparkplug id.
    pub devices: BTreeMap<Arc<str>, Sheet>,
}

/// Whether a birth announces both alike.
#[must_use]
pub fn same_shape(one: &[Line], other: &[Line]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.same_metric(b))
}

impl Sheets {
    /// The sheets of a picture; `commands`: what can be written is announced so.
    #[must_use]
    pub fn of(picture: &Picture, commands: bool) -> Self {
        let mut devices = BTreeMap::new();
        for (id, point) in &picture.points {
            let sheet = Sheet {
                origin: Origin::Point(id.clone()),
                available: point.available,
                lines: of_point(point, commands),
            };
            devices.insert(Arc::from(id.as_str()), sheet);
        }
        for (id, meter) in &picture.meters {
            // Device ids are unique within a node, and a meter may be called as a charge point is.
            let mut name: Arc<str> = Arc::from(id.as_str());
            while devices.contains_key(&name) {
                name = Arc::from(format!("{name}-meter"));
            }
            let sheet = Sheet {
                origin: Origin::Meter,
                available: meter.available,
                lines: of_meter(meter),
            };
            devices.insert(name, sheet);
        }
        Self {
            node: of_node(picture),
            devices,
        }
    }
}

fn lines<'a, S>(rows: &'a [Row<S>], of: &'a S, at: At, prefix: &'a str) -> impl Iterator<Item = Line> + 'a {
    rows.iter().map(move |row| Line {
        name: Arc::from(format!("{prefix}{}", row.name)),
        kind: row.kind,
        traits: Traits {
            unit: row.unit,
            ..Traits::default()
        },
        band: row.band,
        measured: row.measured,
        value: (row.read)(of),
        at,
    })
}

fn of_point(point: &Point, commands: bool) -> Vec<Line> {
    let mut all: Vec<Line> = lines(POINT, point, point.state.ts, "").collect();
    for (line, row) in all.iter_mut().zip(POINT) {
        line.traits.range = range_of(row.name, point);
        line.traits.writable = row.writable && commands;
    }
    all
}

fn of_meter(meter: &Meter) -> Vec<Line> {
    lines(METER, meter, meter.state.ts, "").collect()
}

fn of_node(picture: &Picture) -> Vec<Line> {
    let mut all: Vec<Line> = lines(INFO, &picture.info, picture.info.started_at, "").collect();
    all.extend(lines(HEALTH, &picture.health, picture.health.ts, ""));
    all.extend(lines(SITE, &picture.site, picture.site.ts, ""));
    for (id, bus) in &picture.buses {
        all.extend(lines(BUS, bus, bus.ts, &format!("Bus/{id}/")).collect::<Vec<_>>());
    }
    all
}
