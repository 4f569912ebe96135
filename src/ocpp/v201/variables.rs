//! The variables of the controllers as one table (2.0.1 part 2, appendix 3): type, range, access, default.
//!
//! Rules it keeps: what can be written changes something, what cannot be changed is read-only, what would be neither
//! does not exist. `TxStartPoint` and `TxStopPoint` are what the station does: a transaction runs while a vehicle is
//! connected and authorised, which is `PowerPathClosed` (E01.FR.05, E06.FR.06).

use super::super::measurands::{ENERGY, USUAL};
use super::measure;

/// Type and range of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number in this range.
    Int(i64, i64),
    /// Text, told only.
    Text,
    /// A time, told only.
    DateTime,
    /// Some of these.
    Members(&'static str),
    /// These in an order.
    Sequence(&'static str),
    /// Measurands.
    Measurands,
    /// The billing register or nothing: the begin of a transaction knows no other value.
    Register,
}

/// One variable of a controller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// `Component.Variable` or `Component.Variable[Instance]`.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) writable: bool,
    pub(super) default: &'static str,
    pub(super) unit: Option<&'static str>,
}

const fn rw(name: &'static str, kind: Kind, default: &'static str) -> Entry {
    Entry {
        name,
        kind,
        writable: true,
        default,
        unit: None,
    }
}

const fn seconds(name: &'static str, least: i64, most: i64, default: &'static str) -> Entry {
    Entry {
        unit: Some("s"),
        ..rw(name, Kind::Int(least, most), default)
    }
}

const fn ro(name: &'static str, kind: Kind, default: &'static str) -> Entry {
    Entry {
        writable: false,
        ..rw(name, kind, default)
    }
}

const DAY: i64 = 86_400;
const ANY: Kind = Kind::Int(0, i32::MAX as i64);
const TX_POINTS: Kind =
    Kind::Members("ParkingBayOccupancy,EVConnected,Authorized,DataSigned,PowerPathClosed,EnergyTransfer");

