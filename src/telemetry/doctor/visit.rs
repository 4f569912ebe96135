//! The steps of an examination, in their order.

use super::super::client::{Dial, Farewell, Incoming, Link, LinkError, Message, Passed, Stage};
use super::super::ha::Settings;
use super::super::mqtt::Topics;
use super::super::sparkplug::{State, Topics as EdgeTopics};
use super::super::units::At;
use super::cause::{Cause, placed};
use super::report::Report;
use super::{CONNECT_WAIT, Gateway, NEEDED_BYTES, Purpose, STEP, Subject};
use crate::domain::{BrokerSetup, Checkup, HaForm, MqttSetup, MqttVersion, SparkplugSetup};
use std::pin::pin;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// So many connections in a row that are lost at once are no accident.
const OFTEN: u32 = 3;
/// Messages that are looked at; what a busy broker says beyond is passed over.
const HEARD: usize = 1024;

/// Examines one broker.
pub async fn examine(subject: Subject) -> Report {
    let url = format!(
        "{}://{}:{}",
        if subject.setup.tls { "mqtts" } else { "mqtt" },
        subject.setup.host,
        subject.setup.port
    );
    let name = subject.name.clone();
    let mut visit = Visit {
        checkup: Checkup::default(),
        clock_is_wrong: subject.machine_unix_ms < subject.floor_unix_ms,
        nonce: format!("{:08x}", subject.nonce & 0xFFFF_FFFF),
        heard: Vec::new(),
    };
    visit.clock(subject.machine_unix_ms);
    let setup = BrokerSetup {
        client_id: format!("{}-doctor-{}", subject.setup.client_id, visit.nonce),
        ..subject.setup.clone()
    };
    let dial = Dial::new(setup, Arc::clone(&subject.tls), Arc::default());
    if let Some(link) = visit.connect(&dial).await {
        visit.offer(&link, &subject);
        match &subject.purpose {
            Purpose::Tree(setup) => visit.tree(link, &dial, setup, &subject.gateway).await,
            Purpose::Edge(setup) => visit.edge(link, setup).await,
        }
    }
    visit.gateway(&subject.gateway);
    Report::of(visit.checkup, name, url)
}

/// What became of a message that was sent to ourselves.
enum Echo {
    Came,
    /// The broker said yes and delivered nothing.
    Missing,
    Refused(LinkError),
}

struct Visit {
    checkup: Checkup<Cause>,
    clock_is_wrong: bool,
    nonce: String,
    /// Everything that came in so far.
    heard: Vec<Incoming>,
}

impl Visit {
    fn clock(&mut self, machine_unix_ms: i64) {
        let shown = At(machine_unix_ms).to_string();
        if self.clock_is_wrong {
            self.checkup.warning(
                "clock",
                format!("this machine's clock says {shown}, which is before this program was built"),
                Cause::Clock,
                "set the clock of this machine, by NTP if it can be had",
            );
        } else {
            self.checkup
                .good("clock", format!("this machine's clock says {shown}"));
        }
    }

    async fn connect(&mut self, dial: &Dial) -> Option<Link> {
        let mut passed = Vec::new();
        let connecting = timeout(CONNECT_WAIT, dial.observed(None, &mut |step| passed.push(step))).await;
        let result = connecting.unwrap_or_else(|_| Err(late(dial, &passed)));
        for step in passed {
            let (check, evidence) = match step {
                Passed::Resolved(addresses) => {
                    let shown: Vec<String> = addresses.iter().take(4).map(ToString::to_string).collect();
                    ("dns", shown.join(", "))
                }
                Passed::Connected(address) => ("tcp", format!("{address} accepts connections")),
                Passed::Secured(version) => ("tls", format!("{version}, certificate trusted")),
            };
            self.checkup.good(check, evidence);
        }
        match result {
            Ok(link) => {
                let version = link.version().word();
                self.checkup
                    .good("connect", format!("the broker lets us in, MQTT {version}"));
                Some(link)
            }
            Err(error) => {
                if matches!(error, LinkError::NotSpoken { .. }) && speaks_older(dial).await {
                    let host = dial.setup.host.clone();
                    self.failed(&LinkError::Version { host });
                } else {
                    self.failed(&error);
                }
                None
            }
        }
    }

