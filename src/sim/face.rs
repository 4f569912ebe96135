//! The register side of a simulated device, made from its profile: what the body does shows in registers, what is
//! written moves the body.

use super::body::Body;
use super::duties::{Duties, Duty, Mirrors, duties, table};
use super::invert::{Assignment, encode, identity, invert, registers};
use super::slave::{Exception, Table};
use crate::device::{
    Cadence, Electrical, Factor, Image, Point, PointId, Profile, Raw, Role, ValueType, all_hold, current_of,
    current_raw, milli_of, time_raw,
};
use crate::domain::{DeviceFact, MilliAmps};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What a write does to the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A new limit.
    Limit(MilliAmps),
    /// The switch.
    Enabled(bool),
    /// The watchdog's time-out.
    Timeout(Duration),
    /// The watchdog's fallback current.
    Fallback(MilliAmps),
    /// The watchdog was fed by a write of its own.
    Fed,
    /// The plug was released.
    Unlocked,
    /// So many phases.
    Phases(u8),
}

/// The registers.
#[derive(Clone, Debug)]
pub struct Face {
    profile: Arc<Profile>,
    connector: u16,
    electrical: Electrical,
    words: BTreeMap<(Table, u16), u16>,
    /// Write-only registers.
    hidden: BTreeMap<u16, u16>,
    duties: Duties,
    mirrors: Mirrors,
    /// Points that decide which registers are there.
    deciders: Vec<PointId>,
}

impl Face {
    /// The registers of a device as delivered: recognised by its fingerprint, limit and watchdog at their defaults.
    /// `presets` are raw values of points by name and win over what was worked out.
    #[must_use]
    pub fn new(profile: Arc<Profile>, connector: u16, presets: &BTreeMap<String, Raw>) -> Self {
        let phases = profile.about().phases;
        let (duties, mirrors) = duties(&profile);
        let conditions = profile.points().iter().flat_map(|point| &point.when);
        let deciders: BTreeSet<PointId> = conditions.map(|condition| condition.point).collect();
        let mut face = Self {
            electrical: Electrical {
                phases: phases.clamp(1, 3),
                ..Electrical::default()
            },
            profile,
            connector,
            words: BTreeMap::new(),
            hidden: BTreeMap::new(),
            duties,
            mirrors,
            deciders: deciders.into_iter().collect(),
        };
        face.deliver(presets);
        face
    }

    fn deliver(&mut self, presets: &BTreeMap<String, Raw>) {
        let profile = Arc::clone(&self.profile);
        for (id, point) in profile.numbered() {
            self.store_words(point, &vec![0; usize::from(point.layout.width)]);
            self.store_all(self.initial(id, point).map(|raw| (id, raw)).into_iter().collect());
        }
        // Only what the fingerprint wants changed: points may share registers, and the last one stored wins.
        let before = self.image();
        let known = identity(&profile, before.clone());
        for (id, _) in profile
            .numbered()
            .filter(|(id, _)| known.get(*id) != before.get(*id))
        {
            self.store_all(known.get(id).map(|raw| (id, raw.clone())).into_iter().collect());
        }
        let preset = presets
            .iter()
            .filter_map(|(name, raw)| Some((profile.find(name)?, raw.clone())));
        self.store_all(preset.collect());
    }

    fn initial(&self, id: PointId, point: &Point) -> Option<Raw> {
        let profile = &self.profile;
        let watchdog = profile.watchdog();
        for (_, duty) in self.duties.iter().filter(|(point, _)| *point == id) {
            match duty {
                Duty::Limit => {
                    return current_raw(point, profile.limits()?.max, profile.limits(), self.electrical);
                }
                Duty::Timeout => return time_raw(point, watchdog?.timeout),
                Duty::Fallback => {
                    return current_raw(point, watchdog?.failsafe, profile.limits(), self.electrical);
                }
                Duty::On(raw) | Duty::Phases(raw, 3) => return Some(self.number(point, *raw)),
                Duty::Phases(..) | Duty::Off(_) | Duty::Feed | Duty::Unlock(_) => {}
            }
        }
        if profile.points().iter().any(|other| other.times.contains(&id)) {
            return encode(point, 1000);
        }
        match (&point.role, point.layout.kind) {
            (Role::Fact(DeviceFact::SerialNumber, _), ValueType::Ascii | ValueType::Utf16) => {
                Some(Raw::Text("SIM1".into()))
            }
            (Role::Fact(DeviceFact::SerialNumber, _), kind) if kind.is_integer() => Some(Raw::Int(4711)),
            (Role::HardwareLimit, _) => self.current(point, profile.limits()?.max),
            _ => None,
        }
    }

