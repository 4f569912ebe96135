//! One recipe under way: peek, write, settle, read back, next step.
//!
//! ```text
//!          already so                    nothing to read back
//!   Peek ------------------.      .-------------------------------> Pause{until} --.
//!    |  differs             |     |                                                 v
//!    `-------> Write ------- | ---+--> Look{until} --- agrees ----------------> next step | Over
//!               ^  | no answer         ^  | differs, or no answer                   ^
//!               `--' (3 times)         `--' until the settle time is over,          |
//!                           |               then NotObeyed                          |
//!                           `-------------------------------------------------------'
//! ```

use crate::device::{Check, Pdu, Reply, Step};
use crate::domain::{DriveError, Mono};
use std::time::Duration;

/// How often one request of a recipe is tried before the recipe fails.
pub(super) const ATTEMPTS: u8 = 3;
/// Shortest and longest wait between two looks at a register that has not settled.
const LOOK_LEAST: Duration = Duration::from_millis(100);
const LOOK_MOST: Duration = Duration::from_secs(1);
/// Wait before a busy device is asked again (Modbus exceptions 5 and 6).
const BUSY_WAIT: Duration = Duration::from_millis(500);

/// One request of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    /// Does the register hold the value already?
    Peek,
    /// Write it.
    Write,
    /// Does it hold the value now?
    Look { until: Mono },
}

/// Where a recipe stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The request may go out.
    Ready { ask: Ask, at: Mono },
    /// It is out.
    Out { ask: Ask },
    /// Nothing to do until then.
    Pause { until: Mono },
    /// All steps are done.
    Over,
}

/// What a recipe wants next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Want {
    /// This request, now.
    Send(Pdu),
    /// To be asked again then.
    Wait(Mono),
    /// The answer to its request.
    Answer,
    /// Nothing: it is over.
    Nothing,
}

/// What an answer did to a recipe.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Progress {
    /// It goes on, or is over.
    More,
    /// It failed for good.
    Failed(DriveError),
}

/// A recipe under way.
#[derive(Clone, Debug)]
pub(super) struct Run {
    steps: Vec<Step>,
    step: usize,
    phase: Phase,
    attempts: u8,
    wrote: bool,
}

impl Run {
    /// A recipe that may start at once.
    pub(super) fn new(steps: Vec<Step>, now: Mono) -> Self {
        let mut run = Self {
            steps,
            step: 0,
            phase: Phase::Over,
            attempts: 0,
            wrote: false,
        };
        run.enter(0, now);
        run
    }

    /// The reads that show whether the device still holds what the recipe wrote. Of several checks of one
    /// register the last counts.
    pub(super) fn checks(&self) -> Vec<Check> {
        checks(&self.steps)
    }

    /// Whether anything was written, and taken.
    pub(super) fn wrote(&self) -> bool {
        self.wrote
    }

    /// The read-back a look or peek that is out was for.
    pub(super) fn check(&self) -> Option<&Check> {
        match (self.phase, self.steps.get(self.step)?) {
            (
                Phase::Out {
                    ask: Ask::Peek | Ask::Look { .. },
                },
                Step::Write { verify, .. },
            ) => verify.as_ref(),
            _ => None,
        }
    }

    fn enter(&mut self, step: usize, now: Mono) {
        self.step = step;
        self.attempts = 0;
        self.phase = match self.steps.get(step) {
            None => Phase::Over,
            Some(Step::Wait(time)) => Phase::Pause {
                until: now.plus(*time),
            },
            Some(Step::Write {
                after_write: true, ..
            }) if !self.wrote => Phase::Pause { until: now },
            Some(Step::Write {
                unless_equal: true,
                verify: Some(_),
                ..
            }) => Phase::Ready {
                ask: Ask::Peek,
                at: now,
            },
            Some(Step::Write { .. }) => Phase::Ready {
                ask: Ask::Write,
                at: now,
            },
        };
    }

    /// What it wants now. Pauses that are over lead on to the next step.
    pub(super) fn want(&mut self, now: Mono) -> Want {
        loop {
            match self.phase {
                Phase::Over => return Want::Nothing,
                Phase::Out { .. } => return Want::Answer,
                Phase::Ready { at, .. } if now < at => return Want::Wait(at),
                Phase::Ready { ask, .. } => match self.pdu(ask) {
                    Some(pdu) => return Want::Send(pdu),
                    None => self.enter(self.step + 1, now),
                },
                Phase::Pause { until } if now < until => return Want::Wait(until),
                Phase::Pause { .. } => self.enter(self.step + 1, now),
            }
        }
    }

