//! From the file to the checked profile: every mistake is reported, none is repaired.

use super::check::structure;
use super::error::{Path, Problems, ProfileError};
use super::file::{
    ConditionTable, File, LinkTable, ParityName, PointTable, Scalar, Scalars, SpanTable, Texts, WiringTable,
};
use super::file_control::{NamedValue, StepTable, StepValue};
use super::load_stream;
use super::pdu::ReadFc;
use super::profile::{
    About, Kind, LinkDefaults, Point, PointId, Profile, Role, Serial, Span, StreamFacts, Wiring,
};
use super::value::{Raw, ValueType};
use super::{Cadence, Condition, Recipes, Test};
use crate::domain::{Parity, Protocol};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;
use toml::de::DeTable;

/// The JSON Schema of the profile format.
pub(super) fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| schemars::schema_for!(File).to_value())
}

impl Profile {
    /// Reads and checks a profile. `file` is the name used in messages.
    ///
    /// # Errors
    /// Every mistake found, in the order of the file.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<ProfileError>> {
        let mut problems = Problems::new(file, text);
        let (root, syntax) = DeTable::parse_recoverable(text);
        for error in &syntax {
            let offset = error.span().map_or(0, |span| span.start);
            problems.at(offset, &Path::default(), error.message(), None);
        }
        if load_stream::is_stream(root.get_ref()) {
            return load_stream::parse(text, &root, problems);
        }
        structure(schema(), &root, &mut problems);
        if !problems.is_empty() {
            return Err(problems.finish());
        }
        let raw: File = match toml::from_str(text) {
            Ok(raw) => raw,
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                problems.at(offset, &Path::default(), error.message(), None);
                return Err(problems.finish());
            }
        };
        let mut loader = Loader {
            raw: &raw,
            root: root.get_ref(),
            problems,
            names: BTreeMap::new(),
            points: Vec::new(),
        };
        let profile = loader.profile();
        if loader.problems.is_empty() {
            Ok(profile)
        } else {
            Err(loader.problems.finish())
        }
    }
}

/// Work in progress on one file.
pub(super) struct Loader<'a> {
    pub raw: &'a File,
    pub root: &'a DeTable<'a>,
    pub problems: Problems<'a>,
    /// Point names as other parts of the file use them.
    pub names: BTreeMap<String, PointId>,
    pub points: Vec<Point>,
}

