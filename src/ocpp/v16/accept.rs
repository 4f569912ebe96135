//! Messages of the CSMS to commands.

use super::super::api::Registration;
use super::super::dialect::{CallCx, Reaction, Reply};
use super::profile;
use super::{V16, answer, credentials, keys::MAX_KEYS, readonly, transfers};
use crate::domain::{
    Availability, ClearProfiles, Command, EvseId, IdToken, ProfilePurpose, RemoteStart, Reservation,
    ResetKind, RunningTx, TokenKind,
};
use ocpp_kit::decode::{DecodeOptions, UnknownEnumValues};
use ocpp_kit::rpc::{CallError, ErrorCode};
use ocpp_kit::v1_6::{
    Action, AvailabilityStatus, AvailabilityType, ChangeAvailabilityRequest, ChangeAvailabilityResponse,
    ChangeConfigurationRequest, ChangeConfigurationResponse, ChargingProfileStatus,
    ClearChargingProfileRequest, ClearChargingProfileResponse, ClearChargingProfileStatus,
    ConfigurationStatus, CsmsRequest, DataTransferResponse, DataTransferStatus, GetCompositeScheduleRequest,
    GetCompositeScheduleResponse, GetCompositeScheduleStatus, GetConfigurationRequest,
    GetConfigurationResponse, RemoteStartStopStatus, RemoteStartTransactionRequest,
    RemoteStartTransactionResponse, RemoteStopTransactionResponse, ReservationStatus, ReserveNowRequest,
    ReserveNowResponse, ResetType, SetChargingProfileRequest, SetChargingProfileResponse,
    UnlockConnectorResponse, UnlockStatus,
};
use serde::Serialize;
use serde_json::value::RawValue;

/// What a `connectorId` names.
pub(super) enum Named {
    /// Connector 0.
    ChargePoint,
    /// One of ours.
    Evse(EvseId),
    /// None of ours.
    Nobody,
}

fn lenient() -> DecodeOptions {
    let mut options = DecodeOptions::lenient();
    options.unknown_enum_values = UnknownEnumValues::Reject;
    options
}

pub(super) fn ask(command: Command) -> Reaction {
    Reply::Ask(command).into()
}

pub(super) fn say(response: &impl Serialize) -> Reaction {
    Reply::result(response).into()
}

impl V16 {
    /// A CALL of the CSMS. Unknown actions are NotImplemented, known ones that are not offered NotSupported.
    pub(super) fn accept_call(&mut self, action: &str, payload: &RawValue, cx: &CallCx) -> Reaction {
        let Some(known) = Action::from_wire(action) else {
            return Reply::Error(CallError::not_implemented(action)).into();
        };
        if !self.is_offered(known) {
            return Reply::Error(CallError::not_supported(action)).into();
        }
        match CsmsRequest::decode(known, payload, &lenient()) {
            Ok(request) if cx.read_only => match readonly::refusal(&request) {
                Some(refusal) => refusal,
                None => self
                    .accept_request(request, cx)
                    .without_commands(|outcome| answer::render(action, payload, outcome)),
            },
            Ok(request) => self.accept_request(request, cx),
            Err(error) => Reply::Error(CallError::from(error)).into(),
        }
    }

