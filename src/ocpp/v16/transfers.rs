//! Files in 1.6: GetDiagnostics with its own status message (5.9, 4.4) and GetLog of the whitepaper (N01); UpdateFirmware
//! (5.19, 4.5) and the signed one of the whitepaper (L01).

use super::super::dialect::Call;
use super::super::wallclock::to_raw;
use crate::domain::{
    Command, FirmwareNotice, FirmwareOutcome, FirmwareRequest, FirmwareStatus as Step, Location, LogKind,
    LogNotice, LogOutcome, LogRequest, Retry, Signing, UploadStatus,
};
use ocpp_kit::rpc::{CallError, ErrorCode};
use ocpp_kit::v1_6::{
    DiagnosticsStatus, DiagnosticsStatusNotificationRequest, FirmwareStatus,
    FirmwareStatusNotificationRequest, GetDiagnosticsRequest, GetDiagnosticsResponse, GetLogRequest,
    GetLogResponse, LogStatus, LogStatusNotificationRequest, LogType, SignedFirmwareStatus,
    SignedFirmwareStatusNotificationRequest, SignedUpdateFirmwareRequest, SignedUpdateFirmwareResponse,
    UpdateFirmwareRequest, UpdateFirmwareResponse, UpdateFirmwareStatus, UploadLogStatus,
};
use serde_json::value::RawValue;

/// GetDiagnostics.req (6.25).
pub(super) fn diagnostics(request: GetDiagnosticsRequest) -> Command {
    Command::GetLog(Box::new(LogRequest {
        kind: LogKind::Diagnostics,
        request_id: None,
        location: Location::new(request.location),
        retry: Retry::of(request.retries, request.retry_interval),
        oldest_ms: request.start_time.map(|time| time.timestamp().as_millisecond()),
        latest_ms: request.stop_time.map(|time| time.timestamp().as_millisecond()),
    }))
}

/// GetLog.req (whitepaper 5.9).
pub(super) fn log(request: GetLogRequest) -> Command {
    let GetLogRequest { log, request_id, .. } = request;
    Command::GetLog(Box::new(LogRequest {
        kind: match request.log_type {
            LogType::SecurityLog => LogKind::Security,
            _ => LogKind::Diagnostics,
        },
        request_id: Some(request_id),
        location: Location::new(log.remote_location),
        retry: Retry::of(request.retries, request.retry_interval),
        oldest_ms: log.oldest_timestamp.map(|time| time.timestamp().as_millisecond()),
        latest_ms: log.latest_timestamp.map(|time| time.timestamp().as_millisecond()),
    }))
}

/// GetDiagnostics.conf: without a name there is nothing to upload (6.26).
pub(super) fn diagnostics_answer(outcome: &LogOutcome) -> GetDiagnosticsResponse {
    let mut response = GetDiagnosticsResponse::new();
    if let LogOutcome::Accepted { name, .. } = outcome {
        response.file_name = Some(name.clone());
    }
    response
}

/// GetLog.conf (whitepaper 5.10).
pub(super) fn log_answer(outcome: &LogOutcome) -> GetLogResponse {
    match outcome {
        LogOutcome::Accepted { name, canceled } => {
            let status = if *canceled {
                LogStatus::AcceptedCanceled
            } else {
                LogStatus::Accepted
            };
            GetLogResponse::new(status).with_filename(name.clone())
        }
        LogOutcome::Nothing | LogOutcome::Rejected(_) => GetLogResponse::new(LogStatus::Rejected),
    }
}

/// The status message of the request the upload came from.
pub(super) fn log_status(notice: &LogNotice) -> Call {
    if notice.diagnostics {
        let status = match notice.status {
            UploadStatus::Idle => DiagnosticsStatus::Idle,
            UploadStatus::Uploading => DiagnosticsStatus::Uploading,
            UploadStatus::Uploaded => DiagnosticsStatus::Uploaded,
            UploadStatus::Failed
            | UploadStatus::BadMessage
            | UploadStatus::NotSupported
            | UploadStatus::PermissionDenied => DiagnosticsStatus::UploadFailed,
        };
        let request = DiagnosticsStatusNotificationRequest::new(status);
        return Call::new("DiagnosticsStatusNotification", &request);
    }
    let mut request = LogStatusNotificationRequest::new(match notice.status {
        UploadStatus::Idle => UploadLogStatus::Idle,
        UploadStatus::Uploading => UploadLogStatus::Uploading,
        UploadStatus::Uploaded => UploadLogStatus::Uploaded,
        UploadStatus::Failed => UploadLogStatus::UploadFailure,
        UploadStatus::BadMessage => UploadLogStatus::BadMessage,
        UploadStatus::NotSupported => UploadLogStatus::NotSupportedOperation,
        UploadStatus::PermissionDenied => UploadLogStatus::PermissionDenied,
    });
    request.request_id = notice.request_id;
    Call::new("LogStatusNotification", &request)
}

