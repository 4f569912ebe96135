//! Which device is it: the fingerprints of all profiles, read-only.

use super::Settings;
use super::judge::Verdict;
use super::medium::Medium;
use super::talk::{Talk, Told};
use crate::device::{Confidence, Electrical, Image, Kind, Library, Pdu, Profile, Reply, SerialFraming, hail};
use crate::domain::{Framing, Mono, Protocol};
use std::io;
use std::sync::Arc;

/// A profile whose fingerprint fits.
#[derive(Clone, Debug)]
pub struct Match {
    /// The profile.
    pub profile: Arc<Profile>,
    /// How sure the fingerprint is.
    pub confidence: Confidence,
    /// Independent values that agreed.
    pub checks: usize,
    /// The device is delivered with the very settings it answers at.
    pub as_delivered: bool,
}

/// Answers already heard, so that no register is read twice.
#[derive(Debug, Default)]
pub struct Memory(Vec<(Pdu, Option<Reply>)>);

impl Memory {
    /// One question that was asked already.
    #[must_use]
    pub fn of((pdu, told): (Pdu, Told)) -> Self {
        Self(vec![(pdu, reply(told))])
    }
}

/// What a question gave, if it gave anything.
fn reply(told: Told) -> Option<Reply> {
    match told.judged.verdict {
        Verdict::Reply(reply) => Some(reply),
        Verdict::Exception(_)
        | Verdict::Silence
        | Verdict::OnlyEcho
        | Verdict::Foreign(_)
        | Verdict::Damaged(_) => None,
    }
}

/// Profiles in the order they are worth trying: sure fingerprints first, then wallboxes before meters, because registers
/// of a wallbox may look like a meter's. Behind a TCP endpoint may be what is serial, too, handed on by a gateway or a
/// serial device server: it comes after what has a network of its own.
#[must_use]
pub fn order(library: &Library, serial: bool) -> Vec<Arc<Profile>> {
    let fits = |profile: &Arc<Profile>| {
        let there = !serial || profile.link().serial.is_some();
        hail(profile).is_some() || (profile.identify().is_some() && there)
    };
    let mut profiles: Vec<Arc<Profile>> = library
        .ids()
        .filter_map(|id| library.get(id))
        .filter(fits)
        .collect();
    profiles.sort_by_key(|profile| {
        let confidence = profile.identify().map(|identify| identify.confidence);
        let rank = match profile.kind() {
            Kind::Charger => 0,
            Kind::Reader => 1,
            Kind::Meter => 2,
            Kind::Contacts => 3,
        };
        let handed_on = !serial && profile.link().tcp_port.is_none();
        (
            handed_on,
            std::cmp::Reverse(confidence),
            rank,
            profile.id().to_owned(),
        )
    });
    profiles
}

/// Whether both may be reached in the same way; where one of them is recognised the other is not looked for.
fn is_alike(one: &Profile, other: &Profile) -> bool {
    let ways = |profile: &Profile| (profile.link().serial.is_some(), profile.link().tcp_port.is_some());
    let (one, other) = (ways(one), ways(other));
    (one.0 && other.0) || (one.1 && other.1)
}

/// Whether a profile is one of Modbus that may be behind such frames.
#[must_use]
pub fn framed(profile: &Profile, framing: Framing) -> bool {
    profile.protocol() == Protocol::Modbus && is_ascii(profile) == (framing == Framing::Ascii)
}

/// Whether it is spoken to in Modbus ASCII, be it through a serial device server.
fn is_ascii(profile: &Profile) -> bool {
    let serial = profile.link().serial;
    serial.is_some_and(|serial| serial.framing != SerialFraming::Rtu)
}

/// Tries the fingerprints on a unit; the best match first: the surest, among these those that are delivered with the
/// settings the unit answers `at`. Ends at the first fingerprint that no other known device has. `memory`: what it told
/// already.
///
/// # Errors
/// The port is gone.
pub async fn identify<M: Medium>(
    talk: &mut Talk<'_, M>,
    unit: u8,
    profiles: &[Arc<Profile>],
    at: Option<Settings>,
    mut memory: Memory,
) -> io::Result<Vec<Match>> {
    let mut matches: Vec<Match> = Vec::new();
    let framing = talk.framing;
    for profile in profiles.iter().filter(|profile| framed(profile, framing)) {
        if matches.iter().any(|found| !is_alike(&found.profile, profile)) {
            break;
        }
        if !fits(talk, unit, profile, &mut memory).await? {
            continue;
        }
        let Some(identify) = profile.identify() else {
            continue;
        };
        let sure = identify.confidence == Confidence::High;
        matches.push(Match {
            profile: Arc::clone(profile),
            confidence: identify.confidence,
            checks: identify.checks.len(),
            as_delivered: at.is_some() && profile.link().serial.map(Settings::from) == at,
        });
        if sure {
            break;
        }
    }
    matches.sort_by_key(|found| std::cmp::Reverse((found.confidence, found.as_delivered, found.checks)));
    Ok(matches)
}

/// Whether a unit answers like the profile's device. Ends at the first value that does not agree.
///
/// # Errors
/// The port is gone.
pub async fn fits<M: Medium>(
    talk: &mut Talk<'_, M>,
    unit: u8,
    profile: &Profile,
    memory: &mut Memory,
) -> io::Result<bool> {
    let mut image = Image::new();
    for block in profile.identify_reads() {
        let pdu = block.pdu();
        let reply = match memory.0.iter().find(|(asked, _)| *asked == pdu) {
            Some((_, known)) => known.clone(),
            None => {
                let reply = reply(talk.ask(unit, &pdu).await?);
                memory.0.push((pdu, reply.clone()));
                reply
            }
        };
        let Some(reply) = reply else { return Ok(false) };
        let decoded = profile.decode(&block, &reply, 1, Electrical::default(), &mut image, Mono(0));
        if decoded.is_err() || profile.matches(&image) == Some(false) {
            return Ok(false);
        }
    }
    Ok(profile.matches(&image) == Some(true))
}
