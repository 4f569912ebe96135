//! Units that are silent: heard later, under another id, at other settings, or not at all.

use super::examine::{Line, Subject, talk};
use super::survey::{Survey, knock};
use super::{Cause, Finding};
use crate::commission::medium::Medium;
use crate::commission::{LIKELY_UNITS, Settings, USUAL};
use crate::device::Profile;
use crate::domain::Parity;
use std::io;
use std::time::Duration;

/// How long a device may think before it is given up for good.
const VERY_PATIENT: Duration = Duration::from_secs(3);
/// Wait for an answer while other settings and ids are tried.
const QUICK: Duration = Duration::from_millis(150);

/// The hunt for units that are silent.
pub(super) struct Hunt {
    pub(super) line: Line,
    /// Units that answer.
    pub(super) alive: Vec<u8>,
    /// Settings at which a silent unit was heard after all: the next one is likely to be there, too.
    pub(super) heard_at: Vec<Settings>,
}

impl Hunt {
    /// A silent unit: later, under another id, at other settings, or not at all.
    pub(super) async fn find<M: Medium>(
        &mut self,
        medium: &mut M,
        subject: &Subject,
        seen: &Survey,
    ) -> io::Result<Vec<Finding>> {
        let others_live = !self.alive.is_empty();
        if let Some(found) = self.later(medium, subject).await? {
            return Ok(vec![found]);
        }
        // Who answers at the configured settings tells that these are right: then the id is looked for first.
        for ids in [others_live, !others_live] {
            let found = if ids {
                self.other_id(medium, subject).await?
            } else {
                self.other_settings(medium, subject).await?
            };
            if let Some(found) = found {
                return Ok(vec![found]);
            }
        }
        Ok(nobody(seen, others_live))
    }

    async fn later<M: Medium>(&self, medium: &mut M, subject: &Subject) -> io::Result<Option<Finding>> {
        let waited = self.line.timeout.as_millis();
        medium.open(self.line.settings).await?;
        let mut patient = talk(&mut *medium, self.line.framing, VERY_PATIENT, false);
        let latency = knock(&mut patient, subject, 1).await?;
        Ok(latency.map(|latency| {
            Finding::new(
                Cause::SlowDevice,
                95,
                format!("answers after {} ms, waited for {waited} ms", latency.as_millis()),
                format!("set timeout = \"{} ms\" for this device", latency.as_millis() * 2),
            )
        }))
    }

    async fn other_id<M: Medium>(&self, medium: &mut M, subject: &Subject) -> io::Result<Option<Finding>> {
        let settings = self.line.settings;
        medium.open(settings).await?;
        let mut quick = talk(
            &mut *medium,
            self.line.framing,
            settings.patience().max(QUICK),
            false,
        );
        let unit = subject.unit;
        for other in LIKELY_UNITS
            .iter()
            .filter(|other| **other != unit && !self.alive.contains(other))
        {
            if quick.knock(*other, true).await?.judged.verdict.is_alive() {
                return Ok(Some(Finding::new(
                    Cause::WrongUnit,
                    88,
                    format!("unit {unit} is silent, unit {other} answers"),
                    format!("set unit = {other}, or change the id at the device (DIP switches, menu)"),
                )));
            }
        }
        Ok(None)
    }

    async fn other_settings<M: Medium>(
        &mut self,
        medium: &mut M,
        subject: &Subject,
    ) -> io::Result<Option<Finding>> {
        let usual = others(self.line.settings, subject.profile.as_deref());
        for settings in self.heard_at.clone().into_iter().chain(usual) {
            medium.open(settings).await?;
            let mut talk = talk(
                &mut *medium,
                self.line.framing,
                settings.patience().max(QUICK),
                false,
            );
            if knock(&mut talk, subject, 2).await?.is_some() {
                self.heard_at = vec![settings];
                return Ok(Some(set_otherwise(self.line.settings, settings)));
            }
        }
        Ok(None)
    }
}

/// Nobody answers at any settings.
fn nobody(seen: &Survey, others_live: bool) -> Vec<Finding> {
    let noise = seen.short.bytes > 0 && seen.short.only_echo == 0;
    let silent = Finding::new(
        Cause::DeviceSilent,
        if others_live { 85 } else { 60 },
        "no answer at any usual speed, parity or likely unit id",
        "check that the device has power, that Modbus is switched on in its menu, and that this line leads to it",
    );
    let swapped = Finding::new(
        Cause::SwappedWires,
        match (others_live, noise) {
            (true, _) => 75,
            (false, true) => 85,
            (false, false) => 80,
        },
        if noise {
            format!("only {} stray bytes came back, at every speed", seen.short.bytes)
        } else {
            "not a byte came back, at any usual speed".to_owned()
        },
        "swap A and B at the device (labels differ between vendors), then check again",
    );
    vec![swapped, silent]
}

/// Settings to try, the likeliest first: what the profile says, the configured speed with other parities and stop bits,
/// then the usual ones.
fn others(own: Settings, profile: Option<&Profile>) -> Vec<Settings> {
    let delivered = profile.and_then(|profile| profile.link().serial.map(Settings::from));
    let variants = Parity::ALL.into_iter().flat_map(|parity| {
        [1, 2].map(|stop_bits| Settings {
            parity,
            stop_bits,
            ..own
        })
    });
    let usual = USUAL
        .into_iter()
        .flat_map(|settings| Parity::ALL.map(|parity| Settings { parity, ..settings }));
    let mut list: Vec<Settings> = Vec::new();
    for settings in delivered.into_iter().chain(variants).chain(USUAL).chain(usual) {
        if settings != own && !list.contains(&settings) {
            list.push(settings);
        }
    }
    list
}

fn set_otherwise(own: Settings, right: Settings) -> Finding {
    let (cause, what) = if own.baud != right.baud {
        (Cause::WrongBaud, format!("baud = {}", right.baud))
    } else if own.parity != right.parity {
        let word = right.parity.word();
        (Cause::WrongParity, format!("parity = \"{word}\""))
    } else {
        (Cause::WrongStopBits, format!("stop_bits = {}", right.stop_bits))
    };
    Finding::new(
        cause,
        95,
        format!("silent at {own}, answers at {right}"),
        format!("set {what} for this bus, or set the device to {own}"),
    )
}
