//! `retrovolt probe`: every point of a device, raw and decoded.

use super::line::{LineArgs, lost, usage};
use crate::commission::probe::{Outcome, Row, probe};
use crate::runtime::exit;
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Options of `retrovolt probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    #[command(flatten)]
    line: LineArgs,
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Reads and shows. Exit code 76 where something was not told or cannot be right.
pub async fn run(args: ProbeArgs) -> ExitCode {
    let mut spot = match args.line.spot() {
        Ok(spot) => spot,
        Err(code) => return code,
    };
    let Some(profile) = spot.profile.clone() else {
        return usage("which profile? name it with --profile, or a device of the configuration");
    };
    let mut medium = match spot.open().await {
        Ok(medium) => medium,
        Err(code) => return code,
    };
    let mut talk = spot.talk(&mut medium);
    let rows = match probe(&mut talk, spot.unit, spot.connector, &profile).await {
        Ok(rows) => rows,
        Err(error) => return lost(&error),
    };
    if args.json {
        let rows: Vec<Value> = rows.iter().map(as_json).collect();
        println!(
            "{}",
            json!({ "schema": 1, "profile": profile.id(), "unit": spot.unit, "points": rows })
        );
    } else {
        for row in &rows {
            println!("{}", line(row));
        }
    }
    let bad = |row: &Row| {
        matches!(
            row.outcome,
            Outcome::Failed(_) | Outcome::Value { doubt: Some(_), .. }
        )
    };
    if rows.iter().any(bad) {
        ExitCode::from(exit::PROTOCOL)
    } else {
        ExitCode::SUCCESS
    }
}

fn line(row: &Row) -> String {
    let asked = row
        .asked
        .map_or_else(|| "-".to_owned(), |(fc, addr)| format!("{fc}/{addr}"));
    let (mark, text) = match &row.outcome {
        Outcome::Value {
            text, doubt: None, ..
        } => (' ', text.clone()),
        Outcome::Value {
            text,
            doubt: Some(doubt),
            registers,
        } => ('?', format!("{text}   {registers:04X?}: {doubt}")),
        Outcome::NotHere => (' ', "(not in this firmware or set-up)".to_owned()),
        Outcome::WriteOnly => (' ', "(can only be written)".to_owned()),
        Outcome::Failed(why) => ('!', why.clone()),
    };
    format!("{mark} {:<28} {asked:>9}  {text}", row.name)
}

fn as_json(row: &Row) -> Value {
    let asked = row.asked.map(|(fc, addr)| json!({ "fc": fc, "addr": addr }));
    match &row.outcome {
        Outcome::Value {
            registers,
            text,
            doubt,
        } => json!({ "name": row.name, "asked": asked, "raw": registers, "value": text, "doubt": doubt }),
        Outcome::NotHere => json!({ "name": row.name, "asked": asked, "state": "not here" }),
        Outcome::WriteOnly => json!({ "name": row.name, "asked": asked, "state": "write-only" }),
        Outcome::Failed(why) => json!({ "name": row.name, "asked": asked, "error": why }),
    }
}
