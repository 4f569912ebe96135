//! Where every key of every payload is shown: in Home Assistant, in the metrics, or nowhere and why. Whoever adds a key, an
//! entity or a metric adds it here; tests hold the table against the payload types, the discovery messages and the metrics.

use Where::{In, Not};

/// One key of one payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Payload, by the end of its topic.
    pub payload: &'static str,
    /// Its key.
    pub key: &'static str,
    /// Entities that show it, in their state or their attributes.
    pub entities: Where,
    /// Metrics that show it, without the `retrovolt_` they begin with.
    pub metrics: Where,
}

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// In these.
    In(&'static [&'static str]),
    /// In none, because.
    Not(&'static str),
}

const TEXT: Where = Not("a text, and labels are few");
const TIME: Where = Not("a sample has its own time");
const SESSION: Where = Not("of one session; sessions are counted");
const WHAT_IT_IS: Where = Not("what the gateway is, and no measurement");
const RARE: Where = Not("for Home Assistant only");
const FIXED: Where = Not("how the site is set up");

const fn row(
    payload: &'static str,
    key: &'static str,
    entities: &'static [&'static str],
    metrics: Where,
) -> Shown {
    Shown {
        payload,
        key,
        entities: In(entities),
        metrics,
    }
}

const fn unshown(payload: &'static str, key: &'static str, why: &'static str, metrics: Where) -> Shown {
    Shown {
        payload,
        key,
        entities: Not(why),
        metrics,
    }
}

const STATE_HAS_IT: &str = "availability and expiry say how old a value may be";

