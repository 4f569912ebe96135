//! What the node says, and what it has said: births, data, deaths, their numbers and their order.
//!
//! * `seq` counts every message of the node but NDEATH: 0 in NBIRTH, one more each time, 0 after 255 (6.4.19 ff.);
//! * no metric is told that the last birth did not announce: another set of metrics is another birth;
//! * only what changed is told, and once more when a host wrote to it;
//! * near the budget a measured value is told only when it is the turn of measured values, or is known no longer;
//! * what changes while nobody listens is kept and told later as historical.

use super::super::client::{Message, Qos};
use super::super::units::At;
use super::datum::{Datatype, Datum, Properties, unix_ms};
use super::history::{Fate, History, Past, Who};
use super::sheet::{Line, Sheet, Sheets, same_shape};
use super::topic::Topics;
use super::wire::{Metric, Payload, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Metrics of the past in one message at most.
const CHUNK: usize = 100;

/// The birth and death number.
pub const BD_SEQ: &str = "bdSeq";
/// Asks for all births again.
pub const REBIRTH: &str = "Node Control/Rebirth";

/// Numbers that stand for names, where the setting is on; one number for one metric as long as the process runs.
#[derive(Debug, Default)]
struct Aliases(BTreeMap<(Who, Arc<str>), u64>);

impl Aliases {
    fn of(&mut self, who: &Who, name: &Arc<str>) -> u64 {
        let next = self.0.len() as u64 + 1;
        *self.0.entry((who.clone(), name.clone())).or_insert(next)
    }
}

/// What hosts know of the node or a device.
#[derive(Debug, Default)]
struct Told {
    /// What the last birth announced; `None`: not alive for hosts.
    born: Option<Vec<Line>>,
    /// What was told last, or kept as history.
    values: BTreeMap<Arc<str>, Option<Datum>>,
    /// What once had a value.
    known: BTreeSet<Arc<str>>,
    /// What has to be told though it did not change.
    owed: BTreeSet<Arc<str>>,
}

impl Told {
    /// The lines that are news; they count as told from here on. `measured`: it is the turn of measured values.
    fn news<'a>(&mut self, lines: &'a [Line], measured: bool) -> Vec<&'a Line> {
        let mut news = Vec::new();
        for line in lines {
            let Some(told) = self.values.get(&line.name) else {
                // The first that is known of it: a birth will say so.
                self.take(line);
                continue;
            };
            let waits = !measured && line.measured && line.value.is_some() && told.is_some();
            if (line.is_news(told.as_ref()) && !waits) || self.owed.contains(&line.name) {
                self.take(line);
                news.push(line);
            }
        }
        self.owed.clear();
        news
    }

    fn take(&mut self, line: &Line) {
        self.values.insert(line.name.clone(), line.value.clone());
        if line.value.is_some() {
            self.known.insert(line.name.clone());
        }
    }

    fn birth(&mut self, lines: &[Line]) {
        self.values.clear();
        self.owed.clear();
        lines.iter().for_each(|line| self.take(line));
        self.born = Some(lines.to_vec());
    }

    fn is_stale(&self, line: &Line) -> bool {
        line.measured && line.value.is_none() && self.known.contains(&line.name)
    }

    fn announced(&self, name: &str) -> Option<&Line> {
        self.born.as_ref()?.iter().find(|line| &*line.name == name)
    }
}

/// The voice of an edge node.
#[derive(Debug)]
pub struct Voice {
    topics: Topics,
    aliases: Option<Aliases>,
    seq: u8,
    node: Told,
    devices: BTreeMap<Arc<str>, Told>,
    history: History,
}

impl Voice {
    /// A voice that has said nothing yet.
    #[must_use]
    pub fn new(topics: Topics, aliases: bool) -> Self {
        Self {
            topics,
            aliases: aliases.then(Aliases::default),
            seq: 0,
            node: Told::default(),
            devices: BTreeMap::new(),
            history: History::default(),
        }
    }

    /// NDEATH: the will, and the last word before going on purpose.
    #[must_use]
    pub fn death(&self, now: At, bd_seq: u8) -> Message {
        let payload = Payload {
            timestamp: Some(unix_ms(now)),
            metrics: vec![own(BD_SEQ, Datatype::Int64, Value::Long(bd_seq.into()), now)],
            ..Payload::default()
        };
        Message::passing(self.topics.node("NDEATH"), payload.to_bytes())
    }

