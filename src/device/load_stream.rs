//! From the file of a device that is not Modbus to the checked profile.

use super::Recipes;
use super::check::structure;
use super::decimal::Decimal;
use super::error::{Path, Problems, ProfileError};
use super::file::ParityName;
use super::file_control::LimitsTable;
use super::file_stream::{
    CardTable, ObisTexts, StreamFile, StreamLinkTable, StreamProtocol, SupervisionTable, ValueTable,
};
use super::load::wiring;
use super::load_units::milli;
use super::obis::{ObisMeaning, ObisPoint, Term};
use super::profile::{
    About, Feed, Kind, Limits, LinkDefaults, Profile, Serial, SerialFraming, StreamFacts, Telegram, Watchdog,
};
use super::rfid::card::{CardFormat, Number, TokenForm};
use crate::domain::{MilliAmps, Parity, Protocol, Quantity};
use serde_json::Value;
use std::sync::OnceLock;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The JSON Schema of these files.
pub(super) fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| schemars::schema_for!(StreamFile).to_value())
}

/// Whether a file is of this form: it names a protocol that is not Modbus.
pub(super) fn is_stream(root: &DeTable<'_>) -> bool {
    root.iter()
        .find(|(key, _)| key.get_ref().as_ref() == "protocol")
        .is_some_and(|(_, value)| !matches!(value.get_ref(), DeValue::String(word) if word == "modbus"))
}

/// Reads and checks the rest of the file.
pub(super) fn parse(
    text: &str,
    root: &Spanned<DeTable<'_>>,
    mut problems: Problems<'_>,
) -> Result<Profile, Vec<ProfileError>> {
    structure(schema(), root, &mut problems);
    if !problems.is_empty() {
        return Err(problems.finish());
    }
    let raw: StreamFile = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            let offset = error.span().map_or(0, |span| span.start);
            problems.at(offset, &Path::default(), error.message(), None);
            return Err(problems.finish());
        }
    };
    let mut loader = StreamLoader {
        root: root.get_ref(),
        problems,
    };
    let profile = loader.profile(raw);
    if loader.problems.is_empty() {
        Ok(profile)
    } else {
        Err(loader.problems.finish())
    }
}

/// What every profile must say of itself, as `(key, mistake)`.
pub(super) fn identity(
    id: &str,
    phases: Option<u8>,
    models: &[String],
    source: &[String],
) -> Vec<(&'static str, &'static str)> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let mut wrong = Vec::new();
    if id.is_empty() || id.len() > 64 || !id.chars().all(allowed) {
        wrong.push(("id", "expected 1 to 64 lower-case letters, digits and dashes"));
    }
    if phases == Some(2) {
        wrong.push(("phases", "expected 1 or 3"));
    }
    if models.is_empty() {
        wrong.push(("models", "expected at least one model"));
    }
    if source.is_empty() {
        wrong.push((
            "source",
            "expected at least one source: registers are not guessed",
        ));
    }
    wrong
}

struct StreamLoader<'a> {
    root: &'a DeTable<'a>,
    problems: Problems<'a>,
}

