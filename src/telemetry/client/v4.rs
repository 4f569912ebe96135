//! MQTT 3.1.1 through the library.

use super::error::{Failure, LinkError};
use super::pump::{Library, Turn, closed, ended, malformed, quality};
use super::socket::Socket;
use super::{Incoming, LARGEST, Message, WINDOW};
use crate::domain::BrokerSetup;
use rumqttc4::{
    AsyncClient, ClientError, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions,
    NetworkOptions, Packet, PublishNotice, PublishOptions, QoS, StateError, SubscribeReasonCode,
};
use std::io;
use std::sync::{Arc, Mutex};
use tokio::time::Instant;

pub(super) type Notice = PublishNotice;

pub(super) struct Client(AsyncClient);

pub(super) struct Loop(EventLoop);

/// The library waits as long for the answer to CONNECT.
const LIBRARY_WAIT_S: u64 = 5;

/// Sends CONNECT over an open socket and waits for the answer.
pub(super) async fn connect(
    setup: &BrokerSetup,
    will: Option<&Message>,
    socket: Socket,
) -> Result<(Client, Loop), Failure> {
    let mut options = MqttOptions::new(setup.client_id.clone(), (setup.host.clone(), setup.port));
    options
        .set_keep_alive(u16::try_from(setup.keep_alive.as_secs()).unwrap_or(u16::MAX))
        .set_clean_session(true)
        .set_inflight(WINDOW)
        .set_max_packet_size(LARGEST, LARGEST * 2);
    match (&setup.user, &setup.password) {
        (Some(user), Some(password)) => {
            options.set_credentials(user.clone(), password.bytes().to_vec());
        }
        (Some(user), None) => {
            options.set_username(user.clone());
        }
        (None, _) => {}
    }
    if let Some(will) = will {
        options.set_last_will(LastWill::new(
            &*will.topic,
            will.payload.to_vec(),
            quality(will.qos),
            will.retain,
        ));
    }
    // One connection only: the second time there is no socket.
    let socket = Arc::new(Mutex::new(Some(socket)));
    options.set_socket_connector(move |_, _| {
        let socket = socket.lock().ok().and_then(|mut kept| kept.take());
        std::future::ready(socket.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)))
    });
    let (client, mut events) = AsyncClient::builder(options)
        .capacity(usize::from(WINDOW))
        .build();
    // Whether a slow broker still takes anything is for the pump to judge, not after five seconds.
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(super::pace(setup).as_secs());
    events.set_network_options(network);
    match events.poll().await {
        Ok(_) => Ok((Client(client), Loop(events))),
        Err(error) => Err(failure(error)),
    }
}

fn failure(error: ConnectionError) -> Failure {
    use ConnectReturnCode as C;
    match error {
        ConnectionError::ConnectionRefused(C::RefusedProtocolVersion) => Failure::Version,
        ConnectionError::ConnectionRefused(C::BadUserNamePassword) => {
            Failure::Login("bad user name or password".to_owned())
        }
        ConnectionError::ConnectionRefused(C::NotAuthorized) => Failure::Login("not authorised".to_owned()),
        ConnectionError::ConnectionRefused(C::BadClientId) => {
            Failure::ClientId("identifier rejected".to_owned())
        }
        ConnectionError::NetworkTimeout => Failure::Silent(LIBRARY_WAIT_S),
        ConnectionError::ConnectionRefused(code) => Failure::Refused(format!("{code:?}")),
        ConnectionError::Io(error)
        | ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(rumqttc4::mqttbytes::Error::Io(error)),
        ) => Failure::Closed(error),
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            Failure::Closed(io::Error::from(io::ErrorKind::ConnectionAborted))
        }
        other => Failure::Refused(other.to_string()),
    }
}

impl Library for Loop {
    async fn turn(&mut self) -> Turn {
        match self.0.poll().await {
            Ok(Event::Incoming(Packet::Publish(publish))) => Turn::Heard(Incoming {
                topic: String::from_utf8_lossy(publish.topic.as_ref()).into_owned(),
                payload: publish.payload,
                retained: publish.retain,
                arrived: Instant::now(),
                expires_in: None,
            }),
            Ok(_) => Turn::Nothing,
            Err(ConnectionError::RequestsDone) => Turn::Closed,
            Err(error) => Turn::Lost(closed(&error)),
        }
    }
}

fn refused(error: &ClientError, topic: &str) -> LinkError {
    match error {
        ClientError::RequestChannelFull(_) => LinkError::Full,
        ClientError::InvalidRequest(_) => malformed(topic),
        _ => ended(),
    }
}

impl Client {
    pub(super) fn publish(&self, message: &Message) -> Result<Notice, LinkError> {
        let options = PublishOptions::new(quality(message.qos)).retain(message.retain);
        self.0
            .try_publish_tracked(&*message.topic, message.payload.clone(), options)
            .map_err(|error| refused(&error, &message.topic))
    }

    /// Asks at once; the future is the answer.
    pub(super) fn subscribe(
        &self,
        filter: &str,
    ) -> impl Future<Output = Result<(), LinkError>> + Send + use<> {
        let asked = self
            .0
            .try_subscribe_tracked(filter, QoS::AtLeastOnce)
            .map_err(|error| refused(&error, filter));
        let filter = filter.to_owned();
        async move {
            let answer = asked?.wait_async().await.map_err(|error| closed(&error))?;
            match answer.return_codes.first() {
                Some(SubscribeReasonCode::Success(_)) => Ok(()),
                _ => Err(LinkError::NotSubscribed {
                    filter,
                    reason: "refused".to_owned(),
                }),
            }
        }
    }

    pub(super) fn disconnect(&self) -> bool {
        self.0.try_disconnect().is_ok()
    }
}

pub(super) async fn done(notice: Notice) -> Result<(), LinkError> {
    notice
        .wait_completion_async()
        .await
        .map_err(|error| closed(&error))
}
