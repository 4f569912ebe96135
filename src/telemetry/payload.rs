//! What is published, one type per payload. The shape is fixed: every key is always there, unknown is `null`, an array
//! over phases has three entries. Units stand in the keys. A key may be added; none may be renamed or removed without a
//! new [`SCHEMA`] and a release that publishes both.

use super::units::{At, Milli, Slug};
use schemars::JsonSchema;
use serde::Serialize;

/// Number of the contract these types are.
pub const SCHEMA: u32 = 1;

/// Values of L1, L2, L3; an absent phase is `null`.
pub type Phases = [Option<Milli>; 3];

/// `info`: what this gateway is and what it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Info {
    /// Contract version, [`SCHEMA`].
    pub schema: u32,
    /// Name of the program.
    pub app: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Board, by its device tree or firmware; `null`: it does not tell, as in many a container.
    pub hardware: Option<String>,
    /// Operating system, as it names itself.
    pub os: Option<String>,
    /// When the process started.
    pub started_at: At,
    /// Page about the gateway, as configured; `null`: there is none.
    pub url: Option<String>,
    /// Ids under `cp/`.
    pub charge_points: Vec<Slug>,
    /// Ids under `meter/`.
    pub meters: Vec<Slug>,
    /// Ids under `bus/`.
    pub buses: Vec<Slug>,
}

/// `health`: how the gateway itself is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Health {
    /// When.
    pub ts: At,
    /// Since the start of the process.
    pub uptime_s: u64,
    /// The wall clock can be believed.
    pub clock_synced: bool,
    /// Of one core, over the last period.
    pub cpu_pct: Option<Milli>,
    /// Resident memory of the process.
    pub rss_bytes: Option<u64>,
    /// Free space where the database is.
    pub disk_free_bytes: Option<u64>,
    /// Of the board.
    pub temperature_c: Option<Milli>,
    /// The board has slowed down for heat or low voltage; `null`: it does not tell.
    pub throttled: Option<bool>,
    /// Every charge point is accepted by its CSMS; `null`: none has one.
    pub csms_connected: Option<bool>,
    /// What waits for back ends.
    pub queue: Queue,
    /// What back ends with a monthly budget have cost.
    pub budgets: Vec<Budget>,
    /// Every task turns.
    pub watchdog_ok: bool,
}

/// A back end with a monthly budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Budget {
    /// `CHARGE_POINT/CSMS`, `mqtt` or `sparkplug`.
    pub back_end: String,
    /// Bytes of this month (UTC), both ways, at the socket.
    pub month_bytes: u64,
    /// What it may cost in a month.
    pub budget_bytes: u64,
    /// What is given up for it: `free`, `sparing` or `bare`.
    pub stage: &'static str,
}

/// What waits for back ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Queue {
    /// Rows of the ledger that a back end has not got yet.
    pub messages: u64,
    /// Age of the oldest; `null`: none waits.
    pub oldest_s: Option<u64>,
    /// Samples given up for want of room since the start.
    pub dropped: u64,
}

/// `bus/BUS/state`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct BusState {
    /// When.
    pub ts: At,
    /// The port is open.
    pub open: bool,
    /// Requests sent since the start.
    pub requests: u64,
    /// Answered well.
    pub ok: u64,
    /// Not answered in time.
    pub timeouts: u64,
    /// Damaged or foreign answers.
    pub crc_errors: u64,
    /// Modbus exceptions.
    pub exceptions: u64,
    /// Requests that were repeats.
    pub retries: u64,
    /// How long answers took.
    pub latency_ms: Latency,
    /// Share of the last period in which the line was in use.
    pub utilisation_pct: Option<Milli>,
    /// Devices that answer.
    pub devices_online: u32,
    /// Devices configured.
    pub devices_total: u32,
    /// In words; `null`: none yet.
    pub last_error: Option<String>,
}

/// Times from request to answer over the last requests, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Latency {
    /// Median.
    pub p50: Option<Milli>,
    /// 95 of 100 are quicker.
    pub p95: Option<Milli>,
    /// Slowest.
    pub max: Option<Milli>,
}

/// Status in the vocabulary of OCPP 1.6 (7.7), in small letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Free.
    Available,
    /// Plugged or authorised, no transaction yet.
    Preparing,
    /// Current may flow.
    Charging,
    /// The vehicle does not take current.
    SuspendedEv,
    /// The EVSE withholds it.
    SuspendedEvse,
    /// Transaction over, vehicle still there.
    Finishing,
    /// Kept for a token.
    Reserved,
    /// Out of service.
    Unavailable,
    /// Fault.
    Faulted,
}

impl Status {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Available,
        Self::Preparing,
        Self::Charging,
        Self::SuspendedEv,
        Self::SuspendedEvse,
        Self::Finishing,
        Self::Reserved,
        Self::Unavailable,
        Self::Faulted,
    ];

    /// As published.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Preparing => "preparing",
            Self::Charging => "charging",
            Self::SuspendedEv => "suspended_ev",
            Self::SuspendedEvse => "suspended_evse",
            Self::Finishing => "finishing",
            Self::Reserved => "reserved",
            Self::Unavailable => "unavailable",
            Self::Faulted => "faulted",
        }
    }
}

