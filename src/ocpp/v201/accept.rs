//! Messages of the CSMS to commands.

use super::super::api::Registration;
use super::super::dialect::{CallCx, KeyPut, Reaction, Reply, Triggered};
use super::V201;
use super::profile;
use super::project::CONNECTOR;
use super::readonly;
use super::token;
use super::variables::{MAX_BYTES, MAX_ITEMS};
use crate::domain::{
    Availability, ClearProfiles, Command, EvseId, EvseSetup, ProfilePurpose, RemoteStart, ResetKind,
    RunningTx, Trigger, TxId, Within,
};
use ocpp_kit::decode::{DecodeOptions, UnknownEnumValues};
use ocpp_kit::rpc::{CallError, ErrorCode};
use ocpp_kit::v2_0_1::{
    Action, ChangeAvailabilityRequest, ChangeAvailabilityResponse, ChangeAvailabilityStatus,
    ChargingProfileStatus, ClearChargingProfileRequest, ClearChargingProfileResponse,
    ClearChargingProfileStatus, CsmsRequest, DataTransferResponse, DataTransferStatus, EVSE,
    GenericDeviceModelStatus, GenericStatus, GetBaseReportRequest, GetBaseReportResponse,
    GetCompositeScheduleRequest, GetCompositeScheduleResponse, GetVariablesRequest, GetVariablesResponse,
    MessageTrigger, OperationalStatus, ReportBase, RequestStartStopStatus, RequestStartTransactionRequest,
    RequestStartTransactionResponse, RequestStopTransactionResponse, ResetEnum, ResetRequest, ResetResponse,
    ResetStatus, SetChargingProfileRequest, SetChargingProfileResponse, SetVariablesRequest,
    SetVariablesResponse, StatusInfo, TriggerMessageRequest, TriggerMessageResponse, TriggerMessageStatus,
    UnlockConnectorRequest, UnlockConnectorResponse, UnlockStatus,
};
use serde::Serialize;
use serde_json::value::RawValue;

fn lenient() -> DecodeOptions {
    let mut options = DecodeOptions::lenient();
    options.unknown_enum_values = UnknownEnumValues::Reject;
    options
}

fn ask(command: Command) -> Reaction {
    Reply::Ask(command).into()
}

fn say(response: &impl Serialize) -> Reaction {
    Reply::result(response).into()
}

/// A standard reason code with words.
fn because(code: &str, words: &str) -> StatusInfo {
    StatusInfo::new(code).with_additional_info(words)
}

impl V201 {
    /// A CALL of the CSMS. Unknown actions are NotImplemented, known ones that are not offered NotSupported.
    pub(super) fn accept_call(&mut self, action: &str, payload: &RawValue, cx: &CallCx) -> Reaction {
        let Some(known) = Action::from_wire(action) else {
            return Reply::Error(CallError::not_implemented(action)).into();
        };
        if !is_offered(known) {
            return Reply::Error(CallError::not_supported(action)).into();
        }
        let device_model = matches!(known, Action::GetVariables | Action::SetVariables);
        if device_model && payload.get().len() > MAX_BYTES {
            let words = format!("more than {MAX_BYTES} bytes");
            return Reply::Error(CallError::new(ErrorCode::FormatViolation, words)).into();
        }
        match CsmsRequest::decode(known, payload, &lenient()) {
            Ok(request) if cx.read_only => match readonly::refusal(&request) {
                Some(refusal) => refusal,
                None => self
                    .accept_request(request, cx)
                    .without_commands(|outcome| readonly::refused(action, payload, outcome)),
            },
            Ok(request) => self.accept_request(request, cx),
            Err(error) => Reply::Error(CallError::from(error)).into(),
        }
    }

