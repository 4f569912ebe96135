use super::*;
use crate::domain::Rng;
use crate::store::file::FILE;
use rusqlite::Connection;

fn aside(dir: &Path, number: u32) -> std::path::PathBuf {
    dir.join(format!("{FILE}.bad-{number}"))
}

async fn fill(dir: &Path, count: usize) {
    let (store, _) = Store::open(dir).unwrap();
    for step in 0..count {
        let mut batch = rows("a", &[&format!("row {step} {}", "x".repeat(200))]);
        batch.puts = vec![put("station/a", &format!("key{step}"), Some("value"))];
        store.commit(batch).await.unwrap();
    }
    store.close().await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_set_aside_and_service_begins() {
    let dir = tempfile::tempdir().unwrap();
    for number in 1..=2 {
        let garbage = format!("this is not a database, try {number}").repeat(500);
        std::fs::write(dir.path().join(FILE), &garbage).unwrap();
        let (store, opened) = Store::open(dir.path()).unwrap();
        assert_eq!(opened.set_aside, Some(aside(dir.path(), number)));
        assert_eq!(
            std::fs::read_to_string(aside(dir.path(), number)).unwrap(),
            garbage,
            "kept for rescue"
        );
        assert_eq!(store.commit(rows("a", &["up"])).await, Ok(1));
        store.close().await;
    }
}

#[tokio::test]
async fn the_database_of_another_program_is_set_aside_whole() {
    let dir = tempfile::tempdir().unwrap();
    let db = Connection::open(dir.path().join(FILE)).unwrap();
    db.execute_batch("CREATE TABLE holiday(photo TEXT); INSERT INTO holiday VALUES('beach');")
        .unwrap();
    drop(db);
    let (store, opened) = Store::open(dir.path()).unwrap();
    store.close().await;
    let db = Connection::open(opened.set_aside.unwrap()).unwrap();
    let photo: String = db
        .query_row("SELECT photo FROM holiday", [], |row| row.get(0))
        .unwrap();
    assert_eq!(photo, "beach");
}

#[tokio::test]
async fn an_emptied_file_beside_its_log_is_damage_and_the_log_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE), "").unwrap();
    std::fs::write(dir.path().join(format!("{FILE}-wal")), "the last commits").unwrap();
    let (store, opened) = Store::open(dir.path()).unwrap();
    assert_eq!(opened.set_aside, Some(aside(dir.path(), 1)));
    let log = dir.path().join(format!("{FILE}.bad-1-wal"));
    assert_eq!(std::fs::read_to_string(log).unwrap(), "the last commits");
    store.close().await;
}

/// Zeroed pages, flipped bytes and cut ends at random places: the service always comes up, and a row that is
/// served is a row that was written.
#[tokio::test]
async fn whatever_is_broken_the_service_comes_up_and_serves_no_wrong_value() {
    let master = tempfile::tempdir().unwrap();
    fill(master.path(), 60).await;
    let sound = std::fs::read(master.path().join(FILE)).unwrap();
    let mut rng = Rng::new(3);
    let mut found = 0;
    for case in 0..150 {
        let dir = tempfile::tempdir().unwrap();
        let mut broken = sound.clone();
        let at = usize::try_from(rng.below(sound.len() as u64)).unwrap();
        match case % 3 {
            0 => broken[at] ^= 1 << rng.below(8),
            1 => broken[at / 4096 * 4096..][..4096].fill(0),
            _ => broken.truncate(at),
        }
        std::fs::write(dir.path().join(FILE), &broken).unwrap();
        let mut seen_damage = false;
        for _start in 0..2 {
            let (store, opened) = Store::open(dir.path()).unwrap();
            seen_damage |= opened.set_aside.is_some();
            match store.rows(&cp("a"), 0, 1_000).await {
                Ok(rows) => {
                    assert!(
                        seen_damage || rows.len() == 60,
                        "case {case}: rows vanished unnoticed"
                    );
                    for row in rows {
                        let expected = format!("row {} {}", row.seq - 1, "x".repeat(200));
                        assert_eq!(
                            mark(&row.event),
                            expected,
                            "case {case}: a wrong value was served"
                        );
                    }
                }
                Err(error) => assert!(error.is_corruption(), "case {case}: {error}"),
            }
            if let Ok(values) = store.scope("station/a").await {
                assert!(values.iter().all(|(_, value)| value == "value"), "case {case}");
            }
            store.close().await;
        }
        found += usize::from(seen_damage);
        let (store, _) = Store::open(dir.path()).unwrap();
        store.rows(&cp("a"), 0, 1_000).await.unwrap();
        assert!(store.commit(rows("a", &["on"])).await.is_ok(), "case {case}");
        store.close().await;
    }
    assert!(found > 75, "only {found} of 150 damages were noticed");
}

#[tokio::test]
async fn damage_met_in_operation_is_reported_and_the_next_start_sets_the_file_aside() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 10).await;
    let db = Connection::open(dir.path().join(FILE)).unwrap();
    db.execute(
        "UPDATE ledger SET body = replace(body, 'row 4', 'row 5') WHERE seq = 5",
        [],
    )
    .unwrap();
    drop(db);
    let (store, opened) = Store::open(dir.path()).unwrap();
    assert_eq!(opened.set_aside, None, "the structure is sound");
    assert_eq!(
        store.rows(&cp("a"), 0, 4).await.unwrap().len(),
        4,
        "what is sound is served"
    );
    let error = store.rows(&cp("a"), 4, 10).await.unwrap_err();
    assert!(error.is_corruption() && !error.is_retryable(), "{error}");
    store.close().await;
    let (store, opened) = Store::open(dir.path()).unwrap();
    assert_eq!(opened.set_aside, Some(aside(dir.path(), 1)));
    store.close().await;
}
