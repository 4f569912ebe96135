//! From what was seen to causes.

use super::hunt::Hunt;
use super::port::broke;
use super::shift::{Sense, Trial, sense};
use super::survey::{Survey, survey};
use super::{Cause, Finding, ranked};
use crate::bus::frame::rtu;
use crate::commission::identify::{Memory, identify};
use crate::commission::judge::called;
use crate::commission::medium::Medium;
use crate::commission::scan::LISTEN;
use crate::commission::talk::Talk;
use crate::commission::{Settings, USUAL};
use crate::device::{Electrical, Image, Profile, Role, current_of};
use crate::domain::{Framing, Mono};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A line as configured.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Serial settings.
    pub settings: Settings,
    /// Framing.
    pub framing: Framing,
    /// The configuration says that the adapter echoes.
    pub echo: bool,
    /// Wait for an answer.
    pub timeout: Duration,
}

/// A device as configured.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name.
    pub id: String,
    /// Unit id.
    pub unit: u8,
    /// Connector, from 1.
    pub connector: u16,
    /// Its profile, if it has one.
    pub profile: Option<Arc<Profile>>,
}

/// Examines a serial line that could be opened. `library` is what unknown devices are compared with.
///
/// # Errors
/// The port is gone.
pub async fn serial<M: Medium>(
    medium: &mut M,
    line: Line,
    subjects: &[Subject],
    library: &[Arc<Profile>],
) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    medium.open(line.settings).await?;
    let overheard = medium.listen(LISTEN).await?;
    findings.extend(traffic(&overheard));
    let mut alive = Vec::new();
    let mut silent = Vec::new();
    for subject in subjects {
        let mut talk = talk(&mut *medium, line.framing, line.timeout, true);
        let seen = survey(
            &mut talk,
            subject.unit,
            subject.profile.as_deref(),
            subject.connector,
        )
        .await?;
        findings.extend(echo(&seen, line).map(|finding| finding.of(&subject.id)));
        if seen.is_alive() || seen.short.damaged > 0 || seen.short.foreign > 0 {
            findings.extend(damage(&seen).into_iter().map(|finding| finding.of(&subject.id)));
            findings.extend(slow(&seen, line.timeout).map(|finding| finding.of(&subject.id)));
            if seen.is_alive() {
                let more = sense_of(&mut talk, subject, library).await?;
                findings.extend(more.into_iter().map(|finding| finding.of(&subject.id)));
                alive.push(subject.unit);
            }
        } else {
            silent.push((subject, seen));
        }
    }
    let mut hunt = Hunt {
        line,
        alive,
        heard_at: Vec::new(),
    };
    for (subject, seen) in silent {
        let more = hunt.find(medium, subject, &seen).await?;
        findings.extend(more.into_iter().map(|finding| finding.of(&subject.id)));
    }
    Ok(ranked(findings))
}

/// Examines a TCP endpoint that could be connected to. `framing` is the configured one. A connection that breaks is a
/// finding, and the next device is examined on another.
pub async fn endpoint<M: Medium>(
    medium: &mut M,
    framing: Framing,
    timeout: Duration,
    subjects: &[Subject],
    library: &[Arc<Profile>],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for subject in subjects {
        let found = match behind(medium, framing, timeout, subject, library).await {
            Ok(found) => found,
            Err(error) => vec![broke(&error)],
        };
        findings.extend(found.into_iter().map(|finding| finding.of(&subject.id)));
    }
    ranked(findings)
}

/// One device behind an endpoint, on connections of its own.
async fn behind<M: Medium>(
    medium: &mut M,
    framing: Framing,
    timeout: Duration,
    subject: &Subject,
    library: &[Arc<Profile>],
) -> io::Result<Vec<Finding>> {
    let (own, other) = match framing {
        Framing::Rtu | Framing::Ascii => (framing, Framing::Tcp),
        Framing::Tcp | Framing::Auto => (Framing::Tcp, Framing::Rtu),
    };
    let met = meet(medium, own, timeout, subject).await;
    if let Ok(Some(seen)) = &met {
        let mut talk = talk(&mut *medium, own, timeout, false);
        let mut findings: Vec<Finding> = slow(seen, timeout).into_iter().collect();
        findings.extend(sense_of(&mut talk, subject, library).await?);
        return Ok(findings);
    }
    let patient = timeout.max(Duration::from_secs(1));
    match meet(medium, other, patient, subject).await {
        Ok(Some(_)) if framing == Framing::Auto => {
            let mut talk = talk(&mut *medium, other, timeout, false);
            sense_of(&mut talk, subject, library).await
        }
        Ok(Some(_)) => Ok(vec![mixed_up(own, other)]),
        crossed => {
            // Who hangs up has heard a request; who only keeps silent may be off.
            met?;
            crossed?;
            Ok(vec![Finding::new(
                Cause::DeviceSilent,
                70,
                "the connection stands, but no request is answered",
                "check the unit id, and that no other client holds the device",
            )])
        }
    }
}

