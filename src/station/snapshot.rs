//! What a person is shown of a station.

use super::Station;
use super::evse::Evse;
use super::io::Role;
use super::status;
use crate::domain::{
    AppliedLimit, Availability, ConnectorStatus, CpId, ErrorCode, EvseId, IdToken, LimitEntry, LimitSource,
    MeterIdentity, MilliAmps, MilliWattHours, MilliWatts, Mono, SamplePoint, Stamp, TxId, VehicleState,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// A station at one moment, for `retrovolt status` and telemetry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// Which charge point.
    pub cp: CpId,
    /// The controlling CSMS has accepted us.
    pub online: bool,
    /// The process is ending.
    pub leaving: bool,
    /// In service as a whole.
    pub availability: Availability,
    /// Batches on their way into the ledger; everything shown here is durable once there are none.
    pub unwritten: usize,
    /// Samples given up because the store did not answer.
    pub given_up: u64,
    /// What the CSMS leaves all its EVSEs together, per phase.
    #[serde(skip)]
    pub ceiling: Option<MilliAmps>,
    /// Its EVSEs in order.
    pub evses: Vec<EvseSnapshot>,
}

/// One EVSE at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvseSnapshot {
    /// Which.
    pub evse: EvseId,
    /// Status as computed, whether or not it was notified yet.
    pub status: ConnectorStatus,
    /// The error that goes with it.
    pub error: ErrorCode,
    /// What the charger says about the vehicle; `None`: not heard yet.
    pub vehicle: Option<VehicleState>,
    /// In or out of service (persisted).
    pub availability: Availability,
    /// The transaction.
    pub tx: Option<TxSnapshot>,
    /// The token that waits for a vehicle.
    pub token: Option<IdToken>,
    /// Billing register as it would be reported now.
    pub register: Option<MilliWattHours>,
    /// Active power.
    pub power: Option<MilliWatts>,
    /// Everything else that was measured, of the meter where it measures it, else of the charger.
    pub measured: Vec<SamplePoint>,
    /// The limit that should be in force, with its reason.
    pub applied: AppliedLimit,
    /// Every restriction, smallest first.
    pub limits: Vec<LimitSnapshot>,
    /// Charging is held back by a local command; a local limit of zero is none.
    pub held: bool,
    /// The local limit, whether or not charging is held back.
    #[serde(skip)]
    pub local: Option<LimitEntry>,
    /// What the charger was last told.
    pub commanded: Option<MilliAmps>,
    /// Phases that the vehicle may use: fewer than wired once the charger has confirmed it.
    pub phases_allowed: u8,
    /// The most the charger may be offering right now: a lower limit counts only once it was confirmed.
    pub in_force: MilliAmps,
    /// It would use current if it were given some; for the sharing of fuses.
    pub wants_current: bool,
    /// Its charger is left as it is until vehicle and meter are heard of: what it had before still holds.
    #[serde(skip)]
    pub waking: bool,
    /// Number of the share of a fuse it goes by; 0: none.
    #[serde(skip)]
    pub share: u64,
    /// Devices that answer (true), do not (false), or were not heard of yet (absent).
    pub links: BTreeMap<Role, bool>,
    /// The billing meter's last accepted reading is too old.
    pub meter_stale: bool,
}

/// A running transaction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TxSnapshot {
    /// Its id.
    pub id: TxId,
    /// For whom.
    pub token: Option<IdToken>,
    /// Energy so far.
    pub energy: MilliWattHours,
    /// Register at the begin.
    pub meter_start: MilliWattHours,
    /// How long it has run, seconds.
    pub seconds: u64,
    /// When it began; `None` where an earlier release began it.
    #[serde(skip)]
    pub begun: Option<Stamp>,
}

/// One restriction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LimitSnapshot {
    /// Per phase.
    pub amps: MilliAmps,
    /// Who.
    pub source: LimitSource,
    /// Ends in so many seconds.
    pub remaining_s: Option<u64>,
}

/// What telemetry follows of an EVSE from one input to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brief {
    /// Which.
    pub evse: EvseId,
    /// Status as computed.
    pub status: ConnectorStatus,
    /// The error that goes with it.
    pub error: ErrorCode,
    /// The limit that should be in force, with its reason.
    pub applied: AppliedLimit,
    /// Its charger was heard of in this run, or is known to be silent, and what ran before was taken up again.
    pub settled: bool,
    /// A transaction runs.
    pub in_tx: bool,
    /// Billing register, once it was read in this run.
    pub register: Option<MilliWattHours>,
    /// How often the register shown has begun anew in this run.
    pub anew: u32,
    /// Whose register it is.
    pub meter: MeterIdentity,
}

impl Station {
    /// Each EVSE in brief, cheap enough to be asked for after every input.
    pub fn briefs(&self) -> impl Iterator<Item = Brief> {
        self.evses.iter().map(|(id, evse)| {
            let (status, error) = status::of(evse, evse.is_out(), self.is_kept(*id), self.now.mono);
            Brief {
                evse: *id,
                status,
                error,
                applied: evse.applied,
                settled: evse.wakes.is_none() && (evse.vehicle.is_some() || evse.is_down(Role::Charger)),
                in_tx: evse.tx.is_some(),
                register: evse.register.read_at().and_then(|_| evse.register.value()),
                anew: evse.register.anew(),
                meter: evse.meter_identity(),
            }
        })
    }

    /// The station as a person is shown it.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            cp: self.setup.id.clone(),
            online: self.online,
            leaving: self.leaving,
            availability: availability(self.inoperative),
            unwritten: self.outbox.unwritten(),
            given_up: self.outbox.given_up(),
            ceiling: self.ceiling(),
            evses: self.evses.iter().map(|(id, evse)| self.show(*id, evse)).collect(),
        }
    }

    fn show(&self, id: EvseId, evse: &Evse) -> EvseSnapshot {
        let now = self.now.mono;
        let (status, error) = status::of(evse, evse.is_out(), self.is_kept(id), now);
        let remaining = |until: Mono| until.since(now).as_secs();
        EvseSnapshot {
            evse: id,
            status,
            error,
            vehicle: evse.vehicle,
            availability: availability(evse.inoperative),
            tx: evse.tx.as_ref().map(|tx| TxSnapshot {
                id: tx.record.id.clone(),
                token: tx.record.token.clone(),
                energy: tx.energy(evse),
                meter_start: tx.record.meter_start,
                seconds: u64::try_from(tx.ran_ms(now) / 1000).unwrap_or(0),
                begun: tx.record.begun,
            }),
            token: evse.pending.as_ref().and_then(|p| p.token.clone()),
            register: evse.register.value(),
            power: evse.power(),
            measured: evse.measured(),
            applied: evse.applied,
            limits: evse
                .entries
                .iter()
                .map(|e| LimitSnapshot {
                    amps: e.amps,
                    source: e.source,
                    remaining_s: e.until.map(remaining),
                })
                .collect(),
            held: evse.held,
            local: evse.local.filter(|local| local.until.is_none_or(|end| end > now)),
            commanded: evse.actuator.told(),
            phases_allowed: evse.phases_allowed(),
            in_force: evse.may_draw(now),
            wants_current: evse.wants_current(),
            waking: evse.wakes.is_some(),
            share: evse.shared.map_or(0, |share| share.number),
            links: evse.links.clone(),
            meter_stale: evse.meter_stale(now),
        }
    }
}

fn availability(inoperative: bool) -> Availability {
    if inoperative {
        Availability::Inoperative
    } else {
        Availability::Operative
    }
}
