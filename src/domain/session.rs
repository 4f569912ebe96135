//! A finished session as the journal keeps it, and what a back end had to say about it.

use super::auth::IdToken;
use super::ids::{CpId, DeviceId, EvseId, ReaderId, TxId};
use super::ledger::StopReason;
use super::time::Stamp;
use super::units::MilliWattHours;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// A finished session, before the journal numbers, chains and signs it.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    /// Whose.
    pub cp: CpId,
    /// Where.
    pub evse: EvseId,
    /// Its transaction.
    pub tx: TxId,
    /// When it began; `None` where an earlier release, which did not keep it, began it.
    pub begun: Option<Stamp>,
    /// When it ended.
    pub ended: Stamp,
    /// How long it ran as far as that was counted: each run of the process by its own time, what lies between two of them
    /// where the clock could tell. Not part of the journal.
    pub ran: Duration,
    /// Billing register at the begin.
    pub meter_start: MilliWattHours,
    /// Billing register at the end, monotonic since the begin.
    pub meter_stop: MilliWattHours,
    /// What the meter itself showed at the end; another value where it was reset or swapped in between.
    pub meter_raw: MilliWattHours,
    /// Why it ended.
    pub reason: StopReason,
    /// Who charged; the journal keeps a keyed hash of it only.
    pub token: Option<IdToken>,
    /// What measured it; `None` where that is not known.
    pub meter: Option<MeterIdentity>,
    /// What a reader of the figures should know.
    pub flags: BTreeSet<SessionFlag>,
}

impl SessionRecord {
    /// Energy of the session.
    #[must_use]
    pub fn energy(&self) -> MilliWattHours {
        self.meter_stop - self.meter_start
    }
}

/// The device whose register is billed, as far as it says who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterIdentity {
    /// Its name in the configuration.
    pub device: DeviceId,
    /// Its device profile, which names maker and family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}

/// What a reader of a session's figures should know about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionFlag {
    /// An earlier release, which did not keep the time of the begin, began it.
    BeginUnknown,
    /// Begun while the clock could not be trusted.
    BeginClockUntrusted,
    /// Ended while the clock could not be trusted.
    EndClockUntrusted,
    /// Begun without contact to the CSMS in control.
    BeginOffline,
    /// Ended without contact to the CSMS in control.
    EndOffline,
    /// The register at the begin is no billing meter's, or was not plausible.
    BeginRegisterDoubtful,
    /// The register at the end is no billing meter's, or was not plausible.
    EndRegisterDoubtful,
    /// The register at the end is the last one known: the meter did not answer, or the process was not there.
    EndRegisterOld,
    /// The meter was reset, rolled over or was swapped in between; the jump is billed to nobody.
    RegisterJumped,
    /// The meter told another serial number at the end than at the begin.
    MeterSwapped,
    /// Taken up again after the gateway was restarted.
    Resumed,
    /// Ended after a restart, because the vehicle was gone: nobody saw the end.
    EndUnseen,
    /// The CSMS refused the token after the begin.
    TokenRefused,
}

impl SessionFlag {
    /// As written in the journal.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::BeginUnknown => "begin_unknown",
            Self::BeginClockUntrusted => "begin_clock_untrusted",
            Self::EndClockUntrusted => "end_clock_untrusted",
            Self::BeginOffline => "begin_offline",
            Self::EndOffline => "end_offline",
            Self::BeginRegisterDoubtful => "begin_register_doubtful",
            Self::EndRegisterDoubtful => "end_register_doubtful",
            Self::EndRegisterOld => "end_register_old",
            Self::RegisterJumped => "register_jumped",
            Self::MeterSwapped => "meter_swapped",
            Self::Resumed => "resumed",
            Self::EndUnseen => "end_unseen",
            Self::TokenRefused => "token_refused",
        }
    }
}

/// What became of the begin or the end of a session at one back end. Durable in one step with the reader's cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Which back end.
    pub reader: ReaderId,
    /// Of which transaction.
    pub tx: TxId,
    /// Which of its ends.
    pub part: ReceiptPart,
    /// Row of the ledger that told it.
    pub row: u64,
    /// What became of it.
    pub answer: ReceiptAnswer,
    /// The register that was sent; `None` where the message carried none.
    pub register: Option<MilliWattHours>,
}

/// Begin or end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiptPart {
    /// 1.6 StartTransaction, 2.x `Started`.
    Begin,
    /// 1.6 StopTransaction, 2.x `Ended`.
    End,
}

impl ReceiptPart {
    /// As stored.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::End => "end",
        }
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptAnswer {
    /// Acknowledged.
    Accepted {
        /// The transaction's number at the CSMS, where it gives one (1.6).
        number: Option<i64>,
    },
    /// Refused until it was given up.
    GivenUp {
        /// The last answer.
        code: String,
    },
    /// By the rule of its tags this back end is not told of the session.
    NotForIt,
}
