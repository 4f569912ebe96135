//! `retrovolt read` and `write`: single registers.

use super::line::{LineArgs, Spot, agreed, lost, usage};
use crate::commission::judge::Verdict;
use crate::commission::registers::{ByteOrder, Guess, ORDERS, Type, around, decode, encode, guess, write};
use crate::commission::talk::Told;
use crate::device::{ReadFc, Reply};
use crate::runtime::control::running;
use crate::runtime::exit;
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Guesses shown.
const SHOWN: usize = 8;

/// Options of `retrovolt read`.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// The address, decimal or 0x..., counted as --base says.
    #[arg(long, short)]
    addr: String,
    #[command(flatten)]
    line: LineArgs,
    /// Function that reads: 1 to 4.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=4))]
    fc: u8,
    /// Registers or bits.
    #[arg(long, default_value_t = 1)]
    count: u16,
    /// How the number lies in the registers.
    #[arg(long = "type", value_parser = kind)]
    kind: Option<Type>,
    /// Order of the bytes on the wire.
    #[arg(long, default_value = "abcd", value_parser = order)]
    order: ByteOrder,
    /// What the first register is called: 0 as on the wire, or 1 as in many vendors' tables.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1))]
    base: u16,
    /// Try every type, order and neighbour, and rank what makes sense.
    #[arg(long)]
    guess: bool,
    /// What the device's own display shows, for --guess.
    #[arg(long, requires = "guess")]
    expect: Option<f64>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Options of `retrovolt write`.
#[derive(Debug, Args)]
pub struct WriteArgs {
    /// The address, decimal or 0x..., counted as --base says.
    #[arg(long, short)]
    addr: String,
    /// The value, decimal or 0x...
    #[arg(long, allow_hyphen_values = true)]
    value: String,
    #[command(flatten)]
    line: LineArgs,
    /// How the number lies in the registers.
    #[arg(long = "type", default_value = "u16", value_parser = kind)]
    kind: Type,
    /// Order of the bytes on the wire.
    #[arg(long, default_value = "abcd", value_parser = order)]
    order: ByteOrder,
    /// What the first register is called: 0 as on the wire, or 1 as in many vendors' tables.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1))]
    base: u16,
    /// Use function 16 for a single register, too.
    #[arg(long)]
    multi: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Write even while a session runs.
    #[arg(long)]
    force: bool,
}

fn kind(text: &str) -> Result<Type, String> {
    Type::named(text).ok_or_else(|| "one of u16, i16, u32, i32, f32, u64, i64, f64".to_owned())
}

fn order(text: &str) -> Result<ByteOrder, String> {
    let known: Vec<&str> = ORDERS.iter().map(|order| order.name()).collect();
    ByteOrder::named(text).ok_or_else(|| format!("one of {}", known.join(", ")))
}

fn address(text: &str, base: u16) -> Result<u16, ExitCode> {
    let number = match text.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    let below = || format!("{text:?} is no address from {base} to 65535");
    number
        .and_then(|number: u16| number.checked_sub(base))
        .ok_or_else(|| usage(&below()))
}

/// Reads and shows. Exit code 76 where the unit does not tell.
pub async fn read(args: ReadArgs) -> ExitCode {
    match read_it(args).await {
        Ok(code) | Err(code) => code,
    }
}

