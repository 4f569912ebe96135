//! The configuration keys of 1.6 as one table (section 9, errata 3.83, 3.90 and 3.91): type, range, access, default.
//!
//! Rules it keeps: an unknown key is `NotSupported`, a bad value or a read-only key is `Rejected`, a list with one
//! unsupported measurand changes nothing (errata 3.14.4). No key here needs a restart, so none says
//! `RebootRequired`; keys that would change nothing (lamps, lists of other profiles) do not exist.

use super::super::measurands::{self, MAX_MEASURANDS, USUAL};
use super::super::schedule::{MAX_PERIODS, MAX_STACK_LEVEL};
use super::measure;
use super::readonly::OWN_KEYS;
use crate::domain::{CpSetup, CsmsSetup, LOCAL_LIST_MAX, Measurand, MilliWattHours, Params, Phase, Security};
use ocpp_kit::v1_6::{ConfigurationStatus, KeyValue};
use std::collections::BTreeMap;
use std::time::Duration;

/// Most keys one GetConfiguration may name.
pub(super) const MAX_KEYS: usize = 100;
/// Most charging profiles installed at a time.
const MAX_PROFILES: usize = 50;
/// Most meter values in a StopTransaction (errata 3.91); keeps the message well under 256 KiB.
pub(super) const MAX_STOP_VALUES: usize = 100;
/// Feature profiles as `SupportedFeatureProfiles` tells them.
const PROFILES: &str = "Core,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger";
/// The same where firmware can be updated.
const PROFILES_FIRMWARE: &str =
    "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger";
/// Most tokens one SendLocalList may name; keeps the message well under 256 KiB.
pub(super) const MAX_SENT_LIST: usize = 1_000;
/// Longest value of a key (section 6.37: CiString500).
const MAX_VALUE: usize = 500;

/// Type and range of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `true` or `false`, in any case.
    Bool,
    /// A whole number in this range, digits only.
    Int(i64, i64),
    /// Measurands, comma separated.
    Measurands,
    /// Phase rotation per connector, comma separated.
    Rotation,
    /// Text as it comes.
    Text,
}

/// One key.
#[derive(Clone, Copy, Debug)]
struct Key {
    name: &'static str,
    kind: Kind,
    writable: bool,
    default: &'static str,
}

const fn rw(name: &'static str, kind: Kind, default: &'static str) -> Key {
    Key {
        name,
        kind,
        writable: true,
        default,
    }
}

const fn ro(name: &'static str, default: &'static str) -> Key {
    Key {
        name,
        kind: Kind::Text,
        writable: false,
        default,
    }
}

const DAY: Kind = Kind::Int(0, 86_400);

/// Every key, in the order GetConfiguration tells them. Empty read-only values are filled in at the start.
const TABLE: &[Key] = &[
    rw("AllowOfflineTxForUnknownId", Kind::Bool, "false"),
    rw("AuthorizationCacheEnabled", Kind::Bool, "true"),
    rw("AuthorizeRemoteTxRequests", Kind::Bool, "false"),
    rw("ClockAlignedDataInterval", DAY, "0"),
    rw("ConnectionTimeOut", Kind::Int(1, 86_400), "60"),
    rw("ConnectorPhaseRotation", Kind::Rotation, ""),
    ro("ConnectorPhaseRotationMaxLength", ""),
    ro("GetConfigurationMaxKeys", ""),
    rw("CpoName", Kind::Text, ""),
    rw("HeartbeatInterval", Kind::Int(1, 86_400), "300"),
    rw("LocalAuthListEnabled", Kind::Bool, "true"),
    ro("LocalAuthListMaxLength", ""),
    rw("LocalAuthorizeOffline", Kind::Bool, "true"),
    rw("LocalPreAuthorize", Kind::Bool, "false"),
    rw("MaxEnergyOnInvalidId", Kind::Int(0, 1_000_000), "0"),
    rw("MessageTimeout", Kind::Int(1, 3_600), "30"),
    rw("MeterValueSampleInterval", DAY, "60"),
    rw(
        "MeterValuesAlignedData",
        Kind::Measurands,
        "Energy.Active.Import.Register",
    ),
    ro("MeterValuesAlignedDataMaxLength", ""),
    rw("MeterValuesSampledData", Kind::Measurands, USUAL),
    ro("MeterValuesSampledDataMaxLength", ""),
    rw("MinimumStatusDuration", Kind::Int(0, 3_600), "0"),
    ro("NumberOfConnectors", ""),
    ro("ReserveConnectorZeroSupported", "true"),
    rw("ResetRetries", Kind::Int(0, 10), "1"),
    ro("SecurityProfile", ""),
    ro("SendLocalListMaxLength", ""),
    rw("StopTransactionOnEVSideDisconnect", Kind::Bool, "true"),
    rw("StopTransactionOnInvalidId", Kind::Bool, "true"),
    rw("StopTxnAlignedData", Kind::Measurands, ""),
    ro("StopTxnAlignedDataMaxLength", ""),
    rw("StopTxnSampledData", Kind::Measurands, ""),
    ro("StopTxnSampledDataMaxLength", ""),
    ro("StopTransactionMaxMeterValues", ""),
    ro("SupportedFeatureProfiles", PROFILES),
    ro("SupportedFileTransferProtocols", "FTP,FTPS,HTTP,HTTPS"),
    rw("TransactionMessageAttempts", Kind::Int(1, 100), "3"),
    rw("TransactionMessageRetryInterval", DAY, "60"),
    rw("UnlockConnectorOnEVSideDisconnect", Kind::Bool, "false"),
    rw("WebSocketPingInterval", DAY, "60"),
    ro("ChargeProfileMaxStackLevel", ""),
    ro("ChargingScheduleAllowedChargingRateUnit", "Current,Power"),
    ro("ChargingScheduleMaxPeriods", ""),
    ro("ConnectorSwitch3to1PhaseSupported", "false"),
    ro("MaxChargingProfilesInstalled", ""),
];

