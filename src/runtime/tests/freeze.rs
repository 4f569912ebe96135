//! Tasks that can be made to hang.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

/// Spawns tasks under names; a frozen one is never polled again, which is what a task that waits for ever looks like.
#[derive(Default)]
pub(super) struct Freezer(BTreeMap<&'static str, Arc<AtomicBool>>);

impl Freezer {
    pub(super) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let frozen = Arc::new(AtomicBool::new(false));
        assert!(self.0.insert(name, Arc::clone(&frozen)).is_none(), "{name} twice");
        tokio::spawn(async move {
            let mut task = pin!(task);
            poll_fn(|context| match frozen.load(Ordering::Relaxed) {
                true => Poll::Pending,
                false => task.as_mut().poll(context),
            })
            .await;
        });
    }

    pub(super) fn freeze(&self, name: &str) {
        self.0[name].store(true, Ordering::Relaxed);
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }
}
