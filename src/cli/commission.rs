//! `retrovolt commission`: accepts a charger and writes it down.

use super::line::{load, usage};
use crate::commission::acceptance::{Plan, Report, Step, Verdict, accept};
use crate::device::Kind;
use crate::runtime::clock::SystemClock;
use crate::runtime::{self, exit};
use clap::Args;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Options of `retrovolt commission`.
#[derive(Debug, Args)]
pub struct CommissionArgs {
    /// The charger, as the configuration names it.
    charger: String,
    /// The configuration file.
    #[arg(short, long, default_value_os_t = runtime::default_config().to_owned())]
    config: PathBuf,
    /// Try it without a vehicle: what flows is then not judged.
    #[arg(long)]
    no_vehicle: bool,
    /// Try one and three phases, too.
    #[arg(long)]
    phases: bool,
    /// Do not fall silent at the end.
    #[arg(long)]
    no_failsafe: bool,
    /// Release the plug lock, too.
    #[arg(long)]
    unlock: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Where the report goes: NAME.txt and NAME.json.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// The report as one JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Drives the charger. Exit code 69 where a step failed.
pub async fn run(args: CommissionArgs) -> ExitCode {
    let loaded = match load(&args.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let found = loaded.setup.buses.iter().find_map(|bus| {
        let own = bus
            .devices
            .iter()
            .find(|device| device.id.as_str() == args.charger)?;
        Some((bus.clone(), own.clone()))
    });
    let Some((mut bus, device)) = found else {
        return usage(&format!(
            "{} knows no device {:?}",
            args.config.display(),
            args.charger
        ));
    };
    if loaded
        .library
        .get(&device.profile)
        .is_none_or(|profile| profile.kind() != Kind::Charger)
    {
        return usage(&format!("{:?} is no charger", args.charger));
    }
    if !args.yes && !consents(&args) {
        return usage("nothing was done");
    }
    bus.devices = vec![device];
    let plan = Plan {
        vehicle: !args.no_vehicle,
        phases: args.phases,
        failsafe: !args.no_failsafe,
        unlock: args.unlock,
    };
    let clock = Arc::new(SystemClock::for_a_tool());
    let json = args.json;
    let mut tell = move |step: &Step| {
        if !json {
            println!("{}", line(step));
        }
    };
    match accept(bus, &loaded.library, clock, plan, &mut tell).await {
        Ok(report) => finish(&args, &report),
        Err(error) => {
            eprintln!("retrovolt: {error}");
            ExitCode::from(exit::UNAVAILABLE)
        }
    }
}

fn consents(args: &CommissionArgs) -> bool {
    if !std::io::stdin().is_terminal() {
        eprintln!("retrovolt: without a terminal --yes must say that this is meant");
        return false;
    }
    eprintln!(
        "{} will be started, limited, paused and left alone. The gateway must be stopped meanwhile.",
        args.charger
    );
    if !args.no_vehicle {
        eprintln!("Plug in a vehicle that wants to charge (without one: --no-vehicle).");
    }
    eprint!("Go on? [y/N] ");
    // A question that does not show cannot be answered.
    if std::io::stderr().flush().is_err() {
        return false;
    }
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn line(step: &Step) -> String {
    let mark = match step.verdict {
        Verdict::Passed => "ok  ",
        Verdict::Failed => "FAIL",
        Verdict::Skipped => "-   ",
    };
    format!("{mark} {:<44} {}", step.step, step.seen)
}

fn finish(args: &CommissionArgs, report: &Report) -> ExitCode {
    let json = serde_json::to_string(report).unwrap_or_default();
    if args.json {
        println!("{json}");
    }
    if let Some(name) = &args.output {
        let files = [
            (name.with_extension("txt"), text(report)),
            (name.with_extension("json"), json),
        ];
        for (file, content) in files {
            if let Err(error) = std::fs::write(&file, content) {
                eprintln!("retrovolt: {}: {error}", file.display());
                return ExitCode::from(exit::CANT_CREATE);
            }
        }
    }
    if report.passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::UNAVAILABLE)
    }
}

fn text(report: &Report) -> String {
    let mut out = format!("Acceptance of {}\nprofile {}\n", report.device, report.profile);
    // Writing into a string cannot fail.
    for (name, value) in &report.facts {
        let _ = writeln!(out, "{name} {value}");
    }
    out.push('\n');
    for step in &report.steps {
        let _ = writeln!(out, "{}", line(step));
    }
    let _ = writeln!(out, "\n{}", if report.passed { "Passed." } else { "NOT passed." });
    out
}
