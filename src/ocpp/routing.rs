//! Which transactions a back end is told of: those whose token fits its rule, each as a whole or not at all.
//!
//! Rules it keeps:
//! * a transaction is told from its begin or not at all: one that began before the back end was there, or that its rule
//!   did not take then, is passed over to its end;
//! * what was begun is told to its end, whatever becomes of the rule meanwhile; a mark in the reader's scope, durable in
//!   one step with the cursor, says so after a restart;
//! * values taken apart from a transaction while it ran tell of it too, and go where it goes;
//! * what has to do with no transaction is told to everybody, but for uploads and updates, which only the one in control
//!   asks for.

use super::dialect::KeyPut;
use crate::domain::{Accepted, CpSetup, CsmsSetup, Event, Session, TagRule, TxId};
use std::collections::BTreeSet;

/// Key of a mark, before the transaction's id.
const MARK: &str = "told/";

/// What a back end is told of.
#[derive(Debug)]
pub(super) struct Routing {
    rule: TagRule,
    /// The one in control and without a rule is told everything, also of transactions nothing is known of.
    everything: bool,
    /// Uploads are the matter of the one in control, which has asked for them.
    controls: bool,
    told: BTreeSet<TxId>,
}

impl Routing {
    pub(super) fn new(cp: &CpSetup, csms: &CsmsSetup, restored: &[(String, String)]) -> Self {
        let marks = restored.iter().filter_map(|(key, _)| key.strip_prefix(MARK));
        Self {
            rule: csms.tags.clone(),
            controls: cp.is_controlled_by(csms),
            everything: cp.is_controlled_by(csms) && csms.tags.is_open(),
            told: marks.map(TxId::new).collect(),
        }
    }

    /// Whether an event is to be told.
    pub(super) fn concerns(&self, event: &Event) -> bool {
        match event {
            Event::Began(begin) => self.rule.takes(begin.token.as_ref()),
            Event::Log(_) | Event::Firmware(_) => self.controls,
            Event::Sampled { .. } | Event::Changed { .. } | Event::Ended(_) | Event::Security(_) => event
                .concerned_tx()
                .is_none_or(|tx| self.everything || self.told.contains(tx)),
        }
    }

    /// The answer to a trigger of meter values: what is accepted is sent, so that values of sessions this back end is
    /// not told of do not count.
    pub(super) fn answer_of(&self, values: &[Option<Session>]) -> Accepted {
        let tells = |session: &Session| {
            self.everything || self.told.contains(&session.tx) || self.rule.takes(session.token.as_ref())
        };
        if values.is_empty() {
            Accepted::No("nothing was measured yet")
        } else if values
            .iter()
            .all(|session| session.as_ref().is_some_and(|s| !tells(s)))
        {
            Accepted::No("the session is not for this CSMS")
        } else {
            Accepted::Yes
        }
    }

    /// An event was told and is done with; gives what to keep of that.
    pub(super) fn done(&mut self, event: &Event) -> Option<KeyPut> {
        match event {
            Event::Began(begin) => {
                self.told.insert(begin.tx.clone());
                Some((format!("{MARK}{}", begin.tx), Some("1".to_owned())))
            }
            Event::Ended(end) => self
                .told
                .remove(&end.tx)
                .then(|| (format!("{MARK}{}", end.tx), None)),
            Event::Sampled { .. }
            | Event::Changed { .. }
            | Event::Security(_)
            | Event::Log(_)
            | Event::Firmware(_) => None,
        }
    }
}
