//! The configuration keys of 1.6 as one table (section 9, errata 3.83, 3.90 and 3.91): type, range, access, default.
//!
//! Rules it keeps: an unknown key is `NotSupported`, a bad value or a read-only key is `Rejected`, a list with one
//! unsupported measurand changes nothing (errata 3.14.4). No key here needs a restart, so none says
//! `RebootRequired`. What can be written changes something; a standard key that would not is read-only where it is
//! required, else it does not exist (lamps, lists of other profiles).

use super::super::measurands::{self, MAX_MEASURANDS, USUAL};
use super::super::schedule::{MAX_PERIODS, MAX_STACK_LEVEL};
use super::super::steering::{
    self, Lists, Steering,
    Steers::{Energy, Flag, Measurands, Seconds},
};
use super::credentials::PROFILE_KEY;
use super::measure;
use super::readonly::OWN_KEYS;
use crate::domain::{
    CHAIN_MAX, CpSetup, CsmsSetup, LOCAL_LIST_MAX, PROFILES_MAX, Params, Phase, ROOTS_MAX, STOP_SAMPLES_MAX,
};
use ocpp_kit::v1_6::{ConfigurationStatus, KeyValue};
use std::collections::BTreeMap;
use std::time::Duration;

/// Most keys one GetConfiguration may name.
pub(super) const MAX_KEYS: usize = 100;
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
pub enum Kind {
    /// `true` or `false`, in any case.
    Bool,
    /// A whole number in this range, digits only.
    Int(i64, i64),
    /// Measurands, comma separated.
    Measurands,
    /// Text as it comes.
    Text,
    /// Written by way of whoever keeps the credentials.
    Credential,
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
const UNLOCK: &str = "UnlockConnectorOnEVSideDisconnect";

/// Every key, in the order GetConfiguration tells them. Empty read-only values are filled in at the start.
const TABLE: &[Key] = &[
    ro("AdditionalRootCertificateCheck", "false"),
    rw("AllowOfflineTxForUnknownId", Kind::Bool, "false"),
    rw("AuthorizationCacheEnabled", Kind::Bool, "true"),
    rw("AuthorizeRemoteTxRequests", Kind::Bool, "false"),
    ro("CertificateSignedMaxChainSize", ""),
    ro("CertificateStoreMaxLength", ""),
    rw("ClockAlignedDataInterval", DAY, "0"),
    rw("ConnectionTimeOut", Kind::Int(1, 86_400), "60"),
    // The wiring is the installer's to say.
    ro("ConnectorPhaseRotation", ""),
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
    // A reset of the session cannot fail, so that there is nothing to try again.
    ro("ResetRetries", "0"),
    rw("SecurityProfile", Kind::Credential, ""),
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
    rw(UNLOCK, Kind::Bool, "false"),
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
fn normal(key: &Key, value: &str) -> Result<String, &'static str> {
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
        Kind::Text => Ok(value.to_owned()),
        Kind::Credential => Err("set over OCPP only"),
    }
}

fn strip_blanks(value: &str) -> String {
    let items: Vec<&str> = measurands::items(value).collect();
    items.join(",")
}

/// The standard spelling of a name, with the kind of its value; names are compared without regard to case.
#[must_use]
pub fn known(name: &str) -> Option<(&'static str, Kind)> {
    find(name).map(|key| (key.name, key.kind))
}

/// The standard spelling of every key, for a near guess.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|key| key.name)
}

/// Every measurand a list may name.
#[must_use]
pub fn measurand_names() -> Vec<&'static str> {
    measurands::all().filter_map(measurands::name).collect()
}

/// Why a key of the configuration file cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// There is none of that name.
    Unknown,
    /// It is told and cannot be set.
    ReadOnly,
    /// The value does not fit; what is wrong with it, after "is".
    Value(&'static str),
}

/// Checks a key of the configuration file.
///
/// # Errors
/// Says what is wrong: the key does not exist, is read-only, or its value is refused.
pub fn check(name: &str, value: &str) -> Result<(), Unfit> {
    let key = find(name).ok_or(Unfit::Unknown)?;
    if !key.writable {
        return Err(Unfit::ReadOnly);
    }
    normal(key, value).map(|_| ()).map_err(Unfit::Value)
}

