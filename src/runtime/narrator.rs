//! Tells what happens at the EVSEs of one charge point, every step of it: what stands between two pictures is not lost.
//!
//! It looks at the station after each input, and at the rows that go to the ledger: a status that lasted for one input
//! only is told all the same, in order, with a number of its own.

use super::pseudonym::Pseudonyms;
use super::recall::{self, AllTold, Course, Epochs, Past};
use crate::domain::{
    Batch, Begin, CpId, ErrorCode, Event, EvseId, IdToken, MilliWattHours, Now, Put, SessionRecord, Stamp,
    StopReason,
};
use crate::station::{Brief, Snapshot, Station};
use crate::telemetry::{At, Easel, Happening, Milli, Slug, Status, What};
use std::sync::Arc;
use tokio::sync::watch;

/// Who tells.
pub struct Narrator {
    cp: CpId,
    easel: Arc<Easel>,
    names: Pseudonyms,
    known: AllTold,
    epochs: Epochs,
    told: watch::Sender<AllTold>,
}

impl Narrator {
    /// A narrator that goes on where another has ended.
    #[must_use]
    pub fn new(cp: CpId, easel: Arc<Easel>, names: Pseudonyms, now: Now, past: Past) -> Self {
        let Past { mut told, epochs } = past;
        for told in told.values_mut() {
            told.count.new_station();
        }
        let mut narrator = Self {
            cp,
            easel,
            names,
            known: told,
            epochs,
            told: watch::Sender::new(AllTold::new()),
        };
        narrator.publish(now);
        narrator
    }

    /// What was told so far.
    #[must_use]
    pub fn told(&self) -> watch::Receiver<AllTold> {
        self.told.subscribe()
    }

    /// Looks at the station after an input. Gives what is to be stored of it.
    pub fn look(&mut self, now: Now, station: &Station) -> Vec<Put> {
        let mut puts = Vec::new();
        let mut briefs: Vec<Brief> = station.briefs().collect();
        for brief in briefs.drain(..) {
            self.compare(now, &brief);
            puts.extend(self.follow_register(now, &brief));
        }
        puts
    }

    /// Looks at a batch on its way to the ledger, and adds what is to be stored beside it.
    pub fn read(&mut self, now: Now, batch: &mut Batch) {
        let mut puts = Vec::new();
        for row in &batch.rows {
            match &row.event {
                Event::Began(begin) => self.began(now, row.at, begin),
                Event::Ended(end) => {
                    let ended = |session: &&SessionRecord| session.tx == end.tx;
                    let Some(session) = batch.sessions.iter().find(ended) else {
                        continue;
                    };
                    puts.extend(self.ended(now, session));
                }
                _ => continue,
            }
            let evses = self.known.iter().filter(|(_, told)| told.count.is_read());
            puts.extend(evses.filter_map(|(evse, told)| recall::put_count(&self.cp, *evse, &told.count)));
        }
        batch.puts.append(&mut puts);
    }

    /// A card was presented.
    pub fn presented(&mut self, now: Now, evse: EvseId, token: &IdToken) {
        let id_tag_hash = self.names.of(token);
        self.tell(evse, At(now.wall.unix_ms), What::Tag { id_tag_hash });
    }

    /// A reload has changed the configuration of an EVSE.
    pub fn configured(&mut self, now: Now, evse: EvseId) {
        self.tell(evse, At(now.wall.unix_ms), What::Config);
    }

    /// Takes over what only the snapshot knows of running sessions, and shows what was told.
    pub fn show(&mut self, now: Now, snapshot: &Snapshot) {
        for evse in &snapshot.evses {
            let known = self.known.entry(evse.evse).or_default();
            let Some(tx) = &evse.tx else { continue };
            match &mut known.course {
                Some(course) if course.is_of(tx) => course.go_on(tx),
                // It was begun in an earlier run.
                course => *course = Some(Course::of_running(tx, &self.names)),
            }
        }
        self.publish(now);
    }

