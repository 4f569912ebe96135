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

impl Default for HaSetup {
    fn default() -> Self {
        Self {
            form: HaForm::Off,
            prefix: "homeassistant".into(),
            user: None,
        }
    }
}

/// Form of the discovery messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HaForm {
    /// One message per device: Home Assistant 2024.11 and newer.
    Device,
    /// One message per entity: also older versions.
    Entity,
    /// None; what was announced before is taken back.
    #[default]
    Off,
}

impl HaForm {
    /// As in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Entity => "entity",
            Self::Off => "off",
        }
    }

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
