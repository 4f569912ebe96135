//! Writes counts beside the task of the bus: a disk that hangs must not hold up a stop.

use super::counts::CountFile;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Hands counts to the writer.
pub(super) struct Keeper {
    counts: Option<watch::Sender<Vec<u64>>>,
    writer: JoinHandle<()>,
}

impl Keeper {
    /// Starts the writer of some files; counts are named by their place.
    pub(super) fn start(files: Vec<(String, Option<CountFile>)>) -> Self {
        let (counts, wanted) = watch::channel(vec![0; files.len()]);
        Self {
            counts: Some(counts),
            writer: tokio::spawn(write(files, wanted)),
        }
    }

    /// A count to be written; older ones that still wait are worthless then.
    pub(super) fn keep(&self, slot: usize, count: u64) {
        if let Some(counts) = &self.counts {
            counts.send_modify(|all| {
                if let Some(place) = all.get_mut(slot) {
                    *place = count;
                }
            });
        }
    }

    /// Waits until everything is written and synced.
    pub(super) async fn finish(&mut self) {
        self.counts = None;
        let _ = (&mut self.writer).await;
    }
}

async fn write(mut files: Vec<(String, Option<CountFile>)>, mut wanted: watch::Receiver<Vec<u64>>) {
    let mut written = vec![0; files.len()];
    loop {
        let more = wanted.changed().await.is_ok();
        let counts = wanted.borrow_and_update().clone();
        let job = move || {
            for ((name, file), (count, done)) in files.iter().zip(counts.iter().zip(&mut written)) {
                let Some(file) = file.as_ref().filter(|_| count != done) else {
                    continue;
                };
                match file.write(*count) {
                    Ok(()) => *done = *count,
                    Err(error) => tracing::error!("the pulse count of {name} cannot be written: {error}"),
                }
            }
            if !more {
                for (name, file) in &files {
                    if let Some(Err(error)) = file.as_ref().map(CountFile::sync) {
                        tracing::error!("the pulse count of {name} cannot be synced: {error}");
                    }
                }
            }
            (files, written)
        };
        match tokio::task::spawn_blocking(job).await {
            Ok(kept) if more => (files, written) = kept,
            Ok(_) => return,
            Err(error) => {
                tracing::error!("the writer of pulse counts ended: {error}");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_count_of_each_device_is_on_disk_when_the_writer_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str| CountFile::open(dir.path(), name).unwrap();
        let files = ["a", "b", "c"].map(|name| (name.to_owned(), Some(open(name).0)));
        let mut keeper = Keeper::start(files.into());
        for count in 1..=1_000 {
            keeper.keep(0, count);
            keeper.keep(2, count * 2);
        }
        keeper.finish().await;
        assert_eq!(
            ["a", "b", "c"].map(|name| open(name).1),
            [Some(1_000), None, Some(2_000)]
        );
    }
}
