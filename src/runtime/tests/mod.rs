//! The tasks of the gateway as they are wired, in simulated time: a bus with real drivers on a paced and noisy line,
//! router, station, fuses, signs of life. Only the CSMS and the disk are missing.

mod freeze;
mod fuse;
mod hang;
mod marks;
mod meter;
mod noise;
mod outage;
mod rig;
mod street;
mod watchdog;

pub(super) use marks::csms;

/// A charge point with one EVSE that anybody may use.
pub(super) fn charge_point() -> crate::domain::CpSetup {
    rig::charge_point(&rig::Plan::default())
}
