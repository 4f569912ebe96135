//! Reads the instruments: how the gateway, its ports and its links are at this moment, for the picture and for a scrape.
//!
//! Only looks, at watches and at the kernel; the database is asked seldom and never waited for by the picture.

use super::budget;
use super::clock::SystemClock;
use super::panel::{LinkDial, Panel};
use super::process::{self, Kernel};
use super::records;
use super::router::South;
use super::vitals::{HUNG_AFTER, LEDGER, Marks, names_of_late};
use crate::domain::{BusSetup, BusTally, Clock, CpSetup, DeviceId, Mono, Now, ReaderId, Stamp};
use crate::ocpp::Registration;
use crate::store::{Stats, Store};
use crate::telemetry::metrics::{
    AccountFigures, Figures, LedgerFigures, LinkFigures, MqttFigures, ProcessFigures, RecordQueue, Source,
    SparkplugFigures, bus_state,
};
use crate::telemetry::{At, BusState, Csms, Health, LinkState, Milli, Queue, Slug};
use crate::uplink::LinkStatus;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// Shares of time are told over a period of at least this.
const PERIOD: Duration = Duration::from_secs(10);
/// The first ones earlier: after a start every value is to be back within [`PERIOD`] (promise U7).
const FIRST_PERIOD: Duration = Duration::from_secs(2);
/// What the database said is good for so long at a scrape.
const STATS_GOOD: Duration = Duration::from_secs(5);
/// What the kernel told is good for so long.
const BOARD_GOOD: Duration = Duration::from_secs(2);
/// A database that says nothing for so long is done without.
const STATS_WAIT: Duration = Duration::from_secs(1);

/// What the instruments hang on.
pub(super) struct Wires {
    pub clock: Arc<SystemClock>,
    pub store: Store,
    pub state_dir: PathBuf,
    pub panel: watch::Receiver<Panel>,
    pub accounts: watch::Receiver<Vec<AccountFigures>>,
    pub brokers: watch::Receiver<Brokers>,
    pub south: watch::Receiver<South>,
    pub marks: watch::Receiver<Marks>,
}

/// How the broker and the edge node of Sparkplug are; `None`: there is none.
pub(super) type Brokers = (Option<MqttFigures>, Option<SparkplugFigures>);

/// The reader of the instruments.
pub(super) struct Gauges {
    wires: Wires,
    kernel: Kernel,
    memory: Mutex<Memory>,
}

/// What the kernel tells.
#[derive(Clone, Copy, Debug, Default)]
struct Board {
    process: ProcessFigures,
    disk_free_bytes: Option<u64>,
    temperature_c: Option<Milli>,
    throttled: Option<bool>,
}

/// What must be known of earlier looks.
#[derive(Debug, Default)]
struct Memory {
    stats: Option<(Mono, Stats)>,
    board: Option<(Mono, Board)>,
    /// Of each bus.
    busy: BTreeMap<String, Share>,
    cpu: Share,
}

/// A share of time over the last period.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    at: Mono,
    us: u64,
    /// What was used within how long, microseconds.
    last: Option<(u64, u64)>,
}

impl Share {
    /// Takes the count of now; a new share comes of it once the period is over.
    fn look(&mut self, now: Mono, us: u64) -> Option<(u64, u64)> {
        let passed = now.since(self.at);
        let period = self.last.map_or(FIRST_PERIOD, |_| PERIOD);
        if passed >= period {
            let period_us = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
            self.last = Some((us.saturating_sub(self.us), period_us));
            (self.at, self.us) = (now, us);
        }
        self.last
    }
}

