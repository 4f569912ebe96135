//! Stories of one OpenEVSE in simulated time.

mod bench;
mod random;
mod sessions;
mod troubles;
mod vectors;
