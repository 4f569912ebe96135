//! What the demo says, to a person or to a machine.

use serde::Serialize;
use serde_json::json;
use std::time::Instant;

/// Says one step after another.
pub struct Narrator {
    json: bool,
    started: Instant,
    steps: u32,
}

/// The figures at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Transaction events in the ledger.
    pub recorded: u64,
    /// Of these, acknowledged by a CSMS.
    pub acknowledged: u64,
    /// Recorded and never seen by the CSMS.
    pub lost: u64,
    /// Seen twice though the answer had been given.
    pub doubled: u64,
    /// Seen twice because the answer was lost with the link; identical and in order.
    pub repeated_after_loss: u64,
    /// Out of order, with gaps or invented.
    pub disordered: u64,
    /// Other complaints of the CSMS: malformed, pipelined, energy backwards, sessions left open.
    pub faults: u64,
}

impl Table {
    /// Everything arrived, once and in order.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        self.recorded > 0
            && self.acknowledged == self.recorded
            && self.lost + self.doubled + self.disordered + self.faults == 0
    }
}

impl Narrator {
    /// For a person, or (`json`) one object a line.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self {
            json,
            started: Instant::now(),
            steps: 0,
        }
    }

    /// A step that has happened.
    pub fn step(&mut self, title: &str, detail: &str) {
        self.steps += 1;
        let seconds = self.started.elapsed().as_millis();
        if self.json {
            println!(
                "{}",
                json!({ "schema": 1, "step": self.steps, "at_ms": u64::try_from(seconds).unwrap_or(u64::MAX), "title": title, "detail": detail })
            );
        } else {
            let at = self.started.elapsed().as_secs_f32();
            println!("{:>2}  {at:>5.1} s  {title:<24} {detail}", self.steps);
        }
    }

    /// A step that did not happen.
    pub fn failed(&mut self, why: &str) {
        if self.json {
            println!("{}", json!({ "schema": 1, "failed": why }));
        } else {
            println!("    FAILED: {why}");
        }
    }

    /// The end.
    pub fn table(&self, table: &Table) {
        if self.json {
            println!(
                "{}",
                json!({ "schema": 1, "result": table, "perfect": table.is_perfect() })
            );
            return;
        }
        println!("\n    events recorded      {:>6}", table.recorded);
        println!("    acknowledged         {:>6}", table.acknowledged);
        println!("    lost                 {:>6}", table.lost);
        println!("    doubled              {:>6}", table.doubled);
        println!("    repeated after loss  {:>6}", table.repeated_after_loss);
        println!("    out of order         {:>6}", table.disordered);
        println!("    other faults         {:>6}", table.faults);
        println!(
            "\n    {}",
            if table.is_perfect() {
                "Nothing lost, nothing doubled."
            } else {
                "NOT PERFECT."
            }
        );
    }
}
