//! The stage of the demo: simulated hardware, a small CSMS, and the gateway as a process of its own.

use super::report::Table;
use super::{DemoError, PATIENCE};
use crate::device::Library;
use crate::domain::{CpId, Event, MilliWattHours, Parity};
use crate::sim::clock::RealClock;
use crate::sim::csms::{Csms, Kind, Reach, Side};
use crate::sim::{DeviceSpec, EvSpec, Format, GatewayProcess, LineSetup, World, WorldSpec};
use crate::store::Store;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The charge point behind a Heidelberg wallbox and an SDM630 on one line; OCPP 1.6.
pub const GARAGE: &str = "GARAGE-1";
/// The charge point behind an EVSE-WB board and an SDM120 on another line.
pub const YARD: &str = "YARD-1";
/// How often a state that nobody announces is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Everything on stage.
pub struct Stage {
    dir: PathBuf,
    world: World,
    /// The CSMS.
    pub csms: Csms,
    /// The gateway.
    pub gateway: GatewayProcess,
}

type Shown<T> = Result<T, DemoError>;

impl Stage {
    /// Puts up hardware and CSMS in a folder of its own.
    pub async fn build() -> Shown<Self> {
        let dir = std::env::temp_dir().join(format!("retrovolt-demo-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let csms = Csms::start().await?;
        let world = World::start(hardware(&dir)?, Arc::new(RealClock::start())).await?;
        let gateway = GatewayProcess::new(std::env::current_exe()?, &dir, &configuration(&dir, &csms))?;
        Ok(Self {
            dir,
            world,
            csms,
            gateway,
        })
    }

    /// SIGTERM, and the exit code must be 0.
    pub async fn stop_gateway(&mut self) -> Shown<()> {
        let end = self.gateway.stop(PATIENCE).await?;
        if end.success() {
            return Ok(());
        }
        Err(DemoError::Unexpected(format!(
            "the gateway ended with {end}; {}",
            self.log_hint()
        )))
    }

    fn log_hint(&self) -> String {
        format!("its log is {}", self.gateway.log().display())
    }

    /// How a person can look into the running demo.
    pub fn how_to_look(&self) -> String {
        format!(
            "retrovolt status --socket {}   (Ctrl-C ends)",
            self.gateway.socket().display()
        )
    }

    /// Awaits a state of the gateway.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Shown<Value> {
        Ok(self.gateway.until(what, PATIENCE, wanted).await?)
    }

    /// Awaits a CALL of a charge point.
    pub async fn heard(&self, mark: usize, cp: &str, action: &str) -> Shown<Value> {
        self.csms
            .wait_call(mark, PATIENCE, cp, action)
            .await
            .ok_or_else(|| DemoError::Missing(format!("{action} from {cp}; {}", self.log_hint())))
    }

    /// Awaits a status of connector 1.
    pub async fn status_of(&self, mark: usize, cp: &str, status: &str) -> Shown<String> {
        let frame = self
            .csms
            .wait(mark, PATIENCE, |f| {
                f.cp == cp
                    && f.call("StatusNotification")
                        .is_some_and(|p| p["connectorId"] == 1 && p["status"] == status)
            })
            .await;
        frame
            .map(|_| status.to_owned())
            .ok_or_else(|| DemoError::Missing(format!("status {status} from {cp}")))
    }

    /// Awaits the begin of a session in whichever dialect the charge point speaks.
    pub async fn begun(&self, mark: usize, cp: &str) -> Shown<String> {
        let is_begin = |action: &str, payload: &Value| {
            action == "StartTransaction"
                || (action == "TransactionEvent" && payload["eventType"] == "Started")
        };
        let frame = self
            .csms
            .wait(mark, PATIENCE, |f| {
                f.cp == cp
                    && f.from == Side::ChargePoint
                    && matches!(&f.kind, Kind::Call { action, payload } if is_begin(action, payload))
            })
            .await;
        match frame.map(|f| f.kind) {
            Some(Kind::Call { action, .. }) => Ok(format!("plugged in, free to charge, {action}")),
            _ => Err(DemoError::Missing(format!(
                "a session at {cp}; {}",
                self.log_hint()
            ))),
        }
    }

    /// Sends a CALL that must be accepted.
    pub async fn accepted(&self, cp: &str, action: &str, payload: Value) -> Shown<()> {
        match self.csms.call(cp, action, payload).await {
            Ok(answer) if answer["status"] == "Accepted" => Ok(()),
            Ok(answer) => Err(DemoError::Unexpected(format!("{action} was answered {answer}"))),
            Err(error) => Err(DemoError::Unexpected(format!("{action}: {error}"))),
        }
    }

    /// The sub-protocol a charge point speaks.
    pub fn protocol(&self, cp: &str) -> String {
        let spoken = self.csms.frames().into_iter().rev().find_map(|f| match f.kind {
            Kind::Opened { protocol } if f.cp == cp => Some(protocol),
            _ => None,
        });
        spoken.unwrap_or_default()
    }

    /// A vehicle drives up to a charger.
    pub fn plug(&self, charger: &str) -> Shown<()> {
        self.world.plug(charger, EvSpec::default()).map_err(unexpected)
    }

    /// The vehicle leaves.
    pub fn unplug(&self, charger: &str) -> Shown<()> {
        self.world.unplug(charger).map_err(unexpected)
    }

    /// Awaits current.
    pub async fn charging(&self, charger: &str) -> Shown<()> {
        self.look("current flows", || {
            Ok(self.world.flow(charger).map_err(unexpected)?.total_milliwatts() > 0)
        })
        .await
    }

    /// Awaits a value in a holding register of a device.
    pub async fn register_reads(&self, device: &str, addr: u16, wanted: u16) -> Shown<u16> {
        let what = format!("register {addr} of {device} reads {wanted}");
        self.look(&what, || {
            Ok(self.world.register(device, 3, addr).map_err(unexpected)? == Some(wanted))
        })
        .await?;
        Ok(wanted)
    }

    async fn look(&self, what: &str, wanted: impl Fn() -> Shown<bool>) -> Shown<()> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if wanted()? {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        Err(DemoError::Missing(format!("{what}; {}", self.log_hint())))
    }

    /// The garage meter's register.
    pub fn energy(&self) -> Shown<MilliWattHours> {
        self.world.energy("meter").map_err(unexpected)
    }

    /// Nobody can reach the CSMS any more.
    pub fn cut_link(&self) {
        self.csms.set_reach(Reach::Refuse);
        self.csms.cut();
    }

    /// The CSMS can be reached again.
    pub fn restore_link(&self) {
        self.csms.set_reach(Reach::Up);
    }

    /// How often a charge point sent a CALL since the mark.
    pub fn count_since(&self, mark: usize, cp: &str, action: &str) -> usize {
        self.csms
            .frames()
            .iter()
            .skip(mark)
            .filter(|f| f.cp == cp && f.call(action).is_some())
            .count()
    }

    /// Transaction messages since the mark, in short.
    pub fn order_since(&self, mark: usize) -> String {
        let frames = self.csms.frames();
        let sent = frames.iter().skip(mark).filter_map(|f| match &f.kind {
            Kind::Call { action, .. } if f.from == Side::ChargePoint && is_transaction(action) => {
                Some(format!("{} {action}", f.cp))
            }
            _ => None,
        });
        let mut runs: Vec<(String, u32)> = Vec::new();
        for message in sent {
            match runs.last_mut() {
                Some((last, count)) if *last == message => *count += 1,
                _ => runs.push((message, 1)),
            }
        }
        let words: Vec<String> = runs
            .into_iter()
            .map(|(m, n)| if n == 1 { m } else { format!("{m} x{n}") })
            .collect();
        words.join(", ")
    }

    /// The CSMS's id of the running transaction.
    pub fn transaction_id(&self, cp: &str) -> Shown<Value> {
        let frames = self.csms.frames();
        let start = frames
            .iter()
            .rev()
            .find(|f| f.cp == cp && f.call("StartTransaction").is_some());
        let answer = start.and_then(|start| {
            frames.iter().find_map(|f| match &f.kind {
                Kind::Result { payload }
                    if f.from == Side::Csms && f.id == start.id && f.link == start.link =>
                {
                    Some(payload["transactionId"].clone())
                }
                _ => None,
            })
        });
        answer.ok_or_else(|| DemoError::Unexpected("no StartTransaction was answered".into()))
    }

    /// Compares the ledger with what the CSMS saw.
    pub async fn judge(self) -> Shown<Table> {
        let (store, _) = Store::open(&self.dir.join("state")).map_err(unexpected)?;
        let stats = store.stats().await.map_err(unexpected)?;
        let mut table = Table::default();
        for reader in &stats.readers {
            let rows = store
                .rows(&CpId::new(reader.cp.as_str()), 0, 100_000)
                .await
                .map_err(unexpected)?;
            let v201 = self.protocol(reader.cp.as_str()) == "ocpp2.0.1";
            for row in rows.iter().filter(|r| goes_out(&r.event, v201)) {
                table.recorded += 1;
                table.acknowledged += u64::from(row.seq <= reader.cursor);
            }
        }
        store.close().await;
        let verdict = self.csms.verdict();
        table.lost = table.recorded.saturating_sub(verdict.events);
        table.doubled = verdict.doubled;
        table.repeated_after_loss = verdict.repeats_excused;
        table.disordered = verdict.order_violations + verdict.gaps + verdict.phantoms;
        let open = u64::try_from(verdict.open.len()).unwrap_or(u64::MAX);
        let more_than_recorded = verdict.events.saturating_sub(table.recorded);
        table.faults =
            verdict.energy_backwards + verdict.pipelined + verdict.malformed + open + more_than_recorded;
        if table.is_perfect() {
            std::fs::remove_dir_all(&self.dir)?;
        }
        Ok(table)
    }
}

/// Whether an event of a transaction becomes a message in the dialect.
fn goes_out(event: &Event, v201: bool) -> bool {
    match event {
        Event::Began(_) | Event::Ended(_) => true,
        Event::Sampled { tx, .. } => tx.is_some(),
        Event::Changed { .. } => v201,
        // Sent, but no part of a transaction.
        Event::Security(_) | Event::Log(_) | Event::Firmware(_) => false,
    }
}

fn is_transaction(action: &str) -> bool {
    [
        "StartTransaction",
        "StopTransaction",
        "MeterValues",
        "TransactionEvent",
    ]
    .contains(&action)
}

fn unexpected(error: impl std::fmt::Display) -> DemoError {
    DemoError::Unexpected(error.to_string())
}

/// A transaction's limit in ampere, as a 1.6 SetChargingProfile.
pub fn profile_of(amps: u32) -> Value {
    json!({ "connectorId": 1, "csChargingProfiles": {
        "chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": { "chargingRateUnit": "A", "chargingSchedulePeriod": [{ "startPeriod": 0, "limit": amps }] },
    }})
}

/// The power in a 1.6 MeterValues, in words.
pub fn power_of(values: &Value) -> Option<String> {
    let samples = values["meterValue"]
        .as_array()?
        .iter()
        .flat_map(|m| m["sampledValue"].as_array().into_iter().flatten());
    let mut power = samples.filter(|s| s["measurand"] == "Power.Active.Import" && s["phase"].is_null());
    power.next().map(|s| {
        format!(
            "{} {}",
            s["value"].as_str().unwrap_or("?"),
            s["unit"].as_str().unwrap_or("W")
        )
    })
}

fn hardware(dir: &Path) -> Shown<WorldSpec> {
    let library = Library::builtin();
    let device = |name: &str, profile: &str, unit: u8| {
        let profile = library
            .get(profile)
            .ok_or_else(|| DemoError::Unexpected(format!("no profile {profile}")))?;
        Ok::<_, DemoError>(DeviceSpec::new(name, profile, unit))
    };
    let garage = vec![
        device("wallbox", "heidelberg-energy-control", 1)?,
        device("meter", "eastron-sdm630", 2)?.measuring(&["wallbox"]),
    ];
    let yard = vec![
        device("post", "evse-wb-din", 1)?,
        device("post-meter", "eastron-sdm120", 2)?.measuring(&["post"]),
    ];
    let line = |name: &str, baud: u32, parity: Parity| {
        LineSetup::new(
            dir.join(name),
            Format {
                parity,
                ..Format::even(baud)
            },
        )
    };
    Ok(WorldSpec {
        lines: vec![
            ("garage".into(), line("garage.tty", 19_200, Parity::Even), garage),
            ("yard".into(), line("yard.tty", 9_600, Parity::None), yard),
        ],
        servers: Vec::new(),
    })
}

fn configuration(dir: &Path, csms: &Csms) -> String {
    include_str!("demo.toml")
        .replace("@DIR@", &dir.display().to_string())
        .replace("@URL@", &csms.url("{id}"))
        .replace("@GARAGE@", GARAGE)
        .replace("@YARD@", YARD)
}
