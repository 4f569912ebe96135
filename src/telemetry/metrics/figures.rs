//! What a scrape tells, beside the picture, and how both become samples.

use super::super::payload::{BusState, Csms, Health, LinkState, Phases, Status};
use super::super::picture::{Meter, Picture, Point};
use super::super::units::{At, Milli, Slug};
use super::page::{Number, Page};
use crate::domain::{Account, BusResult, BusTally, Bytes, LinkTally};
use std::collections::BTreeMap;

/// Joules of a watt-hour.
const JOULES: u64 = 3_600;
/// Names of the phases.
const PHASES: [&str; 3] = ["L1", "L2", "L3"];

/// What is gathered when somebody asks.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Version of the program.
    pub version: &'static str,
    /// What it was built from; empty: not known.
    pub commit: &'static str,
    /// How the gateway is, at this moment.
    pub health: Health,
    /// Ports.
    pub buses: BTreeMap<Slug, (BusState, BusTally)>,
    /// Links to CSMSs, the one in control and all others.
    pub links: Vec<LinkFigures>,
    /// What back ends cost.
    pub accounts: Vec<AccountFigures>,
    /// The database; `None`: it does not answer.
    pub ledger: Option<LedgerFigures>,
    /// The link to a broker; `None`: there is none.
    pub mqtt: Option<MqttFigures>,
    /// Rows of the ledger that wait for the broker, by charge point.
    pub records: Vec<RecordQueue>,
    /// The edge node of Sparkplug; `None`: there is none.
    pub sparkplug: Option<SparkplugFigures>,
    /// The process.
    pub process: ProcessFigures,
}

/// One link.
#[derive(Clone, Debug)]
pub struct LinkFigures {
    /// The charge point.
    pub cp: Slug,
    /// Name of the CSMS.
    pub csms: String,
    /// As it is published.
    pub state: Csms,
    /// Age of the oldest row it has not got.
    pub oldest_s: Option<u64>,
    /// What it has counted.
    pub tally: LinkTally,
}

/// One back end's account.
#[derive(Clone, Debug)]
pub struct AccountFigures {
    /// `CP/CSMS`, `mqtt` or `sparkplug`.
    pub back_end: String,
    /// What it has cost.
    pub account: Account,
    /// What it may cost in a month.
    pub budget: Option<u64>,
}

/// The database.
#[derive(Clone, Copy, Debug, Default)]
pub struct LedgerFigures {
    /// Size.
    pub bytes: u64,
    /// Batches made durable.
    pub commits: u64,
}

/// The link to a broker.
#[derive(Clone, Debug, Default)]
pub struct MqttFigures {
    /// It is connected.
    pub connected: bool,
    /// Messages by what became of them.
    pub publishes: BTreeMap<&'static str, u64>,
    /// Through the socket.
    pub bytes: Bytes,
    /// What waits in memory, bytes.
    pub waiting_bytes: u64,
    /// Records that had waited too long.
    pub records_given_up: u64,
}

/// The edge node of Sparkplug.
#[derive(Clone, Copy, Debug, Default)]
pub struct SparkplugFigures {
    /// It is connected to one of its brokers.
    pub connected: bool,
    /// Through the socket, to all of them.
    pub bytes: Bytes,
}

/// Rows of the ledger that wait for the broker.
#[derive(Clone, Debug)]
pub struct RecordQueue {
    /// The charge point.
    pub cp: Slug,
    /// How many, counted up to 10,000.
    pub rows: u64,
    /// Age of the oldest.
    pub oldest_s: Option<u64>,
}

/// What the kernel says of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessFigures {
    /// User and system time, microseconds.
    pub cpu_us: Option<u64>,
    /// Resident memory.
    pub rss_bytes: Option<u64>,
    /// Virtual memory.
    pub virtual_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// Most allowed.
    pub max_fds: Option<u64>,
    /// Start, Unix milliseconds.
    pub started_ms: i64,
}

