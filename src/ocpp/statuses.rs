//! Connector statuses: state, not history. The latest wins, and only what the CSMS does not know yet is told.

use crate::domain::{EvseId, StatusNotice};
use std::collections::{BTreeMap, BTreeSet};

type Key = Option<EvseId>;

/// What every connector (`None`: the charge point) shows and what the CSMS was told of it.
#[derive(Debug, Default)]
pub(super) struct Statuses {
    latest: BTreeMap<Key, StatusNotice>,
    told: BTreeMap<Key, StatusNotice>,
    due: BTreeSet<Key>,
    /// Asked for by the peer: may be told while registration is pending.
    triggered: BTreeSet<Key>,
}

impl Statuses {
    /// A new status. It is told even if it repeats the last: the station has its reason.
    pub(super) fn notice(&mut self, notice: StatusNotice) {
        self.due.insert(notice.evse);
        self.latest.insert(notice.evse, notice);
    }

    /// What the charge point as a whole shows.
    pub(super) fn whole(&self) -> Option<&StatusNotice> {
        self.latest.get(&None)
    }

    /// Everything is to be told again, as if nothing had been.
    pub(super) fn tell_all(&mut self) {
        self.told.clear();
        self.due = self.latest.keys().copied().collect();
    }

    /// What differs from what the CSMS knows is to be told.
    pub(super) fn tell_changed(&mut self) {
        let told = &self.told;
        self.due = self
            .latest
            .iter()
            .filter(|(key, notice)| {
                told.get(key)
                    .is_none_or(|told| (told.status, &told.error) != (notice.status, &notice.error))
            })
            .map(|(key, _)| *key)
            .collect();
    }

    /// The CSMS knows nothing any more.
    pub(super) fn forget_told(&mut self) {
        self.told.clear();
    }

    /// The peer asks for one status, or (`None`) all.
    pub(super) fn trigger(&mut self, which: Option<Key>) {
        match which {
            Some(key) => {
                self.triggered.insert(key);
            }
            None => self.triggered.extend(self.latest.keys().copied()),
        }
    }

    /// The next status to tell, and what was told before it; nothing where the peer asked for it.
    pub(super) fn take(&mut self, only_triggered: bool) -> Option<(StatusNotice, Option<&StatusNotice>)> {
        let triggered = self
            .triggered
            .iter()
            .copied()
            .find(|key| self.latest.contains_key(key));
        let key = match triggered {
            Some(key) => key,
            None if only_triggered => return None,
            None => *self.due.first()?,
        };
        let asked = self.triggered.remove(&key);
        self.due.remove(&key);
        let before = self.told.get(&key).filter(|_| !asked);
        Some((self.latest.get(&key)?.clone(), before))
    }

    /// A status was answered.
    pub(super) fn acknowledged(&mut self, notice: StatusNotice) {
        self.told.insert(notice.evse, notice);
    }

    /// The connection is gone: triggers are void.
    pub(super) fn disconnected(&mut self) {
        self.triggered.clear();
    }
}
