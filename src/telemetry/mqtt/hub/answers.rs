//! What became of commands: the answer to who sent them, and the record of it.

use super::super::super::client::Message;
use super::super::super::event::{Change, Response, ResponseStatus};
use super::super::super::units::At;
use super::super::orders::{About, Audit};
use super::Task;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// Rejections that are recorded one by one within [`RECORD_PERIOD`]; more are counted.
const RECORDED: u32 = 20;
/// See [`RECORDED`].
const RECORD_PERIOD: Duration = Duration::from_secs(60);

impl Task {
    pub(super) fn carried_out(&mut self, about: &About, how: Result<(Value, Value), String>) {
        match how {
            Err(reason) => self.reject(about, reason),
            Ok((old, new)) => {
                self.note(about, Some((old.clone(), new.clone())), None);
                let change = about.point.clone().map(|cp| Change {
                    cp,
                    key: about.name.clone(),
                    old: Some(old),
                    new: Some(new),
                });
                self.respond(about, ResponseStatus::Ok, None, Some(json!(change)));
            }
        }
    }

    pub(super) fn reject(&mut self, about: &About, reason: String) {
        let (since, recorded, unrecorded) = &mut self.rejected;
        if since.elapsed() >= RECORD_PERIOD {
            (*since, *recorded) = (Instant::now(), 0);
        }
        *recorded += 1;
        if *recorded > RECORDED {
            // Somebody tries and tries: neither the log nor the line to the broker is filled with it.
            *unrecorded += 1;
            return;
        }
        self.note(about, None, Some(reason.clone()));
        self.respond(about, ResponseStatus::Rejected, Some(reason), None);
    }

    pub(super) fn note(&mut self, about: &About, change: Option<(Value, Value)>, reason: Option<String>) {
        let (old, new) = change.map_or((None, about.asked.clone()), |(old, new)| (Some(old), Some(new)));
        let audit = Audit {
            user: about.user.clone(),
            topic: about.topic.clone(),
            point: about.point.clone(),
            old,
            new,
            reason,
            unrecorded: std::mem::take(&mut self.rejected.2),
        };
        if let Some(desk) = &self.hub.desk {
            desk.note(&audit);
        }
    }

    pub(super) fn respond(
        &mut self,
        about: &About,
        status: ResponseStatus,
        error: Option<String>,
        data: Option<Value>,
    ) {
        let response = Response {
            status,
            error,
            data: data.filter(|data| !data.is_null()),
            transaction: about.transaction.clone(),
            ts: At(self.hub.clock.now().wall.unix_ms),
        };
        let topic = self
            .topics
            .at(format_args!("response/{}/{}", about.user, about.name));
        let payload = serde_json::to_vec(&response).unwrap_or_default();
        self.outbox.event(Message::passing(topic, payload));
    }
}
