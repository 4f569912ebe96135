use super::*;
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_producers_share_transactions_and_each_keeps_its_order() {
    const PRODUCERS: usize = 32;
    const EACH: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    let tasks: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut seqs = Vec::new();
                for step in 0..EACH {
                    let mark = format!("{producer}:{step}");
                    seqs.push(store.commit(rows("a", &[&mark])).await.unwrap());
                }
                assert!(seqs.is_sorted(), "{seqs:?}");
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.commits, (PRODUCERS * EACH) as u64);
    assert!(
        stats.transactions * 4 <= stats.commits,
        "{} transactions for {} commits: nothing was grouped",
        stats.transactions,
        stats.commits
    );
    let all = store.rows(&cp("a"), 0, 1_000).await.unwrap();
    assert_eq!(
        all.iter().map(|row| row.seq).collect::<Vec<_>>(),
        (1..=640).collect::<Vec<u64>>()
    );
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    for row in &all {
        let (producer, step) = mark(&row.event).split_once(':').unwrap();
        let due = next.entry(producer.to_owned()).or_default();
        assert_eq!(step, due.to_string(), "producer {producer} out of order");
        *due += 1;
    }
    store.close().await;
}

#[tokio::test]
async fn a_lone_commit_does_not_wait_for_company() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    for step in 1..=5 {
        store.commit(rows("a", &["alone"])).await.unwrap();
        assert_eq!(store.stats().await.unwrap().transactions, step);
    }
    store.close().await;
}