/// Looks a key up; names are compared without regard to case (CiString50).
fn find(name: &str) -> Option<&'static Key> {
    TABLE.iter().find(|key| key.name.eq_ignore_ascii_case(name))
}

/// The value as it is kept, or why it is refused.
fn normal(key: &Key, value: &str, connectors: usize) -> Result<String, &'static str> {
    let value = value.trim();
    if value.len() > MAX_VALUE {
        return Err("longer than 500 characters");
    }
    match key.kind {
        Kind::Bool => match value.to_ascii_lowercase().as_str() {
            "true" => Ok("true".to_owned()),
            "false" => Ok("false".to_owned()),
            _ => Err("neither true nor false"),
        },
        Kind::Int(least, most) => {
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let number: Option<i64> = if digits { value.parse().ok() } else { None };
            match number {
                Some(number) if (least..=most).contains(&number) => Ok(number.to_string()),
                Some(_) => Err("out of range"),
                None => Err("not a whole number"),
            }
        }
        Kind::Measurands => measure::parse_list(value, MAX_MEASURANDS).map(|_| strip_blanks(value)),
        Kind::Rotation => rotation(value, connectors),
        Kind::Text => Ok(value.to_owned()),
    }
}

fn strip_blanks(value: &str) -> String {
    let items: Vec<&str> = measurands::items(value).collect();
    items.join(",")
}

fn rotation(value: &str, connectors: usize) -> Result<String, &'static str> {
    const ROTATIONS: [&str; 8] = [
        "NotApplicable",
        "Unknown",
        "RST",
        "RTS",
        "SRT",
        "STR",
        "TRS",
        "TSR",
    ];
    for item in value.split(',').map(str::trim) {
        let (connector, rotation) = item.split_once('.').ok_or("not <connector>.<rotation>")?;
        let connector: usize = connector.parse().map_err(|_| "not a connector number")?;
        if connector > connectors || !ROTATIONS.contains(&rotation) {
            return Err("unknown connector or rotation");
        }
    }
    Ok(strip_blanks(value))
}

/// Checks a key of the configuration file.
///
/// # Errors
/// Says what is wrong: the key does not exist, is read-only, or its value is refused.
pub fn check(name: &str, value: &str, connectors: usize) -> Result<(), &'static str> {
    let key = find(name).ok_or("no such OCPP 1.6 key")?;
    if !key.writable {
        return Err("this OCPP 1.6 key is read-only");
    }
    normal(key, value, connectors).map(|_| ())
}

/// The keys with their values.
#[derive(Debug)]
pub(super) struct Keys {
    values: BTreeMap<&'static str, String>,
    connectors: usize,
    /// Another CSMS is in control: only what concerns the connection can be changed.
    read_only: bool,
}

