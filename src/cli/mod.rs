//! The verbs. Data goes to stdout, messages to stderr; exit codes are those of sysexits(3).

mod brokers;
mod commission;
mod csms;
mod daemon;
mod demo;
mod diag;
mod doctor;
mod health;
mod host;
mod library;
mod line;
mod pages;
mod ports;
mod probe;
mod profile;
mod register;
mod reload;
mod scan;
mod security_log;
mod sessions;
mod status;

use crate::config;
use crate::runtime::{self, RunOptions, exit, log};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Makes EV chargers without OCPP into real OCPP charge points.
#[derive(Debug, Parser)]
#[command(name = "retrovolt", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// More words in the log than `gateway.log_level` asks for (-v debug, -vv everything).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Only warnings and errors.
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the gateway in the foreground.
    Run(RunArgs),
    /// Check a configuration and say everything that is wrong with it.
    CheckConfig(CheckArgs),
    /// Show buses, chargers, CSMS links, sessions and the ledger of the running gateway.
    Status(status::StatusArgs),
    /// Have the running gateway read its configuration again; a bad one changes nothing.
    Reload(reload::ReloadArgs),
    /// Say by the exit code whether the running gateway is well, within two seconds; -v says why not.
    Healthcheck(health::HealthArgs),
    /// Say by the exit code whether the gateway may be stopped for an update; -v says why not.
    Maintenance(health::MaintenanceArgs),
    /// Write a support bundle without secrets.
    Diag(diag::DiagArgs),
    /// List the serial ports of this machine.
    Ports(ports::PortsArgs),
    /// Find devices on a line or in a network, read-only.
    Scan(scan::ScanArgs),
    /// Read every point of a device, raw and decoded.
    Probe(probe::ProbeArgs),
    /// Read single registers.
    Read(register::ReadArgs),
    /// Write a single register or value, after a question.
    Write(register::WriteArgs),
    /// Drive a charger through everything it must do, and write a report.
    Commission(commission::CommissionArgs),
    /// Find out what is wrong with this machine, buses, devices, CSMSs and brokers: each with its cause and the next step.
    Doctor(doctor::DoctorArgs),
    /// Show the security events of this gateway, and whether anybody has tampered with their log.
    SecurityLog(security_log::SecurityLogArgs),
    /// Show finished sessions out of the signed journal, and hold them against what each CSMS acknowledged.
    Sessions(sessions::SessionsArgs),
    /// List, show and test device profiles.
    Profile(profile::ProfileArgs),
    /// Show the whole thing on simulated hardware: an outage, a kill -9, nothing lost.
    Demo(demo::DemoArgs),
    /// Print the completions of a shell.
    Completions(pages::CompletionsArgs),
    /// Write the manual pages to a folder.
    Man(pages::ManArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The configuration file.
    #[arg(short, long, default_value_os_t = runtime::default_config().to_owned())]
    config: PathBuf,
    /// Folder of drop-ins [default: conf.d beside the file].
    #[arg(long)]
    config_dir: Option<PathBuf>,
    /// End with code 78 on a bad configuration, 71 or 73 where the ledger cannot be had, instead of waiting.
    #[arg(long)]
    strict: bool,
    /// Form of the log [default: `gateway.log_format`].
    #[arg(long, value_enum)]
    log_format: Option<log::LogFormat>,
    /// Make every random choice repeat itself (for tests).
    #[arg(long, hide = true)]
    seed: Option<u64>,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Files to check.
    #[arg(default_values_os_t = [runtime::default_config().to_owned()])]
    files: Vec<PathBuf>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Exit with 1 when there are warnings.
    #[arg(long)]
    warnings_as_errors: bool,
    /// Show what is in force after drop-ins, environment and defaults, without secrets.
    #[arg(long)]
    print_effective: bool,
}

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            drop(error.print());
            return if usage {
                ExitCode::from(64)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match cli.verb {
        Verb::Run(args) => run(args, cli.verbose, cli.quiet),
        Verb::CheckConfig(args) => check_config(&args),
        Verb::Ports(args) => ports::run(&args),
        Verb::Scan(args) => in_runtime(scan::run(args)),
        Verb::Probe(args) => in_runtime(probe::run(args)),
        Verb::Read(args) => in_runtime(register::read(args)),
        Verb::Write(args) => in_runtime(register::write_it(args)),
        Verb::Commission(args) => in_runtime(commission::run(args)),
        Verb::Doctor(args) => in_runtime(doctor::run(args)),
        Verb::Status(args) => in_runtime(status::run(args)),
        Verb::Reload(args) => in_runtime(reload::run(args)),
        Verb::Healthcheck(args) => in_runtime(health::check(args, cli.verbose > 0)),
        Verb::Maintenance(args) => in_runtime(health::maintenance(args, cli.verbose > 0)),
        Verb::Diag(args) => in_runtime(diag::run(args)),
        Verb::SecurityLog(args) => security_log::run(&args),
        Verb::Sessions(args) => sessions::run(&args),
        Verb::Profile(args) => profile::run(&args),
        Verb::Completions(args) => pages::completions::<Cli>(&args),
        Verb::Man(args) => pages::man::<Cli>(&args),
        Verb::Demo(args) => {
            log::start(log::Wish::beside_a_story(cli.verbose, cli.quiet));
            in_runtime(demo::run(args))
        }
    }
}

fn run(args: RunArgs, verbose: u8, quiet: bool) -> ExitCode {
    log::start(log::Wish::of(args.log_format, verbose, quiet));
    let mut load = config::LoadOptions::for_file(&args.config);
    if args.config_dir.is_some() {
        load.dropins = args.config_dir;
    }
    let options = RunOptions {
        config: args.config,
        load,
        strict: args.strict,
        seed: args.seed,
    };
    in_runtime(runtime::run(options))
}

fn check_config(args: &CheckArgs) -> ExitCode {
    let (text, code) = config::check(&args.files, args.json, args.warnings_as_errors);
    print!("{text}");
    if args.print_effective {
        for file in &args.files {
            if let Ok(loaded) = config::load(file, &config::LoadOptions::for_a_verb(file)) {
                print!("{}", config::effective(&loaded.setup));
            }
        }
    }
    ExitCode::from(u8::try_from(code).unwrap_or(exit::SOFTWARE))
}

fn in_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    // Two workers: one may be busy with TLS or JSON while the other keeps the buses going.
    match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // A name look-up that hangs cannot be called back; nobody waits for it any more.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("retrovolt: the system gives no event loop: {error}");
            runtime::hold_back();
            ExitCode::from(exit::OS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// The public half of a key; the number of a card, asked by who has it in his hand.
    const HARMLESS: [(&str, &str); 2] = [("verify", "key"), ("token", "token")];

    fn check(command: &clap::Command, found: &mut Vec<String>) {
        for argument in command.get_arguments() {
            let name = argument.get_id().as_str();
            let of_a_secret = ["password", "secret", "token", "credential", "key"]
                .iter()
                .any(|word| name.contains(word));
            let harmless = HARMLESS.contains(&(command.get_name(), name));
            if of_a_secret && !harmless && !name.ends_with("_file") {
                found.push(format!("{} --{name}", command.get_name()));
            }
        }
        command.get_subcommands().for_each(|below| check(below, found));
    }

    /// A command line is seen by everybody on the machine, and is kept by the shell (promise X2).
    #[test]
    fn no_secret_can_be_written_on_the_command_line() {
        let mut found = Vec::new();
        check(&Cli::command(), &mut found);
        assert!(found.is_empty(), "{found:?}");
    }
}
