//! `retrovolt sessions`: the journal of sessions, whether it is as it was written, and what each CSMS acknowledged.

mod print;
mod reconcile;
mod table;

use crate::config::{self, LoadOptions};
use crate::domain::{IdToken, TokenKind};
use crate::runtime::{self, exit};
use crate::store::{
    Checked, JournalRecord, PublicKey, Session, StoreError, journal_token, read_sessions, reconcile_sessions,
};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of the verb.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SessionsArgs {
    #[command(subcommand)]
    verb: Option<SessionsVerb>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum SessionsVerb {
    /// Hold the journal against what each CSMS acknowledged. Ends with 75 while something waits, 76 on a difference.
    Reconcile(ListArgs),
    /// Check every record of the journal. Ends with 65 when it is not as it was written.
    Verify(VerifyArgs),
    /// Print the public key by which others can check records.
    Key(PlaceArgs),
    /// Print what the journal keeps of a token, to find its sessions.
    Token(TokenArgs),
}

#[derive(Debug, Args)]
struct PlaceArgs {
    /// The configuration file that names the state directory.
    #[arg(short, long, default_value_os_t = runtime::default_config().to_owned())]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Only sessions that ended then or later: a day (UTC) or a time like 2026-11-01T12:00:00Z.
    #[arg(long, value_parser = print::begin_of)]
    from: Option<i64>,
    /// Only sessions that ended before the end of this day (UTC), or before this time.
    #[arg(long, value_parser = print::end_of)]
    to: Option<i64>,
    /// Only sessions of this charge point.
    #[arg(long)]
    cp: Option<String>,
    /// One JSON object instead of a table.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Comma-separated values (RFC 4180) instead of a table.
    #[arg(long)]
    csv: bool,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// File with a public key that was printed by `sessions key`: no other may have signed. Can be repeated.
    #[arg(long)]
    key: Vec<PathBuf>,
    /// What an earlier check printed as the head: the journal must still lead through it.
    #[arg(long)]
    head: Option<String>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct TokenArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// The token as the reader tells it; upper and lower case are the same.
    token: String,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Json,
    Csv,
}

impl ListArgs {
    fn wants(&self, session: &Session) -> bool {
        self.from.is_none_or(|from| session.end_ms >= from)
            && self.to.is_none_or(|to| session.end_ms < to)
            && self.cp.as_ref().is_none_or(|cp| session.cp == *cp)
    }

    fn is_all(&self) -> bool {
        self.from.is_none() && self.to.is_none() && self.cp.is_none()
    }

    fn form(&self) -> Form {
        match (self.json, self.csv) {
            (true, _) => Form::Json,
            (_, true) => Form::Csv,
            _ => Form::Table,
        }
    }
}

/// Does what is asked.
pub fn run(args: &SessionsArgs) -> ExitCode {
    let place = match &args.verb {
        None => &args.list.place,
        Some(SessionsVerb::Reconcile(list)) => &list.place,
        Some(SessionsVerb::Verify(verify)) => &verify.place,
        Some(SessionsVerb::Key(place)) => place,
        Some(SessionsVerb::Token(token)) => &token.place,
    };
    let loaded = match config::load(&place.config, &LoadOptions::for_a_verb(&place.config)) {
        Ok(loaded) => loaded,
        Err(report) => {
            eprint!("{}", report.human());
            return exit::CONFIG.into();
        }
    };
    let dir = &loaded.setup.state_dir;
    let done = match &args.verb {
        None => list(dir, &args.list),
        Some(SessionsVerb::Reconcile(list)) => reconcile(dir, list),
        Some(SessionsVerb::Verify(args)) => verify(dir, args),
        Some(SessionsVerb::Key(_)) => key(dir),
        Some(SessionsVerb::Token(args)) => token(dir, &args.token),
    };
    done.unwrap_or_else(|error| {
        eprintln!("retrovolt: {error}");
        match error {
            StoreError::Path { .. } | StoreError::Io(_) => exit::NO_INPUT.into(),
            StoreError::Refused(_) => exit::USAGE.into(),
            _ => exit::DATA.into(),
        }
    })
}

fn list(dir: &Path, args: &ListArgs) -> Result<ExitCode, StoreError> {
    let form = args.form();
    let whole = form == Form::Json && args.is_all();
    let (mut sessions, mut records): (Vec<Session>, Vec<JournalRecord>) = (Vec::new(), Vec::new());
    let checked = read_sessions(dir, &[], None, |mut record| {
        sessions.extend(record.session.take().filter(|session| args.wants(session)));
        if whole {
            records.push(record);
        }
    })?;
    match form {
        Form::Table => print!("{}", table::sessions(&sessions)),
        Form::Csv => print!("{}", table::sessions_csv(&sessions)),
        Form::Json => println!(
            "{}",
            json!({
                "intact": checked.faults.is_empty(),
                "journal": checked,
                "sessions": sessions,
                "records": whole.then_some(records),
            })
        ),
    }
    Ok(verdict(&checked))
}

/// Names on stderr what is wrong, so that tables and files stay what they are.
fn verdict(checked: &Checked) -> ExitCode {
    for fault in &checked.faults {
        eprintln!("NOT AS IT WAS WRITTEN: {fault}");
    }
    if checked.faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        exit::DATA.into()
    }
}

fn reconcile(dir: &Path, args: &ListArgs) -> Result<ExitCode, StoreError> {
    let (checked, found) = reconcile_sessions(dir, |session| args.wants(session))?;
    let found: Vec<_> = found
        .into_iter()
        .filter(|one| args.cp.is_none() || one.cp.is_none() || one.cp == args.cp)
        .collect();
    match args.form() {
        Form::Table => print!("{}", reconcile::table(&found)),
        Form::Csv => print!("{}", reconcile::csv(&found)),
        Form::Json => println!(
            "{}",
            json!({
                "intact": checked.faults.is_empty(),
                "journal": checked,
                "counts": reconcile::counts(&found),
                "sessions": found,
            })
        ),
    }
    if !checked.faults.is_empty() {
        return Ok(verdict(&checked));
    }
    Ok(reconcile::exit_code(&found).into())
}

fn verify(dir: &Path, args: &VerifyArgs) -> Result<ExitCode, StoreError> {
    let mut trusted = Vec::new();
    for path in &args.key {
        let text = std::fs::read_to_string(path).map_err(|error| StoreError::Path {
            path: path.clone(),
            detail: error.to_string(),
        })?;
        let key = PublicKey::parse(&text).ok_or_else(|| {
            let path = path.display();
            StoreError::Refused(format!(
                "{path} holds no Ed25519 public key; `retrovolt sessions key` prints one"
            ))
        })?;
        trusted.push(key);
    }
    let checked = read_sessions(dir, &trusted, args.head.as_deref(), drop)?;
    if args.json {
        println!(
            "{}",
            json!({ "intact": checked.faults.is_empty(), "journal": checked })
        );
    } else {
        print!("{}", table::verdict(&checked));
    }
    Ok(verdict(&checked))
}

fn key(dir: &Path) -> Result<ExitCode, StoreError> {
    let checked = read_sessions(dir, &[], None, drop)?;
    let key = checked
        .keys
        .last()
        .and_then(|key| PublicKey::parse(&key.public_key));
    match key {
        Some(key) => print!("{}", key.pem()),
        None => eprintln!("retrovolt: the journal names no key"),
    }
    Ok(verdict(&checked))
}

fn token(dir: &Path, token: &str) -> Result<ExitCode, StoreError> {
    println!("{}", journal_token(dir, &IdToken::new(token, TokenKind::Local))?);
    Ok(ExitCode::SUCCESS)
}