    fn accept_request(&mut self, request: CsmsRequest, cx: &CallCx) -> Reaction {
        match request {
            CsmsRequest::ChangeAvailability(request) => self.change_availability(&request),
            CsmsRequest::ChangeConfiguration(request) => self.change_configuration(&request, cx),
            CsmsRequest::CertificateSigned(request) => credentials::signed(request),
            CsmsRequest::DeleteCertificate(request) => credentials::delete(request),
            CsmsRequest::GetInstalledCertificateIds(request) => credentials::list(&request),
            CsmsRequest::InstallCertificate(request) => credentials::install(request),
            CsmsRequest::ClearCache(_) => ask(Command::ClearCache),
            CsmsRequest::ClearChargingProfile(request) => self.clear_profiles(&request),
            CsmsRequest::DataTransfer(_) => {
                say(&DataTransferResponse::new(DataTransferStatus::UnknownVendorId))
            }
            CsmsRequest::GetCompositeSchedule(request) => self.get_composite(&request),
            CsmsRequest::GetConfiguration(request) => self.get_configuration(request),
            CsmsRequest::GetDiagnostics(request) => ask(transfers::diagnostics(request)),
            CsmsRequest::GetLog(request) => ask(transfers::log(request)),
            CsmsRequest::GetLocalListVersion(_) => self.list_version(),
            CsmsRequest::SendLocalList(request) => self.send_list(request),
            CsmsRequest::ReserveNow(request) => self.reserve(request),
            CsmsRequest::CancelReservation(request) => ask(Command::CancelReservation {
                id: request.reservation_id,
            }),
            CsmsRequest::RemoteStartTransaction(request) => self.remote_start(request, cx),
            CsmsRequest::RemoteStopTransaction(request) => self.remote_stop(request.transaction_id, cx),
            CsmsRequest::Reset(request) => ask(Command::Reset {
                kind: if request.r#type == ResetType::Hard {
                    ResetKind::Hard
                } else {
                    ResetKind::Soft
                },
                evse: None,
            }),
            CsmsRequest::SetChargingProfile(request) => self.set_profile(&request),
            CsmsRequest::SignedUpdateFirmware(request) => ask(transfers::signed_update(request)),
            CsmsRequest::UpdateFirmware(request) => ask(transfers::update(request)),
            CsmsRequest::TriggerMessage(request) => self.trigger(&request, cx),
            CsmsRequest::ExtendedTriggerMessage(request) => self.extended_trigger(&request, cx),
            CsmsRequest::UnlockConnector(request) => match self.named(request.connector_id) {
                Named::Evse(evse) => ask(Command::Unlock {
                    evse,
                    running: RunningTx::Ends,
                }),
                // Errata 3.87: UnlockFailed is for locks that were tried.
                Named::ChargePoint | Named::Nobody => {
                    say(&UnlockConnectorResponse::new(UnlockStatus::NotSupported))
                }
            },
            other => Reply::Error(CallError::not_supported(other.action().as_str())).into(),
        }
    }

    pub(super) fn named(&self, connector: i32) -> Named {
        match u16::try_from(connector) {
            Ok(0) => Named::ChargePoint,
            Ok(number) if self.evses.contains(&EvseId(number)) => Named::Evse(EvseId(number)),
            _ => Named::Nobody,
        }
    }

    fn change_availability(&self, request: &ChangeAvailabilityRequest) -> Reaction {
        let to = match request.r#type {
            AvailabilityType::Inoperative => Availability::Inoperative,
            _ => Availability::Operative,
        };
        match self.named(request.connector_id) {
            Named::ChargePoint => ask(Command::ChangeAvailability { evse: None, to }),
            Named::Evse(evse) => ask(Command::ChangeAvailability { evse: Some(evse), to }),
            Named::Nobody => say(&ChangeAvailabilityResponse::new(AvailabilityStatus::Rejected)),
        }
    }

    fn change_configuration(&mut self, request: &ChangeConfigurationRequest, cx: &CallCx) -> Reaction {
        if let Some(change) = credentials::change(&request.key, &request.value) {
            return match change {
                Ok(wanted) if !cx.read_only => Reply::Vault(wanted).into(),
                // The credentials of a CSMS that only reads are the operator's.
                Ok(_) | Err(()) => say(&credentials::changed(false)),
            };
        }
        let before = self.keys.params();
        let (status, put) = self.keys.change(&request.key, &request.value);
        let mut reaction = say(&ChangeConfigurationResponse::new(status.clone()));
        if status == ConfigurationStatus::Accepted {
            reaction.puts.extend(put.map(|(key, value)| (key, Some(value))));
            let after = self.keys.params();
            if after != before {
                reaction.commands.push(Command::SetParams(Box::new(after)));
            }
        }
        reaction
    }

    fn get_configuration(&self, request: GetConfigurationRequest) -> Reaction {
        let asked = request.key.unwrap_or_default();
        if asked.len() > MAX_KEYS {
            let error = CallError::new(
                ErrorCode::OccurrenceConstraintViolation,
                format!("more than {MAX_KEYS} keys"),
            );
            return Reply::Error(error).into();
        }
        let (known, unknown) = self.keys.tell(&asked);
        let mut response = GetConfigurationResponse::new();
        response.configuration_key = (!known.is_empty()).then_some(known);
        response.unknown_key = (!unknown.is_empty()).then_some(unknown);
        say(&response)
    }

    fn remote_start(&self, request: RemoteStartTransactionRequest, cx: &CallCx) -> Reaction {
        let refused = || {
            say(&RemoteStartTransactionResponse::new(
                RemoteStartStopStatus::Rejected,
            ))
        };
        if cx.registration != Registration::Accepted {
            return refused();
        }
        let evse = match request.connector_id.map(|connector| self.named(connector)) {
            None => None,
            Some(Named::Evse(evse)) => Some(evse),
            Some(Named::ChargePoint | Named::Nobody) => return refused(),
        };
        let profile = match request.charging_profile {
            None => None,
            Some(mut wire) => {
                // Errata 3.41: a transactionId here names nothing yet.
                wire.transaction_id = None;
                match profile::read(&wire, &self.map) {
                    Ok(profile) if profile.purpose == ProfilePurpose::Tx => Some(profile),
                    Ok(_) | Err(_) => return refused(),
                }
            }
        };
        ask(Command::RemoteStart(RemoteStart {
            evse,
            token: IdToken::new(request.id_tag, TokenKind::Central),
            remote_start_id: None,
            profile,
            group: None,
        }))
    }

    fn reserve(&self, request: ReserveNowRequest) -> Reaction {
        let evse = match self.named(request.connector_id) {
            Named::ChargePoint => None,
            Named::Evse(evse) => Some(evse),
            Named::Nobody => return say(&ReserveNowResponse::new(ReservationStatus::Rejected)),
        };
        ask(Command::Reserve(Reservation {
            id: request.reservation_id,
            evse,
            token: IdToken::new(request.id_tag, TokenKind::Central),
            group: request.parent_id_tag,
            expires_ms: request.expiry_date.timestamp().as_millisecond(),
        }))
    }

    fn remote_stop(&self, number: i32, cx: &CallCx) -> Reaction {
        match self.map.tx(number) {
            Some(tx) if cx.registration == Registration::Accepted => {
                ask(Command::RemoteStop { tx: tx.clone() })
            }
            _ => say(&RemoteStopTransactionResponse::new(
                RemoteStartStopStatus::Rejected,
            )),
        }
    }

    fn set_profile(&self, request: &SetChargingProfileRequest) -> Reaction {
        let refused = || say(&SetChargingProfileResponse::new(ChargingProfileStatus::Rejected));
        let evse = match self.named(request.connector_id) {
            Named::ChargePoint => None,
            Named::Evse(evse) => Some(evse),
            // Errata 3.39.
            Named::Nobody => {
                let error = CallError::new(ErrorCode::PropertyConstraintViolation, "no such connectorId");
                return Reply::Error(error).into();
            }
        };
        let Ok(profile) = profile::read(&request.cs_charging_profiles, &self.map) else {
            return refused();
        };
        let fits = match profile.purpose {
            ProfilePurpose::ChargePointMax => evse.is_none(),
            ProfilePurpose::TxDefault => true,
            ProfilePurpose::Tx => evse.is_some(),
        };
        if fits {
            ask(Command::SetProfile { evse, profile })
        } else {
            refused()
        }
    }

    fn clear_profiles(&self, request: &ClearChargingProfileRequest) -> Reaction {
        let unknown = || {
            say(&ClearChargingProfileResponse::new(
                ClearChargingProfileStatus::Unknown,
            ))
        };
        let evse = match request.connector_id.map(|connector| self.named(connector)) {
            None => None,
            Some(Named::ChargePoint) => Some(None),
            Some(Named::Evse(evse)) => Some(Some(evse)),
            // Errata 3.26: with an id the other fields do not count.
            Some(Named::Nobody) if request.id.is_some() => None,
            Some(Named::Nobody) => return unknown(),
        };
        let stack_level = match request.stack_level.map(u32::try_from) {
            None => None,
            Some(Ok(level)) => Some(level),
            Some(Err(_)) if request.id.is_some() => None,
            Some(Err(_)) => return unknown(),
        };
        ask(Command::ClearProfiles(ClearProfiles {
            id: request.id,
            evse,
            purpose: request
                .charging_profile_purpose
                .as_ref()
                .and_then(profile::purpose),
            stack_level,
        }))
    }

    fn get_composite(&self, request: &GetCompositeScheduleRequest) -> Reaction {
        let refused = || {
            say(&GetCompositeScheduleResponse::new(
                GetCompositeScheduleStatus::Rejected,
            ))
        };
        let evse = match self.named(request.connector_id) {
            Named::ChargePoint => None,
            Named::Evse(evse) => Some(evse),
            Named::Nobody => return refused(),
        };
        match u32::try_from(request.duration) {
            Ok(duration_s) if duration_s > 0 => ask(Command::GetComposite {
                evse,
                duration_s,
                unit: request.charging_rate_unit.as_ref().and_then(profile::unit),
            }),
            _ => refused(),
        }
    }
}

