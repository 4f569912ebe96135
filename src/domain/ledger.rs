//! The ledger: what must reach every back end exactly once and in order, told without a dialect.

use super::auth::IdToken;
use super::evse::ChargingState;
use super::ids::{CpId, EvseId, ReaderId, TxId};
use super::reading::{Phase, Quality, Quantity};
use super::session::{Receipt, SessionRecord};
use super::time::Stamp;
use super::transfer::{FirmwareNotice, LogNotice};
use super::units::MilliWattHours;
use serde::{Deserialize, Serialize};

/// A ledger event before it has a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewRow {
    /// Whose.
    pub cp: CpId,
    /// When it happened.
    pub at: Stamp,
    /// What happened.
    pub event: Event,
}

/// A ledger event as stored. `seq` grows by time of commit over all charge points, with gaps for one of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its number.
    pub seq: u64,
    /// Whose.
    pub cp: CpId,
    /// When it happened.
    pub at: Stamp,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A transaction began. Always the first row of its transaction.
    Began(Begin),
    /// Meter values within a transaction, or (`tx: None`) clock-aligned or triggered ones outside.
    Sampled {
        /// The transaction.
        tx: Option<TxId>,
        /// 2.x per-transaction sequence number; 0 without a transaction.
        tx_seq: u32,
        /// Where; `None`: the charge point's own meter (connector 0).
        evse: Option<EvseId>,
        /// Why this sample was taken.
        context: SampleContext,
        /// The values.
        points: Vec<SamplePoint>,
        /// State within the transaction.
        charging_state: Option<ChargingState>,
        /// Taken without contact to the controlling CSMS.
        #[serde(default)]
        offline: bool,
        /// The transaction that ran there while values were taken apart from it (2.x `MeterValues`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beside: Option<TxId>,
    },
    /// Something changed within a transaction that only 2.x reports (charging state, deauthorised, ...).
    Changed {
        /// The transaction.
        tx: TxId,
        /// 2.x sequence number.
        tx_seq: u32,
        /// Where.
        evse: EvseId,
        /// What made it change.
        trigger: TxTrigger,
        /// The state now.
        charging_state: ChargingState,
        /// The token, when the trigger is about one.
        token: Option<IdToken>,
        /// Happened without contact to the controlling CSMS.
        #[serde(default)]
        offline: bool,
    },
    /// A transaction ended. Always the last row of its transaction.
    Ended(End),
    /// A security event (1.6 whitepaper, 2.x `SecurityEventNotification`).
    Security(SecurityEvent),
    /// A step of an upload, for the back end in control.
    Log(LogNotice),
    /// A step of a firmware update, for the back end in control.
    Firmware(FirmwareNotice),
}

impl Event {
    /// The transaction it belongs to.
    #[must_use]
    pub fn tx(&self) -> Option<&TxId> {
        match self {
            Self::Began(b) => Some(&b.tx),
            Self::Sampled { tx, .. } => tx.as_ref(),
            Self::Changed { tx, .. } => Some(tx),
            Self::Ended(e) => Some(&e.tx),
            Self::Security(_) | Self::Log(_) | Self::Firmware(_) => None,
        }
    }

    /// The transaction whose secrecy it shares: the one it belongs to, or the one it was taken beside.
    #[must_use]
    pub fn concerned_tx(&self) -> Option<&TxId> {
        match self {
            Self::Sampled { tx: None, beside, .. } => beside.as_ref(),
            Self::Began(_)
            | Self::Sampled { .. }
            | Self::Changed { .. }
            | Self::Ended(_)
            | Self::Security(_)
            | Self::Log(_)
            | Self::Firmware(_) => self.tx(),
        }
    }

    /// Whether losing it loses money: begin and end are never thinned.
    #[must_use]
    pub fn is_vital(&self) -> bool {
        matches!(self, Self::Began(_) | Self::Ended(_))
    }
}

/// The beginning of a transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    /// Its id.
    pub tx: TxId,
    /// Where.
    pub evse: EvseId,
    /// For whom; `None` only where the station runs without identification.
    pub token: Option<IdToken>,
    /// Group of the token.
    pub group: Option<String>,
    /// Raw billing register at the begin.
    pub meter: MilliWattHours,
    /// Quality of that register.
    pub quality: Quality,
    /// What started it (2.x).
    pub trigger: TxTrigger,
    /// State at the begin (2.x).
    pub charging_state: ChargingState,
    /// 2.x `remoteStartId`.
    pub remote_start_id: Option<i32>,
    /// The reservation it uses up.
    pub reservation_id: Option<i32>,
    /// Begun without contact to the controlling CSMS.
    pub offline: bool,
}

