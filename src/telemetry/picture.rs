//! All that telemetry knows at one moment. The runtime paints it anew when something changed; back ends compare it with
//! what they told last. What must not be missed, one state after the other, travels as [`Happening`]s beside it.

use super::payload::{
    BusState, Csms, Health, Info, MeterState, PointState, SCHEMA, Session, SiteState, Status,
};
use super::units::{At, Milli, Slug};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{broadcast, watch};

/// Happenings a back end may be behind before it misses one (and is told how many).
const BEHIND: usize = 4096;

/// Where the picture is painted; every back end looks at it through a [`View`] of its own.
#[derive(Debug)]
pub struct Easel {
    picture: watch::Sender<Arc<Picture>>,
    happenings: broadcast::Sender<Happening>,
}

/// What one back end sees.
#[derive(Debug)]
pub struct View {
    /// The latest picture.
    pub picture: watch::Receiver<Arc<Picture>>,
    /// What happened since this view was made, in order.
    pub happenings: broadcast::Receiver<Happening>,
}

impl Easel {
    /// An easel with a first picture.
    #[must_use]
    pub fn new(first: Picture) -> Self {
        Self {
            picture: watch::Sender::new(Arc::new(first)),
            happenings: broadcast::Sender::new(BEHIND),
        }
    }

    /// A view of its own for a back end.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            picture: self.picture.subscribe(),
            happenings: self.happenings.subscribe(),
        }
    }

    /// Shows another picture.
    pub fn show(&self, picture: Picture) {
        self.picture.send_replace(Arc::new(picture));
    }

    /// Tells what happened; to be called before the picture that it led to is shown.
    pub fn tell(&self, happening: Happening) {
        // Without a back end nobody hears it.
        let _ = self.happenings.send(happening);
    }
}

/// The whole site at one moment.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What the gateway is.
    pub info: Info,
    /// How it is.
    pub health: Health,
    /// Ports.
    pub buses: BTreeMap<Slug, BusState>,
    /// EVSEs. A charge point with one EVSE has its own id, further EVSEs are called `CP-2` and so on.
    pub points: BTreeMap<Slug, Point>,
    /// Devices that measure.
    pub meters: BTreeMap<Slug, Meter>,
    /// What all share.
    pub site: SiteState,
}

impl Picture {
    /// A site of which nothing is known yet.
    #[must_use]
    pub fn blank() -> Self {
        Self {
            info: Info {
                schema: SCHEMA,
                app: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                hardware: None,
                os: None,
                started_at: At::default(),
                url: None,
                charge_points: Vec::new(),
                meters: Vec::new(),
                buses: Vec::new(),
            },
            health: Health::default(),
            buses: BTreeMap::new(),
            points: BTreeMap::new(),
            meters: BTreeMap::new(),
            site: SiteState::default(),
        }
    }
}

/// One EVSE.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The box.
    pub device: Arc<Device>,
    /// What it can be told.
    pub reach: Reach,
    /// The device answers on its bus.
    pub available: bool,
    /// Its state.
    pub state: PointState,
    /// Its session.
    pub session: Session,
    /// Its link to the CSMS in control.
    pub csms: Csms,
    /// Bytes and sessions since the start.
    pub totals: Totals,
}

/// What a device is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Id as configured, for people.
    pub name: String,
    /// Maker.
    pub vendor: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Firmware.
    pub firmware: Option<String>,
}

/// What an EVSE can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Least current besides zero.
    pub min_a: Milli,
    /// Most current, by the installation.
    pub max_a: Milli,
    /// Wired phases, 1 or 3.
    pub phases: u8,
    /// It can switch phases.
    pub switches_phases: bool,
    /// It can release the plug.
    pub unlocks: bool,
}

/// Counted since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sessions that ended, by reason.
    pub sessions: BTreeMap<String, u64>,
    /// Time charged.
    pub session_seconds: u64,
}

/// A device that measures.
#[derive(Clone, Debug, PartialEq)]
pub struct Meter {
    /// What it is.
    pub device: Arc<Device>,
    /// It answers on its bus.
    pub available: bool,
    /// What it measures.
    pub state: MeterState,
}

/// Something that happened at an EVSE, once, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// Where.
    pub point: Slug,
    /// Counts the happenings of this EVSE since the start of the process, from 1.
    pub seq: u64,
    /// When.
    pub at: At,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The status changed.
    Status {
        /// From; `None`: nothing was known.
        from: Option<Status>,
        /// To.
        to: Status,
    },
    /// A token was presented.
    Tag {
        /// Keyed hash of it.
        id_tag_hash: String,
    },
    /// A session began or ended.
    Session(Session),
    /// Something is wrong, or well again (`None`).
    Fault(Option<String>),
    /// Another limit holds.
    Limit {
        /// Per phase.
        limit_a: Milli,
        /// Why.
        source: String,
    },
    /// The register shown has begun anew: the meter was swapped or reset, or its register ran over.
    Meter {
        /// The epoch that begins.
        meter_epoch: u32,
        /// Where the register stood before, Wh.
        before_wh: Option<u64>,
        /// Where it stands now, Wh; `None`: not read yet.
        now_wh: Option<u64>,
    },
    /// The configuration of this EVSE changed.
    Config,
}