impl V16 {
    /// Whether an action is offered. Which update is depends on the site; where it is the signed one, the other is refused
    /// (whitepaper L01.FR.20).
    fn is_offered(&self, action: Action) -> bool {
        let signed = self.cp.firmware.as_ref().map(|firmware| firmware.roots.is_some());
        match action {
            Action::SignedUpdateFirmware => signed == Some(true),
            Action::UpdateFirmware => signed == Some(false),
            other => is_always_offered(other),
        }
    }
}

/// The actions of the profiles offered.
fn is_always_offered(action: Action) -> bool {
    matches!(
        action,
        Action::CancelReservation
            | Action::CertificateSigned
            | Action::ChangeAvailability
            | Action::ChangeConfiguration
            | Action::ClearCache
            | Action::ClearChargingProfile
            | Action::DataTransfer
            | Action::DeleteCertificate
            | Action::ExtendedTriggerMessage
            | Action::GetCompositeSchedule
            | Action::GetConfiguration
            | Action::GetDiagnostics
            | Action::GetInstalledCertificateIds
            | Action::GetLocalListVersion
            | Action::GetLog
            | Action::InstallCertificate
            | Action::RemoteStartTransaction
            | Action::RemoteStopTransaction
            | Action::ReserveNow
            | Action::Reset
            | Action::SendLocalList
            | Action::SetChargingProfile
            | Action::TriggerMessage
            | Action::UnlockConnector
    )
}
