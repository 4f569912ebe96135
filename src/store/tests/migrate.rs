use super::*;
use crate::store::StoreError;
use crate::store::file::FILE;
use crate::store::schema::{STEPS, Step};
use rusqlite::Connection;

const NAME: &str = "store::tests::migrate::a_kill_at_any_step_of_an_upgrade_leaves_every_row_readable";

/// The database as the first release wrote it. Never edit it: it stands for files in the field.
const V1: &str = include_str!("v1.sql");

/// What later releases might do: add a column with a value for old rows, then a table filled from the ledger.
const LATER: [Step; 2] = [
    "ALTER TABLE ledger ADD COLUMN thinned INTEGER NOT NULL DEFAULT 0; UPDATE ledger SET thinned = 7;",
    "CREATE TABLE totals(cp TEXT PRIMARY KEY, count INTEGER) STRICT;
     INSERT INTO totals SELECT cp, count(*) FROM ledger GROUP BY cp;",
];

fn later() -> Vec<Step> {
    STEPS.iter().copied().chain(LATER).collect()
}

fn write_v1(dir: &Path) {
    let db = Connection::open(dir.join(FILE)).unwrap();
    db.execute_batch(V1).unwrap();
}

fn user_version(dir: &Path) -> u32 {
    let db = Connection::open(dir.join(FILE)).unwrap();
    db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn the_file_of_the_first_release_is_read() {
    let dir = tempfile::tempdir().unwrap();
    write_v1(dir.path());
    let (store, opened) = Store::open(dir.path()).unwrap();
    assert_eq!(
        (opened.boot, opened.last_wall_ms, opened.set_aside),
        (BootId(5), Some(1_790_000_060_000), None)
    );
    assert_eq!(marks(&store, "cp-1", 0).await, ["one", "two"]);
    assert_eq!(marks(&store, "cp-2", 0).await, ["other"]);
    assert_eq!(store.register(&reader("cp-1/main"), &cp("cp-1")).await, Ok(1));
    assert_eq!(
        store.scope("station/cp-1").await.unwrap(),
        [("state".to_owned(), "{}".to_owned())]
    );
    store.close().await;
}

#[tokio::test]
async fn a_kill_at_any_step_of_an_upgrade_leaves_every_row_readable() {
    if let Some(dir) = as_child() {
        let (store, _) = Store::open_with(&dir, &later(), Options::default()).unwrap();
        store.close().await;
        return;
    }
    for (wish, version) in [
        ("within 2", 1),
        ("after 2", 2),
        ("within 3", 2),
        ("after 3", 3),
        ("within 4", 3),
        ("after 4", 4),
    ] {
        let dir = tempfile::tempdir().unwrap();
        write_v1(dir.path());
        let status = child_of(NAME, wish, dir.path()).status().unwrap();
        assert!(!status.success(), "{wish}: the child was killed");
        assert_eq!(
            user_version(dir.path()),
            version,
            "{wish}: a step is there as a whole or not at all"
        );

        let (store, opened) = Store::open_with(dir.path(), &later(), Options::default()).unwrap();
        assert_eq!(opened.set_aside, None, "{wish}");
        assert_eq!(marks(&store, "cp-1", 0).await, ["one", "two"], "{wish}");
        store.close().await;
        let db = Connection::open(dir.path().join(FILE)).unwrap();
        let done: (i64, i64) = db
            .query_row(
                "SELECT (SELECT sum(thinned) FROM ledger), (SELECT sum(count) FROM totals)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(done, (21, 3), "{wish}: every step ran exactly once");
    }
}

#[tokio::test]
async fn a_later_schema_is_refused_in_words_and_left_untouched() {
    let dir = tempfile::tempdir().unwrap();
    write_v1(dir.path());
    let (store, _) = Store::open_with(dir.path(), &later(), Options::default()).unwrap();
    store.close().await;
    let before = std::fs::read(dir.path().join(FILE)).unwrap();
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let there = names();
    let error = Store::open(dir.path()).map(drop).unwrap_err();
    let known = u32::try_from(STEPS.len()).unwrap();
    let found = u32::try_from(later().len()).unwrap();
    assert_eq!(error, StoreError::Newer { found, known });
    assert!(
        error.to_string().contains("written by a later release"),
        "{error}"
    );
    assert_eq!(std::fs::read(dir.path().join(FILE)).unwrap(), before);
    assert_eq!(names(), there, "nothing is put beside it");
}

/// What a power cut of the later release leaves: its last commits, the new schema perhaps among them, are only in the log.
#[tokio::test]
async fn the_log_of_a_later_schema_is_left_untouched_too() {
    let (alive, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = dir.path().join("a %20 ?b#");
    std::fs::create_dir(&folder).unwrap();
    write_v1(alive.path());
    let (store, _) = Store::open_with(alive.path(), &later(), Options::default()).unwrap();
    let names = [FILE, "ledger.db-wal"];
    for name in names {
        std::fs::copy(alive.path().join(name), folder.join(name)).unwrap();
    }
    store.close().await;
    let read = || names.map(|name| std::fs::read(folder.join(name)).unwrap());
    let before = read();
    assert!(!before[1].is_empty(), "there is a log to lose");
    for _ in 0..2 {
        let error = Store::open(&folder).map(drop).unwrap_err();
        assert!(matches!(error, StoreError::Newer { .. }), "{error}");
        assert_eq!(read(), before);
    }
    // The later release goes on where it was.
    let (store, opened) = Store::open_with(&folder, &later(), Options::default()).unwrap();
    assert_eq!((opened.boot, opened.set_aside), (BootId(6), None));
    store.close().await;
}

#[tokio::test]
async fn a_flipped_bit_in_the_version_is_damage_and_no_later_release() {
    let dir = tempfile::tempdir().unwrap();
    write_v1(dir.path());
    let db = Connection::open(dir.path().join(FILE)).unwrap();
    db.pragma_update(None, "user_version", 1 + 64).unwrap();
    drop(db);
    let (store, opened) = Store::open(dir.path()).unwrap();
    assert_eq!(opened.set_aside, Some(dir.path().join("ledger.db.bad-1")));
    store.close().await;
}

#[test]
fn the_package_knows_the_schema() {
    let told = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/debian/schema")).unwrap();
    assert_eq!(
        told.trim(),
        STEPS.len().to_string(),
        "deploy/debian/schema keeps an older package from being put over a newer ledger"
    );
}
