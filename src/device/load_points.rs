//! Points of the file to checked points.

use super::error::Path;
use super::file::{Access, NaTable, PointTable, RawRange, RoleName, TypeEnd};
use super::load::Loader;
use super::load_units::milli;
use super::pdu::ReadFc;
use super::profile::{
    Cadence, FactFormat, FaultMap, FaultRule, LinkDefaults, Point, PointId, Role, WriteFcs,
};
use super::value::{Layout, ValueType};
use crate::domain::Phase;

/// Most points of one profile.
const MAX_POINTS: usize = 1000;

impl Loader<'_> {
    /// Fills `names` and `points`.
    pub fn points(&mut self, link: &LinkDefaults) {
        let raw = self.raw;
        let path = Path::default().key("points");
        let mut others = Vec::new();
        for (name, table) in &raw.points {
            let path = path.key(name);
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if !name.chars().all(allowed) {
                self.wrong(
                    &path,
                    "expected a name of lower-case letters, digits and underscores",
                );
            }
            let mut point = self.point(name, table, link, &path);
            match &table.phases {
                None => self.add(point, &path),
                Some(phases) => {
                    let stride = table.stride.unwrap_or(point.layout.width);
                    let first = point.addr;
                    for (phase, index) in phases.iter().zip(0_u16..) {
                        point.name = format!("{name}_{}", phase_name(*phase));
                        point.addr = first.wrapping_add(stride.wrapping_mul(index));
                        if let Role::Reading { phase: of, .. } = &mut point.role {
                            *of = *phase;
                        }
                        self.add(point.clone(), &path);
                    }
                }
            }
            others.push((self.points.len(), table, path));
        }
        if self.points.len() > MAX_POINTS {
            self.wrong(&path, format!("at most {MAX_POINTS} points"));
        }
        // Other points may stand further down in the file, so they are looked up when all names are known.
        let mut from = 0;
        for (to, table, path) in others {
            let when = self.conditions(&table.when, &path.key("when"));
            self.poll_for(&when, Cadence::Once, &path.key("when"));
            let (times, exponent) = self.factors(table, from, &path);
            for index in from..to {
                let phase = table.phases.as_ref().and_then(|phases| phases.get(index - from));
                let plus = self.terms(&table.plus, phase.copied(), index, &path.key("plus"));
                let minus = self.terms(&table.minus, phase.copied(), index, &path.key("minus"));
                let point = &mut self.points[index];
                point.when.clone_from(&when);
                point.times.clone_from(&times);
                (point.exponent, point.plus, point.minus) = (exponent, plus, minus);
            }
            from = to;
        }
    }

    fn add(&mut self, point: Point, path: &Path) {
        let id = PointId(u16::try_from(self.points.len()).unwrap_or(u16::MAX));
        if self.names.insert(point.name.clone(), id).is_some() {
            self.wrong(path, format!("there is another point `{}`", point.name));
        }
        if u32::from(point.addr) + u32::from(point.layout.width) > 0x1_0000 {
            self.wrong(&path.key("at"), "runs beyond address 65535");
        }
        self.points.push(point);
    }

    fn point(&mut self, name: &str, raw: &PointTable, link: &LinkDefaults, path: &Path) -> Point {
        let layout = self.layout(raw, path);
        let access = raw.access.unwrap_or_default();
        let fc = (access != Access::W).then(|| self.read_fc(raw, path)).flatten();
        let most = if layout.kind == ValueType::Bit {
            link.max_read_bits
        } else {
            link.max_read_regs
        };
        if fc.is_some() && layout.width > most {
            self.wrong(
                path,
                format!(
                    "is {} registers wide, but one read takes {most} at most",
                    layout.width
                ),
            );
        }
        let role = self.role(raw, path);
        let (to_milli, dimension) = self.scale(raw, &role, path);
        let mut point = Point {
            name: name.to_owned(),
            fc,
            addr: raw.at,
            connector_offset: raw
                .connector_offset
                .or(self.raw.defaults.connector_offset)
                .unwrap_or(0),
            layout,
            mask: self.mask(raw, path),
            connector_shift: raw.connector_shift.unwrap_or(0),
            to_milli,
            offset_milli: raw.offset.and_then(|offset| milli(offset, raw.unit)).unwrap_or(0),
            times: Vec::new(),
            exponent: None,
            plus: Vec::new(),
            minus: Vec::new(),
            skip_na: raw.skip_na,
            valid: self.valid(raw, path),
            dimension,
            absolute: raw.absolute,
            na: self.na(raw, path),
            cadence: raw.every.unwrap_or(default_cadence(&role)),
            polled: fc.is_some() && (role != Role::Helper || raw.every.is_some()),
            role,
            when: Vec::new(),
            write: (access != Access::R).then(|| self.write_fc(raw, path)),
            wear: raw.wear,
            allowed: raw.allowed.iter().map(span).collect(),
            forbidden: raw.forbidden.iter().map(span).collect(),
            off: raw.off.map(i128::from),
            lookup: Vec::new(),
        };
        point.lookup = self.lookup(raw, path);
        self.judge(&point, raw, path);
        point
    }

    /// What does not go together.
    fn judge(&mut self, point: &Point, raw: &PointTable, path: &Path) {
        let readable = point.fc.is_some();
        if !readable && point.role != Role::Helper {
            self.wrong(
                &path.key("access"),
                "a write-only register cannot mean anything that is read",
            );
        }
        if raw.quantity.is_none() {
            for (there, key) in [
                (raw.phase.is_some(), "phase"),
                (raw.phases.is_some(), "phases"),
                (raw.quality.is_some(), "quality"),
            ] {
                if there {
                    self.wrong(&path.key(key), "only a point with a `quantity` has one");
                }
            }
        }
        if raw.phase.is_some() && raw.phases.is_some() {
            self.wrong(&path.key("phase"), "`phase` and `phases` exclude each other");
        }
        if raw.stride.is_some() && raw.phases.is_none() {
            self.wrong(&path.key("stride"), "only a point with `phases` has one");
        }
        self.judge_extras(point, raw, path);
        // A register that shows the limit in force shows the pause as well.
        let off = raw.off.is_some() && point.role != Role::LimitReadBack;
        if raw.access.is_none() && (raw.wear || off || !point.allowed.is_empty()) {
            self.wrong(
                path,
                "`wear`, `off` and `allowed` are for points that are written: give `access`",
            );
        }
        let numeric = point.layout.kind.width().is_some();
        let number = matches!(
            point.role,
            Role::Reading { .. } | Role::HardwareLimit | Role::LimitReadBack
        );
        if number && !numeric {
            self.wrong(&path.key("type"), "expected a number type for this meaning");
        }
        if matches!(point.role, Role::Error(_)) && !point.layout.kind.is_integer() {
            self.wrong(&path.key("type"), "an error register is an integer");
        }
        if point.role == Role::Token && point.layout.kind.is_float() {
            self.wrong(&path.key("type"), "a card number is an integer, a text or bytes");
        }
        if let Some(off) = point.off
            && !point.permits(&super::Raw::Int(off))
        {
            self.wrong(&path.key("off"), "is a value that must not be written");
        }
    }

    /// Keys that only make sense beside others.
    fn judge_extras(&mut self, point: &Point, raw: &PointTable, path: &Path) {
        if raw.connector_shift.is_some() && point.mask.is_none() {
            self.wrong(
                &path.key("connector_shift"),
                "moves `mask` or `bit`: give one of them",
            );
        }
        if raw.skip_na && raw.plus.is_empty() && raw.minus.is_empty() {
            self.wrong(&path.key("skip_na"), "is for a sum: give `plus` or `minus`");
        }
    }

    fn layout(&mut self, raw: &PointTable, path: &Path) -> Layout {
        let width = match (raw.kind.width(), raw.len) {
            (Some(width), None) => width,
            (None, Some(len)) => len,
            (Some(width), Some(_)) => {
                self.wrong(&path.key("len"), "is for ascii, utf16 and bytes only");
                width
            }
            (None, None) => {
                self.wrong(
                    &path.key("len"),
                    "missing; expected the number of registers of the text",
                );
                1
            }
        };
        // A text reads from its first register on, whatever the order of numbers is.
        let defaults = raw.kind.width().map(|_| &self.raw.defaults);
        Layout {
            kind: raw.kind,
            width,
            words: raw
                .word_order
                .or(defaults.and_then(|defaults| defaults.word_order))
                .unwrap_or_default(),
            bytes: raw
                .byte_order
                .or(defaults.and_then(|defaults| defaults.byte_order))
                .unwrap_or_default(),
            skip: self.skip(raw, width, path),
        }
    }

    fn skip(&mut self, raw: &PointTable, width: u16, path: &Path) -> u8 {
        let skip = raw.skip.unwrap_or(0);
        if skip > 0 && (raw.kind.width().is_some() || u16::from(skip) >= width.saturating_mul(2)) {
            self.wrong(
                &path.key("skip"),
                "is for texts and bytes that are longer than it",
            );
        }
        if skip > 0 && raw.access.unwrap_or_default() != Access::R {
            self.wrong(&path.key("skip"), "is for points that are only read");
        }
        skip
    }

    fn read_fc(&mut self, raw: &PointTable, path: &Path) -> Option<ReadFc> {
        let code = raw.fc.or(self.raw.defaults.fc);
        let Some(fc) = code.and_then(ReadFc::from_code) else {
            self.wrong(&path.key("fc"), "missing; give it here or in `[defaults]`");
            return None;
        };
        match (fc.is_bits(), raw.kind == ValueType::Bit) {
            (false, true) => {
                let message = "a `bit` is read with function 1 or 2; for a bit of a register use its type and `bit = N`";
                self.wrong(&path.key("fc"), message);
            }
            (true, false) => self.wrong(&path.key("type"), "functions 1 and 2 read the type `bit` only"),
            _ => {}
        }
        Some(fc)
    }

    fn write_fc(&mut self, raw: &PointTable, path: &Path) -> WriteFcs {
        let Some(codes) = raw.write_fc.as_ref().or(self.raw.defaults.write_fc.as_ref()) else {
            self.wrong(
                &path.key("write_fc"),
                "missing; give the function codes that write here or in `[defaults]`",
            );
            return WriteFcs::default();
        };
        let (single, multi) = if raw.kind == ValueType::Bit {
            (5, 15)
        } else {
            (6, 16)
        };
        let fcs = WriteFcs {
            single: codes.contains(&single),
            multi: codes.contains(&multi),
        };
        if codes.is_empty() || codes.iter().any(|code| ![single, multi].contains(code)) {
            self.wrong(
                &path.key("write_fc"),
                format!("expected {single}, {multi} or both for this type"),
            );
        } else if !fcs.multi && raw.kind.width() != Some(1) {
            self.wrong(
                &path.key("write_fc"),
                format!("a value of several registers is written with function {multi}"),
            );
        }
        fcs
    }

    fn mask(&mut self, raw: &PointTable, path: &Path) -> Option<u64> {
        let mask = raw.mask.or(raw.bit.map(|bit| 1 << bit));
        if raw.mask.is_some() && raw.bit.is_some() {
            self.wrong(&path.key("bit"), "`bit` and `mask` exclude each other");
        }
        let fits = raw
            .kind
            .bounds()
            .is_some_and(|(least, most)| least == 0 && i128::from(mask.unwrap_or(0)) <= most);
        if mask.is_some() && !fits {
            self.wrong(
                path,
                "bits are taken from an unsigned integer that is wide enough",
            );
        }
        mask
    }

    fn na(&mut self, raw: &PointTable, path: &Path) -> Vec<i128> {
        let bounds = raw.kind.bounds();
        if !raw.na.is_empty() && bounds.is_none() {
            self.wrong(
                &path.key("na"),
                "is for integer types; NaN, infinity and empty texts are left out anyway",
            );
        }
        let (least, most) = bounds.unwrap_or((0, 0));
        let value = |na: &NaTable| match na {
            NaTable::Value(value) => i128::from(*value),
            NaTable::End(TypeEnd::Max) => most,
            NaTable::End(TypeEnd::Min) => least,
        };
        raw.na.iter().map(value).collect()
    }

    fn lookup(&mut self, raw: &PointTable, path: &Path) -> Vec<(i64, i128)> {
        let lookup: Vec<(i64, i128)> = raw
            .lookup
            .iter()
            .filter_map(|(value, code)| Some((milli(*value, raw.unit)?, i128::from(*code))))
            .collect();
        if !lookup.is_sorted_by(|a, b| a.0 < b.0) || lookup.len() < raw.lookup.len() {
            self.wrong(
                &path.key("lookup"),
                "expected pairs of value and raw value, ascending by value",
            );
        }
        if !lookup.is_empty() && (raw.scale.is_some() || raw.offset.is_some()) {
            self.wrong(&path.key("lookup"), "takes the place of `scale` and `offset`");
        }
        lookup
    }

    fn role(&mut self, raw: &PointTable, path: &Path) -> Role {
        let given = [raw.quantity.is_some(), raw.role.is_some(), raw.fact.is_some()];
        if given.iter().filter(|given| **given).count() > 1 {
            self.wrong(path, "`quantity`, `role` and `fact` exclude each other");
        }
        if raw.fact.is_none() && (raw.hex || raw.parts.is_some()) {
            self.wrong(path, "`hex` and `parts` say how a `fact` is written");
        }
        if raw.role != Some(RoleName::Error) && !(raw.faults.is_empty() && raw.no_error.is_empty()) {
            self.wrong(path, "`faults` and `no_error` are for `role = \"error\"`");
        }
        if let Some(quantity) = raw.quantity {
            let (phase, quality) = (raw.phase.unwrap_or_default(), raw.quality.unwrap_or_default());
            return Role::Reading {
                quantity,
                phase,
                quality,
            };
        }
        if let Some(fact) = raw.fact {
            return Role::Fact(fact, self.fact_format(raw, path));
        }
        match raw.role {
            Some(RoleName::Error) => Role::Error(self.faults(raw, path)),
            Some(RoleName::Token) => Role::Token,
            Some(RoleName::HardwareLimit) => Role::HardwareLimit,
            Some(RoleName::LimitReadBack) => Role::LimitReadBack,
            None => Role::Helper,
        }
    }

    fn fact_format(&mut self, raw: &PointTable, path: &Path) -> FactFormat {
        match &raw.parts {
            Some(parts) => {
                let bits: u32 = parts.iter().map(|part| u32::from(*part)).sum();
                let width = 16 * u32::from(raw.kind.width().unwrap_or(0));
                if parts.contains(&0) || bits > width || !raw.kind.is_integer() {
                    self.wrong(
                        &path.key("parts"),
                        "expected widths in bits that fit into the integer type",
                    );
                }
                FactFormat::Parts(parts.clone())
            }
            None if raw.hex => FactFormat::Hex,
            None => FactFormat::Plain,
        }
    }

    fn faults(&mut self, raw: &PointTable, path: &Path) -> FaultMap {
        let mut map = FaultMap {
            none: vec![0],
            rules: Vec::new(),
        };
        map.none
            .extend(raw.no_error.iter().map(|value| i128::from(*value)));
        for (index, fault) in raw.faults.iter().enumerate() {
            match (fault.raw, fault.bit) {
                (Some(value), None) => {
                    map.rules.push(FaultRule {
                        raw: value.into(),
                        is_bit: false,
                        kind: fault.kind,
                    });
                }
                (None, Some(bit)) => {
                    map.rules.push(FaultRule {
                        raw: bit.into(),
                        is_bit: true,
                        kind: fault.kind,
                    });
                }
                _ => self.wrong(&path.key("faults").index(index), "expected either `raw` or `bit`"),
            }
        }
        map
    }
}

fn default_cadence(role: &Role) -> Cadence {
    match role {
        Role::Fact(..) | Role::Helper => Cadence::Once,
        Role::HardwareLimit => Cadence::Slow,
        Role::Reading { .. } | Role::Status | Role::Error(_) | Role::Token | Role::LimitReadBack => {
            Cadence::Fast
        }
    }
}

fn span(range: &RawRange) -> (i128, i128) {
    match range {
        RawRange::One(value) => ((*value).into(), (*value).into()),
        RawRange::Range(from, to) => ((*from).into(), (*to).into()),
    }
}

pub(super) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Total => "total",
        Phase::L1 => "l1",
        Phase::L2 => "l2",
        Phase::L3 => "l3",
        Phase::N => "n",
    }
}
