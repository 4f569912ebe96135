use super::*;
use crate::store::schema::STEPS;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Rows are deleted after the answer and before the next commit.
async fn settle(store: &Store) {
    store.commit(Batch::default()).await.unwrap();
}

#[tokio::test]
async fn the_age_of_what_a_reader_has_not_got_is_that_of_its_oldest_row() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_eager(dir.path());
    let mut batch = rows("a", &["one", "two"]);
    batch.rows[0].at.mono = Mono(5_000);
    batch.rows[1].at.mono = Mono(9_000);
    let [one, two] = [batch.rows[0].at, batch.rows[1].at];
    store.commit(batch).await.unwrap();
    store.register(&reader("a/main"), &cp("a")).await.unwrap();
    let oldest = async || store.stats().await.unwrap().readers[0].oldest;
    assert_eq!(oldest().await, Some(one));
    store.commit(cursor("a/main", 1)).await.unwrap();
    assert_eq!(oldest().await, Some(two));
    store.commit(cursor("a/main", 2)).await.unwrap();
    assert_eq!(oldest().await, None);
}

#[tokio::test]
async fn rows_go_when_every_reader_is_past_them_and_stay_when_nobody_reads() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_eager(dir.path());
    store.commit(rows("a", &["one", "two", "three"])).await.unwrap();
    store.commit(rows("unread", &["kept"])).await.unwrap();
    store.register(&reader("a/main"), &cp("a")).await.unwrap();
    store.register(&reader("a/copy"), &cp("a")).await.unwrap();
    store.commit(cursor("a/main", 3)).await.unwrap();
    assert_eq!(
        marks(&store, "a", 0).await,
        ["one", "two", "three"],
        "the copy has not read them"
    );
    store.commit(cursor("a/copy", 2)).await.unwrap();
    settle(&store).await;
    assert_eq!(marks(&store, "a", 0).await, ["three"]);
    store.commit(cursor("a/copy", 1)).await.unwrap();
    assert_eq!(
        store.register(&reader("a/copy"), &cp("a")).await,
        Ok(2),
        "a cursor never goes back"
    );
    assert_eq!(
        store.register(&reader("a/new"), &cp("a")).await,
        Ok(2),
        "a new one begins at the slowest"
    );
    store.retain_readers(&[reader("a/main")]).await.unwrap();
    store
        .commit(Batch {
            cursors: vec![(reader("a/main"), 5)],
            ..rows("a", &["four"])
        })
        .await
        .unwrap();
    settle(&store).await;
    assert!(
        marks(&store, "a", 0).await.is_empty(),
        "who is configured no longer holds nothing"
    );
    assert_eq!(marks(&store, "unread", 0).await, ["kept"]);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.last_seq, stats.pruned), (5, 4));
    assert_eq!(
        stats
            .readers
            .iter()
            .map(|r| (r.reader.as_str(), r.cursor, r.pending))
            .collect::<Vec<_>>(),
        [("a/main", 5, 0)]
    );
    store.close().await;
}

#[tokio::test]
async fn a_new_reader_is_not_sent_what_a_leaving_one_had_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.register(&reader("a/old"), &cp("a")).await.unwrap();
    store.commit(rows("a", &["taken", "open"])).await.unwrap();
    store.commit(cursor("a/old", 1)).await.unwrap();
    store.retain_readers(&[]).await.unwrap();
    let at = store.register(&reader("a/new"), &cp("a")).await.unwrap();
    assert_eq!(marks(&store, "a", at).await, ["open"]);
    store.close().await;
}

/// A second CSMS that was away for weeks is taken out of the configuration: all of its backlog becomes free at
/// once, and a commit in that moment must not wait for it.
#[tokio::test]
async fn a_long_backlog_is_deleted_in_small_steps_between_commits() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_eager(dir.path());
    store.register(&reader("a/main"), &cp("a")).await.unwrap();
    store.register(&reader("a/gone"), &cp("a")).await.unwrap();
    let body = "x".repeat(500);
    for _ in 0..10 {
        store.commit(rows("a", &vec![body.as_str(); 500])).await.unwrap();
    }
    store.commit(cursor("a/main", 5_000)).await.unwrap();
    let before = store.stats().await.unwrap();
    store.retain_readers(&[reader("a/main")]).await.unwrap();
    let mut settles = 0;
    while store.stats().await.unwrap().pruned < 5_000 {
        settle(&store).await;
        settles += 1;
    }
    let after = store.stats().await.unwrap();
    assert_eq!((before.pruned, after.pruned), (0, 5_000));
    let steps = after.transactions - before.transactions - 1 - settles;
    assert!(
        steps >= 5_000 / 256,
        "only {steps} steps: a commit would have waited long"
    );
    assert!(marks(&store, "a", 0).await.is_empty());
    store.close().await;
}

#[derive(Clone, Debug)]
enum Op {
    Append { cp: usize, count: usize },
    Register { reader: usize },
    Advance { reader: usize, rows: usize },
    Retain { mask: u8 },
    Reopen,
}

const READERS: usize = 4;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..2_usize, 1..4_usize).prop_map(|(cp, count)| Op::Append { cp, count }),
        2 => (0..READERS).prop_map(|reader| Op::Register { reader }),
        5 => (0..READERS, 0..6_usize).prop_map(|(reader, rows)| Op::Advance { reader, rows }),
        1 => any::<u8>().prop_map(|mask| Op::Retain { mask }),
        1 => Just(Op::Reopen),
    ]
}

