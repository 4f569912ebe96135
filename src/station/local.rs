//! Local commands: a limit and a hold that somebody on the site has set. They only ever reduce, and outlive a restart.

use super::Station;
use super::io::{Effect, Role};
use crate::domain::{
    Accepted, AuthMode, Batch, EvseId, IdToken, LimitEntry, LimitSource, MilliAmps, Mono, Now,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A local limit as stored.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    amps: MilliAmps,
    /// Unix milliseconds as believed when it was set; `None`: until replaced.
    ends_ms: Option<i64>,
}

impl Station {
    pub(super) fn set_limit(&mut self, evse: EvseId, entry: Option<LimitEntry>) -> Accepted {
        if entry.is_some_and(|entry| entry.source != LimitSource::Local || entry.amps.0 < 0) {
            return Accepted::No("only a local limit of zero or more can be set");
        }
        let Some(found) = self.evses.get_mut(&evse) else {
            return Accepted::No("no such EVSE");
        };
        (found.local, found.local_ends_ms) = (entry, None);
        let kept = entry.map(|entry| Kept {
            amps: entry.amps,
            ends_ms: entry.until.map(|until| ends_ms(until, self.now)),
        });
        let text = kept.and_then(|kept| serde_json::to_string(&kept).ok());
        self.keep(format!("local/{evse}"), text)
    }

    pub(super) fn hold_back(&mut self, evse: EvseId, held: bool) -> Accepted {
        let Some(found) = self.evses.get_mut(&evse) else {
            return Accepted::No("no such EVSE");
        };
        found.held = held;
        self.keep(format!("held/{evse}"), held.then(|| "1".to_owned()))
    }

    pub(super) fn present(&mut self, evse: EvseId, token: IdToken) -> Accepted {
        let Some(found) = self.evses.get(&evse) else {
            return Accepted::No("no such EVSE");
        };
        if found.setup.auth != AuthMode::Reader {
            return Accepted::No("tokens are not presented here; see `auth` of the EVSE");
        }
        let role = if found.setup.reader.is_some() {
            Role::Reader
        } else {
            Role::Charger
        };
        self.outbox.push_express(Effect::Presented {
            evse,
            token: token.clone(),
        });
        self.card_presented(evse, role, token);
        Accepted::Yes
    }

    /// The answer leaves once it is durable; what it lowers does not wait.
    pub(super) fn keep(&mut self, key: String, value: Option<String>) -> Accepted {
        let puts = vec![self.put_text(key, value)];
        self.outbox.commit(Batch {
            puts,
            ..Batch::default()
        });
        Accepted::Yes
    }

    /// Takes back what an earlier run had set.
    pub(super) fn restore_local(&mut self, evse: EvseId, value: &str) {
        let (Some(found), Ok(kept)) = (self.evses.get_mut(&evse), serde_json::from_str::<Kept>(value)) else {
            return;
        };
        found.local = Some(LimitEntry {
            amps: kept.amps,
            source: LimitSource::Local,
            until: None,
        });
        found.local_ends_ms = kept.ends_ms;
    }

    /// Works out when limits of an earlier run end, as soon as the clock can be believed; until then they hold.
    pub(super) fn date_local(&mut self) {
        let now = self.now;
        if !now.wall.quality.is_trusted() {
            return;
        }
        for evse in self.evses.values_mut() {
            let (Some(ends_ms), Some(local)) = (evse.local_ends_ms.take(), evse.local.as_mut()) else {
                continue;
            };
            let left = u64::try_from(ends_ms.saturating_sub(now.wall.unix_ms)).unwrap_or(0);
            local.until = Some(now.mono.plus(Duration::from_millis(left)));
        }
    }
}

fn ends_ms(until: Mono, now: Now) -> i64 {
    let left = i64::try_from(until.since(now.mono).as_millis()).unwrap_or(i64::MAX);
    now.wall.unix_ms.saturating_add(left)
}