/// Every variable of the controllers. Empty read-only values are filled in at the start.
pub(super) const TABLE: &[Entry] = &[
    ro("AlignedDataCtrlr.Available", Kind::Bool, "true"),
    seconds("AlignedDataCtrlr.Interval", 0, DAY, "0"),
    rw("AlignedDataCtrlr.Measurands", Kind::Measurands, ENERGY),
    seconds("AlignedDataCtrlr.TxEndedInterval", 0, DAY, "0"),
    rw("AlignedDataCtrlr.TxEndedMeasurands", Kind::Measurands, ""),
    ro("AuthCacheCtrlr.Available", Kind::Bool, "true"),
    rw("AuthCacheCtrlr.Enabled", Kind::Bool, "true"),
    rw("AuthCtrlr.AuthorizeRemoteStart", Kind::Bool, "false"),
    ro("AuthCtrlr.Enabled", Kind::Bool, "true"),
    rw("AuthCtrlr.LocalAuthorizeOffline", Kind::Bool, "true"),
    rw("AuthCtrlr.LocalPreAuthorize", Kind::Bool, "false"),
    rw("AuthCtrlr.OfflineTxForUnknownIdEnabled", Kind::Bool, "false"),
    ro("ClockCtrlr.DateTime", Kind::DateTime, ""),
    ro(
        "ClockCtrlr.TimeSource",
        Kind::Sequence("NTP,Heartbeat"),
        "NTP,Heartbeat",
    ),
    ro("DeviceDataCtrlr.BytesPerMessage[GetReport]", ANY, BYTES),
    ro("DeviceDataCtrlr.BytesPerMessage[GetVariables]", ANY, BYTES),
    ro("DeviceDataCtrlr.BytesPerMessage[SetVariables]", ANY, BYTES),
    ro("DeviceDataCtrlr.ItemsPerMessage[GetReport]", ANY, ITEMS),
    ro("DeviceDataCtrlr.ItemsPerMessage[GetVariables]", ANY, ITEMS),
    ro("DeviceDataCtrlr.ItemsPerMessage[SetVariables]", ANY, ITEMS),
    ro("OCPPCommCtrlr.ActiveNetworkProfile", Kind::Text, "1"),
    // Nothing is transferred yet.
    ro(
        "OCPPCommCtrlr.FileTransferProtocols",
        Kind::Members("FTP,FTPS,HTTP,HTTPS,SFTP"),
        "",
    ),
    seconds("OCPPCommCtrlr.HeartbeatInterval", 1, DAY, "300"),
    seconds(
        "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]",
        0,
        DAY,
        "60",
    ),
    rw(
        "OCPPCommCtrlr.MessageAttempts[TransactionEvent]",
        Kind::Int(1, 100),
        "3",
    ),
    seconds("OCPPCommCtrlr.MessageTimeout[Default]", 1, 3_600, ""),
    ro("OCPPCommCtrlr.NetworkConfigurationPriority", Kind::Text, "1"),
    ro("OCPPCommCtrlr.NetworkProfileConnectionAttempts", ANY, "1"),
    seconds("OCPPCommCtrlr.OfflineThreshold", 0, DAY, "60"),
    ro("OCPPCommCtrlr.ResetRetries", ANY, "0"),
    rw("OCPPCommCtrlr.UnlockOnEVSideDisconnect", Kind::Bool, "false"),
    seconds("OCPPCommCtrlr.WebSocketPingInterval", 0, DAY, ""),
    ro("SampledDataCtrlr.Available", Kind::Bool, "true"),
    seconds("SampledDataCtrlr.TxEndedInterval", 0, DAY, "0"),
    rw("SampledDataCtrlr.TxEndedMeasurands", Kind::Measurands, ENERGY),
    rw("SampledDataCtrlr.TxStartedMeasurands", Kind::Register, ENERGY),
    seconds("SampledDataCtrlr.TxUpdatedInterval", 0, DAY, "60"),
    rw("SampledDataCtrlr.TxUpdatedMeasurands", Kind::Measurands, USUAL),
    ro("SecurityCtrlr.CertificateEntries", ANY, "0"),
    ro("SecurityCtrlr.Identity", Kind::Text, ""),
    ro("SecurityCtrlr.OrganizationName", Kind::Text, ""),
    ro("SecurityCtrlr.SecurityProfile", Kind::Int(0, 3), ""),
    ro(
        "SmartChargingCtrlr.ACPhaseSwitchingSupported",
        Kind::Bool,
        "false",
    ),
    ro("SmartChargingCtrlr.Available", Kind::Bool, "true"),
    ro("SmartChargingCtrlr.Enabled", Kind::Bool, "true"),
    ro("SmartChargingCtrlr.PeriodsPerSchedule", ANY, ""),
    ro("SmartChargingCtrlr.Phases3to1", Kind::Bool, "false"),
    ro("SmartChargingCtrlr.ProfileStackLevel", ANY, ""),
    ro("SmartChargingCtrlr.RateUnit", Kind::Members("A,W"), "A,W"),
    seconds("TxCtrlr.EVConnectionTimeOut", 1, DAY, "60"),
    rw("TxCtrlr.MaxEnergyOnInvalidId", Kind::Int(0, 1_000_000), "0"),
    rw("TxCtrlr.StopTxOnEVSideDisconnect", Kind::Bool, "true"),
    rw("TxCtrlr.StopTxOnInvalidId", Kind::Bool, "true"),
    ro("TxCtrlr.TxStartPoint", TX_POINTS, "PowerPathClosed"),
    ro("TxCtrlr.TxStopPoint", TX_POINTS, "PowerPathClosed"),
];

/// All that is known when a transaction begins.
pub(super) const REGISTER: &str = ENERGY;
/// Most items of one GetVariables or SetVariables, as text and number.
const ITEMS: &str = "100";
/// See [`ITEMS`].
pub(super) const MAX_ITEMS: usize = 100;
/// Largest payload of one GetVariables or SetVariables.
const BYTES: &str = "65536";
/// See [`BYTES`].
pub(super) const MAX_BYTES: usize = 65_536;
/// Longest value that can be set.
const MAX_VALUE: usize = 1_000;

/// Why a value is refused: a standard reason code (appendix 5) and words.
pub(super) type Refusal = (&'static str, &'static str);

/// Looks a variable up; names are compared without regard to case.
pub(super) fn find(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.name.eq_ignore_ascii_case(name))
}

/// Component, variable and instance of a name.
pub(super) fn parts(name: &str) -> (&str, &str, Option<&str>) {
    let (component, rest) = name.split_once('.').unwrap_or((name, ""));
    match rest.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
        Some((variable, instance)) => (component, variable, Some(instance)),
        None => (component, rest, None),
    }
}

