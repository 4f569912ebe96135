//! A store without disk and threads, for tests of other rooms in simulated time: it answers while it is polled.

use super::reader::Ask;
use super::writer::{Job, Work};
use super::{QUEUE, Stats, Store, TokenNames};
use crate::domain::NewRow;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// Rows in the order in which they were made durable.
pub(crate) type Rows = Arc<Mutex<Vec<NewRow>>>;

/// A store and what serves it.
pub(crate) fn store(rows: Rows) -> (Store, impl Future<Output = ()> + Send + 'static) {
    let (jobs, job_queue) = mpsc::channel(QUEUE);
    let (asks, ask_queue) = mpsc::channel(QUEUE);
    let names = TokenNames::new(b"double");
    (Store { jobs, asks, names }, serve(rows, job_queue, ask_queue))
}

async fn serve(rows: Rows, mut jobs: mpsc::Receiver<Job>, mut asks: mpsc::Receiver<Ask>) {
    loop {
        tokio::select! {
            Some(job) = jobs.recv() => work(&rows, job),
            Some(ask) = asks.recv() => answer(ask),
            else => return,
        }
    }
}

fn work(rows: &Rows, job: Job) {
    match job {
        Job::Do { work, reply } => {
            let mut rows = rows.lock().expect("no test panics here");
            if let Work::Batch(batch) = work {
                rows.extend(batch.rows);
            }
            let _ = reply.send(Ok(rows.len() as u64));
        }
        Job::Ping(reply) | Job::Close(reply) | Job::Pages(_, reply) => {
            let _ = reply.send(());
        }
    }
}

fn answer(ask: Ask) {
    match ask {
        Ask::Rows { reply, .. } => drop(reply.send(Ok(Vec::new()))),
        Ask::Scope { reply, .. } => drop(reply.send(Ok(Vec::new()))),
        Ask::SecurityLog { reply, .. } => drop(reply.send(Ok(Vec::new()))),
        Ask::Epochs(reply) => drop(reply.send(Ok(Vec::new()))),
        Ask::Stats(reply) => drop(reply.send(Ok(Stats::default()))),
        Ask::Ping(reply) | Ask::Close(reply) => drop(reply.send(())),
    }
}
