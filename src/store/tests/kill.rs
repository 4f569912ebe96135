use super::*;
use crate::domain::Rng;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

const NAME: &str = "store::tests::kill::a_kill_at_any_moment_loses_nothing_that_was_acknowledged";
const THREADS: usize = 3;

/// Commits for ever from several threads and says on stdout what was acknowledged.
fn write_until_killed(dir: &Path) {
    let (store, opened) = Store::open(dir).unwrap();
    println!("ready");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = store.clone();
            scope.spawn(move || {
                for step in 0_u64.. {
                    let name = format!("{}:{thread}:{step}", opened.boot.0);
                    let mut batch = rows("a", &[&name]);
                    batch.puts = vec![put("station/a", &format!("thread{thread}"), Some(&name))];
                    let seq = store.commit_blocking(batch).unwrap();
                    // One write call for the line: the parent never sees half of one.
                    let line = format!("ack {seq} {name}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

/// Lets a child write, kills it after a random number of acknowledgements and returns all it acknowledged.
fn one_life(dir: &Path, rng: &mut Rng) -> Vec<String> {
    let mut child = child_of(NAME, "write", dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let patience = rng.below(60);
    let mut acked = Vec::new();
    let mut killed = false;
    while let Some(Ok(line)) = lines.next() {
        if let Some(rest) = line.strip_prefix("ack ") {
            acked.push(rest.split_once(' ').unwrap().1.to_owned());
        }
        let started = line.ends_with("ready") || !acked.is_empty();
        if started && !killed && acked.len() as u64 >= patience {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the child ended by itself");
    acked
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    if let Some(dir) = as_child() {
        write_until_killed(&dir);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(20);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut acked = Vec::new();
    for life in 1..=20 {
        acked.extend(one_life(dir.path(), &mut rng));
        let (store, opened) = Store::open(dir.path()).unwrap();
        assert_eq!(opened.set_aside, None);
        assert_eq!(opened.boot, BootId(life * 2), "every start was counted");
        runtime.block_on(check(&store, &acked));
        runtime.block_on(store.close());
    }
    assert!(
        acked.len() > 100,
        "only {} acknowledgements: the kills came too early to mean much",
        acked.len()
    );
}

async fn check(store: &Store, acked: &[String]) {
    let mut found = Vec::new();
    while let Some(last) = {
        let rows = store.rows(&cp("a"), found.len() as u64, 1_000).await.unwrap();
        let last = rows.last().map(|row| row.seq);
        found.extend(rows);
        last
    } {
        assert_eq!(last, found.len() as u64, "numbers have no gap");
    }
    let names: Vec<&str> = found.iter().map(|row| mark(&row.event)).collect();
    for name in acked {
        assert!(
            names.contains(&name.as_str()),
            "{name} was acknowledged and is gone"
        );
    }
    // Each thread's rows are there without a hole, and its state is that of its last row: same transaction.
    let mut next: BTreeMap<&str, u64> = BTreeMap::new();
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    for name in names {
        let (thread, step) = name.rsplit_once(':').unwrap();
        let due = next.entry(thread).or_default();
        assert_eq!(
            step,
            due.to_string(),
            "a row of {thread} is missing, doubled or out of order"
        );
        *due += 1;
        last.insert(thread.split_once(':').unwrap().1, name);
    }
    for (thread, name) in last {
        let state = store.scope("station/a").await.unwrap();
        assert!(
            state.contains(&(format!("thread{thread}"), name.to_owned())),
            "{thread}: {state:?}"
        );
    }
}
