//! Answers to observations.

use super::condition::{Image, all_hold, masked};
use super::encode::{Electrical, current_of, is_na};
use super::pdu::Reply;
use super::plan::Block;
use super::profile::{FactFormat, FaultMap, Point, PointId, Profile, Role, StateMap};
use super::value::{Raw, ValueType};
use crate::domain::{
    DeviceFault, DriveError, FaultKind, IdToken, Mono, Observation, Reading, TokenKind, VehicleState,
};

impl Profile {
    /// Decodes the answer to a planned read. The raw values go into the image; what is "not available" gives no
    /// observation. The vehicle state is observed whenever a point it depends on was read and all of them are
    /// known.
    ///
    /// # Errors
    /// [`DriveError::Garbled`] when the answer has the wrong length.
    pub fn decode(
        &self,
        block: &Block,
        reply: &Reply,
        connector: u16,
        electrical: Electrical,
        image: &mut Image,
        taken_at: Mono,
    ) -> Result<Vec<Observation>, DriveError> {
        let mut read = Vec::new();
        for id in &block.points {
            let point = self.point(*id);
            let at = usize::from(point.addr_for(connector).wrapping_sub(block.addr));
            let raw = point
                .layout
                .in_reply(reply, at, usize::from(block.count))
                .ok_or(DriveError::Garbled)?;
            read.push((*id, masked(&raw, point.mask_for(connector))));
        }
        for (id, raw) in &read {
            image.set(*id, raw.clone());
        }
        // A scale factor may stand behind the value it belongs to, so nothing is told before all is known.
        let mut observations = Vec::new();
        for (id, raw) in &read {
            let point = self.point(*id);
            let milli = || self.milli(point, image, raw);
            observations.extend(point.observe(raw, milli, electrical, taken_at));
        }
        if let Some(map) = &self.state
            && block.points.iter().any(|id| map.depends_on(*id))
        {
            observations.extend(map.observe(image));
        }
        Ok(observations)
    }

    /// Whether a device answers like this profile's: `None` while a point of the fingerprint was not read.
    #[must_use]
    pub fn matches(&self, image: &Image) -> Option<bool> {
        let mut verdict = Some(true);
        for check in &self.identify.as_ref()?.checks {
            match check.holds(image) {
                Some(false) => return Some(false),
                None => verdict = None,
                Some(true) => {}
            }
        }
        verdict
    }
}

impl Point {
    fn observe(
        &self,
        raw: &Raw,
        milli: impl Fn() -> Option<i64>,
        electrical: Electrical,
        taken_at: Mono,
    ) -> Option<Observation> {
        let missing = is_na(self, raw);
        match &self.role {
            Role::Token => Some(Observation::Token(if missing { None } else { token(self, raw) })),
            _ if missing => None,
            Role::Reading {
                quantity,
                phase,
                quality,
            } => Some(Observation::Reading(Reading {
                quantity: *quantity,
                phase: *phase,
                milli: milli()?,
                quality: *quality,
                taken_at,
            })),
            Role::Error(map) => raw.int().map(|raw| Observation::Fault(map.fault(raw, self))),
            Role::HardwareLimit => current_of(self, raw, electrical).map(Observation::HardwareLimit),
            Role::LimitReadBack => current_of(self, raw, electrical).map(Observation::LimitReadBack),
            Role::Fact(fact, format) => {
                let text = format.text(raw, self);
                (!text.is_empty()).then_some(Observation::Fact(*fact, text))
            }
            Role::Status | Role::Helper => None,
        }
    }
}

impl FaultMap {
    /// The kind of fault a raw value stands for; `None`: no error.
    #[must_use]
    pub fn kind(&self, raw: i128) -> Option<FaultKind> {
        if self.none.contains(&raw) {
            return None;
        }
        let rule = self.rules.iter().find(|rule| match rule.is_bit {
            true => u32::try_from(rule.raw).is_ok_and(|bit| raw.checked_shr(bit).is_some_and(|r| r & 1 == 1)),
            false => rule.raw == raw,
        });
        Some(rule.map_or(FaultKind::OtherError, |rule| rule.kind))
    }