/// Connects and asks; `None`: the device is silent.
async fn meet<M: Medium>(
    medium: &mut M,
    framing: Framing,
    timeout: Duration,
    subject: &Subject,
) -> io::Result<Option<Survey>> {
    medium.open(USUAL[0]).await?;
    let mut talk = talk(&mut *medium, framing, timeout, false);
    let profile = subject.profile.as_deref();
    let seen = survey(&mut talk, subject.unit, profile, subject.connector).await?;
    Ok(Some(seen).filter(Survey::is_alive))
}

fn mixed_up(own: Framing, other: Framing) -> Finding {
    Finding::new(
        Cause::FramingMixUp,
        95,
        format!(
            "silent to {}, answers to {} on the same connection",
            called(own),
            called(other)
        ),
        match other {
            Framing::Rtu => {
                "it is a serial device server: set framing = \"rtu\" for this bus, or switch its protocol to Modbus TCP"
            }
            Framing::Tcp | Framing::Ascii | Framing::Auto => {
                "set framing = \"tcp\" for this bus, or remove the line"
            }
        },
    )
}

pub(super) fn talk<M: Medium>(
    medium: &mut M,
    framing: Framing,
    timeout: Duration,
    thorough: bool,
) -> Talk<'_, M> {
    Talk {
        medium,
        framing,
        timeout,
        thorough,
    }
}

/// Bytes that nobody asked for.
fn traffic(overheard: &[u8]) -> Option<Finding> {
    if overheard.len() <= 2 {
        return None;
    }
    let mut units: Vec<u8> = rtu::sound_all(overheard).map(|frame| frame[0]).collect();
    let frames = units.len();
    units.sort_unstable();
    units.dedup();
    let idle = overheard
        .iter()
        .filter(|byte| matches!(byte, 0x00 | 0xFF))
        .count();
    Some(if frames > 0 {
        Finding::new(
            Cause::SecondMaster,
            96,
            format!(
                "{frames} frames about units {units:?} in {} s, though nothing was asked",
                LISTEN.as_secs()
            ),
            "disconnect the other master (energy manager, logger, the wallbox's own group leader), or give it another line",
        )
    } else if idle * 2 > overheard.len() {
        Finding::new(
            Cause::SwappedWires,
            65,
            format!(
                "{} bytes of 0x00 or 0xFF on a line that should be idle",
                overheard.len()
            ),
            "swap A and B; check that the line has bias resistors (one end only)",
        )
    } else {
        Finding::new(
            Cause::SecondMaster,
            70,
            format!(
                "{} bytes at another speed or damaged, though nothing was asked",
                overheard.len()
            ),
            "look for another master on this line; `retrovolt scan` tries other speeds",
        )
    })
}

fn echo(seen: &Survey, line: Line) -> Option<Finding> {
    let echoes = seen.short.echoes + seen.short.only_echo;
    (echoes > 0 && !line.echo).then(|| {
        Finding::new(
            Cause::LocalEcho,
            93,
            format!("{echoes} of {} requests were heard by the adapter itself", seen.short.asked),
            "set echo = true for this bus, or switch the echo off at the adapter (receiver enable to driver enable)",
        )
    })
}

/// Answers that come, but damaged.
fn damage(seen: &Survey) -> Vec<Finding> {
    let (short, long) = (&seen.short, &seen.long);
    let mut findings = Vec::new();
    if short.doubles + long.doubles > 0 {
        findings.push(Finding::new(
            Cause::DuplicateAddress,
            94,
            format!(
                "{} answers had a second one behind them or mixed in",
                short.doubles + long.doubles
            ),
            "two devices have this unit id: disconnect one, give it another id, connect it again",
        ));
    }
    if long.asked > 0 && long.damage() >= 25 && long.damage() >= short.damage() + 20 {
        findings.push(Finding::new(
            Cause::NoTermination,
            90,
            format!(
                "{} % of long answers damaged, {} % of short ones",
                long.damage(),
                short.damage()
            ),
            "put 120 ohm between A and B at both ends of the line and nowhere else; no star wiring",
        ));
    } else if short.damage() >= 25 {
        // Damaged whatever the length, while the speed is right: two answers at once look like this.
        let weight = if short.doubles > 0 { 60 } else { 80 };
        findings.push(Finding::new(
            Cause::DuplicateAddress,
            weight,
            format!(
                "{} % of short and {} % of long answers damaged",
                short.damage(),
                long.damage()
            ),
            "disconnect the device and ask again: if somebody still answers, two devices have this unit id",
        ));
        findings.push(Finding::new(
            Cause::NoTermination,
            weight - 15,
            format!("{} % of answers damaged whatever their length", short.damage()),
            "check termination, shield and the distance to motor and inverter cables",
        ));
    }
    if short.foreign > 0 {
        findings.push(Finding::new(
            Cause::SecondMaster,
            75,
            format!("{} answers of units that were not asked", short.foreign),
            "somebody else asks on this line: disconnect it, or give it another line",
        ));
    }
    findings
}

