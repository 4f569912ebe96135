//! What the benches share: options, tables, goals.
#![allow(dead_code, reason = "each bench uses its part")]

use std::error::Error;
use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

/// What a bench gives, or what kept it from measuring.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// How a bench is to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A missed goal is a failure.
    pub check: bool,
    /// Fewer and shorter measurements: to see that it works, not to quote.
    pub quick: bool,
}

impl Options {
    /// Reads the command line. `None`: nobody asked for a bench; test runners start benches to ask for their tests.
    pub fn read() -> Option<Self> {
        let has = |name: &str| std::env::args().skip(1).any(|arg| arg == name);
        has("--bench").then(|| Self {
            check: has("--check"),
            quick: has("--quick"),
        })
    }
}

/// The optimisation the figures hold for.
pub fn profile() -> &'static str {
    if cfg!(debug_assertions) {
        "development build, not to be quoted"
    } else {
        "release build"
    }
}

/// Runs a bench and tells how it ended.
pub fn main(run: impl FnOnce(Options) -> Outcome<Goals>) -> ExitCode {
    let Some(options) = Options::read() else {
        return ExitCode::SUCCESS;
    };
    match run(options) {
        Ok(goals) => goals.tell(options.check),
        Err(error) => {
            eprintln!("the bench could not measure: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The Python of `make setup`, where it is there.
pub fn python() -> Option<PathBuf> {
    let python = root().join(".venv/bin/python");
    python.exists().then_some(python)
}

/// Goals and what was measured.
#[derive(Debug, Default)]
pub struct Goals(Vec<(bool, String)>);

impl Goals {
    /// The figure must not be below the goal.
    pub fn at_least(&mut self, what: impl Display, figure: f64, goal: f64) {
        self.0
            .push((figure >= goal, format!("{what}: {figure:.3}, goal >= {goal}")));
    }

    /// The figure must not be above the goal.
    pub fn at_most(&mut self, what: impl Display, figure: f64, goal: f64) {
        self.0
            .push((figure <= goal, format!("{what}: {figure:.3}, goal <= {goal}")));
    }

    /// Prints each goal; fails where one is missed and that was asked.
    pub fn tell(&self, check: bool) -> ExitCode {
        println!("\nGoals");
        for (held, text) in &self.0 {
            println!("  {}  {text}", if *held { "held  " } else { "MISSED" });
        }
        if check && self.0.iter().any(|(held, _)| !held) {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

/// A row of a table: the first cell to the left, the others to the right.
pub fn row<T: Display>(cells: &[T]) {
    let mut line = String::new();
    for (index, cell) in cells.iter().enumerate() {
        let cell = cell.to_string();
        line += &if index == 0 {
            format!("  {cell:<30}")
        } else {
            format!("{cell:>16}")
        };
    }
    println!("{}", line.trim_end());
}

/// The middle one; the mean of the two in the middle of an even number.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}
