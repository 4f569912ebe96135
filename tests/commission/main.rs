//! The installer's tools on a simulated line: found devices, named faults.
#![allow(
    clippy::too_many_lines,
    clippy::disallowed_methods,
    reason = "tables of faults read better in one piece; the scan on a real line runs in real time"
)]

mod acceptance;
mod doctor;
mod line;
mod scan;
mod verbs;
