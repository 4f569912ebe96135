//! Firmware updates (1.6 section 5.19, whitepaper L01): when to fetch, check and hand over, and what is told of it.
//!
//! ```text
//! (asked) -> Scheduled -> Downloading -> [Verifying] -> [InstallScheduled] -> [Waiting] -> HandingOver -> Installing -> end
//! ```
//!
//! What is installed and how is the installer's business, which says how it went. The state is stored with every step that is
//! told, so that a restart takes it up: a download begins anew, an installation is watched on. A newer request takes the
//! place of one that was not handed over yet. Charging goes on, unless the site has it that an installation waits for
//! the end of sessions; then nothing new is begun from there on, and connectors that are free are out of service (L01.FR.07).

use super::Station;
use super::io::Effect;
use crate::domain::{
    Accepted, Batch, CommandId, Event, FirmwareNotice, FirmwareOutcome, FirmwareRequest, FirmwareStatus,
    InstallerSaid, Mono, Now, Outcome, SecurityEvent, TransferDone, TransferError, TransferOrder,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a certificate may take to check; who asked waits for it.
const CHECK_PATIENCE: Duration = Duration::from_secs(15);

/// Key of the update under way.
const KEY: &str = "firmware";
/// Key of what was told last of the one before.
const LAST: &str = "firmware/last";
/// Key of how many there were.
const COUNT: &str = "firmware/count";

/// Where an update stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    Scheduled,
    Downloading,
    Verifying,
    InstallScheduled,
    /// For the end of sessions.
    Waiting,
    HandingOver,
    /// The installer has it; failed if it has not said otherwise by then, Unix milliseconds.
    Installing {
        by_ms: i64,
    },
}

/// The update under way, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Update {
    number: u64,
    request: FirmwareRequest,
    /// Repeats left.
    left: u32,
    stage: Stage,
    told: Option<FirmwareStatus>,
}

impl Update {
    fn is_handed_over(&self) -> bool {
        matches!(self.stage, Stage::HandingOver | Stage::Installing { .. })
    }

    fn notice(&self, status: FirmwareStatus) -> FirmwareNotice {
        FirmwareNotice {
            request_id: self.request.request_id,
            signed: self.request.signing.is_some(),
            status,
        }
    }
}

/// A certificate that is checked before its request is accepted (L01.FR.23).
#[derive(Debug)]
struct Checking {
    order: u64,
    answer: CommandId,
    request: FirmwareRequest,
    by: Mono,
}

/// Everything about updates.
#[derive(Debug, Default)]
pub(super) struct Updates {
    update: Option<Update>,
    checking: Option<Checking>,
    last: Option<FirmwareNotice>,
    count: u64,
    /// The order that is with the shell.
    order: Option<u64>,
    /// The next attempt of a download.
    pause: Option<Mono>,
}

impl Updates {
    /// Takes back what was stored.
    pub(super) fn restore(&mut self, key: Option<&str>, value: &str) {
        match key {
            None => self.update = serde_json::from_str(value).ok(),
            Some("last") => self.last = serde_json::from_str(value).ok(),
            Some("count") => self.count = value.parse().unwrap_or(self.count),
            Some(_) => {}
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self, now: Now) -> Vec<(Mono, &'static str)> {
        let mut due = Vec::new();
        due.extend(
            self.checking
                .as_ref()
                .map(|c| (c.by, "a certificate takes too long to check")),
        );
        due.extend(self.pause.map(|at| (at, "a download is tried again")));
        if let Some(update) = &self.update {
            let at = match update.stage {
                Stage::Scheduled => Some((update.request.retrieve_ms, "firmware is to be fetched")),
                Stage::InstallScheduled => update
                    .request
                    .install_ms
                    .map(|at| (at, "firmware is to be installed")),
                Stage::Installing { by_ms } => Some((by_ms, "an installer says nothing")),
                Stage::Downloading | Stage::Verifying | Stage::Waiting | Stage::HandingOver => None,
            };
            due.extend(at.map(|(at, why)| (mono_at(now, at), why)));
        }
        due
    }
}

/// The monotonic time of a wall time.
fn mono_at(now: Now, unix_ms: i64) -> Mono {
    let ahead = u64::try_from(unix_ms.saturating_sub(now.wall.unix_ms)).unwrap_or(0);
    now.mono.plus(Duration::from_millis(ahead))
}

impl Station {
    /// A back end orders an update; a signed one is answered when its certificate was looked at.
    pub(super) fn update_firmware(&mut self, id: CommandId, request: FirmwareRequest) {
        if let Some(old) = self.updates.checking.take() {
            self.outbox.push(Effect::CallOff { order: old.order });
            self.refuse_update(old.answer, "a newer request took its place");
        }
        let Some(setup) = &self.setup.firmware else {
            return self.refuse_update(id, "no firmware is declared");
        };
        if setup.roots.is_some() != request.signing.is_some() {
            return self.refuse_update(id, "the site asks for the other kind of request");
        }
        if self.updates.update.as_ref().is_some_and(Update::is_handed_over) {
            return self.refuse_update(id, "an installation is under way");
        }
        match &request.signing {
            None => self.accept_update(id, request),
            Some(signing) => {
                let certificate = signing.certificate.clone();
                let order = self.order(TransferOrder::CheckCertificate { certificate });
                self.updates.checking = Some(Checking {
                    order,
                    answer: id,
                    request,
                    by: self.now.mono.plus(CHECK_PATIENCE),
                });
            }
        }
    }

