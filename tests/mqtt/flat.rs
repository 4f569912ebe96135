//! The flat mirror on a real broker.

use super::broker::Broker;
use super::hub::{hub, kept, mqtt, online, picture};
use retrovolt::domain::{MqttSetup, Slug};
use retrovolt::telemetry::{Easel, Meter, MeterState, Milli, Picture, Status};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of [`mirrored`], but for the charge point `right`.
const VALUES: [(&str, &str); 44] = [
    ("cp/left/charging", "false"),
    ("cp/left/connected", "null"),
    ("cp/left/current_a/1", "10.4"),
    ("cp/left/current_a/2", "null"),
    ("cp/left/current_a/3", "0"),
    ("cp/left/enabled", "true"),
    ("cp/left/energy_export_wh", "null"),
    ("cp/left/energy_import_wh", "null"),
    ("cp/left/fault", "null"),
    ("cp/left/id_tag_hash", "null"),
    ("cp/left/limit_a", "null"),
    ("cp/left/limit_source", "tx profile"),
    ("cp/left/meter_epoch", "1"),
    ("cp/left/mode", "null"),
    ("cp/left/phases_active", "null"),
    ("cp/left/phases_allowed", "null"),
    ("cp/left/power_w", "7200"),
    ("cp/left/priority", "null"),
    ("cp/left/session_energy_wh", "null"),
    ("cp/left/session_start", "null"),
    ("cp/left/soc_pct", "null"),
    ("cp/left/status", "charging"),
    ("cp/left/temperature_c", "null"),
    ("cp/left/voltage_v/1", "null"),
    ("cp/left/voltage_v/2", "null"),
    ("cp/left/voltage_v/3", "null"),
    ("meter/m-grid/current_a/1", "null"),
    ("meter/m-grid/current_a/2", "null"),
    ("meter/m-grid/current_a/3", "null"),
    ("meter/m-grid/energy_export_wh", "null"),
    ("meter/m-grid/energy_import_wh", "null"),
    ("meter/m-grid/frequency_hz", "49.98"),
    ("meter/m-grid/meter_epoch", "0"),
    ("meter/m-grid/power_w", "null"),
    ("meter/m-grid/voltage_v/1", "null"),
    ("meter/m-grid/voltage_v/2", "null"),
    ("meter/m-grid/voltage_v/3", "null"),
    ("site/active_constraint", "null"),
    ("site/grid_power_w", "7200.5"),
    ("site/headroom_a/1", "null"),
    ("site/headroom_a/2", "null"),
    ("site/headroom_a/3", "null"),
    ("site/limit_source", "null"),
    ("site/limit_w", "null"),
];

/// A site with a little more in it, and its flat mirror.
fn mirrored() -> (Picture, BTreeMap<String, &'static str>) {
    let mut picture = picture(7200);
    let left = &mut picture.points.get_mut(&Slug::of("left")).unwrap().state;
    left.seq = 7;
    left.status = Some(Status::Charging);
    left.current_a = [Some(Milli(10_400)), None, Some(Milli(0))];
    left.limit_source = Some("tx profile".to_owned());
    left.meter_epoch = 1;
    left.enabled = true;
    let meter = Meter {
        device: Arc::default(),
        available: true,
        state: MeterState {
            frequency_hz: Some(Milli(49_980)),
            ..MeterState::default()
        },
    };
    picture.meters.insert(Slug::of("m-grid"), meter);
    picture.site.grid_power_w = Some(Milli(7_200_500));
    let values = VALUES.map(|(topic, value)| (topic.to_owned(), value));
    (picture, values.into())
}

#[tokio::test]
async fn the_flat_mirror_tells_one_value_a_topic_in_words_and_all_of_it_is_kept() {
    const FLAT: &str = "retrovolt/gw/flat/";
    let broker = Broker::open().await;
    let (shown, values) = mirrored();
    let easel = Easel::new(shown.clone());
    let setup = MqttSetup {
        flat: true,
        ..mqtt(broker.setup("gw"))
    };
    let hub = hub(setup, &easel);
    online(&hub).await;
    let mut flat: BTreeMap<String, String> = kept(&broker)
        .await
        .into_iter()
        .filter_map(|(topic, value)| Some((topic.strip_prefix(FLAT)?.to_owned(), value)))
        .collect();
    let of_right = flat.keys().filter(|topic| topic.starts_with("cp/right/"));
    let of_left = values.keys().filter(|topic| topic.starts_with("cp/left/"));
    assert_eq!(of_right.count(), of_left.count(), "{flat:?}");
    flat.retain(|topic, _| !topic.starts_with("cp/right/"));
    let told: BTreeMap<String, &str> = flat
        .iter()
        .map(|(topic, value)| (topic.clone(), value.as_str()))
        .collect();
    assert_eq!(told, values);

    // What moves is told, beside its state, and as often: within the dead band neither, and what is not known any more is
    // not silence.
    let mut there = broker
        .subscriber(&["-R", "-t", "retrovolt/gw/flat/cp/left/+"])
        .await;
    let mut moved = shown;
    for (power, source, wanted) in [
        (Some(7_210), Some("operator"), vec![("limit_source", "operator")]),
        (Some(0), Some("operator"), vec![("power_w", "0")]),
        (None, None, vec![("limit_source", "null"), ("power_w", "null")]),
    ] {
        let left = &mut moved.points.get_mut(&Slug::of("left")).unwrap().state;
        left.power_w = power.map(|power| Milli(power * 1000));
        left.limit_source = source.map(str::to_owned);
        easel.show(moved.clone());
        let mut told = BTreeMap::new();
        while told.len() < wanted.len() {
            let got = there.next().await;
            assert_eq!(got.qos, 1);
            let key = got.topic.trim_start_matches("retrovolt/gw/flat/cp/left/");
            assert_eq!(told.insert(key.to_owned(), got.payload), None, "once");
        }
        let told: Vec<(&str, &str)> = told.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(told, wanted);
    }
    hub.end().await;
}
