//! A slave we did not write as a program of its own, and the pair of pseudo-terminals it may sit behind.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// Longer than the slowest step.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two units, a Heidelberg wallbox and an SDM630 that shows what it draws, served by pymodbus.
pub fn pymodbus(args: &[&str]) -> Command {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let python = root.join(".venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run `make setup` first",
        python.display()
    );
    let mut command = Command::new(python);
    command
        .arg(root.join("tests/interop/slaves/pymodbus_slave.py"))
        .args(args);
    command
}

/// Two pseudo-terminals joined by socat.
pub struct PtyPair(#[allow(dead_code, reason = "its end ends the pair")] Child);

impl PtyPair {
    /// Until it is dropped.
    pub async fn open(near: &Path, far: &Path) -> Self {
        let end = |path: &Path| format!("pty,raw,echo=0,link={}", path.display());
        let mut child = Command::new("socat")
            .args(["-d", "-d", &end(near), &end(far)])
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("socat, which `make setup` installs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let ready = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains("starting data transfer loop") {
                    return true;
                }
            }
            false
        };
        assert!(
            timeout(PATIENCE, ready).await.expect("socat is quick"),
            "socat ended"
        );
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self(child)
    }
}

/// A slave program: `READY ...` and `WRITE unit address value...` on stdout, `plug` and `unplug` on stdin.
pub struct Slave {
    _child: Child,
    stdin: ChildStdin,
    said: watch::Receiver<Vec<String>>,
    /// Where it listens.
    pub port: u16,
}

impl Slave {
    /// Starts a program and awaits its `READY`.
    pub async fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the slave starts");
        let stdin = child.stdin.take().expect("piped");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (say, said) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                say.send_modify(|all| all.push(line));
            }
        });
        let mut slave = Self {
            _child: child,
            stdin,
            said,
            port: 0,
        };
        let ready = slave.wrote(0, "READY").await;
        slave.port = ready
            .rsplit(':')
            .next()
            .and_then(|p| p.trim().parse().ok())
            .unwrap_or(0);
        slave
    }

    /// How much was said so far.
    pub fn mark(&self) -> usize {
        self.said.borrow().len()
    }

    /// The first line since the mark that begins like this.
    pub async fn wrote(&mut self, mark: usize, start: &str) -> String {
        let is_it = |line: &String| line == start || line.starts_with(&format!("{start} "));
        let found = {
            let seen = self.said.wait_for(|all| all.iter().skip(mark).any(is_it));
            match timeout(PATIENCE, seen).await {
                Ok(Ok(all)) => all.iter().skip(mark).find(|l| is_it(l)).cloned(),
                _ => None,
            }
        };
        found.unwrap_or_else(|| panic!("no `{start}`; said: {:#?}", self.said.borrow()))
    }

    /// Gives it an order.
    pub async fn say(&mut self, word: &str) {
        self.stdin
            .write_all(format!("{word}\n").as_bytes())
            .await
            .expect("the slave listens");
    }
}
