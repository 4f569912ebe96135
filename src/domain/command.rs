//! What a back end (CSMS, MQTT, command line) may ask of a station, and the answers.

use super::auth::{IdToken, ListUpdate};
use super::ids::{EvseId, TxId};
use super::limit::LimitEntry;
use super::params::Params;
use super::profile::{ChargingProfile, CompositeSchedule, ProfilePurpose, RateUnit};
use super::transfer::{FirmwareOutcome, FirmwareRequest, LogOutcome, LogRequest};
use serde::{Deserialize, Serialize};

/// Ties an [`Outcome`] to its [`Command`]; unique within one run of one station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// A request to one station. Each is answered with exactly one [`Outcome`].
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Start a transaction -> [`Outcome::Simple`]: accepted means "will try".
    RemoteStart(RemoteStart),
    /// Stop a transaction -> [`Outcome::Simple`].
    RemoteStop {
        /// Which.
        tx: TxId,
    },
    /// Put an EVSE (`None`: the charge point) in or out of service -> [`Outcome::Availability`].
    ChangeAvailability {
        /// Which.
        evse: Option<EvseId>,
        /// To what.
        to: Availability,
    },
    /// Restart -> [`Outcome::Reset`].
    Reset {
        /// How.
        kind: ResetKind,
        /// One EVSE only (2.x).
        evse: Option<EvseId>,
    },
    /// Release the plug -> [`Outcome::Unlock`].
    Unlock {
        /// Which.
        evse: EvseId,
        /// What a running transaction comes to.
        running: RunningTx,
    },
    /// Forget cached tokens -> [`Outcome::Simple`].
    ClearCache,
    /// Change the local authorisation list -> [`Outcome::List`].
    SendList(ListUpdate),
    /// Version of the local authorisation list -> [`Outcome::ListVersion`].
    ListVersion,
    /// Keep an EVSE for a token -> [`Outcome::Reserve`].
    Reserve(Reservation),
    /// Give a reservation up -> [`Outcome::Simple`].
    CancelReservation {
        /// Which.
        id: i32,
    },
    /// Install or replace a charging profile -> [`Outcome::Simple`].
    SetProfile {
        /// Which; `None`: connector 0.
        evse: Option<EvseId>,
        /// The profile.
        profile: ChargingProfile,
    },
    /// Remove charging profiles -> [`Outcome::Simple`]: rejected means "none matched".
    ClearProfiles(ClearProfiles),
    /// What will be enforced -> [`Outcome::Composite`].
    GetComposite {
        /// Which; `None`: the charge point as a whole.
        evse: Option<EvseId>,
        /// How far ahead, seconds.
        duration_s: u32,
        /// In which unit; `None`: the station's choice.
        unit: Option<RateUnit>,
    },
    /// Take over changed settings -> [`Outcome::Simple`].
    SetParams(Box<Params>),
    /// A local limit (MQTT, command line) -> [`Outcome::Simple`].
    SetLimit {
        /// Which.
        evse: EvseId,
        /// The entry, whose source must be `Local`; `None`: no such limit any more. It outlives a restart.
        entry: Option<LimitEntry>,
    },
    /// Hold charging back, or no more (MQTT) -> [`Outcome::Simple`]. It outlives a restart.
    Hold {
        /// Which.
        evse: EvseId,
        /// Whether.
        held: bool,
    },
    /// Use one phase or three (MQTT) -> [`Outcome::Simple`]: accepted means that the charger is told. It outlives a
    /// restart.
    SetPhases {
        /// Which.
        evse: EvseId,
        /// 1 or 3; `None`: as wired.
        phases: Option<u8>,
    },
    /// A token as if it had been presented there -> [`Outcome::Simple`]: accepted means it is judged like a card.
    Present {
        /// Where.
        evse: EvseId,
        /// Which.
        token: IdToken,
    },
    /// Upload a record -> [`Outcome::Log`].
    GetLog(Box<LogRequest>),
    /// Tell how far an upload has come -> [`Outcome::Simple`]; it is told behind the answer.
    TellLog {
        /// By the message of GetDiagnostics (1.6).
        diagnostics: bool,
    },
    /// Fetch firmware and have it installed -> [`Outcome::Firmware`].
    UpdateFirmware(Box<FirmwareRequest>),
    /// Tell how far an update has come -> [`Outcome::Simple`]; it is told behind the answer.
    TellFirmware {
        /// By the message of signed updates.
        signed: bool,
    },
    /// Say something now -> [`Outcome::Simple`]; of meter values [`Outcome::Sampled`].
    Trigger(Trigger),
}

