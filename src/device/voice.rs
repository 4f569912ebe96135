//! How a scan recognises what is not Modbus: by what a device says unasked, or by its answer to one question that
//! changes nothing. Pure.
//!
//! * Meters that push (SML, P1, IEC 62056-21 mode D) and Wall Connectors are only listened to. A Wall Connector that has
//!   no master says so every 10 s; nothing is sent to it, because whoever announces himself as a master and then falls
//!   silent leaves it in a fault.
//! * An OpenEVSE is asked for its version (`$GV`), a meter of IEC 62056-21 mode C for its identification (`/?!`), which
//!   is not acknowledged: it falls back to its rest by itself.
//! * A telegram without a checksum counts here when its form is right; the gateway itself waits for a second one.

use super::file_stream::Sent;
use super::iec62056::asker::{identification, sign_on};
use super::obis::listener::Damage;
use super::obis::map::{Facts, observe};
use super::profile::Profile;
use super::{rapi, registry, twc};
use crate::domain::{Mono, Protocol};
use std::sync::Arc;
use std::time::Duration;

/// How much later than its time a telegram ends.
const SLACK: Duration = Duration::from_millis(1500);

/// How the devices of a protocol make themselves known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hail {
    /// They speak by themselves, at least once in this time.
    Listen(Duration),
    /// They answer this, and it changes nothing.
    Ask {
        /// The question.
        question: Vec<u8>,
        /// Wait for the first byte of the answer.
        patience: Duration,
        /// It is asked so often.
        times: u8,
    },
}

/// Somebody who was heard.
#[derive(Clone, Debug)]
pub struct Voice {
    /// Profiles whose protocol it speaks, the one that understands most of it first; never empty.
    pub profiles: Vec<Arc<Profile>>,
    /// What tells it apart on its line; `None`: its protocol serves one device only.
    pub address: Option<String>,
    /// What it says of itself, in words.
    pub says: String,
    /// A master steers it already.
    pub led: bool,
}

/// How a device of this profile is made known; `None`: by Modbus, or not at all.
#[must_use]
pub fn hail(profile: &Profile) -> Option<Hail> {
    match (profile.protocol(), profile.telegram().sent) {
        (Protocol::Sml | Protocol::DsmrP1, _) | (Protocol::Iec62056, Sent::Pushed) => {
            Some(Hail::Listen(profile.link().poll + SLACK))
        }
        (Protocol::Twc, _) => Some(Hail::Listen(twc::READY_EVERY + SLACK)),
        (Protocol::Rapi, _) => Some(Hail::Ask {
            question: rapi::version_request(),
            patience: rapi::ANSWER,
            times: 2,
        }),
        (Protocol::Iec62056, Sent::Asked) => Some(Hail::Ask {
            question: sign_on("").into_bytes(),
            // The longest reaction is 1.5 s; adapters hold bytes back.
            patience: Duration::from_secs(2),
            times: 1,
        }),
        (Protocol::Modbus | Protocol::Rfid | Protocol::RfidHid | Protocol::Gpio, _) => None,
    }
}

/// Who among the devices of these profiles speaks in bytes that nobody asked for.
#[must_use]
pub fn voices(bytes: &[u8], profiles: &[Arc<Profile>]) -> Vec<Voice> {
    let unasked = |profile: &&Arc<Profile>| matches!(hail(profile), Some(Hail::Listen(_)));
    let mut found = Vec::new();
    let mut meters: Vec<(usize, &Arc<Profile>)> = Vec::new();
    for profile in profiles.iter().filter(unasked) {
        if profile.protocol() == Protocol::Twc {
            let line = twc::overheard(bytes).into_iter();
            found.extend(line.map(|unit| Voice {
                profiles: vec![Arc::clone(profile)],
                address: Some(unit.address),
                says: unit.says,
                led: unit.led,
            }));
        } else {
            meters.push((understood(bytes, profile), profile));
        }
    }
    meters.retain(|(values, _)| *values > 0);
    meters.sort_by_key(|(values, _)| std::cmp::Reverse(*values));
    if let Some((values, _)) = meters.first() {
        found.push(Voice {
            says: format!("{values} values in a telegram"),
            profiles: meters
                .into_iter()
                .map(|(_, profile)| Arc::clone(profile))
                .collect(),
            address: None,
            led: false,
        });
    }
    found
}

/// Most values that the profile finds in a telegram among the bytes.
fn understood(bytes: &[u8], profile: &Profile) -> usize {
    let Some(mut telegrams) = registry::telegrams(profile.protocol(), profile) else {
        return 0;
    };
    let mut heard = telegrams.feed(bytes);
    if heard.iter().any(|one| matches!(one, Err(Damage::Unconfirmed))) {
        heard.extend(telegrams.feed(bytes));
    }
    let values = |items: &Vec<_>| observe(profile.values(), items, &mut Facts::new(), Mono(0)).len();
    heard.iter().flatten().map(values).max().unwrap_or(0)
}