/// The keys with their values.
#[derive(Debug)]
pub(super) struct Keys {
    values: BTreeMap<&'static str, String>,
    /// Another CSMS is in control: only what concerns the connection can be changed.
    read_only: bool,
    /// No charger has a lock that could be opened.
    fixed_cables: bool,
}

impl Keys {
    /// Table defaults, then the set-up, then the configuration file, then what the CSMS changed.
    pub(super) fn new(cp: &CpSetup, csms: &CsmsSetup, restored: &[(String, String)]) -> Self {
        let mut keys = Self {
            values: TABLE
                .iter()
                .map(|key| (key.name, key.default.to_owned()))
                .collect(),
            read_only: !cp.is_controlled_by(csms),
            fixed_cables: !cp.evses.iter().any(|evse| evse.has_lock),
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
        for (name, value) in [
            ("CertificateSignedMaxChainSize", CHAIN_MAX.to_string()),
            ("CertificateStoreMaxLength", ROOTS_MAX.to_string()),
            ("SecurityProfile", csms.security_profile().to_string()),
            ("SupportedFeatureProfiles", profiles.to_owned()),
            ("ConnectorPhaseRotation", rotations.join(",")),
            (
                "ConnectorPhaseRotationMaxLength",
                (cp.evses.len() + 1).to_string(),
            ),
            ("GetConfigurationMaxKeys", MAX_KEYS.to_string()),
            ("LocalAuthListMaxLength", LOCAL_LIST_MAX.to_string()),
            ("SendLocalListMaxLength", MAX_SENT_LIST.to_string()),
            ("MessageTimeout", seconds(csms.message_timeout)),
            ("WebSocketPingInterval", seconds(csms.ping)),
            ("NumberOfConnectors", cp.evses.len().to_string()),
            ("MeterValuesAlignedDataMaxLength", MAX_MEASURANDS.to_string()),
            ("MeterValuesSampledDataMaxLength", MAX_MEASURANDS.to_string()),
            ("StopTxnAlignedDataMaxLength", MAX_MEASURANDS.to_string()),
            ("StopTxnSampledDataMaxLength", MAX_MEASURANDS.to_string()),
            ("StopTransactionMaxMeterValues", STOP_SAMPLES_MAX.to_string()),
            ("ChargeProfileMaxStackLevel", MAX_STACK_LEVEL.to_string()),
            ("ChargingScheduleMaxPeriods", MAX_PERIODS.to_string()),
            ("MaxChargingProfilesInstalled", PROFILES_MAX.to_string()),
        ] {
            self.values.insert(name, value);
        }
    }

    /// Takes over a value of the file or the store; what does not fit is left aside.
    pub(super) fn put(&mut self, name: &str, value: &str) {
        if let Some(key) = find(name).filter(|key| self.is_settable(key))
            && let Ok(value) = normal(key, value)
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
        match normal(key, value) {
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
        self.is_settable(key) && (!self.read_only || OWN_KEYS.contains(&key.name))
    }

    /// With fixed cables there is nothing to unlock: the key is false and stays so (errata 3.84).
    fn is_settable(&self, key: &Key) -> bool {
        key.writable && !(self.fixed_cables && key.name == UNLOCK)
    }

    /// The security profile in use.
    pub(super) fn tell_profile(&mut self, profile: u8) {
        self.values.insert(PROFILE_KEY, profile.to_string());
    }

    pub(super) fn text(&self, name: &str) -> &str {
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

    /// Whether StopTransaction carries meter values at all (errata 3.14.5).
    pub(super) fn stop_carries_data(&self) -> bool {
        !self.text("StopTxnSampledData").is_empty() || !self.text("StopTxnAlignedData").is_empty()
    }

    /// What the keys come to for the station. What the stop message carries is sampled as what is told.
    pub(super) fn params(&self) -> Params {
        let mut params = Params::default();
        steering::read(STEERING, LISTS, |name| self.text(name), &mut params);
        params.stop_sample_interval = params.sample_interval;
        params.stop_aligned_interval = params.aligned_interval;
        params
    }

    /// Takes over what steers the station as it is in force; what 1.6 has no key for is left out.
    pub(super) fn follow(&mut self, params: &Params) {
        for (name, value) in steering::written(STEERING, LISTS, params) {
            self.put(name, &value);
        }
    }
}

/// Keys that steer the station.
const STEERING: &[Steering] = &[
    ("ConnectionTimeOut", Seconds(|p| &mut p.connection_timeout)),
    ("MeterValueSampleInterval", Seconds(|p| &mut p.sample_interval)),
    ("ClockAlignedDataInterval", Seconds(|p| &mut p.aligned_interval)),
    ("MeterValuesSampledData", Measurands(|p| &mut p.sampled)),
    ("MeterValuesAlignedData", Measurands(|p| &mut p.aligned)),
    ("StopTxnSampledData", Measurands(|p| &mut p.stop_sampled)),
    ("StopTxnAlignedData", Measurands(|p| &mut p.stop_aligned)),
    ("MinimumStatusDuration", Seconds(|p| &mut p.min_status_duration)),
    (
        "StopTransactionOnEVSideDisconnect",
        Flag(|p| &mut p.stop_on_ev_disconnect),
    ),
    ("StopTransactionOnInvalidId", Flag(|p| &mut p.stop_on_invalid_id)),
    (
        "MaxEnergyOnInvalidId",
        Energy(|p| &mut p.max_energy_on_invalid_id),
    ),
    (
        "AuthorizeRemoteTxRequests",
        Flag(|p| &mut p.authorize_remote_start),
    ),
    ("LocalAuthorizeOffline", Flag(|p| &mut p.local_authorize_offline)),
    ("LocalPreAuthorize", Flag(|p| &mut p.local_pre_authorize)),
    (
        "AllowOfflineTxForUnknownId",
        Flag(|p| &mut p.allow_offline_unknown),
    ),
    ("AuthorizationCacheEnabled", Flag(|p| &mut p.cache_enabled)),
    ("LocalAuthListEnabled", Flag(|p| &mut p.list_enabled)),
    (UNLOCK, Flag(|p| &mut p.unlock_on_ev_disconnect)),
];

const LISTS: Lists = Lists {
    read: |text| measure::parse_list(text, MAX_MEASURANDS).unwrap_or_default(),
    write: measure::write_list,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_passes_its_own_check() {
        for key in TABLE.iter().filter(|key| key.writable && !key.default.is_empty()) {
            assert_eq!(
                normal(key, key.default).as_deref(),
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
    fn what_can_be_written_changes_something() {
        // Credentials go to the vault, CpoName into certificate requests.
        let used = |name: &&str| {
            STEERING.iter().any(|(key, _)| key == name)
                || OWN_KEYS.contains(name)
                || *name == "CpoName"
                || find(name).is_some_and(|key| key.kind == Kind::Credential)
        };
        let writable = TABLE.iter().filter(|key| key.writable).map(|key| key.name);
        let idle: Vec<&str> = writable.filter(|name| !used(name)).collect();
        assert_eq!(
            idle,
            Vec::<&str>::new(),
            "keys that change nothing are not to be writable"
        );
        assert!(
            STEERING
                .iter()
                .all(|(name, _)| find(name).is_some_and(|key| key.writable))
        );
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
            ("ConnectorPhaseRotation", "1.RST"),
            ("ResetRetries", "1"),
            ("NumberOfConnectors", "3"),
            ("NoSuchKey", "1"),
        ] {
            assert!(check(name, value).is_err(), "{name}={value}");
        }
        for (name, value) in [
            ("heartbeatinterval", "10"),
            ("LocalPreAuthorize", "True"),
            ("MeterValuesSampledData", "Voltage.L1-N, Current.Import.L1"),
            ("StopTxnSampledData", ""),
        ] {
            assert_eq!(check(name, value), Ok(()), "{name}={value}");
        }
    }
}
