//! What was found, as configuration.

use super::Settings;
use super::identify::Match;
use super::medium::Target;
use crate::device::Kind;
use std::fmt::Write;

/// A unit that was found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Settings of the line; `None`: TCP.
    pub settings: Option<Settings>,
    /// Unit id.
    pub unit: u8,
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
        if findings.is_empty() {
            return;
        }
        self.buses += 1;
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = write(&mut text, target, findings, (self.buses, self.devices));
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
    findings: &[Finding],
    (bus, before): (usize, usize),
) -> std::fmt::Result {
    let Some(first) = findings.first() else {
        return Ok(());
    };
    writeln!(out, "[[bus]]\nid = \"bus{bus}\"")?;
    match target {
        Target::Serial { path } => {
            writeln!(out, "port = {}", quoted(&path.display().to_string()))?;
            if let Some(settings) = first.settings {
                writeln!(out, "baud = {}", settings.baud)?;
                writeln!(
                    out,
                    "parity = \"{}\"",
                    crate::commission::parity_word(settings.parity)
                )?;
                if settings.stop_bits != 1 {
                    writeln!(out, "stop_bits = {}", settings.stop_bits)?;
                }
            }
        }
        Target::Tcp { host, port } => {
            writeln!(out, "host = {}\ntcp_port = {port}", quoted(host))?;
        }
    }
    for (number, finding) in findings.iter().enumerate() {
        writeln!(out)?;
        if finding.settings != first.settings {
            let settings = finding.settings.map_or_else(String::new, |s| s.to_string());
            writeln!(
                out,
                "# Answers at {settings} only: set it to the speed of the others, or give it a line of its own."
            )?;
        }
        device(out, finding, bus, before + number + 1)?;
    }
    Ok(())
}

fn device(out: &mut String, finding: &Finding, bus: usize, number: usize) -> std::fmt::Result {
    let unit = finding.unit;
    let Some(best) = finding.matches.first() else {
        return writeln!(
            out,
            "# Unit {unit} answers, but no profile fits: see docs/devices/adding.md."
        );
    };
    let kind = match best.profile.kind() {
        Kind::Charger => "charger",
        Kind::Meter => "meter",
        Kind::Reader => "reader",
        Kind::Contacts => "contacts",
    };
    writeln!(out, "[[device]]\nid = \"{kind}{number}\"\nbus = \"bus{bus}\"")?;
    writeln!(out, "profile = \"{}\"\nunit = {unit}", best.profile.id())?;
    for other in finding.matches.iter().skip(1).take(3) {
        writeln!(out, "# or profile = \"{}\"", other.profile.id())?;
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