    fn accept_request(&mut self, request: CsmsRequest, cx: &CallCx) -> Reaction {
        match request {
            CsmsRequest::ChangeAvailability(request) => self.change_availability(&request),
            CsmsRequest::ClearCache(_) => ask(Command::ClearCache),
            CsmsRequest::ClearChargingProfile(request) => self.clear_profiles(&request),
            CsmsRequest::DataTransfer(_) => {
                say(&DataTransferResponse::new(DataTransferStatus::UnknownVendorId))
            }
            CsmsRequest::GetBaseReport(request) => self.base_report(&request, cx),
            CsmsRequest::GetCompositeSchedule(request) => self.get_composite(&request),
            CsmsRequest::GetVariables(request) => self.get_variables(request, cx),
            CsmsRequest::RequestStartTransaction(request) => self.request_start(request, cx),
            CsmsRequest::RequestStopTransaction(request) => request_stop(&request.transaction_id, cx),
            CsmsRequest::Reset(request) => reset(&request),
            CsmsRequest::SetChargingProfile(request) => self.set_profile(&request),
            CsmsRequest::SetVariables(request) => self.set_variables(request),
            CsmsRequest::TriggerMessage(request) => self.trigger(&request, cx),
            CsmsRequest::UnlockConnector(request) => self.unlock(&request),
            other => Reply::Error(CallError::not_supported(other.action().as_str())).into(),
        }
    }

    /// The EVSE of this number.
    pub(super) fn evse(&self, number: i32) -> Option<EvseId> {
        let named = |evse: &&EvseSetup| i32::from(evse.id.0) == number;
        self.cp.evses.iter().find(named).map(|evse| evse.id)
    }

