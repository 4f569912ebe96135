//! Events to messages: what we say in 2.0.1.

use super::super::api::Facts;
use super::super::dialect::{BootReason, Call};
use super::super::read::cut;
use super::super::wallclock::{Epochs, date_time};
use super::measure::meter_value;
use super::model::Model;
use super::token;
use crate::domain::{
    Begin, ChargingState, ConnectorStatus, CpSetup, End, Event, EvseId, IdToken, MilliWattHours, Phase,
    Quantity, Row, SampleContext, SamplePoint, StatusNotice, StopReason, TxId, TxTrigger,
};
use ocpp_kit::types::DateTime;
use ocpp_kit::v2_0_1 as wire;
use ocpp_kit::v2_0_1::{
    AuthorizeRequest, BootNotificationRequest, ChargingStation, EVSE, HeartbeatRequest, Measurand,
    MeterValue, MeterValuesRequest, ReadingContext, Reason, SecurityEventNotificationRequest,
    StatusNotificationRequest, Transaction, TransactionEventEnum, TransactionEventRequest, TriggerReason,
};

/// Every EVSE has one connector.
pub(super) const CONNECTOR: i32 = 1;

/// BootNotificationRequest (B01): every text cut to its length.
pub(super) fn boot(cp: &CpSetup, firmware: &str, facts: &Facts, reason: BootReason) -> Call {
    let mut station = ChargingStation::new(
        cut(&cp.model, 20).unwrap_or_else(|| "Gateway".to_owned()),
        cut(&cp.vendor, 50).unwrap_or_else(|| "Retrovolt".to_owned()),
    );
    let serial = facts.serial(cp);
    station.serial_number = serial.and_then(|text| cut(text, 25));
    station.firmware_version = cut(&facts.versions(firmware), 50);
    let reason = match reason {
        BootReason::PowerUp => wire::BootReason::PowerUp,
        BootReason::RemoteReset => wire::BootReason::RemoteReset,
        BootReason::ScheduledReset => wire::BootReason::ScheduledReset,
        BootReason::Triggered => wire::BootReason::Triggered,
        BootReason::Changed => wire::BootReason::Unknown,
    };
    Call::new("BootNotification", &BootNotificationRequest::new(station, reason))
}

/// HeartbeatRequest (G02).
pub(super) fn heartbeat() -> Call {
    Call::new("Heartbeat", &HeartbeatRequest::new())
}

/// AuthorizeRequest (C01).
pub(super) fn authorize(token: &IdToken) -> Call {
    Call::new("Authorize", &AuthorizeRequest::new(token::told(token)))
}

/// StatusNotificationRequest (G01); the station as a whole has none.
pub(super) fn status(notice: &StatusNotice, unix_ms: i64) -> Option<Call> {
    let request = StatusNotificationRequest::new(
        date_time(unix_ms),
        connector_status(notice.status),
        number(notice.evse?),
        CONNECTOR,
    );
    Some(Call::new("StatusNotification", &request))
}

/// The nine statuses of 1.6 folded to five.
pub(super) fn connector_status(status: ConnectorStatus) -> wire::ConnectorStatus {
    match status {
        ConnectorStatus::Available => wire::ConnectorStatus::Available,
        ConnectorStatus::Preparing
        | ConnectorStatus::Charging
        | ConnectorStatus::SuspendedEVSE
        | ConnectorStatus::SuspendedEV
        | ConnectorStatus::Finishing => wire::ConnectorStatus::Occupied,
        ConnectorStatus::Reserved => wire::ConnectorStatus::Reserved,
        ConnectorStatus::Unavailable => wire::ConnectorStatus::Unavailable,
        ConnectorStatus::Faulted => wire::ConnectorStatus::Faulted,
    }
}

fn number(evse: EvseId) -> i32 {
    i32::from(evse.0)
}