    fn refuse_update(&mut self, id: CommandId, why: &'static str) {
        self.answer(id, Outcome::Firmware(FirmwareOutcome::Rejected(why)));
    }

    fn accept_update(&mut self, id: CommandId, request: FirmwareRequest) {
        // It may have been handed over while the certificate was looked at.
        if self.updates.update.as_ref().is_some_and(Update::is_handed_over) {
            return self.refuse_update(id, "an installation is under way");
        }
        let canceled = self.updates.update.take();
        if let Some(old) = &canceled {
            if let Some(order) = self.updates.order.take() {
                self.outbox.push(Effect::CallOff { order });
            }
            self.updates.pause = None;
            let job = self.job(old.number);
            self.order(TransferOrder::Discard { job });
        }
        self.answer(
            id,
            Outcome::Firmware(if canceled.is_some() {
                FirmwareOutcome::AcceptedCanceled
            } else {
                FirmwareOutcome::Accepted
            }),
        );
        self.updates.count += 1;
        let update = Update {
            number: self.updates.count,
            left: request.retry.times,
            request,
            stage: Stage::Scheduled,
            told: None,
        };
        if update.request.retrieve_ms > self.now.wall.unix_ms {
            self.step(update, Some(FirmwareStatus::DownloadScheduled));
        } else {
            self.download(update);
        }
    }

    /// Name of an update's files.
    fn job(&self, number: u64) -> String {
        format!("{}-{number}", self.setup.id)
    }

    /// An order of ours has ended, or the installer has said something.
    pub(super) fn firmware_transferred(&mut self, order: u64, result: &Result<TransferDone, TransferError>) {
        if let Some(checking) = self.updates.checking.take_if(|checking| checking.order == order) {
            return self.checked(checking, result);
        }
        if self.updates.order != Some(order) {
            return;
        }
        let Some(mut update) = self.updates.update.take() else {
            return;
        };
        match (update.stage, result) {
            (Stage::Downloading, Ok(_)) => self.downloaded(update),
            (Stage::Downloading, Err(error)) if error.is_retryable() && update.left > 0 => {
                update.left -= 1;
                self.updates.pause = Some(self.now.mono.plus(update.request.retry.pause));
                self.updates.order = None;
                self.step(update, None);
            }
            (Stage::Downloading, Err(_)) => self.end_update(&update, FirmwareStatus::DownloadFailed),
            (Stage::Verifying, Ok(_)) => {
                let update = self.tell_firmware(update, FirmwareStatus::SignatureVerified);
                self.install(update);
            }
            (Stage::Verifying, Err(TransferError::Signature(_) | TransferError::Certificate(_))) => {
                self.end_update(&update, FirmwareStatus::InvalidSignature);
                self.record_security(SecurityEvent::new("InvalidFirmwareSignature", None));
            }
            (Stage::HandingOver, Ok(TransferDone::Done)) => {
                let wait = self
                    .setup
                    .firmware
                    .as_ref()
                    .map_or(Duration::ZERO, |f| f.install_timeout);
                let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                update.stage = Stage::Installing {
                    by_ms: self.now.wall.unix_ms.saturating_add(wait),
                };
                self.step(update, None);
            }
            (Stage::Installing { .. }, Ok(TransferDone::Installer(said))) => {
                self.installer_said(update, said);
            }
            (_, Err(_)) => self.end_update(&update, FirmwareStatus::InstallationFailed),
            (_, Ok(_)) => self.updates.update = Some(update),
        }
    }