/// All samples.
#[must_use]
pub fn page(figures: &Figures, picture: &Picture) -> Page {
    let mut page = Page::default();
    page.add("retrovolt_build_info", &[figures.version, figures.commit], true);
    health(&mut page, figures);
    for (cp, point) in &picture.points {
        point_samples(&mut page, cp.as_str(), point);
    }
    for (id, meter) in &picture.meters {
        meter_samples(&mut page, id.as_str(), meter);
    }
    site(&mut page, picture);
    for (bus, (state, tally)) in &figures.buses {
        bus_samples(&mut page, bus.as_str(), state, tally);
    }
    for link in &figures.links {
        link_samples(&mut page, link);
    }
    accounts(&mut page, &figures.accounts);
    if let Some(mqtt) = &figures.mqtt {
        mqtt_samples(&mut page, mqtt);
    }
    for queue in &figures.records {
        let labels = ["mqtt", queue.cp.as_str(), ""];
        page.add("retrovolt_queue_messages", &labels, queue.rows);
        let oldest_s = queue.oldest_s.unwrap_or(0);
        page.add("retrovolt_queue_oldest_seconds", &labels, oldest_s);
    }
    if let Some(sparkplug) = &figures.sparkplug {
        page.add("retrovolt_sparkplug_connected", &[], sparkplug.connected);
        both_ways(&mut page, "retrovolt_sparkplug_bytes", &[], sparkplug.bytes);
    }
    process(&mut page, &figures.process);
    page
}

fn health(page: &mut Page, figures: &Figures) {
    let health = &figures.health;
    page.add("retrovolt_clock_synchronised", &[], health.clock_synced);
    page.add("retrovolt_watchdog_ok", &[], health.watchdog_ok);
    page.maybe("retrovolt_disk_free_bytes", &[], health.disk_free_bytes);
    page.maybe("retrovolt_board_temperature_celsius", &[], health.temperature_c);
    page.maybe("retrovolt_board_throttled", &[], health.throttled);
    page.add("retrovolt_queue_dropped", &[], health.queue.dropped);
    if let Some(ledger) = figures.ledger {
        page.add("retrovolt_ledger_bytes", &[], ledger.bytes);
        page.add("retrovolt_ledger_commits", &[], ledger.commits);
    }
}

fn phases(page: &mut Page, name: &str, first: &[&str], values: &Phases) {
    for (phase, value) in PHASES.iter().zip(values) {
        let labels: Vec<&str> = first.iter().copied().chain([*phase]).collect();
        page.maybe(name, &labels, *value);
    }
}

fn energy(page: &mut Page, name: &str, id: &str, import_wh: Option<u64>, export_wh: Option<u64>) {
    for (direction, wh) in [("import", import_wh), ("export", export_wh)] {
        page.maybe(name, &[id, direction], wh.map(|wh| wh.saturating_mul(JOULES)));
    }
}

fn point_samples(page: &mut Page, cp: &str, point: &Point) {
    let state = &point.state;
    page.add("retrovolt_cp_available", &[cp], point.available);
    energy(
        page,
        "retrovolt_cp_energy_joules",
        cp,
        state.energy_import_wh,
        state.energy_export_wh,
    );
    page.add("retrovolt_cp_meter_epoch", &[cp], u64::from(state.meter_epoch));
    page.maybe("retrovolt_cp_power_watts", &[cp], state.power_w);
    phases(page, "retrovolt_cp_current_amperes", &[cp], &state.current_a);
    phases(page, "retrovolt_cp_voltage_volts", &[cp], &state.voltage_v);
    if let (Some(limit), Some(source)) = (state.limit_a, &state.limit_source) {
        page.add("retrovolt_cp_limit_amperes", &[cp, source], limit);
    }
    for status in Status::ALL {
        let holds = state.status == Some(status);
        page.add("retrovolt_cp_status", &[cp, status.word()], holds);
    }
    page.maybe("retrovolt_cp_vehicle_connected", &[cp], state.connected);
    page.add("retrovolt_cp_charging", &[cp], state.charging);
    page.add("retrovolt_cp_enabled", &[cp], state.enabled);
    page.add("retrovolt_cp_faulted", &[cp], state.fault.is_some());
    page.maybe(
        "retrovolt_cp_phases_active",
        &[cp],
        state.phases_active.map(u64::from),
    );
    page.maybe(
        "retrovolt_cp_phases_allowed",
        &[cp],
        state.phases_allowed.map(u64::from),
    );
    page.maybe("retrovolt_cp_priority", &[cp], state.priority.map(u64::from));
    page.maybe("retrovolt_cp_temperature_celsius", &[cp], state.temperature_c);
    let ratio = state.soc_pct.map(|pct| Number::from(pct.value() / 100.0));
    page.maybe("retrovolt_cp_vehicle_charge_ratio", &[cp], ratio);
    let session = state.session_energy_wh.map(|wh| wh.saturating_mul(JOULES));
    page.maybe("retrovolt_cp_session_energy_joules", &[cp], session);
    timestamp(
        page,
        "retrovolt_cp_session_start_timestamp_seconds",
        &[cp],
        state.session_start,
    );
    for (reason, count) in &point.totals.sessions {
        page.add("retrovolt_cp_sessions", &[cp, reason], *count);
    }
    page.add(
        "retrovolt_cp_session_seconds",
        &[cp],
        point.totals.session_seconds,
    );
}

