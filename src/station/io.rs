//! What a station is told and what it asks for.

use crate::domain::{
    Batch, Command, CommandId, DeviceCommand, DeviceId, DriveError, EvseId, GpioSignal, IdToken, MilliAmps,
    Mono, Notice, Observation, Outcome, ResetKind, SecurityEvent, Share, TokenInfo, TransferDone,
    TransferError, TransferOrder, TxId,
};
use serde::Serialize;

/// What a device is to an EVSE. One device may have several roles, or the same role at several EVSEs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It switches the current.
    Charger,
    /// Its register is billed.
    Meter,
    /// It reads cards.
    Reader,
}

/// What happens to a station.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A device was polled. A charger that is its own meter is delivered as [`Role::Charger`].
    Observed {
        /// At which EVSE.
        evse: EvseId,
        /// In which role.
        role: Role,
        /// What it said.
        observations: Vec<Observation>,
    },
    /// A device answers again, or no more.
    Link {
        /// At which EVSE.
        evse: EvseId,
        /// In which role.
        role: Role,
        /// Whether it answers.
        up: bool,
        /// Why not.
        cause: Option<DriveError>,
    },
    /// What is known of a charger's own fallback for the day the gateway dies (promise S5).
    Failsafe {
        /// At which EVSE.
        evse: EvseId,
        /// Why it would not come, and the operator has not signed for that; `None`: all is well.
        unguarded: Option<String>,
        /// The current it falls back to when it is not fed; `None`: it does not.
        fallback: Option<MilliAmps>,
    },
    /// The contacts of a device, as they stand; one that changed twice is there twice, in order. Told again and
    /// again, like every state.
    Contacts {
        /// On which device.
        device: DeviceId,
        /// Which, and whether it is active.
        levels: Vec<(GpioSignal, bool)>,
    },
    /// The lines of a device with contacts are not seen any more.
    ContactsLost {
        /// Which device.
        device: DeviceId,
    },
    /// A [`Effect::Drive`] is done.
    Driven {
        /// Which.
        ticket: u64,
        /// How it went.
        result: Result<(), DriveError>,
    },
    /// A back end asks for something.
    Command {
        /// For the answer.
        id: CommandId,
        /// What.
        command: Command,
    },
    /// The CSMS answered [`Effect::Authorize`].
    Authorized {
        /// Which request.
        request: u64,
        /// The verdict; `None`: the CSMS could not be reached.
        result: Option<TokenInfo>,
    },
    /// The CSMS judged the token of a running transaction.
    Verdict {
        /// Which transaction.
        tx: TxId,
        /// The verdict.
        info: TokenInfo,
    },
    /// The CSMS said something about a token while it answered something else.
    Learned {
        /// Which token.
        token: IdToken,
        /// The verdict.
        info: TokenInfo,
    },
    /// The controlling CSMS accepted our boot (true), or is not to be reached any more.
    Online(bool),
    /// The share of a fuse this EVSE may use; `None`: it hangs on no shared fuse.
    SharedFuse {
        /// Which.
        evse: EvseId,
        /// How much.
        share: Option<Share>,
    },
    /// Something happened around the charge point that its back ends must know for security's sake.
    Security(SecurityEvent),
    /// An [`Effect::Transfer`] has ended, or has something to say.
    Transferred {
        /// Which.
        order: u64,
        /// How.
        result: Result<TransferDone, TransferError>,
    },
    /// The batch of this id is durable.
    Committed(u64),
    /// The process ends in an orderly way: chargers to their safe state, nothing new is begun.
    Leaving,
    /// A deadline was reached.
    Tick,
}

/// What a station wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make this durable and say [`Input::Committed`]. Effects after it come only then, except those that
    /// lower or stop power.
    Commit {
        /// For the confirmation.
        id: u64,
        /// What.
        batch: Batch,
    },
    /// Tell the charger of an EVSE something; answered by [`Input::Driven`].
    Drive {
        /// Which EVSE.
        evse: EvseId,
        /// For the confirmation.
        ticket: u64,
        /// What.
        command: DeviceCommand,
        /// It lowers or stops power and goes ahead of everything.
        lowering: bool,
    },
    /// The charger's watchdog may be fed until then.
    Lease {
        /// Which EVSE.
        evse: EvseId,
        /// Not after.
        until: Mono,
    },
    /// Ask the CSMS about a token; answered by [`Input::Authorized`].
    Authorize {
        /// For the answer.
        request: u64,
        /// Where the token was presented.
        evse: EvseId,
        /// The token.
        token: IdToken,
    },
    /// A card was presented, whatever becomes of it; for telemetry.
    Presented {
        /// Where.
        evse: EvseId,
        /// Its token.
        token: IdToken,
    },
    /// The answer to a command.
    Answer {
        /// Which.
        id: CommandId,
        /// The answer.
        outcome: Outcome,
    },
    /// State to tell every back end now; never queued.
    Notify(Notice),
    /// Restart the OCPP session of this charge point.
    Reboot(ResetKind),
    /// Do something about a file; answered by [`Input::Transferred`].
    Transfer {
        /// For the answer.
        order: u64,
        /// What.
        what: TransferOrder,
    },
    /// Stop working on an order; it is not answered any more.
    CallOff {
        /// Which.
        order: u64,
    },
}