    fn failed(&mut self, error: &LinkError) {
        let (check, cause) = placed(error);
        let (seen, next) = error.in_two();
        // The certificate is not to blame where the clock is known to be wrong.
        if self.clock_is_wrong && cause == Cause::TlsExpired {
            let first = "set the clock of this machine; only then the certificate can be judged";
            self.checkup.failure(check, seen, Cause::Clock, first);
        } else {
            self.checkup.failure(check, seen, cause, next);
        }
    }

    /// What the broker says it can do.
    fn offer(&mut self, link: &Link, subject: &Subject) {
        let offer = link.offer();
        let mut lacks = Vec::new();
        if !offer.retain {
            lacks.push((
                "keeps no messages, so nobody who comes later sees anything",
                Cause::NoRetain,
                "switch retained messages on in the broker (mosquitto: `retain_available true`)",
            ));
        }
        if !offer.receipts {
            lacks.push((
                "takes quality 0 only",
                Cause::NoReceipts,
                "allow QoS 1 in the broker (mosquitto: `max_qos`)",
            ));
        }
        if !offer.wildcards {
            lacks.push((
                "takes no filters with '+'",
                Cause::NoWildcards,
                "allow wildcard subscriptions in the broker; commands need them",
            ));
        }
        for (lack, cause, next) in &lacks {
            self.checkup
                .failure("offer", format!("the broker {lack}"), *cause, *next);
        }
        match offer.largest {
            Some(bytes) if bytes < NEEDED_BYTES => self.checkup.failure(
                "offer",
                format!("the broker takes packets of {bytes} bytes at most"),
                Cause::SmallPackets,
                format!("allow {NEEDED_BYTES} bytes at least (mosquitto: `max_packet_size`)"),
            ),
            _ if lacks.is_empty() && link.version() == MqttVersion::V5 => self.checkup.good(
                "offer",
                "keeps messages, takes quality 1, filters with '+' and packets of any size we need",
            ),
            _ => {}
        }
        if subject.setup.version == MqttVersion::Auto && link.version() == MqttVersion::V311 {
            self.checkup.skip(
                "offer",
                "3.1.1 does not tell what the broker can do; what it refuses is often seen only in its log",
            );
        }
    }

    async fn tree(&mut self, mut link: Link, dial: &Dial, setup: &MqttSetup, gateway: &Gateway) {
        let topics = Topics::new(&setup.prefix, &setup.gateway);
        let ha = Settings::of(setup, &setup.ha);
        let announces = ha.form != HaForm::Off;
        let mut filters = vec![topics.status().to_string(), ha.list_topic()];
        filters.extend(announces.then(|| ha.birth_topic()));
        filters.extend(setup.commands.iter().flat_map(|_| topics.commands()));
        let probe = topics.at(format_args!("doctor/{}", self.nonce));
        if self.subscribe(&mut link, &filters).await {
            let write = format!("`{}/{}/#`", setup.prefix, setup.gateway);
            let kept = self.own_tree(&mut link, &probe, &write).await;
            if announces {
                self.announce(&mut link, &ha).await;
            }
            self.tidy(link, dial, &probe, kept).await;
        }
        if announces {
            self.home_assistant(&ha);
        }
        self.alone(&topics, gateway);
    }

    /// Returns whether the broker still answers.
    async fn subscribe(&mut self, link: &mut Link, filters: &[String]) -> bool {
        let mut denied = false;
        for filter in filters {
            let answer = link.subscribe(filter);
            match self.answered(link, answer).await {
                Some(Ok(())) => {}
                Some(Err(error @ LinkError::NotSubscribed { .. })) => {
                    denied = true;
                    let (seen, _) = error.in_two();
                    let next = format!("allow reading `{filter}` in the access list of the broker");
                    self.checkup
                        .failure("subscribe", seen, Cause::SubscribeDenied, next);
                }
                Some(Err(error)) => {
                    let (seen, _) = error.in_two();
                    let evidence = format!("on subscribing to '{filter}': {seen}");
                    let next = format!(
                        "allow reading `{filter}` in the access list of the broker, and look into its log"
                    );
                    self.checkup
                        .failure("subscribe", evidence, Cause::SubscribeDenied, next);
                    return false;
                }
                None => {
                    let evidence = format!("no answer to a subscription to '{filter}' within {STEP:?}");
                    let next = "look at the load of the broker and into its log";
                    self.checkup
                        .failure("subscribe", evidence, Cause::SilentBroker, next);
                    return false;
                }
            }
        }
        if !denied {
            let evidence = format!("{} filters are taken", filters.len());
            self.checkup.good("subscribe", evidence);
        }
        true
    }

