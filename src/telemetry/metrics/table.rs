//! Every metric there is, as data: the endpoint, `docs/metrics.md` and the tests go by it.

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Never falls while the process runs; its samples end in `_total`.
    Counter,
    /// A value of the moment.
    Gauge,
    /// Times in classes, seconds.
    Histogram,
}

impl Kind {
    /// As both formats call it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name of the family, without `_total`.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// Names of its labels; their values are bounded by the configuration or by lists in this program.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
    /// Keys of the payloads that say the same, `TOPIC key`, divided by commas; empty: none does.
    pub mirrors: &'static str,
}

impl Metric {
    /// The name its samples have; those of a histogram have endings.
    #[must_use]
    pub fn sample_name(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }
}

macro_rules! metrics {
    ($($kind:ident $name:literal [$($label:literal),*] $help:literal, $mirrors:literal;)*) => {
        /// All of them, in the order they are told.
        pub const METRICS: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
            mirrors: $mirrors,
        }),*];
    };
}

metrics! {
    Gauge "retrovolt_build_info" ["version", "commit"] "Version of the program; always 1.", "info version";
    Gauge "retrovolt_clock_synchronised" [] "Whether the wall clock can be believed.", "health clock_synced";
    Gauge "retrovolt_watchdog_ok" [] "Whether every task turns.", "health watchdog_ok";
    Gauge "retrovolt_disk_free_bytes" [] "Free space where the database is.", "health disk_free_bytes";
    Gauge "retrovolt_board_temperature_celsius" [] "Temperature of the board.", "health temperature_c";
    Gauge "retrovolt_board_throttled" [] "Whether the board has slowed down for heat or low voltage.", "health throttled";

    Gauge "retrovolt_cp_available" ["cp"] "Whether the charger answers on its bus.", "availability";
    Counter "retrovolt_cp_energy_joules" ["cp", "direction"] "Billing register; 3600000 joules are one kWh.", "cp/CP/state energy_import_wh,cp/CP/state energy_export_wh";
    Gauge "retrovolt_cp_meter_epoch" ["cp"] "Counts meter swaps and overflows; the register begins anew with each.", "cp/CP/state meter_epoch";
    Gauge "retrovolt_cp_power_watts" ["cp"] "Active power, positive toward the vehicle.", "cp/CP/state power_w";
    Gauge "retrovolt_cp_current_amperes" ["cp", "phase"] "Current.", "cp/CP/state current_a";
    Gauge "retrovolt_cp_voltage_volts" ["cp", "phase"] "Voltage to neutral.", "cp/CP/state voltage_v";
    Gauge "retrovolt_cp_limit_amperes" ["cp", "source"] "Most current offered per phase, and why no more; 0: paused.", "cp/CP/state limit_a,cp/CP/state limit_source";
    Gauge "retrovolt_cp_status" ["cp", "status"] "Status in the words of OCPP 1.6; 1 for the one that holds.", "cp/CP/state status";
    Gauge "retrovolt_cp_vehicle_connected" ["cp"] "Whether a vehicle is plugged in.", "cp/CP/state connected";
    Gauge "retrovolt_cp_charging" ["cp"] "Whether current may flow.", "cp/CP/state charging";
    Gauge "retrovolt_cp_enabled" ["cp"] "Whether it is in service.", "cp/CP/state enabled";
    Gauge "retrovolt_cp_faulted" ["cp"] "Whether something is wrong with it.", "cp/CP/state fault";
    Gauge "retrovolt_cp_phases_active" ["cp"] "Phases that carry current.", "cp/CP/state phases_active";
    Gauge "retrovolt_cp_phases_allowed" ["cp"] "Phases that may be used.", "cp/CP/state phases_allowed";
    Gauge "retrovolt_cp_priority" ["cp"] "Priority among those who share a fuse.", "cp/CP/state priority";
    Gauge "retrovolt_cp_temperature_celsius" ["cp"] "Temperature of the charger.", "cp/CP/state temperature_c";
    Gauge "retrovolt_cp_vehicle_charge_ratio" ["cp"] "State of charge of the vehicle, 0 to 1.", "cp/CP/state soc_pct";
    Gauge "retrovolt_cp_session_energy_joules" ["cp"] "Energy of the running session, or of the last.", "cp/CP/state session_energy_wh";
    Gauge "retrovolt_cp_session_start_timestamp_seconds" ["cp"] "Begin of the running session, or of the last.", "cp/CP/state session_start";
    Counter "retrovolt_cp_sessions" ["cp", "reason"] "Sessions that ended since the start.", "";
    Counter "retrovolt_cp_session_seconds" ["cp"] "Time charged since the start.", "";

    Gauge "retrovolt_meter_available" ["meter"] "Whether the meter answers on its bus.", "availability";
    Counter "retrovolt_meter_energy_joules" ["meter", "direction"] "Register; 3600000 joules are one kWh.", "meter/METER/state energy_import_wh,meter/METER/state energy_export_wh";
    Gauge "retrovolt_meter_epoch" ["meter"] "Counts swaps and overflows; the register begins anew with each.", "meter/METER/state meter_epoch";
    Gauge "retrovolt_meter_power_watts" ["meter"] "Active power, positive into the load.", "meter/METER/state power_w";
    Gauge "retrovolt_meter_current_amperes" ["meter", "phase"] "Current.", "meter/METER/state current_a";
    Gauge "retrovolt_meter_voltage_volts" ["meter", "phase"] "Voltage to neutral.", "meter/METER/state voltage_v";
    Gauge "retrovolt_meter_frequency_hertz" ["meter"] "Frequency.", "meter/METER/state frequency_hz";

    Gauge "retrovolt_site_power_watts" [] "Power of all charge points together.", "site/state grid_power_w";
    Gauge "retrovolt_site_limit_watts" ["source"] "What all charge points together may draw at most, and who lowers it most.", "site/state limit_w,site/state limit_source";
    Gauge "retrovolt_site_headroom_amperes" ["phase"] "Current that the fuse next to its rating has left.", "site/state headroom_a";

    Gauge "retrovolt_bus_open" ["bus"] "Whether the port is open.", "bus/BUS/state open";
    Counter "retrovolt_bus_requests" ["bus", "result"] "Requests by how they ended; telegrams understood, where nobody asks.", "bus/BUS/state requests,bus/BUS/state ok,bus/BUS/state timeouts,bus/BUS/state crc_errors,bus/BUS/state exceptions";
    Counter "retrovolt_bus_retries" ["bus"] "Requests that repeated the one before them, which had failed.", "bus/BUS/state retries";
    Histogram "retrovolt_bus_request_seconds" ["bus"] "From a request to its answer.", "bus/BUS/state latency_ms";
    Counter "retrovolt_bus_busy_seconds" ["bus"] "How long the line was in use; its rate is the utilisation, 0 to 1.", "bus/BUS/state utilisation_pct";
    Gauge "retrovolt_bus_devices" ["bus"] "Devices configured.", "bus/BUS/state devices_total";
    Gauge "retrovolt_bus_devices_online" ["bus"] "Devices that answer.", "bus/BUS/state devices_online";

    Gauge "retrovolt_csms_connected" ["cp", "csms"] "Whether the CSMS has accepted the charge point and the link is up.", "cp/CP/csms state";
    Counter "retrovolt_csms_messages" ["cp", "csms", "action", "direction", "result"] "Messages by what became of them.", "";
    Histogram "retrovolt_csms_round_trip_seconds" ["cp", "csms"] "From a message of ours to its answer.", "";
    Counter "retrovolt_csms_bytes" ["cp", "csms", "direction"] "Bytes through the socket, TLS included, headers of TCP and IP not.", "";
    Gauge "retrovolt_csms_last_message_timestamp_seconds" ["cp", "csms"] "When the CSMS last said anything.", "cp/CP/csms last_message_at";
    Gauge "retrovolt_csms_state_since_timestamp_seconds" ["cp", "csms"] "Since when the link is as it is.", "cp/CP/csms since";
    Counter "retrovolt_csms_samples_thinned" ["cp", "csms"] "Periodic samples that were not told because of the monthly budget.", "";

    Gauge "retrovolt_traffic_month_bytes" ["back_end", "direction"] "Bytes of the running month (UTC), over restarts.", "health budgets.month_bytes";
    Gauge "retrovolt_budget_bytes" ["back_end"] "What the back end may cost in a month.", "health budgets.budget_bytes";
    Gauge "retrovolt_budget_stage" ["back_end"] "What is given up for the budget: 0 nothing, 1 most periodic samples or measured values, 2 nearly all of them.", "health budgets.stage";

    Gauge "retrovolt_queue_messages" ["kind", "cp", "csms"] "Rows of the ledger that a CSMS or the broker (kind csms, mqtt) has not got yet, counted up to 10000.", "health queue.messages,cp/CP/csms queued";
    Gauge "retrovolt_queue_oldest_seconds" ["kind", "cp", "csms"] "Age of the oldest of them; 0: none waits.", "health queue.oldest_s";
    Counter "retrovolt_queue_dropped" [] "Samples given up since the start because the database did not answer.", "health queue.dropped";
    Gauge "retrovolt_ledger_bytes" [] "Size of the database.", "";
    Counter "retrovolt_ledger_commits" [] "Batches made durable since the start.", "";

    Gauge "retrovolt_mqtt_connected" [] "Whether the broker is connected.", "";
    Counter "retrovolt_mqtt_publishes" ["result"] "Messages for the broker by what became of them: confirmed, rejected by it, dropped for want of room, thinned because of the monthly budget.", "";
    Counter "retrovolt_mqtt_bytes" ["direction"] "Bytes through the socket, TLS included, headers of TCP and IP not.", "";
    Gauge "retrovolt_mqtt_waiting_bytes" [] "States and events that wait in memory, at most 4 MiB.", "";
    Counter "retrovolt_mqtt_records_given_up" [] "Records that had waited longer than keep_records for the broker.", "";
    Gauge "retrovolt_sparkplug_connected" [] "Whether the edge node is connected to one of its brokers.", "";
    Counter "retrovolt_sparkplug_bytes" ["direction"] "Bytes to and from all brokers of Sparkplug, as those of MQTT.", "";

    Counter "process_cpu_seconds" [] "User and system time of the process.", "health cpu_pct";
    Gauge "process_resident_memory_bytes" [] "Resident memory of the process.", "health rss_bytes";
    Gauge "process_virtual_memory_bytes" [] "Virtual memory of the process.", "";
    Gauge "process_open_fds" [] "Open file descriptors.", "";
    Gauge "process_max_fds" [] "Most file descriptors allowed.", "";
    Gauge "process_start_time_seconds" [] "When the process started, by the clock of the system then.", "health uptime_s,info started_at";
}

