//! Carries files for one charge point: every order is a task of its own, beside the station and never in front of it.

use super::bundle::{self, Window};
use super::conductor::{Surroundings, ToStation};
use crate::domain::{
    Clock, CpSetup, FirmwareSetup, InstallerSaid, LogKind, SiteSetup, TransferDone, TransferError,
    TransferOrder,
};
use crate::station::{Input, Snapshot};
use crate::transfer::{self, Handover, Spool, Stop, Trust};
use crate::uplink;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How often it is looked whether an installer has said something.
const LOOK: Duration = Duration::from_secs(1);
/// Connections at once over all charge points.
const CONNECTIONS: usize = 4;

/// What all porters share.
#[derive(Clone, Debug)]
pub struct Yard {
    setup: watch::Sender<Arc<SiteSetup>>,
    connections: Arc<Semaphore>,
}

impl Yard {
    /// Of a site.
    #[must_use]
    pub fn new(setup: &SiteSetup) -> Self {
        Self {
            setup: watch::Sender::new(Arc::new(setup.clone())),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }

    /// The site is another now.
    pub fn publish(&self, setup: &SiteSetup) {
        self.setup.send_replace(Arc::new(setup.clone()));
    }

    /// The site as it is.
    #[must_use]
    pub fn setup(&self) -> Arc<SiteSetup> {
        self.setup.borrow().clone()
    }
}

type Carried = Result<TransferDone, TransferError>;

/// The porter of one charge point. What it carries when it goes is called off.
pub struct Porter {
    hands: Hands,
    inbox: mpsc::Sender<ToStation>,
    stops: BTreeMap<u64, Stop>,
}

/// What an order is carried out with.
#[derive(Clone)]
struct Hands {
    setup: Arc<CpSetup>,
    around: Surroundings,
    snapshot: watch::Receiver<Snapshot>,
    /// Records on their way out.
    folder: PathBuf,
}

impl Porter {
    /// A porter; what an earlier run left behind is thrown away with its first order.
    #[must_use]
    pub fn new(
        setup: CpSetup,
        around: Surroundings,
        inbox: mpsc::Sender<ToStation>,
        snapshot: watch::Receiver<Snapshot>,
    ) -> Self {
        let folder = around
            .yard
            .setup()
            .state_dir
            .join("transfers")
            .join(setup.id.as_str());
        Self {
            hands: Hands {
                setup: Arc::new(setup),
                around,
                snapshot,
                folder,
            },
            inbox,
            stops: BTreeMap::new(),
        }
    }

    /// Takes an order; the station is told how it ended.
    pub fn carry(&mut self, order: u64, what: TransferOrder) {
        let stop = Stop::default();
        self.stops.retain(|_, stop| !stop.is_called());
        self.stops.insert(order, stop.clone());
        let (hands, inbox) = (self.hands.clone(), self.inbox.clone());
        tokio::spawn(async move {
            let cp = hands.setup.id.clone();
            let watched = match &what {
                TransferOrder::HandOver { job, .. } | TransferOrder::Watch { job } => Some(job.clone()),
                _ => None,
            };
            tracing::info!(%cp, "{}", words(&what));
            let carried = hands.carry_out(what, stop.clone()).await;
            if let Err(error) = &carried {
                tracing::warn!(%cp, "a file was not carried: {error}");
            }
            let input = Input::Transferred {
                order,
                result: carried,
            };
            if stop.is_called() {
                return;
            }
            let went_well = matches!(&input, Input::Transferred { result: Ok(_), .. });
            let _ = inbox.send(ToStation::input(input)).await;
            if let (Some(job), Ok(spool), true) = (watched, hands.spool(), went_well) {
                watch(order, &job, spool, &inbox, &stop).await;
            }
            stop.call();
        });
    }

    /// Calls an order off.
    pub fn call_off(&mut self, order: u64) {
        if let Some(stop) = self.stops.remove(&order) {
            stop.call();
        }
    }
}

impl Drop for Porter {
    fn drop(&mut self) {
        self.stops.values().for_each(Stop::call);
    }
}

/// An order for the log, without secrets.
fn words(what: &TransferOrder) -> String {
    match what {
        TransferOrder::Collect { name, .. } => format!("writing {name}"),
        TransferOrder::Upload { name, location } => format!("uploading {name} to {location}"),
        TransferOrder::Drop { name } => format!("done with {name}"),
        TransferOrder::CheckCertificate { .. } => "checking a firmware signing certificate".to_owned(),
        TransferOrder::Download { job, location } => format!("fetching firmware {job} from {location}"),
        TransferOrder::Verify { job, .. } => format!("checking the signature of firmware {job}"),
        TransferOrder::HandOver { job, .. } => format!("handing firmware {job} over to the installer"),
        TransferOrder::Watch { job } => format!("waiting for the installer of firmware {job}"),
        TransferOrder::Discard { job } => format!("done with firmware {job}"),
    }
}

impl Hands {
    async fn carry_out(&self, what: TransferOrder, stop: Stop) -> Carried {
        match what {
            TransferOrder::Collect {
                kind,
                name,
                oldest_ms,
                latest_ms,
            } => {
                let window = Window { oldest_ms, latest_ms };
                self.collect(kind, name, window).await
            }
            TransferOrder::Upload { name, location } => {
                let file = self.folder.join(name);
                self.apart(move |trust| transfer::upload(&file, &location, &trust, &stop))
                    .await
            }
            TransferOrder::Drop { name } => {
                let file = self.folder.join(name);
                let _ = tokio::fs::remove_file(file).await;
                Ok(TransferDone::Done)
            }
            TransferOrder::CheckCertificate { certificate } => {
                let unix_ms = self.around.clock.now().wall.unix_ms;
                let roots = self.firmware()?.roots.clone().unwrap_or_default();
                blocking(move || transfer::check_certificate(&certificate, &roots, unix_ms)).await
            }
            TransferOrder::Download { job, location } => {
                let (spool, most) = (self.spool()?, self.firmware()?.max_bytes);
                self.apart(move |trust| {
                    transfer::download(&location, &spool.arriving(&job)?, most, &trust, &stop)
                })
                .await
            }
            TransferOrder::Verify { job, signing } => {
                let spool = self.spool()?;
                blocking(move || transfer::verify(&spool.arriving(&job)?, &signing)).await
            }
            TransferOrder::HandOver {
                job,
                request_id,
                signed,
            } => self.hand_over(job, request_id, signed).await,
            // Everything it has to say comes later.
            TransferOrder::Watch { .. } => Ok(TransferDone::Done),
            TransferOrder::Discard { job } => {
                let spool = self.spool()?;
                blocking(move || {
                    spool.discard(&job);
                    Ok(())
                })
                .await
            }
        }
    }

