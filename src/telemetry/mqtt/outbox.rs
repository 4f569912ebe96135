//! What waits for the broker.
//!
//! * Of retained state only the latest per topic waits, in the order in which the topics were first told.
//! * Events wait all, in order, and stay until the broker has confirmed them: after a lost connection those on the way go
//!   again (at least once; their `seq` tells a repeat).
//! * Together they never take more than [`RING_BYTES`]; beyond it the oldest events go, and are counted.

use super::super::client::Message;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Most that may wait, bytes, overhead included (promise N4).
pub const RING_BYTES: usize = 4 * 1024 * 1024;

/// What a waiting message takes beside its texts: its place in the queue, reference counts, allocator.
const OVERHEAD: usize = 160;

fn bytes(message: &Message) -> usize {
    message.topic.len() + message.payload.len() + OVERHEAD
}

#[derive(Debug)]
struct Kept {
    id: u64,
    message: Message,
    on_the_way: bool,
}

/// Which waiting message something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// State: gone from here as soon as it is on the way.
    State,
    /// An event.
    Event(u64),
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    order: VecDeque<Arc<str>>,
    states: BTreeMap<Arc<str>, Message>,
    events: VecDeque<Kept>,
    next_id: u64,
    bytes: usize,
    dropped: u64,
}

impl Outbox {
    /// State, in place of what waits for the same topic.
    pub(super) fn state(&mut self, message: Message) {
        self.bytes += bytes(&message);
        let topic = Arc::clone(&message.topic);
        match self.states.insert(Arc::clone(&topic), message) {
            Some(old) => self.bytes -= bytes(&old),
            None => self.order.push_back(topic),
        }
        self.trim();
    }

    /// An event, behind all others.
    pub(super) fn event(&mut self, message: Message) {
        self.bytes += bytes(&message);
        self.next_id += 1;
        self.events.push_back(Kept {
            id: self.next_id,
            message,
            on_the_way: false,
        });
        self.trim();
    }

    fn trim(&mut self) {
        while self.bytes > RING_BYTES {
            let Some(oldest) = self.events.pop_front() else {
                return;
            };
            self.bytes -= bytes(&oldest.message);
            self.dropped += 1;
        }
    }

    /// The next state to send.
    pub(super) fn next_state(&self) -> Option<&Message> {
        self.order.front().and_then(|topic| self.states.get(topic))
    }

    /// The next event to send.
    pub(super) fn next_event(&self) -> Option<(u64, &Message)> {
        let next = self.events.iter().find(|kept| !kept.on_the_way)?;
        Some((next.id, &next.message))
    }

    /// It is on the way now.
    pub(super) fn sent(&mut self, slot: Slot) {
        match slot {
            Slot::State => {
                if let Some(message) = self
                    .order
                    .pop_front()
                    .and_then(|topic| self.states.remove(&topic))
                {
                    self.bytes -= bytes(&message);
                }
            }
            Slot::Event(id) => {
                if let Some(kept) = self.events.iter_mut().find(|kept| kept.id == id) {
                    kept.on_the_way = true;
                }
            }
        }
    }

    /// The broker has it, or will never take it.
    pub(super) fn confirmed(&mut self, slot: Slot) {
        let Slot::Event(id) = slot else { return };
        if let Some(at) = self.events.iter().position(|kept| kept.id == id)
            && let Some(kept) = self.events.remove(at)
        {
            self.bytes -= bytes(&kept.message);
        }
    }

    /// The connection is lost: state is told anew on the next one, events go again.
    pub(super) fn lost(&mut self) {
        self.order.clear();
        self.states.clear();
        for kept in &mut self.events {
            kept.on_the_way = false;
        }
        self.bytes = self.events.iter().map(|kept| bytes(&kept.message)).sum();
    }

    /// How much waits, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// States that wait.
    pub(super) fn states(&self) -> usize {
        self.order.len()
    }

    /// Events that wait.
    pub(super) fn events(&self) -> usize {
        self.events.len()
    }

    /// Events given up for want of room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Counts events that were missed before they came here.
    pub(super) fn missed(&mut self, events: u64) {
        self.dropped += events;
    }

    /// For the next one who tells: what waits, without what was counted here.
    pub(super) fn handed_over(mut self) -> Self {
        self.lost();
        self.dropped = 0;
        self
    }

    /// Everything that waits goes, and is counted.
    pub(super) fn give_up(&mut self) {
        let waiting = self.events.len() as u64;
        self.events.clear();
        self.lost();
        self.dropped += waiting;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: usize) -> Message {
        Message::passing("r/gw/cp/a/event/status", format!("{number}"))
    }

    fn drain(outbox: &mut Outbox) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some((id, message)) = outbox.next_event() {
            sent.push(String::from_utf8_lossy(&message.payload).into_owned());
            outbox.sent(Slot::Event(id));
        }
        sent
    }

    #[test]
    fn only_the_latest_state_of_a_topic_waits_and_keeps_its_place() {
        let mut outbox = Outbox::default();
        for (topic, text) in [("a", "1"), ("b", "1"), ("a", "2")] {
            outbox.state(Message::retained(topic, text));
        }
        let mut seen = Vec::new();
        while let Some(message) = outbox.next_state() {
            seen.push((message.topic.to_string(), message.payload.clone()));
            outbox.sent(Slot::State);
        }
        assert_eq!(seen, [("a".to_owned(), "2".into()), ("b".to_owned(), "1".into())]);
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn events_stay_until_confirmed_and_go_again_after_a_lost_connection() {
        let mut outbox = Outbox::default();
        (1..=3).for_each(|number| outbox.event(event(number)));
        assert_eq!(drain(&mut outbox), ["1", "2", "3"]);
        outbox.confirmed(Slot::Event(1));
        outbox.lost();
        assert_eq!(drain(&mut outbox), ["2", "3"]);
        outbox.confirmed(Slot::Event(2));
        outbox.confirmed(Slot::Event(3));
        assert_eq!((outbox.events(), outbox.bytes()), (0, 0));
    }

    /// Promise N4: three days without a broker, an event a second and every state changing all the time.
    #[test]
    fn after_72_hours_of_outage_at_most_4_mib_wait_and_the_newest_are_among_them() {
        let mut outbox = Outbox::default();
        let seconds = 72 * 3600;
        for second in 0..seconds {
            outbox.event(Message::passing(
                "r/gw/cp/garage-left/event/status",
                format!("{second:0300}"),
            ));
            for point in 0..16 {
                outbox.state(Message::retained(
                    format!("r/gw/cp/{point}/state"),
                    vec![b'x'; 800],
                ));
            }
            assert!(outbox.bytes() <= RING_BYTES);
        }
        assert!(outbox.events() > 8_000, "{}", outbox.events());
        assert_eq!(outbox.dropped() + outbox.events() as u64, seconds);
        let kept = drain(&mut outbox);
        let numbers: Vec<u64> = kept.iter().filter_map(|text| text.parse().ok()).collect();
        assert_eq!(numbers.last(), Some(&(seconds - 1)));
        assert!(
            numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "no gap in what is left"
        );
    }
}