/// `docs/metrics.md` between its marks.
#[must_use]
pub fn document() -> String {
    let mut page =
        String::from("| metric | type | labels | what it says | payload key |\n|---|---|---|---|---|\n");
    for metric in METRICS {
        let listed = |words: &mut dyn Iterator<Item = &str>| {
            let all: Vec<String> = words
                .filter(|word| !word.is_empty())
                .map(|word| format!("`{word}`"))
                .collect();
            if all.is_empty() {
                "-".to_owned()
            } else {
                all.join(", ")
            }
        };
        page.push_str(&format!(
            "| `{}` | {} | {} | {} | {} |\n",
            metric.sample_name(),
            metric.kind.word(),
            listed(&mut metric.labels.iter().copied()),
            metric.help,
            listed(&mut metric.mirrors.split(',')),
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_prometheus_asks_for() {
        let mut names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        for metric in METRICS {
            let name = metric.name;
            assert!(
                name.starts_with("retrovolt_") || name.starts_with("process_"),
                "{name}"
            );
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{name}"
            );
            assert!(!name.ends_with("_total"), "{name}: the ending is put on");
            assert!(
                metric.help.ends_with('.') && !metric.help.contains(['\\', '\n', '"']),
                "{name}"
            );
            let foreign = ["le", "quantile", "job", "instance"];
            assert!(
                metric.labels.iter().all(|label| !foreign.contains(label)),
                "{name}"
            );
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len(), "a name twice");
    }

    #[test]
    fn the_document_lists_them_all() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let page = std::fs::read_to_string(path).expect("the page");
        let (begin, end) = ("<!-- metrics: begin -->\n", "<!-- metrics: end -->");
        let at = page.find(begin).expect("its mark") + begin.len();
        let to = page.find(end).expect("its end");
        let wanted = document();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let page = format!("{}{wanted}{}", &page[..at], &page[to..]);
            std::fs::write(path, page).expect("written");
            return;
        }
        assert_eq!(&page[at..to], wanted, "run with UPDATE_DOCS=1");
    }
}