    /// Shows what was told.
    pub fn publish(&mut self, now: Now) {
        self.epochs.follow(now);
        for told in self.known.values_mut() {
            let session = told
                .course
                .as_ref()
                .map(|course| course.session(now, &self.epochs));
            told.session = session.unwrap_or_default();
        }
        self.told.send_if_modified(|old| {
            let changed = *old != self.known;
            if changed {
                old.clone_from(&self.known);
            }
            changed
        });
    }

    fn compare(&mut self, now: Now, brief: &Brief) {
        let known = self.known.entry(brief.evse).or_default();
        if known.status.is_some() && !brief.settled {
            // A station that was built anew knows less than was told already.
            return;
        }
        let (status, fault) = (status_word(brief.status), fault_text(&brief.error));
        let before = (known.status, known.fault.clone(), known.applied);
        (known.status, known.fault, known.applied) = (Some(status), fault.clone(), Some(brief.applied));
        let at = At(now.wall.unix_ms);
        if before.0 != Some(status) {
            let what = What::Status {
                from: before.0,
                to: status,
            };
            self.tell(brief.evse, at, what);
        }
        if before.1 != fault {
            self.tell(brief.evse, at, What::Fault(fault));
        }
        if before.2.is_some_and(|old| old != brief.applied) {
            let what = What::Limit {
                limit_a: Milli(brief.applied.amps.0),
                source: brief.applied.source.to_string(),
            };
            self.tell(brief.evse, at, what);
        }
    }

    /// Follows the register; it is stored when it begins anew and when it is first read at all.
    fn follow_register(&mut self, now: Now, brief: &Brief) -> Option<Put> {
        let known = self.known.entry(brief.evse).or_default();
        let unread = !known.count.is_read();
        let anew = known.count.follow(brief);
        let count = known.count.clone();
        if let Some(anew) = anew {
            let what = What::Meter {
                meter_epoch: count.epoch,
                before_wh: anew.before_wh,
                now_wh: anew.now_wh,
            };
            self.tell(brief.evse, At(now.wall.unix_ms), what);
        }
        (anew.is_some() || unread && count.is_read())
            .then(|| recall::put_count(&self.cp, brief.evse, &count))
            .flatten()
    }

    fn began(&mut self, now: Now, at: Stamp, begin: &Begin) {
        let course = Course::of_begin(at, begin, &self.names);
        self.go_on(now, begin.evse, at, course);
    }

    fn ended(&mut self, now: Now, session: &SessionRecord) -> Option<Put> {
        let reason = reason_word(session.reason);
        let course = Course::of_end(session, reason, &self.names);
        let put = recall::put_session(&self.cp, session.evse, &course);
        let seconds = self.go_on(now, session.evse, session.ended, course);
        let totals = &mut self.known.entry(session.evse).or_default().totals;
        *totals.sessions.entry(reason.to_owned()).or_default() += 1;
        totals.session_seconds += seconds;
        put
    }

    /// Tells of a session that began or ended. Gives its duration in seconds.
    fn go_on(&mut self, now: Now, evse: EvseId, at: Stamp, course: Course) -> u64 {
        self.epochs.follow(now);
        let session = course.session(now, &self.epochs);
        let seconds = session.duration_s.unwrap_or(0);
        let told = self.known.entry(evse).or_default();
        (told.course, told.session) = (Some(course), session.clone());
        self.tell(evse, self.epochs.at(at), What::Session(session));
        seconds
    }

    fn tell(&mut self, evse: EvseId, at: At, what: What) {
        let told = &mut self.known.entry(evse).or_default();
        told.seq += 1;
        self.easel.tell(Happening {
            point: name_of(&self.cp, evse),
            seq: told.seq,
            at,
            what,
        });
    }
}

/// What telemetry calls an EVSE: the first of a charge point by the id of the charge point, further ones `CP-2` and so on.
#[must_use]
pub fn name_of(cp: &CpId, evse: EvseId) -> Slug {
    if evse.0 == 1 {
        Slug::of(cp.as_str())
    } else {
        Slug::of(&format!("{cp}-{evse}"))
    }
}

