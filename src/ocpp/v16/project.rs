//! Events to messages: what we say in 1.6, and how its answers are read.

use super::super::api::Facts;
use super::super::dialect::Call;
use super::super::frame::MAX_MESSAGE_BYTES;
use super::super::read::{auth_status, cut};
use super::super::wallclock::{Epochs, date_time, read_utc};
use super::keys::Keys;
use super::measure::sampled_values;
use super::txmap::TxMap;
use crate::domain::{
    Begin, ConnectorStatus, CpSetup, End, ErrorCode, Event, EvseId, FaultKind, IdToken, MeterSample,
    MilliWattHours, Now, Row, STOP_SAMPLES_MAX, SampleContext, SamplePoint, StatusNotice, StopReason,
    TokenInfo,
};
use ocpp_kit::v1_6::{
    AuthorizeRequest, BootNotificationRequest, ChargePointErrorCode, ChargePointStatus, HeartbeatRequest,
    MeterValue, MeterValuesRequest, Reason, StartTransactionRequest, StatusNotificationRequest,
    StopTransactionRequest,
};
use serde_json::Value;

/// Largest StopTransaction: a quarter of what we take ourselves, for CSMSs that take less.
const MAX_STOP_BYTES: usize = MAX_MESSAGE_BYTES / 4;

/// The idTag of a transaction nobody identified for.
const ANONYMOUS: &str = "ANONYMOUS";

fn id_tag(token: &IdToken) -> String {
    cut(&token.text, 20).unwrap_or_else(|| ANONYMOUS.to_owned())
}

fn connector(evse: Option<EvseId>) -> i32 {
    evse.map_or(0, |evse| i32::from(evse.0))
}

/// A register in whole watt-hours.
fn watt_hours(energy: MilliWattHours) -> i32 {
    i32::try_from(energy.base()).unwrap_or(if energy.0 < 0 { 0 } else { i32::MAX })
}

/// BootNotification.req (6.3): every text cut to its length.
pub(super) fn boot(cp: &CpSetup, firmware: &str, facts: &Facts) -> Call {
    let mut request = BootNotificationRequest::new(
        cut(&cp.vendor, 20).unwrap_or_else(|| "Retrovolt".to_owned()),
        cut(&cp.model, 20).unwrap_or_else(|| "Gateway".to_owned()),
    );
    let serial = facts.serial(cp);
    request.charge_point_serial_number = serial.and_then(|text| cut(text, 25));
    request.firmware_version = cut(&facts.versions(firmware), 50);
    request.meter_type = facts.meter_type.as_ref().and_then(|text| cut(text, 25));
    request.meter_serial_number = facts.meter_serial.as_ref().and_then(|text| cut(text, 25));
    Call::new("BootNotification", &request)
}

/// Heartbeat.req (6.29).
pub(super) fn heartbeat() -> Call {
    Call::new("Heartbeat", &HeartbeatRequest::new())
}

/// Authorize.req (6.1).
pub(super) fn authorize(token: &IdToken) -> Call {
    Call::new("Authorize", &AuthorizeRequest::new(id_tag(token)))
}

/// `idTagInfo` of an answer (7.27).
pub(super) fn token_info(value: &Value, now: Now) -> Option<TokenInfo> {
    let info = value.get("idTagInfo")?;
    let text = |name: &str| info.get(name).and_then(Value::as_str);
    Some(TokenInfo {
        status: auth_status(info.get("status")?.as_str()?),
        group: text("parentIdTag").and_then(|group| cut(group, 20)),
        expires_ms: text("expiryDate").and_then(read_utc),
        known_since: Some(now.stamp()),
    })
}

/// StatusNotification.req (6.47). Connector 0 is only Available, Unavailable or Faulted.
pub(super) fn status(notice: &StatusNotice, unix_ms: i64) -> Call {
    Call::new("StatusNotification", &status_request(notice, unix_ms))
}

/// The same of the charge point as a whole with the conflict with the local list for its error (3.5.2).
pub(super) fn list_conflict(whole: &StatusNotice, unix_ms: i64) -> Call {
    let mut request = status_request(whole, unix_ms);
    request.error_code = ChargePointErrorCode::LocalListConflict;
    Call::new("StatusNotification", &request)
}