/// Nothing is under way.
pub(super) fn no_upload(diagnostics: bool) -> Call {
    log_status(&LogNotice {
        request_id: None,
        diagnostics,
        status: UploadStatus::Idle,
    })
}

/// UpdateFirmware.req (6.55).
pub(super) fn update(request: UpdateFirmwareRequest) -> Command {
    Command::UpdateFirmware(Box::new(FirmwareRequest {
        request_id: None,
        location: Location::new(request.location),
        retry: Retry::of(request.retries, request.retry_interval),
        retrieve_ms: request.retrieve_date.timestamp().as_millisecond(),
        install_ms: None,
        signing: None,
    }))
}

/// SignedUpdateFirmware.req (whitepaper 5.21).
pub(super) fn signed_update(request: SignedUpdateFirmwareRequest) -> Command {
    let firmware = request.firmware;
    Command::UpdateFirmware(Box::new(FirmwareRequest {
        request_id: Some(request.request_id),
        location: Location::new(firmware.location),
        retry: Retry::of(request.retries, request.retry_interval),
        retrieve_ms: firmware.retrieve_date_time.timestamp().as_millisecond(),
        install_ms: firmware
            .install_date_time
            .map(|time| time.timestamp().as_millisecond()),
        signing: Some(Signing {
            certificate: firmware.signing_certificate,
            signature: firmware.signature,
        }),
    }))
}

/// UpdateFirmware.conf has no word for no.
pub(super) fn update_answer(outcome: FirmwareOutcome) -> Result<Box<RawValue>, CallError> {
    match outcome {
        FirmwareOutcome::Accepted | FirmwareOutcome::AcceptedCanceled => {
            Ok(to_raw(&UpdateFirmwareResponse::new()))
        }
        FirmwareOutcome::Rejected(why) => Err(CallError::new(ErrorCode::GenericError, why)),
        FirmwareOutcome::InvalidCertificate => Err(CallError::new(
            ErrorCode::GenericError,
            "the certificate is invalid",
        )),
    }
}

/// SignedUpdateFirmware.conf (whitepaper 5.22).
pub(super) fn signed_update_answer(outcome: FirmwareOutcome) -> SignedUpdateFirmwareResponse {
    SignedUpdateFirmwareResponse::new(match outcome {
        FirmwareOutcome::Accepted => UpdateFirmwareStatus::Accepted,
        FirmwareOutcome::AcceptedCanceled => UpdateFirmwareStatus::AcceptedCanceled,
        FirmwareOutcome::Rejected(_) => UpdateFirmwareStatus::Rejected,
        FirmwareOutcome::InvalidCertificate => UpdateFirmwareStatus::InvalidCertificate,
    })
}

/// The status message of the request the update came from.
pub(super) fn firmware_status(notice: &FirmwareNotice) -> Call {
    if !notice.signed {
        let request = FirmwareStatusNotificationRequest::new(plain_status(notice.status));
        return Call::new("FirmwareStatusNotification", &request);
    }
    let mut request = SignedFirmwareStatusNotificationRequest::new(match notice.status {
        Step::Idle => SignedFirmwareStatus::Idle,
        Step::DownloadScheduled => SignedFirmwareStatus::DownloadScheduled,
        Step::Downloading => SignedFirmwareStatus::Downloading,
        Step::Downloaded => SignedFirmwareStatus::Downloaded,
        Step::DownloadFailed => SignedFirmwareStatus::DownloadFailed,
        Step::SignatureVerified => SignedFirmwareStatus::SignatureVerified,
        Step::InvalidSignature => SignedFirmwareStatus::InvalidSignature,
        Step::InstallScheduled => SignedFirmwareStatus::InstallScheduled,
        Step::Installing => SignedFirmwareStatus::Installing,
        Step::Installed => SignedFirmwareStatus::Installed,
        Step::InstallationFailed => SignedFirmwareStatus::InstallationFailed,
    });
    request.request_id = notice.request_id;
    Call::new("SignedFirmwareStatusNotification", &request)
}

/// In the words of section 7.25.
fn plain_status(status: Step) -> FirmwareStatus {
    match status {
        Step::Idle | Step::DownloadScheduled => FirmwareStatus::Idle,
        Step::Downloading => FirmwareStatus::Downloading,
        Step::Downloaded | Step::SignatureVerified | Step::InstallScheduled => FirmwareStatus::Downloaded,
        Step::DownloadFailed => FirmwareStatus::DownloadFailed,
        Step::Installing => FirmwareStatus::Installing,
        Step::Installed => FirmwareStatus::Installed,
        Step::InstallationFailed | Step::InvalidSignature => FirmwareStatus::InstallationFailed,
    }
}

/// None is under way.
pub(super) fn no_update(signed: bool) -> Call {
    firmware_status(&FirmwareNotice {
        request_id: None,
        signed,
        status: Step::Idle,
    })
}
