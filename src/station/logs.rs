//! Records of the charge point on their way to its back end (1.6 section 5.9, whitepaper N01).
//!
//! ```text
//! (asked) --> Collecting --entries--> Uploading --done--> told Uploaded
//!                 |none: answered so     |  ^failed, repeats left: Pausing
//!                                        \--failed--> told why
//! ```
//!
//! One at a time: a newer request takes the place of an older one, which is told as failed where its message can name
//! it. The answer waits for the record, because it names the file or says that there is none. What was under way when
//! the process ended is told as failed after the start; its file is gone.

use super::Station;
use super::io::Effect;
use crate::domain::{
    Batch, CommandId, Event, LogKind, LogNotice, LogOutcome, LogRequest, Mono, Outcome, TransferDone,
    TransferError, TransferOrder, UploadStatus,
};
use std::time::Duration;

/// How long a record may take to write; who asked waits for it.
const COLLECT_PATIENCE: Duration = Duration::from_secs(15);

/// Key of an upload under way, so that its end is told after a restart.
const KEY: &str = "upload";

/// The upload under way.
#[derive(Debug)]
struct Job {
    /// Number of the order that is with the shell.
    order: u64,
    request: LogRequest,
    name: String,
    /// Repeats left.
    left: u32,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// The record is written; the answer waits.
    Collecting {
        answer: CommandId,
        canceled: bool,
        by: Mono,
    },
    Uploading,
    /// Waits for the next attempt.
    Pausing(Mono),
}

/// Everything about uploads.
#[derive(Debug, Default)]
pub(super) struct Logs {
    job: Option<Job>,
    /// Left over by an earlier run.
    broken: Option<LogNotice>,
}

impl Logs {
    /// Takes back what was stored.
    pub(super) fn restore(&mut self, value: &str) {
        self.broken = serde_json::from_str(value).ok();
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<(Mono, &'static str)> {
        match self.job.as_ref()?.stage {
            Stage::Collecting { by, .. } => Some((by, "a record takes too long to write")),
            Stage::Pausing(until) => Some((until, "an upload is tried again")),
            Stage::Uploading => None,
        }
    }
}

impl Station {
    /// A back end asks for a record; answered when it is known whether there is one.
    pub(super) fn get_log(&mut self, id: CommandId, request: LogRequest) {
        let canceled = self.cancel_log();
        let time = i64::max(self.now.wall.unix_ms, 0);
        let name = file_name(self.setup.id.as_str(), request.kind, time);
        let order = self.order(TransferOrder::Collect {
            kind: request.kind,
            name: name.clone(),
            oldest_ms: request.oldest_ms,
            latest_ms: request.latest_ms,
        });
        let by = self.now.mono.plus(COLLECT_PATIENCE);
        self.logs.job = Some(Job {
            order,
            left: request.retry.times,
            request,
            name,
            stage: Stage::Collecting {
                answer: id,
                canceled,
                by,
            },
        });
    }

    /// Gives up what is under way; whether an upload had been promised.
    fn cancel_log(&mut self) -> bool {
        let Some(job) = self.logs.job.take() else {
            return false;
        };
        self.outbox.push(Effect::CallOff { order: job.order });
        self.drop_file(&job);
        if let Stage::Collecting { answer, canceled, .. } = job.stage {
            let outcome = LogOutcome::Rejected("a newer request took its place");
            self.answer(answer, Outcome::Log(outcome));
            return canceled;
        }
        // Without a number nobody could tell this failure from one of the new upload.
        if job.request.request_id.is_some() {
            self.tell_log(&job.request, UploadStatus::Failed);
        }
        true
    }

    fn drop_file(&mut self, job: &Job) {
        let name = job.name.clone();
        self.order(TransferOrder::Drop { name });
    }