    /// Publishes on a topic of the doctor's own; returns whether something may be kept there now.
    async fn own_tree(&mut self, link: &mut Link, probe: &Arc<str>, write: &str) -> bool {
        let retain = link.offer().retain;
        let message = Message {
            retain,
            ..Message::passing(Arc::clone(probe), self.nonce.clone())
        };
        let told_apart = link.version() == MqttVersion::V5;
        match self.echo(link, &message).await {
            Echo::Came => self
                .checkup
                .good("publish", format!("what is published on '{probe}' comes back")),
            Echo::Refused(error) => {
                let (seen, _) = error.in_two();
                let next = format!("allow writing {write} in the access list of the broker");
                self.checkup
                    .failure("publish", seen, Cause::PublishDenied, next);
                return retain && error.is_retryable();
            }
            Echo::Missing if told_apart => self.checkup.warning(
                "publish",
                format!("'{probe}' can be published on and is not delivered back"),
                Cause::ReadDenied,
                format!(
                    "allow reading {write} in the access list of the broker; without it commands and Home Assistant's start are not heard"
                ),
            ),
            Echo::Missing => self.checkup.failure(
                "publish",
                format!("what is published on '{probe}' does not come back; 3.1.1 does not tell why"),
                Cause::NotDelivered,
                format!("allow reading and writing {write} in the access list of the broker"),
            ),
        }
        let came = self.heard.iter().any(|message| message.topic == **probe);
        if retain && came {
            self.kept(link, probe).await;
        }
        retain
    }

    /// A second subscription brings what the broker keeps.
    async fn kept(&mut self, link: &mut Link, probe: &Arc<str>) {
        let (before, asked) = (self.heard.len(), link.subscribe(probe));
        if !matches!(self.answered(link, asked).await, Some(Ok(()))) {
            return self
                .checkup
                .skip("retain", "a second subscription was not answered");
        }
        let is_kept = |message: &Incoming| message.topic == **probe && message.retained;
        if self.hear(link, before, is_kept).await {
            self.checkup
                .good("retain", "the broker keeps what later subscribers are to see");
        } else {
            self.checkup.failure(
                "retain",
                "the broker does not keep what later subscribers are to see",
                Cause::NoRetain,
                "switch retained messages on in the broker (mosquitto: `retain_available true`)",
            );
        }
    }

    /// An empty announcement is none; that it may be made is all that is asked.
    async fn announce(&mut self, link: &mut Link, ha: &Settings) {
        let topic = format!("{}/device/{}_doctor_{}/config", ha.prefix, ha.hub(), self.nonce);
        let allow = format!("allow writing `{}/#` in the access list of the broker", ha.prefix);
        let told_apart = link.version() == MqttVersion::V5;
        match self.echo(link, &Message::retained(topic, "")).await {
            Echo::Came => self
                .checkup
                .good("announce", "devices can be announced to Home Assistant"),
            Echo::Refused(error) => {
                let (seen, _) = error.in_two();
                self.checkup
                    .failure("announce", seen, Cause::AnnounceDenied, allow);
            }
            // Reading there is not needed.
            Echo::Missing if told_apart => self
                .checkup
                .good("announce", "devices can be announced to Home Assistant"),
            Echo::Missing => self.checkup.open(
                "announce",
                "an announcement to Home Assistant does not come back; 3.1.1 does not tell why",
                Cause::AnnounceDenied,
                format!("if nothing appears in Home Assistant, {allow}"),
            ),
        }
    }