    fn fault(&self, raw: i128, point: &Point) -> Option<DeviceFault> {
        let bits = self.rules.iter().any(|rule| rule.is_bit);
        let format = if bits { FactFormat::Hex } else { FactFormat::Plain };
        Some(DeviceFault {
            kind: self.kind(raw)?,
            code: format.text(&Raw::Int(raw), point),
        })
    }
}

impl FactFormat {
    fn text(&self, raw: &Raw, point: &Point) -> String {
        match (raw, self) {
            (Raw::Text(text), _) => text.clone(),
            (Raw::Bytes(bytes), _) => hex(bytes),
            #[allow(clippy::cast_possible_truncation, reason = "the register is that narrow")]
            (Raw::Float(value), _) if point.layout.kind == ValueType::F32 => (*value as f32).to_string(),
            (Raw::Float(value), _) => value.to_string(),
            (Raw::Int(value), Self::Plain) => point.to_milli.times_text(*value, 3),
            (Raw::Int(_), Self::Hex) => {
                format!(
                    "{:0digits$X}",
                    raw.bits(),
                    digits = 4 * usize::from(point.layout.width)
                )
            }
            (Raw::Int(_), Self::Parts(widths)) => {
                let mut left: u32 = widths.iter().map(|width| u32::from(*width)).sum();
                let mut parts = Vec::new();
                for width in widths {
                    left -= u32::from(*width);
                    let mask = (1_u64 << (*width).min(63)) - 1;
                    parts.push((raw.bits().checked_shr(left).unwrap_or(0) & mask).to_string());
                }
                parts.join(".")
            }
        }
    }
}

impl StateMap {
    fn depends_on(&self, point: PointId) -> bool {
        point == self.point
            || self
                .rules
                .iter()
                .flat_map(|rule| &rule.when)
                .any(|condition| condition.point == point)
    }

    /// The state by what is known; `None` while a point that decides was not read.
    fn observe(&self, image: &Image) -> Option<Observation> {
        let raw = image.get(self.point)?;
        let state = |state: VehicleState| {
            Some(Observation::Vehicle {
                state,
                raw: raw.bits(),
            })
        };
        for rule in self
            .rules
            .iter()
            .filter(|rule| rule.raw.is_empty() || rule.raw.contains(raw))
        {
            if all_hold(&rule.when, image) {
                return state(rule.state);
            }
            if rule.when.iter().any(|condition| condition.holds(image).is_none()) {
                return None;
            }
        }
        state(self.otherwise)
    }
}

/// A card's number as text; `None`: no card. Lengths of 4, 7, 8 and 10 bytes are those of ISO 14443 and 15693.
fn token(point: &Point, raw: &Raw) -> Option<IdToken> {
    let of_uid = |bytes: &[u8]| {
        let used = bytes.len() - bytes.iter().rev().take_while(|b| **b == 0).count();
        let length = [4, 7, 8, 10]
            .into_iter()
            .find(|length| used <= *length && *length <= bytes.len());
        let bytes = &bytes[..length.unwrap_or(used)];
        let kind = match bytes.len() {
            4 | 7 | 10 => TokenKind::Iso14443,
            8 => TokenKind::Iso15693,
            _ => TokenKind::Local,
        };
        (used > 0).then(|| IdToken::new(hex(bytes), kind))
    };
    match raw {
        Raw::Text(text) if text.chars().all(|c| c == '0') => None,
        Raw::Text(text) => Some(IdToken::new(text.clone(), TokenKind::Local)),
        Raw::Bytes(bytes) => of_uid(bytes),
        Raw::Int(0) | Raw::Float(_) => None,
        Raw::Int(_) if matches!(point.layout.kind, ValueType::U32 | ValueType::U64) => {
            let width = 2 * usize::from(point.layout.width);
            let bytes = raw.bits().to_be_bytes();
            let kind = if width == 4 {
                TokenKind::Iso14443
            } else {
                TokenKind::Iso15693
            };
            Some(IdToken::new(hex(&bytes[8 - width..]), kind))
        }
        Raw::Int(number) => Some(IdToken::new(number.to_string(), TokenKind::Local)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
