//! The steps that bring the wanted current about.
//!
//! ```text
//!  stop:   [limit to the least while it charges] - sleep - looks until it sleeps
//!  offer:  limit - [unlock after a start] - [enable - looks until it does not sleep]
//! ```

use super::ask::Ask;
use super::values::State;
use crate::domain::{DriveError, Mono};
use std::collections::VecDeque;
use std::time::Duration;

/// The state may take this long to follow.
const SETTLE: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A limit below which nothing may be left out.
    Limit(u16),
    /// A limit that only spares the contactor.
    Ease(u16),
    Sleep,
    Unlock,
    Enable,
    Look {
        off: bool,
    },
}

/// What a step wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// This command; whether it is tried a second time when it is not answered.
    Send(Ask, bool),
    /// To be asked again then.
    Wait(Mono),
    /// Nothing: all is done.
    Nothing,
}

/// Steps under way.
#[derive(Clone, Debug)]
pub(super) struct Job {
    steps: VecDeque<Step>,
    /// Looks end then.
    until: Option<Mono>,
    at: Mono,
    /// It only stops or lowers.
    pub(super) urgent: bool,
}

impl Job {
    /// The steps to an offer in ampere, zero for none, from what is known of the device.
    pub(super) fn new(amps: u16, least: u16, state: Option<State>, urgent: bool) -> Self {
        let mut steps = VecDeque::new();
        if amps == 0 {
            if state.is_some_and(State::is_charging) {
                steps.push_back(Step::Ease(least));
            }
            steps.extend([Step::Sleep, Step::Look { off: true }]);
        } else {
            steps.push_back(Step::Limit(amps));
            if state.is_some_and(State::is_boot_locked) {
                steps.push_back(Step::Unlock);
            }
            if state.is_none_or(State::is_off) {
                steps.extend([Step::Enable, Step::Look { off: false }]);
            }
        }
        Self {
            steps,
            until: None,
            at: Mono(0),
            urgent,
        }
    }

    /// What it wants now.
    pub(super) fn want(&self, now: Mono) -> Want {
        let Some(step) = self.steps.front() else {
            return Want::Nothing;
        };
        match step {
            Step::Limit(amps) => Want::Send(Ask::Limit(*amps), true),
            Step::Ease(amps) => Want::Send(Ask::Limit(*amps), false),
            Step::Sleep => Want::Send(Ask::Sleep, true),
            Step::Unlock => Want::Send(Ask::Unlock, true),
            Step::Enable => Want::Send(Ask::Enable, true),
            Step::Look { .. } if now < self.at => Want::Wait(self.at),
            Step::Look { .. } => Want::Send(Ask::State, true),
        }
    }

    /// The command of the step was answered: with `$OK` or not, with this current in force (limits), in this state
    /// (looks).
    pub(super) fn answered(
        &mut self,
        now: Mono,
        ok: bool,
        amps: Option<u16>,
        state: Option<State>,
    ) -> Result<(), DriveError> {
        let Some(step) = self.steps.front().copied() else {
            return Ok(());
        };
        let refused = |wrote: u16| {
            Err(DriveError::NotObeyed {
                wrote: u64::from(wrote),
                read: u64::from(state.map_or(0, |state| state.evse)),
            })
        };
        match step {
            Step::Limit(wrote) => match amps {
                // Less than asked for is what heat or the cable allow; it is read back and told.
                Some(read) if read <= wrote => {}
                Some(read) => {
                    return Err(DriveError::NotObeyed {
                        wrote: u64::from(wrote),
                        read: u64::from(read),
                    });
                }
                None => return refused(wrote),
            },
            Step::Sleep | Step::Enable if !ok => return refused(u16::from(step == Step::Enable)),
            Step::Sleep | Step::Enable => self.until = Some(now.plus(SETTLE)),
            Step::Ease(_) | Step::Unlock => {}
            Step::Look { off } => {
                // A state that cannot be read is none that was waited for.
                let there = state.is_some_and(|seen| if off { seen.is_dead() } else { !seen.is_off() });
                if !there && self.until.is_none_or(|until| now >= until) {
                    return refused(u16::from(!off));
                }
                if !there {
                    self.at = now.plus(LOOK_EVERY);
                    return Ok(());
                }
            }
        }
        self.steps.pop_front();
        Ok(())
    }

    /// The command of the step was not answered; whether the job can go on all the same.
    pub(super) fn unanswered(&mut self) -> bool {
        let eased = matches!(self.steps.front(), Some(Step::Ease(_)));
        if eased {
            self.steps.pop_front();
        }
        eased
    }
}
