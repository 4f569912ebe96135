//! The foreign host application (`tests/interop/sparkplug_host.py`).

use crate::rig::Rig;
use serde_json::{Value, json};

pub struct Host {
    rig: Rig,
    orders: u64,
}

impl Host {
    /// Connects it to a broker; with `id` it can be a primary host.
    pub async fn start(broker: u16, id: Option<&str>) -> Self {
        let port = broker.to_string();
        let args: Vec<&str> = [port.as_str(), "site", "gw"].into_iter().chain(id).collect();
        Self {
            rig: Rig::start("sparkplug_host.py", &args).await,
            orders: 0,
        }
    }

    /// Gives an order and awaits the answer.
    pub async fn order(&mut self, order: Value) -> Value {
        self.orders += 1;
        let n = self.orders;
        let mut order = order;
        order["n"] = n.into();
        let mark = self.mark();
        self.rig.order(&order).await;
        let line = self
            .rig
            .await_line(mark, "an answer", |said| said["answered"] == n)
            .await;
        line["payload"].clone()
    }

    /// How much it has said so far.
    pub fn mark(&self) -> usize {
        self.rig.mark()
    }

    /// Waits until it has heard of a birth or a death, from a mark on.
    pub async fn heard(&mut self, mark: usize, kind: &str, device: &str) -> Value {
        let what = format!("{kind} {device}");
        let wanted = |said: &Value| said["heard"] == kind && said["device"] == device;
        self.rig.await_line(mark, &what, wanted).await
    }

    /// What it has heard of births and deaths, from a mark on.
    pub fn births_and_deaths(&self, mark: usize) -> Vec<String> {
        let said = self.rig.since(mark);
        let heard = said
            .iter()
            .filter_map(|said| Some((said["heard"].as_str()?, said["device"].as_str()?)));
        heard
            .map(|(kind, device)| format!("{kind} {device}").trim_end().to_owned())
            .collect()
    }

    /// Waits until it has got so many messages.
    pub async fn got(&mut self, messages: u64) {
        let got = self.order(json!({ "await": messages })).await;
        assert_eq!(got, messages, "{:?}", self.rig.violations());
    }

    /// Waits until a tag of a device has a value.
    pub async fn tag(&mut self, device: &str, name: &str, wanted: &Value) {
        let mut messages = 0;
        loop {
            let tags = self.order(json!({ "tags": device })).await;
            if tags[name] == *wanted {
                return;
            }
            let totals = self.totals().await["messages"].as_u64().unwrap();
            assert!(
                totals >= messages,
                "{device} {name} is {} and not {wanted}",
                tags[name]
            );
            // Answered after the next message, or after its patience: then the count has not grown.
            messages = totals + 1;
            self.order(json!({ "await": messages })).await;
        }
    }

    pub async fn totals(&mut self) -> Value {
        self.order(json!({ "totals": true })).await
    }

    /// No rule was broken.
    pub fn content(&self) {
        assert!(self.rig.violations().is_empty(), "{:#?}", self.rig.violations());
    }
}
