//! Times, energies and comma-separated values as they are read and printed here.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The instant meant by `--from`, Unix milliseconds.
pub(super) fn begin_of(text: &str) -> Result<i64, String> {
    match text.parse::<Date>().ok().filter(|_| text.len() == 10) {
        Some(day) => midnight(day),
        None => instant(text),
    }
}

/// The instant meant by `--to`, Unix milliseconds: a day counts to its end.
pub(super) fn end_of(text: &str) -> Result<i64, String> {
    match text.parse::<Date>().ok().filter(|_| text.len() == 10) {
        Some(day) => midnight(day.tomorrow().map_err(|error| error.to_string())?),
        None => instant(text),
    }
}

fn midnight(day: Date) -> Result<i64, String> {
    let at = day.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?;
    Ok(at.timestamp().as_millisecond())
}

fn instant(text: &str) -> Result<i64, String> {
    text.parse::<Timestamp>()
        .map(Timestamp::as_millisecond)
        .map_err(|_| "expected a day like 2026-11-01 or a time like 2026-11-01T12:00:00Z".to_owned())
}

/// A time with milliseconds.
pub(super) fn time(unix_ms: i64) -> String {
    let at = Timestamp::from_millisecond(unix_ms).unwrap_or_default();
    format!("{at:.3}")
}

/// A time to the second.
pub(super) fn second(unix_ms: i64) -> String {
    let at = Timestamp::from_second(unix_ms.div_euclid(1_000)).unwrap_or_default();
    at.to_string()
}

/// Milliwatt-hours in kWh to the watt-hour, toward zero.
pub(super) fn kwh(mwh: i64) -> String {
    let (sign, wh) = (if mwh <= -1_000 { "-" } else { "" }, mwh.unsigned_abs() / 1_000);
    format!("{sign}{}.{:03}", wh / 1_000, wh % 1_000)
}

/// Milliwatt-hours in watt-hours, exactly.
pub(super) fn wh(mwh: i64) -> String {
    let sign = if mwh < 0 { "-" } else { "" };
    let mwh = mwh.unsigned_abs();
    format!("{sign}{}.{:03}", mwh / 1_000, mwh % 1_000)
}

/// Text of a device or a CSMS: a terminal must not take orders from it.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// One line of comma-separated values (RFC 4180).
pub(super) fn csv_line(fields: &[String]) -> String {
    let quoted = |field: &String| {
        if field.contains([',', '"', '\r', '\n']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.clone()
        }
    };
    fields.iter().map(quoted).collect::<Vec<_>>().join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_meant_from_its_begin_to_its_end() {
        assert_eq!(begin_of("2026-01-01"), Ok(1_767_225_600_000));
        assert_eq!(end_of("2026-01-01"), begin_of("2026-01-02"));
        assert_eq!(begin_of("2026-01-01T00:00:01Z"), Ok(1_767_225_601_000));
        assert_eq!(end_of("2026-01-01T01:00:00+01:00"), Ok(1_767_225_600_000));
        for bad in ["", "2026-13-01", "yesterday", "2026-01-01T00:00"] {
            assert!(begin_of(bad).unwrap_err().contains("expected a day"), "{bad}");
        }
    }

    #[test]
    fn energies_are_exact_and_never_round_up() {
        assert_eq!(
            (kwh(1_999_999), kwh(0), kwh(-1)),
            ("1.999".into(), "0.000".into(), "0.000".into())
        );
        assert_eq!(kwh(-2_500_000), "-2.500");
        assert_eq!((wh(1_234_567), wh(-5)), ("1234.567".into(), "-0.005".into()));
    }

    #[test]
    fn values_are_quoted_where_they_must_be() {
        let line = ["a", "b,c", "say \"x\"", "two\nlines", ""].map(str::to_owned);
        assert_eq!(csv_line(&line), "a,\"b,c\",\"say \"\"x\"\"\",\"two\nlines\",\r\n");
        assert_eq!(time(1_767_225_600_007), "2026-01-01T00:00:00.007Z");
        assert_eq!(second(-1), "1969-12-31T23:59:59Z");
    }
}
