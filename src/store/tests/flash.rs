use super::*;
use crate::domain::{ChargingState, EvseId, TxId, TxTrigger};
use crate::store::file::FILE;

fn size(dir: &Path, suffix: &str) -> u64 {
    std::fs::metadata(dir.join(format!("{FILE}{suffix}"))).map_or(0, |meta| meta.len())
}

/// A log that grows costs the file system a journal entry for each commit, and a card its life.
#[tokio::test]
async fn a_ledger_that_is_delivered_stays_small_and_reuses_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.register(&reader("a/main"), &cp("a")).await.unwrap();
    let body = "x".repeat(1_000);
    // No security event: those are kept on purpose.
    let mut delivered = rows("a", &[""]);
    delivered.rows[0].event = Event::Changed {
        tx: TxId::new(body),
        tx_seq: 1,
        evse: EvseId(1),
        trigger: TxTrigger::ChargingStateChanged,
        charging_state: ChargingState::Charging,
        token: None,
        offline: false,
    };
    let mut largest_log = 0;
    for _ in 0..500 {
        let seq = store.commit(delivered.clone()).await.unwrap();
        store.commit(cursor("a/main", seq)).await.unwrap();
        largest_log = largest_log.max(size(dir.path(), "-wal"));
    }
    let stats = store.stats().await.unwrap();
    assert!(
        stats.pruned >= 436,
        "{} of 500 delivered rows were deleted",
        stats.pruned
    );
    assert!(largest_log <= 100 * 4_120, "the log grew to {largest_log} bytes");
    assert!(
        stats.bytes <= 256 * 1024,
        "the database grew to {} bytes",
        stats.bytes
    );
    store.close().await;
    assert_eq!(
        size(dir.path(), "-wal"),
        0,
        "an orderly stop leaves no log behind"
    );
}

/// Values written again as they were must not wear the card: only the row itself is new.
#[tokio::test]
async fn an_unchanged_value_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    let same = Batch {
        puts: vec![put("station/a", "state", Some("{}"))],
        ..Batch::default()
    };
    store.commit(same.clone()).await.unwrap();
    let before = size(dir.path(), "-wal");
    for _ in 0..20 {
        store.commit(same.clone()).await.unwrap();
    }
    assert_eq!(size(dir.path(), "-wal"), before);
    store.close().await;
}
