//! The commands that are sent, and in which order what is read once, often and seldom has its turn.

use crate::domain::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ask {
    /// Firmware and protocol.
    Version,
    /// Serial number of the controller.
    Serial,
    /// State.
    State,
    /// Current offered.
    Settings,
    /// Limits of hardware, configuration and cable.
    Range,
    /// Current and voltage.
    Flow,
    /// Energy.
    Energy,
    /// Temperature.
    Temperature,
    /// Setting of the supervision.
    Supervision,
    /// Offer this, ampere, until the next start: written to memory that does not wear.
    Limit(u16),
    /// Open the contactor, offer nothing.
    Sleep,
    /// Wake it, whether asleep or disabled.
    Enable,
    /// Let it go after a start.
    Unlock,
    /// Supervise: seconds without a pulse, and the ampere then.
    Arm(u16, u16),
    /// A pulse.
    Pulse,
}

impl Ask {
    /// As text.
    pub(super) fn text(self) -> String {
        match self {
            Self::Version => "GV".into(),
            Self::Serial => "GI".into(),
            Self::State => "GS".into(),
            Self::Settings => "GE".into(),
            Self::Range => "GC".into(),
            Self::Flow => "GG".into(),
            Self::Energy => "GU".into(),
            Self::Temperature => "GP".into(),
            Self::Supervision => "GY".into(),
            Self::Limit(amps) => format!("SC {amps} V"),
            Self::Sleep => "FS".into(),
            Self::Enable => "FE".into(),
            Self::Unlock => "SB".into(),
            Self::Arm(seconds, amps) => format!("SY {seconds} {amps}"),
            Self::Pulse => "SY".into(),
        }
    }

    /// How often it is asked; `None`: once after each start, or when there is a reason.
    fn pace(self, poll: Duration) -> Option<Duration> {
        match self {
            Self::State | Self::Settings | Self::Flow | Self::Energy => Some(poll),
            Self::Range | Self::Temperature => Some(SLOW.max(poll)),
            _ => None,
        }
    }
}

const SLOW: Duration = Duration::from_secs(60);
/// What the device refused or does not know is asked again after this.
const REFUSED: Duration = Duration::from_secs(600);
/// What must be known and was not answered is asked again after this.
const ONCE_AGAIN: Duration = Duration::from_millis(500);
const ALL: [Ask; 8] = [
    Ask::Version,
    Ask::Range,
    Ask::State,
    Ask::Settings,
    Ask::Energy,
    Ask::Flow,
    Ask::Temperature,
    Ask::Serial,
];

/// The time table of the questions.
#[derive(Clone, Debug)]
pub(super) struct Table {
    poll: Duration,
    due: BTreeMap<Ask, Mono>,
}

impl Table {
    /// Everything is due.
    pub(super) fn new(poll: Duration, now: Mono) -> Self {
        Self {
            poll,
            due: ALL.into_iter().map(|ask| (ask, now)).collect(),
        }
    }

    /// The question that has been due for longest; of several the first in order.
    pub(super) fn next(&self) -> Option<(Ask, Mono)> {
        let place = |ask: &Ask| ALL.iter().position(|of| of == ask);
        let due = self.due.iter().min_by_key(|(ask, at)| (**at, place(ask)))?;
        Some((*due.0, *due.1))
    }

    /// A question was answered.
    pub(super) fn answered(&mut self, ask: Ask, now: Mono) {
        match ask.pace(self.poll) {
            Some(pace) => self.at(ask, now.plus(pace)),
            None => {
                self.due.remove(&ask);
            }
        }
    }

    /// A question was refused.
    pub(super) fn refused(&mut self, ask: Ask, now: Mono) {
        if ALL.contains(&ask) {
            self.at(ask, now.plus(REFUSED));
        }
    }

    /// A question was not answered.
    pub(super) fn unanswered(&mut self, ask: Ask, now: Mono) {
        if let Some(at) = self.due.get_mut(&ask) {
            *at = now.plus(ask.pace(self.poll).unwrap_or(ONCE_AGAIN));
        }
    }

    /// There is a reason to ask now.
    pub(super) fn at(&mut self, ask: Ask, at: Mono) {
        self.due.insert(ask, at);
    }
}
