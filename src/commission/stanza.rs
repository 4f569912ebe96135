//! What was found, as configuration.

use super::Settings;
use super::identify::Match;
use super::medium::Target;
use super::scan::{Speech, Spot, Who};
use crate::device::Kind;
use crate::domain::{Framing, Protocol};
use std::fmt::Write;

/// Consent is the operator's own: it is shown and not given.
const CONSENT: &str = "# accept_no_failsafe = true";

/// Somebody who was found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Where, and who.
    pub spot: Spot,
    /// Fingerprints that fit, best first.
    pub matches: Vec<Match>,
}

/// The `[[bus]]` and `[[device]]` tables of what was found, port by port, with names that do not clash. Units without a
/// known fingerprint, and settings other than those of the first unit, stand in comments: one line has one speed.
#[derive(Debug, Default)]
pub struct Stanza {
    text: String,
    buses: usize,
    devices: usize,
}

impl Stanza {
    /// Adds what was found on one port; nothing: nothing is added.
    pub fn add(&mut self, target: &Target, findings: &[Finding]) {
        let Some(first) = findings.first() else {
            return;
        };
        self.buses += 1;
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = write(&mut text, target, (first, findings), (self.buses, self.devices));
        self.devices += findings.len();
        self.text += &text;
    }

    /// All so far; empty: nothing was found.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// `bus` is the number of the bus, `before` that of the last device before it.
fn write(
    out: &mut String,
    target: &Target,
    (first, findings): (&Finding, &[Finding]),
    (bus, before): (usize, usize),
) -> std::fmt::Result {
    let here = &first.spot;
    writeln!(out, "[[bus]]\nid = \"bus{bus}\"")?;
    match target {
        Target::Serial { path } => {
            writeln!(out, "port = {}", quoted(&path.display().to_string()))?;
            if let Some(settings) = here.settings {
                port(out, settings)?;
            }
            spoken(out, here.speech, Framing::Rtu)?;
        }
        Target::Tcp { host, port } => {
            writeln!(out, "host = {}\ntcp_port = {port}", quoted(host))?;
            spoken(out, here.speech, Framing::Tcp)?;
        }
    }
    for (number, finding) in findings.iter().enumerate() {
        writeln!(out)?;
        if finding.spot.settings != here.settings {
            let settings = finding.spot.settings.map_or_else(String::new, |s| s.to_string());
            writeln!(
                out,
                "# Answers at {settings} only: set it to the speed of the others, or give it a line of its own."
            )?;
        }
        device(out, finding, bus, before + number + 1)?;
    }
    Ok(())
}

fn port(out: &mut String, settings: Settings) -> std::fmt::Result {
    writeln!(out, "baud = {}", settings.baud)?;
    writeln!(out, "parity = \"{}\"", settings.parity.word())?;
    if settings.data_bits != 8 {
        writeln!(out, "data_bits = {}", settings.data_bits)?;
    }
    if settings.stop_bits != 1 {
        writeln!(out, "stop_bits = {}", settings.stop_bits)?;
    }
    Ok(())
}

/// `usual`: the framing that goes without saying.
fn spoken(out: &mut String, speech: Speech, usual: Framing) -> std::fmt::Result {
    match speech {
        Speech::Modbus(framing) if framing == usual => Ok(()),
        Speech::Modbus(framing) => writeln!(out, "framing = \"{}\"", framing.word()),
        Speech::Other(protocol) => writeln!(out, "protocol = \"{}\"", protocol.word()),
    }
}

fn device(out: &mut String, finding: &Finding, bus: usize, number: usize) -> std::fmt::Result {
    let spot = &finding.spot;
    let Some(best) = finding.matches.first() else {
        return writeln!(
            out,
            "# Here answers {}, but no profile fits: see docs/devices/adding.md.",
            spot.who
        );
    };
    let kind = best.profile.kind().word();
    writeln!(out, "[[device]]\nid = \"{kind}{number}\"\nbus = \"bus{bus}\"")?;
    writeln!(out, "profile = \"{}\"", best.profile.id())?;
    match &spot.who {
        Who::Unit(unit) => writeln!(out, "unit = {unit}")?,
        Who::Address(address) => writeln!(out, "address = {}", quoted(address))?,
        Who::Alone => {}
    }
    if let Some(why) = best
        .profile
        .unsafe_because()
        .filter(|_| best.profile.kind() == Kind::Charger)
    {
        writeln!(
            out,
            "# When the gateway dies: {}. If you accept that:",
            why.replace('\n', " ")
        )?;
        writeln!(out, "{CONSENT}")?;
    }
    for other in finding.matches.iter().skip(1).take(3) {
        let protocol = other.profile.protocol();
        let on = if protocol == spot.speech.protocol() || protocol == Protocol::Modbus {
            String::new()
        } else {
            format!(", on a bus with protocol = \"{}\"", protocol.word())
        };
        writeln!(out, "# or profile = \"{}\"{on}", other.profile.id())?;
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
