//! Registers of meters as telemetry shows them: what is shown never falls within an epoch, and the epochs outlive the process.
//!
//! Another meter is read when its serial number says so, when the station that is billed by it says so, or when three readings
//! in a row agree on a fall, or on a growth that nothing could have caused. Until then what was believed last is shown.
//!
//! Scope `telemetry` of the store, key `meter/<name>`: written when an epoch begins, when a meter is first read, with the begin
//! and the end of any session, and else once a day; never with a reading.

use crate::domain::{Batch, DeviceId, Mono, Put};
use crate::store::{Store, StoreError};
use crate::telemetry::{Picture, Slug};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Scope of the store.
const SCOPE: &str = "telemetry";
/// A fall within this is held, not taken for another count, Wh.
const HOLD_WH: u64 = 250;
/// A growth always believed, Wh.
const SLACK_WH: u64 = 10_000;
/// No meter here counts more than this, watt.
const MOST_W: u64 = 1_000_000;
/// Readings in a row that confirm a doubtful one.
const CONFIRM: u8 = 3;
/// What has grown is written at least this often.
const WRITE_EVERY: Duration = Duration::from_secs(86_400);

/// What a meter tells at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard<'a> {
    /// Register in Wh and when it was read; `None`: not yet.
    pub reading: Option<(u64, Mono)>,
    /// Serial number, if it tells one.
    pub serial: Option<&'a str>,
}

/// One meter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Register {
    epoch: u32,
    /// As last believed.
    stood_wh: Option<u64>,
    serial: Option<String>,
    /// As last believed in this run.
    #[serde(skip)]
    shown_wh: Option<u64>,
    /// The youngest reading that was judged.
    #[serde(skip)]
    judged: Option<Mono>,
    /// When the last one was believed.
    #[serde(skip)]
    at: Option<Mono>,
    /// A doubtful reading, and how often it was confirmed.
    #[serde(skip)]
    doubt: Option<(u64, u8)>,
}

/// Whether an epoch began or a meter was read for the first time.
type News = bool;

impl Register {
    fn follow(&mut self, heard: Heard<'_>, station: u32) -> News {
        let serial = heard.serial.filter(|said| self.serial.as_deref() != Some(said));
        let mut news = false;
        if let Some(said) = serial {
            news = self.serial.is_some();
            if news {
                self.begin(None);
            }
            self.serial = Some(said.to_owned());
        }
        let fresh = heard
            .reading
            .filter(|(_, at)| self.judged.is_none_or(|before| *at > before));
        if station > self.epoch {
            self.epoch = station;
            (self.stood_wh, self.shown_wh, self.doubt) = (None, None, None);
            news = true;
        }
        if let Some((wh, at)) = fresh {
            self.judged = Some(at);
            news |= self.judge(wh, at);
        }
        news
    }

    fn judge(&mut self, wh: u64, at: Mono) -> News {
        let Some(stood) = self.stood_wh else {
            self.believe(wh, at);
            return true;
        };
        let fell = stood.saturating_sub(wh);
        if wh >= stood && wh - stood <= self.plausible_wh(at) {
            self.believe(wh, at);
            return false;
        }
        if fell > 0 && fell <= HOLD_WH {
            self.believe(stood, at);
            return false;
        }
        let count = match self.doubt {
            Some((last, count)) if wh >= last && wh - last <= SLACK_WH => count + 1,
            _ => 1,
        };
        self.doubt = Some((wh, count));
        if count < CONFIRM {
            return false;
        }
        self.begin(Some(wh));
        self.believe(wh, at);
        // What it is called is learned anew.
        self.serial = None;
        true
    }

    /// The most a register may have grown by.
    fn plausible_wh(&self, at: Mono) -> u64 {
        let Some(before) = self.at else { return u64::MAX };
        let seconds = at.since(before).as_secs();
        SLACK_WH.saturating_add(seconds.saturating_mul(MOST_W) / 3_600)
    }

    fn believe(&mut self, wh: u64, at: Mono) {
        (self.stood_wh, self.shown_wh) = (Some(wh), Some(wh));
        (self.at, self.doubt) = (Some(at), None);
    }