fn slow(seen: &Survey, timeout: Duration) -> Option<Finding> {
    let latency = seen.short.latency()?;
    let often_silent = seen.short.silent > 0 && seen.short.alive > 0;
    (latency * 2 > timeout || often_silent).then(|| {
        Finding::new(
            Cause::SlowDevice,
            if often_silent { 80 } else { 65 },
            format!(
                "answers after {} ms in the median, waited for {} ms; {} of {} not in time",
                latency.as_millis(),
                timeout.as_millis(),
                seen.short.silent,
                seen.short.asked
            ),
            "set a longer `timeout` for this device",
        )
    })
}

/// Whether what a living device says makes sense.
async fn sense_of<M: Medium>(
    talk: &mut Talk<'_, M>,
    subject: &Subject,
    library: &[Arc<Profile>],
) -> io::Result<Vec<Finding>> {
    let Some(profile) = subject.profile.as_deref() else {
        return Ok(Vec::new());
    };
    let (unit, connector) = (subject.unit, subject.connector);
    talk.thorough = false;
    let plain = sense(talk, unit, connector, profile, Trial::default()).await?;
    if plain.is_good() {
        return Ok(not_fed(talk, subject, profile).await?.into_iter().collect());
    }
    let mut findings = Vec::new();
    for (offset, swapped) in [(-1, false), (1, false), (0, true), (-1, true), (1, true)] {
        let trial = Trial { offset, swapped };
        let other = sense(talk, unit, connector, profile, trial).await?;
        if makes_sense(other, plain) {
            findings.push(shifted(trial));
            break;
        }
    }
    let known = identify(talk, unit, library, None, Memory::default()).await?;
    let names: Vec<&str> = known.iter().map(|found| found.profile.id()).take(3).collect();
    if !plain.fits {
        let (evidence, next) = if names.is_empty() {
            (
                format!("the fingerprint of profile {} does not fit", profile.id()),
                "`retrovolt probe` shows every value of the profile; check model and firmware".to_owned(),
            )
        } else {
            (
                format!(
                    "it answers like {}, not like {}",
                    names.join(" or "),
                    profile.id()
                ),
                format!("set profile = \"{}\"", names[0]),
            )
        };
        let weight = if names.is_empty() { 60 } else { 85 };
        findings.push(Finding::new(Cause::WrongProfile, weight, evidence, next));
    }
    Ok(findings)
}

/// Better than the plain reading in what it can be better in, and nothing against it.
fn makes_sense(other: Sense, plain: Sense) -> bool {
    other.is_good() && other > plain
}

fn shifted(trial: Trial) -> Finding {
    match trial {
        Trial { offset: 0, .. } => Finding::new(
            Cause::WordOrder,
            92,
            "values make sense with the words of each number in the other order",
            "set word_order the other way in the profile (or in the meter's own menu)",
        ),
        Trial { offset, .. } => Finding::new(
            Cause::OffByOne,
            92,
            format!("values make sense with every address {offset:+}"),
            "addresses in the profile are counted from 0, as on the wire: 40001 of a vendor's table is 0",
        ),
    }
}

/// A charger that stands at its fallback current though it could do more.
async fn not_fed<M: Medium>(
    talk: &mut Talk<'_, M>,
    subject: &Subject,
    profile: &Profile,
) -> io::Result<Option<Finding>> {
    let (Some(watchdog), Some(limits)) = (profile.watchdog(), profile.limits()) else {
        return Ok(None);
    };
    let read_back = profile
        .numbered()
        .find(|(_, point)| point.role == Role::LimitReadBack && point.when.is_empty());
    let Some((id, point)) = read_back else {
        return Ok(None);
    };
    let Some(block) = profile.block_of(id, subject.connector) else {
        return Ok(None);
    };
    let told = talk.ask(subject.unit, &block.pdu()).await?;
    let crate::commission::judge::Verdict::Reply(reply) = told.judged.verdict else {
        return Ok(None);
    };
    let mut image = Image::new();
    let decoded = profile.decode(
        &block,
        &reply,
        subject.connector,
        Electrical::default(),
        &mut image,
        Mono(0),
    );
    let amps = image
        .get(id)
        .and_then(|raw| current_of(point, raw, Electrical::default()));
    let fell_back = decoded.is_ok() && amps == Some(watchdog.failsafe) && watchdog.failsafe < limits.max;
    Ok(fell_back.then(|| {
        Finding::new(
            Cause::WatchdogNotFed,
            55,
            format!(
                "the limit in force is {}, the fallback current of its watchdog ({} s)",
                watchdog.failsafe,
                watchdog.timeout.as_secs()
            ),
            "start the gateway: while nobody feeds the watchdog the charger keeps to its fallback; `retrovolt status` shows whether the lease holds",
        )
    }))
}
