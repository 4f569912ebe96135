use super::*;
use crate::store::StoreError;
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn a_restart_keeps_rows_order_values_cursors_and_times() {
    let dir = tempfile::tempdir().unwrap();
    let (store, opened) = Store::open(dir.path()).unwrap();
    assert_eq!(
        (opened.boot, opened.last_wall_ms, opened.set_aside),
        (BootId(1), None, None)
    );
    store.register(&reader("a/main"), &cp("a")).await.unwrap();
    let mut batch = rows("a", &["one", "two"]);
    batch.puts = vec![
        put("station/a", "state", Some("{}")),
        put("station/a", "gone", Some("x")),
    ];
    assert_eq!(store.commit(batch).await, Ok(2));
    store.commit(rows("b", &["other"])).await.unwrap();
    let mut batch = rows("a", &["three"]);
    batch.puts = vec![
        put("station/a", "gone", None),
        put("station/a", "state", Some("{1}")),
    ];
    batch.cursors = vec![(reader("a/main"), 1)];
    assert_eq!(store.commit(batch).await, Ok(4));
    store.set_epoch(opened.boot, 1_790_000_000_000).await.unwrap();
    store.note_wall(1_790_000_060_000).await.unwrap();
    let before = store.rows(&cp("a"), 0, 10).await.unwrap();
    store.close().await;

    let (store, opened) = Store::open(dir.path()).unwrap();
    assert_eq!(
        (opened.boot, opened.last_wall_ms),
        (BootId(2), Some(1_790_000_060_000))
    );
    assert_eq!(store.rows(&cp("a"), 0, 10).await.unwrap(), before);
    assert_eq!(before.iter().map(|row| row.seq).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(before[0].at, row("a", "one").at);
    assert_eq!(before[0].event, row("a", "one").event);
    assert_eq!(marks(&store, "a", 2).await, ["three"]);
    assert_eq!(store.rows(&cp("a"), 0, 2).await.unwrap().len(), 2);
    assert_eq!(
        store.scope("station/a").await.unwrap(),
        [("state".to_owned(), "{1}".to_owned())]
    );
    assert_eq!(store.register(&reader("a/main"), &cp("a")).await, Ok(1));
    assert_eq!(store.epochs().await.unwrap(), [(BootId(1), 1_790_000_000_000)]);
    store.close().await;
}

#[tokio::test]
async fn a_number_is_never_used_twice_even_when_every_row_was_deleted_and_the_reader_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_eager(dir.path());
    store.register(&reader("a/main"), &cp("a")).await.unwrap();
    store.commit(rows("a", &["one", "two"])).await.unwrap();
    store.commit(cursor("a/main", 2)).await.unwrap();
    store.commit(Batch::default()).await.unwrap();
    assert!(marks(&store, "a", 0).await.is_empty());
    store.retain_readers(&[]).await.unwrap();
    store.close().await;

    let store = open_eager(dir.path());
    assert_eq!(store.commit(rows("a", &["three"])).await, Ok(3));
    store.close().await;
}

#[tokio::test]
async fn a_refused_batch_writes_nothing_and_leaves_the_others_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.register(&reader("a/main"), &cp("a")).await.unwrap();
    let bad = Batch {
        cursors: vec![(reader("nobody"), 1)],
        ..rows("a", &["phantom"])
    };
    let ahead = Batch {
        cursors: vec![(reader("a/main"), 9)],
        ..rows("a", &["phantom"])
    };
    let (refused, good, too_far) = tokio::join!(
        store.commit(bad),
        store.commit(rows("a", &["kept"])),
        store.commit(ahead),
    );
    assert_eq!(refused, Err(StoreError::UnknownReader(reader("nobody"))));
    assert_eq!(good, Ok(1));
    assert_eq!(
        too_far,
        Err(StoreError::CursorAhead {
            reader: reader("a/main"),
            cursor: 9,
            last: 2
        })
    );
    assert_eq!(marks(&store, "a", 0).await, ["kept"]);
    assert_eq!(store.commit(rows("a", &["next"])).await, Ok(2));
    store.close().await;
}

#[tokio::test]
async fn two_daemons_cannot_share_a_state_directory_and_the_lock_goes_with_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    let second = Store::open(dir.path()).map(drop).unwrap_err();
    assert_eq!(
        second,
        StoreError::Locked {
            path: dir.path().to_owned()
        }
    );
    let clone = store.clone();
    store.close().await;
    assert_eq!(clone.commit(rows("a", &["late"])).await, Err(StoreError::Closed));
    assert_eq!(clone.rows(&cp("a"), 0, 1).await, Err(StoreError::Closed));
    Store::open(dir.path()).unwrap().0.close().await;
}

#[tokio::test]
async fn only_the_owner_can_read_the_state() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("state");
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (store, _) = Store::open(&dir).unwrap();
    store.commit(rows("a", &["one"])).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        seen.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    seen.sort();
    let ledger = ["ledger.db", "ledger.db-shm", "ledger.db-wal", "lock"];
    assert_eq!(seen[..4], ledger);
    assert_eq!(seen[4..], ["sessions-sign.pem", "sessions-token.key"]);
    store.close().await;
}

#[tokio::test]
async fn a_full_disk_is_retryable_and_the_same_batch_goes_through_later() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.limit_pages(20).await;
    let long = "x".repeat(100_000);
    let batch = rows("a", &["first", &long]);
    let error = store.commit(batch.clone()).await.unwrap_err();
    assert_eq!(error, StoreError::Full);
    assert!(error.is_retryable());
    assert!(
        marks(&store, "a", 0).await.is_empty(),
        "nothing of it was written"
    );
    assert_eq!(
        store.commit(rows("a", &["small"])).await,
        Ok(1),
        "what fits goes through"
    );
    store.limit_pages(1_000_000).await;
    assert_eq!(store.commit(batch).await, Ok(3));
    assert_eq!(marks(&store, "a", 0).await, ["small", "first", &long]);
    store.close().await;
}

#[test]
fn sqlite_is_built_with_fdatasync_and_without_what_nobody_uses() {
    let db = rusqlite::Connection::open_in_memory().unwrap();
    let mut query = db.prepare("PRAGMA compile_options").unwrap();
    let options: Vec<String> = query
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    // SQLite does not list HAVE_FDATASYNC, but it came by the same flags as what it does list.
    assert!(
        options.iter().any(|option| option == "OMIT_LOAD_EXTENSION"),
        "{options:?}"
    );
    assert!(
        !options.iter().any(|option| option.contains("FTS")),
        "{options:?}"
    );
    assert!(env!("LIBSQLITE3_FLAGS").contains("-DHAVE_FDATASYNC=1"));
}
