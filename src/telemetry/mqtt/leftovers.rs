//! Devices that an earlier run, or an earlier configuration, has told of and that are no more: what the broker has kept of
//! them would say for ever that they are online. The broker itself tells which there were: the availability of each is
//! retained.

use super::super::client::Incoming;
use super::super::picture::{Meter, Picture, Point, Reach};
use super::super::units::Slug;
use super::leaves::leaves;
use super::topics::Topics;
use std::sync::Arc;

/// What the broker had kept when this run first came to it.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    asked: bool,
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
}

/// All topics of the device that a message tells of; none if we have said it ourselves. `None`: it is about something else.
pub(super) fn told_of(topics: &Topics, incoming: &Incoming) -> Option<Vec<Arc<str>>> {
    let topic = topics.within(&incoming.topic)?;
    let (kind, id) = match topic.split('/').collect::<Vec<_>>()[..] {
        [kind @ ("cp" | "meter"), id, "availability"] => (kind, id),
        _ => return None,
    };
    let slug = Slug::of(id);
    if !incoming.retained || slug.as_str() != id {
        return Some(Vec::new());
    }
    let mut ghost = Picture::blank();
    if kind == "cp" {
        ghost.points.insert(slug, nothing());
    } else {
        ghost.meters.insert(slug, no_values());
    }
    let branches = [format!("{kind}/"), format!("flat/{kind}/")];
    let of_it = |topic: &Arc<str>| {
        let below = topics.within(topic).unwrap_or_default();
        branches.iter().any(|branch| below.starts_with(branch))
    };
    let all = leaves(topics, &ghost, true).into_iter().map(|leaf| leaf.topic);
    Some(all.filter(of_it).collect())
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
            arrived: tokio::time::Instant::now(),
            expires_in: None,
        }
    }

    #[test]
    fn what_the_broker_has_kept_of_a_device_is_all_that_was_ever_told_of_it() {
        let topics = Topics::new("r", "gw");
        let mut leftovers = Leftovers::default();
        assert_eq!(
            leftovers.filters(&topics),
            ["r/gw/cp/+/availability", "r/gw/meter/+/availability"]
        );
        assert!(leftovers.filters(&topics).is_empty(), "only once");

        let of = |topic: &str, retained| told_of(&topics, &kept(topic, retained));
        let point = of("cp/gone/availability", true).expect("about a device");
        for topic in [
            "cp/gone/availability",
            "cp/gone/state",
            "cp/gone/session",
            "cp/gone/csms",
            "flat/cp/gone/power_w",
            "flat/cp/gone/current_a/3",
        ] {
            assert!(
                point.iter().any(|told| **told == *format!("r/gw/{topic}")),
                "{topic}"
            );
        }
        assert!(point.iter().all(|topic| topic.contains("/gone/")));
        let meter = of("meter/old/availability", true).expect("about a device");
        assert!(meter.iter().all(|topic| topic.contains("/old/")) && meter.len() > 2);
        assert_eq!(
            of("cp/own/availability", false),
            Some(Vec::new()),
            "our own words"
        );
        assert_eq!(of("cp/gone/state", true), None);
        assert_eq!(of("as/ha/cp/gone/enabled/set", true), None);
    }
}
