//! Entities of the gateway: itself, its buses, and what all charge points share.

use super::Settings;
use super::entity::{ALL_KEYS, Entity, keys, on_off, value, words};
use super::seen::Seen;
use crate::telemetry::units::Slug;

/// All of them.
pub(super) fn entities(settings: &Settings, buses: &[&Slug], seen: &Seen) -> Vec<Entity> {
    let mut all = itself(settings);
    all.extend(host(settings));
    all.extend(site(settings));
    all.retain(|entity| seen.has(&entity.key));
    for bus in buses {
        all.extend(line(settings, bus));
    }
    all
}

fn itself(settings: &Settings) -> Vec<Entity> {
    let (info, health) = (settings.topic("info"), settings.topic("health"));
    vec![
        Entity::binary("csms", "CSMS", &health, on_off("csms_connected"))
            .class("connectivity")
            .diagnostic(),
        Entity::sensor("queue", "Queued messages", &health, value("queue.messages"))
            .with("state_class", "measurement")
            .diagnostic()
            .attributes(&health, keys(&["budgets"])),
        Entity::sensor(
            "queue_oldest",
            "Oldest queued message",
            &health,
            "{{ value_json.queue.oldest_s or 0 }}",
        )
        .gauge("duration", "s", 0)
        .diagnostic()
        .hidden(),
        Entity::sensor("dropped", "Dropped samples", &health, value("queue.dropped"))
            .with("state_class", "total_increasing")
            .diagnostic()
            .hidden(),
        // Of the start, not of the time since: that would be another state every minute.
        Entity::sensor("uptime", "Uptime", &info, value("started_at"))
            .class("timestamp")
            .diagnostic(),
        Entity::binary("clock", "Clock synchronised", &health, on_off("clock_synced")).diagnostic(),
        Entity::binary(
            "tasks",
            "Watchdog",
            &health,
            "{{ 'OFF' if value_json.watchdog_ok else 'ON' }}",
        )
        .class("problem")
        .diagnostic(),
        // The gateway does not look for versions of itself: what is installed is the latest it knows of.
        Entity::update(
            "version",
            "Version",
            &info,
            "{{ {'installed_version': value_json.version, 'latest_version': value_json.version} | tojson }}",
        )
        .diagnostic()
        .attributes(&info, ALL_KEYS),
    ]
}

fn host(settings: &Settings) -> Vec<Entity> {
    let health = settings.topic("health");
    let expiry = settings.expiry_s();
    vec![
        Entity::sensor("cpu", "Processor use", &health, value("cpu_pct"))
            .in_unit("%", 0)
            .expires(expiry)
            .diagnostic()
            .hidden(),
        Entity::sensor("memory", "Memory", &health, value("rss_bytes"))
            .gauge("data_size", "B", 0)
            .expires(expiry)
            .diagnostic()
            .hidden(),
        Entity::sensor("disk_free", "Free disk space", &health, value("disk_free_bytes"))
            .gauge("data_size", "B", 0)
            .expires(expiry)
            .diagnostic()
            .hidden(),
        Entity::sensor("temperature", "Temperature", &health, value("temperature_c"))
            .gauge("temperature", "°C", 1)
            .expires(expiry)
            .diagnostic()
            .hidden(),
        Entity::binary("throttled", "Throttled", &health, on_off("throttled"))
            .class("problem")
            .diagnostic()
            .hidden(),
    ]
}

fn site(settings: &Settings) -> Vec<Entity> {
    let topic = settings.topic("site/state");
    let expiry = settings.expiry_s();
    let mut all = vec![
        Entity::sensor("site_power", "Site power", &topic, value("grid_power_w"))
            .gauge("power", "W", 0)
            .expires(expiry),
        Entity::sensor("site_limit", "Site limit", &topic, value("limit_w"))
            .gauge("power", "W", 0)
            .attributes(&topic, keys(&["limit_source"])),
        Entity::sensor(
            "site_constraint",
            "Binding fuse",
            &topic,
            words("active_constraint"),
        ),
    ];
    for (index, phase) in ["l1", "l2", "l3"].into_iter().enumerate() {
        let name = format!("Headroom {}", phase.to_uppercase());
        all.push(
            Entity::sensor(
                format!("headroom_{phase}"),
                name,
                &topic,
                value(&format!("headroom_a[{index}]")),
            )
            .gauge("current", "A", 1)
            .expires(expiry),
        );
    }
    all
}

/// Share of requests that went wrong since the start.
const ERROR_RATE: &str = "{{ (100 * (value_json.timeouts + value_json.crc_errors + value_json.exceptions) / \
                          value_json.requests) | round(2) if value_json.requests else 0 }}";

fn line(settings: &Settings, bus: &Slug) -> Vec<Entity> {
    let topic = settings.topic(&format!("bus/{bus}/state"));
    let key = |what: &str| format!("bus_{bus}_{what}");
    let name = |what: &str| format!("Bus {bus} {what}");
    let counts = keys(&[
        "requests",
        "ok",
        "timeouts",
        "crc_errors",
        "exceptions",
        "retries",
    ]);
    vec![
        Entity::sensor(key("errors"), name("error rate"), &topic, ERROR_RATE)
            .in_unit("%", 2)
            .diagnostic()
            .attributes(&topic, counts),
        Entity::binary(key("open"), name("open"), &topic, on_off("open"))
            .class("connectivity")
            .diagnostic(),
        Entity::sensor(
            key("online"),
            name("devices online"),
            &topic,
            value("devices_online"),
        )
        .with("state_class", "measurement")
        .diagnostic()
        .attributes(&topic, keys(&["devices_total"])),
        Entity::sensor(key("use"), name("utilisation"), &topic, value("utilisation_pct"))
            .in_unit("%", 0)
            .diagnostic()
            .hidden(),
        Entity::sensor(key("latency"), name("latency"), &topic, value("latency_ms.p95"))
            .gauge("duration", "ms", 0)
            .diagnostic()
            .attributes(&topic, "{{ value_json.latency_ms | tojson }}")
            .hidden(),
        Entity::sensor(key("error"), name("last error"), &topic, words("last_error")).diagnostic(),
    ]
}
