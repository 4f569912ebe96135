//! Which device is it: the fingerprints of all profiles, read-only.

use super::Settings;
use super::judge::Verdict;
use super::medium::Medium;
use super::talk::Talk;
use crate::device::{Confidence, Electrical, Image, Kind, Library, Pdu, Profile, Reply};
use crate::domain::Mono;
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

/// Profiles in the order they are worth trying: sure fingerprints first, then wallboxes before meters, because registers
/// of a wallbox may look like a meter's.
#[must_use]
pub fn order(library: &Library, serial: bool) -> Vec<Arc<Profile>> {
    let fits = |profile: &Arc<Profile>| {
        profile.identify().is_some()
            && if serial {
                profile.link().serial.is_some()
            } else {
                profile.link().tcp_port.is_some()
            }
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
        (std::cmp::Reverse(confidence), rank, profile.id().to_owned())
    });
    profiles
}

/// Tries the fingerprints on a unit; the best match first: the surest, among these those that are delivered with the
/// settings the unit answers `at`. Ends at the first fingerprint that no other known device has.
///
/// # Errors
/// The port is gone.
pub async fn identify<M: Medium>(
    talk: &mut Talk<'_, M>,
    unit: u8,
    profiles: &[Arc<Profile>],
    at: Option<Settings>,
) -> io::Result<Vec<Match>> {
    let mut memory = Memory::default();
    let mut matches: Vec<Match> = Vec::new();
    for profile in profiles {
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
                let told = talk.ask(unit, &pdu).await?;
                let reply = match told.judged.verdict {
                    Verdict::Reply(reply) => Some(reply),
                    Verdict::Exception(_)
                    | Verdict::Silence
                    | Verdict::OnlyEcho
                    | Verdict::Foreign(_)
                    | Verdict::Damaged(_) => None,
                };
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
