//! What is counted by everything that runs, and by what ran before it under the same name: no reload makes a count fall.

use crate::domain::{BusId, BusTally, Bytes, CpId, LinkTally, Mono, ReaderId, SiteSetup};
use crate::station::Snapshot;
use crate::uplink::LinkStatus;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// A count that is added up over those who had the same name.
pub(super) trait Sum: Clone + Default {
    /// Adds what one who is gone has counted.
    fn add(&mut self, gone: &Self);
}

impl Sum for BusTally {
    fn add(&mut self, gone: &Self) {
        Self::add(self, gone);
    }
}

impl Sum for LinkTally {
    fn add(&mut self, gone: &Self) {
        Self::add(self, gone);
    }
}

/// The count of one name.
#[derive(Clone, Debug)]
pub(super) struct Dial<T> {
    gone: T,
    live: watch::Receiver<T>,
}

impl<T: Sum> Dial<T> {
    /// The count of whoever counts now.
    pub fn new(live: watch::Receiver<T>) -> Self {
        Self {
            gone: T::default(),
            live,
        }
    }

    /// Who counts under this name now; whoever did before has ended.
    pub fn turn(&mut self, live: watch::Receiver<T>) {
        if !live.same_channel(&self.live) {
            self.gone.add(&self.live.borrow());
            self.live = live;
        }
    }

    /// Everything counted under this name since the start of the process.
    pub fn sum(&self) -> T {
        let mut sum = self.live.borrow().clone();
        sum.add(&self.gone);
        sum
    }
}

/// One link to a CSMS, as far as somebody looks at it.
#[derive(Clone)]
pub(super) struct LinkDial {
    /// Of which charge point.
    pub cp: CpId,
    /// The name of the CSMS.
    pub csms: String,
    /// How the link is.
    pub status: watch::Receiver<LinkStatus>,
}

/// All instruments.
#[derive(Clone, Default)]
pub(super) struct Panel {
    /// As configured.
    pub site: Option<Arc<SiteSetup>>,
    buses: BTreeMap<BusId, Dial<BusTally>>,
    links: BTreeMap<ReaderId, Dial<LinkTally>>,
    /// Links that run.
    pub running: BTreeMap<ReaderId, LinkDial>,
    stations: BTreeMap<CpId, watch::Receiver<Snapshot>>,
    /// Samples that stations which are gone had given up.
    given_up: u64,
}

impl Panel {
    /// A bus runs.
    pub fn bus(&mut self, id: &BusId, live: &watch::Receiver<BusTally>) {
        let dial = self
            .buses
            .entry(id.clone())
            .or_insert_with(|| Dial::new(live.clone()));
        dial.turn(live.clone());
    }

    /// A link runs.
    pub fn link(&mut self, reader: &ReaderId, live: &watch::Receiver<LinkTally>, link: LinkDial) {
        let dial = self
            .links
            .entry(reader.clone())
            .or_insert_with(|| Dial::new(live.clone()));
        dial.turn(live.clone());
        self.running.insert(reader.clone(), link);
    }

    /// A station runs.
    pub fn station(&mut self, cp: &CpId, live: &watch::Receiver<Snapshot>) {
        match self.stations.insert(cp.clone(), live.clone()) {
            Some(before) if !before.same_channel(live) => self.given_up += before.borrow().given_up,
            _ => {}
        }
    }

    /// What a bus has counted.
    pub fn bus_tally(&self, id: &BusId) -> BusTally {
        self.buses.get(id).map(Dial::sum).unwrap_or_default()
    }

    /// What a link has counted.
    pub fn link_tally(&self, reader: &ReaderId) -> LinkTally {
        self.links.get(reader).map(Dial::sum).unwrap_or_default()
    }

    /// Since when a link is as it is, and when its CSMS last said anything.
    pub fn link_times(&self, reader: &ReaderId) -> (Option<Mono>, Option<Mono>) {
        self.links.get(reader).map_or((None, None), |dial| {
            let live = dial.live.borrow();
            (live.since, live.last_heard.or(dial.gone.last_heard))
        })
    }

    /// What went through the sockets of each link since the start of the process, those that are gone among them.
    pub fn bytes(&self) -> BTreeMap<String, Bytes> {
        let bytes = |dial: &Dial<LinkTally>| {
            let mut bytes = dial.live.borrow().bytes;
            bytes.add(dial.gone.bytes);
            bytes
        };
        self.links
            .iter()
            .map(|(reader, dial)| (reader.to_string(), bytes(dial)))
            .collect()
    }

    /// Samples given up by all stations.
    pub fn given_up(&self) -> u64 {
        self.given_up
            + self
                .stations
                .values()
                .map(|station| station.borrow().given_up)
                .sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::BusResult;
    use std::time::Duration;

    #[test]
    fn a_bus_that_is_started_anew_goes_on_counting() {
        let (first, seen) = watch::channel(BusTally::default());
        let (id, mut panel) = (BusId::new("garage"), Panel::default());
        let answer = |tally: &mut BusTally| tally.answered(BusResult::Ok, Duration::from_millis(3));
        panel.bus(&id, &seen);
        first.send_modify(answer);
        first.send_modify(answer);
        panel.bus(&id, &seen);
        assert_eq!(panel.bus_tally(&id).requests(), 2);
        let (second, seen) = watch::channel(BusTally::default());
        drop(first);
        panel.bus(&id, &seen);
        second.send_modify(answer);
        assert_eq!(panel.bus_tally(&id).requests(), 3);
        assert_eq!(panel.bus_tally(&BusId::new("other")), BusTally::default());
    }
}