    fn checked(&mut self, checking: Checking, result: &Result<TransferDone, TransferError>) {
        match result {
            Ok(_) => self.accept_update(checking.answer, checking.request),
            Err(TransferError::Certificate(why)) => {
                self.answer(
                    checking.answer,
                    Outcome::Firmware(FirmwareOutcome::InvalidCertificate),
                );
                self.record_security(SecurityEvent::new("InvalidFirmwareSigningCertificate", Some(why)));
            }
            Err(_) => self.refuse_update(checking.answer, "the certificate could not be checked"),
        }
    }

    fn downloaded(&mut self, update: Update) {
        let mut update = self.tell_firmware(update, FirmwareStatus::Downloaded);
        match update.request.signing.clone() {
            Some(signing) => {
                update.stage = Stage::Verifying;
                let job = self.job(update.number);
                self.updates.order = Some(self.order(TransferOrder::Verify { job, signing }));
                self.step(update, None);
            }
            None => self.install(update),
        }
    }

    /// What is checked is installed now, later, or when nobody charges.
    fn install(&mut self, mut update: Update) {
        self.updates.order = None;
        let waits = self.setup.firmware.as_ref().is_some_and(|f| f.waits_for_sessions);
        let later = |at: i64| at > self.now.wall.unix_ms;
        if update.request.install_ms.is_some_and(later) {
            update.stage = Stage::InstallScheduled;
            self.step(update, Some(FirmwareStatus::InstallScheduled));
        } else if waits && self.evses.values().any(|evse| evse.tx.is_some()) {
            update.stage = Stage::Waiting;
            self.step(update, None);
        } else {
            update.stage = Stage::HandingOver;
            self.step(update, None);
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let Some(update) = &self.updates.update else {
            return;
        };
        let order = TransferOrder::HandOver {
            job: self.job(update.number),
            request_id: update.request.request_id,
            signed: update.request.signing.is_some(),
        };
        self.updates.order = Some(self.order(order));
    }

    fn installer_said(&mut self, update: Update, said: &InstallerSaid) {
        let update = self.tell_firmware(update, FirmwareStatus::Installing);
        match said {
            InstallerSaid::Installing => self.updates.update = Some(update),
            InstallerSaid::Installed => {
                self.record_security(SecurityEvent::new("FirmwareUpdated", None));
                self.end_update(&update, FirmwareStatus::Installed);
            }
            InstallerSaid::Failed(_) => self.end_update(&update, FirmwareStatus::InstallationFailed),
        }
    }

    fn download(&mut self, mut update: Update) {
        let order = TransferOrder::Download {
            job: self.job(update.number),
            location: update.request.location.clone(),
        };
        update.stage = Stage::Downloading;
        self.updates.pause = None;
        self.step(update, Some(FirmwareStatus::Downloading));
        self.updates.order = Some(self.order(order));
    }

    /// What is due of updates.
    pub(super) fn follow_firmware(&mut self) {
        let now = self.now;
        if let Some(late) = self.updates.checking.take_if(|checking| checking.by <= now.mono) {
            self.outbox.push(Effect::CallOff { order: late.order });
            self.refuse_update(late.answer, "the certificate takes too long to check");
        }
        let busy = self.evses.values().any(|evse| evse.tx.is_some());
        let paused = self.updates.pause.is_some_and(|at| at > now.mono);
        let idle = self.updates.order.is_none() && !paused;
        let due = |update: &mut Update| match update.stage {
            Stage::Scheduled => update.request.retrieve_ms <= now.wall.unix_ms,
            Stage::InstallScheduled => update.request.install_ms.is_none_or(|at| at <= now.wall.unix_ms),
            Stage::Waiting => !busy,
            // Only after a restart, or between two attempts.
            Stage::Downloading | Stage::Verifying | Stage::HandingOver => idle,
            Stage::Installing { by_ms } => idle || by_ms <= now.wall.unix_ms,
        };
        if let Some(update) = self.updates.update.take_if(due) {
            match update.stage {
                Stage::Scheduled | Stage::Downloading | Stage::Verifying => self.download(update),
                Stage::InstallScheduled | Stage::Waiting | Stage::HandingOver => self.install(update),
                Stage::Installing { by_ms } if by_ms <= now.wall.unix_ms => {
                    self.end_update(&update, FirmwareStatus::InstallationFailed);
                }
                Stage::Installing { .. } => {
                    let job = self.job(update.number);
                    self.updates.order = Some(self.order(TransferOrder::Watch { job }));
                    self.updates.update = Some(update);
                }
            }
        }
        let withdrawn = self.holds_connectors();
        self.evses
            .values_mut()
            .for_each(|evse| evse.withdrawn = withdrawn);
    }

    /// Whether nothing new may be begun until the installation is over.
    fn holds_connectors(&self) -> bool {
        let waits = self.setup.firmware.as_ref().is_some_and(|f| f.waits_for_sessions);
        let installs = |update: &Update| update.is_handed_over() || update.stage == Stage::Waiting;
        waits && self.updates.update.as_ref().is_some_and(installs)
    }

    /// A back end wants to know how far it is; told behind the answer. `signed`: in the words of the signed messages,
    /// which repeat how the last one ended unless it was installed (L01.FR.28, FR.29); else only what is under way.
    pub(super) fn trigger_firmware(&mut self, signed: bool) {
        let under_way = self.updates.update.as_ref();
        let told = under_way.and_then(|update| Some(update.notice(update.told?)));
        let told = told.or(self.updates.last.filter(|last| {
            signed && under_way.is_none() && last.signed && last.status != FirmwareStatus::Installed
        }));
        let notice = match told {
            Some(told) if signed => told,
            Some(told) => FirmwareNotice {
                request_id: None,
                signed,
                status: told.status.plain(),
            },
            None => FirmwareNotice {
                request_id: None,
                signed,
                status: FirmwareStatus::Idle,
            },
        };
        let rows = vec![self.row(self.now.stamp(), Event::Firmware(notice))];
        self.outbox.commit(Batch {
            rows,
            ..Batch::default()
        });
    }

    /// Tells a step of an update that goes on.
    fn tell_firmware(&mut self, update: Update, status: FirmwareStatus) -> Update {
        self.step(update.clone(), Some(status));
        self.updates.update.take().unwrap_or(update)
    }

    /// Keeps an update as it is now, and tells a status that was not told yet.
    fn step(&mut self, mut update: Update, status: Option<FirmwareStatus>) {
        let mut rows = Vec::new();
        if let Some(status) = status.filter(|status| update.told != Some(*status)) {
            update.told = Some(status);
            let notice = update.notice(status);
            if notice.signed || status.is_plain() {
                rows.push(self.row(self.now.stamp(), Event::Firmware(notice)));
            }
        }
        let puts = vec![
            self.put_text(KEY.to_owned(), serde_json::to_string(&update).ok()),
            self.put_text(COUNT.to_owned(), Some(self.updates.count.to_string())),
        ];
        self.updates.update = Some(update);
        self.outbox.commit(Batch {
            rows,
            puts,
            ..Batch::default()
        });
    }

    /// The last status of an update, which is forgotten with it.
    fn end_update(&mut self, update: &Update, status: FirmwareStatus) {
        let notice = update.notice(status);
        if let Some(order) = self.updates.order.take() {
            self.outbox.push(Effect::CallOff { order });
        }
        self.updates.pause = None;
        self.updates.update = None;
        self.updates.last = Some(notice);
        let rows = match (notice.signed, status.is_plain()) {
            (false, false) => Vec::new(),
            _ => vec![self.row(self.now.stamp(), Event::Firmware(notice))],
        };
        let puts = vec![
            self.put_text(KEY.to_owned(), None),
            self.put_text(LAST.to_owned(), serde_json::to_string(&notice).ok()),
        ];
        self.outbox.commit(Batch {
            rows,
            puts,
            ..Batch::default()
        });
        let job = self.job(update.number);
        self.order(TransferOrder::Discard { job });
    }

    /// A back end asks how far it is.
    pub(super) fn tell_update(&mut self, id: CommandId, signed: bool) {
        self.answer(id, Outcome::Simple(Accepted::Yes));
        self.trigger_firmware(signed);
    }
}
