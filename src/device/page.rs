//! The page about a device: what a person reads in the documentation and in `retrovolt profile show`.

use super::obis::{ObisMeaning, ObisPoint};
use super::profile::{Confidence, Dimension, Feed, Kind, Point, Profile, Role};
use crate::domain::{DeviceFact, Parity, Phase, Protocol, Quality, Quantity};
use std::collections::BTreeMap;
use std::fmt::Write as _;

impl Point {
    /// What it means, in a few words.
    #[must_use]
    pub fn meaning(&self) -> String {
        match &self.role {
            Role::Reading {
                quantity,
                phase,
                quality,
            } => measured(*quantity, *phase, *quality),
            Role::Status => "state".to_owned(),
            Role::Error(_) => "error".to_owned(),
            Role::Token => "card".to_owned(),
            Role::HardwareLimit => "limit of cable or switches".to_owned(),
            Role::LimitReadBack => "limit in force".to_owned(),
            Role::Fact(fact, _) => fact_name(*fact).to_owned(),
            Role::Helper => String::new(),
        }
    }
}

impl ObisPoint {
    /// What it means, in a few words.
    #[must_use]
    pub fn meaning(&self) -> String {
        match self.meaning {
            ObisMeaning::Reading {
                quantity,
                phase,
                quality,
                ..
            } => measured(quantity, phase, quality),
            ObisMeaning::Fact(fact) => fact_name(fact).to_owned(),
        }
    }
}

fn measured(quantity: Quantity, phase: Phase, quality: Quality) -> String {
    let grade = match quality {
        Quality::Uncalibrated => ", not calibrated",
        Quality::Derived => ", derived",
        Quality::Good | Quality::Suspect => "",
    };
    format!("{}{}{grade}", quantity_name(quantity), phase_suffix(phase))
}

impl Profile {
    /// Whether it has an energy register that is fit for billing.
    #[must_use]
    pub fn is_billing_grade(&self) -> bool {
        let bills = |reading: (Quantity, Phase, Quality)| {
            reading == (Quantity::EnergyImport, Phase::Total, Quality::Good)
        };
        self.read_values().into_iter().any(bills)
    }

    /// Everything it measures, whatever it speaks.
    fn read_values(&self) -> Vec<(Quantity, Phase, Quality)> {
        let readable = self.points.iter().filter(|point| point.fc.is_some());
        let of_points = readable.filter_map(|point| match point.role {
            Role::Reading {
                quantity,
                phase,
                quality,
            } => Some((quantity, phase, quality)),
            _ => None,
        });
        let of_values = self.values().iter().filter_map(|value| match value.meaning {
            ObisMeaning::Reading {
                quantity,
                phase,
                quality,
                ..
            } => Some((quantity, phase, quality)),
            ObisMeaning::Fact(_) => None,
        });
        of_points.chain(of_values).collect()
    }

