//! The settings a CSMS may change that steer the station, named as neither dialect alone.

use super::reading::{Phase, Quantity};
use super::units::MilliWattHours;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A quantity asked for in meter values; `phase: None` means every phase the meter has and the total.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Measurand {
    /// Which quantity.
    pub quantity: Quantity,
    /// Only this phase (1.6 key syntax `Current.Import.L1`), or all.
    pub phase: Option<Phase>,
}

impl Measurand {
    /// A quantity on every phase the meter has.
    #[must_use]
    pub const fn all(quantity: Quantity) -> Self {
        Self {
            quantity,
            phase: None,
        }
    }
}

/// What the dialects' configuration keys and variables come to. In brackets the OCPP 1.6 key (section 9.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Params {
    /// Wait for plug-in after authorisation, and for authorisation after a remote start [`ConnectionTimeOut`].
    pub connection_timeout: Duration,
    /// Samples within a transaction; zero: none [`MeterValueSampleInterval`].
    pub sample_interval: Duration,
    /// Clock-aligned samples; zero: none [`ClockAlignedDataInterval`].
    pub aligned_interval: Duration,
    /// [`MeterValuesSampledData`]
    pub sampled: Vec<Measurand>,
    /// [`MeterValuesAlignedData`]
    pub aligned: Vec<Measurand>,
    /// Sampled data to repeat in the stop message [`StopTxnSampledData`].
    pub stop_sampled: Vec<Measurand>,
    /// Aligned data to repeat in the stop message [`StopTxnAlignedData`].
    pub stop_aligned: Vec<Measurand>,
    /// Interval of the sampled data kept for the stop message; zero: only begin and end [as `sample_interval`; 2.x
    /// `SampledDataCtrlr.TxEndedInterval`].
    pub stop_sample_interval: Duration,
    /// Interval of the aligned data kept for the stop message; zero: none [as `aligned_interval`; 2.x
    /// `AlignedDataCtrlr.TxEndedInterval`].
    pub stop_aligned_interval: Duration,
    /// [`MinimumStatusDuration`]
    pub min_status_duration: Duration,
    /// [`StopTransactionOnEVSideDisconnect`]
    pub stop_on_ev_disconnect: bool,
    /// [`StopTransactionOnInvalidId`]
    pub stop_on_invalid_id: bool,
    /// Energy still delivered after an invalid id when it does not stop [`MaxEnergyOnInvalidId`].
    pub max_energy_on_invalid_id: MilliWattHours,
    /// [`AuthorizeRemoteTxRequests`]
    pub authorize_remote_start: bool,
    /// [`LocalAuthorizeOffline`]
    pub local_authorize_offline: bool,
    /// [`LocalPreAuthorize`]
    pub local_pre_authorize: bool,
    /// [`AllowOfflineTxForUnknownId`]
    pub allow_offline_unknown: bool,
    /// [`AuthorizationCacheEnabled`]
    pub cache_enabled: bool,
    /// [`LocalAuthListEnabled`]
    pub list_enabled: bool,
    /// [`UnlockConnectorOnEVSideDisconnect`]
    pub unlock_on_ev_disconnect: bool,
}

impl Default for Params {
    fn default() -> Self {
        let energy = vec![Measurand::all(Quantity::EnergyImport)];
        let usual = vec![
            Measurand::all(Quantity::EnergyImport),
            Measurand::all(Quantity::Power),
            Measurand::all(Quantity::Current),
            Measurand::all(Quantity::Voltage),
        ];
        Self {
            connection_timeout: Duration::from_secs(60),
            sample_interval: Duration::from_secs(60),
            aligned_interval: Duration::ZERO,
            sampled: usual,
            aligned: energy,
            stop_sampled: Vec::new(),
            stop_aligned: Vec::new(),
            stop_sample_interval: Duration::from_secs(60),
            stop_aligned_interval: Duration::ZERO,
            min_status_duration: Duration::ZERO,
            stop_on_ev_disconnect: true,
            stop_on_invalid_id: true,
            max_energy_on_invalid_id: MilliWattHours::ZERO,
            authorize_remote_start: false,
            local_authorize_offline: true,
            local_pre_authorize: false,
            allow_offline_unknown: false,
            cache_enabled: true,
            list_enabled: true,
            unlock_on_ev_disconnect: false,
        }
    }
}
