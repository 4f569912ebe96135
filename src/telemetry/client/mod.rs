//! One connection to an MQTT broker, 5 or 3.1.1 behind one face.
//!
//! * One [`Link`] is one connection: when it is lost, whoever holds it makes the next one with [`Dial::connect`] and
//!   waits in between as a [`Backoff`](crate::domain::Backoff) says.
//! * Nothing here waits for a slow broker: at most [`WINDOW`] messages are on the way, a further one is refused with
//!   [`LinkError::Full`] and stays with the sender.
//! * A message that a broker got is told by its [`Receipt`]: with quality 1 the PUBACK, with 0 that it was written.
//! * The library may send a PUBLISH before an earlier SUBSCRIBE: who needs the order awaits [`Link::subscribe`].
//! * The session is clean, so that no command waits for us on the broker. Quality 2 is not used at all.
//!
//! | file | what |
//! |---|---|
//! | `error` | what goes wrong, in words with the next step |
//! | `socket` | TCP, TLS, counted bytes |
//! | `v4`, `v5` | the two versions of the library |
//! | `pump` | what both do alike |

mod error;
mod pump;
mod socket;
mod v4;
mod v5;

pub use error::{Flaw, LinkError, Stage};
#[cfg(test)]
pub(crate) use socket::Pipe;
pub(super) use socket::{Hear, Passed};
pub use socket::{MakeTls, Traffic};

use crate::domain::{BrokerSetup, MqttVersion};
use bytes::Bytes;
use error::Failure;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pump::{ended, pump};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// Messages on the way to the broker at most.
pub const WINDOW: u16 = 32;
/// Largest message we send or take.
pub const LARGEST: usize = 128 * 1024;
/// Messages from the broker that may wait for us; behind them the broker waits.
const INBOX: usize = 32;
/// Longest wait for TCP, TLS and CONNACK, each.
const PATIENCE: Duration = Duration::from_secs(10);

/// Quality of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// At most once.
    AtMostOnce,
    /// At least once.
    AtLeastOnce,
}

/// What is published, or left as a will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub topic: Arc<str>,
    /// What.
    pub payload: Bytes,
    /// Quality of service.
    pub qos: Qos,
    /// The broker keeps it for later subscribers.
    pub retain: bool,
}

impl Message {
    /// A message that the broker keeps, quality 1.
    #[must_use]
    pub fn retained(topic: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            qos: Qos::AtLeastOnce,
            retain: true,
        }
    }

    /// A message for who is there, quality 1.
    #[must_use]
    pub fn passing(topic: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Self {
        Self {
            retain: false,
            ..Self::retained(topic, payload)
        }
    }
}

/// A message from the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Where it was published.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// The broker had kept it: it may be old.
    pub retained: bool,
    /// When it arrived here; it may have waited since.
    pub arrived: Instant,
    /// How long it still counted when it arrived (MQTT 5 3.3.2.3.3).
    pub expires_in: Option<Duration>,
}

impl Incoming {
    /// Whether it has waited longer than its sender wants it to count.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.expires_in.is_some_and(|left| self.arrived.elapsed() >= left)
    }
}

/// How a connection ends on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// Without the will.
    Quiet,
    /// The broker publishes the will (MQTT 5 reason 0x04); on 3.1.1 as [`Farewell::Quiet`].
    WithWill,
}

/// All it takes to connect.
#[derive(Clone)]
pub struct Dial {
    /// Where to, as whom.
    pub setup: BrokerSetup,
    /// Makes the TLS settings of one connection; only asked where the setup wants TLS.
    pub tls: MakeTls,
    /// Bytes over all connections.
    pub traffic: Arc<Traffic>,
    /// What stands in the place of TCP.
    #[cfg(test)]
    pub(crate) pipe: Option<Pipe>,
}

impl Dial {
    /// A broker over TCP.
    #[must_use]
    pub fn new(setup: BrokerSetup, tls: MakeTls, traffic: Arc<Traffic>) -> Self {
        Self {
            setup,
            tls,
            traffic,
            #[cfg(test)]
            pipe: None,
        }
    }

    /// The broker at the other end of a pipe.
    #[cfg(test)]
    pub(crate) fn piped(version: MqttVersion, pipe: Pipe, traffic: Arc<Traffic>) -> Self {
        let setup = BrokerSetup {
            host: "broker".to_owned(),
            port: 1883,
            tls: false,
            client_id: "gw".to_owned(),
            user: None,
            password: None,
            ca_file: None,
            identity: None,
            version,
            keep_alive: Duration::from_secs(30),
        };
        Self {
            pipe: Some(pipe),
            ..Self::new(setup, Arc::new(|| Err("no TLS in this test".to_owned())), traffic)
        }
    }

    /// Connects once. With [`MqttVersion::Auto`] a broker that refuses 5, or closes on it, is asked again in 3.1.1.
    ///
    /// # Errors
    /// What stands in the way, in words with the next step.
    pub async fn connect(&self, will: Option<&Message>) -> Result<Link, LinkError> {
        self.observed(will, &mut |_| {}).await
    }

    /// [`Dial::connect`], which tells of every step that goes well.
    pub(super) async fn observed(&self, will: Option<&Message>, hear: Hear<'_>) -> Result<Link, LinkError> {
        let first = match self.setup.version {
            MqttVersion::Auto | MqttVersion::V5 => self.attempt(MqttVersion::V5, will, hear).await,
            MqttVersion::V311 => self.attempt(MqttVersion::V311, will, hear).await,
        };
        match first {
            Ok(link) => Ok(link),
            Err(Failure::Version | Failure::Closed(_)) if self.setup.version == MqttVersion::Auto => self
                .attempt(MqttVersion::V311, will, &mut |_| {})
                .await
                .map_err(|failure| failure.told(&self.setup)),
            Err(failure) => Err(failure.told(&self.setup)),
        }
    }

