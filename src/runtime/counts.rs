//! Pulse counts in the ledger: what a power cut takes back from their files is found there.
//!
//! A charge point's batch carries the counts its station had heard by then, so that no durable record ever stands on a
//! pulse that is not durable itself. Between sessions this task writes what grew, once a minute and at the end. Every
//! writer has keys of its own; the largest value of a device is true.

use crate::domain::{Batch, CpId, DeviceId, Observation, Put};
use crate::store::{Store, StoreError};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// Scope of the store.
const SCOPE: &str = "counts";
/// How often grown counts are written.
const PERIOD: Duration = Duration::from_secs(60);

/// Counts by device, as last heard.
pub type Counts = BTreeMap<DeviceId, u64>;

/// What every device is known to have counted.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn known(store: &Store) -> Result<Counts, StoreError> {
    Ok(largest(&store.scope(SCOPE).await?))
}

fn largest(stored: &[(String, String)]) -> Counts {
    let mut counts = Counts::new();
    for (key, value) in stored {
        let device = key.split('/').next().unwrap_or(key);
        let Ok(count) = value.parse::<u64>() else { continue };
        let known = counts.entry(DeviceId::new(device)).or_default();
        *known = count.max(*known);
    }
    counts
}

fn put(key: String, count: u64) -> Put {
    Put {
        scope: SCOPE.to_owned(),
        key,
        value: Some(count.to_string()),
    }
}

/// The counts a station has heard of, on their way into its next batch.
#[derive(Debug, Default)]
pub struct Heard {
    counts: Counts,
    joined: Counts,
}

impl Heard {
    /// Notes the counts among what a device said.
    pub fn hear(&mut self, device: &DeviceId, observations: &[Observation]) {
        for observation in observations {
            if let Observation::Pulses(count) = observation {
                self.counts.insert(device.clone(), *count);
            }
        }
    }

    /// Adds to a batch what it may stand on.
    pub fn join(&mut self, cp: &CpId, batch: &mut Batch) {
        for (device, count) in &self.counts {
            if self.joined.insert(device.clone(), *count) != Some(*count) {
                batch.puts.push(put(format!("{device}/{cp}"), *count));
            }
        }
    }
}

/// Starts the task that writes grown counts until the channel closes.
pub fn spawn(store: Store, counts: watch::Receiver<Counts>) -> JoinHandle<()> {
    tokio::spawn(run(store, counts))
}

async fn run(store: Store, mut counts: watch::Receiver<Counts>) {
    let mut written = Counts::new();
    let mut due = interval(PERIOD);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let more = tokio::select! {
            _ = due.tick() => true,
            end = ended(&mut counts) => end,
        };
        let now = counts.borrow().clone();
        let puts = now
            .iter()
            .filter(|(device, count)| written.get(*device) != Some(*count))
            .map(|(device, count)| put(device.to_string(), *count))
            .collect();
        let batch = Batch {
            puts,
            ..Batch::default()
        };
        if !batch.is_empty() {
            match store.commit(batch).await {
                Ok(_) => written = now,
                Err(error) => tracing::warn!("pulse counts could not be written to the ledger: {error}"),
            }
        }
        if !more {
            return;
        }
    }
}

/// Returns `false` once nobody tells counts any more.
async fn ended(counts: &mut watch::Receiver<Counts>) -> bool {
    while counts.changed().await.is_ok() {}
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_count_of_a_device_is_true_whoever_wrote_it() {
        let stored = [
            ("m1", "100"),
            ("m1/CP-1", "103"),
            ("m1/CP-2", "99"),
            ("m10", "7"),
            ("m2/CP-1", "not a number"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let counts = largest(&stored);
        assert_eq!(counts.get(&DeviceId::new("m1")), Some(&103));
        assert_eq!(counts.get(&DeviceId::new("m10")), Some(&7));
        assert_eq!(counts.get(&DeviceId::new("m2")), None);
    }

    #[test]
    fn a_batch_carries_the_count_its_station_had_heard_and_carries_it_once() {
        let (cp, meter) = (CpId::new("CP-1"), DeviceId::new("meter"));
        let mut heard = Heard::default();
        let batch = |heard: &mut Heard| {
            let mut batch = Batch::default();
            heard.join(&cp, &mut batch);
            batch.puts
        };
        assert_eq!(batch(&mut heard), []);
        heard.hear(&meter, &[Observation::Pulses(7), Observation::Pulses(8)]);
        let put = batch(&mut heard);
        assert_eq!(
            (put[0].key.as_str(), put[0].value.as_deref()),
            ("meter/CP-1", Some("8"))
        );
        assert_eq!(batch(&mut heard), []);
    }

    #[tokio::test]
    async fn what_grew_is_in_the_ledger_when_the_task_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path()).unwrap();
        let (tell, counts) = watch::channel(Counts::new());
        let task = spawn(store.clone(), counts);
        tell.send_modify(|all| {
            all.insert(DeviceId::new("meter"), 42);
        });
        drop(tell);
        task.await.unwrap();
        assert_eq!(
            known(&store).await.unwrap().get(&DeviceId::new("meter")),
            Some(&42)
        );
    }
}