impl StreamLoader<'_> {
    fn wrong(&mut self, path: &Path, message: impl Into<String>) {
        self.problems.push(self.root, path, message);
    }

    fn profile(&mut self, raw: StreamFile) -> Profile {
        let path = Path::default();
        for (key, mistake) in identity(&raw.id, raw.phases, &raw.models, &raw.source) {
            self.wrong(&path.key(key), mistake);
        }
        let link = self.link(&raw.link, raw.protocol);
        let limits = raw.limits.as_ref().map(|limits| self.limits(limits));
        let watchdog = raw.watchdog.as_ref().map(|table| self.watchdog(table));
        self.kind(&raw);
        let telegram = self.telegram(&raw);
        let card = raw.card.as_ref().map(|card| self.card(card));
        let values = raw
            .values
            .iter()
            .filter_map(|(name, table)| self.value(name, table))
            .collect();
        Profile {
            protocol: protocol(raw.protocol),
            stream: StreamFacts {
                telegram,
                values,
                card,
            },
            id: raw.id,
            kind: raw.kind,
            about: About {
                vendor: raw.vendor,
                models: raw.models,
                also_sold_as: raw.also_sold_as,
                phases: raw.phases.unwrap_or(3),
                caveats: raw.caveats,
                source: raw.source,
                firmware: raw.firmware,
                wiring: wiring(raw.wiring.as_ref()),
                experimental: raw.experimental,
            },
            link,
            points: Vec::new(),
            state: None,
            limits,
            recipes: Recipes::default(),
            watchdog,
            identify: None,
            sunspec: None,
            phase_switch: None,
        }
    }

    /// Each protocol serves one kind of device, and only chargers have limits.
    fn kind(&mut self, raw: &StreamFile) {
        let root = Path::default();
        let fitting = kind_of(raw.protocol).unwrap_or(raw.kind);
        if raw.kind != fitting {
            let message = format!(
                "expected \"{}\": no other device speaks {}",
                fitting.word(),
                protocol(raw.protocol)
            );
            self.wrong(&root.key("kind"), message);
        }
        if fitting == Kind::Charger && raw.limits.is_none() {
            self.wrong(&root.key("limits"), "missing; a charger needs `[limits]`");
        }
        if fitting == Kind::Meter && raw.protocol != StreamProtocol::Gpio {
            if !raw.values.values().any(|value| value.quantity.is_some()) {
                let message = "a meter needs at least one value with a `quantity`";
                self.wrong(&root.key("values"), message);
            }
        } else if !raw.values.is_empty() {
            self.wrong(&root.key("values"), "is for meters that send telegrams only");
        }
        match (fitting, &raw.card) {
            (Kind::Reader, None) => self.wrong(&root.key("card"), "missing; a reader needs `[card]`"),
            (Kind::Charger | Kind::Meter | Kind::Contacts, Some(_)) => {
                self.wrong(&root.key("card"), "is for readers only");
            }
            _ => {}
        }
        for (there, key) in [
            (raw.limits.is_some(), "limits"),
            (raw.watchdog.is_some(), "watchdog"),
        ] {
            if there && fitting != Kind::Charger {
                self.wrong(&root.key(key), "is for chargers only");
            }
        }
    }

    fn card(&mut self, raw: &CardTable) -> CardFormat {
        let path = Path::default().key("card");
        if raw.xor && raw.number != Number::Hex {
            self.wrong(&path.key("xor"), "is for hexadecimal numbers only");
        }
        if raw.bytes.is_some() && raw.number != Number::Decimal {
            self.wrong(&path.key("bytes"), "is for decimal numbers only");
        }
        let odd = |count: &u8| *count == 0 || *count > 20 || (raw.number == Number::Hex && count % 2 == 1);
        if let Some(index) = raw.digits.iter().position(odd) {
            let message = "expected 1 to 20 digits, of hexadecimal numbers an even number";
            self.wrong(&path.key("digits").index(index), message);
        }
        if raw.reverse && raw.token == Some(TokenForm::AsRead) {
            self.wrong(&path.key("reverse"), "has no effect on a token written as read");
        }
        CardFormat {
            frame: raw.frame,
            number: raw.number,
            digits: raw.digits.clone(),
            xor: raw.xor,
            reverse: raw.reverse,
            bytes: raw.bytes.unwrap_or(4),
            token: raw.token.unwrap_or(TokenForm::Hex),
            hold: Duration::from_millis(raw.hold_ms.unwrap_or(2000).into()),
        }
    }

    /// How telegrams are made; a key of another protocol is a mistake.
    fn telegram(&mut self, raw: &StreamFile) -> Telegram {
        let (table, path) = (&raw.telegram, Path::default().key("telegram"));
        let keys = [
            (table.sent.is_some(), "sent", StreamProtocol::Iec62056),
            (table.checksum.is_some(), "checksum", StreamProtocol::DsmrP1),
            (table.message_crc.is_some(), "message_crc", StreamProtocol::Sml),
        ];
        for (_, key, of) in keys.iter().filter(|(given, _, of)| *given && *of != raw.protocol) {
            self.wrong(&path.key(key), format!("is for {} only", protocol(*of)));
        }
        Telegram {
            sent: table.sent.unwrap_or_default(),
            checksum: table.checksum.unwrap_or(true),
            message_crc: table.message_crc.unwrap_or_default(),
        }
    }

    fn value(&mut self, name: &str, raw: &ValueTable) -> Option<ObisPoint> {
        let path = Path::default().key("values").key(name);
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.chars().all(allowed) {
            let message = "expected a name of lower-case letters, digits and underscores";
            self.wrong(&path, message);
        }
        let sums = self.sums(raw, &path.key("obis"));
        let meaning = match (raw.quantity, raw.fact) {
            (Some(quantity), None) => self.reading(quantity, raw, &path)?,
            (None, Some(fact)) => {
                let strangers = [
                    (raw.phase.is_some(), "phase"),
                    (raw.quality.is_some(), "quality"),
                    (raw.scale.is_some(), "scale"),
                    (raw.unit.is_some(), "unit"),
                ];
                for (_, key) in strangers.iter().filter(|(given, _)| *given) {
                    self.wrong(&path.key(key), "is for a `quantity`, not for a `fact`");
                }
                if sums.iter().any(|terms| terms.len() > 1) {
                    self.wrong(&path.key("obis"), "a fact is one code, not a sum");
                }
                ObisMeaning::Fact(fact)
            }
            _ => {
                self.wrong(&path, "expected either `quantity` or `fact`");
                return None;
            }
        };
        Some(ObisPoint {
            name: name.to_owned(),
            sums,
            meaning,
        })
    }

    fn sums(&mut self, raw: &ValueTable, path: &Path) -> Vec<Vec<Term>> {
        if raw.obis.list().is_empty() {
            self.wrong(path, "expected at least one code");
        }
        let several = matches!(raw.obis, ObisTexts::Many(_));
        let mut sums = Vec::new();
        for (index, text) in raw.obis.list().iter().enumerate() {
            let path = if several { path.index(index) } else { path.clone() };
            match ObisPoint::terms(text) {
                Ok(terms) => sums.push(terms),
                Err(part) => {
                    let message = format!(
                        "`{part}` is not an OBIS code, expected one such as `1-0:1.8.0`, or codes with ` + ` or ` - ` between"
                    );
                    self.wrong(&path, message);
                }
            }
        }
        sums
    }

    fn reading(&mut self, quantity: Quantity, raw: &ValueTable, path: &Path) -> Option<ObisMeaning> {
        let scale = Decimal::of(raw.scale.unwrap_or(1.0)).filter(|scale| {
            scale.mantissa != 0 && scale.mantissa.abs() < 1 << 32 && scale.exponent.abs() <= 9
        });
        if scale.is_none() {
            let message = "expected a factor that is not 0, with at most 9 digits";
            self.wrong(&path.key("scale"), message);
        }
        if let Some(unit) = raw.unit
            && unit.milli(Decimal::ONE, quantity).is_none()
        {
            self.wrong(&path.key("unit"), "does not fit the quantity");
        }
        Some(ObisMeaning::Reading {
            quantity,
            phase: raw.phase.unwrap_or_default(),
            quality: raw.quality.unwrap_or_default(),
            unit: raw.unit,
            scale: scale?,
        })
    }

    /// Port and pace; a card reader has no pace.
    fn link(&mut self, raw: &StreamLinkTable, of: StreamProtocol) -> LinkDefaults {
        let path = Path::default().key("link");
        let reader = kind_of(of) == Some(Kind::Reader);
        for (given, key) in [(raw.period_ms, "period_ms"), (raw.silence_ms, "silence_ms")] {
            match given {
                Some(_) if reader => self.wrong(
                    &path.key(key),
                    "a card reader speaks only when a card is held to it",
                ),
                None if !reader => self.wrong(&path.key(key), "missing; expected a time in milliseconds"),
                Some(_) | None => {}
            }
        }
        let (period, silence) = (raw.period_ms.unwrap_or(1000), raw.silence_ms.unwrap_or(2000));
        if raw.period_ms.is_some() && silence <= period {
            self.wrong(&path.key("silence_ms"), "expected more than `period_ms`");
        }
        match (of, &raw.serial) {
            (StreamProtocol::RfidHid, Some(_)) => {
                self.wrong(&path.key("serial"), "a keyboard has no serial settings");
            }
            (StreamProtocol::Gpio, Some(_)) => {
                self.wrong(&path.key("serial"), "has no meaning for lines of a GPIO chip");
            }
            (StreamProtocol::RfidHid | StreamProtocol::Gpio, None) | (_, Some(_)) => {}
            (_, None) => self.wrong(&path.key("serial"), "missing; expected the settings as delivered"),
        }
        if raw.serial.as_ref().is_some_and(|serial| serial.framing.is_some()) {
            let message = "is for Modbus: this protocol frames its bytes itself";
            self.wrong(&path.key("serial").key("framing"), message);
        }
        let ms = |value: u32| Duration::from_millis(value.into());
        LinkDefaults {
            serial: raw.serial.as_ref().map(|serial| Serial {
                baud: serial.baud,
                parity: match serial.parity {
                    ParityName::None => Parity::None,
                    ParityName::Even => Parity::Even,
                    ParityName::Odd => Parity::Odd,
                },
                data_bits: serial.data_bits.unwrap_or(8),
                stop_bits: serial.stop_bits.unwrap_or(1),
                framing: SerialFraming::default(),
            }),
            tcp_port: raw.tcp_port,
            unit: 1,
            timeout: ms(silence),
            min_gap: Duration::ZERO,
            write_gap: Duration::ZERO,
            poll: ms(period),
            slow_poll: ms(period),
            max_read_regs: 1,
            max_read_bits: 1,
            join: false,
            read_holes: false,
            no_read: Vec::new(),
            read_whole: Vec::new(),
        }
    }

    fn limits(&mut self, raw: &LimitsTable) -> Limits {
        let path = Path::default().key("limits");
        let mut amps = |value: f64, key: &str| {
            let value = milli(value, None).filter(|value| *value > 0);
            if value.is_none() {
                let message = "expected a current above 0, at most three decimals";
                self.wrong(&path.key(key), message);
            }
            MilliAmps(value.unwrap_or(0))
        };
        let limits = Limits {
            min: amps(raw.min_a.unwrap_or(6.0), "min_a"),
            max: amps(raw.max_a, "max_a"),
            step: raw.step_a.map_or(MilliAmps::ZERO, |step| amps(step, "step_a")),
        };
        if limits.min > limits.max {
            self.wrong(&path.key("max_a"), "is below `min_a`");
        }
        limits
    }

    fn watchdog(&mut self, raw: &SupervisionTable) -> Watchdog {
        let path = Path::default().key("watchdog");
        let least = raw.min_timeout_ms.unwrap_or(raw.timeout_ms);
        let most = raw.max_timeout_ms.unwrap_or(raw.timeout_ms);
        if !(least..=most).contains(&raw.timeout_ms) {
            let message = "lies outside `min_timeout_ms` to `max_timeout_ms`";
            self.wrong(&path.key("timeout_ms"), message);
        }
        let failsafe = milli(raw.failsafe_a, None).filter(|amps| *amps >= 0);
        if failsafe.is_none() {
            self.wrong(&path.key("failsafe_a"), "expected 0 or a current");
        }
        let ms = |value: u32| Duration::from_millis(value.into());
        Watchdog {
            timeout: ms(raw.timeout_ms),
            min_timeout: ms(least),
            max_timeout: ms(most),
            failsafe: MilliAmps(failsafe.unwrap_or(0)),
            fallback_safe: raw.fallback_safe,
            fallback: raw.fallback.clone(),
            fallback_when: Vec::new(),
            persistent: raw.persistent,
            feed: Feed::AnyRequest,
            feeds_per_timeout: raw.feeds_per_timeout.unwrap_or(2),
        }
    }
}

fn protocol(word: StreamProtocol) -> Protocol {
    match word {
        StreamProtocol::Sml => Protocol::Sml,
        StreamProtocol::Iec62056 => Protocol::Iec62056,
        StreamProtocol::DsmrP1 => Protocol::DsmrP1,
        StreamProtocol::Rapi => Protocol::Rapi,
        StreamProtocol::Twc => Protocol::Twc,
        StreamProtocol::Rfid => Protocol::Rfid,
        StreamProtocol::Gpio => Protocol::Gpio,
        StreamProtocol::RfidHid => Protocol::RfidHid,
    }
}

/// `None`: several.
fn kind_of(word: StreamProtocol) -> Option<Kind> {
    let kind = match word {
        StreamProtocol::Sml | StreamProtocol::Iec62056 | StreamProtocol::DsmrP1 => Kind::Meter,
        StreamProtocol::Rapi | StreamProtocol::Twc => Kind::Charger,
        StreamProtocol::Rfid | StreamProtocol::RfidHid => Kind::Reader,
        StreamProtocol::Gpio => return None,
    };
    Some(kind)
}
