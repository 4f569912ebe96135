//! Between one station and its CSMSs: one is in control, any number only read.
//!
//! Rules kept here:
//! * statuses, facts and the growth of the ledger are told to each; tokens are asked of the one in control;
//! * verdicts, the time and being online count only from the one in control: the others neither authorise nor stop;
//! * of a CSMS that only reads no command gets through that would change anything, whatever its dialect let pass;
//! * an answer goes to whoever asked, under the number it asked with;
//! * who comes later hears at once what the others know already.

use super::spool::Spool;
use crate::domain::{
    Command, CommandId, CpId, EvseId, Notice, OTHER_IN_CONTROL, Outcome, Params, ReaderId, StatusNotice,
};
use crate::ocpp::Facts;
use crate::station::Input;
use crate::uplink::{FromUplink, ToUplink};
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot, watch};

/// What is left to do after a CSMS was heard.
#[derive(Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "handed on at once, never kept")]
pub enum Heard {
    /// For the station.
    Input(Box<Input>),
    /// The time, Unix milliseconds.
    ClockSet(i64),
}

impl Heard {
    fn input(input: Input) -> Self {
        Self::Input(Box::new(input))
    }
}

/// The links of one charge point.
#[derive(Debug)]
pub struct Exchange {
    cp: CpId,
    controlling: ReaderId,
    links: BTreeMap<ReaderId, Spool<ToUplink>>,
    asked: BTreeMap<CommandId, (ReaderId, CommandId)>,
    /// What somebody in the house asked.
    own: BTreeMap<CommandId, oneshot::Sender<Outcome>>,
    last_command: u64,
    statuses: BTreeMap<Option<EvseId>, StatusNotice>,
    facts: Facts,
    params: watch::Sender<Params>,
}

impl Exchange {
    /// An exchange with the CSMS in control, whose settings are in force.
    #[must_use]
    pub fn new(cp: CpId, controlling: ReaderId, to: mpsc::Sender<ToUplink>, params: Params) -> Self {
        Self {
            cp,
            links: BTreeMap::from([(controlling.clone(), Spool::new(to))]),
            controlling,
            asked: BTreeMap::new(),
            own: BTreeMap::new(),
            last_command: 0,
            statuses: BTreeMap::new(),
            facts: Facts::default(),
            params: watch::Sender::new(params),
        }
    }

    /// The settings in force, for a CSMS that joins.
    #[must_use]
    pub fn params(&self) -> watch::Receiver<Params> {
        self.params.subscribe()
    }

    /// A CSMS that only reads comes in.
    pub fn join(&mut self, reader: ReaderId, to: mpsc::Sender<ToUplink>) {
        let mut spool = Spool::new(to);
        spool.send(ToUplink::Params(Box::new(self.params.borrow().clone())));
        spool.send(ToUplink::Facts(self.facts.clone()));
        for status in self.statuses.values() {
            spool.send(ToUplink::Notice(Notice::Status(status.clone())));
        }
        self.links.insert(reader, spool);
    }

    /// One is configured no longer.
    pub fn part(&mut self, reader: &ReaderId) {
        self.links.remove(reader);
        self.asked.retain(|_, (asker, _)| asker != reader);
    }

    /// Tells the one in control.
    pub fn tell_controlling(&mut self, message: ToUplink) {
        if let Some(link) = self.links.get_mut(&self.controlling) {
            link.send(message);
        }
    }

    /// Tells each.
    pub fn tell_all(&mut self, message: &ToUplink) {
        for link in self.links.values_mut() {
            link.send(message.clone());
        }
    }

    /// Tells of a state: a status to each, a conflict with the local list to whose list it is.
    pub fn notice(&mut self, notice: Notice) {
        match &notice {
            Notice::Status(status) => {
                self.statuses.insert(status.evse, status.clone());
                self.tell_all(&ToUplink::Notice(notice));
            }
            Notice::ListConflict(_) => self.tell_controlling(ToUplink::Notice(notice)),
        }
    }

    /// Tells each what the devices say about themselves, if that is news.
    pub fn facts(&mut self, change: impl FnOnce(&mut Facts)) {
        let mut facts = self.facts.clone();
        change(&mut facts);
        if facts != self.facts {
            self.facts = facts;
            self.tell_all(&ToUplink::Facts(self.facts.clone()));
        }
    }

    /// Answers whoever asked.
    pub fn answer(&mut self, id: CommandId, outcome: Outcome) {
        if let Some(asker) = self.own.remove(&id) {
            // Whoever gave up waiting misses nothing.
            let _ = asker.send(outcome);
            return;
        }
        let Some((reader, id)) = self.asked.remove(&id) else {
            return;
        };
        if let Some(link) = self.links.get_mut(&reader) {
            link.send(ToUplink::Answer { id, outcome });
        }
    }

