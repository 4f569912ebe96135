//! Lines that are not Modbus: the devices on them speak a protocol of their own.

use super::device::SimDevice;
use super::rapi::RapiSpeech;
use super::slave::Answer;
use super::twc::TwcSpeech;
use crate::domain::{Mono, Protocol};
use std::collections::BTreeMap;

/// All devices by name.
pub(super) type Devices = BTreeMap<String, SimDevice>;

/// A protocol on a line, for all devices that speak it there.
pub(super) trait Speech: Send {
    /// The master said this; what is said to it.
    fn hear(&mut self, now: Mono, devices: &mut Devices, bytes: &[u8]) -> Option<Answer>;
    /// What is said unasked by now.
    fn speak(&mut self, now: Mono, devices: &mut Devices) -> Vec<u8>;
}

/// The speech of a line with these devices; `None`: it is Modbus, or nobody speaks it here.
pub(super) fn of(names: &[String], devices: &mut Devices) -> Option<Box<dyn Speech>> {
    let first = devices.get(names.first()?)?;
    match first.spec().profile.protocol() {
        Protocol::Twc => Some(Box::new(TwcSpeech::new(names, devices))),
        Protocol::Rapi => Some(Box::new(RapiSpeech::new(names.first()?, devices))),
        _ => None,
    }
}
