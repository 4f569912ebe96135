//! Home Assistant as configured.

/// How Home Assistant is told about this site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaSetup {
    /// Form of the messages.
    pub form: HaForm,
    /// First level of its discovery topics.
    pub prefix: String,
    /// Its account on the broker, if it may send commands.
    pub user: Option<String>,
}

/// Form of the discovery messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HaForm {
    /// One message per device: Home Assistant 2024.11 and newer.
    #[default]
    Device,
    /// One message per entity: also older versions.
    Entity,
    /// None; what was announced before is taken back.
    Off,
}

impl HaForm {
    /// The form of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "device" => Some(Self::Device),
            "entity" => Some(Self::Entity),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
}
