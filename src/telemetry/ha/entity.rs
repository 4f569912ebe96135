//! One entity of Home Assistant, and the templates it reads our payloads with.
//!
//! What templates must not do (each is a warning per message, or an entity that stays unknown):
//! * name a key that is not in the payload;
//! * show a JSON boolean as it is: it becomes `True` or `False`, which no default of Home Assistant matches;
//! * let a `null` through where Home Assistant does not take `None` for "unknown": only sensors, binary sensors, numbers
//!   and selects do, a `last_reset` does not;
//! * render more than 255 characters, the longest state there is.

use serde_json::{Map, Value, json};

/// Kind of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Platform {
    /// A value.
    Sensor,
    /// A yes or no.
    BinarySensor,
    /// A yes or no that can be set.
    Switch,
    /// A number that can be set.
    Number,
    /// A choice.
    Select,
    /// Something that can be done.
    Button,
    /// Something that happened.
    Event,
    /// A version.
    Update,
}

impl Platform {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Sensor,
        Self::BinarySensor,
        Self::Switch,
        Self::Number,
        Self::Select,
        Self::Button,
        Self::Event,
        Self::Update,
    ];

    /// As Home Assistant calls it, also the domain of its entity ids.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sensor => "sensor",
            Self::BinarySensor => "binary_sensor",
            Self::Switch => "switch",
            Self::Number => "number",
            Self::Select => "select",
            Self::Button => "button",
            Self::Event => "event",
            Self::Update => "update",
        }
    }
}

/// One entity, without what it shares with the others of its device.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// What it is called within its device, `[a-z0-9_-]`; part of its unique id, so it never changes.
    pub key: String,
    /// Its kind.
    pub platform: Platform,
    /// The keys of its discovery message.
    pub fields: Map<String, Value>,
}

impl Entity {
    fn new(platform: Platform, key: impl Into<String>, name: impl Into<String>) -> Self {
        let mut fields = Map::new();
        fields.insert("name".into(), name.into().into());
        Self {
            key: key.into(),
            platform,
            fields,
        }
    }

    /// A sensor that reads a template on a topic.
    pub(super) fn sensor(
        key: impl Into<String>,
        name: impl Into<String>,
        topic: &str,
        template: impl Into<String>,
    ) -> Self {
        Self::new(Platform::Sensor, key, name).reads(topic, template)
    }

    /// A binary sensor; its template renders `ON`, `OFF` or `None`.
    pub(super) fn binary(
        key: impl Into<String>,
        name: impl Into<String>,
        topic: &str,
        template: impl Into<String>,
    ) -> Self {
        Self::new(Platform::BinarySensor, key, name).reads(topic, template)
    }

    /// Something that takes commands.
    pub(super) fn control(platform: Platform, key: &str, name: &str, command_topic: &str) -> Self {
        Self::new(platform, key, name).with("command_topic", command_topic)
    }

    /// An event, whose payload names one of `types` under `event_type`.
    pub(super) fn event(key: &str, name: &str, topic: &str, types: &[&str]) -> Self {
        Self::new(Platform::Event, key, name)
            .with("state_topic", topic)
            .with("event_types", json!(types))
    }

    /// A version; its template renders the JSON that Home Assistant asks for.
    pub(super) fn update(key: &str, name: &str, topic: &str, template: &str) -> Self {
        Self::new(Platform::Update, key, name).reads(topic, template)
    }

    /// Where its state comes from.
    pub(super) fn reads(self, topic: &str, template: impl Into<String>) -> Self {
        self.with("state_topic", topic)
            .with("value_template", template.into())
    }

    /// Adds a key.
    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.into(), value.into());
        self
    }

    /// Sets its device class.
    pub(super) fn class(self, class: &str) -> Self {
        self.with("device_class", class)
    }

    /// A momentary value of a class in a unit, shown with so many decimals.
    pub(super) fn gauge(self, class: &str, unit: &str, decimals: u8) -> Self {
        self.class(class).in_unit(unit, decimals)
    }

    /// A momentary value in a unit, of no class.
    pub(super) fn in_unit(self, unit: &str, decimals: u8) -> Self {
        self.with("unit_of_measurement", unit)
            .with("state_class", "measurement")
            .with("suggested_display_precision", decimals)
    }

    /// An energy register that never decreases within an epoch: what the Energy dashboard takes.
    pub(super) fn register(self) -> Self {
        self.class("energy")
            .with("unit_of_measurement", "Wh")
            .with("state_class", "total_increasing")
            .with("suggested_display_precision", 0)
    }

    /// Measured, so that it is unknown once `after_s` have passed without a value.
    pub(super) fn expires(self, after_s: Option<u64>) -> Self {
        match after_s {
            Some(after_s) => self.with("expire_after", after_s),
            None => self,
        }
    }

    /// For those who look for faults.
    pub(super) fn diagnostic(self) -> Self {
        self.with("entity_category", "diagnostic")
    }

    /// Belongs to how the device is set up.
    pub(super) fn configures(self) -> Self {
        self.with("entity_category", "config")
    }

    /// There, but not used until the user wants it.
    pub(super) fn hidden(self) -> Self {
        self.with("enabled_by_default", false)
    }

    /// Shows keys of a payload as attributes.
    pub(super) fn attributes(self, topic: &str, template: impl Into<String>) -> Self {
        self.with("json_attributes_topic", topic)
            .with("json_attributes_template", template.into())
    }

    /// Available whenever `topic` says `online`, whatever the others of its device are.
    pub(super) fn available_by(self, topic: &str) -> Self {
        self.with("availability", json!([{ "topic": topic }]))
    }
}

/// A number, text or time as it is; `null` is unknown.
pub(super) fn value(path: &str) -> String {
    format!("{{{{ value_json.{path} }}}}")
}

/// A boolean; `null` is unknown.
pub(super) fn on_off(path: &str) -> String {
    format!("{{{{ 'None' if value_json.{path} is none else 'ON' if value_json.{path} else 'OFF' }}}}")
}

/// A text of any length; `null` is shown as `none`.
pub(super) fn words(path: &str) -> String {
    format!("{{{{ (value_json.{path} or 'none')[:255] }}}}")
}

/// Some keys of a payload as attributes.
pub(super) fn keys(of: &[&str]) -> String {
    let pairs: Vec<String> = of
        .iter()
        .map(|key| format!("'{key}': value_json.{key}"))
        .collect();
    format!("{{{{ {{{}}} | tojson }}}}", pairs.join(", "))
}

/// Every key of a payload as an attribute.
pub(super) const ALL_KEYS: &str = "{{ value_json | tojson }}";
