//! What the station is to be told, in order, through a bounded channel that is never waited for alone.

use super::FromUplink;
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Messages to the station. Boxed: a channel keeps room for 32 of them even while it is empty.
pub(super) struct Post {
    to: mpsc::Sender<Box<FromUplink>>,
    waiting: VecDeque<Box<FromUplink>>,
}

impl Post {
    pub(super) fn new(to: mpsc::Sender<Box<FromUplink>>) -> Self {
        Self {
            to,
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Tells the station, now if there is room, else as soon as there is. Nothing is dropped, save a state that a
    /// newer one has overtaken, so that a station that hangs does not fill the memory.
    pub(super) fn send(&mut self, message: FromUplink) {
        if is_state(&message) {
            let kind = std::mem::discriminant(&message);
            self.waiting.retain(|old| std::mem::discriminant(&**old) != kind);
        }
        self.waiting.push_back(Box::new(message));
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(message) = self.waiting.pop_front() {
            match self.to.try_send(message) {
                Ok(()) => {}
                Err(TrySendError::Full(message)) => {
                    self.waiting.push_front(message);
                    return;
                }
                // The station has ended; nobody is left to tell.
                Err(TrySendError::Closed(_)) => self.waiting.clear(),
            }
        }
    }

    /// Waits for room if something waits for it, else for ever. Cancel safe.
    pub(super) async fn deliver(&mut self) {
        if self.waiting.is_empty() {
            return std::future::pending().await;
        }
        match self.to.reserve().await {
            Ok(permit) => {
                if let Some(message) = self.waiting.pop_front() {
                    permit.send(message);
                }
            }
            Err(_) => self.waiting.clear(),
        }
    }
}

/// Whether only the newest of its kind matters.
fn is_state(message: &FromUplink) -> bool {
    match message {
        FromUplink::Online(_) | FromUplink::Link { .. } | FromUplink::ClockSet { .. } => true,
        FromUplink::Command { .. } | FromUplink::Authorized { .. } | FromUplink::Verdict { .. } => false,
        FromUplink::Learned { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(request: u64) -> FromUplink {
        FromUplink::Authorized {
            request,
            result: None,
        }
    }

    fn words(message: &FromUplink) -> String {
        match message {
            FromUplink::Authorized { request, .. } => format!("authorized {request}"),
            FromUplink::Online(online) => format!("online {online}"),
            other => format!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn everything_arrives_in_order_however_slow_the_station() {
        let (to, mut from) = mpsc::channel(1);
        let mut post = Post::new(to);
        (1..=3).for_each(|n| post.send(asked(n)));
        post.send(FromUplink::Online(true));
        post.send(asked(4));
        post.send(FromUplink::Online(false));
        let mut seen = Vec::new();
        while let Ok(message) = from.try_recv() {
            seen.push(words(&message));
            if post.waiting() > 0 {
                post.deliver().await;
            }
        }
        let expected = [
            "authorized 1",
            "authorized 2",
            "authorized 3",
            "authorized 4",
            "online false",
        ];
        assert_eq!(seen, expected);
    }

    #[tokio::test]
    async fn a_station_that_has_ended_is_not_waited_for() {
        let (to, from) = mpsc::channel(1);
        let mut post = Post::new(to);
        post.send(asked(1));
        post.send(asked(2));
        drop(from);
        post.deliver().await;
        assert_eq!(post.waiting(), 0);
    }
}
