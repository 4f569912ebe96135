//! The driver as stories: every test is a transcript of requests, answers and effects under simulated time.

mod bench;
mod currents;
mod failures;
mod leases;
mod maps;
mod phases;
mod polls;
mod random;
mod shipped;
mod sunspec;
mod watts;