fn timestamp(page: &mut Page, name: &str, labels: &[&str], at: Option<At>) {
    page.maybe(name, labels, at.map(|at| Number::timestamp(at.0)));
}

fn meter_samples(page: &mut Page, id: &str, meter: &Meter) {
    let state = &meter.state;
    page.add("retrovolt_meter_available", &[id], meter.available);
    energy(
        page,
        "retrovolt_meter_energy_joules",
        id,
        state.energy_import_wh,
        state.energy_export_wh,
    );
    page.add("retrovolt_meter_epoch", &[id], u64::from(state.meter_epoch));
    page.maybe("retrovolt_meter_power_watts", &[id], state.power_w);
    phases(page, "retrovolt_meter_current_amperes", &[id], &state.current_a);
    phases(page, "retrovolt_meter_voltage_volts", &[id], &state.voltage_v);
    page.maybe("retrovolt_meter_frequency_hertz", &[id], state.frequency_hz);
}

fn site(page: &mut Page, picture: &Picture) {
    let site = &picture.site;
    page.maybe("retrovolt_site_power_watts", &[], site.grid_power_w);
    if let (Some(limit), Some(source)) = (site.limit_w, &site.limit_source) {
        page.add("retrovolt_site_limit_watts", &[source], limit);
    }
    phases(page, "retrovolt_site_headroom_amperes", &[], &site.headroom_a);
}

fn bus_samples(page: &mut Page, bus: &str, state: &BusState, tally: &BusTally) {
    page.add("retrovolt_bus_open", &[bus], state.open);
    for result in BusResult::ALL {
        page.add("retrovolt_bus_requests", &[bus, result.word()], tally.of(result));
    }
    page.add("retrovolt_bus_retries", &[bus], tally.retries);
    page.histogram("retrovolt_bus_request_seconds", &[bus], &tally.latency);
    page.add(
        "retrovolt_bus_busy_seconds",
        &[bus],
        Number::seconds(tally.busy_us),
    );
    page.add("retrovolt_bus_devices", &[bus], u64::from(state.devices_total));
    page.add(
        "retrovolt_bus_devices_online",
        &[bus],
        u64::from(state.devices_online),
    );
}

fn both_ways(page: &mut Page, name: &str, first: &[&str], bytes: Bytes) {
    for (direction, count) in [("sent", bytes.sent), ("received", bytes.received)] {
        let labels: Vec<&str> = first.iter().copied().chain([direction]).collect();
        page.add(name, &labels, count);
    }
}