    /// NBIRTH and all DBIRTHs, and what was kept for those who are alive.
    pub fn births(&mut self, now: At, sheets: &Sheets, bd_seq: u8) -> Vec<Message> {
        self.seq = 0;
        self.node.birth(&sheets.node);
        let mut metrics = vec![
            own(BD_SEQ, Datatype::Int64, Value::Long(bd_seq.into()), now),
            own(REBIRTH, Datatype::Boolean, Value::Boolean(false), now),
        ];
        metrics.extend(self.announce(None, &sheets.node));
        let mut all = vec![self.message("NBIRTH", None, now, metrics)];
        self.devices.retain(|id, _| sheets.devices.contains_key(id));
        for (id, sheet) in &sheets.devices {
            let told = self.devices.entry(id.clone()).or_default();
            told.born = None;
            if sheet.available {
                all.push(self.device_birth(now, id, sheet));
            }
        }
        all.extend(self.past(now));
        all
    }

    /// What is news since the last call, or since the births; `measured`: measured values, too.
    pub fn report(&mut self, now: At, sheets: &Sheets, bd_seq: u8, measured: bool) -> Vec<Message> {
        let known = self.node.born.as_ref();
        if known.is_none_or(|known| !same_shape(known, &sheets.node)) {
            return self.births(now, sheets, bd_seq);
        }
        let mut all = Vec::new();
        let news = self.node.news(&sheets.node, measured);
        all.extend(self.data(now, None, &news));
        for id in self.gone(sheets) {
            all.push(self.message("DDEATH", Some(&id), now, Vec::new()));
            if let Some(told) = self.devices.get_mut(&id) {
                told.born = None;
            }
        }
        self.devices.retain(|id, _| sheets.devices.contains_key(id));
        for (id, sheet) in sheets.devices.iter().filter(|(_, sheet)| sheet.available) {
            let told = self.devices.entry(id.clone()).or_default();
            if told
                .born
                .as_ref()
                .is_some_and(|born| same_shape(born, &sheet.lines))
            {
                let news = told.news(&sheet.lines, measured);
                all.extend(self.data(now, Some(id), &news));
            } else {
                all.push(self.device_birth(now, id, sheet));
            }
        }
        all.extend(self.past(now));
        all
    }

    /// Nobody listens: what is news is kept.
    pub fn remember(&mut self, sheets: &Sheets, measured: bool) {
        let mut keep = |who: Who, told: &mut Told, lines: &[Line]| {
            for line in told.news(lines, measured) {
                let past = Past {
                    name: line.name.clone(),
                    value: line.value.clone(),
                    at: line.at,
                };
                self.history.keep(who.clone(), past);
            }
        };
        keep(None, &mut self.node, &sheets.node);
        for (id, sheet) in sheets.devices.iter().filter(|(_, sheet)| sheet.available) {
            let told = self.devices.entry(id.clone()).or_default();
            keep(Some(id.clone()), told, &sheet.lines);
        }
    }

    /// The connection is gone: for hosts nobody is alive.
    pub fn silence(&mut self) {
        self.node.born = None;
        for told in self.devices.values_mut() {
            told.born = None;
        }
    }

    /// What a metric of a command names; `None`: nothing that is alive has it.
    #[must_use]
    pub fn named(&self, device: &str, metric: &Metric) -> Option<&Line> {
        let (id, told) = self.devices.get_key_value(device)?;
        match &metric.name {
            Some(name) if !name.is_empty() => told.announced(name),
            _ => {
                let wanted = metric.alias?;
                let known = &self.aliases.as_ref()?.0;
                let is = |line: &&Line| known.get(&(Some(id.clone()), line.name.clone())) == Some(&wanted);
                told.born.as_ref()?.iter().find(is)
            }
        }
    }

    /// What was told last of a metric, in words; `None`: it is null, or there is none.
    #[must_use]
    pub fn value(&self, device: &str, name: &str) -> Option<String> {
        let value = self.devices.get(device)?.values.get(name)?.as_ref()?;
        Some(value.to_string())
    }

    /// The next report tells a metric whether or not it changed.
    pub fn owe(&mut self, device: &str, name: &str) {
        if let Some(told) = self.devices.get_mut(device)
            && let Some(line) = told.announced(name)
        {
            let name = line.name.clone();
            told.owed.insert(name);
        }
    }