fn status_request(notice: &StatusNotice, unix_ms: i64) -> StatusNotificationRequest {
    let shown = match (notice.evse, notice.status) {
        (None, ConnectorStatus::Unavailable) => ConnectorStatus::Unavailable,
        (None, ConnectorStatus::Faulted) => ConnectorStatus::Faulted,
        (None, _) => ConnectorStatus::Available,
        (Some(_), status) => status,
    };
    let mut request = StatusNotificationRequest::new(
        connector(notice.evse),
        error_code(&notice.error),
        connector_status(shown),
    );
    request.info = notice.error.info.as_ref().and_then(|text| cut(text, 50));
    request.vendor_error_code = notice.error.vendor.as_ref().and_then(|text| cut(text, 50));
    request.timestamp = Some(date_time(unix_ms));
    request
}

fn connector_status(status: ConnectorStatus) -> ChargePointStatus {
    match status {
        ConnectorStatus::Available => ChargePointStatus::Available,
        ConnectorStatus::Preparing => ChargePointStatus::Preparing,
        ConnectorStatus::Charging => ChargePointStatus::Charging,
        ConnectorStatus::SuspendedEVSE => ChargePointStatus::SuspendedEVSE,
        ConnectorStatus::SuspendedEV => ChargePointStatus::SuspendedEV,
        ConnectorStatus::Finishing => ChargePointStatus::Finishing,
        ConnectorStatus::Reserved => ChargePointStatus::Reserved,
        ConnectorStatus::Unavailable => ChargePointStatus::Unavailable,
        ConnectorStatus::Faulted => ChargePointStatus::Faulted,
    }
}

fn error_code(error: &ErrorCode) -> ChargePointErrorCode {
    match error.kind {
        None => ChargePointErrorCode::NoError,
        Some(FaultKind::ConnectorLockFailure) => ChargePointErrorCode::ConnectorLockFailure,
        Some(FaultKind::EvCommunicationError) => ChargePointErrorCode::EVCommunicationError,
        Some(FaultKind::GroundFailure) => ChargePointErrorCode::GroundFailure,
        Some(FaultKind::HighTemperature) => ChargePointErrorCode::HighTemperature,
        Some(FaultKind::InternalError) => ChargePointErrorCode::InternalError,
        Some(FaultKind::OverCurrentFailure) => ChargePointErrorCode::OverCurrentFailure,
        Some(FaultKind::OverVoltage) => ChargePointErrorCode::OverVoltage,
        Some(FaultKind::UnderVoltage) => ChargePointErrorCode::UnderVoltage,
        Some(FaultKind::PowerSwitchFailure) => ChargePointErrorCode::PowerSwitchFailure,
        Some(FaultKind::PowerMeterFailure) => ChargePointErrorCode::PowerMeterFailure,
        Some(FaultKind::CommunicationLost | FaultKind::NotObeying | FaultKind::OtherError) => {
            ChargePointErrorCode::OtherError
        }
    }
}

/// A ledger row as 1.6 tells it; `None`: it has no words for it (changes within a transaction are 2.x; security
/// events are told by [`super::security`], files by [`super::transfers`]).
pub(super) fn row(row: &Row, epochs: &Epochs, map: &TxMap, keys: &Keys) -> Option<Call> {
    match &row.event {
        Event::Began(begin) => Some(start(row, begin, epochs)),
        Event::Sampled {
            tx,
            evse,
            context,
            points,
            ..
        } => {
            let value = meter_value(row, *context, points, evse.is_none(), epochs)?;
            let mut request = MeterValuesRequest::new(connector(*evse), vec![value]);
            request.transaction_id = tx.as_ref().map(|tx| map.number(tx));
            Some(Call::new("MeterValues", &request))
        }
        Event::Ended(end) => Some(stop(row, end, epochs, map, keys)),
        Event::Changed { .. } | Event::Security(_) | Event::Log(_) | Event::Firmware(_) => None,
    }
}

fn start(row: &Row, begin: &Begin, epochs: &Epochs) -> Call {
    let tag = begin.token.as_ref().map_or_else(|| ANONYMOUS.to_owned(), id_tag);
    let mut request = StartTransactionRequest::new(
        connector(Some(begin.evse)),
        tag,
        watt_hours(begin.meter),
        epochs.date_time(row.at),
    );
    request.reservation_id = begin.reservation_id;
    Call::new("StartTransaction", &request)
}

