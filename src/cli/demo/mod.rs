//! `retrovolt demo`: the real gateway on simulated hardware, readable by a person.
//!
//! Chargers, meters and vehicles are simulated from the shipped device profiles behind pseudo-terminals at their real
//! speed, the CSMS is a small one of our own; the gateway between them is this very binary in a process of its own,
//! which is why it can be killed.

mod report;
mod stage;

use crate::runtime::exit;
use crate::sim::ProcessError;
use crate::sim::status::{online, sessions, up, waiting};
use clap::Args;
use report::{Narrator, Table};
use serde_json::json;
use stage::{GARAGE, Stage, YARD};
use std::process::ExitCode;
use std::time::Duration;

/// No step takes longer; the slowest waits for a reconnect.
const PATIENCE: Duration = Duration::from_secs(30);

/// Options of `retrovolt demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Leave everything running at the end, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

/// Why the demo could not show something.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The system.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The gateway.
    #[error("{0}")]
    Process(#[from] ProcessError),
    /// A step did not happen.
    #[error("did not happen within {PATIENCE:?}: {0}")]
    Missing(String),
    /// The charge point gave another answer than it should.
    #[error("{0}")]
    Unexpected(String),
}

/// Plays the script and judges. Exit code 0 only when nothing was lost or doubled.
pub async fn run(args: DemoArgs) -> ExitCode {
    let mut narrator = Narrator::new(args.json);
    match play(&mut narrator, args.keep).await {
        Ok(table) => {
            narrator.table(&table);
            if table.is_perfect() {
                ExitCode::SUCCESS
            } else {
                exit::SOFTWARE.into()
            }
        }
        Err(error) => {
            narrator.failed(&error.to_string());
            exit::SOFTWARE.into()
        }
    }
}

async fn play(tell: &mut Narrator, keep: bool) -> Result<Table, DemoError> {
    let mut stage = Stage::build().await?;
    stage.gateway.start()?;
    arrive(tell, &stage).await?;
    charge(tell, &stage).await?;
    limit(tell, &stage).await?;
    outage(tell, &stage).await?;
    kill(tell, &mut stage).await?;
    depart(tell, &stage).await?;
    if keep {
        tell.step("Left running", &stage.how_to_look());
        // Only Ctrl-C ends the wait; a system without signals ends it at once.
        let _ = tokio::signal::ctrl_c().await;
    }
    stage.stop_gateway().await?;
    stage.judge().await
}

async fn arrive(tell: &mut Narrator, stage: &Stage) -> Result<(), DemoError> {
    let status = stage
        .until("both buses are open and all four devices answer", |s| {
            up(s, "ports") == 2 && up(s, "devices") == 4
        })
        .await?;
    let names = |key: &str| {
        status["south"][key]
            .as_object()
            .map_or_else(String::new, |m| m.keys().cloned().collect::<Vec<_>>().join(", "))
    };
    tell.step(
        "The buses are found",
        &format!("{}: {} answer", names("ports"), names("devices")),
    );
    for cp in [GARAGE, YARD] {
        let boot = stage.heard(0, cp, "BootNotification").await?;
        let station = if boot["chargingStation"].is_object() {
            &boot["chargingStation"]
        } else {
            &boot
        };
        let model = station["chargePointModel"]
            .as_str()
            .or(station["model"].as_str())
            .unwrap_or("?");
        tell.step(
            "A charge point boots",
            &format!("{cp} as `{model}`, over {}", stage.protocol(cp)),
        );
    }
    stage
        .until("both charge points are accepted", |s| online(s) == 2)
        .await?;
    Ok(())
}

