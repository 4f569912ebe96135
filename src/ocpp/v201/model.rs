//! The values of the controllers' variables, and what they come to.

use super::super::dialect::KeyPut;
use super::super::schedule::{MAX_PERIODS, MAX_STACK_LEVEL};
use super::super::steering::{
    self, Lists, Steering,
    Steers::{Energy, Flag, Measurands, Seconds},
};
use super::measure;
use super::readonly::OWN_VARIABLES;
use super::variables::{Entry, Refusal, TABLE, find, normal};
use crate::domain::{CpSetup, CsmsSetup, Params};
use std::collections::BTreeMap;
use std::time::Duration;

/// The controllers' variables with their values.
#[derive(Debug)]
pub(super) struct Model {
    values: BTreeMap<&'static str, String>,
    /// Another CSMS is in control: only what concerns the connection can be set.
    read_only: bool,
}

impl Model {
    /// The security profile in use, which a CSMS that speaks 1.6 may have raised.
    pub(super) fn tell_profile(&mut self, profile: u8) {
        self.values
            .insert("SecurityCtrlr.SecurityProfile", profile.to_string());
    }

    /// Table defaults, then the set-up, then the configuration file, then what the CSMS changed.
    pub(super) fn new(cp: &CpSetup, csms: &CsmsSetup, restored: &[(String, String)]) -> Self {
        let defaults = TABLE.iter().map(|entry| (entry.name, entry.default.to_owned()));
        let mut model = Self {
            values: defaults.collect(),
            read_only: !cp.is_controlled_by(csms),
        };
        let seconds = |wait: Duration| wait.as_secs().max(u64::from(!wait.is_zero())).to_string();
        for (name, value) in [
            (
                "OCPPCommCtrlr.MessageTimeout[Default]",
                seconds(csms.message_timeout),
            ),
            ("OCPPCommCtrlr.WebSocketPingInterval", seconds(csms.ping)),
            ("SecurityCtrlr.Identity", cp.id.to_string()),
            (
                "SecurityCtrlr.SecurityProfile",
                csms.security_profile().to_string(),
            ),
            ("SmartChargingCtrlr.PeriodsPerSchedule", MAX_PERIODS.to_string()),
            (
                "SmartChargingCtrlr.ProfileStackLevel",
                MAX_STACK_LEVEL.to_string(),
            ),
        ] {
            model.values.insert(name, value);
        }
        for (name, value) in &cp.variables {
            model.take_over(name, value);
        }
        for (key, value) in restored {
            if let Some(name) = key.strip_prefix("var/") {
                model.take_over(name, value);
            }
        }
        model
    }

    /// Takes over a value of the file, the store or a boot; what does not fit is left aside. Gives what to keep.
    pub(super) fn take_over(&mut self, name: &str, value: &str) -> Option<KeyPut> {
        let entry = find(name).filter(|entry| entry.writable)?;
        self.set(entry, value).ok()?
    }

    /// Sets a variable that can be written; gives what to keep, if it is another value than before.
    pub(super) fn set(&mut self, entry: &'static Entry, value: &str) -> Result<Option<KeyPut>, Refusal> {
        let value = normal(entry, value)?;
        if self.text(entry.name) == value {
            return Ok(None);
        }
        self.values.insert(entry.name, value.clone());
        Ok(Some((format!("var/{}", entry.name), Some(value))))
    }

    /// Whether the CSMS may set a variable.
    pub(super) fn may_set(&self, entry: &Entry) -> bool {
        entry.writable && (!self.read_only || OWN_VARIABLES.contains(&entry.name))
    }

    /// The value of a variable.
    pub(super) fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// Seconds of a variable; values were checked when they came in.
    pub(super) fn seconds(&self, name: &str) -> Duration {
        Duration::from_secs(self.text(name).parse().unwrap_or(0))
    }

    /// A whole number of a variable.
    pub(super) fn count(&self, name: &str) -> u32 {
        self.text(name).parse().unwrap_or(0)
    }

    /// Whether a list of measurands asks for anything.
    pub(super) fn tells_at(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    /// What the variables come to for the station.
    pub(super) fn params(&self) -> Params {
        let mut params = Params {
            // 2.0.1 has no such variable.
            min_status_duration: Duration::ZERO,
            // Block D is not offered.
            list_enabled: false,
            ..Params::default()
        };
        steering::read(STEERING, LISTS, |name| self.text(name), &mut params);
        params
    }

    /// Takes over what steers the station as it is in force; what 2.0.1 has no variable for is left out.
    pub(super) fn follow(&mut self, params: &Params) {
        for (name, value) in steering::written(STEERING, LISTS, params) {
            self.take_over(name, &value);
        }
    }
}

/// Variables that steer the station.
const STEERING: &[Steering] = &[
    (
        "TxCtrlr.EVConnectionTimeOut",
        Seconds(|p| &mut p.connection_timeout),
    ),
    (
        "SampledDataCtrlr.TxUpdatedInterval",
        Seconds(|p| &mut p.sample_interval),
    ),
    ("AlignedDataCtrlr.Interval", Seconds(|p| &mut p.aligned_interval)),
    (
        "SampledDataCtrlr.TxUpdatedMeasurands",
        Measurands(|p| &mut p.sampled),
    ),
    ("AlignedDataCtrlr.Measurands", Measurands(|p| &mut p.aligned)),
    (
        "SampledDataCtrlr.TxEndedMeasurands",
        Measurands(|p| &mut p.stop_sampled),
    ),
    (
        "AlignedDataCtrlr.TxEndedMeasurands",
        Measurands(|p| &mut p.stop_aligned),
    ),
    (
        "SampledDataCtrlr.TxEndedInterval",
        Seconds(|p| &mut p.stop_sample_interval),
    ),
    (
        "AlignedDataCtrlr.TxEndedInterval",
        Seconds(|p| &mut p.stop_aligned_interval),
    ),
    (
        "TxCtrlr.StopTxOnEVSideDisconnect",
        Flag(|p| &mut p.stop_on_ev_disconnect),
    ),
    ("TxCtrlr.StopTxOnInvalidId", Flag(|p| &mut p.stop_on_invalid_id)),
    (
        "TxCtrlr.MaxEnergyOnInvalidId",
        Energy(|p| &mut p.max_energy_on_invalid_id),
    ),
    (
        "AuthCtrlr.AuthorizeRemoteStart",
        Flag(|p| &mut p.authorize_remote_start),
    ),
    (
        "AuthCtrlr.LocalAuthorizeOffline",
        Flag(|p| &mut p.local_authorize_offline),
    ),
    (
        "AuthCtrlr.LocalPreAuthorize",
        Flag(|p| &mut p.local_pre_authorize),
    ),
    (
        "AuthCtrlr.OfflineTxForUnknownIdEnabled",
        Flag(|p| &mut p.allow_offline_unknown),
    ),
    ("AuthCacheCtrlr.Enabled", Flag(|p| &mut p.cache_enabled)),
    (
        "OCPPCommCtrlr.UnlockOnEVSideDisconnect",
        Flag(|p| &mut p.unlock_on_ev_disconnect),
    ),
];

const LISTS: Lists = Lists {
    read: |text| measure::parse_list(text).unwrap_or_default(),
    write: measure::write_list,
};
