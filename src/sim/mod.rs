//! The simulated world, for demo, tests and benches.
