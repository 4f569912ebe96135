//! Turns the loop of the library, whichever version, and hands on what it brings.

use super::{Incoming, LinkError, Qos};
use rumqttc5::QoS;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What a turn of the loop has brought.
pub(super) enum Turn {
    Heard(Incoming),
    /// Nothing for us.
    Nothing,
    /// The connection is lost.
    Lost(LinkError),
    /// It was closed by us.
    Closed,
}

/// The loop of one version of the library.
pub(super) trait Library: Send + 'static {
    fn turn(&mut self) -> impl Future<Output = Turn> + Send;
}

/// Turns it until the connection ends; the last thing told is why.
pub(super) async fn pump(
    mut library: impl Library,
    to: mpsc::Sender<Result<Incoming, LinkError>>,
    pace: Duration,
) {
    loop {
        // A healthy connection has a ping at least every half of this.
        let told = match timeout(pace, library.turn()).await {
            Ok(Turn::Heard(incoming)) => Ok(incoming),
            Ok(Turn::Nothing) => continue,
            Ok(Turn::Lost(error)) => Err(error),
            Ok(Turn::Closed) => return,
            Err(_) => Err(closed(&format_args!(
                "it has taken nothing for {} s",
                pace.as_secs()
            ))),
        };
        let last = told.is_err();
        if to.send(told).await.is_err() || last {
            return;
        }
    }
}

/// Both versions have the same quality of service.
pub(super) fn quality(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    }
}

pub(super) fn closed(reason: &(impl ToString + ?Sized)) -> LinkError {
    LinkError::Closed {
        reason: reason.to_string(),
    }
}

pub(super) fn ended() -> LinkError {
    closed("the connection has ended")
}

pub(super) fn malformed(topic: &str) -> LinkError {
    LinkError::Rejected {
        topic: topic.to_owned(),
        reason: "it is not well-formed".to_owned(),
    }
}