    /// Subscribes to a topic, publishes on it, and waits for it to come back.
    async fn echo(&mut self, link: &mut Link, message: &Message) -> Echo {
        // A broker that does not let us subscribe may let us publish all the same.
        let (before, asked) = (self.heard.len(), link.subscribe(&message.topic));
        let _ = self.answered(link, asked).await;
        let receipt = match link.publish(message) {
            Ok(receipt) => receipt,
            Err(error) => return Echo::Refused(error),
        };
        match self.answered(link, receipt.done()).await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Echo::Refused(error),
            None => {
                return Echo::Refused(LinkError::Closed {
                    reason: format!("no receipt for '{}' within {STEP:?}", message.topic),
                });
            }
        }
        let topic = &*message.topic;
        let came = |heard: &Incoming| heard.topic == topic && heard.payload == message.payload;
        if self.hear(link, before, came).await {
            Echo::Came
        } else {
            Echo::Missing
        }
    }

    /// Awaits an answer of the broker, a [`STEP`] at most. What comes in meanwhile is heard: no answer can be read behind
    /// messages that nobody takes.
    async fn answered<T>(&mut self, link: &mut Link, answer: impl Future<Output = T>) -> Option<T> {
        let (until, mut answer) = (Instant::now() + STEP, pin!(answer));
        loop {
            tokio::select! {
                answer = &mut answer => return Some(answer),
                () = sleep_until(until) => return None,
                Ok(message) = link.next() => self.keep(message),
            }
        }
    }

    fn keep(&mut self, message: Incoming) {
        if self.heard.len() < HEARD {
            self.heard.push(message);
        }
    }

    /// Hears messages until one is the wanted, of those since a place in what was heard; `false`: it did not come within a
    /// [`STEP`].
    async fn hear(&mut self, link: &mut Link, since: usize, wanted: impl Fn(&Incoming) -> bool) -> bool {
        if self.heard.iter().skip(since).any(&wanted) {
            return true;
        }
        let until = Instant::now() + STEP;
        while let Ok(Ok(message)) = timeout_at(until, link.next()).await {
            let found = wanted(&message);
            self.keep(message);
            if found {
                return true;
            }
        }
        false
    }

    /// Takes away what was published, by a new connection where the old one is lost.
    async fn tidy(&mut self, link: Link, dial: &Dial, probe: &Arc<str>, kept: bool) {
        if kept && !clear(&link, probe).await {
            let gone = match timeout(CONNECT_WAIT / 3, dial.connect(None)).await {
                Ok(Ok(again)) => {
                    let gone = clear(&again, probe).await;
                    again.close(Farewell::Quiet, STEP).await;
                    gone
                }
                Ok(Err(_)) | Err(_) => false,
            };
            if !gone {
                self.checkup.warning(
                    "tidy",
                    format!("what was published on '{probe}' could not be taken away"),
                    Cause::LeftOver,
                    format!("`mosquitto_pub -t {probe} -r -n`, with the options of this broker"),
                );
            }
        }
        link.close(Farewell::Quiet, STEP).await;
    }

    fn home_assistant(&mut self, ha: &Settings) {
        let topic = ha.birth_topic();
        let said = self.heard.iter().rev().find(|message| message.topic == topic);
        match said.map(|message| &*message.payload) {
            Some(b"online") => self
                .checkup
                .good("home assistant", format!("says on '{topic}' that it is online")),
            Some(b"offline") => self.checkup.warning(
                "home assistant",
                format!("says on '{topic}' that it is offline"),
                Cause::HomeAssistantOffline,
                "start Home Assistant, or its MQTT integration",
            ),
            Some(_) | None => self.checkup.open(
                "home assistant",
                format!("nothing is kept on '{topic}'; Home Assistant speaks there at its start, and most brokers are not asked to keep it"),
                Cause::NoHomeAssistant,
                format!(
                    "if nothing appears there: is its MQTT integration on this broker, with discovery on and the prefix '{}'?",
                    ha.prefix
                ),
            ),
        }
    }

    /// A gateway of the same name that is not this one.
    fn alone(&mut self, topics: &Topics, gateway: &Gateway) {
        let status = topics.status();
        let said = self.heard.iter().find(|message| message.topic == *status);
        let online = said.is_some_and(|message| message.payload.as_ref() == b"online");
        if online && *gateway == Gateway::Absent {
            self.checkup.warning(
                "alone",
                format!("'{status}' says online, and no gateway runs here"),
                Cause::ClientIdTaken,
                "give each gateway its own `gateway_id`; two with the same push each other off the broker",
            );
        }
    }

    async fn edge(&mut self, mut link: Link, setup: &SparkplugSetup) {
        let topics = EdgeTopics::new(&setup.group, &setup.edge_node, setup.host_id.as_deref());
        let subscribed = self.subscribe(&mut link, &topics.wanted(setup.commands)).await;
        self.checkup.skip(
            "publish",
            "not tried: a Sparkplug host would take it for data; the running gateway tells whether its birth went through",
        );
        if subscribed && let (Some(state), Some(host)) = (topics.state(), &setup.host_id) {
            self.host(&mut link, &state, host).await;
        }
        link.close(Farewell::Quiet, STEP).await;
    }

    async fn host(&mut self, link: &mut Link, state: &str, host: &str) {
        self.hear(link, 0, |message| message.topic == state).await;
        let said = self.heard.iter().rev().find(|message| message.topic == state);
        match said.map(|message| State::read(&message.payload)) {
            Some(Some(State { online: true, .. })) => self
                .checkup
                .good("host", format!("the primary host '{host}' is online")),
            Some(Some(State { online: false, .. })) => self.checkup.warning(
                "host",
                format!("the primary host '{host}' says that it is offline; until it is back nothing is published"),
                Cause::PrimaryHostOffline,
                "start the host application, or look why it has lost this broker",
            ),
            Some(None) | None => self.checkup.warning(
                "host",
                format!("no primary host has spoken on '{state}'; until it does nothing is published"),
                Cause::NoPrimaryHost,
                format!(
                    "compare `sparkplug.host_id` ('{host}') with the host id of the host application, letter by letter; without one, remove the key"
                ),
            ),
        }
    }

    fn gateway(&mut self, gateway: &Gateway) {
        match gateway {
            Gateway::Absent => {}
            Gateway::Unknown(why) => self.checkup.warning(
                "gateway",
                format!("the running gateway cannot be asked: {why}"),
                Cause::GatewayUnknown,
                "run this as root or as a member of the group of its socket",
            ),
            Gateway::Link {
                taken_over,
                short_lived,
                detail,
                ..
            } if *taken_over || *short_lived >= OFTEN => {
                let how = if *taken_over {
                    "another client has connected with its client id"
                } else {
                    "each of its connections is lost at once"
                };
                self.checkup.failure(
                    "gateway",
                    format!("the running gateway loses its place: {how} ({detail})"),
                    Cause::ClientIdTaken,
                    "give each client of the broker its own `client_id`, and each gateway its own `gateway_id`; the log of the broker names who else uses it",
                );
            }
            Gateway::Link {
                online: true, detail, ..
            } => {
                self.checkup
                    .good("gateway", format!("the running gateway is connected: {detail}"));
            }
            Gateway::Link { detail, .. } => self.checkup.warning(
                "gateway",
                format!("the running gateway is not connected: {detail}"),
                Cause::GatewayOffline,
                "if all checks above are good, wait for its next attempt (at most a minute) and look again",
            ),
        }
    }
}

