//! `retrovolt profile`: what device profiles there are, what one says, and whether one holds together.

use super::library::{find, of_folder};
use crate::device::{Library, Profile};
use crate::runtime::exit;
use crate::sim::story::{Outcome, Report, rehearse};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Version of the JSON that these verbs print.
const SCHEMA: u32 = 1;

/// Options of `retrovolt profile`.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the device profiles there are.
    List(ListArgs),
    /// Show what a profile says.
    Show(ShowArgs),
    /// Check profiles, then drive simulated devices made from them through a day (Modbus; others are only checked).
    Test(TestArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Folder with profiles of your own; they win over shipped ones.
    #[arg(long)]
    device_dir: Option<PathBuf>,
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Id of a profile, or a file.
    id: String,
    /// Folder with profiles of your own; they win over shipped ones.
    #[arg(long)]
    device_dir: Option<PathBuf>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct TestArgs {
    /// Profile files, or ids of shipped profiles.
    #[arg(required = true)]
    files: Vec<String>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Show every write as well.
    #[arg(long)]
    writes: bool,
}

/// Does it. Exit codes: 0 good, 65 a profile has mistakes or its story fails, 66 a file cannot be read.
pub fn run(args: &ProfileArgs) -> ExitCode {
    match &args.verb {
        Verb::List(args) => list(args),
        Verb::Show(args) => show(args),
        Verb::Test(args) => test(args),
    }
}

fn list(args: &ListArgs) -> ExitCode {
    let library = match of_folder(args.device_dir.as_deref()) {
        Ok(library) => library,
        Err(unusable) => return unusable.give_up(),
    };
    let profiles: Vec<Arc<Profile>> = library.ids().filter_map(|id| library.get(id)).collect();
    if args.json {
        let rows: Vec<Value> = profiles.iter().map(|profile| summary(profile)).collect();
        println!("{}", json!({ "schema": SCHEMA, "profiles": rows }));
        return ExitCode::SUCCESS;
    }
    let width = profiles
        .iter()
        .map(|profile| profile.id().len())
        .max()
        .unwrap_or(0);
    for profile in &profiles {
        let about = profile.about();
        let mark = if about.experimental.is_some() {
            "  (experimental)"
        } else {
            ""
        };
        println!(
            "{:width$}  {:<7}  {:<11}  {:<8}  {} {}{mark}",
            profile.id(),
            profile.kind().word(),
            profile.protocol().word(),
            profile.transport(),
            about.vendor,
            about.models.join(", ")
        );
    }
    ExitCode::SUCCESS
}

fn summary(profile: &Profile) -> Value {
    let about = profile.about();
    json!({
        "id": profile.id(), "kind": profile.kind().word(), "vendor": about.vendor, "models": about.models,
        "also_sold_as": about.also_sold_as, "protocol": profile.protocol().word(),
        "transport": profile.transport(), "phases": about.phases,
        "experimental": about.experimental, "billing_grade": profile.is_billing_grade(),
        "watchdog": profile.watchdog().is_some(),
        "fallback_safe": profile.watchdog().is_some_and(|watchdog| watchdog.fallback_safe),
    })
}

fn show(args: &ShowArgs) -> ExitCode {
    let found = of_folder(args.device_dir.as_deref()).and_then(|library| find(&args.id, &library));
    let profile = match found {
        Ok(profile) => profile,
        Err(unusable) => return unusable.give_up(),
    };
    if args.json {
        let points: Vec<Value> = profile.points().iter().map(point).collect();
        let mut object = summary(&profile);
        object["schema"] = SCHEMA.into();
        object["source"] = json!(profile.about().source);
        object["caveats"] = json!(profile.about().caveats);
        object["points"] = points.into();
        object["values"] = profile.values().iter().map(value).collect();
        println!("{object}");
    } else {
        print!("{}", profile.page());
    }
    ExitCode::SUCCESS
}

fn point(point: &crate::device::Point) -> Value {
    json!({
        "name": point.name, "fc": point.fc.map(crate::device::ReadFc::code), "at": point.addr,
        "width": point.layout.width, "writable": point.write.is_some(), "meaning": point.meaning(),
    })
}

/// A value of a meter that is not Modbus.
fn value(value: &crate::device::ObisPoint) -> Value {
    let sum = |terms: &Vec<crate::device::Term>| {
        let term = |term: &crate::device::Term| {
            let sign = if term.minus { "-" } else { "" };
            format!("{sign}{}", term.code)
        };
        terms.iter().map(term).collect::<Vec<_>>()
    };
    json!({
        "name": value.name, "sums": value.sums.iter().map(sum).collect::<Vec<_>>(), "meaning": value.meaning(),
    })
}

fn test(args: &TestArgs) -> ExitCode {
    let library = Library::builtin();
    let (mut code, mut objects) = (0, Vec::new());
    for name in &args.files {
        let outcome = find(name, &library).map(|profile| (rehearse(&profile), profile));
        code = code.max(match &outcome {
            Ok((report, _)) if report.is_good() => 0,
            Ok(_) => exit::DATA,
            Err(unusable) => unusable.code(),
        });
        match outcome {
            Ok((report, _)) if args.json => {
                objects.push(json!({
                    "file": name, "ok": report.is_good(), "rehearsed": report.was_played(), "report": report,
                }));
            }
            Ok((report, profile)) => print!("{}", transcript(name, &profile, &report, args.writes)),
            Err(unusable) if args.json => {
                objects.push(json!({ "file": name, "ok": false, "mistakes": unusable.json() }));
            }
            Err(unusable) => print!("{}", unusable.text()),
        }
    }
    if args.json {
        println!("{}", json!({ "schema": SCHEMA, "profiles": objects }));
    }
    code.into()
}

/// The story as a person reads it.
fn transcript(name: &str, profile: &Profile, report: &Report, writes: bool) -> String {
    let about = profile.about();
    let (kind, models) = (profile.kind().word(), about.models.join(", "));
    let mut text = format!("{} ({kind}: {} {models}) in {name}\n", profile.id(), about.vendor);
    if let Some(why) = &about.experimental {
        let _ = writeln!(text, "  experimental: {why}");
    }
    for scene in &report.scenes {
        let mark = match scene.outcome {
            Outcome::Passed => "ok  ",
            Outcome::Failed => "FAIL",
            Outcome::Skipped => "-   ",
        };
        let _ = writeln!(text, "  {mark}  {:<15} {}", scene.name, scene.detail);
        if writes || scene.outcome == Outcome::Failed {
            for write in &scene.writes {
                let _ = writeln!(text, "          wrote {write}");
            }
        }
    }
    let failed = report.failures().count();
    let _ = match failed {
        0 if !report.was_played() => {
            writeln!(text, "  the file holds together; nothing was tried on a device")
        }
        0 => writeln!(
            text,
            "  all steps hold; whether the registers are right only the real device knows"
        ),
        _ => writeln!(text, "  {failed} of {} steps failed", report.scenes.len()),
    };
    text
}