fn link_samples(page: &mut Page, link: &LinkFigures) {
    let at = [link.cp.as_str(), link.csms.as_str()];
    let tally = &link.tally;
    page.add(
        "retrovolt_csms_connected",
        &at,
        link.state.state == LinkState::Connected,
    );
    for ((action, direction, result), count) in &tally.messages {
        let labels = [at[0], at[1], action, direction.word(), result.word()];
        page.add("retrovolt_csms_messages", &labels, *count);
    }
    page.histogram("retrovolt_csms_round_trip_seconds", &at, &tally.round_trip);
    both_ways(page, "retrovolt_csms_bytes", &at, tally.bytes);
    timestamp(
        page,
        "retrovolt_csms_last_message_timestamp_seconds",
        &at,
        link.state.last_message_at,
    );
    timestamp(
        page,
        "retrovolt_csms_state_since_timestamp_seconds",
        &at,
        link.state.since,
    );
    page.add("retrovolt_csms_samples_thinned", &at, tally.thinned);
    let queue = ["csms", at[0], at[1]];
    page.add("retrovolt_queue_messages", &queue, link.state.queued);
    page.add(
        "retrovolt_queue_oldest_seconds",
        &queue,
        link.oldest_s.unwrap_or(0),
    );
}

fn mqtt_samples(page: &mut Page, mqtt: &MqttFigures) {
    page.add("retrovolt_mqtt_connected", &[], mqtt.connected);
    for (result, count) in &mqtt.publishes {
        page.add("retrovolt_mqtt_publishes", &[result], *count);
    }
    both_ways(page, "retrovolt_mqtt_bytes", &[], mqtt.bytes);
    page.add("retrovolt_mqtt_waiting_bytes", &[], mqtt.waiting_bytes);
    page.add("retrovolt_mqtt_records_given_up", &[], mqtt.records_given_up);
}

fn accounts(page: &mut Page, accounts: &[AccountFigures]) {
    for figures in accounts {
        let back_end = figures.back_end.as_str();
        let month = figures.account.month.bytes;
        both_ways(page, "retrovolt_traffic_month_bytes", &[back_end], month);
        if let Some(budget) = figures.budget {
            page.add("retrovolt_budget_bytes", &[back_end], budget);
            let stage = u64::from(figures.account.thrift.number());
            page.add("retrovolt_budget_stage", &[back_end], stage);
        }
    }
}

fn process(page: &mut Page, process: &ProcessFigures) {
    page.maybe("process_cpu_seconds", &[], process.cpu_us.map(Number::seconds));
    page.maybe("process_resident_memory_bytes", &[], process.rss_bytes);
    page.maybe("process_virtual_memory_bytes", &[], process.virtual_bytes);
    page.maybe("process_open_fds", &[], process.open_fds);
    page.maybe("process_max_fds", &[], process.max_fds);
    page.add(
        "process_start_time_seconds",
        &[],
        Number::timestamp(process.started_ms),
    );
}

/// What is published of a bus; `busy_us` and `period_us`: what it was in use since the last look, and how long ago that was.
#[must_use]
pub fn bus_state(
    open: bool,
    devices: (u32, u32),
    tally: &BusTally,
    busy_us: u64,
    period_us: u64,
    at: At,
) -> BusState {
    let ms = |us: u64| Milli(i64::try_from(us).unwrap_or(i64::MAX));
    let share = |busy: u64| {
        let per_mille_of_pct = u128::from(busy) * 100_000 / u128::from(period_us.max(1));
        Milli(i64::try_from(per_mille_of_pct.min(100_000)).unwrap_or(0))
    };
    BusState {
        ts: at,
        open,
        requests: tally.requests(),
        ok: tally.of(BusResult::Ok),
        timeouts: tally.of(BusResult::Timeout),
        crc_errors: tally.of(BusResult::Crc) + tally.of(BusResult::Echo),
        exceptions: tally.of(BusResult::Exception),
        retries: tally.retries,
        latency_ms: super::super::payload::Latency {
            p50: tally.percentile_us(50).map(ms),
            p95: tally.percentile_us(95).map(ms),
            max: tally.percentile_us(100).map(ms),
        },
        utilisation_pct: (period_us > 0).then(|| share(busy_us)),
        devices_online: devices.0,
        devices_total: devices.1,
        last_error: tally.last_error.clone(),
    }
}