    fn begin(&mut self, wh: Option<u64>) {
        self.epoch = self.epoch.saturating_add(1);
        (self.stood_wh, self.shown_wh, self.doubt, self.at) = (wh, wh, None, None);
    }
}

/// All meters.
#[derive(Debug, Default)]
pub(super) struct Registers {
    known: BTreeMap<Slug, Register>,
    /// Epochs that stations have counted of the meters they are billed by.
    billed: BTreeMap<DeviceId, u32>,
    written: BTreeMap<Slug, Register>,
    written_at: Mono,
    /// Sessions at the last look: which, and whether it has ended.
    sessions: Vec<(Option<String>, bool)>,
    news: bool,
}

impl Registers {
    /// As the last run has left them.
    ///
    /// # Errors
    /// When the store cannot be read. A value that cannot be understood is left out, and the log says so.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let mut registers = Self::default();
        for (key, value) in store.scope(SCOPE).await? {
            let Some(name) = key.strip_prefix("meter/").map(Slug::of) else {
                continue;
            };
            match serde_json::from_str::<Register>(&value) {
                Ok(register) => {
                    registers.known.insert(name.clone(), register.clone());
                    registers.written.insert(name, register);
                }
                Err(error) => tracing::warn!(key, "the epochs of a meter begin anew: {error}"),
            }
        }
        Ok(registers)
    }

    /// A station is billed by this meter and has counted so many epochs.
    pub fn billed(&mut self, meter: &DeviceId, epoch: u32) {
        self.billed.insert(meter.clone(), epoch);
    }

    /// What is to be shown of a meter: its register in Wh and the epoch of it.
    pub fn judge(&mut self, name: &Slug, device: &DeviceId, heard: Heard<'_>) -> (Option<u64>, u32) {
        let station = self.billed.get(device).copied().unwrap_or(0);
        let register = self.known.entry(name.clone()).or_default();
        self.news |= register.follow(heard, station);
        (register.shown_wh, register.epoch)
    }

    /// What is to be written now, if it is time to.
    pub fn due(&mut self, now: Mono, picture: &Picture) -> Option<Batch> {
        let sessions = picture.points.values().map(|point| &point.session);
        let sessions: Vec<_> = sessions
            .map(|session| (session.id.clone(), session.ended_at.is_some()))
            .collect();
        let another = std::mem::replace(&mut self.sessions, sessions) != self.sessions;
        let late = now.since(self.written_at) >= WRITE_EVERY;
        if !(std::mem::take(&mut self.news) || another || late) {
            return None;
        }
        self.written_at = now;
        let mut puts = Vec::new();
        for (name, register) in &self.known {
            let changed = self.written.get(name).is_none_or(|written| {
                (written.epoch, written.stood_wh, &written.serial)
                    != (register.epoch, register.stood_wh, &register.serial)
            });
            if changed && register.stood_wh.is_some() {
                puts.push(Put {
                    scope: SCOPE.to_owned(),
                    key: format!("meter/{name}"),
                    value: serde_json::to_string(register).ok(),
                });
                self.written.insert(name.clone(), register.clone());
            }
        }
        (!puts.is_empty()).then(|| Batch {
            puts,
            ..Batch::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(wh: u64, second: u64) -> Heard<'static> {
        Heard {
            reading: Some((wh, Mono(second * 1_000))),
            serial: None,
        }
    }

    fn meter() -> (Slug, DeviceId) {
        (Slug::of("m-grid"), DeviceId::new("grid"))
    }

    /// Writes what is due and starts anew with it.
    async fn restart(mut registers: Registers, store: &Store) -> Registers {
        if let Some(batch) = registers.due(Mono(0), &Picture::blank()) {
            store.commit(batch).await.unwrap();
        }
        Registers::load(store).await.unwrap()
    }

    #[tokio::test]
    async fn an_epoch_outlives_the_process_and_a_swap_while_it_was_off_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path()).unwrap();
        let ((name, device), mut registers) = (meter(), Registers::default());
        assert_eq!(
            registers.judge(&name, &device, heard(5_000_000, 1)),
            (Some(5_000_000), 0)
        );
        let mut registers = restart(registers, &store).await;
        // Nothing is shown before it is believed; three readings agree.
        for (second, shown) in [(1, (None, 0)), (2, (None, 0)), (3, (Some(12_000), 1))] {
            assert_eq!(registers.judge(&name, &device, heard(12_000, second)), shown);
        }
        let mut registers = restart(registers, &store).await;
        assert_eq!(
            registers.judge(&name, &device, heard(12_001, 1)),
            (Some(12_001), 1)
        );
        store.close().await;
    }

    #[tokio::test]
    async fn another_serial_number_is_another_meter_wherever_its_register_stands() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path()).unwrap();
        let ((name, device), mut registers) = (meter(), Registers::default());
        let said = |serial, wh, second| Heard {
            serial: Some(serial),
            ..heard(wh, second)
        };
        assert_eq!(registers.judge(&name, &device, said("A1", 5_000, 1)).1, 0);
        let mut registers = restart(registers, &store).await;
        assert_eq!(
            registers.judge(&name, &device, said("B2", 5_001, 1)),
            (Some(5_001), 1)
        );
        assert_eq!(
            registers.judge(&name, &device, said("B2", 5_002, 2)),
            (Some(5_002), 1)
        );
        // Within a run as well, once for all that speaks for it.
        for second in 3..9 {
            assert_eq!(
                registers.judge(&name, &device, said("C3", 7, second)),
                (Some(7), 2)
            );
        }
        store.close().await;
    }

    #[test]
    fn a_glitch_and_a_small_fall_are_no_swap_and_what_is_shown_never_falls() {
        let ((name, device), mut registers) = (meter(), Registers::default());
        let mut shown = 0;
        for (second, wh) in [
            50_000,
            50_010,
            0,
            50_020,
            4_000_000_000,
            50_030,
            49_900,
            49_950,
            50_040,
        ]
        .into_iter()
        .enumerate()
        {
            let (now, epoch) = registers.judge(&name, &device, heard(wh, second as u64));
            assert!(
                now.unwrap() >= shown && now.unwrap() <= 50_040,
                "{now:?} after {shown}"
            );
            assert_eq!(epoch, 0);
            shown = now.unwrap();
        }
        assert_eq!(shown, 50_040);
    }

    #[test]
    fn a_higher_register_is_another_meter_when_nothing_could_have_counted_so_much() {
        let ((name, device), mut registers) = (meter(), Registers::default());
        registers.judge(&name, &device, heard(5_000, 0));
        // The same reading, painted often, confirms nothing.
        for _ in 0..9 {
            assert_eq!(
                registers.judge(&name, &device, heard(900_000, 1)),
                (Some(5_000), 0)
            );
        }
        registers.judge(&name, &device, heard(900_000, 2));
        assert_eq!(
            registers.judge(&name, &device, heard(900_000, 3)),
            (Some(900_000), 1)
        );
        // An hour without an answer explains a lot.
        assert_eq!(
            registers.judge(&name, &device, heard(1_800_000, 3_603)),
            (Some(1_800_000), 1)
        );
    }

    #[test]
    fn what_its_station_has_counted_counts_for_the_meter_and_only_once() {
        let ((name, device), mut registers) = (meter(), Registers::default());
        registers.judge(&name, &device, heard(5_000, 0));
        registers.billed(&device, 1);
        assert_eq!(registers.judge(&name, &device, heard(9_000, 1)), (Some(9_000), 1));
        assert_eq!(registers.judge(&name, &device, heard(9_001, 2)), (Some(9_001), 1));
        for second in 3..6 {
            registers.judge(&name, &device, heard(12, second));
        }
        registers.billed(&device, 2);
        assert_eq!(registers.judge(&name, &device, heard(13, 6)), (Some(13), 2));
    }

    #[test]
    fn readings_alone_are_written_once_a_day() {
        let ((name, device), mut registers) = (meter(), Registers::default());
        let picture = Picture::blank();
        let mut writes = Vec::new();
        for minute in 0..3 * 1_440_u64 {
            registers.judge(&name, &device, heard(5_000 + minute, minute * 60));
            writes.extend(registers.due(Mono(minute * 60_000), &picture).map(|_| minute));
        }
        assert_eq!(writes, [0, 1_440, 2_880]);
    }
}
