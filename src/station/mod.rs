//! The heart: per-EVSE state, transactions, authorisation, limit arbitration, safe state. Pure.
//!
//! One [`Station`] is one charge point. It never knows which OCPP dialect is spoken: it is asked in
//! [`Command`](crate::domain::Command)s and tells in ledger events and notices.

#![allow(
    dead_code,
    clippy::needless_pass_by_value,
    reason = "the rooms inside are being furnished"
)]

mod io;
mod outbox;
mod snapshot;

pub use io::{Effect, Input, Role};
pub use snapshot::{EvseSnapshot, LimitSnapshot, Snapshot, TxSnapshot};

use crate::domain::{Availability, CpSetup, Mono, Now, Params, ReaderId};
use outbox::Outbox;

/// One charge point.
#[derive(Debug)]
pub struct Station {
    setup: CpSetup,
    params: Params,
    controlling: ReaderId,
    outbox: Outbox,
    now: Now,
    online: bool,
    leaving: bool,
}

impl Station {
    /// A station as configured, with what it had stored under the scope `station/<cp>`.
    #[must_use]
    pub fn new(
        setup: CpSetup,
        params: Params,
        seed: u64,
        restored: &[(String, String)],
        controlling: ReaderId,
    ) -> Self {
        let _ = (seed, restored);
        Self {
            setup,
            params,
            controlling,
            outbox: Outbox::default(),
            now: Now::default(),
            online: false,
            leaving: false,
        }
    }

    /// Takes in what happened and works out what follows from it.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = now;
        match input {
            Input::Committed(id) => self.outbox.committed(id),
            Input::Online(online) => self.online = online,
            Input::Leaving => self.leaving = true,
            _ => {}
        }
        let _ = (&self.params, &self.controlling, self.outbox.waiting_since());
    }

    /// The next thing to do, as far as the ordering law lets it go.
    pub fn poll(&mut self) -> Option<Effect> {
        self.outbox.pop(self.now.mono)
    }

    /// When to call [`Input::Tick`] at the latest, and why.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Mono, &'static str)> {
        None
    }

    /// The station as a person is shown it.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            cp: self.setup.id.clone(),
            online: self.online,
            leaving: self.leaving,
            availability: Availability::Operative,
            evses: Vec::new(),
        }
    }
}