impl Loader<'_> {
    /// Reports a mistake at a path.
    pub fn wrong(&mut self, path: &Path, message: impl Into<String>) {
        self.problems.push(self.root, path, message);
    }

    fn profile(&mut self) -> Profile {
        let raw = self.raw;
        self.identity();
        let link = self.link(&raw.link);
        self.points(&link);
        self.whole(&link);
        let sunspec = self.sunspec(&link);
        let state = self.state();
        let limits = self.limits();
        let recipes = self.recipes();
        let watchdog = self.watchdog();
        let phase_switch = self.phase_switch();
        let identify = self.identify();
        self.demands(&recipes);
        Profile {
            protocol: Protocol::Modbus,
            stream: StreamFacts::default(),
            id: raw.id.clone(),
            kind: raw.kind,
            about: About {
                vendor: raw.vendor.clone(),
                models: raw.models.clone(),
                also_sold_as: raw.also_sold_as.clone(),
                phases: raw.phases.unwrap_or(3),
                caveats: raw.caveats.clone(),
                source: raw.source.clone(),
                firmware: raw.firmware.clone(),
                wiring: wiring(raw.wiring.as_ref()),
                experimental: raw.experimental.clone(),
            },
            link,
            points: std::mem::take(&mut self.points),
            state,
            limits,
            recipes,
            watchdog,
            identify,
            phase_switch,
            sunspec,
        }
    }

    fn identity(&mut self) {
        let path = Path::default();
        let raw = self.raw;
        for (key, mistake) in load_stream::identity(&raw.id, raw.phases, &raw.models, &raw.source) {
            self.wrong(&path.key(key), mistake);
        }
    }

    fn link(&mut self, raw: &LinkTable) -> LinkDefaults {
        let path = Path::default().key("link");
        if raw.serial.is_none() && raw.tcp_port.is_none() {
            self.wrong(&path, "expected `serial` or `tcp_port` or both");
        }
        let no_read = self.spans(&raw.no_read, &path.key("no_read"));
        let read_whole = self.spans(&raw.read_whole, &path.key("read_whole"));
        for (index, span) in read_whole.iter().enumerate() {
            let (most, what) = if span.fc.is_bits() {
                (raw.max_read_bits.unwrap_or(2000), "bits")
            } else {
                (raw.max_read_regs.unwrap_or(125), "registers")
            };
            if span.last.saturating_sub(span.first) >= most {
                let message = format!("is too wide: one read takes {most} {what} at most");
                self.wrong(&path.key("read_whole").index(index), message);
            }
        }
        let ms = |value: Option<u32>, default: u32| Duration::from_millis(value.unwrap_or(default).into());
        LinkDefaults {
            serial: raw.serial.as_ref().map(|serial| Serial {
                baud: serial.baud,
                parity: match serial.parity {
                    ParityName::None => Parity::None,
                    ParityName::Even => Parity::Even,
                    ParityName::Odd => Parity::Odd,
                },
                data_bits: serial.data_bits.unwrap_or(8),
                stop_bits: serial.stop_bits.unwrap_or(1),
                framing: serial.framing.unwrap_or_default(),
            }),
            tcp_port: raw.tcp_port,
            unit: raw.unit,
            timeout: ms(raw.timeout_ms, 1000),
            min_gap: ms(raw.min_gap_ms, 50),
            write_gap: ms(raw.write_gap_ms, 0),
            poll: ms(Some(raw.poll_ms), 0),
            slow_poll: ms(raw.slow_poll_ms, 30_000),
            max_read_regs: raw.max_read_regs.unwrap_or(125),
            max_read_bits: raw.max_read_bits.unwrap_or(2000),
            join: raw.join.unwrap_or(true),
            read_holes: raw.read_holes.unwrap_or(false),
            no_read,
            read_whole,
        }
    }

    fn spans(&mut self, raw: &[SpanTable], path: &Path) -> Vec<Span> {
        let mut spans = Vec::new();
        for (index, span) in raw.iter().enumerate() {
            if span.first > span.last {
                self.wrong(&path.index(index), "`first` lies behind `last`");
            }
            spans.extend(ReadFc::from_code(span.fc).map(|fc| Span {
                fc,
                first: span.first,
                last: span.last.max(span.first),
            }));
        }
        spans
    }

    /// A point that lies half inside addresses that are read whole could never be read.
    fn whole(&mut self, link: &LinkDefaults) {
        for span in &link.read_whole {
            let (first, end) = (u32::from(span.first), u32::from(span.last) + 1);
            let torn = |point: &&Point| {
                let from = u32::from(point.addr);
                let to = from + u32::from(point.layout.width);
                let touches = from < end && first < to;
                point.fc == Some(span.fc) && touches && !(first <= from && to <= end)
            };
            if let Some(name) = self.points.iter().find(torn).map(|point| point.name.clone()) {
                let path = Path::default().key("link").key("read_whole");
                self.wrong(
                    &path,
                    format!("`{name}` lies partly inside {} to {}", span.first, span.last),
                );
            }
        }
    }

    /// What a kind of device cannot do without.
    fn demands(&mut self, recipes: &Recipes) {
        let root = Path::default();
        let reading = |point: &Point| matches!(point.role, Role::Reading { .. });
        match self.raw.kind {
            Kind::Charger => {
                for (there, key) in [
                    (self.raw.state.is_some(), "state"),
                    (self.raw.limits.is_some(), "limits"),
                ] {
                    if !there {
                        self.wrong(&root.key(key), format!("missing; a charger needs `[{key}]`"));
                    }
                }
                let sets = |step: &StepTable| matches!(step.value, Some(StepValue::Named(NamedValue::Limit)));
                if !recipes.limit.is_empty() && !self.raw.recipes.limit.iter().any(sets) {
                    self.wrong(
                        &root.key("recipes").key("limit"),
                        "no step writes the value \"limit\"",
                    );
                }
                if recipes.limit.is_empty() {
                    self.wrong(&root.key("recipes"), "missing; a charger needs a `limit` recipe");
                } else if !self.can_pause(recipes) {
                    let message = "the charger cannot be paused: give `pause`, `disable`, or `off` at the limit's point";
                    self.wrong(&root.key("recipes"), message);
                }
            }
            Kind::Meter if !self.points.iter().any(reading) => {
                self.wrong(
                    &root.key("points"),
                    "a meter needs at least one point with a `quantity`",
                );
            }
            Kind::Reader if !self.points.iter().any(|point| point.role == Role::Token) => {
                self.wrong(
                    &root.key("points"),
                    "a reader needs a point with `role = \"token\"`",
                );
            }
            Kind::Contacts => self.wrong(&root.key("kind"), "contacts are lines of a GPIO chip"),
            Kind::Meter | Kind::Reader => {}
        }
    }

    /// The point of a name used elsewhere in the file.
    pub fn named(&mut self, name: &str, path: &Path) -> Option<PointId> {
        let found = self.names.get(name).copied();
        if found.is_none() {
            let names = self.names.keys().map(String::as_str);
            let message = format!("there is no point `{name}`");
            self.problems.push_near(self.root, path, message, name, names);
        }
        found
    }

    /// A fingerprint or nothing.
    fn identify(&mut self) -> Option<super::Identify> {
        let raw = self.raw.identify.as_ref()?;
        let path = Path::default().key("identify").key("checks");
        if raw.checks.is_empty() {
            self.wrong(&path, "expected at least one check");
        }
        let checks = self.conditions(&raw.checks, &path);
        Some(super::Identify {
            checks,
            confidence: raw.confidence,
        })
    }

    /// Conditions, with their points checked to be readable.
    pub fn conditions(&mut self, raw: &[ConditionTable], path: &Path) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for (index, condition) in raw.iter().enumerate() {
            let path = path.index(index);
            let Some(point) = self.named(&condition.point, &path.key("point")) else {
                continue;
            };
            if let Some(test) = self.test(condition, &path) {
                let mask = condition.mask.or(condition.bit.map(|bit| 1 << bit));
                self.judge_test(&condition.point, mask, &test, &path);
                conditions.push(Condition { point, mask, test });
            }
        }
        conditions
    }

    fn test(&mut self, raw: &ConditionTable, path: &Path) -> Option<Test> {
        let within = raw.min.is_some() || raw.max.is_some();
        let version = raw.since.is_some() || raw.before.is_some();
        let given = [
            raw.is.is_some(),
            raw.is_not.is_some(),
            raw.min_chars.is_some(),
            within,
            raw.starts_with.is_some(),
            version,
        ];
        if raw.bit.is_some() && raw.mask.is_some() {
            self.wrong(path, "`bit` and `mask` exclude each other");
        }
        match given.iter().filter(|given| **given).count() {
            0 if raw.bit.is_some() => return Some(Test::OneOf(vec![Raw::Int(1)])),
            1 => {}
            _ => {
                let message = "expected one of: `is`, `is_not`, `min`/`max`, `starts_with`, `min_chars`, `since`/`before`, or `bit` alone";
                self.wrong(path, message);
                return None;
            }
        }
        if let Some(scalars) = &raw.is {
            return Some(Test::OneOf(raws(scalars)));
        }
        if let Some(scalars) = &raw.is_not {
            return Some(Test::NoneOf(raws(scalars)));
        }
        if let Some(prefix) = &raw.starts_with {
            return Some(Test::StartsWith(match prefix {
                Texts::One(one) => vec![one.clone()],
                Texts::Many(many) => many.clone(),
            }));
        }
        if let Some(least) = raw.min_chars {
            return Some(Test::Chars(least));
        }
        Some(if version {
            Test::Version(raw.since.clone(), raw.before.clone())
        } else {
            Test::Within(raw.min, raw.max)
        })
    }

    /// The table a point comes from. Points with `phases` are named by phase.
    pub fn table_of(&self, name: &str) -> Option<&PointTable> {
        let of_phase = || {
            let (table, _) = name.rsplit_once('_')?;
            self.raw.points.get(table).filter(|table| table.phases.is_some())
        };
        self.raw.points.get(name).or_else(of_phase)
    }

    /// A test that could never hold is a mistake.
    fn judge_test(&mut self, name: &str, mask: Option<u64>, test: &Test, path: &Path) {
        let Some(kind) = self.table_of(name).map(|table| table.kind) else {
            return;
        };
        let text = matches!(kind, ValueType::Ascii | ValueType::Utf16);
        let fits = match test {
            Test::OneOf(list) | Test::NoneOf(list) => list.iter().all(|raw| match raw {
                Raw::Text(_) => text,
                Raw::Int(_) | Raw::Float(_) | Raw::Bytes(_) => kind.is_integer(),
            }),
            Test::Within(..) => kind.width().is_some(),
            Test::StartsWith(_) | Test::Chars(_) | Test::Version(..) => text,
        };
        if !fits || (mask.is_some() && !kind.is_integer()) {
            self.wrong(
                path,
                format!("does not fit the type of `{name}`, so it could never hold"),
            );
        }
    }

    /// Whatever a condition looks at has to be readable, and is read often enough.
    pub fn poll_for(&mut self, conditions: &[Condition], cadence: Cadence, path: &Path) {
        for condition in conditions {
            let point = &mut self.points[usize::from(condition.point.0)];
            if point.fc.is_none() {
                let name = point.name.clone();
                self.wrong(
                    path,
                    format!("`{name}` cannot be read, so nothing can depend on it"),
                );
                continue;
            }
            if !point.polled {
                point.polled = true;
                point.cadence = cadence;
            }
        }
    }
}

pub(super) fn wiring(raw: Option<&WiringTable>) -> Wiring {
    match raw {
        None => Wiring::default(),
        Some(WiringTable::Note(note)) => Wiring {
            note: Some(note.clone()),
            ..Wiring::default()
        },
        Some(WiringTable::Parts(parts)) => Wiring {
            terminals: parts.terminals.clone(),
            switches: parts.switches.clone(),
            settings: parts.settings.clone(),
            termination: parts.termination.clone(),
            note: parts.note.clone(),
        },
    }
}

/// Raw values as the file has them.
pub(super) fn raws(scalars: &Scalars) -> Vec<Raw> {
    let raw = |scalar: &Scalar| match scalar {
        Scalar::Int(value) => Raw::Int((*value).into()),
        Scalar::Text(text) => Raw::Text(text.clone()),
    };
    match scalars {
        Scalars::One(one) => vec![raw(one)],
        Scalars::Many(many) => many.iter().map(raw).collect(),
    }
}
