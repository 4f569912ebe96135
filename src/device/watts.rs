//! Limits in watt: how many phases a power is spread over, and what that keeps a charger from (ADR 13).
//!
//! A power for three phases may all flow on one. So three are counted only where the vehicle is seen to use them,
//! or, before that is known, where one phase bears all the charger can give it.

use super::condition::Image;
use super::encode::{Electrical, current_of, current_raw};
use super::profile::{Cadence, Dimension, Point, Profile, Role};
use super::recipe::{Action, ValueSpec};
use crate::domain::{MilliAmps, Supply};

impl Electrical {
    /// What a limit in watt is made with, for a charger that never offers more than `rated`, before it is known
    /// how many phases the vehicle uses.
    #[must_use]
    pub fn at_first(supply: Supply, rated: MilliAmps) -> Self {
        Self {
            phases: if supply.spare >= rated { supply.phases } else { 1 },
            volts: supply.volts,
        }
    }
}

impl Profile {
    /// The points by which it is limited in watt; none where its limit is a current.
    pub fn watt_limits(&self) -> impl Iterator<Item = &Point> {
        self.recipes.limit.iter().filter_map(|step| match &step.action {
            Action::Write(write) if write.value == ValueSpec::Limit => {
                Some(self.point(write.point)).filter(|point| point.dimension == Dimension::Power)
            }
            Action::Write(_) | Action::Wait(_) => None,
        })
    }

    /// The points that tell what the box is built for. What is read again and again may change with the cable.
    fn ratings(&self) -> impl Iterator<Item = (super::profile::PointId, &Point)> {
        self.numbered()
            .filter(|(_, point)| point.role == Role::HardwareLimit && point.cadence == Cadence::Once)
    }

    /// Whether the box tells what it is built for.
    #[must_use]
    pub fn tells_rating(&self) -> bool {
        self.ratings().next().is_some()
    }

    /// The most it offers on a phase, as far as it is known: by its own word, else by its profile.
    #[must_use]
    pub fn rated(&self, image: &Image) -> Option<MilliAmps> {
        let said = self
            .ratings()
            .filter_map(|(id, point)| current_of(point, image.get(id)?, Electrical::default()))
            .filter(|amps| *amps > MilliAmps::ZERO);
        said.chain(self.limits.map(|limits| limits.max)).min()
    }

    /// The least current up to `most` at which a limit in watt is more than a pause; `None`: there is none.
    #[must_use]
    pub fn least_in_watts(
        &self,
        point: &Point,
        electrical: Electrical,
        most: MilliAmps,
    ) -> Option<MilliAmps> {
        let charges = |amps: MilliAmps| {
            current_raw(point, amps, self.limits, electrical)
                .and_then(|raw| current_of(point, &raw, electrical))
                .is_some_and(|amps| amps > MilliAmps::ZERO)
        };
        if !charges(most) {
            return None;
        }
        let (mut pauses, mut offers) = (0, most.0);
        while offers - pauses > 1 {
            let middle = i64::midpoint(pauses, offers);
            if charges(MilliAmps(middle)) {
                offers = middle;
            } else {
                pauses = middle;
            }
        }
        Some(MilliAmps(offers))
    }
}
