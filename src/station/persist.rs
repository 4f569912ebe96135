//! What a station stores under the scope `station/<cp>`, and how it finds it again.
//!
//! | key | value |
//! |---|---|
//! | `boot` | the run of the process whose start is on record |
//! | `count` | transactions begun so far; the next id is made from it |
//! | `tx/<evse>` | the running transaction |
//! | `data/<evse>/<n>` | a sample kept for its stop message |
//! | `done/<evse>` | a transaction ended and the vehicle had not left; whose it was, where the plug stays locked for him |
//! | `availability/<evse>` | out of service; `0` is the charge point |
//! | `profile/<evse>/<purpose>/<level>` | a charging profile; `0` is connector 0 |
//! | `cache/<token>` | a verdict of the CSMS |
//! | `list`, `list/<token>` | version and entries of the local authorisation list |
//! | `tamper/<device>` | the run of the process in which its housing was found open |
//! | `reservation/<id>` | an EVSE kept for a token |
//! | `local/<evse>`, `held/<evse>`, `phases/<evse>` | a limit, a hold, one phase or three, as somebody on the site has set |
//! | `upload` | an upload is under way |
//! | `firmware`, `firmware/last`, `firmware/count` | the update under way, the end of the last one, how many there were |

use super::Station;
use super::contacts::Standing;
use super::running::{Tx, TxRecord};
use crate::domain::{
    Batch, BootId, End, Event, EvseId, MilliWattHours, NewRow, Now, Put, SecurityEvent, SessionFlag, Stamp,
    StopReason,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a charger in a session is left as it is until its vehicle and its meter are heard of in this run. A charge
/// point that is built anew, by a reload or a restart, neither interrupts a vehicle nor charges one it has not seen.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// A value of the station's scope; `None` removes it.
pub(super) fn put(scope: &str, key: String, value: Option<String>) -> Put {
    Put {
        scope: scope.to_owned(),
        key,
        value,
    }
}

impl Station {
    /// A value of this station's scope.
    pub(super) fn put_text(&self, key: String, value: Option<String>) -> Put {
        put(&self.scope, key, value)
    }

    /// A row of this charge point.
    pub(super) fn row(&self, at: Stamp, event: Event) -> NewRow {
        NewRow {
            cp: self.setup.id.clone(),
            at,
            event,
        }
    }

    /// Takes back what was stored. What cannot be read is left alone.
    pub(super) fn restore(&mut self, stored: &[(String, String)]) {
        for (key, value) in stored {
            let mut parts = key.splitn(2, '/');
            match (parts.next(), parts.next()) {
                (Some("boot"), None) => self.known_boot = value.parse().ok().map(BootId),
                (Some("count"), None) => self.begun = value.parse().unwrap_or(self.begun),
                (Some("tx"), Some(evse)) => self.restore_tx(evse, value),
                (Some("done"), Some(evse)) => {
                    if let Some(evse) = number(evse).and_then(|id| self.evses.get_mut(&EvseId(id))) {
                        evse.done = true;
                        evse.locked_for = serde_json::from_str(value).ok();
                    }
                }
                (Some("availability"), Some("0")) => self.inoperative = true,
                (Some("availability"), Some(evse)) => {
                    if let Some(evse) = number(evse).and_then(|id| self.evses.get_mut(&EvseId(id))) {
                        evse.inoperative = true;
                    }
                }
                (Some("profile"), Some(_)) => self.smart.restore(value),
                (Some("cache"), Some(token)) => self.known.cache.restore(token, value),
                (Some("tamper"), Some(device)) => self.contacts.restore(device, value),
                (Some("reservation"), Some(_)) => self.reservations.restore(value),
                (Some("firmware"), key) => self.updates.restore(key, value),
                (Some("local"), Some(evse)) => {
                    if let Some(evse) = number(evse) {
                        self.restore_local(EvseId(evse), value);
                    }
                }
                (Some("held"), Some(evse)) => {
                    if let Some(evse) = number(evse).and_then(|id| self.evses.get_mut(&EvseId(id))) {
                        evse.held = true;
                    }
                }
                (Some("phases"), Some(evse)) => {
                    if let Some(evse) = number(evse).and_then(|id| self.evses.get_mut(&EvseId(id))) {
                        evse.switch.restore(value);
                    }
                }
                (Some("upload"), None) => self.logs.restore(value),
                (Some("list"), None) => self.known.list.restore_version(value),
                (Some("list"), Some(token)) => self.known.list.restore(token, value),
                _ => {}
            }
        }
        for (key, value) in stored {
            let mut parts = key.splitn(3, '/');
            if let (Some("data"), Some(evse), Some(n)) = (parts.next(), parts.next(), parts.next())
                && let Some(tx) = number(evse).and_then(|id| self.evses.get_mut(&EvseId(id))?.tx.as_mut())
                && let Ok(n) = n.parse()
            {
                tx.data.restore(n, value);
            }
        }
    }

    fn restore_tx(&mut self, evse: &str, value: &str) {
        let Some(id) = number(evse).map(EvseId) else {
            return;
        };
        let Ok(record) = serde_json::from_str::<TxRecord>(value) else {
            return;
        };
        match self.evses.get_mut(&id) {
            Some(evse) => evse.tx = Some(Tx::restored(record)),
            None => self.orphans.push((id, record)),
        }
    }

    /// The first moment of this run: unseen time is known now, and what has no EVSE any more is ended.
    pub(super) fn wake(&mut self, now: Now) {
        self.record_startup(now);
        for evse in self.evses.values_mut() {
            let Some(tx) = evse.tx.as_mut() else { continue };
            let gap = unseen(&tx.record, now);
            tx.record.ran_ms = tx
                .record
                .ran_ms
                .saturating_add(gap.map_or(0, |g| i64::try_from(g.as_millis()).unwrap_or(i64::MAX)));
            evse.register.restore(tx.record.register, gap);
            evse.wakes = Some(now.mono.plus(FIRST_LOOK));
        }
        for (evse, record) in std::mem::take(&mut self.orphans) {
            let meter = MilliWattHours(record.register.shown);
            let flags = [
                SessionFlag::EndUnseen,
                SessionFlag::EndRegisterOld,
                SessionFlag::EndOffline,
            ];
            let session = record.session(
                &self.setup.id,
                evse,
                now.stamp(),
                StopReason::PowerLoss,
                BTreeSet::from(flags),
            );
            let end = End {
                tx: record.id,
                tx_seq: record.seq.saturating_add(1),
                evse,
                token: None,
                meter,
                quality: record.quality,
                reason: StopReason::PowerLoss,
                data: Vec::new(),
                energy: meter - record.meter_start,
                offline: true,
            };
            let rows = vec![self.row(now.stamp(), Event::Ended(end))];
            let puts = vec![self.put_text(format!("tx/{evse}"), None)];
            self.outbox.commit(Batch {
                rows,
                puts,
                sessions: vec![session],
                ..Batch::default()
            });
        }
    }
}

impl Station {
    /// Ends the first look: all was seen, it takes too long, or something speaks against charging.
    pub(super) fn follow_first_look(&mut self, id: EvseId) {
        let now = self.now.mono;
        let Some(evse) = self.evses.get(&id) else { return };
        let Some(until) = evse.wakes else { return };
        let seen = |tx: &Tx| tx.live && evse.meter_well(now) && evse.emergency.is_idle();
        let over = evse.tx.as_ref().is_none_or(seen) || now >= until;
        let waits = evse.emergency.is_idle() || evse.emergency == Standing::Unheard;
        if (over || evse.is_faulty() || self.is_refused(evse) || !waits)
            && let Some(evse) = self.evses.get_mut(&id)
        {
            evse.wakes = None;
        }
    }

    /// Records a security event (1.6 whitepaper A04, 2.0.1 A04).
    pub(super) fn record_security(&mut self, event: SecurityEvent) {
        let rows = vec![self.row(self.now.stamp(), Event::Security(event))];
        self.outbox.commit(Batch {
            rows,
            ..Batch::default()
        });
    }

    /// The start of the process, once: a changed configuration builds a station anew within one run.
    fn record_startup(&mut self, now: Now) {
        if self.known_boot == Some(now.boot) {
            return;
        }
        self.known_boot = Some(now.boot);
        let event = Event::Security(SecurityEvent::new("StartupOfTheDevice", None));
        let rows = vec![self.row(now.stamp(), event)];
        let puts = vec![self.put_text("boot".to_owned(), Some(now.boot.0.to_string()))];
        self.outbox.commit(Batch {
            rows,
            puts,
            ..Batch::default()
        });
    }
}

/// Time that passed between the last record of a transaction and now, where the clocks of both can tell. Within one run
/// of the process they always can, also when the wall clock was set in between.
fn unseen(record: &TxRecord, now: Now) -> Option<Duration> {
    if record.at.boot == now.boot {
        return Some(now.mono.since(record.at.mono));
    }
    let believable = record.at.wall.quality.is_trusted() && now.wall.quality.is_trusted();
    let ms = now.wall.unix_ms.saturating_sub(record.at.wall.unix_ms);
    u64::try_from(ms)
        .ok()
        .filter(|_| believable)
        .map(Duration::from_millis)
}

fn number(text: &str) -> Option<u16> {
    text.parse().ok()
}