/// The published word.
#[must_use]
pub fn status_word(status: crate::domain::ConnectorStatus) -> Status {
    use crate::domain::ConnectorStatus as From;
    match status {
        From::Available => Status::Available,
        From::Preparing => Status::Preparing,
        From::Charging => Status::Charging,
        From::SuspendedEV => Status::SuspendedEv,
        From::SuspendedEVSE => Status::SuspendedEvse,
        From::Finishing => Status::Finishing,
        From::Reserved => Status::Reserved,
        From::Unavailable => Status::Unavailable,
        From::Faulted => Status::Faulted,
    }
}

/// What is wrong in words; `None`: nothing is.
#[must_use]
pub fn fault_text(error: &ErrorCode) -> Option<String> {
    let kind = error.kind?;
    let word = serde_json::to_value(kind).ok()?;
    let mut text = word.as_str().unwrap_or("fault").replace('_', " ");
    for more in [&error.info, &error.vendor].into_iter().flatten() {
        text = format!("{text}: {more}");
    }
    Some(text)
}

/// Why a session ended, as published: the words of OCPP 1.6 `Reason` in small letters.
#[must_use]
pub fn reason_word(reason: StopReason) -> &'static str {
    match reason {
        StopReason::DeAuthorized => "deauthorized",
        StopReason::EmergencyStop => "emergency_stop",
        StopReason::EVDisconnected => "ev_disconnected",
        StopReason::HardReset => "hard_reset",
        StopReason::Local => "local",
        StopReason::Other => "other",
        StopReason::PowerLoss => "power_loss",
        StopReason::Reboot => "reboot",
        StopReason::Remote => "remote",
        StopReason::SoftReset => "soft_reset",
        StopReason::UnlockCommand => "unlock_command",
    }
}

/// Whole watt-hours.
#[must_use]
pub fn watt_hours(energy: MilliWattHours) -> Option<u64> {
    u64::try_from(energy.base()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::*;
    use crate::runtime::tests::charge_point;
    use crate::station::{Input, Role};
    use crate::store::TokenNames;
    use crate::telemetry::{Picture, View};

    fn vehicle(state: VehicleState) -> Input {
        Input::Observed {
            evse: EvseId(1),
            role: Role::Charger,
            observations: vec![Observation::Vehicle { state, raw: 0 }],
        }
    }

    fn told(view: &mut View) -> Vec<Happening> {
        std::iter::from_fn(|| view.happenings.try_recv().ok()).collect()
    }

    #[test]
    fn a_thousand_states_that_last_for_one_input_each_are_told_once_and_in_order() {
        let easel = Arc::new(Easel::new(Picture::blank()));
        let mut view = easel.view();
        let setup = charge_point();
        let names = Pseudonyms::new(TokenNames::new(b"key"));
        let past = Past::default();
        let mut narrator = Narrator::new(setup.id.clone(), easel, names, Now::default(), past);
        let mut station = Station::new(setup, Params::default(), 1, &[], ReaderId::new("csms"));
        let mut now = Now::default();
        let mut expected = Vec::new();
        for turn in 0..1000_u64 {
            now.mono = Mono(turn);
            now.wall.unix_ms = i64::try_from(turn).unwrap();
            let (state, status) = if turn % 2 == 0 {
                (VehicleState::Fault(FaultKind::HighTemperature), Status::Faulted)
            } else {
                (VehicleState::Absent, Status::Available)
            };
            station.handle(now, vehicle(state));
            while station.poll().is_some() {}
            narrator.look(now, &station);
            // Nothing new: looking twice tells nothing twice.
            narrator.look(now, &station);
            expected.push((turn, status));
        }
        let happened = told(&mut view);
        let seqs: Vec<u64> = happened.iter().map(|h| h.seq).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
        let statuses: Vec<(u64, Status)> = happened
            .iter()
            .filter_map(|h| match h.what {
                What::Status { to, .. } => Some((u64::try_from(h.at.0).unwrap(), to)),
                _ => None,
            })
            .collect();
        assert_eq!(statuses, expected);
        let mut before = None;
        for happening in &happened {
            if let What::Status { from, to } = happening.what {
                assert_eq!(from, before);
                before = Some(to);
            }
        }
    }
}