async fn read_it(args: ReadArgs) -> Result<ExitCode, ExitCode> {
    let addr = address(&args.addr, args.base)?;
    let mut spot = args.line.spot()?;
    let fc = ReadFc::from_code(args.fc).ok_or_else(|| usage("the function is 1 to 4"))?;
    let mut medium = spot.open().await?;
    let mut talk = spot.talk(&mut medium);
    if args.guess {
        let found = around(&mut talk, spot.unit, fc, addr)
            .await
            .map_err(|error| lost(&error))?;
        let Some((registers, before)) = found else {
            return Err(silent(&spot, "does not tell these registers"));
        };
        return Ok(tell_guesses(&args, addr, &guess(&registers, before, args.expect)));
    }
    let count = args.kind.map_or(args.count, |kind| kind.width().max(args.count));
    let told = talk
        .read(spot.unit, fc, addr, count)
        .await
        .map_err(|error| lost(&error))?;
    let words: Vec<u16> = match &told.judged.verdict {
        Verdict::Reply(Reply::Registers(registers)) => registers.clone(),
        Verdict::Reply(Reply::Bits(bits)) => bits
            .iter()
            .take(usize::from(count))
            .map(|bit| u16::from(*bit))
            .collect(),
        _ => return Err(refused(&spot, &told)),
    };
    let value = args
        .kind
        .and_then(|kind| decode(kind, args.order, &words))
        .map(|value| value.to_string());
    if args.json {
        println!(
            "{}",
            json!({ "schema": 1, "addr": addr, "raw": words, "value": value })
        );
    } else {
        for (index, word) in words.iter().enumerate() {
            let shown = usize::from(addr) + index + usize::from(args.base);
            println!("{shown:>6}  0x{word:04X}  {word}");
        }
        if let Some(value) = value {
            println!("        {value}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_guesses(args: &ReadArgs, addr: u16, guesses: &[Guess]) -> ExitCode {
    let place = |guess: &Guess| {
        addr.wrapping_add_signed(i16::from(guess.offset))
            .wrapping_add(args.base)
    };
    if args.json {
        let list: Vec<_> = guesses
            .iter()
            .take(SHOWN)
            .map(|g| json!({ "addr": place(g), "type": g.kind.name(), "order": g.order.name(), "value": g.value.to_string(), "scale": g.scale }))
            .collect();
        println!("{}", json!({ "schema": 1, "guesses": list }));
    } else if guesses.is_empty() {
        println!(
            "nothing here makes sense; with --expect VALUE (what the display shows) other quantities than volt and hertz are found"
        );
    } else {
        for g in guesses.iter().take(SHOWN) {
            println!(
                "{:>6}  {}  {}  {} x {} = {}",
                place(g),
                g.kind.name(),
                g.order.name(),
                g.value,
                g.scale,
                g.value.number() * g.scale
            );
        }
    }
    ExitCode::SUCCESS
}

/// Writes what was asked for, after a question. Exit code 77 while a session runs.
pub async fn write_it(args: WriteArgs) -> ExitCode {
    match write_checked(args).await {
        Ok(code) | Err(code) => code,
    }
}

async fn write_checked(args: WriteArgs) -> Result<ExitCode, ExitCode> {
    let addr = address(&args.addr, args.base)?;
    let values = encode(args.kind, args.order, &args.value)
        .ok_or_else(|| usage(&format!("{:?} does not fit {}", args.value, args.kind.name())))?;
    let mut spot = args.line.spot()?;
    if !args.force {
        no_session(&spot).await?;
    }
    if !args.yes && !confirmed(&spot, addr, &values) {
        return Err(usage("nothing was written"));
    }
    let mut medium = spot.open().await?;
    let mut talk = spot.talk(&mut medium);
    let told = write(&mut talk, spot.unit, addr, values, args.multi)
        .await
        .map_err(|error| lost(&error))?;
    match told.judged.verdict {
        Verdict::Reply(Reply::Written) => {
            println!("written");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(refused(&spot, &told)),
    }
}

/// A register may stop a charge: not while somebody charges, and not where that cannot be told.
async fn no_session(spot: &Spot) -> Result<(), ExitCode> {
    let Some(socket) = &spot.socket else { return Ok(()) };
    let why = match running(socket).await {
        Ok(None) => return Ok(()),
        Ok(Some(status)) if !is_charging(&status) => return Ok(()),
        Ok(Some(_)) => "a session is running; end it first".to_owned(),
        Err(why) => format!(
            "whether a session is running cannot be told: {}: {why}",
            socket.display()
        ),
    };
    eprintln!("retrovolt: {why}, or write with --force");
    Err(ExitCode::from(exit::NO_PERMISSION))
}

/// Whether any EVSE of the gateway has a transaction; a status that does not say counts as one that has.
fn is_charging(status: &Value) -> bool {
    let Some(points) = status["charge_points"].as_array() else {
        return true;
    };
    let mut evses = points
        .iter()
        .flat_map(|point| point["station"]["evses"].as_array().into_iter().flatten());
    evses.any(|evse| !evse["tx"].is_null())
}

fn confirmed(spot: &Spot, addr: u16, values: &[u16]) -> bool {
    agreed(&format!(
        "Write {values:04X?} to register {addr} of unit {}?",
        spot.unit
    ))
}

fn refused(spot: &Spot, told: &Told) -> ExitCode {
    match &told.judged.verdict {
        Verdict::Exception(code) => silent(spot, &format!("refuses with exception {code:#04x}")),
        Verdict::Silence => silent(spot, "does not answer"),
        Verdict::OnlyEcho => silent(spot, "does not answer; only the echo of the request was heard"),
        Verdict::Foreign(error) | Verdict::Damaged(error) => {
            silent(spot, &format!("cannot be understood: {error}"))
        }
        Verdict::Reply(_) => silent(spot, "answered something else"),
    }
}

fn silent(spot: &Spot, what: &str) -> ExitCode {
    eprintln!(
        "retrovolt: unit {} {what}; `retrovolt doctor --bus` looks for the cause",
        spot.unit
    );
    ExitCode::from(exit::PROTOCOL)
}