async fn charge(tell: &mut Narrator, stage: &Stage) -> Result<(), DemoError> {
    let mark = stage.csms.mark();
    stage.plug("wallbox")?;
    let status = stage.status_of(mark, GARAGE, "Preparing").await?;
    tell.step("A vehicle is plugged in", &format!("{GARAGE} reports {status}"));
    let start = json!({ "connectorId": 1, "idTag": "DEMO-CARD" });
    stage.accepted(GARAGE, "RemoteStartTransaction", start).await?;
    let begun = stage.heard(mark, GARAGE, "StartTransaction").await?;
    stage.charging("wallbox").await?;
    tell.step(
        "Remote start",
        &format!(
            "session begun at register {} Wh, current flows",
            begun["meterStart"]
        ),
    );
    let values = stage.heard(stage.csms.mark(), GARAGE, "MeterValues").await?;
    let shown = stage::power_of(&values).unwrap_or_else(|| "no power".to_owned());
    tell.step(
        "Meter values",
        &format!("the billing meter on the same line: {shown}"),
    );
    let mark = stage.csms.mark();
    stage.plug("post")?;
    let begun = stage.begun(mark, YARD).await?;
    tell.step("A second charge point", &format!("{YARD}: {begun}"));
    Ok(())
}

async fn limit(tell: &mut Narrator, stage: &Stage) -> Result<(), DemoError> {
    stage
        .accepted(GARAGE, "SetChargingProfile", stage::profile_of(10))
        .await?;
    let register = stage.register_reads("wallbox", 261, 100).await?;
    tell.step(
        "A limit from the CSMS",
        &format!("10 A: the wallbox's holding register 261 reads {register}"),
    );
    Ok(())
}

async fn outage(tell: &mut Narrator, stage: &Stage) -> Result<(), DemoError> {
    let before = stage.energy()?;
    stage.cut_link();
    stage
        .until("the gateway sees the outage", |s| online(s) == 0)
        .await?;
    tell.step("The link is cut", "no CSMS can be reached");
    let queued = stage
        .until("six events wait in the ledger", |s| {
            (6..u64::MAX).contains(&waiting(s))
        })
        .await?;
    stage.unplug("post")?;
    stage
        .until("the second session ended in the outage", |s| sessions(s) == 1)
        .await?;
    let after = stage.energy()?;
    if after <= before {
        return Err(DemoError::Unexpected(
            "charging did not go on during the outage".into(),
        ));
    }
    let gained = (after - before).base();
    tell.step(
        "Charging goes on",
        &format!(
            "{gained} Wh more, {} events wait, one session ended",
            waiting(&queued)
        ),
    );
    let mark = stage.csms.mark();
    stage.restore_link();
    stage
        .until("the queue is empty", |s| online(s) == 2 && waiting(s) == 0)
        .await?;
    let order = stage.order_since(mark);
    tell.step("The link is back", &format!("delivered in order: {order}"));
    Ok(())
}

async fn kill(tell: &mut Narrator, stage: &mut Stage) -> Result<(), DemoError> {
    stage.gateway.kill().await?;
    tell.step("The gateway is killed", "SIGKILL in the middle of a session");
    let mark = stage.csms.mark();
    stage.gateway.start()?;
    stage
        .until("the gateway is back with its session", |s| {
            online(s) == 2 && sessions(s) == 1
        })
        .await?;
    stage.heard(mark, GARAGE, "MeterValues").await?;
    if stage.count_since(mark, GARAGE, "StartTransaction") != 0 {
        return Err(DemoError::Unexpected("the session was begun twice".into()));
    }
    tell.step(
        "It comes back",
        "the session goes on under the same transaction id",
    );
    Ok(())
}

async fn depart(tell: &mut Narrator, stage: &Stage) -> Result<(), DemoError> {
    let mark = stage.csms.mark();
    let tx = stage.transaction_id(GARAGE)?;
    stage
        .accepted(GARAGE, "RemoteStopTransaction", json!({ "transactionId": tx }))
        .await?;
    let end = stage.heard(mark, GARAGE, "StopTransaction").await?;
    stage.unplug("wallbox")?;
    stage.status_of(mark, GARAGE, "Available").await?;
    stage
        .until("everything is delivered", |s| waiting(s) == 0 && sessions(s) == 0)
        .await?;
    tell.step(
        "Remote stop",
        &format!(
            "session ended at register {} Wh, reason {}",
            end["meterStop"], end["reason"]
        ),
    );
    Ok(())
}
