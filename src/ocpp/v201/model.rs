//! The values of the controllers' variables, and what they come to.

use super::super::dialect::KeyPut;
use super::super::schedule::{MAX_PERIODS, MAX_STACK_LEVEL};
use super::measure;
use super::readonly::OWN_VARIABLES;
use super::variables::{Entry, Refusal, TABLE, find, normal};
use crate::domain::{CpSetup, CsmsSetup, Measurand, MilliWattHours, Params};
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
            ("SecurityCtrlr.SecurityProfile", csms.profile().to_string()),
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

    fn flag(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    fn measurands(&self, name: &str) -> Vec<Measurand> {
        measure::parse_list(self.text(name)).unwrap_or_default()
    }

    /// What the variables come to for the station.
    pub(super) fn params(&self) -> Params {
        let energy = i64::from(self.count("TxCtrlr.MaxEnergyOnInvalidId"));
        Params {
            connection_timeout: self.seconds("TxCtrlr.EVConnectionTimeOut"),
            sample_interval: self.seconds("SampledDataCtrlr.TxUpdatedInterval"),
            aligned_interval: self.seconds("AlignedDataCtrlr.Interval"),
            sampled: self.measurands("SampledDataCtrlr.TxUpdatedMeasurands"),
            aligned: self.measurands("AlignedDataCtrlr.Measurands"),
            stop_sampled: self.measurands("SampledDataCtrlr.TxEndedMeasurands"),
            stop_aligned: self.measurands("AlignedDataCtrlr.TxEndedMeasurands"),
            stop_sample_interval: self.seconds("SampledDataCtrlr.TxEndedInterval"),
            stop_aligned_interval: self.seconds("AlignedDataCtrlr.TxEndedInterval"),
            min_status_duration: Duration::ZERO,
            stop_on_ev_disconnect: self.flag("TxCtrlr.StopTxOnEVSideDisconnect"),
            stop_on_invalid_id: self.flag("TxCtrlr.StopTxOnInvalidId"),
            max_energy_on_invalid_id: MilliWattHours::from_base(energy),
            authorize_remote_start: self.flag("AuthCtrlr.AuthorizeRemoteStart"),
            local_authorize_offline: self.flag("AuthCtrlr.LocalAuthorizeOffline"),
            local_pre_authorize: self.flag("AuthCtrlr.LocalPreAuthorize"),
            allow_offline_unknown: self.flag("AuthCtrlr.OfflineTxForUnknownIdEnabled"),
            cache_enabled: self.flag("AuthCacheCtrlr.Enabled"),
            // 2.0.1 block D is not offered.
            list_enabled: false,
            unlock_on_ev_disconnect: self.flag("OCPPCommCtrlr.UnlockOnEVSideDisconnect"),
        }
    }
}