impl Gauges {
    pub fn new(wires: Wires) -> Self {
        Self {
            wires,
            kernel: Kernel::here(),
            memory: Mutex::default(),
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the database anew, if what it said is older than `good`.
    pub async fn refresh(&self, good: Duration) {
        let now = self.wires.clock.now().mono;
        let fresh = |memory: &Memory| memory.stats.as_ref().is_some_and(|(at, _)| now.since(*at) < good);
        if fresh(&self.memory()) {
            return;
        }
        let asked = timeout(STATS_WAIT, self.wires.store.stats()).await;
        self.memory().stats = asked.ok().and_then(Result::ok).map(|stats| (now, stats));
    }

    /// How the gateway is.
    pub fn health(&self) -> Health {
        let now = self.wires.clock.now();
        let mut memory = self.memory();
        let board = self.board(&mut memory, now.mono);
        let cpu = board.process.cpu_us.and_then(|us| memory.cpu.look(now.mono, us));
        let percent = |(used, period): (u64, u64)| {
            let milli = u128::from(used) * 100_000 / u128::from(period.max(1));
            Milli(i64::try_from(milli).unwrap_or(i64::MAX))
        };
        Health {
            ts: At(now.wall.unix_ms),
            uptime_s: now.mono.0 / 1_000,
            clock_synced: now.wall.quality.is_trusted(),
            cpu_pct: cpu.map(percent),
            rss_bytes: board.process.rss_bytes,
            disk_free_bytes: board.disk_free_bytes,
            temperature_c: board.temperature_c,
            throttled: board.throttled,
            // The picture has all charge points.
            csms_connected: None,
            queue: self.queue(now, memory.stats.as_ref().map(|(_, stats)| stats)),
            budgets: budget::budgets(&self.wires.accounts.borrow()),
            watchdog_ok: self.is_alive(now.mono),
        }
    }

    /// What the kernel tells; asked anew only now and then.
    fn board(&self, memory: &mut Memory, now: Mono) -> Board {
        match memory.board {
            Some((at, board)) if now.since(at) < BOARD_GOOD => board,
            _ => {
                let board = Board {
                    process: self.kernel.process(),
                    disk_free_bytes: process::disk_free(&self.wires.state_dir),
                    temperature_c: self.kernel.temperature(),
                    throttled: self.kernel.throttled(),
                };
                memory.board = Some((now, board));
                board
            }
        }
    }

    fn is_alive(&self, now: Mono) -> bool {
        let late = names_of_late(&self.wires.marks.borrow(), now, HUNG_AFTER);
        late.iter().all(|name| name == LEDGER)
    }

    fn queue(&self, now: Now, stats: Option<&Stats>) -> Queue {
        let readers = stats.map_or(&[][..], |stats| &stats.readers);
        let ages = readers
            .iter()
            .filter_map(|reader| self.age_s(now, reader.oldest?));
        Queue {
            messages: readers.iter().map(|reader| reader.pending).sum(),
            oldest_s: ages.max(),
            dropped: self.wires.panel.borrow().given_up(),
        }
    }

    /// Rows of the ledger that wait for the broker.
    fn records(&self) -> Vec<RecordQueue> {
        let now = self.wires.clock.now();
        let memory = self.memory();
        let readers = memory.stats.iter().flat_map(|(_, stats)| &stats.readers);
        readers
            .filter(|reader| reader.reader == records::reader_of(&reader.cp))
            .map(|reader| RecordQueue {
                cp: Slug::of(reader.cp.as_str()),
                rows: reader.pending,
                oldest_s: reader.oldest.and_then(|oldest| self.age_s(now, oldest)),
            })
            .collect()
    }

    /// How long ago something was; `None`: no clock tells.
    fn age_s(&self, now: Now, at: Stamp) -> Option<u64> {
        if at.boot == now.boot {
            return Some(now.mono.since(at.mono).as_secs());
        }
        let told = now.wall.quality.is_trusted() && at.wall.quality.is_trusted();
        let ms = now.wall.unix_ms.saturating_sub(at.wall.unix_ms).max(0);
        told.then_some(ms.unsigned_abs() / 1_000)
    }

    /// Every configured bus, and what it has counted.
    pub fn buses(&self) -> BTreeMap<Slug, (BusState, BusTally)> {
        let now = self.wires.clock.now();
        let (panel, south) = (
            self.wires.panel.borrow().clone(),
            self.wires.south.borrow().clone(),
        );
        let mut memory = self.memory();
        let state = |bus: &BusSetup| {
            let tally = panel.bus_tally(&bus.id);
            let share = memory.busy.entry(bus.id.to_string()).or_default();
            let (busy_us, period_us) = share.look(now.mono, tally.busy_us).unwrap_or_default();
            let port = south.ports.get(bus.id.as_str());
            let device = |id: &DeviceId| south.devices.get(id.as_str());
            let answers = |id: &DeviceId| device(id).is_some_and(|(up, _)| *up);
            let online = bus.devices.iter().filter(|device| answers(&device.id)).count();
            let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            let devices = (count(online), count(bus.devices.len()));
            let open = port.is_some_and(|(up, _)| *up);
            let mut state = bus_state(open, devices, &tally, busy_us, period_us, At(now.wall.unix_ms));
            let silent = bus.devices.iter().find_map(|own| {
                let (up, why) = device(&own.id)?;
                (!up).then(|| format!("{}: {why}", own.id))
            });
            // What is wrong now says more than what went wrong last.
            let closed = port.filter(|(up, _)| !up).map(|(_, why)| why.clone());
            state.last_error = closed.or(silent).or(state.last_error);
            (Slug::of(bus.id.as_str()), (state, tally))
        };
        let buses = panel.site.as_ref().map_or(&[][..], |site| &site.buses);
        buses.iter().map(state).collect()
    }

    /// Every configured bus as it is published.
    pub fn bus_states(&self) -> BTreeMap<Slug, BusState> {
        let buses = self.buses().into_iter();
        buses.map(|(bus, (state, _))| (bus, state)).collect()
    }

    /// Every running link, the one in control of its charge point first.
    pub fn links(&self) -> Vec<LinkFigures> {
        let panel = self.wires.panel.borrow().clone();
        let points = panel.site.as_ref().map_or(&[][..], |site| &site.charge_points);
        let readers = points
            .iter()
            .flat_map(|cp| cp.csms.iter().map(|csms| super::links::reader_of(cp, csms)));
        readers
            .filter_map(|reader| self.link(&panel, &reader, panel.running.get(&reader)?))
            .collect()
    }

    /// The link to the CSMS in control of a charge point.
    pub fn controlling(&self, cp: &CpSetup) -> Option<Csms> {
        let reader = super::links::reader_of(cp, cp.csms.first()?);
        let look = Look::at(&self.wires.panel.borrow(), &reader)?;
        Some(self.csms(&reader, look).0)
    }

    fn link(&self, panel: &Panel, reader: &ReaderId, dial: &LinkDial) -> Option<LinkFigures> {
        let (state, oldest_s) = self.csms(reader, Look::at(panel, reader)?);
        Some(LinkFigures {
            cp: Slug::of(dial.cp.as_str()),
            csms: dial.csms.clone(),
            state,
            oldest_s,
            tally: panel.link_tally(reader),
        })
    }

    /// A link as it is published, and the age of the oldest row it has not got.
    fn csms(&self, reader: &ReaderId, look: Look) -> (Csms, Option<u64>) {
        let now = self.wires.clock.now();
        let Look {
            status,
            since,
            last_heard,
        } = look;
        let registration = status
            .ocpp
            .as_ref()
            .map(|ocpp| ocpp.registration)
            .unwrap_or_default();
        let state = match (status.connected, registration) {
            (true, Registration::Accepted) => LinkState::Connected,
            (true, Registration::Rejected) => LinkState::Rejected,
            (true, Registration::None | Registration::Pending) => LinkState::Connecting,
            (false, _) => LinkState::Offline,
        };
        let memory = self.memory();
        let stats = memory.stats.as_ref().map(|(_, stats)| stats);
        let queue = stats.and_then(|stats| stats.readers.iter().find(|stats| stats.reader == *reader));
        let wall = |at: Mono| At(wall_ms(now, at));
        let csms = Csms {
            state,
            protocol: status.ocpp.as_ref().map(|ocpp| ocpp.version.to_owned()),
            since: since.map(wall),
            last_message_at: last_heard.map(wall),
            queued: queue.map_or(0, |queue| queue.pending),
            last_error: Some(status.detail)
                .filter(|detail| state != LinkState::Connected && !detail.is_empty()),
        };
        (csms, queue.and_then(|queue| self.age_s(now, queue.oldest?)))
    }
}

/// A link at one moment.
struct Look {
    status: LinkStatus,
    since: Option<Mono>,
    last_heard: Option<Mono>,
}

impl Look {
    /// Taken out of the panel, so that nobody holds it while waiting for anything else.
    fn at(panel: &Panel, reader: &ReaderId) -> Option<Self> {
        let status = panel.running.get(reader)?.status.borrow().clone();
        let (since, last_heard) = panel.link_times(reader);
        Some(Self {
            status,
            since,
            last_heard,
        })
    }
}

/// Wall time of a moment of this run.
fn wall_ms(now: Now, at: Mono) -> i64 {
    let ago = i64::try_from(now.mono.since(at).as_millis()).unwrap_or(i64::MAX);
    now.wall.unix_ms.saturating_sub(ago)
}

impl Source for Gauges {
    fn figures(&self) -> BoxFuture<'_, Figures> {
        async move {
            self.refresh(STATS_GOOD).await;
            let ledger = self.memory().stats.as_ref().map(|(_, stats)| LedgerFigures {
                bytes: stats.bytes,
                commits: stats.commits,
            });
            let brokers = self.wires.brokers.borrow().clone();
            Figures {
                version: env!("CARGO_PKG_VERSION"),
                commit: option_env!("RETROVOLT_COMMIT").unwrap_or_default(),
                health: self.health(),
                buses: self.buses(),
                links: self.links(),
                accounts: self.wires.accounts.borrow().clone(),
                ledger,
                records: self.records(),
                mqtt: brokers.0,
                sparkplug: brokers.1,
                process: self.kernel.process(),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::BootId;

    #[test]
    fn a_share_is_told_over_whole_periods() {
        let mut share = Share::default();
        assert_eq!(share.look(Mono(1_999), 5_000), None);
        assert_eq!(
            share.look(Mono(2_000), 5_000),
            Some((5_000, 2_000_000)),
            "the first"
        );
        assert_eq!(share.look(Mono(11_999), 9_000), Some((5_000, 2_000_000)));
        assert_eq!(share.look(Mono(12_000), 9_000), Some((4_000, 10_000_000)));
    }

    #[test]
    fn a_moment_of_this_run_has_a_wall_time() {
        let now = Now {
            mono: Mono(5_000),
            wall: crate::domain::Wall {
                unix_ms: 100_000,
                ..Default::default()
            },
            boot: BootId(1),
        };
        assert_eq!(wall_ms(now, Mono(2_000)), 97_000);
    }
}
