//! The gateway as an edge node of Sparkplug B.

use super::broker::{self, keys_of};
use super::context::Context;
use super::keys::{SparkplugBrokerKeys, SparkplugKeys};
use super::setting::{Given, Section};
use crate::domain::{BrokerSetup, SparkplugSetup};

/// Reads the table, and what its brokers may cost in a month; `None` where it is not there, or something in it is wrong.
pub(super) fn read(root: &Section<'_>, context: &mut Context<'_>) -> Option<(SparkplugSetup, Option<u64>)> {
    let sections = root.tables(SparkplugKeys::TABLE, &mut context.found);
    let section = sections.first()?;
    let keys = SparkplugKeys::read(section, &mut context.found);
    for given in [&keys.group, &keys.edge_node, &keys.host_id] {
        is_level(given, context);
    }
    waits(&keys, context);
    let sections = section.tables(SparkplugBrokerKeys::TABLE, &mut context.found);
    if sections.is_empty() {
        keys.group.error(
            &mut context.found,
            "nothing says which broker to connect to",
            "at least one [[sparkplug.broker]]",
            "add [[sparkplug.broker]] with url = \"mqtts://broker.example.com:8883\" behind the settings of [sparkplug]",
        );
    }
    let node = keys.edge_node.value.clone().unwrap_or_default();
    let brokers: Vec<Option<BrokerSetup>> = sections
        .iter()
        .map(|section| of(section, &node, context))
        .collect();
    let brokers: Vec<BrokerSetup> = brokers.into_iter().collect::<Option<_>>()?;
    let setup = SparkplugSetup {
        brokers,
        group: keys.group.value?,
        edge_node: keys.edge_node.value?,
        host_id: keys.host_id.value,
        aliases: keys.aliases.value?,
        commands: keys.commands.value?.as_str() == "on",
        retry: (keys.reconnect_min.value?, keys.reconnect_max.value?),
    };
    Some((setup, keys.monthly_budget.value))
}

/// An id is one level of a topic.
fn is_level(given: &Given<String>, context: &mut Context<'_>) {
    let text = given.value.as_deref().unwrap_or_default();
    if text.contains(['+', '/', '#']) {
        given.error(
            &mut context.found,
            "has a character that divides or stands for levels of a topic",
            "a text without +, / and #",
            format!("did you mean \"{}\"", text.replace(['+', '/', '#'], "-")),
        );
    }
}

fn waits(keys: &SparkplugKeys, context: &mut Context<'_>) {
    let (Some(min), Some(max)) = (keys.reconnect_min.value, keys.reconnect_max.value) else {
        return;
    };
    if max < min {
        let given = if keys.reconnect_max.written {
            &keys.reconnect_max
        } else {
            &keys.reconnect_min
        };
        given.error(
            &mut context.found,
            "the longest wait is shorter than the first",
            "reconnect_max not below reconnect_min",
            "exchange the two",
        );
    }
}

fn of(section: &Section<'_>, node: &str, context: &mut Context<'_>) -> Option<BrokerSetup> {
    let keys = SparkplugBrokerKeys::read(section, &mut context.found);
    let mut broker = broker::read(&keys_of!("sparkplug.broker", keys), context)?;
    if broker.client_id.is_empty() {
        broker.client_id = format!("retrovolt-sparkplug-{node}");
    }
    Some(broker)
}