/// Who answered the question of this profile.
#[must_use]
pub fn answer(bytes: &[u8], profile: &Arc<Profile>) -> Option<Voice> {
    let says = match profile.protocol() {
        Protocol::Rapi => {
            let (firmware, protocol) = rapi::version(bytes)?;
            format!("firmware {firmware}, RAPI {protocol}")
        }
        Protocol::Iec62056 => {
            let plain: Vec<u8> = bytes.iter().map(|byte| byte & 0x7F).collect();
            let (_, line) = identification(&plain)?;
            let text = String::from_utf8_lossy(plain.get(line)?).trim().to_owned();
            format!("identification {text}")
        }
        _ => return None,
    };
    Some(Voice {
        profiles: vec![Arc::clone(profile)],
        address: None,
        says,
        led: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Library;
    use crate::sim::telegram::{SmlValue, iec_block, p1, sml};

    fn all() -> Vec<Arc<Profile>> {
        let library = Library::builtin();
        library.ids().filter_map(|id| library.get(id)).collect()
    }

    fn named(voices: &[Voice]) -> Vec<(&str, Option<&str>)> {
        voices
            .iter()
            .map(|voice| (voice.profiles[0].id(), voice.address.as_deref()))
            .collect()
    }

    const LINES: [&str; 4] = [
        "0-0:96.1.1(4530303034)",
        "1-0:1.8.1(00123.456*kWh)",
        "1-0:1.8.2(00001.000*kWh)",
        "1-0:1.7.0(00.244*kW)",
    ];

    #[test]
    fn meters_are_known_by_one_telegram_that_came_cut() {
        let all = all();
        let values = [SmlValue::signed([1, 0, 1, 8, 0, 255], 30, -1, 1_234_567)];
        let telegram = sml(b"meter", &values);
        let cut = [&telegram[40..], &telegram].concat();
        assert_eq!(named(&voices(&cut, &all)), [("sml-meter", None)]);
        assert_eq!(named(&voices(&telegram[..telegram.len() - 1], &all)), Vec::new());
        assert_eq!(named(&voices(&p1(&LINES, true), &all)), [("dsmr-p1", None)]);
        assert_eq!(named(&voices(&p1(&LINES, false), &all)), [("dsmr-p1-v2", None)]);
        let pushed = "/EMH5 eHZ\r\n\r\n1-0:0.0.0*255(0123456)\r\n1-0:1.8.0*255(000123.4567*kWh)\r\n!\r\n";
        assert_eq!(
            named(&voices(pushed.as_bytes(), &all)),
            [("iec62056-push-meter", None)]
        );
        let checked = [
            b"/EMH5 eHZ\r\n".as_slice(),
            &iec_block(&["1.8.0(000123.4567*kWh)"]),
        ]
        .concat();
        assert_eq!(named(&voices(&checked, &all)), [("iec62056-push-meter", None)]);
    }

    #[test]
    fn wall_connectors_are_known_by_what_they_announce_and_by_whom_they_obey() {
        let all = all();
        // The vectors of the protocol notes.
        let ready = [
            0xC0, 0xFD, 0xE2, 0x12, 0x34, 0x77, 0x0C, 0x80, 0, 0, 0, 0, 0, 0, 0x2B, 0xC0,
        ];
        let led = [
            0xC0, 0xFD, 0xE0, 0x12, 0x35, 0x77, 0x77, 0x01, 0x06, 0x40, 0x05, 0xFA, 0, 0, 0, 0, 0x5B, 0xC0,
        ];
        let heard = [&ready[3..], &ready, &[0xFE], &led, &ready].concat();
        let voices = voices(&heard, &all);
        let twc = "tesla-wall-connector-gen2";
        assert_eq!(named(&voices), [(twc, Some("1234")), (twc, Some("1235"))]);
        assert_eq!(
            voices.iter().map(|voice| voice.led).collect::<Vec<_>>(),
            [false, true]
        );
        assert_eq!(voices[0].says, "32 A, protocol 1");
    }

    #[test]
    fn an_answer_is_told_from_its_question_and_from_noise() {
        let library = Library::builtin();
        let evse = library.get("openevse").expect("it is shipped");
        let Some(Hail::Ask { question, .. }) = hail(&evse) else {
            panic!("it is asked")
        };
        assert_eq!(question, b"$GV^35\r");
        assert!(answer(&question, &evse).is_none());
        let heard = [question.as_slice(), b"$AT 01 01 32 0000^30\r$OK 8.2.1 5.1.0^2F\r"].concat();
        let voice = answer(&heard, &evse).expect("an answer");
        assert_eq!(voice.says, "firmware 8.2.1, RAPI 5.1.0");
        assert!(answer(b"$OK 8.2.1 5.1.0^30\r", &evse).is_none());
        assert!(answer(b"$OK 10 20^23\r", &evse).is_none());
        assert!(answer(b"$NK^21\r", &evse).is_none());

        let meter = library.get("iec62056-meter").expect("it is shipped");
        assert!(answer(b"/?!\r\n", &meter).is_none());
        // Even parity in the eighth bit, as a port of 8 data bits hands it over.
        let parity = |byte: &u8| byte | (u8::from(byte.count_ones() % 2 == 1) << 7);
        let heard: Vec<u8> = b"/?!\r\n/LGZ4ZMF100AC.M23\r\n".iter().map(parity).collect();
        let voice = answer(&heard, &meter).expect("an identification");
        assert_eq!(voice.says, "identification /LGZ4ZMF100AC.M23");
        assert!(voices(&heard, &[meter]).is_empty(), "it was asked for");
    }
}
