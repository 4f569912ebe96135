//! The `retrovolt` binary.
fn main() {}
