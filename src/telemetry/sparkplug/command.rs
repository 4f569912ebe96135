//! What a host writes: judged here as far as the protocol and the device's announcement go. Whether the station may do
//! it is decided where every other command is.

use super::super::units::{Milli, Slug};
use super::datum::written_number;
use super::sheet::Line;
use super::table::{ENABLED, LIMIT, MODE};
use super::wire::{Metric, Value};
use std::fmt;
use std::time::Duration;

/// A command is not older than this and not further ahead.
pub const FRESH: Duration = Duration::from_secs(30);

/// Longest text that is written.
const LONGEST_TEXT: usize = 64;

/// What a host wants of a charge point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Charging allowed or not.
    Enabled(bool),
    /// Most current per phase.
    LimitCurrent(Milli),
    /// Charging mode.
    Mode(String),
}

impl Wish {
    /// It pauses charging.
    pub(super) fn stops(&self) -> bool {
        matches!(self, Self::Enabled(false) | Self::LimitCurrent(Milli(0)))
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enabled(enabled) => write!(f, "{enabled}"),
            Self::LimitCurrent(limit) => write!(f, "{}", limit.value()),
            Self::Mode(mode) => write!(f, "{mode}"),
        }
    }
}

/// A wish that was judged good; answered with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Unique within this run.
    pub id: u64,
    /// Charge point.
    pub point: Slug,
    /// What.
    pub wish: Wish,
}

/// Why a write is not even tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No birth announced it.
    #[error("no birth of this device announced such a metric")]
    Unknown,
    /// Announced, but not for writing.
    #[error("this metric cannot be written")]
    ReadOnly,
    /// Of another type.
    #[error("the value is not of the type that the birth announced")]
    Type,
    /// Beyond the range.
    #[error("beyond what was announced: {} to {}", .0.value(), .1.value())]
    Range(Milli, Milli),
    /// Of another time.
    #[error("its timestamp is more than 30 s away from the gateway's clock")]
    Time,
    /// Stored by the broker.
    #[error("a retained command is not carried out")]
    Retained,
    /// A value of the past is no order.
    #[error("a historical value is no command")]
    Historical,
    /// Too soon after another.
    #[error("written more than once within a second")]
    Often,
    /// Too many at once.
    #[error("too many commands wait for an answer")]
    Busy,
}

/// What a metric of a command asks, judged by what was announced.
///
/// # Errors
/// If it does not fit.
pub fn judge(line: &Line, metric: &Metric) -> Result<Wish, Refusal> {
    if !line.traits.writable {
        return Err(Refusal::ReadOnly);
    }
    if metric.is_historical == Some(true) {
        return Err(Refusal::Historical);
    }
    match (&*line.name, &metric.value) {
        (ENABLED, Some(Value::Boolean(enabled))) => Ok(Wish::Enabled(*enabled)),
        (LIMIT, _) => {
            let limit = written_number(metric).ok_or(Refusal::Type)?;
            match line.traits.range {
                Some((low, high)) if limit < low || limit > high => Err(Refusal::Range(low, high)),
                _ => Ok(Wish::LimitCurrent(limit)),
            }
        }
        (MODE, Some(Value::String(mode))) if mode.len() <= LONGEST_TEXT => Ok(Wish::Mode(mode.clone())),
        _ => Err(Refusal::Type),
    }
}

/// Whether a command is of now; without a timestamp nobody can say it is not.
#[must_use]
pub fn is_fresh(timestamp: Option<u64>, now_unix_ms: i64) -> bool {
    let Some(timestamp) = timestamp else { return true };
    let now = u64::try_from(now_unix_ms).unwrap_or(0);
    u128::from(now.abs_diff(timestamp)) <= FRESH.as_millis()
}

