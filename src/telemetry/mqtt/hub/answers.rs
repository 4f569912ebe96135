//! What comes in over the broker, and what is answered.

use super::Task;
use crate::domain::Slug;
use crate::telemetry::client::{Incoming, Message};
use crate::telemetry::event::{Change, Response, ResponseStatus};
use crate::telemetry::mqtt::leftovers;
use crate::telemetry::mqtt::orders::{About, Audit, Heard};
use crate::telemetry::units::At;
use futures_util::FutureExt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Commands that may be carried out at the same time.
const AT_ONCE: usize = 16;
/// Rejections that are recorded one by one within [`RECORD_PERIOD`]; more are counted.
const RECORDED: u32 = 20;
/// See [`RECORDED`].
const RECORD_PERIOD: Duration = Duration::from_secs(60);

impl Task {
    pub(super) fn heard(&mut self, incoming: &Incoming) {
        if let Some(topics) = leftovers::told_of(&self.topics, incoming) {
            self.board.miss(topics);
            return;
        }
        if let Some(announcer) = self.hub.announcer.as_mut()
            && let Some(after) = announcer.heard(incoming)
        {
            self.again = Some(Instant::now() + after);
            return;
        }
        let now = self.hub.clock.now();
        let picture = Arc::clone(&self.hub.view.picture.borrow());
        let Some(gate) = self.gate.as_mut() else { return };
        match gate.judge(now, now.mono, incoming, &self.topics, &picture) {
            Heard::Nothing => {}
            Heard::Rejected(about, reason) => self.reject(&about, reason),
            Heard::Request(operation, point, about) => {
                let shown = |id: &&Slug| point.as_ref().is_none_or(|wanted| wanted == *id);
                let points = picture.points.iter().filter(|(id, _)| shown(id));
                let data = match operation.as_str() {
                    "info" => json!(picture.info),
                    "status" => points
                        .map(|(id, point)| (id.to_string(), json!(point.state)))
                        .collect(),
                    "sessions" => points
                        .map(|(id, point)| (id.to_string(), json!(point.session)))
                        .collect(),
                    _ => {
                        self.announce();
                        self.tell_all();
                        Value::Null
                    }
                };
                self.note(&about, None, None);
                self.respond(&about, ResponseStatus::Ok, None, Some(data));
            }
            Heard::Order(_, about) if self.orders.len() >= AT_ONCE => {
                self.reject(&about, "too many commands are being carried out".to_owned());
            }
            Heard::Order(order, about) => {
                if let Some(desk) = &self.hub.desk {
                    let work = Arc::clone(desk).carry_out(order);
                    self.orders.push(async move { (about, work.await) }.boxed());
                }
            }
        }
    }

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

    fn reject(&mut self, about: &About, reason: String) {
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

    fn note(&mut self, about: &About, change: Option<(Value, Value)>, reason: Option<String>) {
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

    fn respond(&mut self, about: &About, status: ResponseStatus, error: Option<String>, data: Option<Value>) {
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