impl Keys {
    /// Table defaults, then the set-up, then the configuration file, then what the CSMS changed.
    pub(super) fn new(cp: &CpSetup, csms: &CsmsSetup, restored: &[(String, String)]) -> Self {
        let mut keys = Self {
            values: TABLE
                .iter()
                .map(|key| (key.name, key.default.to_owned()))
                .collect(),
            connectors: cp.evses.len(),
            read_only: !cp.is_controlled_by(csms),
        };
        keys.fill_in(cp, csms);
        for (name, value) in &cp.keys {
            keys.put(name, value);
        }
        for (key, value) in restored {
            if let Some(name) = key.strip_prefix("key/") {
                keys.put(name, value);
            }
        }
        keys
    }

    fn fill_in(&mut self, cp: &CpSetup, csms: &CsmsSetup) {
        let seconds = |wait: Duration| wait.as_secs().max(u64::from(!wait.is_zero())).to_string();
        let rotations: Vec<String> = cp
            .evses
            .iter()
            .map(|evse| {
                let rotation = match (evse.phases, evse.first_phase) {
                    (3, Phase::L2) => "STR",
                    (3, Phase::L3) => "TRS",
                    (3, _) => "RST",
                    _ => "NotApplicable",
                };
                format!("{}.{rotation}", evse.id)
            })
            .collect();
        let profiles = if cp.firmware.is_some() {
            PROFILES_FIRMWARE
        } else {
            PROFILES
        };
        let profile = match (&csms.security, csms.url.starts_with("wss:")) {
            (Security::None, _) => 0,
            (Security::Basic { .. }, false) => 1,
            (Security::Basic { .. }, true) => 2,
            (Security::Client { .. }, _) => 3,
        };
        for (name, value) in [
            ("SecurityProfile", profile.to_string()),
            ("SupportedFeatureProfiles", profiles.to_owned()),
            ("ConnectorPhaseRotation", rotations.join(",")),
            (
                "ConnectorPhaseRotationMaxLength",
                (self.connectors + 1).to_string(),
            ),
            ("GetConfigurationMaxKeys", MAX_KEYS.to_string()),
            ("LocalAuthListMaxLength", LOCAL_LIST_MAX.to_string()),
            ("SendLocalListMaxLength", MAX_SENT_LIST.to_string()),
            ("MessageTimeout", seconds(csms.message_timeout)),
            ("WebSocketPingInterval", seconds(csms.ping)),
            ("NumberOfConnectors", self.connectors.to_string()),
            ("MeterValuesAlignedDataMaxLength", MAX_MEASURANDS.to_string()),
            ("MeterValuesSampledDataMaxLength", MAX_MEASURANDS.to_string()),
            ("StopTxnAlignedDataMaxLength", MAX_MEASURANDS.to_string()),
            ("StopTxnSampledDataMaxLength", MAX_MEASURANDS.to_string()),
            ("StopTransactionMaxMeterValues", MAX_STOP_VALUES.to_string()),
            ("ChargeProfileMaxStackLevel", MAX_STACK_LEVEL.to_string()),
            ("ChargingScheduleMaxPeriods", MAX_PERIODS.to_string()),
            ("MaxChargingProfilesInstalled", MAX_PROFILES.to_string()),
        ] {
            self.values.insert(name, value);
        }
    }

    /// Takes over a value of the file or the store; what does not fit is left aside.
    pub(super) fn put(&mut self, name: &str, value: &str) {
        if let Some(key) = find(name).filter(|key| key.writable)
            && let Ok(value) = normal(key, value, self.connectors)
        {
            self.values.insert(key.name, value);
        }
    }

    /// ChangeConfiguration (5.3): the answer, and what to keep.
    pub(super) fn change(
        &mut self,
        name: &str,
        value: &str,
    ) -> (ConfigurationStatus, Option<(String, String)>) {
        let Some(key) = find(name) else {
            return (ConfigurationStatus::NotSupported, None);
        };
        match normal(key, value, self.connectors) {
            Ok(value) if self.may_change(key) => {
                self.values.insert(key.name, value.clone());
                (
                    ConfigurationStatus::Accepted,
                    Some((format!("key/{}", key.name), value)),
                )
            }
            Ok(_) | Err(_) => (ConfigurationStatus::Rejected, None),
        }
    }

    /// GetConfiguration (5.8): the known keys asked for (none: all) and the unknown ones.
    pub(super) fn tell(&self, asked: &[String]) -> (Vec<KeyValue>, Vec<String>) {
        let told = |key: &Key| {
            let value = self.text(key.name).to_owned();
            KeyValue::new(key.name, !self.may_change(key)).with_value(value)
        };
        if asked.is_empty() {
            return (TABLE.iter().map(told).collect(), Vec::new());
        }
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for name in asked {
            match find(name) {
                Some(key) => known.push(told(key)),
                None => unknown.push(name.clone()),
            }
        }
        (known, unknown)
    }