impl Command {
    /// Whether it only asks or has something told: nothing of the station is another afterwards.
    #[must_use]
    pub fn only_asks(&self) -> bool {
        matches!(
            self,
            Self::GetComposite { .. } | Self::ListVersion | Self::Trigger(_)
        )
    }

    /// The answer that says no to it; the reason is for logs and `statusInfo`.
    #[must_use]
    pub fn refused(&self, why: &'static str) -> Outcome {
        match self {
            Self::ChangeAvailability { .. } => Outcome::Availability(AvailabilityOutcome::Rejected),
            Self::Reset { .. } => Outcome::Reset(ResetOutcome::Rejected),
            Self::Unlock { .. } => Outcome::Unlock(UnlockOutcome::NotSupported),
            Self::SendList(_) => Outcome::List(ListOutcome::Failed(why)),
            Self::Reserve(_) => Outcome::Reserve(ReserveOutcome::Rejected(why)),
            Self::GetComposite { .. } => Outcome::Composite(Err(why)),
            Self::Trigger(Trigger::MeterValues { .. }) => Outcome::Sampled(Vec::new()),
            Self::GetLog(_) => Outcome::Log(LogOutcome::Rejected(why)),
            Self::UpdateFirmware(_) => Outcome::Firmware(FirmwareOutcome::Rejected(why)),
            // 0: there is none.
            Self::ListVersion => Outcome::ListVersion(0),
            Self::RemoteStart(_)
            | Self::RemoteStop { .. }
            | Self::ClearCache
            | Self::CancelReservation { .. }
            | Self::SetProfile { .. }
            | Self::ClearProfiles(_)
            | Self::SetParams(_)
            | Self::SetLimit { .. }
            | Self::Hold { .. }
            | Self::SetPhases { .. }
            | Self::Present { .. }
            | Self::TellLog { .. }
            | Self::TellFirmware { .. }
            | Self::Trigger(Trigger::Status(_)) => Outcome::Simple(Accepted::No(why)),
        }
    }
}

/// Why a CSMS that only reads is refused its commands.
pub const OTHER_IN_CONTROL: &str = "another CSMS is in control";

/// A remote start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteStart {
    /// Which; `None`: the station chooses.
    pub evse: Option<EvseId>,
    /// For whom.
    pub token: IdToken,
    /// 2.x `remoteStartId`.
    pub remote_start_id: Option<i32>,
    /// A `TxProfile` for the transaction.
    pub profile: Option<ChargingProfile>,
    /// 2.x `groupIdToken`.
    pub group: Option<String>,
}

/// An EVSE kept for a token (1.6 section 5.13, 2.0.1 block H).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Chosen by the CSMS.
    pub id: i32,
    /// Which; `None`: any, one always stays free (1.6 connector 0).
    pub evse: Option<EvseId>,
    /// For whom.
    pub token: IdToken,
    /// Or for whoever is of this group.
    pub group: Option<String>,
    /// Ends here, Unix milliseconds.
    pub expires_ms: i64,
}

/// In or out of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// In service.
    Operative,
    /// Out of service.
    Inoperative,
}

/// What becomes of a transaction that runs where the plug is to be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunningTx {
    /// It is ended first, where there is a lock at all (1.6 section 5.18).
    Ends,
    /// The plug stays locked (2.x F05).
    Keeps,
}

