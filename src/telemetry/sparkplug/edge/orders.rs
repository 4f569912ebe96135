//! What hosts command: rebirths and writes, and what they are told of it.

use super::super::command::{Order, Refusal, called, is_fresh, judge, told};
use super::super::sheet::Origin;
use super::super::voice::REBIRTH;
use super::super::wire::{Metric, Payload, Value};
use super::{Audit, EdgeNode, Effect, ORDERS, Pending, REBIRTH_SPACING, WRITE_SPACING, WRITES};
use crate::domain::Now;

impl EdgeNode {
    pub(super) fn node_command(&mut self, now: Now, payload: &[u8], retained: bool) {
        let Ok(payload) = Payload::from_bytes(payload) else {
            return self.refuse_whole(None, "no Sparkplug B payload");
        };
        if payload.metrics.len() > WRITES {
            return self.refuse_whole(None, "too many metrics");
        }
        for metric in &payload.metrics {
            let is_rebirth = metric.name.as_deref() == Some(REBIRTH);
            match metric.value {
                Some(Value::Boolean(true)) if is_rebirth && !retained => self.want_rebirth(now),
                Some(Value::Boolean(false)) if is_rebirth => {}
                _ if retained => self.refuse(None, metric, &Refusal::Retained),
                _ => self.refuse(None, metric, &Refusal::Unknown),
            }
        }
    }

    fn want_rebirth(&mut self, now: Now) {
        let due = self
            .last_rebirth
            .map_or(now.mono, |last| last.plus(REBIRTH_SPACING).max(now.mono));
        self.rebirth_due.get_or_insert(due);
    }

    pub(super) fn device_command(&mut self, now: Now, device: &str, payload: &[u8], retained: bool) {
        if !self.role.commands {
            return;
        }
        let Ok(payload) = Payload::from_bytes(payload) else {
            return self.refuse_whole(Some(device), "no Sparkplug B payload");
        };
        if payload.metrics.len() > WRITES {
            return self.refuse_whole(Some(device), "too many metrics");
        }
        for metric in &payload.metrics {
            let fresh =
                is_fresh(payload.timestamp, now.wall.unix_ms) && is_fresh(metric.timestamp, now.wall.unix_ms);
            let refusal = if retained {
                Some(Refusal::Retained)
            } else if fresh {
                self.order(now, device, metric).err()
            } else {
                Some(Refusal::Time)
            };
            if let Some(refusal) = refusal {
                self.refuse(Some(device), metric, &refusal);
            }
        }
        self.tell(now);
    }

    fn order(&mut self, now: Now, device: &str, metric: &Metric) -> Result<(), Refusal> {
        let line = self.voice.named(device, metric).ok_or(Refusal::Unknown)?;
        let wish = judge(line, metric)?;
        let sheet = self.sheets.as_ref().and_then(|sheets| sheets.devices.get(device));
        let Some(Origin::Point(point)) = sheet.map(|sheet| sheet.origin.clone()) else {
            return Err(Refusal::ReadOnly);
        };
        if self.orders.len() >= ORDERS {
            return Err(Refusal::Busy);
        }
        self.written
            .retain(|_, (last, _)| now.mono.since(*last) < WRITE_SPACING);
        let written = (device.to_owned(), line.name.clone());
        let stops = wish.stops();
        if let Some((_, stopped)) = self.written.get(&written)
            && (!stops || *stopped)
        {
            return Err(Refusal::Often);
        }
        self.written.insert(written, (now.mono, stops));
        let id = self.next_order;
        self.next_order += 1;
        let pending = Pending {
            device: device.to_owned(),
            metric: line.name.to_string(),
            old: self.voice.value(device, &line.name),
            wanted: wish.to_string(),
        };
        self.orders.insert(id, pending);
        self.effects.push_back(Effect::Order(Order { id, point, wish }));
        Ok(())
    }

    /// The actual value is told again, so that the host does not go on showing what it wrote.
    fn refuse(&mut self, device: Option<&str>, metric: &Metric, refusal: &Refusal) {
        let mut old = None;
        if let Some(device) = device
            && let Some(name) = self.voice.named(device, metric).map(|line| line.name.clone())
        {
            old = self.voice.value(device, &name);
            self.voice.owe(device, &name);
        }
        self.effects.push_back(Effect::Audit(Audit {
            target: device.unwrap_or(&self.role.node).to_owned(),
            metric: called(metric),
            old,
            wanted: told(metric),
            result: Err(refusal.to_string()),
        }));
    }

    fn refuse_whole(&mut self, device: Option<&str>, why: &str) {
        self.effects.push_back(Effect::Audit(Audit {
            target: device.unwrap_or(&self.role.node).to_owned(),
            metric: "the whole command".to_owned(),
            old: None,
            wanted: String::new(),
            result: Err(why.to_owned()),
        }));
    }

    pub(super) fn answered(&mut self, now: Now, id: u64, result: Result<(), String>) {
        let Some(pending) = self.orders.remove(&id) else {
            return;
        };
        // Whether it was taken or not: the next report says what holds, even if that is what held before.
        self.voice.owe(&pending.device, &pending.metric);
        let refused = result.is_err();
        self.effects.push_back(Effect::Audit(Audit {
            target: pending.device,
            metric: pending.metric,
            old: pending.old,
            wanted: pending.wanted,
            result,
        }));
        if refused {
            self.tell(now);
        }
    }
}