/// The end of a transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Its id.
    pub tx: TxId,
    /// 2.x sequence number.
    pub tx_seq: u32,
    /// Where.
    pub evse: EvseId,
    /// Who stopped it, if somebody did.
    pub token: Option<IdToken>,
    /// Raw billing register at the end, monotonic since the begin.
    pub meter: MilliWattHours,
    /// Quality of that register.
    pub quality: Quality,
    /// Why.
    pub reason: StopReason,
    /// Samples to repeat in the stop message (1.6 `transactionData`), begin and end always among them.
    pub data: Vec<MeterSample>,
    /// Energy of the transaction.
    pub energy: MilliWattHours,
    /// Ended without contact to the controlling CSMS.
    pub offline: bool,
}

/// Most samples in [`End::data`] (1.6 `StopTransactionMaxMeterValues`, errata 3.91).
pub const STOP_SAMPLES_MAX: usize = 100;

/// Values taken at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeterSample {
    /// When.
    pub at: Stamp,
    /// Why.
    pub context: SampleContext,
    /// The values.
    pub points: Vec<SamplePoint>,
}

/// One value of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplePoint {
    /// What.
    pub quantity: Quantity,
    /// Where.
    pub phase: Phase,
    /// Milli-units.
    pub milli: i64,
    /// How good.
    pub quality: Quality,
}

/// Why a sample was taken (`ReadingContext`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SampleContext {
    /// At the begin.
    TransactionBegin,
    /// At the end.
    TransactionEnd,
    /// Every sample interval.
    Periodic,
    /// At a multiple of the aligned interval from midnight UTC.
    Clock,
    /// Asked for.
    Trigger,
}

/// Why a transaction ended (1.6 `Reason`, 2.x `ReasonEnumType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StopReason {
    /// The token was refused.
    DeAuthorized,
    /// Emergency stop.
    EmergencyStop,
    /// The vehicle was unplugged.
    EVDisconnected,
    /// Hard reset.
    HardReset,
    /// Stopped at the charger by its user.
    Local,
    /// Any other.
    Other,
    /// Power was lost and the session could not be taken up again.
    PowerLoss,
    /// The gateway restarted.
    Reboot,
    /// Stopped by the CSMS.
    Remote,
    /// Soft reset.
    SoftReset,
    /// UnlockConnector.
    UnlockCommand,
}

/// What triggered a transaction event (2.x `TriggerReasonEnumType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TxTrigger {
    /// A token was accepted.
    Authorized,
    /// The cable was plugged in.
    CablePluggedIn,
    /// The charging state changed.
    ChargingStateChanged,
    /// The token was refused after the begin.
    Deauthorized,
    /// Contact to the vehicle lost.
    EVCommunicationLost,
    /// The vehicle left.
    EVDeparted,
    /// RequestStartTransaction.
    RemoteStart,
    /// RequestStopTransaction.
    RemoteStop,
    /// Reset.
    ResetCommand,
    /// A token stopped it.
    StopAuthorized,
    /// UnlockConnector.
    UnlockCommand,
    /// Something abnormal.
    AbnormalCondition,
}

/// A security event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityEvent {
    /// Name in OCPP 2.x, e.g. `StartupOfTheDevice`.
    pub name: String,
    /// At most 255 characters, no secrets.
    pub info: Option<String>,
}

impl SecurityEvent {
    /// A standard event; `info` is cut to what it may hold.
    #[must_use]
    pub fn new(name: &str, info: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            info: info.map(|text| text.chars().take(255).collect()),
        }
    }
}

/// One durable step: everything in it becomes durable together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Rows to append, in order.
    pub rows: Vec<NewRow>,
    /// State to write beside them.
    pub puts: Vec<Put>,
    /// Readers that move on: everything up to and including the row is done for them.
    pub cursors: Vec<(ReaderId, u64)>,
    /// Sessions that end with one of the rows, for the journal.
    pub sessions: Vec<SessionRecord>,
    /// What back ends had to say about sessions.
    pub receipts: Vec<Receipt>,
}

impl Batch {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.puts.is_empty()
            && self.cursors.is_empty()
            && self.sessions.is_empty()
            && self.receipts.is_empty()
    }

    /// Adds everything of `other` behind what is here.
    pub fn append(&mut self, mut other: Self) {
        self.rows.append(&mut other.rows);
        self.puts.append(&mut other.puts);
        self.cursors.append(&mut other.cursors);
        self.sessions.append(&mut other.sessions);
        self.receipts.append(&mut other.receipts);
    }
}

/// A value of the key-value side of the store; `value: None` removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Namespace, e.g. `station/<cp>`, `ocpp/<reader>`.
    pub scope: String,
    /// Key within it.
    pub key: String,
    /// JSON or plain text.
    pub value: Option<String>,
}
