//! A foreign program that says one JSON object a line and takes orders the same way (`tests/interop/rig.py`).

use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// Longer than the slowest step; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program.
pub struct Rig {
    _child: Child,
    stdin: ChildStdin,
    said: watch::Receiver<Vec<Value>>,
    orders: u64,
    /// Where it listens.
    pub port: u64,
}

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The Python that `tests/interop/setup.sh` has furnished.
pub fn python() -> PathBuf {
    let python = root().join(".venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run `make setup` first",
        python.display()
    );
    python
}

impl Rig {
    /// Starts a Python program of `tests/interop` and awaits its `ready`.
    pub async fn start(script: &str, args: &[&str]) -> Self {
        let mut command = Command::new(python());
        command.arg(root().join("tests/interop").join(script)).args(args);
        Self::spawn(command).await
    }

    /// Starts any program that speaks the same way.
    pub async fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let stdin = child.stdin.take().expect("piped");
        let stdout = child.stdout.take().expect("piped");
        let (say, said) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let value = serde_json::from_str(&line).unwrap_or_else(|_| json!({ "text": line }));
                say.send_modify(|all| all.push(value));
            }
        });
        let mut rig = Self {
            _child: child,
            stdin,
            said,
            orders: 0,
            port: 0,
        };
        let ready = rig.await_line(0, "ready", |v| !v["ready"].is_null()).await;
        rig.port = ready["ready"].as_u64().unwrap_or_default();
        rig
    }

    /// How much was said so far: the mark to wait from.
    pub fn mark(&self) -> usize {
        self.said.borrow().len()
    }

    /// Everything said since a mark.
    pub fn since(&self, mark: usize) -> Vec<Value> {
        self.said.borrow()[mark..].to_vec()
    }

    /// The first line from the mark on that is wanted.
    pub async fn await_line(&mut self, mark: usize, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = {
            let seen = self.said.wait_for(|all| all.iter().skip(mark).any(&wanted));
            match timeout(PATIENCE, seen).await {
                Ok(Ok(all)) => all.iter().skip(mark).find(|v| wanted(v)).cloned(),
                _ => None,
            }
        };
        found.unwrap_or_else(|| panic!("{what} did not come; said since: {:#?}", self.since(mark)))
    }

    /// Sends an order.
    pub async fn order(&mut self, order: &Value) {
        self.stdin
            .write_all(format!("{order}\n").as_bytes())
            .await
            .expect("the program takes orders");
    }

    /// Has the CSMS send a CALL and awaits what the charge point answered.
    pub async fn call(&mut self, cp: &str, action: &str, payload: Value) -> Value {
        self.orders += 1;
        let n = self.orders;
        let mark = self.mark();
        self.order(&json!({ "call": action, "cp": cp, "payload": payload, "n": n }))
            .await;
        self.await_line(mark, action, |v| v["answered"] == n).await
    }

    /// Awaits a CALL of the charge point.
    pub async fn heard(
        &mut self,
        mark: usize,
        cp: &str,
        action: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        self.await_line(mark, action, |v| {
            v["call"] == action && v["cp"] == cp && wanted(&v["payload"])
        })
        .await
    }

    /// Everything the program complained of.
    pub fn violations(&self) -> Vec<Value> {
        self.said
            .borrow()
            .iter()
            .filter(|v| !v["violation"].is_null())
            .cloned()
            .collect()
    }
}
