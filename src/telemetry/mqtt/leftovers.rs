//! Devices that an earlier run, or an earlier configuration, has told of and that are no more: what the broker has kept of
//! them would say for ever that they are online.
//!
//! * The broker itself tells which there were: the availability of each is retained.
//! * A station that starts and a meter that has not spoken yet look the same as one that is no more: only what is still
//!   missing after [`GRACE`] is deleted, and nothing while nothing at all is there.

use super::super::client::{Incoming, Message};
use super::super::picture::{Meter, Picture, Point, Reach};
use super::super::units::Slug;
use super::leaves::leaves;
use super::topics::Topics;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long something must be missing.
const GRACE: Duration = Duration::from_secs(60);
/// Most that is remembered; whoever can write to our topics could fill it.
const REMEMBERED: usize = 1024;

/// What the broker had kept when this run first came to it.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    asked: bool,
    points: BTreeSet<Slug>,
    meters: BTreeSet<Slug>,
    due: Option<Instant>,
}

impl Leftovers {
    /// What to subscribe: on the first connection only.
    pub(super) fn filters(&mut self, topics: &Topics) -> Vec<String> {
        if std::mem::replace(&mut self.asked, true) {
            return Vec::new();
        }
        ["cp", "meter"]
            .map(|kind| topics.at(format_args!("{kind}/+/availability")).to_string())
            .into()
    }

    /// Whether a message is about this.
    pub(super) fn heard(&mut self, topics: &Topics, incoming: &Incoming) -> bool {
        let Some(topic) = topics.within(&incoming.topic) else {
            return false;
        };
        let (kind, id) = match topic.split('/').collect::<Vec<_>>()[..] {
            [kind @ ("cp" | "meter"), id, "availability"] => (kind, id),
            _ => return false,
        };
        let slug = Slug::of(id);
        let room = self.points.len() + self.meters.len() < REMEMBERED;
        // What comes later we have said ourselves.
        if incoming.retained && room && slug.as_str() == id {
            let them = if kind == "cp" {
                &mut self.points
            } else {
                &mut self.meters
            };
            them.insert(slug);
            self.due.get_or_insert_with(|| Instant::now() + GRACE);
        }
        true
    }

    /// When to ask for what is [gone](Self::gone).
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Deletes what is no more.
    pub(super) fn gone(&mut self, topics: &Topics, picture: &Picture) -> Vec<Message> {
        if picture.points.is_empty() && picture.meters.is_empty() {
            self.due = Some(Instant::now() + GRACE);
            return Vec::new();
        }
        self.due = None;
        let mut ghosts = Picture::blank();
        let points = std::mem::take(&mut self.points).into_iter();
        ghosts.points.extend(
            points
                .filter(|id| !picture.points.contains_key(id))
                .map(|id| (id, nothing())),
        );
        let meters = std::mem::take(&mut self.meters).into_iter();
        ghosts.meters.extend(
            meters
                .filter(|id| !picture.meters.contains_key(id))
                .map(|id| (id, no_values())),
        );
        let of_devices = ["cp/", "meter/", "flat/cp/", "flat/meter/"];
        leaves(topics, &ghosts, true)
            .into_iter()
            .filter(|leaf| {
                let below = topics.within(&leaf.topic).unwrap_or_default();
                of_devices.iter().any(|branch| below.starts_with(branch))
            })
            .map(|leaf| Message::retained(leaf.topic, ""))
            .collect()
    }
}

fn nothing() -> Point {
    Point {
        device: Arc::default(),
        reach: Reach::default(),
        available: false,
        state: Default::default(),
        session: Default::default(),
        csms: Default::default(),
        totals: Default::default(),
    }
}

fn no_values() -> Meter {
    Meter {
        device: Arc::default(),
        available: false,
        state: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(topic: &str, retained: bool) -> Incoming {
        Incoming {
            topic: format!("r/gw/{topic}"),
            payload: "online".into(),
            retained,
            expires_in: None,
        }
    }

    fn with(points: &[&str]) -> Picture {
        let mut picture = Picture::blank();
        picture
            .points
            .extend(points.iter().map(|id| (Slug::of(id), nothing())));
        picture
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_more_is_deleted_with_all_its_topics_and_what_is_there_stays() {
        let topics = Topics::new("r", "gw");
        let mut leftovers = Leftovers::default();
        assert_eq!(
            leftovers.filters(&topics),
            ["r/gw/cp/+/availability", "r/gw/meter/+/availability"]
        );
        assert!(leftovers.filters(&topics).is_empty(), "only once");
        for (topic, retained) in [
            ("cp/here/availability", true),
            ("cp/gone/availability", true),
            ("meter/old/availability", true),
            ("cp/own/availability", false),
        ] {
            assert!(leftovers.heard(&topics, &kept(topic, retained)));
        }
        assert!(!leftovers.heard(&topics, &kept("cp/gone/state", true)));
        assert_eq!(leftovers.due(), Some(Instant::now() + GRACE));

        assert!(leftovers.gone(&topics, &Picture::blank()).is_empty(), "safe mode");
        assert_eq!(leftovers.due(), Some(Instant::now() + GRACE));
        let gone = leftovers.gone(&topics, &with(&["here"]));
        let has = |topic: &str| gone.contains(&Message::retained(format!("r/gw/{topic}"), ""));
        for topic in [
            "cp/gone/availability",
            "cp/gone/state",
            "cp/gone/session",
            "cp/gone/csms",
            "meter/old/availability",
            "meter/old/state",
            "flat/cp/gone/power_w",
            "flat/cp/gone/current_a/3",
        ] {
            assert!(has(topic), "{topic}");
        }
        let ours = ["/gone/", "/old/"];
        assert!(gone.iter().all(|m| ours.iter().any(|id| m.topic.contains(id))));
        assert_eq!(leftovers.due(), None);
    }

    #[test]
    fn nothing_is_remembered_without_end() {
        let topics = Topics::new("r", "gw");
        let mut leftovers = Leftovers::default();
        for number in 0..2 * REMEMBERED {
            leftovers.heard(&topics, &kept(&format!("cp/c{number}/availability"), true));
        }
        assert_eq!(leftovers.points.len(), REMEMBERED);
    }
}