    /// Somebody in the house asks for something.
    pub fn ask(&mut self, command: Command, asker: oneshot::Sender<Outcome>) -> Input {
        self.last_command += 1;
        let id = CommandId(self.last_command);
        self.own.retain(|_, asker| !asker.is_closed());
        self.own.insert(id, asker);
        Input::Command { id, command }
    }

    /// The channels through which the growth of the ledger is told.
    #[must_use]
    pub fn senders(&self) -> Vec<mpsc::Sender<ToUplink>> {
        self.links.values().map(Spool::sender).collect()
    }

    /// Tries again what waits.
    pub fn flush(&mut self) {
        self.links.values_mut().for_each(Spool::flush);
    }

    /// A CSMS said something.
    pub fn heard(&mut self, reader: &ReaderId, message: FromUplink) -> Option<Heard> {
        if !self.links.contains_key(reader) {
            return None;
        }
        let controls = *reader == self.controlling;
        match message {
            FromUplink::Command { id, command } => self.command(reader, id, command),
            FromUplink::Link { connected, detail } => {
                let cp = &self.cp;
                if connected {
                    tracing::info!(%cp, link = %reader, "CSMS link up: {detail}");
                } else {
                    tracing::warn!(%cp, link = %reader, "CSMS link down: {detail}");
                }
                None
            }
            FromUplink::Authorized { request, result } if controls => {
                Some(Heard::input(Input::Authorized { request, result }))
            }
            FromUplink::Verdict { tx, info } if controls => Some(Heard::input(Input::Verdict { tx, info })),
            FromUplink::Learned { token, info } if controls => {
                Some(Heard::input(Input::Learned { token, info }))
            }
            FromUplink::Online(online) if controls => Some(Heard::input(Input::Online(online))),
            FromUplink::ClockSet { unix_ms } if controls => Some(Heard::ClockSet(unix_ms)),
            FromUplink::Authorized { .. }
            | FromUplink::Verdict { .. }
            | FromUplink::Learned { .. }
            | FromUplink::Online(_)
            | FromUplink::ClockSet { .. } => None,
        }
    }

