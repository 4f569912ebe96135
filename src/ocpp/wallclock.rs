//! Wall time on the wire: what is sent has `Z` and exactly three fraction digits or none, what is read may be
//! anything the field sends (`interop` rule 1 and 2), and nothing is dated before this program was built.

use crate::domain::{BootId, Stamp};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// No clock may be set before this and nothing is dated before it: 2026-01-01T00:00:00Z.
pub const FLOOR_UNIX_MS: i64 = 1_767_225_600_000;

/// No clock may be set behind this: 2100-01-01T00:00:00Z.
const CEILING_UNIX_MS: i64 = 4_102_444_800_000;

/// Trusted epochs of the runs of the process: Unix milliseconds at their `Mono(0)`.
#[derive(Clone, Debug, Default)]
pub struct Epochs(BTreeMap<BootId, i64>);

/// Runs remembered; rows of older runs keep the time they believed in.
const MAX_EPOCHS: usize = 4096;

impl Epochs {
    /// Takes over what is known about a run.
    pub fn set(&mut self, boot: BootId, unix_ms_at_zero: i64) {
        self.0.insert(boot, unix_ms_at_zero);
        if self.0.len() > MAX_EPOCHS {
            self.0.pop_first();
        }
    }

    /// What is known about a run.
    #[must_use]
    pub fn of(&self, boot: BootId) -> Option<i64> {
        self.0.get(&boot).copied()
    }

    /// Unix milliseconds to send for a stamp.
    #[must_use]
    pub fn unix_ms(&self, stamp: Stamp) -> i64 {
        stamp.corrected(self.of(stamp.boot)).max(FLOOR_UNIX_MS)
    }

    /// The stamp as the wire types take it.
    #[must_use]
    pub fn date_time(&self, stamp: Stamp) -> ocpp_kit::types::DateTime {
        date_time(self.unix_ms(stamp))
    }
}

/// Milliseconds as the wire types take them; out of range becomes the floor.
#[must_use]
pub fn date_time(unix_ms: i64) -> ocpp_kit::types::DateTime {
    let stamp = jiff::Timestamp::from_millisecond(unix_ms)
        .or_else(|_| jiff::Timestamp::from_millisecond(FLOOR_UNIX_MS))
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    ocpp_kit::types::DateTime::from_timestamp(stamp)
}

/// Text with `Z` and no fraction or exactly three digits.
#[must_use]
pub fn format_utc(unix_ms: i64) -> String {
    let text = date_time(unix_ms).to_string();
    three_digits(&text).unwrap_or(text)
}

/// Reads a time as CSMSs send it: any fraction, any offset, blank instead of `T`, no zone taken as UTC.
/// `None` when it cannot be read or lies before the build or after 2100.
#[must_use]
pub fn parse_utc(text: &str) -> Option<i64> {
    let unix_ms = read_utc(text)?;
    (FLOOR_UNIX_MS..CEILING_UNIX_MS)
        .contains(&unix_ms)
        .then_some(unix_ms)
}

/// Reads a time of any date, e.g. an expiry in the past.
#[must_use]
pub fn read_utc(text: &str) -> Option<i64> {
    let parsed = ocpp_kit::types::DateTime::parse_lenient(text).ok()?;
    Some(parsed.timestamp().as_millisecond())
}

/// Renders a payload; the time stamps in it get three fraction digits or none.
pub(super) fn to_raw(payload: &impl Serialize) -> Box<RawValue> {
    let mut value = serde_json::to_value(payload).unwrap_or_else(|_| Value::Object(serde_json::Map::new()));
    pad_times(&mut value);
    serde_json::value::to_raw_value(&value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Members that hold a time in the messages we send.
const TIMES: [&str; 6] = [
    "timestamp",
    "scheduleStart",
    "startSchedule",
    "validFrom",
    "validTo",
    "generatedAt",
];

fn pad_times(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(pad_times),
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(text) if TIMES.contains(&key.as_str()) => {
                        if let Some(padded) = three_digits(text) {
                            *text = padded;
                        }
                    }
                    other => pad_times(other),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Pads or cuts the fraction of a UTC time to three digits; `None` when it has none.
fn three_digits(text: &str) -> Option<String> {
    let (whole, fraction) = text.strip_suffix('Z')?.split_once('.')?;
    Some(format!("{whole}.{fraction:0<3.3}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ClockQuality, Mono, Wall};

    const T: i64 = 1_790_000_000_000;

    #[test]
    fn times_have_no_fraction_or_three_digits() {
        assert_eq!(format_utc(T), "2026-09-21T14:13:20Z");
        assert_eq!(format_utc(T + 7), "2026-09-21T14:13:20.007Z");
        assert_eq!(format_utc(T + 500), "2026-09-21T14:13:20.500Z");
    }

    #[test]
    fn the_field_spellings_are_read() {
        for text in [
            "2026-09-21T14:13:20Z",
            "2026-09-21T14:13:20.000Z",
            "2026-09-21T14:13:20.000000+00:00",
            "2026-09-21T16:13:20+02:00",
            "2026-09-21 14:13:20",
            "2026-09-21T14:13:20",
        ] {
            assert_eq!(parse_utc(text), Some(T), "{text}");
        }
        for text in [
            "1970-01-01T00:00:00Z",
            "",
            "yesterday",
            "2999-01-01T00:00:00Z",
            "2020-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_utc(text), None, "{text}");
        }
    }

    #[test]
    fn payload_times_are_padded_at_any_depth() {
        let raw =
            to_raw(&serde_json::json!({"a": [{"timestamp": "2026-09-21T14:13:20.5Z"}], "value": "1.5Z"}));
        assert_eq!(
            raw.get(),
            r#"{"a":[{"timestamp":"2026-09-21T14:13:20.500Z"}],"value":"1.5Z"}"#
        );
    }

    #[test]
    fn nothing_is_dated_before_the_floor() {
        let stamp = Stamp {
            boot: BootId(1),
            mono: Mono(10),
            wall: Wall {
                unix_ms: 0,
                quality: ClockQuality::Unset,
            },
        };
        let mut epochs = Epochs::default();
        assert_eq!(epochs.unix_ms(stamp), FLOOR_UNIX_MS);
        epochs.set(BootId(1), T);
        assert_eq!(epochs.unix_ms(stamp), T + 10);
    }
}
