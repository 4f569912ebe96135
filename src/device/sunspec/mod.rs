//! SunSpec: devices that carry a list of models, each with its id and length, and scale factors beside their values.
//!
//! A profile is written for a list in the usual place, `sunspec = [1, [201, 202, 203, 204]]`: the addresses of its
//! points are those they would have there. The real list is walked whenever the device comes up, and the points
//! move to where their models really are. Nothing is read by a hard-coded address but the marker.
//!
//! Source: SunSpec Information Model Specification, and the models' own definitions.

mod chain;
mod load;
mod walk;

pub use chain::{Chain, Found, Model};
pub use walk::{Outcome, Walk};

use super::profile::Profile;

impl Profile {
    /// The models its points belong to; `None`: its addresses are what they are.
    #[must_use]
    pub fn sunspec(&self) -> Option<&Chain> {
        self.sunspec.as_ref()
    }

    /// The same profile for a device that carries its models there; `None`: it does not have them all. `nth`: of
    /// several of the last kind which one, from 1.
    #[must_use]
    pub fn moved(&self, found: &Found, nth: u16) -> Option<Self> {
        let places = self.sunspec.as_ref()?.places(found, nth)?;
        let mut moved = self.clone();
        for point in &mut moved.points {
            point.addr = places.iter().find_map(|place| place.new_address(point.addr))?;
        }
        Some(moved)
    }
}

#[cfg(test)]
mod tests;