/// How to restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetKind {
    /// Stop transactions in an orderly way, deliver their end, then restart (1.6 `Soft`, 2.x `Immediate`).
    Soft,
    /// Restart now; transactions end with `HardReset` (1.6 `Hard`).
    Hard,
    /// When no transaction runs any more (2.x `OnIdle`).
    OnIdle,
}

/// Which profiles to remove; all conditions must hold, none means all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClearProfiles {
    /// By id; the other conditions then do not count.
    pub id: Option<i32>,
    /// By connector; `Some(None)` is connector 0.
    pub evse: Option<Option<EvseId>>,
    /// By purpose.
    pub purpose: Option<ProfilePurpose>,
    /// By stack level.
    pub stack_level: Option<u32>,
}

/// What to send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The status of an EVSE (`None`: all and connector 0).
    Status(Option<EvseId>),
    /// Meter values of an EVSE (`None`: all).
    MeterValues {
        /// Which.
        evse: Option<EvseId>,
        /// How they stand to a running transaction.
        within: Within,
    },
}

/// How meter values that were asked for stand to a running transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// They belong to it where one runs (1.6).
    Either,
    /// They are apart from it (2.x `MeterValues`).
    Apart,
    /// They belong to it; without one there are none (2.x `TransactionEvent`).
    Transaction,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Done, or will be done.
    Yes,
    /// Refused; the reason is for logs and `statusInfo`.
    No(&'static str),
}

impl Accepted {
    /// Whether it is a yes.
    #[must_use]
    pub fn is_yes(self) -> bool {
        self == Self::Yes
    }
}

/// Answer to ChangeAvailability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AvailabilityOutcome {
    /// Done.
    Accepted,
    /// Refused.
    Rejected,
    /// When the transaction ends.
    Scheduled,
}

/// Answer to Reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetOutcome {
    /// Will be done.
    Accepted,
    /// Refused.
    Rejected,
    /// When transactions have ended (2.x).
    Scheduled,
}

/// Answer to UnlockConnector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnlockOutcome {
    /// Released.
    Unlocked,
    /// The device refused.
    Failed,
    /// No lock that could be released (fixed cable).
    NotSupported,
    /// A transaction is running (2.x `OngoingAuthorizedTransaction`).
    TransactionRunning,
    /// No such connector.
    UnknownConnector,
}

/// Answer to a change of the local authorisation list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOutcome {
    /// Done and durable.
    Accepted,
    /// Nothing was changed; the reason is for logs.
    Failed(&'static str),
    /// It is to be applied to a list that is as new or newer.
    VersionMismatch,
}

/// Answer to a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReserveOutcome {
    /// Made and durable.
    Accepted,
    /// What was asked for is faulty.
    Faulted,
    /// It is used or kept already.
    Occupied,
    /// It cannot be reserved; the reason is for logs.
    Rejected(&'static str),
    /// It is out of service.
    Unavailable,
}

/// A session that runs, so that nobody hears of it who may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its transaction.
    pub tx: TxId,
    /// Whose it is.
    pub token: Option<IdToken>,
}

/// The answer to a [`Command`].
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Yes or no.
    Simple(Accepted),
    /// ChangeAvailability.
    Availability(AvailabilityOutcome),
    /// Reset.
    Reset(ResetOutcome),
    /// Unlock.
    Unlock(UnlockOutcome),
    /// SendList.
    List(ListOutcome),
    /// ListVersion; 0: the list is empty.
    ListVersion(i32),
    /// Reserve.
    Reserve(ReserveOutcome),
    /// Trigger of meter values: for each EVSE whose values are told the session that runs there; empty: nothing was
    /// measured yet.
    Sampled(Vec<Option<Session>>),
    /// GetLog.
    Log(LogOutcome),
    /// UpdateFirmware.
    Firmware(FirmwareOutcome),
    /// GetComposite; `Err` gives the reason.
    Composite(Result<CompositeSchedule, &'static str>),
}