/// What a metric of a command says, for the audit.
#[must_use]
pub fn told(metric: &Metric) -> String {
    match &metric.value {
        None => "null".to_owned(),
        Some(Value::Int(value)) => value.cast_signed().to_string(),
        Some(Value::Long(value)) => value.cast_signed().to_string(),
        Some(Value::Float(value)) => value.to_string(),
        Some(Value::Double(value)) => value.to_string(),
        Some(Value::Boolean(value)) => value.to_string(),
        Some(Value::String(text)) => text.chars().take(LONGEST_TEXT).collect(),
        Some(Value::Bytes(bytes)) => format!("{} bytes", bytes.len()),
    }
}

/// Name or alias of a metric of a command, for the audit.
#[must_use]
pub fn called(metric: &Metric) -> String {
    match (&metric.name, metric.alias) {
        (Some(name), _) if !name.is_empty() => name.chars().take(LONGEST_TEXT).collect(),
        (_, Some(alias)) => format!("alias {alias}"),
        _ => "without a name".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::datum::{Datatype, Traits};
    use super::super::row::Band;
    use super::*;
    use crate::telemetry::At;
    use std::sync::Arc;

    fn line(name: &str, writable: bool) -> Line {
        Line {
            name: Arc::from(name),
            kind: Datatype::Double,
            traits: Traits {
                writable,
                range: (name == LIMIT).then_some((Milli(0), Milli(32_000))),
                unit: None,
            },
            band: Band::default(),
            measured: false,
            value: None,
            at: At(0),
        }
    }

    fn written(value: Value) -> Metric {
        Metric {
            value: Some(value),
            ..Metric::default()
        }
    }

    #[test]
    fn what_fits_the_announcement_is_a_wish() {
        let limit = |value| judge(&line(LIMIT, true), &written(value));
        assert_eq!(limit(Value::Long(16)), Ok(Wish::LimitCurrent(Milli(16_000))));
        assert_eq!(limit(Value::Double(0.0)), Ok(Wish::LimitCurrent(Milli(0))));
        assert_eq!(
            limit(Value::Double(32.1)),
            Err(Refusal::Range(Milli(0), Milli(32_000)))
        );
        assert_eq!(
            limit(Value::Int(u32::MAX)),
            Err(Refusal::Range(Milli(0), Milli(32_000)))
        );
        assert_eq!(limit(Value::Boolean(true)), Err(Refusal::Type));
        let enabled = |value| judge(&line(ENABLED, true), &written(value));
        assert_eq!(enabled(Value::Boolean(false)), Ok(Wish::Enabled(false)));
        assert_eq!(enabled(Value::Int(1)), Err(Refusal::Type));
        let mode = |text: &str| judge(&line(MODE, true), &written(Value::String(text.to_owned())));
        assert_eq!(mode("eco"), Ok(Wish::Mode("eco".to_owned())));
        assert_eq!(mode(&"e".repeat(65)), Err(Refusal::Type));
    }

    #[test]
    fn what_is_not_for_writing_is_not_written() {
        assert_eq!(
            judge(&line(LIMIT, false), &written(Value::Long(16))),
            Err(Refusal::ReadOnly)
        );
        assert_eq!(
            judge(&line("Power", true), &written(Value::Long(16))),
            Err(Refusal::Type)
        );
        assert_eq!(judge(&line(LIMIT, true), &Metric::default()), Err(Refusal::Type));
        let past = Metric {
            is_historical: Some(true),
            ..written(Value::Long(16))
        };
        assert_eq!(judge(&line(LIMIT, true), &past), Err(Refusal::Historical));
    }

    #[test]
    fn a_command_of_another_time_is_not_carried_out() {
        let now = 1_700_000_000_000;
        assert!(is_fresh(None, now));
        for (timestamp, fresh) in [
            (1_700_000_030_000, true),
            (1_700_000_030_001, false),
            (1_699_999_970_000, true),
            (1_699_999_969_999, false),
            (0, false),
            (u64::MAX, false),
        ] {
            assert_eq!(is_fresh(Some(timestamp), now), fresh, "{timestamp}");
        }
    }
}
