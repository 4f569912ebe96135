//! Tells what happens at the EVSEs of one charge point, every step of it: what stands between two pictures is not lost.
//!
//! It looks at the station after each input, and at the rows that go to the ledger: a status that lasted for one input
//! only is told all the same, in order, with a number of its own.

use super::pseudonym::Pseudonyms;
use crate::domain::{
    AppliedLimit, Begin, CpId, End, ErrorCode, Event, EvseId, IdToken, MilliWattHours, NewRow, Now, Stamp,
    StopReason,
};
use crate::station::{Brief, Snapshot, Station};
use crate::telemetry::{At, Easel, Happening, Milli, Session, Slug, Status, Totals, What};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// What was told of one EVSE, for the picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// Number of the last happening.
    pub seq: u64,
    /// The running session, or the last.
    pub session: Session,
    /// Since the start of the process.
    pub totals: Totals,
}

/// What was told of each EVSE.
pub type AllTold = BTreeMap<EvseId, Told>;

/// Who tells.
pub struct Narrator {
    cp: CpId,
    easel: Arc<Easel>,
    names: Pseudonyms,
    known: BTreeMap<EvseId, Known>,
    told: watch::Sender<AllTold>,
}

#[derive(Debug, Default)]
struct Known {
    status: Option<Status>,
    fault: Option<String>,
    applied: Option<AppliedLimit>,
    told: Told,
}

impl Narrator {
    /// A narrator that has told nothing yet.
    #[must_use]
    pub fn new(cp: CpId, easel: Arc<Easel>, names: Pseudonyms) -> Self {
        Self {
            cp,
            easel,
            names,
            known: BTreeMap::new(),
            told: watch::Sender::new(AllTold::new()),
        }
    }

    /// What was told so far.
    #[must_use]
    pub fn told(&self) -> watch::Receiver<AllTold> {
        self.told.subscribe()
    }

    /// Looks at the station after an input.
    pub fn look(&mut self, now: Now, station: &Station) {
        let mut briefs: Vec<Brief> = station.briefs().collect();
        for brief in briefs.drain(..) {
            self.compare(now, &brief);
        }
    }

    /// Looks at rows on their way to the ledger.
    pub fn read(&mut self, rows: &[NewRow]) {
        for row in rows {
            match &row.event {
                Event::Began(begin) => self.began(row.at, begin),
                Event::Ended(end) => self.ended(row.at, end),
                _ => {}
            }
        }
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
            let session = &mut known.told.session;
            if session.id.as_deref() != Some(tx.id.as_str()) {
                // It was begun in an earlier run.
                let ran_ms = i64::try_from(tx.seconds).unwrap_or(i64::MAX).saturating_mul(1000);
                *session = Session {
                    id: Some(tx.id.to_string()),
                    started_at: Some(At(now.wall.unix_ms.saturating_sub(ran_ms))),
                    meter_start_wh: watt_hours(tx.meter_start),
                    id_tag_hash: tx.token.as_ref().map(|token| self.names.of(token)),
                    ..Session::default()
                };
            }
            session.energy_wh = watt_hours(tx.energy);
            session.duration_s = Some(tx.seconds);
        }
        self.told.send_if_modified(|old| {
            let new: AllTold = self.known.iter().map(|(id, k)| (*id, k.told.clone())).collect();
            let changed = *old != new;
            *old = new;
            changed
        });
    }

    fn compare(&mut self, now: Now, brief: &Brief) {
        let known = self.known.entry(brief.evse).or_default();
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

    fn began(&mut self, at: Stamp, begin: &Begin) {
        let session = Session {
            id: Some(begin.tx.to_string()),
            started_at: Some(At(at.wall.unix_ms)),
            energy_wh: Some(0),
            meter_start_wh: watt_hours(begin.meter),
            duration_s: Some(0),
            id_tag_hash: begin.token.as_ref().map(|token| self.names.of(token)),
            ..Session::default()
        };
        self.known.entry(begin.evse).or_default().told.session = session.clone();
        self.tell(begin.evse, At(at.wall.unix_ms), What::Session(session));
    }

    fn ended(&mut self, at: Stamp, end: &End) {
        let known = self.known.entry(end.evse).or_default();
        let reason = reason_word(end.reason).to_owned();
        let begun = known.told.session.clone();
        let begun = if begun.id.as_deref() == Some(end.tx.as_str()) {
            begun
        } else {
            Session::default()
        };
        let stopped = At(at.wall.unix_ms);
        let session = Session {
            id: Some(end.tx.to_string()),
            ended_at: Some(stopped),
            energy_wh: watt_hours(end.energy),
            meter_stop_wh: watt_hours(end.meter),
            duration_s: begun
                .started_at
                .and_then(|from| u64::try_from((stopped.0 - from.0) / 1000).ok()),
            reason: Some(reason.clone()),
            ..begun
        };
        let totals = &mut known.told.totals;
        *totals.sessions.entry(reason).or_default() += 1;
        totals.session_seconds += session.duration_s.unwrap_or(0);
        known.told.session = session.clone();
        self.tell(end.evse, stopped, What::Session(session));
    }

    fn tell(&mut self, evse: EvseId, at: At, what: What) {
        let told = &mut self.known.entry(evse).or_default().told;
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
        let mut narrator = Narrator::new(setup.id.clone(), easel, Pseudonyms::new(TokenNames::new(b"key")));
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
