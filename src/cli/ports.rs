//! `retrovolt ports`: serial ports of this machine.

use crate::commission::ports::{Port, Roots, list};
use crate::runtime::exit;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// Options of `retrovolt ports`.
#[derive(Debug, Args)]
pub struct PortsArgs {
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Lists them. Exit code 69 where there are none.
pub fn run(args: &PortsArgs) -> ExitCode {
    let ports = list(&Roots::default());
    if args.json {
        println!("{}", json!({ "schema": 1, "ports": ports }));
    } else {
        for port in &ports {
            print!("{}", told(port));
        }
        if ports.is_empty() {
            eprintln!("retrovolt: no serial port; is the adapter plugged in, and does `dmesg` name it?");
        }
    }
    if ports.is_empty() {
        ExitCode::from(exit::UNAVAILABLE)
    } else {
        ExitCode::SUCCESS
    }
}

fn told(port: &Port) -> String {
    let mut lines = vec![port.best_name().display().to_string()];
    let mut line = |name: &str, text: Option<String>| {
        lines.extend(text.map(|text| format!("    {name:<8} {text}")));
    };
    line("device", Some(port.device.display().to_string()));
    line("chip", port.chip.clone());
    line("usb id", port.usb.clone());
    line("serial", port.serial.clone());
    line("driver", port.driver.clone());
    let held: Vec<String> = port
        .held_by
        .iter()
        .map(|(id, name)| format!("{name} ({id})"))
        .collect();
    line("held by", (!held.is_empty()).then(|| held.join(", ")));
    line("problem", port.problem.clone());
    lines.push(String::new());
    lines.join("\n")
}
