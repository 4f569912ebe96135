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
use tokio::time::Instant;

/// Commands that may be carried out at the same time.
const AT_ONCE: usize = 16;

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
        match gate.judge(now, incoming, &self.topics, &picture) {
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
                        self.tell_again();
                        Value::Null
                    }
                };
                self.accept(&about, None);
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
                self.accept(about, Some((old.clone(), new.clone())));
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

    fn accept(&mut self, about: &About, change: Option<(Value, Value)>) {
        let now = self.hub.clock.now().mono;
        let admission = self.verdicts.admit(now, &about.user, false);
        self.note(
            about,
            change,
            None,
            admission.map_or(0, |admission| admission.untold),
        );
    }

    fn reject(&mut self, about: &About, mut reason: String) {
        let now = self.hub.clock.now().mono;
        let Some(admission) = self.verdicts.admit(now, &about.user, true) else {
            return;
        };
        if admission.last {
            reason.push_str("; further rejections of this minute are only counted");
        }
        self.note(about, None, Some(reason.clone()), admission.untold);
        self.respond(about, ResponseStatus::Rejected, Some(reason), None);
    }

    fn note(&self, about: &About, change: Option<(Value, Value)>, reason: Option<String>, unrecorded: u64) {
        let (old, new) = change.map_or((None, about.asked.clone()), |(old, new)| (Some(old), Some(new)));
        let audit = Audit {
            user: about.user.clone(),
            topic: about.topic.clone(),
            point: about.point.clone(),
            old,
            new,
            reason,
            unrecorded,
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
