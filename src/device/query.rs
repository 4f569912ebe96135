//! Questions one asks of a profile.

use super::obis::ObisPoint;
use super::pdu::Pdu;
use super::plan::Block;
use super::profile::{
    About, Cadence, Feed, Identify, Kind, Limits, LinkDefaults, PhaseSwitch, Point, PointId, Profile, Role,
    StateMap, Telegram, Watchdog,
};
use super::recipe::{Action, Recipes, StepSpec, ValueSpec};
use super::rfid::CardFormat;
use crate::domain::{MilliAmps, Protocol};
use std::collections::BTreeSet;
use std::time::Duration;

/// Longest silence after which a charger must be at its safe current (promise S5).
pub const SAFE_WITHIN: Duration = Duration::from_secs(60);

impl Profile {
    /// Its id, as the configuration names it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the device is for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it speaks.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// How the telegrams of a meter that is not Modbus are made.
    #[must_use]
    pub fn telegram(&self) -> Telegram {
        self.stream.telegram
    }

    /// What the values of such a meter mean.
    #[must_use]
    pub fn values(&self) -> &[ObisPoint] {
        &self.stream.values
    }

    /// How a card reader that is not Modbus writes a card's number.
    #[must_use]
    pub fn card(&self) -> Option<&CardFormat> {
        self.stream.card.as_ref()
    }

    /// What a person wants to know.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// How it is talked to.
    #[must_use]
    pub fn link(&self) -> &LinkDefaults {
        &self.link
    }

    /// All points; [`PointId`] is the index.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// A point by its index, which must come from this profile.
    #[must_use]
    pub fn point(&self, id: PointId) -> &Point {
        &self.points[usize::from(id.0)]
    }

