//! Devices as discovery messages. Home Assistant refuses a whole device message for one root key it does not know, so the
//! root has only what every version since 2024.11 takes.

use super::entity::Entity;
use super::seen::Seen;
use super::{Settings, gateway, measured, point};
use crate::domain::HaForm;
use crate::telemetry::picture::{Device, Picture};
use crate::telemetry::units::Slug;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A discovery message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its payload.
    pub payload: Value,
    /// Its entities and their kinds.
    pub entities: BTreeMap<String, String>,
}

/// Discovery messages by topic. The gateway's come first, so that the others find it.
pub type Messages = BTreeMap<String, Message>;

/// All discovery messages for a picture, with entities for what was seen; none with `ha_discovery = "off"`.
#[must_use]
pub fn messages(picture: &Picture, settings: &Settings, seen: &Seen) -> Messages {
    devices(picture, settings, seen)
        .into_iter()
        .flat_map(|device| device.messages(settings))
        .collect()
}

/// A device of Home Assistant.
struct HaDevice {
    id: String,
    about: Map<String, Value>,
    availability: Vec<String>,
    entities: Vec<Entity>,
}

/// All devices: the gateway, EVSEs, meters.
fn devices(picture: &Picture, settings: &Settings, seen: &Seen) -> Vec<HaDevice> {
    let hub = settings.hub();
    let status = settings.topic("status");
    let url = picture.info.url.as_deref().filter(|u| u.starts_with("http"));
    let below = |kind: &str, slug: &Slug, device: &Device, entities| HaDevice {
        id: format!("{hub}_{}", object(kind, slug)),
        about: about(&Named::of(device, slug), Some(&hub), url),
        availability: vec![
            status.clone(),
            settings.topic(&format!("{kind}/{slug}/availability")),
        ],
        entities,
    };
    let gateway = Named {
        name: format!("Retrovolt {}", settings.gateway),
        vendor: Some("Retrovolt"),
        model: Some(picture.info.hardware.as_deref().unwrap_or("Gateway")),
        serial: None,
        firmware: Some(picture.info.version),
    };
    let buses: Vec<&Slug> = picture.buses.keys().collect();
    let mut all = vec![HaDevice {
        id: hub.clone(),
        about: about(&gateway, None, url),
        availability: vec![status.clone()],
        entities: gateway::entities(settings, &buses, seen),
    }];
    for (slug, p) in &picture.points {
        all.push(below(
            "cp",
            slug,
            &p.device,
            point::entities(settings, slug, p, seen.of(&object("cp", slug))),
        ));
    }
    for (slug, m) in &picture.meters {
        all.push(below(
            "meter",
            slug,
            &m.device,
            measured::entities(
                settings,
                &settings.topic(&format!("meter/{slug}/state")),
                seen.of(&object("meter", slug)),
            ),
        ));
    }
    all
}

/// What tells a device from the others of the gateway. A charge point has its own id; one that is called like a meter
/// would be gets another.
pub(super) fn object(kind: &str, slug: &Slug) -> String {
    let taken = ["meter_", "cp_"].iter().any(|p| slug.as_str().starts_with(p));
    if kind == "cp" && !taken {
        slug.to_string()
    } else {
        format!("{kind}_{slug}")
    }
}

struct Named<'a> {
    name: String,
    vendor: Option<&'a str>,
    model: Option<&'a str>,
    serial: Option<&'a str>,
    firmware: Option<&'a str>,
}

impl<'a> Named<'a> {
    fn of(device: &'a Device, slug: &Slug) -> Self {
        let name = Some(device.name.as_str()).filter(|n| !n.is_empty());
        Self {
            name: name.unwrap_or(slug.as_str()).into(),
            vendor: device.vendor.as_deref(),
            model: device.model.as_deref(),
            serial: device.serial.as_deref(),
            firmware: device.firmware.as_deref(),
        }
    }
}

fn about(named: &Named<'_>, hub: Option<&str>, url: Option<&str>) -> Map<String, Value> {
    let pairs = [
        ("name", Some(named.name.as_str())),
        ("manufacturer", named.vendor),
        ("model", named.model),
        ("serial_number", named.serial),
        ("sw_version", named.firmware),
        ("via_device", hub),
        ("configuration_url", url),
    ];
    pairs
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?.into())))
        .collect()
}

impl HaDevice {
    fn messages(self, settings: &Settings) -> Vec<(String, Message)> {
        match settings.form {
            HaForm::Device => vec![self.whole(settings)],
            HaForm::Entity => self.parts(settings),
            HaForm::Off => Vec::new(),
        }
    }

    fn whole(self, settings: &Settings) -> (String, Message) {
        let components: Map<String, Value> = self
            .entities
            .iter()
            .map(|entity| {
                let mut fields = self.component(entity);
                fields.insert("platform".into(), entity.platform.word().into());
                (entity.key.clone(), fields.into())
            })
            .collect();
        let mut payload = self.shared();
        payload.insert("components".into(), components.into());
        let topic = format!("{}/device/{}/config", settings.prefix, self.id);
        let entities = self.kinds();
        let payload = payload.into();
        (topic, Message { payload, entities })
    }

    fn parts(self, settings: &Settings) -> Vec<(String, Message)> {
        let part = |entity: &Entity| {
            let mut payload = self.shared();
            // What an entity says itself goes before what its device says.
            payload.extend(self.component(entity));
            let kind = entity.platform.word();
            // Not `ID/KEY`: Home Assistant would take the end of such a topic, after a change of form, for the end of an
            // entity that is told by its device now, and complain.
            let topic = format!("{}/{kind}/{}_{}/config", settings.prefix, self.id, entity.key);
            let message = Message {
                payload: payload.into(),
                entities: BTreeMap::from([(entity.key.clone(), kind.into())]),
            };
            (topic, message)
        };
        self.entities.iter().map(part).collect()
    }

    fn kinds(&self) -> BTreeMap<String, String> {
        self.entities
            .iter()
            .map(|e| (e.key.clone(), e.platform.word().into()))
            .collect()
    }

    fn component(&self, entity: &Entity) -> Map<String, Value> {
        let mut fields = entity.fields.clone();
        let unique = format!("{}_{}", self.id, entity.key);
        let called = unique.replace('-', "_");
        fields.insert(
            "default_entity_id".into(),
            format!("{}.{called}", entity.platform.word()).into(),
        );
        fields.insert("unique_id".into(), unique.into());
        fields
    }

    fn shared(&self) -> Map<String, Value> {
        let mut device = self.about.clone();
        device.insert("identifiers".into(), json!([self.id]));
        let availability: Vec<Value> = self.availability.iter().map(|t| json!({ "topic": t })).collect();
        let origin = json!({ "name": "Retrovolt", "sw_version": env!("CARGO_PKG_VERSION") });
        let mut root = Map::new();
        root.insert("device".into(), device.into());
        root.insert("origin".into(), origin);
        root.insert("availability".into(), availability.into());
        root.insert("availability_mode".into(), "all".into());
        root.insert("qos".into(), 1.into());
        root
    }
}
