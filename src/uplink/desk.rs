//! Reading and writing the ledger beside everything else: a store that hangs holds up nothing but itself.

use super::Feed;
use crate::domain::{Batch, Row};
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// First wait before a refused batch is tried again; doubles up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// What the store has done.
#[derive(Debug, PartialEq)]
pub(super) enum Done {
    /// Rows were read.
    Rows(Vec<Row>),
    /// The batch written for this purpose is durable.
    Written(Purpose),
}

/// For whom a batch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The machine's commit with this id.
    Machine(u64),
    /// Rows of the uplink itself.
    OwnRows,
}

/// What is under way with the store: one read and, in order, writes.
pub(super) struct Desk {
    feed: Arc<dyn Feed>,
    reading: Option<BoxFuture<'static, Vec<Row>>>,
    writing: Option<(Purpose, BoxFuture<'static, ()>)>,
    waiting: VecDeque<(Purpose, Batch)>,
}

impl Desk {
    pub(super) fn new(feed: Arc<dyn Feed>) -> Self {
        Self {
            feed,
            reading: None,
            writing: None,
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn read(&mut self, after: u64, limit: usize) {
        let feed = Arc::clone(&self.feed);
        self.reading = Some(Box::pin(async move { feed.rows(after, limit).await }));
    }

    pub(super) fn write(&mut self, purpose: Purpose, batch: Batch) {
        self.waiting.push_back((purpose, batch));
        self.write_next();
    }

    /// How many batches are not durable yet.
    pub(super) fn unwritten(&self) -> usize {
        self.waiting.len() + usize::from(self.writing.is_some())
    }

    /// The next thing done; never, while there is nothing to do. Cancel safe.
    pub(super) async fn next(&mut self) -> Done {
        poll_fn(|cx| {
            if let Some((purpose, future)) = &mut self.writing
                && future.as_mut().poll(cx).is_ready()
            {
                let purpose = *purpose;
                self.writing = None;
                self.write_next();
                return Poll::Ready(Done::Written(purpose));
            }
            if let Some(future) = &mut self.reading
                && let Poll::Ready(rows) = future.as_mut().poll(cx)
            {
                self.reading = None;
                return Poll::Ready(Done::Rows(rows));
            }
            Poll::Pending
        })
        .await
    }

    fn write_next(&mut self) {
        if self.writing.is_none()
            && let Some((purpose, batch)) = self.waiting.pop_front()
        {
            let feed = Arc::clone(&self.feed);
            self.writing = Some((purpose, Box::pin(write(feed, batch))));
        }
    }
}

async fn write(feed: Arc<dyn Feed>, batch: Batch) {
    let mut wait = RETRY_FIRST;
    while !feed.commit(batch.clone()).await {
        tracing::warn!("the ledger cannot be written; tried again in {wait:?}");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_LAST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ReaderId;
    use std::sync::Mutex;
    use tokio::time::Instant;

    /// A store that refuses the first `refusals` batches and never finishes a read.
    struct Reluctant {
        refusals: Mutex<u32>,
        written: Mutex<Vec<u64>>,
    }

    impl Feed for Reluctant {
        fn rows(&self, _: u64, _: usize) -> BoxFuture<'_, Vec<Row>> {
            Box::pin(std::future::pending())
        }

        fn commit(&self, batch: Batch) -> BoxFuture<'_, bool> {
            Box::pin(async move {
                let mut left = self.refusals.lock().unwrap();
                if *left > 0 {
                    *left -= 1;
                    return false;
                }
                self.written.lock().unwrap().push(batch.cursors[0].1);
                true
            })
        }
    }

    fn cursor(at: u64) -> Batch {
        Batch {
            cursors: vec![(ReaderId::new("CP1/main"), at)],
            ..Batch::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn writes_are_repeated_until_durable_in_order_while_a_read_hangs() {
        let feed = Arc::new(Reluctant {
            refusals: Mutex::new(4),
            written: Mutex::default(),
        });
        let mut desk = Desk::new(feed.clone());
        desk.read(0, 32);
        desk.write(Purpose::Machine(1), cursor(10));
        desk.write(Purpose::OwnRows, cursor(11));
        assert_eq!(desk.unwritten(), 2);
        let before = Instant::now();
        assert_eq!(desk.next().await, Done::Written(Purpose::Machine(1)));
        assert_eq!(before.elapsed(), RETRY_FIRST * (1 + 2 + 4 + 8));
        assert_eq!(desk.next().await, Done::Written(Purpose::OwnRows));
        assert_eq!(desk.unwritten(), 0);
        assert_eq!(*feed.written.lock().unwrap(), [10, 11]);
    }
}