    fn number(&self, point: &Point, raw: i128) -> Raw {
        #[allow(clippy::cast_precision_loss, reason = "constants in profiles are small")]
        if point.layout.kind.is_float() {
            Raw::Float(raw as f64)
        } else {
            Raw::Int(raw)
        }
    }

    /// The profile.
    #[must_use]
    pub fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    /// Every point's raw value as the device holds it.
    #[must_use]
    pub fn image(&self) -> Image {
        let mut image = Image::new();
        for (id, point) in self.profile.numbered() {
            if let Some(raw) = self.load(point) {
                image.set(id, raw);
            }
        }
        image
    }

    /// As much of the image as tells which registers are there: a request is not to cost a look at all of them.
    fn deciding(&self) -> Image {
        let mut image = Image::new();
        for id in &self.deciders {
            if let Some(raw) = self.load(self.profile.point(*id)) {
                image.set(*id, raw);
            }
        }
        image
    }

    fn load(&self, point: &Point) -> Option<Raw> {
        let first = point.addr_for(self.connector);
        let words: Option<Vec<u16>> = (0..point.layout.width)
            .map(|i| {
                let addr = first.wrapping_add(i);
                match point.fc {
                    Some(fc) => self.words.get(&(table(fc), addr)).copied(),
                    None => self.hidden.get(&addr).copied(),
                }
            })
            .collect();
        let raw = point.layout.read(&words?)?;
        Some(unmask(raw, point.mask_for(self.connector)))
    }

    fn store_words(&mut self, point: &Point, words: &[u16]) {
        let mut addr = point.addr_for(self.connector);
        for word in words {
            match point.fc {
                Some(fc) => self.words.insert((table(fc), addr), *word),
                None => self.hidden.insert(addr, *word),
            };
            addr = addr.wrapping_add(1);
        }
    }

    /// Puts a raw value into a point's registers, leaving bits outside its mask as they are.
    pub fn store(&mut self, id: PointId, raw: &Raw) {
        let profile = Arc::clone(&self.profile);
        let point = profile.point(id);
        let whole = match (raw, point.mask_for(self.connector)) {
            (Raw::Int(value), Some(mask)) if mask != 0 => {
                let unmasked = Point {
                    mask: None,
                    ..point.clone()
                };
                let here = self.load(&unmasked).and_then(|raw| raw.int()).unwrap_or(0);
                let mask_bits = i128::from(mask);
                Raw::Int(here & !mask_bits | (value << mask.trailing_zeros()) & mask_bits)
            }
            _ => raw.clone(),
        };
        if let Some(words) = registers(&point.layout, &whole) {
            self.store_words(point, &words);
        }
    }

    fn store_all(&mut self, values: Assignment) {
        for (id, raw) in values {
            self.store(id, &raw);
        }
    }

    /// Brings every register up to what the body does now.
    pub fn refresh(&mut self, body: &Body) {
        let profile = Arc::clone(&self.profile);
        if let Some(map) = profile.state_map() {
            self.store_all(invert(&profile, map, body.vehicle(), &self.image()));
        }
        let is_sum = |point: &Point| !(point.plus.is_empty() && point.minus.is_empty());
        let (sums, plain): (Vec<_>, Vec<_>) = profile.numbered().partition(|(_, point)| is_sum(point));
        // Versions of a register may share its address; the one the device has shows.
        let image = self.deciding();
        let there = |point: &Point| all_hold(&point.when, &image);
        for (id, point) in plain.into_iter().chain(sums).filter(|(_, point)| there(point)) {
            let shown = match &point.role {
                Role::Reading { quantity, phase, .. } => self.reading(point, body.measure(*quantity, *phase)),
                // What is read once is what the box is built for.
                Role::HardwareLimit if point.cadence != Cadence::Once => self.current(point, body.hw_max),
                Role::LimitReadBack if !self.is_written(id) => self.current(point, body.limit),
                Role::Error(map) if profile.state_map().is_none_or(|m| m.point != id) => {
                    let rule = body.fault.map(|kind| {
                        let rule = map
                            .rules
                            .iter()
                            .find(|rule| rule.kind == kind)
                            .or(map.rules.first());
                        rule.map_or(1, |rule| {
                            if rule.is_bit {
                                1 << rule.raw.clamp(0, 62)
                            } else {
                                rule.raw
                            }
                        })
                    });
                    Some(Raw::Int(rule.or(map.none.first().copied()).unwrap_or(0)))
                }
                Role::Token => card(point, body.card.as_deref()),
                Role::Status
                | Role::HardwareLimit
                | Role::LimitReadBack
                | Role::Error(_)
                | Role::Fact(..)
                | Role::Helper => None,
            };
            if let Some(raw) = shown {
                self.store(id, &raw);
            }
        }
    }