    /// Through what it is reached: `serial`, `tcp`, `both`, `gpio` or `keyboard`.
    #[must_use]
    pub fn transport(&self) -> &'static str {
        match self.protocol {
            Protocol::Gpio => return "gpio",
            Protocol::RfidHid => return "keyboard",
            _ => {}
        }
        match (self.link.serial.is_some(), self.link.tcp_port.is_some()) {
            (true, true) => "both",
            (true, false) => "serial",
            (false, _) => "tcp",
        }
    }

    /// What happens to a charger when the gateway falls silent, in three words.
    #[must_use]
    pub fn fail_safe(&self) -> &'static str {
        match (self.kind, &self.watchdog) {
            (Kind::Meter | Kind::Reader | Kind::Contacts, _) => "",
            (Kind::Charger, None) => "none",
            (Kind::Charger, Some(watchdog)) if watchdog.fallback_safe => "yes",
            (Kind::Charger, Some(_)) => "unsafe",
        }
    }

    /// The page, in Markdown.
    #[must_use]
    pub fn page(&self) -> String {
        let mut text = format!("# {} {}\n\n", self.about.vendor, self.about.models.join(", "));
        if let Some(why) = &self.about.experimental {
            let _ = writeln!(text, "**Experimental:** {why}\n");
        }
        self.identity(&mut text);
        self.wiring(&mut text);
        self.readings(&mut text);
        if self.kind == Kind::Charger {
            self.control(&mut text);
        }
        list(&mut text, "Good to know", &self.about.caveats);
        list(&mut text, "Source", &self.about.source);
        text
    }

    fn identity(&self, text: &mut String) {
        let row = |text: &mut String, name: &str, value: &str| {
            if !value.is_empty() {
                let _ = writeln!(text, "- {name}: {value}");
            }
        };
        row(text, "Profile", &format!("`{}`", self.id));
        row(text, "Also sold as", &self.about.also_sold_as.join(", "));
        row(text, "Phases", &self.about.phases.to_string());
        row(text, "Firmware", self.about.firmware.as_deref().unwrap_or(""));
        let link = &self.link;
        let serial = link.serial.map(|serial| {
            let parity = match serial.parity {
                Parity::None => 'N',
                Parity::Even => 'E',
                Parity::Odd => 'O',
            };
            format!("{} {}{parity}{}", serial.baud, serial.data_bits, serial.stop_bits)
        });
        row(text, "Serial as delivered", serial.as_deref().unwrap_or(""));
        row(
            text,
            "Modbus TCP port",
            &link.tcp_port.map(|port| port.to_string()).unwrap_or_default(),
        );
        if self.protocol == Protocol::Modbus {
            row(text, "Unit id as delivered", &link.unit.to_string());
        } else {
            row(text, "Protocol", self.protocol.word());
        }
        let sure = self
            .identify
            .as_ref()
            .map_or("a scan cannot", |identify| match identify.confidence {
                Confidence::High => "surely",
                Confidence::Medium => "fairly surely",
                Confidence::Low => "hardly",
            });
        row(text, "Recognised by a scan", sure);
    }

    fn wiring(&self, text: &mut String) {
        let wiring = &self.about.wiring;
        let parts = [
            ("Terminals", &wiring.terminals),
            ("Switches", &wiring.switches),
            ("Settings", &wiring.settings),
            ("Termination", &wiring.termination),
            ("", &wiring.note),
        ];
        let there: Vec<String> = parts
            .iter()
            .filter_map(|(name, part)| {
                let part = part.as_deref()?;
                Some(if name.is_empty() {
                    part.to_owned()
                } else {
                    format!("{name}: {part}")
                })
            })
            .collect();
        list(text, "Before it answers", &there);
    }

    fn readings(&self, text: &mut String) {
        let mut phases: BTreeMap<(Quantity, u8), Vec<Phase>> = BTreeMap::new();
        let mut others: Vec<String> = Vec::new();
        for (quantity, phase, quality) in self.read_values() {
            let grade = u8::from(quality != Quality::Good);
            let list = phases.entry((quantity, grade)).or_default();
            if !list.contains(&phase) {
                list.push(phase);
            }
        }
        let facts = self.values().iter().filter_map(|value| match value.meaning {
            ObisMeaning::Fact(fact) => Some(fact_name(fact).to_owned()),
            ObisMeaning::Reading { .. } => None,
        });
        let of_points = self.points.iter().filter(|point| point.fc.is_some());
        let meanings = of_points.filter_map(|point| match point.role {
            Role::Reading { .. } | Role::Helper | Role::LimitReadBack => None,
            _ => Some(point.meaning()),
        });
        for meaning in meanings.chain(facts) {
            if !others.contains(&meaning) {
                others.push(meaning);
            }
        }
        let mut lines: Vec<String> = Vec::new();
        for ((quantity, grade), mut list) in phases {
            list.sort();
            let names: Vec<&str> = list.iter().map(|phase| phase_name(*phase)).collect();
            let grade = if grade > 0 { ", not for billing" } else { "" };
            lines.push(format!(
                "{}: {}{grade}",
                quantity_name(quantity),
                names.join(", ")
            ));
        }
        if !others.is_empty() {
            lines.push(others.join(", "));
        }
        list(text, "Reads", &lines);
    }

    fn control(&self, text: &mut String) {
        let mut lines = Vec::new();
        if let Some(limits) = self.limits {
            let unit = self.limit_unit();
            lines.push(format!(
                "limit from {} to {}{unit}, and pause",
                limits.min, limits.max
            ));
        }
        if !self.recipes.enable.is_empty() && !self.recipes.disable.is_empty() {
            lines.push("a switch apart from the limit".to_owned());
        }
        if self.phase_switch.is_some() {
            lines.push("one phase or three".to_owned());
        }
        if !self.recipes.unlock.is_empty() {
            lines.push("release of the plug".to_owned());
        }
        list(text, "Controls", &lines);
        let _ = writeln!(text, "\n## When the gateway falls silent\n");
        let Some(watchdog) = &self.watchdog else {
            let _ = writeln!(
                text,
                "No supervision: the last current stays in force. The configuration has to sign for that."
            );
            return;
        };
        let _ = writeln!(text, "{}", watchdog.fallback);
        let seconds = |time: std::time::Duration| format!("{} s", time.as_secs_f64());
        let range = if watchdog.min_timeout == watchdog.max_timeout {
            String::new()
        } else {
            format!(
                " (possible: {} to {})",
                seconds(watchdog.min_timeout),
                seconds(watchdog.max_timeout)
            )
        };
        let fed = match watchdog.feed {
            Feed::AnyRequest => "any request feeds it",
            Feed::Steps(_) => "fed by writes of its own",
        };
        let safe = if watchdog.fallback_safe {
            "safe"
        } else {
            "not safe; the configuration has to sign for it"
        };
        let _ = writeln!(
            text,
            "\n- Time-out: {}{range}; {fed}\n- Fallback current: {}; {safe}",
            seconds(watchdog.timeout),
            watchdog.failsafe
        );
    }

    fn limit_unit(&self) -> &'static str {
        let limit = self.points.iter().find(|point| {
            point.write.is_some() && !matches!(point.dimension, Dimension::Plain | Dimension::Time)
        });
        match limit.map(|point| point.dimension) {
            Some(Dimension::Power) => ", written in watt ([what that means](../adr/0013-watt-limits.md))",
            Some(Dimension::PercentOf(_)) => ", written in percent",
            Some(Dimension::Duty) => ", written as duty cycle",
            Some(Dimension::Current | Dimension::Plain | Dimension::Time) | None => "",
        }
    }
}