    /// A point by its name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<PointId> {
        let index = self.points.iter().position(|point| point.name == name)?;
        u16::try_from(index).ok().map(PointId)
    }

    /// Every point with its index.
    pub fn numbered(&self) -> impl Iterator<Item = (PointId, &Point)> {
        (0..).map(PointId).zip(&self.points)
    }

    /// The state map of a charger.
    #[must_use]
    pub fn state_map(&self) -> Option<&StateMap> {
        self.state.as_ref()
    }

    /// What a charger can be told.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.limits
    }

    /// The recipes as written.
    #[must_use]
    pub fn recipes(&self) -> &Recipes {
        &self.recipes
    }

    /// Whether the charger can be told to release the plug.
    #[must_use]
    pub fn has_lock(&self) -> bool {
        !self.recipes().unlock.is_empty()
    }

    /// Whether the charger can be told to use one phase or three.
    #[must_use]
    pub fn switches_phases(&self) -> bool {
        self.phase_switch.is_some()
    }

    /// The watchdog, if the device has one.
    #[must_use]
    pub fn watchdog(&self) -> Option<&Watchdog> {
        self.watchdog.as_ref()
    }

    /// How phases are switched, where the device can.
    #[must_use]
    pub fn phase_switch(&self) -> Option<&PhaseSwitch> {
        self.phase_switch.as_ref()
    }

    /// The addresses that a read of a point takes, half open: its own, or those it can only be read with.
    #[must_use]
    pub(super) fn reach(&self, point: &Point, connector: u16) -> (u32, u32) {
        let end = |first: u16, width: u16| (u32::from(first), u32::from(first) + u32::from(width));
        let (own, here) = (end(point.addr, point.layout.width), point.addr_for(connector));
        let around = self.link.read_whole.iter().find(|span| {
            let (first, last) = (u32::from(span.first), u32::from(span.last));
            Some(span.fc) == point.fc && first <= own.0 && own.1 <= last + 1
        });
        match around {
            None => end(here, point.layout.width),
            Some(span) => {
                let first = here.wrapping_sub(point.addr.wrapping_sub(span.first));
                end(first, span.last - span.first + 1)
            }
        }
    }

    /// The request that reads a point without others, and where in the answer it stands; `None`: write-only.
    #[must_use]
    pub fn read(&self, point: &Point, connector: u16) -> Option<(Pdu, u16)> {
        let (first, end) = self.reach(point, connector);
        let addr = u16::try_from(first).ok()?;
        let count = u16::try_from(end - first).ok()?;
        let at = point.addr_for(connector).wrapping_sub(addr);
        point.fc.map(|fc| (Pdu::Read { fc, addr, count }, at))
    }

    /// The current the charger falls back to by itself when it is not fed: the configured one only where it can be told.
    /// `None`: it has no watchdog.
    #[must_use]
    pub fn own_fallback(&self, configured: Option<MilliAmps>) -> Option<MilliAmps> {
        let default = self.watchdog.as_ref()?.failsafe;
        Some(configured.filter(|_| self.takes_fallback()).unwrap_or(default))
    }

    /// Whether the charger can be told what to fall back to.
    #[must_use]
    pub fn takes_fallback(&self) -> bool {
        let tells = |step: &StepSpec| matches!(&step.action, Action::Write(write) if matches!(write.value, ValueSpec::Failsafe));
        self.protocol() == Protocol::Rapi || self.recipes.arm.iter().any(tells)
    }

    /// Every step of every recipe, those of the phase switch and the feed too.
    pub fn steps(&self) -> impl Iterator<Item = &StepSpec> {
        let recipes = &self.recipes;
        let lists = [
            &recipes.limit,
            &recipes.pause,
            &recipes.enable,
            &recipes.disable,
            &recipes.unlock,
            &recipes.arm,
            &recipes.safe,
        ];
        let switch = self.phase_switch.iter();
        let phases = switch.flat_map(|switch| switch.one.iter().chain(&switch.three));
        let feed = self.watchdog.iter().flat_map(|watchdog| match &watchdog.feed {
            Feed::Steps(steps) => steps.as_slice(),
            Feed::AnyRequest => &[],
        });
        lists.into_iter().flatten().chain(phases).chain(feed)
    }

    /// Points that the existence of points, the steps of recipes and the safety of the fallback depend on.
    #[must_use]
    pub(super) fn decisive(&self) -> BTreeSet<PointId> {
        let steps = self.steps().flat_map(|step| &step.when);
        let points = self.points.iter().flat_map(|point| &point.when);
        let whole = self.phase_switch.iter().flat_map(|switch| &switch.when);
        let fallback = self.watchdog.iter().flat_map(|watchdog| &watchdog.fallback_when);
        points
            .chain(steps)
            .chain(whole)
            .chain(fallback)
            .map(|condition| condition.point)
            .collect()
    }

    /// The requests a scan needs for the fingerprint, one per point, in the order of the checks.
    #[must_use]
    pub fn identify_reads(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        for check in self.identify.iter().flat_map(|identify| &identify.checks) {
            let known = blocks.iter().any(|block| block.points.contains(&check.point));
            blocks.extend(self.block_of(check.point, 1).filter(|_| !known));
        }
        blocks
    }

    /// The request that reads one point (with what must be read together with it); `None`: it can only be written.
    #[must_use]
    pub fn block_of(&self, id: PointId, connector: u16) -> Option<Block> {
        match self.read(self.point(id), connector)? {
            (Pdu::Read { fc, addr, count }, _) => Some(Block {
                fc,
                addr,
                count,
                cadence: Cadence::Once,
                points: vec![id],
            }),
            _ => None,
        }
    }

    /// The fingerprint.
    #[must_use]
    pub fn identify(&self) -> Option<&Identify> {
        self.identify.as_ref()
    }

    /// Why a charger does not protect the installation by itself when the gateway dies; `None`: it does.
    #[must_use]
    pub fn unsafe_because(&self) -> Option<String> {
        match &self.watchdog {
            None if self.protocol == Protocol::Gpio => {
                Some("then the GPIO driver and the relay board decide, see docs/gpio.md".to_owned())
            }
            None => Some("it has no watchdog and keeps the last current".to_owned()),
            Some(watchdog) if !watchdog.fallback_safe => {
                Some(watchdog.fallback.trim().trim_end_matches('.').to_owned())
            }
            Some(watchdog) if watchdog.min_timeout > SAFE_WITHIN => Some(format!(
                "it falls back only after {} s, {} s are wanted at most",
                watchdog.min_timeout.as_secs(),
                SAFE_WITHIN.as_secs()
            )),
            Some(_) => None,
        }
    }

    /// Whether a card may come from this device.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.points.iter().any(|point| point.role == Role::Token)
    }
}