/// `cp/CP/state`: one EVSE at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct PointState {
    /// When its youngest value was sampled.
    pub ts: At,
    /// Number of the last event of this EVSE.
    pub seq: u64,
    /// Status; `null`: nothing was heard yet.
    pub status: Option<Status>,
    /// A vehicle is plugged in; `null`: not known.
    pub connected: Option<bool>,
    /// Current may flow.
    pub charging: bool,
    /// In service, and not held back by the operator; a limit of 0 is no hold.
    pub enabled: bool,
    /// What is wrong, in words.
    pub fault: Option<String>,
    /// Active power, positive toward the vehicle.
    pub power_w: Option<Milli>,
    /// Current per phase.
    pub current_a: Phases,
    /// Voltage per phase, to neutral.
    pub voltage_v: Phases,
    /// Billing register; never decreases within an epoch.
    pub energy_import_wh: Option<u64>,
    /// Register from the vehicle.
    pub energy_export_wh: Option<u64>,
    /// Counts meter swaps and overflows.
    pub meter_epoch: u32,
    /// What is offered at most, per phase; 0: paused.
    pub limit_a: Option<Milli>,
    /// Why that much and no more, e.g. `tx profile`.
    pub limit_source: Option<String>,
    /// Phases that carry current.
    pub phases_active: Option<u8>,
    /// Phases that may be used.
    pub phases_allowed: Option<u8>,
    /// Charging mode of the operator; `null`: there is no choice.
    pub mode: Option<String>,
    /// Priority among those who share a fuse; `null`: there is no choice.
    pub priority: Option<u32>,
    /// Of the charger.
    pub temperature_c: Option<Milli>,
    /// Of the vehicle.
    pub soc_pct: Option<Milli>,
    /// Energy of the running session, or of the last.
    pub session_energy_wh: Option<u64>,
    /// Begin of the running session, or of the last.
    pub session_start: Option<At>,
    /// Keyed hash of the token of the running session, never the token.
    pub id_tag_hash: Option<String>,
}

/// `cp/CP/session`: the running session, or the last one with `ended_at`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Session {
    /// The transaction's own id.
    pub id: Option<String>,
    /// Begin.
    pub started_at: Option<At>,
    /// End; `null`: it runs.
    pub ended_at: Option<At>,
    /// So far.
    pub energy_wh: Option<u64>,
    /// Register at the begin.
    pub meter_start_wh: Option<u64>,
    /// Register at the end.
    pub meter_stop_wh: Option<u64>,
    /// How long.
    pub duration_s: Option<u64>,
    /// Why it ended, e.g. `ev_disconnected`.
    pub reason: Option<String>,
    /// Keyed hash of its token.
    pub id_tag_hash: Option<String>,
}

/// How the link to a CSMS is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Accepted by the CSMS.
    Connected,
    /// The socket is open, the CSMS has not accepted yet.
    Connecting,
    /// The CSMS refuses this charge point.
    Rejected,
    /// No socket.
    #[default]
    Offline,
}

/// `cp/CP/csms`: the link to the CSMS in control.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Csms {
    /// How it is.
    pub state: LinkState,
    /// Sub-protocol, e.g. `ocpp1.6`.
    pub protocol: Option<String>,
    /// Since when it is so.
    pub since: Option<At>,
    /// When the CSMS last said anything.
    pub last_message_at: Option<At>,
    /// Rows of the ledger it has not got yet.
    pub queued: u64,
    /// In words.
    pub last_error: Option<String>,
}

/// `meter/METER/state`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct MeterState {
    /// When its youngest value was sampled.
    pub ts: At,
    /// Active power, positive into the load.
    pub power_w: Option<Milli>,
    /// Current per phase.
    pub current_a: Phases,
    /// Voltage per phase, to neutral.
    pub voltage_v: Phases,
    /// Frequency.
    pub frequency_hz: Option<Milli>,
    /// Register.
    pub energy_import_wh: Option<u64>,
    /// Register of the other direction.
    pub energy_export_wh: Option<u64>,
    /// Counts swaps and overflows.
    pub meter_epoch: u32,
}

/// `site/state`: what all share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct SiteState {
    /// When.
    pub ts: At,
    /// Of all charge points together, as far as they are measured.
    pub grid_power_w: Option<Milli>,
    /// What all charge points together may draw at most, by nominal voltage; `null`: there is none.
    pub limit_w: Option<Milli>,
    /// Who lowers it most: `failsafe`, `dso`, `csms`, `operator`; or `static`, installation and fuses alone.
    pub limit_source: Option<String>,
    /// What the fuse that is next to its rating has left per phase; `null`: there is no fuse.
    pub headroom_a: Phases,
    /// Name of the fuse that binds; `null`: none does.
    pub active_constraint: Option<String>,
}
