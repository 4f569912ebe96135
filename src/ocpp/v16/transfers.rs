//! Uploads in 1.6: GetDiagnostics with its own status message (5.9, 4.4) and GetLog of the whitepaper (N01).

use super::super::dialect::Call;
use crate::domain::{Command, Location, LogKind, LogNotice, LogOutcome, LogRequest, Retry, UploadStatus};
use ocpp_kit::v1_6::{
    DiagnosticsStatus, DiagnosticsStatusNotificationRequest, GetDiagnosticsRequest, GetDiagnosticsResponse,
    GetLogRequest, GetLogResponse, LogStatus, LogStatusNotificationRequest, LogType, UploadLogStatus,
};

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