    fn may_change(&self, key: &Key) -> bool {
        key.writable && (!self.read_only || OWN_KEYS.contains(&key.name))
    }

    fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    /// A number of a key; values were checked when they came in.
    pub(super) fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(0)
    }

    /// Seconds of a key.
    pub(super) fn seconds(&self, name: &str) -> Duration {
        Duration::from_secs(self.number(name))
    }

    fn measurands(&self, name: &str) -> Vec<Measurand> {
        measure::parse_list(self.text(name), MAX_MEASURANDS).unwrap_or_default()
    }

    /// Whether StopTransaction carries meter values at all (errata 3.14.5).
    pub(super) fn stop_carries_data(&self) -> bool {
        !self.text("StopTxnSampledData").is_empty() || !self.text("StopTxnAlignedData").is_empty()
    }

    /// What the keys come to for the station.
    pub(super) fn params(&self) -> Params {
        let energy = i64::try_from(self.number("MaxEnergyOnInvalidId")).unwrap_or(0);
        Params {
            connection_timeout: self.seconds("ConnectionTimeOut"),
            sample_interval: self.seconds("MeterValueSampleInterval"),
            aligned_interval: self.seconds("ClockAlignedDataInterval"),
            sampled: self.measurands("MeterValuesSampledData"),
            aligned: self.measurands("MeterValuesAlignedData"),
            stop_sampled: self.measurands("StopTxnSampledData"),
            stop_aligned: self.measurands("StopTxnAlignedData"),
            stop_sample_interval: self.seconds("MeterValueSampleInterval"),
            stop_aligned_interval: self.seconds("ClockAlignedDataInterval"),
            min_status_duration: self.seconds("MinimumStatusDuration"),
            stop_on_ev_disconnect: self.flag("StopTransactionOnEVSideDisconnect"),
            stop_on_invalid_id: self.flag("StopTransactionOnInvalidId"),
            max_energy_on_invalid_id: MilliWattHours::from_base(energy),
            authorize_remote_start: self.flag("AuthorizeRemoteTxRequests"),
            local_authorize_offline: self.flag("LocalAuthorizeOffline"),
            local_pre_authorize: self.flag("LocalPreAuthorize"),
            allow_offline_unknown: self.flag("AllowOfflineTxForUnknownId"),
            cache_enabled: self.flag("AuthorizationCacheEnabled"),
            list_enabled: self.flag("LocalAuthListEnabled"),
            unlock_on_ev_disconnect: self.flag("UnlockConnectorOnEVSideDisconnect"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_passes_its_own_check() {
        for key in TABLE.iter().filter(|key| key.writable && !key.default.is_empty()) {
            assert_eq!(
                normal(key, key.default, 1).as_deref(),
                Ok(key.default),
                "{}",
                key.name
            );
        }
        let mut names: Vec<&str> = TABLE.iter().map(|key| key.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
        assert!(TABLE.iter().all(|key| key.name.len() <= 50));
    }

    #[test]
    fn bad_values_are_refused() {
        for (name, value) in [
            ("HeartbeatInterval", "-1"),
            ("HeartbeatInterval", "+5"),
            ("HeartbeatInterval", "0"),
            ("HeartbeatInterval", "1.5"),
            ("HeartbeatInterval", ""),
            ("HeartbeatInterval", "99999999999999999999"),
            ("WebSocketPingInterval", "-1"),
            ("LocalPreAuthorize", "1"),
            ("MeterValuesSampledData", "Energy.Active.Import.Register,RPM"),
            ("MeterValuesSampledData", "Voltage.L4"),
            ("ConnectorPhaseRotation", "2.RST"),
            ("ConnectorPhaseRotation", "1.ABC"),
            ("NumberOfConnectors", "3"),
            ("NoSuchKey", "1"),
        ] {
            assert!(check(name, value, 1).is_err(), "{name}={value}");
        }
        for (name, value) in [
            ("heartbeatinterval", "10"),
            ("LocalPreAuthorize", "True"),
            ("MeterValuesSampledData", "Voltage.L1-N, Current.Import.L1"),
            ("StopTxnSampledData", ""),
            ("ConnectorPhaseRotation", "0.RST,1.NotApplicable"),
        ] {
            assert_eq!(check(name, value, 1), Ok(()), "{name}={value}");
        }
    }
}