fn list(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## {title}\n");
    for line in lines {
        let _ = writeln!(text, "- {line}");
    }
}

/// The index of all profiles, in Markdown.
#[must_use]
pub fn index<'p>(profiles: impl IntoIterator<Item = &'p Profile>) -> String {
    let mut text = String::from(
        "# Devices\n\n\
         Made from the profiles under `config/devices/` by `make docs-devices`. A device that is not here: \
         [adding one](adding.md).\n\n\
         *Billing*: has an energy register fit for billing. *Fail-safe*: what a charger does by itself when the \
         gateway falls silent is safe. *Experimental*: thin or conflicting facts, told on the page.\n\n\
         | Vendor | Models | Profile | Kind | Link | Billing | Fail-safe | Experimental |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let mut rows: Vec<(String, String)> = Vec::new();
    for profile in profiles {
        let about = &profile.about;
        let link = match profile.transport() {
            "both" => "serial, TCP",
            "tcp" => "TCP",
            other => other,
        };
        let kind = match profile.kind {
            Kind::Charger => "charger",
            Kind::Meter => "meter",
            Kind::Reader => "card reader",
            Kind::Contacts => "contacts",
        };
        let yes = |yes: bool| if yes { "yes" } else { "" };
        let row = format!(
            "| {} | {} | [{id}]({id}.md) | {kind} | {link} | {} | {} | {} |\n",
            about.vendor,
            about.models.join(", ").replace('|', "/"),
            yes(profile.is_billing_grade()),
            profile.fail_safe(),
            yes(about.experimental.is_some()),
            id = profile.id,
        );
        rows.push((format!("{}\n{}", about.vendor.to_lowercase(), profile.id), row));
    }
    rows.sort();
    rows.iter().for_each(|(_, row)| text.push_str(row));
    text
}

fn quantity_name(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Voltage => "voltage",
        Quantity::Current => "current",
        Quantity::Power => "power",
        Quantity::ApparentPower => "apparent power",
        Quantity::ReactivePower => "reactive power",
        Quantity::EnergyImport => "energy, import",
        Quantity::EnergyExport => "energy, export",
        Quantity::ReactiveEnergyImport => "reactive energy, import",
        Quantity::ReactiveEnergyExport => "reactive energy, export",
        Quantity::PowerFactor => "power factor",
        Quantity::Frequency => "frequency",
        Quantity::Temperature => "temperature",
        Quantity::CurrentOffered => "current offered",
        Quantity::Soc => "state of charge",
    }
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Total => "total",
        Phase::L1 => "L1",
        Phase::L2 => "L2",
        Phase::L3 => "L3",
        Phase::N => "N",
    }
}

fn phase_suffix(phase: Phase) -> &'static str {
    match phase {
        Phase::Total => "",
        Phase::L1 => " L1",
        Phase::L2 => " L2",
        Phase::L3 => " L3",
        Phase::N => " N",
    }
}

fn fact_name(fact: DeviceFact) -> &'static str {
    match fact {
        DeviceFact::SerialNumber => "serial number",
        DeviceFact::FirmwareVersion => "firmware version",
        DeviceFact::Model => "model",
        DeviceFact::MapVersion => "version of the register map",
    }
}