    /// The EVSE meant by an optional reference to EVSE and connector; `Err` where it is none of ours.
    fn evse_of(&self, named: Option<&EVSE>) -> Result<Option<EvseId>, &'static str> {
        let Some(named) = named else { return Ok(None) };
        if named.connector_id.is_some_and(|id| id != CONNECTOR) {
            return Err("UnknownConnectorId");
        }
        self.evse(named.id).map(Some).ok_or("UnknownEvse")
    }

    /// G03, G04.
    fn change_availability(&self, request: &ChangeAvailabilityRequest) -> Reaction {
        let to = match request.operational_status {
            OperationalStatus::Inoperative => Availability::Inoperative,
            _ => Availability::Operative,
        };
        match self.evse_of(request.evse.as_ref()) {
            Ok(evse) => ask(Command::ChangeAvailability { evse, to }),
            Err(code) => {
                let mut response = ChangeAvailabilityResponse::new(ChangeAvailabilityStatus::Rejected);
                response.status_info = Some(StatusInfo::new(code));
                say(&response)
            }
        }
    }

    /// K10.
    fn clear_profiles(&self, request: &ClearChargingProfileRequest) -> Reaction {
        let unknown = || {
            say(&ClearChargingProfileResponse::new(
                ClearChargingProfileStatus::Unknown,
            ))
        };
        let criteria = request.charging_profile_criteria.as_ref();
        let by_id = request.charging_profile_id.is_some();
        let number = criteria.and_then(|criteria| criteria.evse_id);
        let evse = match number.map(|number| (number, self.evse(number))) {
            None => None,
            Some((0, _)) => Some(None),
            Some((_, Some(evse))) => Some(Some(evse)),
            Some((_, None)) if by_id => None,
            Some((_, None)) => return unknown(),
        };
        let level = criteria.and_then(|criteria| criteria.stack_level);
        let stack_level = match level.map(u32::try_from) {
            Some(Err(_)) if !by_id => return unknown(),
            level => level.and_then(Result::ok),
        };
        let wanted = criteria.and_then(|criteria| criteria.charging_profile_purpose.as_ref());
        let purpose = wanted.map(profile::purpose);
        if purpose == Some(None) && !by_id {
            return unknown();
        }
        ask(Command::ClearProfiles(ClearProfiles {
            id: request.charging_profile_id,
            evse,
            purpose: purpose.flatten(),
            stack_level,
        }))
    }

    /// B07: the report follows the answer in parts.
    fn base_report(&self, request: &GetBaseReportRequest, cx: &CallCx) -> Reaction {
        let known = matches!(
            request.report_base,
            ReportBase::ConfigurationInventory | ReportBase::FullInventory | ReportBase::SummaryInventory
        );
        if !known {
            return say(&GetBaseReportResponse::new(
                GenericDeviceModelStatus::NotSupported,
            ));
        }
        Reaction {
            triggered: self.report(request.request_id, &request.report_base, cx.now),
            ..say(&GetBaseReportResponse::new(GenericDeviceModelStatus::Accepted))
        }
    }

    /// K08.
    fn get_composite(&self, request: &GetCompositeScheduleRequest) -> Reaction {
        let refused = |code: &str| {
            let mut response = GetCompositeScheduleResponse::new(GenericStatus::Rejected);
            response.status_info = Some(StatusInfo::new(code));
            say(&response)
        };
        let evse = match (request.evse_id, self.evse(request.evse_id)) {
            (0, _) => None,
            (_, Some(evse)) => Some(evse),
            (_, None) => return refused("UnknownEvse"),
        };
        match u32::try_from(request.duration) {
            Ok(duration_s) if duration_s > 0 => ask(Command::GetComposite {
                evse,
                duration_s,
                unit: request.charging_rate_unit.as_ref().and_then(profile::unit),
            }),
            _ => refused("ValuePositiveOnly"),
        }
    }

    fn get_variables(&self, request: GetVariablesRequest, cx: &CallCx) -> Reaction {
        let asked = request.get_variable_data;
        if asked.len() > MAX_ITEMS {
            return too_many();
        }
        let results = asked.into_iter().map(|asked| self.get_variable(asked, cx.now));
        say(&GetVariablesResponse::new(results.collect()))
    }

    fn set_variables(&mut self, request: SetVariablesRequest) -> Reaction {
        let asked = request.set_variable_data;
        if asked.len() > MAX_ITEMS {
            return too_many();
        }
        let before = self.model.params();
        let (mut results, mut puts): (Vec<_>, Vec<KeyPut>) = (Vec::new(), Vec::new());
        for item in asked {
            let (result, put) = self.set_variable(item);
            results.push(result);
            puts.extend(put);
        }
        let after = self.model.params();
        let changed = (after != before).then(|| Command::SetParams(Box::new(after)));
        Reaction {
            puts,
            commands: changed.into_iter().collect(),
            ..say(&SetVariablesResponse::new(results))
        }
    }

    /// F01, F02: an accepted request means "will try".
    fn request_start(&self, request: RequestStartTransactionRequest, cx: &CallCx) -> Reaction {
        let refused = |info: StatusInfo| {
            let mut response = RequestStartTransactionResponse::new(RequestStartStopStatus::Rejected);
            response.status_info = Some(info);
            say(&response)
        };
        if cx.registration != Registration::Accepted {
            return refused(StatusInfo::new("CSNotAccepted"));
        }
        let evse = match request.evse_id.map(|number| self.evse(number)) {
            None => None,
            Some(Some(evse)) => Some(evse),
            Some(None) => return refused(StatusInfo::new("UnknownEvse")),
        };
        let profile = match request.charging_profile.as_ref().map(profile::read) {
            None => None,
            Some(Ok(profile)) if profile.purpose == ProfilePurpose::Tx && profile.tx.is_none() => {
                Some(profile)
            }
            Some(Ok(_)) => {
                return refused(because(
                    "InvalidProfile",
                    "not a TxProfile for a transaction to be started",
                ));
            }
            Some(Err((code, words))) => return refused(because(code, words)),
        };
        ask(Command::RemoteStart(RemoteStart {
            evse,
            token: token::read(request.id_token),
            remote_start_id: Some(request.remote_start_id),
            profile,
            group: request.group_id_token.map(|group| group.id_token),
        }))
    }

    /// K01.
    fn set_profile(&self, request: &SetChargingProfileRequest) -> Reaction {
        let refused = |info: StatusInfo| {
            let mut response = SetChargingProfileResponse::new(ChargingProfileStatus::Rejected);
            response.status_info = Some(info);
            say(&response)
        };
        let evse = match (request.evse_id, self.evse(request.evse_id)) {
            (0, _) => None,
            (_, Some(evse)) => Some(evse),
            (_, None) => return refused(StatusInfo::new("UnknownEvse")),
        };
        let profile = match profile::read(&request.charging_profile) {
            Ok(profile) => profile,
            Err((code, words)) => return refused(because(code, words)),
        };
        match (profile.purpose, evse, &profile.tx) {
            (ProfilePurpose::ChargePointMax, Some(_), _) => refused(because(
                "InvalidProfile",
                "a profile of the whole station belongs to EVSE 0",
            )),
            (ProfilePurpose::Tx, None, _) => refused(because(
                "InvalidProfile",
                "a profile of a transaction needs an EVSE",
            )),
            (ProfilePurpose::Tx, _, None) => refused(because("MissingParam", "transactionId (K01.FR.03)")),
            _ => ask(Command::SetProfile { evse, profile }),
        }
    }

    /// F06.
    fn trigger(&self, request: &TriggerMessageRequest, cx: &CallCx) -> Reaction {
        let answer = |status, triggered: Option<Triggered>| Reaction {
            triggered: triggered.into_iter().collect(),
            ..say(&TriggerMessageResponse::new(status))
        };
        let refused = || answer(TriggerMessageStatus::Rejected, None);
        let accepted = |triggered| answer(TriggerMessageStatus::Accepted, Some(triggered));
        let Ok(evse) = self.evse_of(request.evse.as_ref()) else {
            return refused();
        };
        let connector = request.evse.as_ref().and_then(|evse| evse.connector_id);
        let registered = cx.registration == Registration::Accepted;
        let values = |within| ask(Command::Trigger(Trigger::MeterValues { evse, within }));
        match request.requested_message {
            // F06.FR.17.
            MessageTrigger::BootNotification if registered => refused(),
            MessageTrigger::BootNotification => accepted(Triggered::Boot),
            MessageTrigger::Heartbeat => accepted(Triggered::Heartbeat),
            // F06.FR.12: only one connector can be asked for.
            MessageTrigger::StatusNotification if evse.is_some() && connector.is_some() => {
                accepted(Triggered::Status(Some(evse)))
            }
            MessageTrigger::StatusNotification => refused(),
            MessageTrigger::MeterValues if registered => values(Within::Apart),
            MessageTrigger::TransactionEvent if registered => values(Within::Transaction),
            MessageTrigger::MeterValues | MessageTrigger::TransactionEvent => refused(),
            _ => answer(TriggerMessageStatus::NotImplemented, None),
        }
    }

    /// F05.
    fn unlock(&self, request: &UnlockConnectorRequest) -> Reaction {
        match self
            .evse(request.evse_id)
            .filter(|_| request.connector_id == CONNECTOR)
        {
            Some(evse) => ask(Command::Unlock {
                evse,
                running: RunningTx::Keeps,
            }),
            None => say(&UnlockConnectorResponse::new(UnlockStatus::UnknownConnector)),
        }
    }
}

