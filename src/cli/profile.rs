//! `retrovolt profile`: what device profiles there are, what one says, and whether one holds together.

use crate::device::{Kind, Library, Profile, ProfileError};
use crate::runtime::exit;
use crate::sim::story::{Outcome, Report, rehearse};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
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
    /// Check profiles, then drive simulated devices made from them through a day.
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

/// What a profile could not be had for.
enum Unusable {
    Unreadable(String),
    Mistakes(Vec<ProfileError>),
}

impl Unusable {
    fn code(&self) -> u8 {
        match self {
            Self::Unreadable(_) => exit::NO_INPUT,
            Self::Mistakes(_) => exit::DATA,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Unreadable(why) => format!("{why}\n"),
            Self::Mistakes(errors) => errors
                .iter()
                .fold(String::new(), |text, error| text + &format!("{error}\n")),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Unreadable(why) => json!([{ "message": why }]),
            Self::Mistakes(errors) => errors.iter().map(mistake).collect(),
        }
    }
}

fn mistake(error: &ProfileError) -> Value {
    json!({
        "file": error.file, "line": error.line, "column": error.column, "key": error.key,
        "message": error.message, "suggestion": error.suggestion,
    })
}

/// A profile by file, or by its id.
fn find(name: &str, library: &Library) -> Result<Arc<Profile>, Unusable> {
    if !Path::new(name).exists()
        && let Some(profile) = library.get(name)
    {
        return Ok(profile);
    }
    match std::fs::read_to_string(name) {
        Ok(text) => Profile::parse(name, &text)
            .map(Arc::new)
            .map_err(Unusable::Mistakes),
        Err(error) => Err(Unusable::Unreadable(format!(
            "{name}: no such profile or file: {error}"
        ))),
    }
}

/// The shipped profiles with those of a folder over them.
fn library(folder: Option<&Path>) -> Result<Library, Unusable> {
    let mut library = Library::builtin();
    let mut folders: Vec<PathBuf> = folder.map(Path::to_owned).into_iter().collect();
    while let Some(folder) = folders.pop() {
        let unreadable = |error| Unusable::Unreadable(format!("{}: {error}", folder.display()));
        let entries = std::fs::read_dir(&folder).map_err(unreadable)?;
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                let text = std::fs::read_to_string(&path).map_err(unreadable)?;
                library
                    .add(&path.display().to_string(), &text)
                    .map_err(Unusable::Mistakes)?;
            }
        }
    }
    Ok(library)
}

fn give_up(unusable: &Unusable) -> ExitCode {
    eprint!("retrovolt: {}", unusable.text());
    unusable.code().into()
}

fn list(args: &ListArgs) -> ExitCode {
    let library = match library(args.device_dir.as_deref()) {
        Ok(library) => library,
        Err(unusable) => return give_up(&unusable),
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
            "{:width$}  {:<7}  {:<6}  {} {}{mark}",
            profile.id(),
            kind_name(profile.kind()),
            transports(profile),
            about.vendor,
            about.models.join(", ")
        );
    }
    ExitCode::SUCCESS
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Charger => "charger",
        Kind::Meter => "meter",
        Kind::Reader => "reader",
        Kind::Contacts => "contacts",
    }
}

fn transports(profile: &Profile) -> &'static str {
    match (profile.link().serial.is_some(), profile.link().tcp_port.is_some()) {
        (true, true) => "both",
        (true, false) => "serial",
        (false, _) => "tcp",
    }
}

fn summary(profile: &Profile) -> Value {
    let about = profile.about();
    json!({
        "id": profile.id(), "kind": kind_name(profile.kind()), "vendor": about.vendor, "models": about.models,
        "also_sold_as": about.also_sold_as, "transport": transports(profile), "phases": about.phases,
        "experimental": about.experimental, "billing_grade": profile.is_billing_grade(),
        "watchdog": profile.watchdog().is_some(),
        "fallback_safe": profile.watchdog().is_some_and(|watchdog| watchdog.fallback_safe),
    })
}

fn show(args: &ShowArgs) -> ExitCode {
    let found = library(args.device_dir.as_deref()).and_then(|library| find(&args.id, &library));
    let profile = match found {
        Ok(profile) => profile,
        Err(unusable) => return give_up(&unusable),
    };
    if args.json {
        let points: Vec<Value> = profile.points().iter().map(point).collect();
        let mut object = summary(&profile);
        object["schema"] = SCHEMA.into();
        object["source"] = json!(profile.about().source);
        object["caveats"] = json!(profile.about().caveats);
        object["points"] = points.into();
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
                objects.push(json!({ "file": name, "ok": report.is_good(), "report": report }));
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
    let (kind, models) = (kind_name(profile.kind()), about.models.join(", "));
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
        0 => writeln!(
            text,
            "  all steps hold; whether the registers are right only the real device knows"
        ),
        _ => writeln!(text, "  {failed} of {} steps failed", report.scenes.len()),
    };
    text
}