/// A ledger row as 2.0.1 tells it. Every row of a transaction is told, even one without a value it has a name for:
/// sequence numbers have no gaps (E01.FR.07).
pub(super) fn row(row: &Row, epochs: &Epochs, model: &Model) -> Option<Call> {
    let at = epochs.date_time(row.at);
    match &row.event {
        Event::Began(begin) => Some(started(begin, at, model)),
        Event::Sampled {
            tx: Some(tx),
            tx_seq,
            evse,
            context,
            points,
            charging_state,
            offline,
            beside: _,
        } => {
            let trigger = match context {
                SampleContext::Clock => TriggerReason::MeterValueClock,
                SampleContext::Trigger => TriggerReason::Trigger,
                SampleContext::Periodic | SampleContext::TransactionBegin | SampleContext::TransactionEnd => {
                    TriggerReason::MeterValuePeriodic
                }
            };
            let mut event = updated(tx, *tx_seq, trigger, *charging_state, *offline, at);
            event.meter_value = meter_value(points, *context, evse.is_none(), at).map(|value| vec![value]);
            Some(Call::new("TransactionEvent", &event))
        }
        Event::Sampled {
            tx: None,
            evse,
            context,
            points,
            ..
        } => {
            let value = meter_value(points, *context, evse.is_none(), at)?;
            let request = MeterValuesRequest::new(evse.map_or(0, number), vec![value]);
            Some(Call::new("MeterValues", &request))
        }
        Event::Changed {
            tx,
            tx_seq,
            trigger,
            charging_state,
            offline,
            ..
        } => {
            let trigger = trigger_reason(*trigger);
            let event = updated(tx, *tx_seq, trigger, Some(*charging_state), *offline, at);
            Some(Call::new("TransactionEvent", &event))
        }
        Event::Ended(end) => Some(ended(end, at, epochs, model)),
        Event::Security(event) => {
            let kind = cut(&event.name, 50)?;
            let mut request = SecurityEventNotificationRequest::new(kind, at);
            request.tech_info = event.info.as_ref().and_then(|text| cut(text, 255));
            Some(Call::new("SecurityEventNotification", &request))
        }
        // Asked for in 1.6 before the version was changed: 2.x offers no uploads here yet.
        Event::Log(_) | Event::Firmware(_) => None,
    }
}

/// The first event carries what the others need not repeat: EVSE, token, remote start (E01, E02, F02).
fn started(begin: &Begin, at: DateTime, model: &Model) -> Call {
    let mut info = Transaction::new(begin.tx.as_str());
    info.charging_state = Some(charging_state(begin.charging_state));
    info.remote_start_id = begin.remote_start_id;
    let kind = TransactionEventEnum::Started;
    let mut event = TransactionEventRequest::new(kind, at, trigger_reason(begin.trigger), 0, info);
    event.offline = begin.offline.then_some(true);
    event.reservation_id = begin.reservation_id;
    event.evse = Some(EVSE::new(number(begin.evse)).with_connector_id(CONNECTOR));
    event.id_token = Some(begin.token.as_ref().map_or_else(token::nobody, token::told));
    if model.tells_at("SampledDataCtrlr.TxStartedMeasurands") {
        let register = SamplePoint {
            quantity: Quantity::EnergyImport,
            phase: Phase::Total,
            milli: begin.meter.0,
            quality: begin.quality,
        };
        let value = meter_value(&[register], SampleContext::TransactionBegin, false, at);
        event.meter_value = value.map(|value| vec![value]);
    }
    Call::new("TransactionEvent", &event)
}

fn updated(
    tx: &TxId,
    seq: u32,
    trigger: TriggerReason,
    state: Option<ChargingState>,
    offline: bool,
    at: DateTime,
) -> TransactionEventRequest {
    let mut info = Transaction::new(tx.as_str());
    info.charging_state = state.map(charging_state);
    let kind = TransactionEventEnum::Updated;
    let mut event = TransactionEventRequest::new(kind, at, trigger, seq_no(seq), info);
    event.offline = offline.then_some(true);
    event
}

fn ended(end: &End, at: DateTime, epochs: &Epochs, model: &Model) -> Call {
    let (trigger, reason) = stop_reason(end.reason);
    let mut info = Transaction::new(end.tx.as_str());
    info.stopped_reason = Some(reason);
    if end.reason == StopReason::EVDisconnected {
        info.charging_state = Some(wire::ChargingState::Idle);
    }
    let kind = TransactionEventEnum::Ended;
    let mut event = TransactionEventRequest::new(kind, at, trigger, seq_no(end.tx_seq), info);
    event.offline = end.offline.then_some(true);
    event.id_token = end.token.as_ref().map(token::told);
    let values = if model.tells_at("SampledDataCtrlr.TxEndedMeasurands")
        || model.tells_at("AlignedDataCtrlr.TxEndedMeasurands")
    {
        end_values(end, at, epochs)
    } else {
        Vec::new()
    };
    event.meter_value = (!values.is_empty()).then_some(values);
    Call::new("TransactionEvent", &event)
}

