//! `retrovolt commission`: accepts a charger and writes it down.

use super::line::{agreed, load, usage};
use crate::commission::acceptance::{FOLLOWS, Plan, Report, Step, Verdict, accept, leave_safe, most_of};
use crate::config::Loaded;
use crate::device::{Kind, Library};
use crate::domain::{BusSetup, Clock, MilliAmps};
use crate::runtime::clock::SystemClock;
use crate::runtime::control::running;
use crate::runtime::{self, exit};
use clap::Args;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
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
    let (bus, most) = match subject(&loaded, &args) {
        Ok(subject) => subject,
        Err(why) => return usage(&why),
    };
    if let Err(code) = nobody_else(&loaded.setup.socket).await {
        return code;
    }
    if !args.yes && !consents(&args, most) {
        return usage("nothing was done");
    }
    let plan = Plan {
        most,
        vehicle: !args.no_vehicle,
        follows: FOLLOWS,
        phases: args.phases,
        failsafe: !args.no_failsafe,
        unlock: args.unlock,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::for_a_tool());
    let json = args.json;
    let mut tell = move |step: &Step| {
        if !json {
            println!("{}", line(step));
        }
    };
    let accepted = tokio::select! {
        accepted = accept(bus.clone(), &loaded.library, Arc::clone(&clock), plan, &mut tell) => accepted,
        _ = tokio::signal::ctrl_c() => return broken_off(&bus, &loaded.library, clock).await,
    };
    match accepted {
        Ok(report) => finish(&args, &report),
        Err(error) => {
            eprintln!("retrovolt: {error}");
            ExitCode::from(exit::UNAVAILABLE)
        }
    }
}

/// The charger with nothing else on its bus, and what the installation carries.
fn subject(loaded: &Loaded, args: &CommissionArgs) -> Result<(BusSetup, MilliAmps), String> {
    let charger = &args.charger;
    let (bus, device) = loaded
        .setup
        .device(charger)
        .ok_or_else(|| format!("{} knows no device {charger:?}", args.config.display()))?;
    let profile = loaded.library.get(&device.profile);
    if profile.is_none_or(|profile| profile.kind() != Kind::Charger) {
        return Err(format!("{charger:?} is no charger"));
    }
    let most = most_of(&loaded.setup, &device.id).ok_or_else(|| {
        format!("no [[charge_point.evse]] has {charger:?} as its charger, so nothing says how much current the installation carries")
    })?;
    let devices = vec![device.clone()];
    Ok((
        BusSetup {
            devices,
            ..bus.clone()
        },
        most,
    ))
}

/// Two masters must not steer one charger.
async fn nobody_else(socket: &Path) -> Result<(), ExitCode> {
    let why = match running(socket).await {
        Ok(None) => return Ok(()),
        Ok(Some(_)) => "the gateway runs; stop it for the time of the acceptance".to_owned(),
        Err(why) => format!(
            "whether the gateway runs cannot be told: {}: {why}",
            socket.display()
        ),
    };
    eprintln!("retrovolt: {why}");
    Err(exit::CANT_CREATE.into())
}

/// Ended by Ctrl-C: the charger does not stay as the last step had it.
async fn broken_off(bus: &BusSetup, library: &Library, clock: Arc<dyn Clock>) -> ExitCode {
    eprintln!("retrovolt: stopped; the charger is put into its safe state");
    if let Err(why) = leave_safe(bus, library, clock).await {
        eprintln!("retrovolt: the charger may still offer what it was told last: {why}");
    }
    ExitCode::from(130)
}

fn consents(args: &CommissionArgs, most: MilliAmps) -> bool {
    eprintln!(
        "{} will be started, limited up to {most}, paused and left alone.",
        args.charger
    );
    if !args.no_vehicle {
        eprintln!("Plug in a vehicle that wants to charge (without one: --no-vehicle).");
    }
    agreed("Go on?")
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
