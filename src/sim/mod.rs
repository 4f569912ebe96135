//! The simulated world, for demo, tests and benches.
pub mod csms;
pub mod ev;
pub mod line;
pub mod slave;
pub mod wire;
