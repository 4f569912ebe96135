//! Messages that are sent because the CSMS asks for them (5.17, whitepaper 5.5, errata 3.35 and 3.46).
//!
//! Rules: what is accepted is sent; a BootNotification is refused once registered; a message of a feature that is not
//! there is NotImplemented; connectors that are none of ours are refused where the message is about a connector.

use super::super::api::Registration;
use super::super::dialect::{CallCx, Reaction, Reply, Triggered};
use super::V16;
use super::accept::{Named, ask, say};
use super::transfers;
use crate::domain::{Command, EvseId, Trigger, VaultRequest, Within};
use ocpp_kit::v1_6::{
    ExtendedMessageTrigger, ExtendedTriggerMessageRequest, ExtendedTriggerMessageResponse, MessageTrigger,
    TriggerMessageRequest, TriggerMessageResponse, TriggerMessageStatus,
};

/// What is asked for, by either message.
enum Wanted {
    Boot,
    Heartbeat,
    Status,
    MeterValues,
    /// A request for a new certificate.
    Certificate,
    /// How far an upload has come.
    Log {
        diagnostics: bool,
    },
    /// How far an update has come.
    Firmware {
        signed: bool,
    },
    /// A message of a feature that is not there.
    Absent,
}

/// What it comes to.
enum Verdict {
    Refused,
    Absent,
    Sent(Triggered),
    /// The station knows.
    Asked(Command),
    /// The keeper of the credentials knows.
    Kept(VaultRequest),
}

impl V16 {
    /// TriggerMessage.req.
    pub(super) fn trigger(&self, request: &TriggerMessageRequest, cx: &CallCx) -> Reaction {
        let wanted = match request.requested_message {
            MessageTrigger::BootNotification => Wanted::Boot,
            MessageTrigger::Heartbeat => Wanted::Heartbeat,
            MessageTrigger::StatusNotification => Wanted::Status,
            MessageTrigger::MeterValues => Wanted::MeterValues,
            MessageTrigger::FirmwareStatusNotification if self.cp.firmware.is_some() => {
                Wanted::Firmware { signed: false }
            }
            MessageTrigger::DiagnosticsStatusNotification => Wanted::Log { diagnostics: true },
            _ => Wanted::Absent,
        };
        let verdict = self.triggered(&wanted, request.connector_id, cx);
        reaction(verdict, |status| say(&TriggerMessageResponse::new(status)))
    }

    /// ExtendedTriggerMessage.req.
    pub(super) fn extended_trigger(&self, request: &ExtendedTriggerMessageRequest, cx: &CallCx) -> Reaction {
        let wanted = match request.requested_message {
            ExtendedMessageTrigger::BootNotification => Wanted::Boot,
            ExtendedMessageTrigger::Heartbeat => Wanted::Heartbeat,
            ExtendedMessageTrigger::StatusNotification => Wanted::Status,
            ExtendedMessageTrigger::MeterValues => Wanted::MeterValues,
            ExtendedMessageTrigger::SignChargePointCertificate => Wanted::Certificate,
            ExtendedMessageTrigger::FirmwareStatusNotification
                if self
                    .cp
                    .firmware
                    .as_ref()
                    .is_some_and(|firmware| firmware.roots.is_some()) =>
            {
                Wanted::Firmware { signed: true }
            }
            ExtendedMessageTrigger::LogStatusNotification => Wanted::Log { diagnostics: false },
            _ => Wanted::Absent,
        };
        let verdict = self.triggered(&wanted, request.connector_id, cx);
        reaction(verdict, |status| {
            say(&ExtendedTriggerMessageResponse::new(status))
        })
    }

    fn triggered(&self, wanted: &Wanted, connector: Option<i32>, cx: &CallCx) -> Verdict {
        // A connector that does not matter to the message is no reason to refuse it.
        let matters = matches!(wanted, Wanted::Status | Wanted::MeterValues);
        let evse: Option<EvseId> = match connector.map(|connector| self.named(connector)) {
            Some(Named::Nobody) if matters => return Verdict::Refused,
            Some(Named::Evse(evse)) => Some(evse),
            Some(Named::ChargePoint | Named::Nobody) | None => None,
        };
        let registered = cx.registration == Registration::Accepted;
        match wanted {
            Wanted::Boot if registered => Verdict::Refused,
            Wanted::Boot => Verdict::Sent(Triggered::Boot),
            Wanted::Heartbeat => Verdict::Sent(Triggered::Heartbeat),
            Wanted::Status => Verdict::Sent(Triggered::Status(connector.map(|_| evse))),
            Wanted::MeterValues if registered => {
                let within = Within::Either;
                Verdict::Asked(Command::Trigger(Trigger::MeterValues { evse, within }))
            }
            Wanted::Certificate => self.certificate_for().map_or(Verdict::Refused, Verdict::Kept),
            // What is under way was asked for by the CSMS in control.
            Wanted::Log { diagnostics } if registered && cx.read_only => {
                Verdict::Sent(Triggered::Call(transfers::no_upload(*diagnostics)))
            }
            Wanted::Log { diagnostics } if registered => Verdict::Asked(Command::TellLog {
                diagnostics: *diagnostics,
            }),
            Wanted::Firmware { signed } if registered && cx.read_only => {
                Verdict::Sent(Triggered::Call(transfers::no_update(*signed)))
            }
            Wanted::Firmware { signed } if registered => {
                Verdict::Asked(Command::TellFirmware { signed: *signed })
            }
            Wanted::MeterValues | Wanted::Log { .. } | Wanted::Firmware { .. } => Verdict::Refused,
            Wanted::Absent => Verdict::Absent,
        }
    }
}

fn reaction(verdict: Verdict, answer: impl Fn(TriggerMessageStatus) -> Reaction) -> Reaction {
    match verdict {
        Verdict::Refused => answer(TriggerMessageStatus::Rejected),
        Verdict::Absent => answer(TriggerMessageStatus::NotImplemented),
        Verdict::Sent(message) => Reaction {
            triggered: vec![message],
            ..answer(TriggerMessageStatus::Accepted)
        },
        Verdict::Asked(command) => ask(command),
        Verdict::Kept(request) => Reply::Vault(request).into(),
    }
}