/// What must be true, told without SQL: all rows ever written, and where each reader is.
#[derive(Default)]
struct Model {
    written: Vec<(usize, u64)>,
    cursors: BTreeMap<usize, u64>,
    floors: [u64; 2],
}

impl Model {
    fn slowest(&self, cp: usize) -> Option<u64> {
        self.cursors
            .iter()
            .filter(|(reader, _)| *reader % 2 == cp)
            .map(|(_, cursor)| *cursor)
            .min()
    }

    /// When the last reader leaves, its successor begins after what all had taken.
    fn retain(&mut self, keep: &[usize]) {
        for cp in 0..2 {
            if let Some(taken) = self.slowest(cp) {
                self.floors[cp] = taken;
            }
        }
        self.cursors.retain(|reader, _| keep.contains(reader));
    }

    fn owed(&self, cp: usize, after: u64) -> Vec<u64> {
        self.written
            .iter()
            .filter(|(owner, seq)| *owner == cp && *seq > after)
            .map(|(_, seq)| *seq)
            .collect()
    }
}

async fn seqs(store: &Store, cp: usize, after: u64) -> Vec<u64> {
    let rows = store
        .rows(&CpId::new(format!("cp{cp}")), after, 1_000)
        .await
        .unwrap();
    rows.iter().map(|row| row.seq).collect()
}

struct World {
    dir: tempfile::TempDir,
    options: Options,
    model: Model,
}

fn name(reader: usize) -> ReaderId {
    super::reader(&format!("reader{reader}"))
}

impl World {
    fn open(&self) -> Store {
        Store::open_with(self.dir.path(), STEPS, self.options.clone())
            .unwrap()
            .0
    }

    async fn apply(&mut self, store: Store, op: Op) -> Store {
        let model = &mut self.model;
        match op {
            Op::Append { cp, count } => {
                let batch = rows(&format!("cp{cp}"), &vec!["x"; count]);
                let last = store.commit(batch).await.unwrap();
                let first = last + 1 - count as u64;
                model.written.extend((first..=last).map(|seq| (cp, seq)));
            }
            Op::Register { reader } => {
                let cp = reader % 2;
                let at = store
                    .register(&name(reader), &CpId::new(format!("cp{cp}")))
                    .await
                    .unwrap();
                let due = model
                    .cursors
                    .get(&reader)
                    .copied()
                    .or(model.slowest(cp))
                    .unwrap_or(model.floors[cp]);
                assert_eq!(at, due);
                model.cursors.insert(reader, at);
            }
            Op::Advance { reader, rows } => {
                let at = model.cursors.get(&reader).copied();
                let to = at.and_then(|at| model.owed(reader % 2, at).get(rows).copied());
                if let Some(to) = to {
                    store.commit(cursor(name(reader).as_str(), to)).await.unwrap();
                    model.cursors.insert(reader, to);
                }
            }
            Op::Retain { mask } => {
                let keep: Vec<usize> = model
                    .cursors
                    .keys()
                    .copied()
                    .filter(|r| mask & (1 << r) != 0)
                    .collect();
                let names: Vec<ReaderId> = keep.iter().map(|reader| name(*reader)).collect();
                store.retain_readers(&names).await.unwrap();
                model.retain(&keep);
            }
            Op::Reopen => {
                store.close().await;
                return self.open();
            }
        }
        store
    }

    async fn check(&self, store: &Store) {
        for cp in (0..2).filter(|cp| self.model.slowest(*cp).is_none()) {
            let floor = self.model.floors[cp];
            let (kept, owed) = (seqs(store, cp, floor).await, self.model.owed(cp, floor));
            assert_eq!(kept, owed, "cp{cp} has no reader: all is kept");
        }
        for (reader, cursor) in &self.model.cursors {
            let (kept, owed) = (
                seqs(store, reader % 2, *cursor).await,
                self.model.owed(reader % 2, *cursor),
            );
            assert_eq!(kept, owed, "reader{reader}");
        }
    }
}

async fn play(ops: Vec<Op>, prune_every: u32) {
    let options = Options {
        prune_every,
        ..Options::default()
    };
    let mut world = World {
        dir: tempfile::tempdir().unwrap(),
        options,
        model: Model::default(),
    };
    let mut store = world.open();
    for op in ops {
        store = world.apply(store, op).await;
        world.check(&store).await;
    }
    store.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_row_is_never_deleted_before_every_reader_is_past_it(
        ops in proptest::collection::vec(op(), 1..40),
        prune_every in 1..5_u32,
    ) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(play(ops, prune_every));
    }
}

#[tokio::test]
async fn the_last_thousand_security_events_outlive_their_delivery() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.register(&reader("a/main"), &cp("a")).await.unwrap();
    for hundred in 0..11 {
        let marks: Vec<String> = (0..100).map(|n| format!("{}", hundred * 100 + n)).collect();
        let marks: Vec<&str> = marks.iter().map(String::as_str).collect();
        let seq = store.commit(rows("a", &marks)).await.unwrap();
        store.commit(cursor("a/main", seq)).await.unwrap();
    }
    store.commit(rows("b", &["other"])).await.unwrap();
    let log = store.security_log(&cp("a")).await.unwrap();
    let names: Vec<&str> = log.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!((names.len(), names[0], names[999]), (1_000, "100", "1099"));
    assert_eq!(store.security_log(&cp("b")).await.unwrap().len(), 1);
    store.close().await;
}