    /// An order of ours has ended.
    pub(super) fn log_transferred(&mut self, order: u64, result: &Result<TransferDone, TransferError>) {
        let Some(mut job) = self.logs.job.take_if(|job| job.order == order) else {
            return;
        };
        match (job.stage, result) {
            (Stage::Collecting { answer, canceled, .. }, Ok(TransferDone::Collected { entries: 1.. })) => {
                let name = job.name.clone();
                self.answer(answer, Outcome::Log(LogOutcome::Accepted { name, canceled }));
                self.tell_log(&job.request, UploadStatus::Uploading);
                self.attempt(job);
            }
            (Stage::Collecting { answer, .. }, result) => {
                let outcome = match result {
                    Ok(_) => LogOutcome::Nothing,
                    Err(_) => LogOutcome::Rejected("the record could not be written"),
                };
                self.answer(answer, Outcome::Log(outcome));
                self.drop_file(&job);
            }
            (Stage::Uploading | Stage::Pausing(_), Ok(_)) => {
                self.drop_file(&job);
                self.tell_log(&job.request, UploadStatus::Uploaded);
            }
            (Stage::Uploading | Stage::Pausing(_), Err(error)) if error.is_retryable() && job.left > 0 => {
                job.left -= 1;
                job.stage = Stage::Pausing(self.now.mono.plus(job.request.retry.pause));
                self.logs.job = Some(job);
            }
            (Stage::Uploading | Stage::Pausing(_), Err(error)) => {
                self.drop_file(&job);
                self.tell_log(&job.request, error.upload_status());
            }
        }
    }

    fn attempt(&mut self, mut job: Job) {
        job.order = self.order(TransferOrder::Upload {
            name: job.name.clone(),
            location: job.request.location.clone(),
        });
        job.stage = Stage::Uploading;
        self.logs.job = Some(job);
    }

    /// What is due of uploads.
    pub(super) fn follow_log(&mut self) {
        if let Some(notice) = self.logs.broken.take() {
            let status = UploadStatus::Failed;
            self.record_log(LogNotice { status, ..notice });
        }
        let now = self.now.mono;
        let due = |job: &mut Job| match job.stage {
            Stage::Collecting { by, .. } => by <= now,
            Stage::Pausing(until) => until <= now,
            Stage::Uploading => false,
        };
        let Some(job) = self.logs.job.take_if(due) else {
            return;
        };
        if let Stage::Collecting { answer, .. } = job.stage {
            self.outbox.push(Effect::CallOff { order: job.order });
            self.drop_file(&job);
            let outcome = LogOutcome::Rejected("the record takes too long to write");
            self.answer(answer, Outcome::Log(outcome));
        } else {
            self.attempt(job);
        }
    }

    /// A back end wants to know how far it is; told behind the answer.
    pub(super) fn trigger_log(&mut self, diagnostics: bool) {
        let uploading = self
            .logs
            .job
            .as_ref()
            .filter(|job| !matches!(job.stage, Stage::Collecting { .. }))
            .map(|job| job.request.request_id);
        let (status, request_id) = match uploading {
            Some(_) if diagnostics => (UploadStatus::Uploading, None),
            Some(Some(id)) => (UploadStatus::Uploading, Some(id)),
            Some(None) | None => (UploadStatus::Idle, None),
        };
        let event = Event::Log(LogNotice {
            request_id,
            diagnostics,
            status,
        });
        let rows = vec![self.row(self.now.stamp(), event)];
        self.outbox.commit(Batch {
            rows,
            ..Batch::default()
        });
    }

    fn tell_log(&mut self, request: &LogRequest, status: UploadStatus) {
        self.record_log(LogNotice {
            request_id: request.request_id,
            diagnostics: request.request_id.is_none(),
            status,
        });
    }

    /// Records a step; one that is not the last leaves a mark behind.
    fn record_log(&mut self, notice: LogNotice) {
        let mark = (notice.status == UploadStatus::Uploading)
            .then(|| serde_json::to_string(&notice).ok())
            .flatten();
        let rows = vec![self.row(self.now.stamp(), Event::Log(notice))];
        let puts = vec![self.put_text(KEY.to_owned(), mark)];
        self.outbox.commit(Batch {
            rows,
            puts,
            ..Batch::default()
        });
    }
}

/// Name of the file; letters, digits, `-` and `_` as in the charge point's id, at most 70 characters.
fn file_name(cp: &str, kind: LogKind, unix_ms: i64) -> String {
    let kind = match kind {
        LogKind::Diagnostics => "diagnostics",
        LogKind::Security => "security",
    };
    let time = jiff::Timestamp::from_millisecond(unix_ms).unwrap_or_default();
    format!("{cp}-{kind}-{}.txt", time.strftime("%Y%m%dT%H%M%SZ"))
}
