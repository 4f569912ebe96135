//! Topics of one edge node (4.1): `spBv1.0/GROUP/TYPE/EDGE_NODE[/DEVICE]`, and `spBv1.0/STATE/HOST_ID`.

/// The namespace of Sparkplug B.
const NAMESPACE: &str = "spBv1.0";

/// Topics of one edge node.
#[derive(Clone, Debug)]
pub struct Topics {
    group: String,
    node: String,
    host: Option<String>,
}

/// What a message that came in is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound<'a> {
    /// The primary host tells how it is.
    State,
    /// A command for the node.
    NodeCommand,
    /// A command for a device.
    DeviceCommand(&'a str),
}

/// Whether a text can be a group, an edge node or a host in a topic.
#[must_use]
pub fn is_id(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| "+/#".contains(c) || c.is_control())
}

impl Topics {
    /// Of this node; `host`: the primary host it obeys.
    #[must_use]
    pub fn new(group: &str, node: &str, host: Option<&str>) -> Self {
        Self {
            group: group.to_owned(),
            node: node.to_owned(),
            host: host.map(str::to_owned),
        }
    }

    /// Of a message about the node.
    #[must_use]
    pub fn node(&self, kind: &str) -> String {
        format!("{NAMESPACE}/{}/{kind}/{}", self.group, self.node)
    }

    /// Of a message about a device.
    #[must_use]
    pub fn device(&self, kind: &str, device: &str) -> String {
        format!("{NAMESPACE}/{}/{kind}/{}/{device}", self.group, self.node)
    }

    /// Where the primary host tells how it is.
    #[must_use]
    pub fn state(&self) -> Option<String> {
        self.host.as_ref().map(|host| format!("{NAMESPACE}/STATE/{host}"))
    }

    /// What to subscribe to, with `QoS` 1.
    #[must_use]
    pub fn wanted(&self, commands: bool) -> Vec<String> {
        let mut all = vec![self.node("NCMD")];
        all.extend(commands.then(|| self.device("DCMD", "+")));
        all.extend(self.state());
        all
    }

    /// What a topic is; `None`: nothing for this node.
    #[must_use]
    pub fn read<'a>(&self, topic: &'a str) -> Option<Inbound<'a>> {
        if self.state().is_some_and(|state| state == topic) {
            return Some(Inbound::State);
        }
        if topic == self.node("NCMD") {
            return Some(Inbound::NodeCommand);
        }
        let device = topic.strip_prefix(&self.device("DCMD", ""))?;
        is_id(device).then_some(Inbound::DeviceCommand(device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_those_of_the_specification() {
        let topics = Topics::new("Site A", "gw1", Some("scada"));
        assert_eq!(topics.node("NBIRTH"), "spBv1.0/Site A/NBIRTH/gw1");
        assert_eq!(topics.device("DDATA", "cp-1"), "spBv1.0/Site A/DDATA/gw1/cp-1");
        let all = [
            "spBv1.0/Site A/NCMD/gw1",
            "spBv1.0/Site A/DCMD/gw1/+",
            "spBv1.0/STATE/scada",
        ];
        assert_eq!(topics.wanted(true), all);
        assert_eq!(topics.wanted(false), [all[0], all[2]]);
        assert_eq!(topics.read(all[0]), Some(Inbound::NodeCommand));
        assert_eq!(topics.read(all[2]), Some(Inbound::State));
        assert_eq!(
            topics.read("spBv1.0/Site A/DCMD/gw1/cp-1"),
            Some(Inbound::DeviceCommand("cp-1"))
        );
        for other in [
            "spBv1.0/Site A/DCMD/gw1/",
            "spBv1.0/Site A/DCMD/gw1/a/b",
            "spBv1.0/STATE/other",
            "spBv1.0/Site A/NCMD/gw2",
        ] {
            assert_eq!(topics.read(other), None, "{other}");
        }
    }

    #[test]
    fn an_id_is_no_filter_and_no_level() {
        assert!(is_id("Süd 2"));
        for bad in ["", "a/b", "+", "a#", "a\nb"] {
            assert!(!is_id(bad), "{bad:?}");
        }
    }
}
