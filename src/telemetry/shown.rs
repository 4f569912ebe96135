//! Where every key of every payload is shown: in Home Assistant, in the metrics, or nowhere and why. Whoever adds a key, an
//! entity or a metric adds it here; tests hold the table against the payload types, the discovery messages and the metrics.

/// One key of one payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Payload.
    pub payload: &'static str,
    /// Its key.
    pub key: &'static str,
    /// Entities that show it, in their state or their attributes.
    pub entities: &'static [&'static str],
    /// Why there are none; empty: there are some.
    pub unshown: &'static str,
    /// Why no metric says it; empty: one does.
    pub unmeasured: &'static str,
}

const TEXT: &str = "a text, and labels are few";
const TIME: &str = "a sample has its own time";
const SESSION: &str = "of one session; sessions are counted";
const WHAT_IT_IS: &str = "what the gateway is, and no measurement";
const STATE_HAS_IT: &str = "availability and expiry say how old a value may be";

const fn row(
    payload: &'static str,
    key: &'static str,
    entities: &'static [&'static str],
    unmeasured: &'static str,
) -> Shown {
    let unshown = "";
    Shown {
        payload,
        key,
        entities,
        unshown,
        unmeasured,
    }
}

const fn unshown(
    payload: &'static str,
    key: &'static str,
    unshown: &'static str,
    unmeasured: &'static str,
) -> Shown {
    let entities = &[];
    Shown {
        payload,
        key,
        entities,
        unshown,
        unmeasured,
    }
}

/// Every key of every payload.
pub(crate) const SHOWN: &[Shown] = &[
    row("info", "schema", &["version"], WHAT_IT_IS),
    row("info", "app", &["version"], WHAT_IT_IS),
    row("info", "version", &["version"], ""),
    row("info", "hardware", &["version"], WHAT_IT_IS),
    row("info", "os", &["version"], WHAT_IT_IS),
    row("info", "started_at", &["uptime", "version"], ""),
    row("info", "url", &["version"], WHAT_IT_IS),
    row("info", "charge_points", &["version"], WHAT_IT_IS),
    row("info", "meters", &["version"], WHAT_IT_IS),
    row("info", "buses", &["version"], WHAT_IT_IS),
    unshown("health", "ts", STATE_HAS_IT, TIME),
    unshown(
        "health",
        "uptime_s",
        "the start is shown, which does not change every minute",
        "",
    ),
    row("health", "clock_synced", &["clock"], ""),
    row("health", "cpu_pct", &["cpu"], ""),
    row("health", "rss_bytes", &["memory"], ""),
    row("health", "disk_free_bytes", &["disk_free"], ""),
    row("health", "temperature_c", &["temperature"], ""),
    row("health", "throttled", &["throttled"], ""),
    row("health", "csms_connected", &["csms"], "said of each charge point"),
    row("health", "queue", &["queue", "queue_oldest", "dropped"], ""),
    row("health", "budgets", &["queue"], ""),
    row("health", "watchdog_ok", &["tasks"], ""),
    unshown("bus", "ts", STATE_HAS_IT, TIME),
    row("bus", "open", &["open"], ""),
    row("bus", "requests", &["errors"], ""),
    row("bus", "ok", &["errors"], ""),
    row("bus", "timeouts", &["errors"], ""),
    row("bus", "crc_errors", &["errors"], ""),
    row("bus", "exceptions", &["errors"], ""),
    row("bus", "retries", &["errors"], ""),
    row("bus", "latency_ms", &["latency"], ""),
    row("bus", "utilisation_pct", &["use"], ""),
    row("bus", "devices_online", &["online"], ""),
    row("bus", "devices_total", &["online"], ""),
    row("bus", "last_error", &["error"], TEXT),
    row("cp", "ts", &["status"], TIME),
    row("cp", "seq", &["status"], "of use to subscribers only"),
    row("cp", "status", &["status"], ""),
    row("cp", "connected", &["cable"], ""),
    row("cp", "charging", &["charging"], ""),
    row("cp", "enabled", &["enabled"], ""),
    row("cp", "fault", &["fault"], ""),
    row("cp", "power_w", &["power"], ""),
    row("cp", "current_a", &["current_l1", "current_l2", "current_l3"], ""),
    row("cp", "voltage_v", &["voltage_l1", "voltage_l2", "voltage_l3"], ""),
    row("cp", "energy_import_wh", &["energy"], ""),
    row("cp", "energy_export_wh", &["energy_export"], ""),
    row("cp", "meter_epoch", &["energy"], ""),
    row("cp", "limit_a", &["limit", "limit_set"], ""),
    row("cp", "limit_source", &["limit_source"], ""),
    row("cp", "phases_active", &["phases_active"], ""),
    row("cp", "phases_allowed", &["phases_active", "phases"], ""),
    row("cp", "mode", &["mode"], TEXT),
    row("cp", "priority", &["priority"], ""),
    row("cp", "temperature_c", &["temperature"], ""),
    row("cp", "soc_pct", &["soc"], ""),
    row("cp", "session_energy_wh", &["session_energy"], ""),
    row("cp", "session_start", &["session_start", "session_energy"], ""),
    row("cp", "id_tag_hash", &["session_start"], SESSION),
    row("session", "id", &["session_energy"], SESSION),
    row("session", "started_at", &["session_energy"], SESSION),
    row("session", "ended_at", &["session_energy"], SESSION),
    row("session", "energy_wh", &["session_energy"], SESSION),
    row("session", "meter_start_wh", &["session_energy"], SESSION),
    row("session", "meter_stop_wh", &["session_energy"], SESSION),
    row("session", "duration_s", &["session_energy"], SESSION),
    row("session", "reason", &["session_energy"], SESSION),
    row("session", "id_tag_hash", &["session_energy"], SESSION),
    row("csms", "state", &["csms"], ""),
    row("csms", "protocol", &["csms"], TEXT),
    row("csms", "since", &["csms"], ""),
    row("csms", "last_message_at", &["csms"], ""),
    row("csms", "queued", &["csms"], ""),
    row("csms", "last_error", &["csms_error"], TEXT),
    unshown("meter", "ts", STATE_HAS_IT, TIME),
    row("meter", "power_w", &["power"], ""),
    row(
        "meter",
        "current_a",
        &["current_l1", "current_l2", "current_l3"],
        "",
    ),
    row(
        "meter",
        "voltage_v",
        &["voltage_l1", "voltage_l2", "voltage_l3"],
        "",
    ),
    row("meter", "frequency_hz", &["frequency"], ""),
    row("meter", "energy_import_wh", &["energy"], ""),
    row("meter", "energy_export_wh", &["energy_export"], ""),
    row("meter", "meter_epoch", &["energy"], ""),
    unshown("site", "ts", STATE_HAS_IT, TIME),
    row("site", "grid_power_w", &["site_power"], ""),
    row("site", "limit_w", &["site_limit"], ""),
    row("site", "limit_source", &["site_limit"], ""),
    row(
        "site",
        "headroom_a",
        &["headroom_l1", "headroom_l2", "headroom_l3"],
        "",
    ),
    row("site", "active_constraint", &["site_constraint"], TEXT),
];
