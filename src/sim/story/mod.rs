//! The conformance story: a device is made from its profile, and the driver that would run it for years drives it
//! through one day in simulated time. The same story runs over every shipped profile in the tests and behind
//! `retrovolt profile test`.
//!
//! It finds what does not fit together: a read-back at another register, a state nothing leads to, a limit that
//! cannot be encoded, a watchdog that is not fed in time. It cannot find a wrong register address: only the real
//! device knows those.

mod charger;
mod common;
mod stage;
mod supervision;
mod variants;

use crate::device::{Kind, Profile};
use crate::domain::Protocol;
use stage::Stage;
use std::sync::Arc;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Not as it should.
    Failed,
    /// The profile has nothing to try.
    Skipped,
}

/// One step of the story.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Scene {
    /// What was tried.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What was seen, or what is wrong.
    pub detail: String,
    /// What was written to the device meanwhile, `function address = words`.
    pub writes: Vec<String>,
}

/// The whole story of one profile.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Id of the profile.
    pub profile: String,
    /// Its steps in order.
    pub scenes: Vec<Scene>,
}

impl Report {
    /// Whether no step failed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failures().next().is_none()
    }

    /// Whether any step was played.
    #[must_use]
    pub fn was_played(&self) -> bool {
        self.scenes.iter().any(|scene| scene.outcome != Outcome::Skipped)
    }

    /// The steps that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Scene> {
        self.scenes
            .iter()
            .filter(|scene| scene.outcome == Outcome::Failed)
    }
}

/// What a step says: what it saw, `None` where there is nothing to try, or what is wrong.
type Told = Result<Option<String>, String>;
/// A step.
type Act = fn(&mut Stage) -> Told;

/// Of every device.
const ALL: &[(&str, Act)] = &[
    ("answers", common::answers),
    ("recognised", common::recognised),
    ("states", common::states),
    ("faults listed", common::faults_listed),
];

/// Of a meter or card reader.
const METER: &[(&str, Act)] = &[
    ("reads", common::reads_meter),
    ("counts", common::counts),
    ("card", common::card),
    ("power cut", common::power_cut),
    ("other versions", variants::tell),
];

/// Of a charger.
const CHARGER: &[(&str, Act)] = &[
    ("idle", charger::idle),
    ("plug in", charger::plug_in),
    ("start", charger::start),
    ("reads", charger::reads),
    ("limits", charger::limits),
    ("too low", charger::too_low),
    ("pause", charger::pause),
    ("switch", charger::switch),
    ("phases", charger::phases),
    ("faults", charger::faults),
    ("watchdog fed", supervision::fed),
    ("gateway silent", supervision::silent),
    ("gateway back", supervision::back),
    ("restart", supervision::restart),
    ("card", common::card),
    ("stop", charger::stop),
    ("unlock", charger::unlock),
    ("leave", supervision::leave),
    ("unplug", charger::unplug),
    ("one phase", charger::one_phase),
    ("other versions", variants::tell),
];

/// Plays the story. Every step is played, whatever became of those before it.
#[must_use]
pub fn rehearse(profile: &Arc<Profile>) -> Report {
    if profile.protocol() != Protocol::Modbus {
        return unplayed(profile);
    }
    let mut stage = Stage::new(Arc::clone(profile));
    let rest = match profile.kind() {
        Kind::Charger => CHARGER,
        Kind::Meter | Kind::Reader | Kind::Contacts => METER,
    };
    let mut scenes = Vec::new();
    for (name, act) in ALL.iter().chain(rest) {
        stage.device.body.writes.clear();
        let told = act(&mut stage);
        let (outcome, detail) = match told {
            Ok(Some(detail)) => (Outcome::Passed, detail),
            Ok(None) => (Outcome::Skipped, "the profile has none".to_owned()),
            Err(wrong) => (Outcome::Failed, wrong),
        };
        scenes.push(Scene {
            name,
            outcome,
            detail,
            writes: stage.writes(),
        });
    }
    Report {
        profile: profile.id().to_owned(),
        scenes,
    }
}

/// The story is one of registers. What does not speak Modbus is driven by a machine of its own, which has its own tests.
fn unplayed(profile: &Profile) -> Report {
    let detail = format!(
        "the story is of Modbus devices, this one speaks {}",
        profile.protocol()
    );
    Report {
        profile: profile.id().to_owned(),
        scenes: vec![Scene {
            name: "day",
            outcome: Outcome::Skipped,
            detail,
            writes: Vec::new(),
        }],
    }
}