    /// The register of a measured value: what scale, factors and terms make of it has to be the value.
    fn reading(&self, point: &Point, milli: i64) -> Option<Raw> {
        let constant = point.times.is_empty() && point.exponent.is_none();
        if constant && point.plus.is_empty() && point.minus.is_empty() {
            return encode(point, milli);
        }
        let image = self.image();
        let factor = Factor::of(&self.profile, point, &image)?;
        let term = |id: &PointId| {
            self.profile
                .milli(self.profile.point(*id), &image, image.get(*id)?)
        };
        let plus: i64 = point.plus.iter().filter_map(term).sum();
        let minus: i64 = point.minus.iter().filter_map(term).sum();
        let power = 10_f64.powi(factor.exponent);
        if factor == Factor::ONE {
            return encode(point, milli - plus + minus);
        }
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "simulated values are small"
        )]
        let own = ((milli - plus + minus) as f64 * 1000.0 / factor.milli as f64 / power).round() as i64;
        encode(point, own)
    }

    /// Whether what is written stays in the registers of a point: it can be written, or shares them with one
    /// that can.
    fn is_written(&self, id: PointId) -> bool {
        let shown = self.profile.point(id);
        let same = |point: &Point| point.write.is_some() && (point.fc, point.addr) == (shown.fc, shown.addr);
        self.profile.points().iter().any(same)
    }

    fn current(&self, point: &Point, amps: MilliAmps) -> Option<Raw> {
        current_raw(point, amps, None, self.electrical).or_else(|| encode(point, amps.0))
    }

    /// Whether a register of this point is there, by the device's version.
    fn exists(&self, point: &Point, image: &Image) -> bool {
        all_hold(&point.when, image)
    }

    /// Answers functions 1 to 4. Words of a bit table are 0 or 1.
    ///
    /// # Errors
    /// As the profile's read rules ask: too many at once, an address that is not there, one that must not be read.
    pub fn read(&self, table: Table, addr: u16, count: u16) -> Result<Vec<u16>, Exception> {
        let link = self.profile.link();
        let bits = matches!(table, Table::Coils | Table::Discrete);
        if count
            > if bits {
                link.max_read_bits
            } else {
                link.max_read_regs
            }
        {
            return Err(Exception::IllegalValue);
        }
        let last = addr.saturating_add(count - 1);
        let barred = |span: &crate::device::Span| {
            self::table(span.fc) == table && span.first <= last && addr <= span.last
        };
        let torn = |span: &crate::device::Span| barred(span) && (span.first, span.last) != (addr, last);
        if link.no_read.iter().any(barred) || (self.connector == 1 && link.read_whole.iter().any(torn)) {
            return Err(Exception::IllegalAddress);
        }
        let image = self.deciding();
        let there = self
            .profile
            .points()
            .iter()
            .filter(|p| p.fc.is_some_and(|fc| self::table(fc) == table) && self.exists(p, &image));
        let mut covered = vec![false; usize::from(last - addr) + 1];
        for point in there {
            let first = point.addr_for(self.connector);
            for at in (0..point.layout.width).map(|i| first.wrapping_add(i)) {
                let place = usize::from(at.wrapping_sub(addr));
                if let Some(covered) = covered.get_mut(place) {
                    *covered = true;
                }
            }
        }
        let present = covered.iter().filter(|covered| **covered).count();
        if present == 0 || (present < usize::from(count) && !link.read_holes) {
            return Err(Exception::IllegalAddress);
        }
        let word = |a: u16| self.words.get(&(table, a)).copied().unwrap_or(0);
        let words = (addr..=last).zip(covered);
        Ok(words
            .map(|(a, covered)| if covered { word(a) } else { 0 })
            .collect())
    }

    /// Takes functions 5, 6, 15 and 16 by the rules of the profile; nothing is changed on an error.
    ///
    /// # Errors
    /// No such register, not with this function, or a value that the device does not take.
    pub fn write(&mut self, fc: u8, addr: u16, values: &[u16]) -> Result<Vec<Effect>, Exception> {
        let image = self.deciding();
        let mut taken = Vec::new();
        let mut at = 0;
        while at < values.len() {
            let here = addr.wrapping_add(u16::try_from(at).unwrap_or(u16::MAX));
            let (points, width) = self.written(fc, here, &values[at..], &image)?;
            taken.extend(points);
            at += width;
        }
        Ok(taken
            .into_iter()
            .flat_map(|(id, raw)| self.take(id, &raw))
            .collect())
    }

    /// The points that the first of these words are written to, and how many words that takes. Points that share a
    /// register each take what is theirs; a value that none of them takes is refused.
    fn written(
        &self,
        fc: u8,
        addr: u16,
        values: &[u16],
        image: &Image,
    ) -> Result<(Assignment, usize), Exception> {
        let bits = matches!(fc, 5 | 15);
        let single = matches!(fc, 5 | 6);
        let mut refusal = Exception::IllegalAddress;
        let (mut taken, mut width) = (Vec::new(), 0);
        for (id, point) in self.profile.numbered() {
            let here =
                (point.layout.kind == ValueType::Bit) == bits && point.addr_for(self.connector) == addr;
            let Some(write) = point.write.filter(|_| here && self.exists(point, image)) else {
                continue;
            };
            if !(if single { write.single } else { write.multi }) {
                refusal = Exception::IllegalFunction;
                continue;
            }
            refusal = Exception::IllegalValue;
            let words = values.get(..usize::from(point.layout.width));
            let Some(raw) = words.and_then(|words| point.layout.read(words)) else {
                continue;
            };
            let raw = unmask(raw, point.mask_for(self.connector));
            if point.permits(&raw) {
                width = usize::from(point.layout.width);
                taken.push((id, raw));
            }
        }
        if taken.is_empty() {
            Err(refusal)
        } else {
            Ok((taken, width))
        }
    }

    fn take(&mut self, id: PointId, raw: &Raw) -> Vec<Effect> {
        self.store(id, raw);
        let profile = Arc::clone(&self.profile);
        let point = profile.point(id);
        let mut effects = Vec::new();
        for (_, duty) in self.duties.iter().filter(|(point, _)| *point == id) {
            let amps = || current_of(point, raw, self.electrical);
            effects.extend(match duty {
                Duty::Limit => amps().map(Effect::Limit),
                Duty::Fallback => amps().map(Effect::Fallback),
                Duty::Timeout => milli_of(point, raw)
                    .and_then(|ms| u64::try_from(ms).ok())
                    .map(|ms| Effect::Timeout(Duration::from_millis(ms))),
                Duty::On(on) => (*raw == self.number(point, *on)).then_some(Effect::Enabled(true)),
                Duty::Off(off) => (*raw == self.number(point, *off)).then_some(Effect::Enabled(false)),
                Duty::Unlock(value) => (*raw == self.number(point, *value)).then_some(Effect::Unlocked),
                Duty::Phases(value, phases) => {
                    (*raw == self.number(point, *value)).then_some(Effect::Phases(*phases))
                }
                Duty::Feed => Some(Effect::Fed),
            });
        }
        let mirrors: Vec<PointId> = self
            .mirrors
            .iter()
            .filter(|(from, _)| *from == id)
            .map(|(_, to)| *to)
            .collect();
        for to in mirrors {
            let shown = profile.point(to);
            let same = match effects.first() {
                Some(Effect::Limit(amps) | Effect::Fallback(amps)) => self.current(shown, *amps),
                Some(Effect::Timeout(time)) => time_raw(shown, *time),
                Some(Effect::Enabled(_) | Effect::Fed | Effect::Unlocked | Effect::Phases(_)) | None => {
                    Some(raw.clone())
                }
            };
            if let Some(raw) = same {
                self.store(to, &raw);
            }
        }
        effects
    }
}

/// The bits under a mask, shifted down to bit 0.
fn unmask(raw: Raw, mask: Option<u64>) -> Raw {
    match (raw, mask) {
        (Raw::Int(value), Some(mask)) if mask != 0 => {
            Raw::Int((value & i128::from(mask)) >> mask.trailing_zeros())
        }
        (raw, _) => raw,
    }
}

/// A card's number as the point would show it; without a card, what means "none".
fn card(point: &Point, card: Option<&str>) -> Option<Raw> {
    let digits = card.unwrap_or_default();
    let bytes: Vec<u8> = digits
        .as_bytes()
        .chunks_exact(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    match point.layout.kind {
        ValueType::Ascii | ValueType::Utf16 => Some(Raw::Text(digits.to_owned())),
        ValueType::Bytes => Some(Raw::Bytes(bytes)),
        _ if card.is_none() => Some(Raw::Int(point.na.first().copied().unwrap_or(0))),
        _ => Some(Raw::Int(
            bytes.iter().fold(0, |sum, byte| sum << 8 | i128::from(*byte)),
        )),
    }
}
