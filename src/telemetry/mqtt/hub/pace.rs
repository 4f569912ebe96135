//! How much may be on its way to the broker at once.
//!
//! A ping waits behind everything that is on its way, and one that is not answered in time ends the connection. So on
//! a slow line little is handed over at a time, and what waits here can still be replaced by something newer.

use super::{Message, Qos};
use std::time::Duration;
use tokio::time::Instant;

/// What may be on its way at the begin, and on the slowest line; a larger message goes alone.
const LEAST: usize = 2 * 1024;
/// What may be on its way at most.
const MOST: usize = 256 * 1024;
/// A line that takes longer to confirm is slow.
const SLOW: Duration = Duration::from_secs(2);
/// Bytes of a PUBLISH beside topic and payload.
const HEAD: usize = 8;

/// Room on the line.
#[derive(Debug)]
pub(super) struct Pace {
    room: usize,
    on_its_way: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            room: LEAST,
            on_its_way: 0,
        }
    }
}

/// A message on its way.
#[derive(Debug)]
pub(super) struct Parcel {
    bytes: usize,
    /// The broker confirms it: it says how quick the line is.
    confirmed: bool,
    since: Instant,
}

impl Pace {
    /// Whether a message may go now.
    pub(super) fn has_room(&self, message: &Message) -> bool {
        self.on_its_way == 0 || self.on_its_way + bytes(message) <= self.room
    }

    /// A message goes.
    pub(super) fn sent(&mut self, message: &Message) -> Parcel {
        let bytes = bytes(message);
        self.on_its_way += bytes;
        Parcel {
            bytes,
            confirmed: message.qos == Qos::AtLeastOnce,
            since: Instant::now(),
        }
    }

    /// It has arrived.
    pub(super) fn confirmed(&mut self, parcel: &Parcel) {
        self.on_its_way = self.on_its_way.saturating_sub(parcel.bytes);
        if parcel.confirmed {
            self.room = if parcel.since.elapsed() > SLOW {
                (self.room / 2).max(LEAST)
            } else {
                (self.room * 2).min(MOST)
            };
        }
    }
}

fn bytes(message: &Message) -> usize {
    message.topic.len() + message.payload.len() + HEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn message(bytes: usize) -> Message {
        Message::retained("t", vec![b'x'; bytes - HEAD - 1])
    }

    #[tokio::test(start_paused = true)]
    async fn a_quick_line_gets_more_and_a_slow_one_less_and_one_message_always_goes() {
        let mut pace = Pace::default();
        let large = message(20 * 1024);
        assert!(pace.has_room(&large), "alone");
        let parcel = pace.sent(&large);
        assert!(!pace.has_room(&message(100)));
        pace.confirmed(&parcel);
        for _ in 0..20 {
            let parcel = pace.sent(&message(1_000));
            pace.confirmed(&parcel);
        }
        assert_eq!((pace.room, pace.on_its_way), (MOST, 0));
        for _ in 0..20 {
            let parcel = pace.sent(&message(1_000));
            advance(SLOW * 2).await;
            pace.confirmed(&parcel);
        }
        assert_eq!((pace.room, pace.on_its_way), (LEAST, 0));
        let passing = Message {
            qos: Qos::AtMostOnce,
            ..message(1_000)
        };
        let parcel = pace.sent(&passing);
        pace.confirmed(&parcel);
        assert_eq!(
            pace.room, LEAST,
            "one that nobody confirms says nothing of the line"
        );
    }
}