/// Every key of every payload.
pub const SHOWN: &[Shown] = &[
    row("info", "schema", &["version"], WHAT_IT_IS),
    row("info", "app", &["version"], WHAT_IT_IS),
    row("info", "version", &["version"], In(&["build_info"])),
    row("info", "hardware", &["version"], WHAT_IT_IS),
    row("info", "os", &["version"], WHAT_IT_IS),
    row(
        "info",
        "started_at",
        &["uptime", "version"],
        In(&["process_start_time_seconds"]),
    ),
    row("info", "url", &["version"], WHAT_IT_IS),
    row("info", "charge_points", &["version"], WHAT_IT_IS),
    row("info", "meters", &["version"], WHAT_IT_IS),
    row("info", "buses", &["version"], WHAT_IT_IS),
    unshown("health", "ts", STATE_HAS_IT, TIME),
    unshown(
        "health",
        "uptime_s",
        "the start is shown, which does not change every minute",
        In(&["process_start_time_seconds"]),
    ),
    row("health", "clock_synced", &["clock"], RARE),
    row("health", "cpu_pct", &["cpu"], In(&["process_cpu_seconds_total"])),
    row(
        "health",
        "rss_bytes",
        &["memory"],
        In(&["process_resident_memory_bytes"]),
    ),
    row("health", "disk_free_bytes", &["disk_free"], RARE),
    row("health", "temperature_c", &["temperature"], RARE),
    row("health", "throttled", &["throttled"], RARE),
    row("health", "csms_connected", &["csms"], In(&["csms_connected"])),
    row(
        "health",
        "queue",
        &["queue", "queue_oldest", "dropped"],
        In(&["queue_messages", "queue_oldest_seconds", "queue_dropped_total"]),
    ),
    row("health", "watchdog_ok", &["tasks"], RARE),
    unshown("bus", "ts", STATE_HAS_IT, TIME),
    row("bus", "open", &["open"], RARE),
    row("bus", "requests", &["errors"], In(&["bus_requests_total"])),
    row("bus", "ok", &["errors"], In(&["bus_requests_total"])),
    row("bus", "timeouts", &["errors"], In(&["bus_requests_total"])),
    row("bus", "crc_errors", &["errors"], In(&["bus_requests_total"])),
    row("bus", "exceptions", &["errors"], In(&["bus_requests_total"])),
    row("bus", "retries", &["errors"], RARE),
    row("bus", "latency_ms", &["latency"], In(&["bus_request_seconds"])),
    row("bus", "utilisation_pct", &["use"], RARE),
    row("bus", "devices_online", &["online"], RARE),
    row("bus", "devices_total", &["online"], FIXED),
    row("bus", "last_error", &["error"], TEXT),
    row("cp", "ts", &["status"], TIME),
    row("cp", "seq", &["status"], RARE),
    row("cp", "status", &["status"], In(&["cp_status"])),
    row("cp", "connected", &["cable"], In(&["cp_status"])),
    row("cp", "charging", &["charging"], In(&["cp_status"])),
    row("cp", "enabled", &["enabled"], In(&["cp_status"])),
    row("cp", "fault", &["fault"], In(&["cp_status"])),
    row("cp", "power_w", &["power"], In(&["cp_power_watts"])),
    row(
        "cp",
        "current_a",
        &["current_l1", "current_l2", "current_l3"],
        In(&["cp_current_amperes"]),
    ),
    row(
        "cp",
        "voltage_v",
        &["voltage_l1", "voltage_l2", "voltage_l3"],
        In(&["cp_voltage_volts"]),
    ),
    row(
        "cp",
        "energy_import_wh",
        &["energy"],
        In(&["cp_energy_joules_total"]),
    ),
    row(
        "cp",
        "energy_export_wh",
        &["energy_export"],
        In(&["cp_energy_joules_total"]),
    ),
    row(
        "cp",
        "meter_epoch",
        &["energy"],
        Not("a counter that starts anew says so itself"),
    ),
    row(
        "cp",
        "limit_a",
        &["limit", "limit_set"],
        In(&["cp_limit_amperes"]),
    ),
    row("cp", "limit_source", &["limit_source"], In(&["cp_limit_amperes"])),
    row(
        "cp",
        "phases_active",
        &["phases_active"],
        Not("the currents show it"),
    ),
    row("cp", "phases_allowed", &["phases_active", "phases"], RARE),
    row("cp", "mode", &["mode"], TEXT),
    row("cp", "priority", &["priority"], FIXED),
    row("cp", "temperature_c", &["temperature"], RARE),
    row("cp", "soc_pct", &["soc"], RARE),
    row("cp", "session_energy_wh", &["session_energy"], SESSION),
    row(
        "cp",
        "session_start",
        &["session_start", "session_energy"],
        SESSION,
    ),
    row("cp", "id_tag_hash", &["session_start"], SESSION),
    row("session", "id", &["session_energy"], SESSION),
    row("session", "started_at", &["session_energy"], SESSION),
    row(
        "session",
        "ended_at",
        &["session_energy"],
        In(&["cp_sessions_total"]),
    ),
    row("session", "energy_wh", &["session_energy"], SESSION),
    row("session", "meter_start_wh", &["session_energy"], SESSION),
    row("session", "meter_stop_wh", &["session_energy"], SESSION),
    row(
        "session",
        "duration_s",
        &["session_energy"],
        In(&["cp_session_seconds_total"]),
    ),
    row(
        "session",
        "reason",
        &["session_energy"],
        In(&["cp_sessions_total"]),
    ),
    row("session", "id_tag_hash", &["session_energy"], SESSION),
    row("csms", "state", &["csms"], In(&["csms_connected"])),
    row("csms", "protocol", &["csms"], TEXT),
    row("csms", "since", &["csms"], TIME),
    row("csms", "last_message_at", &["csms"], TIME),
    row("csms", "queued", &["csms"], In(&["queue_messages"])),
    row("csms", "last_error", &["csms_error"], TEXT),
    unshown("meter", "ts", STATE_HAS_IT, TIME),
    row("meter", "power_w", &["power"], In(&["meter_power_watts"])),
    row(
        "meter",
        "current_a",
        &["current_l1", "current_l2", "current_l3"],
        In(&["meter_current_amperes"]),
    ),
    row(
        "meter",
        "voltage_v",
        &["voltage_l1", "voltage_l2", "voltage_l3"],
        In(&["meter_voltage_volts"]),
    ),
    row("meter", "frequency_hz", &["frequency"], RARE),
    row(
        "meter",
        "energy_import_wh",
        &["energy"],
        In(&["meter_energy_joules_total"]),
    ),
    row(
        "meter",
        "energy_export_wh",
        &["energy_export"],
        In(&["meter_energy_joules_total"]),
    ),
    row(
        "meter",
        "meter_epoch",
        &["energy"],
        Not("a counter that starts anew says so itself"),
    ),
    unshown("site", "ts", STATE_HAS_IT, TIME),
    row("site", "grid_power_w", &["site_power"], In(&["site_power_watts"])),
    row("site", "limit_w", &["site_limit"], In(&["site_limit_watts"])),
    row("site", "limit_source", &["site_limit"], In(&["site_limit_watts"])),
    row(
        "site",
        "headroom_a",
        &["headroom_l1", "headroom_l2", "headroom_l3"],
        RARE,
    ),
    row("site", "active_constraint", &["site_constraint"], TEXT),
];