    fn command(&mut self, reader: &ReaderId, id: CommandId, command: Command) -> Option<Heard> {
        let controls = *reader == self.controlling;
        if !controls && !command.only_asks() {
            let outcome = command.refused(OTHER_IN_CONTROL);
            if let Some(link) = self.links.get_mut(reader) {
                link.send(ToUplink::Answer { id, outcome });
            }
            return None;
        }
        if let Command::SetParams(params) = &command {
            self.params.send_replace((**params).clone());
            for (_, link) in self.links.iter_mut().filter(|(other, _)| *other != reader) {
                link.send(ToUplink::Params(params.clone()));
            }
        }
        self.last_command += 1;
        let own = CommandId(self.last_command);
        self.asked.insert(own, (reader.clone(), id));
        Some(Heard::input(Input::Command { id: own, command }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        Accepted, AuthStatus, Availability, AvailabilityOutcome, ConnectorStatus, ErrorCode, IdToken, Stamp,
        TokenInfo, Trigger, TxId, Within,
    };
    use std::time::Duration;

    struct Rig {
        exchange: Exchange,
        first: mpsc::Receiver<ToUplink>,
        second: mpsc::Receiver<ToUplink>,
    }

    fn reader(name: &str) -> ReaderId {
        ReaderId::new(format!("CP1/{name}"))
    }

    fn rig() -> Rig {
        let ((to_first, first), (to_second, second)) = (mpsc::channel(16), mpsc::channel(16));
        let mut exchange = Exchange::new(CpId::new("CP1"), reader("main"), to_first, Params::default());
        exchange.join(reader("second"), to_second);
        let mut rig = Rig {
            exchange,
            first,
            second,
        };
        said(&mut rig.second);
        rig
    }

    fn said(from: &mut mpsc::Receiver<ToUplink>) -> Vec<String> {
        let mut said = Vec::new();
        while let Ok(message) = from.try_recv() {
            said.push(format!("{message:?}"));
        }
        said
    }

    fn trigger() -> Command {
        Command::Trigger(Trigger::MeterValues {
            evse: None,
            within: Within::Either,
        })
    }

    fn asks(command: Command) -> FromUplink {
        FromUplink::Command {
            id: CommandId(1),
            command,
        }
    }

    #[test]
    fn the_same_number_from_two_csmss_is_answered_to_each_its_own() {
        let mut rig = rig();
        let mut ask = |name: &str| match rig.exchange.heard(&reader(name), asks(trigger())) {
            Some(Heard::Input(input)) => match *input {
                Input::Command { id, .. } => id,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        let (first, second) = (ask("main"), ask("second"));
        assert_ne!(first, second);
        rig.exchange
            .answer(second, Outcome::Simple(Accepted::No("nothing to say")));
        assert!(said(&mut rig.first).is_empty());
        assert_eq!(said(&mut rig.second).len(), 1);
        rig.exchange.answer(second, Outcome::Simple(Accepted::Yes));
        assert!(said(&mut rig.second).is_empty(), "answered once");
        rig.exchange.answer(first, Outcome::Simple(Accepted::Yes));
        assert_eq!(said(&mut rig.first).len(), 1);
    }

    #[test]
    fn who_only_reads_changes_judges_and_stops_nothing() {
        let mut rig = rig();
        let info = TokenInfo::of(AuthStatus::Blocked);
        let tx = TxId::new("a");
        for message in [
            asks(Command::RemoteStop { tx: tx.clone() }),
            asks(Command::SetParams(Box::default())),
            asks(Command::ClearCache),
            FromUplink::Verdict {
                tx,
                info: info.clone(),
            },
            FromUplink::Authorized {
                request: 1,
                result: Some(info),
            },
            FromUplink::Online(false),
            FromUplink::ClockSet { unix_ms: 1 },
        ] {
            let command = matches!(message, FromUplink::Command { .. });
            assert_eq!(rig.exchange.heard(&reader("second"), message.clone()), None);
            assert_eq!(said(&mut rig.second).len(), usize::from(command));
            assert!(rig.exchange.heard(&reader("main"), message).is_some());
            said(&mut rig.second);
        }
        assert_eq!(rig.exchange.heard(&reader("stranger"), asks(trigger())), None);
    }

    #[test]
    fn a_refusal_is_of_the_kind_that_was_asked_for() {
        let mut rig = rig();
        let command = Command::ChangeAvailability {
            evse: None,
            to: Availability::Inoperative,
        };
        assert_eq!(rig.exchange.heard(&reader("second"), asks(command)), None);
        let ToUplink::Answer { outcome, .. } = rig.second.try_recv().expect("an answer") else {
            panic!("no answer");
        };
        assert_eq!(outcome, Outcome::Availability(AvailabilityOutcome::Rejected));
    }

    #[test]
    fn a_conflict_with_the_local_list_concerns_nobody_but_who_sent_the_list() {
        let mut rig = rig();
        rig.exchange.notice(Notice::ListConflict(Stamp::default()));
        assert_eq!((said(&mut rig.first).len(), said(&mut rig.second).len()), (1, 0));
    }

    #[test]
    fn tokens_are_asked_of_the_one_in_control_and_its_settings_are_told_to_the_others() {
        let mut rig = rig();
        rig.exchange.tell_controlling(ToUplink::Authorize {
            request: 1,
            evse: EvseId(1),
            token: IdToken::new("CARD", crate::domain::TokenKind::Local),
        });
        assert_eq!((said(&mut rig.first).len(), said(&mut rig.second).len()), (1, 0));
        let params = Params {
            sample_interval: Duration::from_secs(7),
            ..Params::default()
        };
        rig.exchange.heard(
            &reader("main"),
            asks(Command::SetParams(Box::new(params.clone()))),
        );
        assert!(said(&mut rig.first).is_empty());
        let told = said(&mut rig.second);
        assert!(
            told[0].starts_with("Params") && told[0].contains("sample_interval: 7s"),
            "{told:?}"
        );
        assert_eq!(*rig.exchange.params().borrow(), params);
    }

    #[test]
    fn who_comes_later_hears_what_the_others_know() {
        let mut rig = rig();
        let status = |evse, status| {
            Notice::Status(StatusNotice {
                evse,
                status,
                error: ErrorCode::default(),
                at: Stamp::default(),
            })
        };
        rig.exchange
            .notice(status(Some(EvseId(1)), ConnectorStatus::Preparing));
        rig.exchange
            .notice(status(Some(EvseId(1)), ConnectorStatus::Charging));
        rig.exchange.notice(status(None, ConnectorStatus::Available));
        rig.exchange.facts(|facts| facts.serial = Some("S1".to_owned()));
        rig.exchange.facts(|facts| facts.serial = Some("S1".to_owned()));
        assert_eq!(said(&mut rig.second).len(), 4);
        let (to, mut late) = mpsc::channel(16);
        rig.exchange.join(reader("late"), to);
        let told = said(&mut late).join("\n");
        assert!(
            told.contains("S1") && told.contains("Charging") && !told.contains("Preparing"),
            "{told}"
        );
        rig.exchange.part(&reader("late"));
        rig.exchange.notice(status(None, ConnectorStatus::Faulted));
        assert!(said(&mut late).is_empty());
        assert_eq!(rig.exchange.senders().len(), 2);
    }
}