/// The value as it is kept, or why it is refused.
pub(super) fn normal(entry: &Entry, value: &str) -> Result<String, Refusal> {
    let value = value.trim();
    if value.len() > MAX_VALUE {
        return Err(("TooLargeElement", "longer than 1000 characters"));
    }
    match entry.kind {
        Kind::Bool => match value.to_ascii_lowercase().as_str() {
            "true" => Ok("true".to_owned()),
            "false" => Ok("false".to_owned()),
            _ => Err(("InvalidValue", "neither true nor false")),
        },
        Kind::Int(least, most) => match value.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(number.to_string()),
            Ok(_) => Err(("ValueOutOfRange", "out of range")),
            Err(_) => Err(("InvalidValue", "not a whole number")),
        },
        Kind::Measurands => list(value),
        Kind::Register => match list(value)?.as_str() {
            kept @ ("" | REGISTER) => Ok(kept.to_owned()),
            _ => Err(("InvalidValue", "more than is known when a transaction begins")),
        },
        Kind::Text | Kind::DateTime | Kind::Members(_) | Kind::Sequence(_) => Ok(value.to_owned()),
    }
}

fn list(value: &str) -> Result<String, Refusal> {
    measure::parse_list(value).map_err(|why| ("InvalidValue", why))?;
    let items: Vec<&str> = super::super::measurands::items(value).collect();
    Ok(items.join(","))
}

/// The standard spelling of every variable that can be written, for a near guess.
pub fn writable() -> impl Iterator<Item = &'static str> {
    TABLE
        .iter()
        .filter(|entry| entry.writable)
        .map(|entry| entry.name)
}

/// Why a variable of the configuration file cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// There is none of that name.
    Unknown,
    /// It is told and cannot be set.
    ReadOnly,
    /// The value does not fit.
    Value {
        /// What is wrong with it, after "is".
        problem: &'static str,
        /// What would fit.
        expected: String,
    },
}

/// Checks a variable of the configuration file, `Component.Variable` or `Component.Variable[Instance]`.
///
/// # Errors
/// Says what is wrong: the variable does not exist, is read-only, or its value is refused.
pub fn check(name: &str, value: &str) -> Result<(), Unfit> {
    let entry = find(name).ok_or(Unfit::Unknown)?;
    if !entry.writable {
        return Err(Unfit::ReadOnly);
    }
    normal(entry, value)
        .map(|_| ())
        .map_err(|(_, problem)| Unfit::Value {
            problem,
            expected: expected(entry.kind),
        })
}

fn expected(kind: Kind) -> String {
    match kind {
        Kind::Bool => "true or false".to_owned(),
        Kind::Int(least, most) => format!("a whole number from {least} to {most}"),
        Kind::Measurands => format!(
            "some of {}, with commas between them",
            measure::known().join(", ")
        ),
        Kind::Register => format!("{REGISTER} or nothing"),
        Kind::Text | Kind::DateTime | Kind::Members(_) | Kind::Sequence(_) => "a text".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_passes_its_own_check_and_no_name_stands_twice() {
        for entry in TABLE.iter().filter(|entry| !entry.default.is_empty()) {
            assert_eq!(
                normal(entry, entry.default).as_deref(),
                Ok(entry.default),
                "{}",
                entry.name
            );
        }
        let mut names: Vec<String> = TABLE.iter().map(|e| e.name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
        assert_eq!(BYTES, MAX_BYTES.to_string());
        assert_eq!(ITEMS, MAX_ITEMS.to_string());
        assert_eq!(parts("A.B[C]"), ("A", "B", Some("C")));
        assert_eq!(parts("A.B"), ("A", "B", None));
    }

    #[test]
    fn bad_values_are_refused() {
        for (name, value) in [
            ("OCPPCommCtrlr.HeartbeatInterval", "0"),
            ("OCPPCommCtrlr.HeartbeatInterval", "1.5"),
            ("OCPPCommCtrlr.HeartbeatInterval", ""),
            ("OCPPCommCtrlr.MessageAttempts", "3"),
            ("SampledDataCtrlr.TxStartedMeasurands", "Voltage"),
            ("SampledDataCtrlr.TxUpdatedMeasurands", "Voltage.L1"),
            ("AuthCtrlr.LocalPreAuthorize", "1"),
            ("TxCtrlr.TxStartPoint", "Authorized"),
            ("No.Such", "1"),
        ] {
            assert!(check(name, value).is_err(), "{name}={value}");
        }
        for (name, value) in [
            ("ocppcommctrlr.heartbeatinterval", "10"),
            ("OCPPCommCtrlr.MessageAttempts[TransactionEvent]", "5"),
            ("SampledDataCtrlr.TxStartedMeasurands", ""),
            ("AuthCtrlr.LocalPreAuthorize", "True"),
        ] {
            assert_eq!(check(name, value), Ok(()), "{name}={value}");
        }
    }
}