/// What was kept for the end, and always the register that is billed.
fn end_values(end: &End, at: DateTime, epochs: &Epochs) -> Vec<MeterValue> {
    let register = SamplePoint {
        quantity: Quantity::EnergyImport,
        phase: Phase::Total,
        milli: end.meter.0,
        quality: end.quality,
    };
    let mut samples = end.data.clone();
    let last = samples
        .last_mut()
        .filter(|sample| sample.context == SampleContext::TransactionEnd);
    let own = match last {
        Some(last) if last.points.iter().any(is_register) => None,
        Some(last) => {
            last.points.push(register);
            None
        }
        None => meter_value(&[register], SampleContext::TransactionEnd, false, at),
    };
    let kept = samples
        .iter()
        .filter_map(|s| meter_value(&s.points, s.context, false, epochs.date_time(s.at)));
    kept.chain(own).collect()
}

fn is_register(point: &SamplePoint) -> bool {
    point.quantity == Quantity::EnergyImport && point.phase == Phase::Total
}

/// The billing register of the begin or of the end in a TransactionEvent, which is the last of its kind there.
pub(super) fn register_told(call: &Call) -> Option<MilliWattHours> {
    let event: TransactionEventRequest = serde_json::from_str(call.payload.get()).ok()?;
    let values = event.meter_value.unwrap_or_default();
    let samples = values.iter().flat_map(|value| &value.sampled_value);
    let mut told = samples.filter(|sample| {
        let at_an_end = matches!(
            sample.context,
            Some(ReadingContext::TransactionBegin | ReadingContext::TransactionEnd)
        );
        at_an_end && sample.measurand == Some(Measurand::EnergyActiveImportRegister) && sample.phase.is_none()
    });
    told.next_back()
        .and_then(|sample| milli(&sample.value.to_string()))
        .map(MilliWattHours)
}

/// A decimal number in thousandths.
fn milli(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{part:0<3}");
    let joined = format!("{whole}{}", digits.get(..3)?);
    joined.parse().ok()
}

fn seq_no(seq: u32) -> i32 {
    i32::try_from(seq).unwrap_or(i32::MAX)
}

fn charging_state(state: ChargingState) -> wire::ChargingState {
    match state {
        ChargingState::Charging => wire::ChargingState::Charging,
        ChargingState::EVConnected => wire::ChargingState::EVConnected,
        ChargingState::SuspendedEV => wire::ChargingState::SuspendedEV,
        ChargingState::SuspendedEVSE => wire::ChargingState::SuspendedEVSE,
        ChargingState::Idle => wire::ChargingState::Idle,
    }
}

fn trigger_reason(trigger: TxTrigger) -> TriggerReason {
    match trigger {
        TxTrigger::Authorized => TriggerReason::Authorized,
        TxTrigger::CablePluggedIn => TriggerReason::CablePluggedIn,
        TxTrigger::ChargingStateChanged => TriggerReason::ChargingStateChanged,
        TxTrigger::Deauthorized => TriggerReason::Deauthorized,
        TxTrigger::EVCommunicationLost => TriggerReason::EVCommunicationLost,
        TxTrigger::EVDeparted => TriggerReason::EVDeparted,
        TxTrigger::RemoteStart => TriggerReason::RemoteStart,
        TxTrigger::RemoteStop => TriggerReason::RemoteStop,
        TxTrigger::ResetCommand => TriggerReason::ResetCommand,
        TxTrigger::StopAuthorized => TriggerReason::StopAuthorized,
        TxTrigger::UnlockCommand => TriggerReason::UnlockCommand,
        TxTrigger::AbnormalCondition => TriggerReason::AbnormalCondition,
    }
}

/// What stopped a transaction and why it stopped (E06, E07, E08).
fn stop_reason(reason: StopReason) -> (TriggerReason, Reason) {
    match reason {
        StopReason::DeAuthorized => (TriggerReason::Deauthorized, Reason::DeAuthorized),
        StopReason::EmergencyStop => (TriggerReason::AbnormalCondition, Reason::EmergencyStop),
        StopReason::EVDisconnected => (TriggerReason::EVCommunicationLost, Reason::EVDisconnected),
        StopReason::HardReset | StopReason::SoftReset => {
            (TriggerReason::ResetCommand, Reason::ImmediateReset)
        }
        StopReason::Local => (TriggerReason::StopAuthorized, Reason::Local),
        StopReason::Other => (TriggerReason::AbnormalCondition, Reason::Other),
        StopReason::PowerLoss => (TriggerReason::AbnormalCondition, Reason::PowerLoss),
        StopReason::Reboot => (TriggerReason::AbnormalCondition, Reason::Reboot),
        StopReason::Remote => (TriggerReason::RemoteStop, Reason::Remote),
        StopReason::UnlockCommand => (TriggerReason::UnlockCommand, Reason::Other),
    }
}