/// Many a broker of 3.1.1 only closes the connection when it is spoken to in 5.
async fn speaks_older(dial: &Dial) -> bool {
    if dial.setup.version != MqttVersion::V5 {
        return false;
    }
    let older = Dial {
        setup: BrokerSetup {
            version: MqttVersion::V311,
            ..dial.setup.clone()
        },
        ..dial.clone()
    };
    match timeout(CONNECT_WAIT / 3, older.connect(None)).await {
        Ok(Ok(link)) => {
            link.close(Farewell::Quiet, STEP).await;
            true
        }
        Ok(Err(_)) | Err(_) => false,
    }
}

/// What hangs, going by how far it had come.
fn late(dial: &Dial, passed: &[Passed]) -> LinkError {
    let (host, port, wait_s) = (dial.setup.host.clone(), dial.setup.port, CONNECT_WAIT.as_secs());
    let stage = match passed.last() {
        None => Stage::Name,
        Some(Passed::Resolved(_)) => Stage::Tcp,
        Some(Passed::Connected(_)) if dial.setup.tls => Stage::Tls,
        Some(Passed::Connected(_) | Passed::Secured(_)) => return LinkError::Silent { host, wait_s },
    };
    LinkError::Late {
        host,
        port,
        stage,
        wait_s,
    }
}

/// Takes a kept message away.
async fn clear(link: &Link, topic: &Arc<str>) -> bool {
    match link.publish(&Message::retained(Arc::clone(topic), "")) {
        Ok(receipt) => matches!(timeout(STEP, receipt.done()).await, Ok(Ok(()))),
        Err(_) => false,
    }
}