    /// Devices that are alive for hosts.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.devices.values().filter(|told| told.born.is_some()).count()
    }

    /// Values that wait, and values lost.
    #[must_use]
    pub fn kept(&self) -> (usize, u64) {
        (self.history.len(), self.history.dropped())
    }

    /// Devices that were alive and are no longer.
    fn gone(&self, sheets: &Sheets) -> Vec<Arc<str>> {
        let away = |id: &Arc<str>| sheets.devices.get(id).is_none_or(|sheet| !sheet.available);
        let alive = self.devices.iter().filter(|(_, told)| told.born.is_some());
        alive.map(|(id, _)| id.clone()).filter(away).collect()
    }

    fn device_birth(&mut self, now: At, id: &Arc<str>, sheet: &Sheet) -> Message {
        self.devices.entry(id.clone()).or_default().birth(&sheet.lines);
        let metrics = self.announce(Some(id), &sheet.lines);
        self.message("DBIRTH", Some(id), now, metrics)
    }

    fn announce(&mut self, who: Option<&Arc<str>>, lines: &[Line]) -> Vec<Metric> {
        let announced = |voice: &mut Self, line: &Line| Metric {
            name: Some(line.name.to_string()),
            alias: voice
                .aliases
                .as_mut()
                .map(|known| known.of(&who.cloned(), &line.name)),
            datatype: Some(line.kind as u32),
            properties: Properties::of_birth(&line.traits)
                .stale(voice.told(who).is_some_and(|told| told.is_stale(line)))
                .finish(),
            ..valued(line.value.as_ref(), line.at)
        };
        lines.iter().map(|line| announced(self, line)).collect()
    }

    fn told(&self, who: Option<&Arc<str>>) -> Option<&Told> {
        match who {
            None => Some(&self.node),
            Some(id) => self.devices.get(id),
        }
    }

    /// Metrics are called by their name, or by their alias alone.
    fn called(&mut self, who: Option<&Arc<str>>, name: &Arc<str>, metric: Metric) -> Metric {
        match &mut self.aliases {
            Some(known) => Metric {
                alias: Some(known.of(&who.cloned(), name)),
                ..metric
            },
            None => Metric {
                name: Some(name.to_string()),
                ..metric
            },
        }
    }

    fn data(&mut self, now: At, who: Option<&Arc<str>>, news: &[&Line]) -> Option<Message> {
        if news.is_empty() {
            return None;
        }
        let mut metrics = Vec::with_capacity(news.len());
        for line in news {
            let stale = self.told(who).is_some_and(|told| told.is_stale(line));
            let metric = Metric {
                properties: Properties::default().stale(stale).finish(),
                ..valued(line.value.as_ref(), line.at)
            };
            metrics.push(self.called(who, &line.name, metric));
        }
        let kind = if who.is_some() { "DDATA" } else { "NDATA" };
        Some(self.message(kind, who, now, metrics))
    }

    /// What was kept for those who are alive now.
    fn past(&mut self, now: At) -> Vec<Message> {
        let (node, devices) = (&self.node, &self.devices);
        let told = self.history.take(|who, past| {
            let told = match who {
                None => Some(node),
                Some(id) => devices.get(id),
            };
            let Some(told) = told else { return Fate::Forget };
            let fits = |line: &Line| {
                past.value
                    .as_ref()
                    .is_none_or(|value| value.datatype() == line.kind)
            };
            match (&told.born, told.announced(&past.name)) {
                (None, _) => Fate::Wait,
                (Some(_), Some(line)) if fits(line) => Fate::Tell,
                (Some(_), _) => Fate::Forget,
            }
        });
        let mut all = Vec::new();
        for (who, pasts) in told {
            let kind = if who.is_some() { "DDATA" } else { "NDATA" };
            for chunk in pasts.chunks(CHUNK) {
                let mut metrics = Vec::with_capacity(chunk.len());
                for past in chunk {
                    let metric = Metric {
                        is_historical: Some(true),
                        ..valued(past.value.as_ref(), past.at)
                    };
                    metrics.push(self.called(who.as_ref(), &past.name, metric));
                }
                all.push(self.message(kind, who.as_ref(), now, metrics));
            }
        }
        all
    }

    fn message(&mut self, kind: &str, who: Option<&Arc<str>>, now: At, mut metrics: Vec<Metric>) -> Message {
        metrics.sort_by_key(|metric| metric.timestamp);
        let payload = Payload {
            timestamp: Some(unix_ms(now)),
            metrics,
            seq: Some(self.seq.into()),
            ..Payload::default()
        };
        self.seq = self.seq.wrapping_add(1);
        let topic = match who {
            None => self.topics.node(kind),
            Some(id) => self.topics.device(kind, id),
        };
        Message {
            qos: Qos::AtMostOnce,
            ..Message::passing(topic, payload.to_bytes())
        }
    }
}

/// A value and when it was sampled; without a value it is null.
fn valued(value: Option<&Datum>, at: At) -> Metric {
    Metric {
        timestamp: Some(unix_ms(at)),
        is_null: value.is_none().then_some(true),
        value: value.map(Datum::wire),
        ..Metric::default()
    }
}

/// A metric of the protocol itself: never an alias.
fn own(name: &str, datatype: Datatype, value: Value, at: At) -> Metric {
    Metric {
        name: Some(name.to_owned()),
        timestamp: Some(unix_ms(at)),
        datatype: Some(datatype as u32),
        value: Some(value),
        ..Metric::default()
    }
}