    async fn attempt(
        &self,
        version: MqttVersion,
        will: Option<&Message>,
        hear: Hear<'_>,
    ) -> Result<Link, Failure> {
        let socket = socket::open(self, hear).await?;
        let (events, inbox) = mpsc::channel(INBOX);
        let silent = || Failure::Silent(PATIENCE.as_secs());
        let pace = pace(&self.setup);
        let (handle, offer, pump) = if version == MqttVersion::V311 {
            let (client, facts) = timeout(PATIENCE, v4::connect(&self.setup, will, socket))
                .await
                .map_err(|_| silent())??;
            let pump = tokio::spawn(pump(facts, events, pace));
            (Handle::V4(client), Offer::default(), pump)
        } else {
            let (client, offer, facts) = timeout(PATIENCE, v5::connect(&self.setup, will, socket))
                .await
                .map_err(|_| silent())??;
            (Handle::V5(client), offer, tokio::spawn(pump(facts, events, pace)))
        };
        Ok(Link {
            handle,
            version,
            offer,
            inbox,
            pump,
        })
    }
}

/// A broker that takes nothing and says nothing for so long is given up: a healthy connection has a ping in half of it.
fn pace(setup: &BrokerSetup) -> Duration {
    setup.keep_alive * 2
}

/// What a broker says it can do (MQTT 5 3.2.2.3); one of 3.1.1 says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// It keeps messages for later subscribers.
    pub retain: bool,
    /// It takes messages with quality 1.
    pub receipts: bool,
    /// It takes filters with `+` and `#`.
    pub wildcards: bool,
    /// Largest packet it takes, bytes.
    pub largest: Option<u32>,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            retain: true,
            receipts: true,
            wildcards: true,
            largest: None,
        }
    }
}

enum Handle {
    V4(v4::Client),
    V5(v5::Client),
}

/// One open connection. Dropping it cuts the connection, upon which the broker publishes the will.
pub struct Link {
    handle: Handle,
    version: MqttVersion,
    offer: Offer,
    inbox: mpsc::Receiver<Result<Incoming, LinkError>>,
    pump: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl Link {
    /// Which version was agreed on.
    #[must_use]
    pub fn version(&self) -> MqttVersion {
        self.version
    }

    /// What the broker can do.
    #[must_use]
    pub fn offer(&self) -> Offer {
        self.offer
    }

    /// Sends a message, without waiting.
    ///
    /// # Errors
    /// [`LinkError::Full`]: no room at present. [`LinkError::Closed`]: the connection is lost. [`LinkError::Rejected`]:
    /// no broker will take it.
    pub fn publish(&self, message: &Message) -> Result<Receipt, LinkError> {
        if message.payload.len() > LARGEST {
            return Err(LinkError::Rejected {
                topic: message.topic.to_string(),
                reason: format!("{} bytes are more than {LARGEST}", message.payload.len()),
            });
        }
        let topic = Arc::clone(&message.topic);
        match &self.handle {
            Handle::V4(client) => client
                .publish(message)
                .map(|notice| Receipt(topic, Notice::V4(notice))),
            Handle::V5(client) => client
                .publish(message)
                .map(|notice| Receipt(topic, Notice::V5(notice))),
        }
    }

    /// Subscribes with quality 1. It is asked for at once; the future is what the broker says to it, and needs no link.
    ///
    /// # Errors
    /// [`LinkError::NotSubscribed`]: the broker refuses, or says nothing. Else as [`Link::publish`].
    pub fn subscribe(&self, filter: &str) -> BoxFuture<'static, Result<(), LinkError>> {
        let answer = match &self.handle {
            Handle::V4(client) => client.subscribe(filter).boxed(),
            Handle::V5(client) => client.subscribe(filter).boxed(),
        };
        let filter = filter.to_owned();
        async move {
            timeout(PATIENCE, answer).await.unwrap_or_else(|_| {
                Err(LinkError::NotSubscribed {
                    filter,
                    reason: "no answer".to_owned(),
                })
            })
        }
        .boxed()
    }

    /// The next message from the broker. May be dropped at any time without losing one.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn next(&mut self) -> Result<Incoming, LinkError> {
        self.inbox.recv().await.unwrap_or_else(|| Err(ended()))
    }

    /// Waits for what is on the way, says farewell and closes, all within a time.
    pub async fn close(mut self, farewell: Farewell, within: Duration) {
        let asked = match &self.handle {
            Handle::V4(client) => client.disconnect(),
            Handle::V5(client) => client.disconnect(farewell),
        };
        if asked {
            // The inbox ends with the connection; what still comes in is no longer for us.
            let _ = timeout(within, async { while self.inbox.recv().await.is_some() {} }).await;
        }
    }
}

enum Notice {
    V4(v4::Notice),
    V5(v5::Notice),
}

/// Becomes what happened to a message.
#[must_use = "a message counts as delivered only when its receipt says so"]
pub struct Receipt(Arc<str>, Notice);

impl Receipt {
    /// Waits until the broker has it (quality 1) or until it was written (0).
    ///
    /// # Errors
    /// [`LinkError::Rejected`]: the broker does not want it, and will not later. [`LinkError::Closed`]: the connection was
    /// lost before.
    pub async fn done(self) -> Result<(), LinkError> {
        match self.1 {
            Notice::V4(notice) => v4::done(notice).await,
            Notice::V5(notice) => v5::done(notice, &self.0).await,
        }
    }
}