fn meter_value(
    row: &Row,
    context: SampleContext,
    points: &[SamplePoint],
    inlet: bool,
    epochs: &Epochs,
) -> Option<MeterValue> {
    let values = sampled_values(points, context, inlet);
    (!values.is_empty()).then(|| MeterValue::new(epochs.date_time(row.at), values))
}

/// The message is kept under [`MAX_STOP_BYTES`] whatever is measured: half the samples, until it is.
fn stop(row: &Row, end: &End, epochs: &Epochs, map: &TxMap, keys: &Keys) -> Call {
    let mut most = STOP_SAMPLES_MAX;
    loop {
        let call = stop_with(row, end, epochs, map, keys, most);
        if call.payload.get().len() <= MAX_STOP_BYTES || most <= 2 {
            return call;
        }
        most = (most / 2).max(2);
    }
}

/// The message with at most so many samples.
fn stop_with(row: &Row, end: &End, epochs: &Epochs, map: &TxMap, keys: &Keys, most: usize) -> Call {
    let mut request = StopTransactionRequest::new(
        watt_hours(end.meter),
        epochs.date_time(row.at),
        map.number(&end.tx),
    );
    request.id_tag = end.token.as_ref().map(id_tag);
    request.reason = Some(reason(end.reason));
    if keys.stop_carries_data() {
        let data: Vec<MeterValue> = thinned(&end.data, most)
            .filter_map(|sample| {
                let values = sampled_values(&sample.points, sample.context, false);
                (!values.is_empty()).then(|| MeterValue::new(epochs.date_time(sample.at), values))
            })
            .collect();
        request.transaction_data = (!data.is_empty()).then_some(data);
    }
    Call::new("StopTransaction", &request)
}

/// The register in a StartTransaction or StopTransaction.
pub(super) fn register_told(call: &Call) -> Option<MilliWattHours> {
    let value: Value = serde_json::from_str(call.payload.get()).ok()?;
    let watt_hours = value.get("meterStart").or_else(|| value.get("meterStop"))?;
    watt_hours.as_i64().map(MilliWattHours::from_base)
}

/// At most so many samples, evenly chosen; the first and the last always among them (errata 3.91).
fn thinned(data: &[MeterSample], most: usize) -> impl Iterator<Item = &MeterSample> {
    let (count, most) = (data.len(), most.min(data.len()));
    (0..most).filter_map(move |place| {
        let index = if most > 1 {
            place * (count - 1) / (most - 1)
        } else {
            0
        };
        data.get(index)
    })
}

fn reason(reason: StopReason) -> Reason {
    match reason {
        StopReason::DeAuthorized => Reason::DeAuthorized,
        StopReason::EmergencyStop => Reason::EmergencyStop,
        StopReason::EVDisconnected => Reason::EVDisconnected,
        StopReason::HardReset => Reason::HardReset,
        StopReason::Local => Reason::Local,
        StopReason::Other => Reason::Other,
        StopReason::PowerLoss => Reason::PowerLoss,
        StopReason::Reboot => Reason::Reboot,
        StopReason::Remote => Reason::Remote,
        StopReason::SoftReset => Reason::SoftReset,
        StopReason::UnlockCommand => Reason::UnlockCommand,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Stamp;

    #[test]
    fn thinning_keeps_begin_and_end() {
        let sample = |context| MeterSample {
            at: Stamp::default(),
            context,
            points: Vec::new(),
        };
        let mut data = vec![sample(SampleContext::Periodic); 1000];
        data[0] = sample(SampleContext::TransactionBegin);
        data[999] = sample(SampleContext::TransactionEnd);
        let kept: Vec<_> = thinned(&data, 100).map(|sample| sample.context).collect();
        assert_eq!(kept.len(), 100);
        assert_eq!(kept[0], SampleContext::TransactionBegin);
        assert_eq!(kept[99], SampleContext::TransactionEnd);
        assert_eq!(thinned(&data[..1], 100).count(), 1);
        assert_eq!(thinned(&[], 100).count(), 0);
        assert_eq!(thinned(&data[..3], 100).count(), 3);
    }
}