    fn pdu(&self, ask: Ask) -> Option<Pdu> {
        let Step::Write { pdu, verify, .. } = self.steps.get(self.step)? else {
            return None;
        };
        match ask {
            Ask::Write => Some(pdu.clone()),
            Ask::Peek | Ask::Look { .. } => verify.as_ref().map(|check| check.read.clone()),
        }
    }

    /// The request it wanted is out.
    pub(super) fn sent(&mut self) {
        if let Phase::Ready { ask, .. } = self.phase {
            self.attempts = self.attempts.saturating_add(1);
            self.phase = Phase::Out { ask };
        }
    }

    /// The request that was out has been taken back: it is wanted again.
    pub(super) fn recall(&mut self, now: Mono) {
        if let Phase::Out { ask } = self.phase {
            self.phase = Phase::Ready { ask, at: now };
        }
    }

    /// The answer to the request that was out; after `most` attempts without one the recipe fails.
    pub(super) fn replied(&mut self, now: Mono, result: Result<Reply, DriveError>, most: u8) -> Progress {
        let Phase::Out { ask } = self.phase else {
            return Progress::More;
        };
        let verdict = match (result, self.check()) {
            (Ok(reply), Some(check)) => check.judge(&reply),
            (Ok(_), None) => Ok(()),
            (Err(error), _) => Err(error),
        };
        match (ask, verdict) {
            (Ask::Peek | Ask::Look { .. }, Ok(())) => self.enter(self.step + 1, now),
            (Ask::Peek, Err(DriveError::NotObeyed { .. })) => {
                self.attempts = 0;
                self.phase = Phase::Ready {
                    ask: Ask::Write,
                    at: now,
                };
            }
            (Ask::Write, Ok(())) => self.written(now),
            (Ask::Look { until }, Err(DriveError::NotObeyed { wrote, read })) => {
                if now >= until {
                    return Progress::Failed(DriveError::NotObeyed { wrote, read });
                }
                self.attempts = 0;
                let wait = (self.settle() / 8).clamp(LOOK_LEAST, LOOK_MOST);
                self.phase = Phase::Ready {
                    ask,
                    at: now.plus(wait).min(until),
                };
            }
            (_, Err(error)) => return self.again_or_fail(now, ask, error, most),
        }
        Progress::More
    }

    fn settle(&self) -> Duration {
        match self.steps.get(self.step) {
            Some(Step::Write { settle, .. }) => *settle,
            Some(Step::Wait(_)) | None => Duration::ZERO,
        }
    }

    fn written(&mut self, now: Mono) {
        self.wrote = true;
        self.attempts = 0;
        let until = now.plus(self.settle());
        let checked = matches!(
            self.steps.get(self.step),
            Some(Step::Write { verify: Some(_), .. })
        );
        self.phase = if checked {
            Phase::Ready {
                ask: Ask::Look { until },
                at: now,
            }
        } else {
            Phase::Pause { until }
        };
    }

    fn again_or_fail(&mut self, now: Mono, ask: Ask, error: DriveError, most: u8) -> Progress {
        let wait = match error {
            DriveError::Timeout(_) | DriveError::Garbled => Duration::ZERO,
            DriveError::Exception(5 | 6) => BUSY_WAIT,
            DriveError::Exception(_)
            | DriveError::PortLost
            | DriveError::NotObeyed { .. }
            | DriveError::Unsupported
            | DriveError::OtherDevice
            | DriveError::Superseded => return Progress::Failed(error),
        };
        if self.attempts >= most {
            return Progress::Failed(error);
        }
        self.phase = Phase::Ready {
            ask,
            at: now.plus(wait),
        };
        Progress::More
    }
}

/// The read-backs of a recipe, one for each register.
pub(super) fn checks(steps: &[Step]) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for step in steps {
        if let Step::Write {
            verify: Some(check), ..
        } = step
        {
            checks.retain(|known| known.read != check.read);
            checks.push(check.clone());
        }
    }
    checks
}
