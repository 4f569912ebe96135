//! When what is announced: on every connection, when Home Assistant has started, when what there is changes.
//!
//! What was announced is heard from the broker once, at the first connection of a process ([`Announced`]). What is no more
//! there is taken back only after it was missing for [`GRACE`]: a station that starts and a meter that has not spoken yet
//! look the same, and Home Assistant forgets what its user made of an entity that goes.

use super::announce::{Announced, PAUSE, Publish, phases};
use super::message::Messages;
use super::seen::Seen;
use super::{Settings, messages};
use crate::domain::{HaForm, Rng};
use crate::telemetry::client::{Incoming, Message};
use crate::telemetry::mqtt::Announcer;
use crate::telemetry::picture::Picture;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// How long the broker may take to tell what was announced; nothing comes where nothing was.
const RECALL: Duration = Duration::from_secs(1);
/// How long something must be missing before it is taken back.
pub const GRACE: Duration = Duration::from_secs(60);
/// Home Assistant takes its time after its birth, and everybody tells it everything then: least wait, and at most so much
/// more, milliseconds.
const AFTER_BIRTH_MS: (u64, u64) = (1_000, 4_000);

type Losses = Vec<(String, Option<String>)>;

/// Tells Home Assistant what is here.
#[derive(Debug)]
pub struct Herald {
    settings: Settings,
    seen: Seen,
    /// What the broker has; `None`: not heard yet.
    was: Option<Announced>,
    /// Since when there is a connection; the first one counts.
    since: Option<Instant>,
    /// What is missing, and since when.
    missing: Option<(Losses, Instant)>,
    /// Phases that are still to come.
    plan: VecDeque<Vec<Publish>>,
    /// What was told last, or is planned.
    told: Messages,
    rng: Rng,
}

impl Herald {
    /// A herald that has told nothing yet.
    #[must_use]
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            seen: Seen::default(),
            was: None,
            since: None,
            missing: None,
            plan: VecDeque::new(),
            told: Messages::new(),
            rng: Rng::new(seed),
        }
    }

    /// How long until these losses may be carried out; `None`: now.
    fn wait_for(&mut self, losses: Losses) -> Option<Duration> {
        let since = match self.missing.take() {
            Some((what, since)) if what == losses => since,
            _ => Instant::now(),
        };
        let left = GRACE.saturating_sub(since.elapsed());
        if losses.is_empty() || left.is_zero() {
            return None;
        }
        self.missing = Some((losses, since));
        Some(left)
    }

    /// Plans what is to be published; how long until something more may be.
    fn plan(&mut self, picture: &Picture) -> Option<Duration> {
        let was = self.was.take().unwrap_or_default();
        let now = messages(picture, &self.settings, &self.seen);
        self.told = now.clone();
        if now.is_empty() && was.is_empty() {
            self.was = Some(was);
            return None;
        }
        let losses = was.losses(&now);
        // What moves has nothing to wait for.
        if let Some(wait) = (!moves(&was, &now))
            .then(|| self.wait_for(losses.clone()))
            .flatten()
        {
            // Only what loses nothing; the rest stays as it is.
            let mut whole = now;
            whole.retain(|topic, _| losses.iter().all(|(at, _)| at != topic));
            let holds = was.with(Announced::of(&whole));
            self.publish(phases(&Announced::default(), &whole), &holds.clone(), holds);
            return Some(wait);
        }
        let holds = Announced::of(&now);
        self.publish(phases(&was, &now), &was.with(holds.clone()), holds);
        None
    }

    /// The list first has what may be on the broker from now on, and at last what is.
    fn publish(&mut self, phases: Vec<Vec<Publish>>, meanwhile: &Announced, holds: Announced) {
        let topic = self.settings.list_topic();
        self.plan = phases.into();
        if self.plan.len() > 1
            && let Some(first) = self.plan.front_mut()
        {
            first.insert(0, Publish::new(&topic, meanwhile.payload()));
        }
        let list = Publish::new(&topic, holds.payload());
        match self.plan.back_mut() {
            Some(last) => last.push(list),
            None => self.plan.push_back(vec![list]),
        }
        self.was = Some(holds);
    }
}

/// Another form or prefix is wanted: nothing stays where it was announced.
fn moves(was: &Announced, now: &Messages) -> bool {
    !was.losses(now).is_empty() && !now.keys().any(|topic| was.has(topic))
}

impl Announcer for Herald {
    fn filters(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.settings.form != HaForm::Off {
            all.push(self.settings.birth_topic());
        }
        if self.was.is_none() {
            all.push(self.settings.list_topic());
        }
        all
    }

    fn news(&mut self, picture: &Picture) -> bool {
        self.seen.look(picture);
        let blank = picture.points.is_empty() && picture.meters.is_empty();
        self.was.is_some() && !blank && messages(picture, &self.settings, &self.seen) != self.told
    }

    fn announce(&mut self, picture: &Picture, online: bool) -> (Vec<Message>, Option<Duration>) {
        let since = *self.since.get_or_insert_with(Instant::now);
        let left = RECALL.saturating_sub(since.elapsed());
        if self.was.is_none() && !left.is_zero() {
            return (Vec::new(), Some(left));
        }
        // In safe mode, and before the first picture, nothing is known, which does not mean that nothing is there.
        let blank = picture.points.is_empty() && picture.meters.is_empty();
        if blank && self.settings.form != HaForm::Off {
            return (Vec::new(), Some(RECALL));
        }
        self.seen.look(picture);
        // Home Assistant makes every entity anew then, from the state it has at that moment: not from `unavailable`.
        let now = || messages(picture, &self.settings, &self.seen);
        if !online && self.plan.is_empty() && self.was.as_ref().is_some_and(|was| moves(was, &now())) {
            return (Vec::new(), Some(PAUSE));
        }
        let mut once_more = None;
        if self.plan.is_empty() {
            once_more = self.plan(picture);
        }
        let phase = self.plan.pop_front().unwrap_or_default();
        if !self.plan.is_empty() {
            once_more = Some(PAUSE);
        }
        let messages = phase
            .into_iter()
            .map(|publish| Message::retained(publish.topic, publish.payload));
        (messages.collect(), once_more)
    }

    fn waits(&self) -> bool {
        self.was.is_none() && self.settings.form != HaForm::Off
    }

    fn heard(&mut self, incoming: &Incoming) -> Option<Duration> {
        if incoming.topic == self.settings.list_topic() {
            if self.was.is_some() || incoming.payload.is_empty() {
                return None;
            }
            let was = Announced::read(&incoming.payload, &self.settings.hub());
            self.seen.recall(&was, &self.settings.hub());
            self.was = Some(was);
            return Some(Duration::ZERO);
        }
        let born = incoming.topic == self.settings.birth_topic() && incoming.payload.as_ref() == b"online";
        // A birth that the broker kept says nothing about now.
        (born && !incoming.retained).then(|| {
            let (least, more) = AFTER_BIRTH_MS;
            Duration::from_millis(least + self.rng.below(more + 1))
        })
    }
}

#[cfg(test)]
#[path = "tests/herald.rs"]
mod tests;
