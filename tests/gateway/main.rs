//! The real gateway process between simulated or foreign hardware and simulated or foreign CSMSs.

#![allow(
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "stories of real processes: told in one piece, with real tasks and real time"
)]

mod bad_certificates;
mod blocked;
#[path = "../mqtt/broker.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with the tests of the MQTT client"
)]
mod broker;
mod broker_budget;
mod budget;
mod canaries;
mod citizen;
mod deploy;
mod doctor;
mod doctor_mqtt;
mod dropin;
mod events_kept;
mod every_action;
mod foreign_csms;
mod foreign_meters;
mod foreign_slaves;
mod hang;
mod home_assistant;
mod hostile_csms;
mod inhibitor;
mod journal;
mod kills;
mod listened;
mod metrics;
mod mqtt;
mod node_red;
mod notify;
mod own_lines;
mod reload;
mod rig;
mod secrets;
mod secure_broker;
mod secure_csms;
mod site;
mod slave;
mod sockets;
mod sparkplug;
#[path = "../sparkplug/host.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with the tests of Sparkplug")]
mod sparkplug_host;
mod states;
mod sunspec;
mod telling;
mod two_csmss;
mod unattended;
mod unplug;
mod updates;
mod uploads;
