//! The real gateway process between simulated or foreign hardware and simulated or foreign CSMSs.

#![allow(
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "stories of real processes: told in one piece, with real tasks and real time"
)]

mod bad_certificates;
mod budget;
mod deploy;
mod doctor;
mod dropin;
mod every_action;
mod foreign_csms;
mod foreign_meters;
mod foreign_slaves;
mod hang;
mod hostile_csms;
mod kills;
mod metrics;
mod own_lines;
mod reload;
mod rig;
mod secure_csms;
mod site;
mod sunspec;
mod two_csmss;
mod unplug;
mod updates;
mod uploads;