/// F03.
fn request_stop(transaction_id: &str, cx: &CallCx) -> Reaction {
    if cx.registration == Registration::Accepted {
        return ask(Command::RemoteStop {
            tx: TxId::new(transaction_id),
        });
    }
    let mut response = RequestStopTransactionResponse::new(RequestStartStopStatus::Rejected);
    response.status_info = Some(StatusInfo::new("CSNotAccepted"));
    say(&response)
}

/// B11, B12. One EVSE cannot be reset alone.
fn reset(request: &ResetRequest) -> Reaction {
    if request.evse_id.is_some() {
        let mut response = ResetResponse::new(ResetStatus::Rejected);
        response.status_info = Some(because("UnsupportedParam", "one EVSE cannot be reset alone"));
        return say(&response);
    }
    ask(Command::Reset {
        kind: match request.r#type {
            ResetEnum::OnIdle => ResetKind::OnIdle,
            _ => ResetKind::Soft,
        },
        evse: None,
    })
}

/// B05.FR.11, B06.FR.16.
fn too_many() -> Reaction {
    let words = format!("more than {MAX_ITEMS} items");
    Reply::Error(CallError::new(ErrorCode::OccurrenceConstraintViolation, words)).into()
}

/// The actions that are offered.
fn is_offered(action: Action) -> bool {
    matches!(
        action,
        Action::ChangeAvailability
            | Action::ClearCache
            | Action::ClearChargingProfile
            | Action::DataTransfer
            | Action::GetBaseReport
            | Action::GetCompositeSchedule
            | Action::GetVariables
            | Action::RequestStartTransaction
            | Action::RequestStopTransaction
            | Action::Reset
            | Action::SetChargingProfile
            | Action::SetVariables
            | Action::TriggerMessage
            | Action::UnlockConnector
    )
}
