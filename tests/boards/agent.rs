//! A board that obeys its console (`agent.sh`), with the gateway on it.

use crate::machine::Machine;
use serde_json::Value;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

/// For one command, and for a state of the gateway. An emulated processor is slow, and two of them may run.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often a state that nobody announces is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The board.
pub struct Board {
    machine: Machine,
    socket: String,
    asked: u64,
    mark: usize,
}

impl Board {
    /// Awaits that it obeys; `socket` is where the gateway will listen.
    pub async fn ready(mut machine: Machine, socket: &str, within: Duration) -> Self {
        let (_, mark) = machine
            .line(0, within, |line| line.ends_with("BOARD READY"))
            .await;
        Self {
            machine,
            socket: socket.to_owned(),
            asked: 0,
            mark,
        }
    }

    /// Runs a command of its shell; gives what it printed and its exit code.
    pub async fn run(&mut self, command: &str) -> (String, i32) {
        self.asked += 1;
        let (bar, end) = (format!("{}| ", self.asked), format!("{}= ", self.asked));
        let line = format!("{} {command}\n", self.asked);
        self.machine
            .stdin
            .write_all(line.as_bytes())
            .await
            .expect("its console is open");
        let begin = self.mark;
        let (told, mark) = self
            .machine
            .line(begin, PATIENCE, |line| line.starts_with(&end))
            .await;
        self.mark = mark;
        let said = self.machine.since(begin);
        let lines: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix(&bar)).collect();
        let code = told[end.len()..].trim().parse().expect("an exit code");
        (lines.join("\n"), code)
    }

    /// Runs a command that must succeed.
    pub async fn ask(&mut self, command: &str) -> String {
        let (said, code) = self.run(command).await;
        assert_eq!(code, 0, "{command}: {said}");
        said
    }

    /// Writes a file; its text has no single quotes.
    pub async fn put(&mut self, path: &str, text: &str) {
        self.ask(&format!(": >{path}")).await;
        for line in text.lines() {
            self.ask(&format!("printf '%s\\n' '{line}' >>{path}")).await;
        }
    }

    /// Awaits a status of the gateway.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        let ask = format!("retrovolt status --json --socket {}", self.socket);
        loop {
            let (said, _) = self.run(&ask).await;
            if let Ok(status) = serde_json::from_str(&said)
                && wanted(&status)
            {
                return status;
            }
            if Instant::now() > end {
                let (log, _) = self.run("tail -n 40 /tmp/site/gateway.log").await;
                panic!("did not happen: {what}; last status: {said}\n{log}");
            }
            sleep(LOOK).await;
        }
    }

    /// Awaits a level of a line of the simulated chip.
    pub async fn level(&mut self, line: &str, level: bool) {
        let wanted = if level { "1" } else { "0" };
        let end = Instant::now() + PATIENCE;
        while self.ask(&format!("level {line}")).await != wanted {
            assert!(Instant::now() < end, "{line} is not {wanted} after {PATIENCE:?}");
            sleep(LOOK).await;
        }
    }

    /// Awaits that the board obeys again after a restart.
    #[allow(dead_code, reason = "for the campaign on a whole Debian")]
    pub async fn back(&mut self, within: Duration) {
        let ready = |line: &str| line.ends_with("BOARD READY");
        (_, self.mark) = self.machine.line(self.mark, within, ready).await;
    }

    /// Switches it off; gives all its console has shown.
    pub async fn off(mut self, command: &str) -> String {
        let line = format!("0 {command}\n");
        let _ = self.machine.stdin.write_all(line.as_bytes()).await;
        self.machine.ended().await
    }
}