    fn firmware(&self) -> Result<&FirmwareSetup, TransferError> {
        let firmware = self.setup.firmware.as_ref();
        firmware.ok_or_else(|| TransferError::Own("no firmware is declared".to_owned()))
    }

    fn spool(&self) -> Result<Spool, TransferError> {
        Ok(Spool::new(&self.firmware()?.spool))
    }

    async fn hand_over(&self, job: String, request_id: Option<i32>, signed: bool) -> Carried {
        let (spool, kind) = (self.spool()?, self.firmware()?.kind);
        let cp = self.setup.id.clone();
        blocking(move || {
            spool.hand_over(&Handover {
                version: 1,
                job: &job,
                charge_point: cp.as_str(),
                kind: kind.word(),
                request_id,
                signed,
            })
        })
        .await
    }

    async fn collect(&self, kind: LogKind, name: String, window: Window) -> Carried {
        let Surroundings {
            clock, store, yard, ..
        } = &self.around;
        let bundle = match kind {
            LogKind::Diagnostics => {
                let snapshot = self.snapshot.borrow().clone();
                bundle::diagnostics(&self.setup, &snapshot, yard, store, clock.as_ref(), window).await
            }
            LogKind::Security => bundle::security(&self.setup, yard, store, window)
                .await
                .map_err(|error| TransferError::Own(error.to_string()))?,
        };
        let entries = bundle.entries;
        if entries > 0 {
            let folder = self.folder.clone();
            let written = spawn_blocking(move || write(&folder, &name, &bundle.text)).await;
            written.map_err(|error| TransferError::Own(error.to_string()))??;
        }
        Ok(TransferDone::Collected { entries })
    }

    /// Runs what blocks on a thread that may, with the certificates as they are now.
    async fn apart(&self, work: impl FnOnce(Trust) -> Result<(), TransferError> + Send + 'static) -> Carried {
        let permit = Arc::clone(&self.around.yard.connections).acquire_owned().await;
        let trust_dir = self.around.yard.setup().trust_dir.clone();
        let clock = self.around.clock.clone();
        let done = spawn_blocking(move || {
            let _permit = permit;
            work(trust(trust_dir.as_deref(), clock)?)
        });
        match done.await {
            Ok(result) => result.map(|()| TransferDone::Done),
            Err(error) => Err(TransferError::Own(error.to_string())),
        }
    }
}

/// Tells whatever the installer says, until it says how it ended.
async fn watch(order: u64, job: &str, spool: Spool, inbox: &mpsc::Sender<ToStation>, stop: &Stop) {
    let mut told = None;
    while !stop.is_called() {
        let (spool, job) = (spool.clone(), job.to_owned());
        let said = spawn_blocking(move || spool.said(&job)).await.ok().flatten();
        if let Some(said) = said.filter(|said| told.as_ref() != Some(said)) {
            if let InstallerSaid::Failed(why) = &said {
                tracing::warn!("the installer says that it failed: {why}");
            }
            let input = Input::Transferred {
                order,
                result: Ok(TransferDone::Installer(said.clone())),
            };
            if inbox.send(ToStation::input(input)).await.is_err() {
                return;
            }
            if said != InstallerSaid::Installing {
                return;
            }
            told = Some(said);
        }
        sleep(LOOK).await;
    }
}

async fn blocking(work: impl FnOnce() -> Result<(), TransferError> + Send + 'static) -> Carried {
    match spawn_blocking(work).await {
        Ok(result) => result.map(|()| TransferDone::Done),
        Err(error) => Err(TransferError::Own(error.to_string())),
    }
}

fn trust(trust_dir: Option<&Path>, clock: Arc<dyn Clock>) -> Result<Trust, TransferError> {
    let (config, roots) =
        uplink::file_servers(trust_dir, clock).map_err(|error| TransferError::Own(error.to_string()))?;
    Ok(Trust {
        config: Arc::new(config),
        roots,
    })
}

/// Writes a record where nobody else reads it; a record of an earlier time goes.
fn write(folder: &Path, name: &str, text: &str) -> Result<(), TransferError> {
    let own = |error: std::io::Error| TransferError::Own(format!("{}: {error}", folder.display()));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(own)?;
    for old in std::fs::read_dir(folder).map_err(own)?.filter_map(Result::ok) {
        let _ = std::fs::remove_file(old.path());
    }
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(folder.join(name));
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(own)
}
