//! Stories of the line in simulated time, with slaves that speak a codec of their own.

mod bench;
mod random;
mod sessions;
mod troubles;
mod vectors;
