//! A bounded queue in front of a channel, for a writer that must never wait.

use std::collections::VecDeque;
use tokio::sync::mpsc;

/// What may wait in front of a channel that is full. A reader this far behind is hung and will be restarted.
const BOUND: usize = 512;

/// Sends without waiting; what does not fit waits here in order, the oldest is dropped beyond the bound.
#[derive(Debug)]
pub struct Spool<T> {
    to: mpsc::Sender<T>,
    waiting: VecDeque<T>,
    dropped: u64,
}

impl<T> Spool<T> {
    /// A spool in front of a channel.
    #[must_use]
    pub fn new(to: mpsc::Sender<T>) -> Self {
        Self {
            to,
            waiting: VecDeque::new(),
            dropped: 0,
        }
    }

    /// The channel itself, for messages that may be lost.
    #[must_use]
    pub fn sender(&self) -> mpsc::Sender<T> {
        self.to.clone()
    }

    /// Sends behind everything that waits.
    pub fn send(&mut self, message: T) {
        self.waiting.push_back(message);
        self.flush();
        while self.waiting.len() > BOUND {
            self.waiting.pop_front();
            self.dropped += 1;
        }
    }

    /// Tries again what waits.
    pub fn flush(&mut self) {
        while let Some(message) = self.waiting.pop_front() {
            match self.to.try_send(message) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(message)) => {
                    self.waiting.push_front(message);
                    return;
                }
                Err(mpsc::error::TrySendError::Closed(_)) => self.dropped += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_never_waits() {
        let (to, mut from) = mpsc::channel(2);
        let mut spool = Spool::new(to);
        (0..5).for_each(|n| spool.send(n));
        assert_eq!((from.try_recv().ok(), from.try_recv().ok()), (Some(0), Some(1)));
        spool.flush();
        assert_eq!((from.try_recv().ok(), from.try_recv().ok()), (Some(2), Some(3)));
        spool.send(5);
        assert_eq!((from.try_recv().ok(), from.try_recv().ok()), (Some(4), Some(5)));
    }

    #[test]
    fn a_hung_reader_costs_only_the_oldest() {
        let (to, mut from) = mpsc::channel(1);
        let mut spool = Spool::new(to);
        (0..BOUND + 11).for_each(|n| spool.send(n));
        assert_eq!(spool.waiting.len(), BOUND);
        assert_eq!(spool.dropped, 10);
        assert_eq!(from.try_recv().ok(), Some(0));
    }
}
