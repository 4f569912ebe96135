//! MQTT 5 through the library.

use super::error::{Failure, LinkError};
use super::pump::{Library, Turn, closed, ended, malformed, quality};
use super::socket::Socket;
use super::{Farewell, Incoming, LARGEST, Message, Offer, PATIENCE, WINDOW};
use crate::domain::BrokerSetup;
use rumqttc5::mqttbytes::v5::ConnAckProperties;
use rumqttc5::{
    AsyncClient, ClientError, ConnectProperties, ConnectReturnCode, ConnectionError, DisconnectProperties,
    DisconnectReasonCode, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Packet, PublishNotice,
    PublishNoticeError, PublishOptions, QoS, StateError, SubscribeReasonCode,
};

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

pub(super) type Notice = PublishNotice;

pub(super) struct Client {
    library: AsyncClient,
    /// Largest packet the broker takes; a larger one would end the connection.
    largest: Option<usize>,
}

pub(super) struct Loop {
    events: EventLoop,
    client_id: String,
}

/// Sends CONNECT over an open socket and waits for the answer.
pub(super) async fn connect(
    setup: &BrokerSetup,
    will: Option<&Message>,
    socket: Socket,
) -> Result<(Client, Offer, Loop), Failure> {
    let mut options = MqttOptions::new(setup.client_id.clone(), (setup.host.clone(), setup.port));
    options
        .set_keep_alive(u16::try_from(setup.keep_alive.as_secs()).unwrap_or(u16::MAX))
        .set_connect_timeout(PATIENCE)
        .set_clean_start(true)
        .set_connect_properties(ConnectProperties::new())
        .set_outgoing_inflight_upper_limit(WINDOW)
        .set_max_packet_size(u32::try_from(LARGEST).ok());
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
        let payload = will.payload.to_vec();
        options.set_last_will(LastWill::new(
            &*will.topic,
            payload,
            quality(will.qos),
            will.retain,
            None,
        ));
    }
    // Whether a slow broker still takes anything is for the pump to judge, not after five seconds.
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(super::pace(setup).as_secs());
    options.set_network_options(network);
    // One connection only: the second time there is no socket.
    let socket = Arc::new(Mutex::new(Some(socket)));
    options.set_socket_connector(move |_, _| {
        let socket = socket.lock().ok().and_then(|mut kept| kept.take());
        std::future::ready(socket.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)))
    });
    let (library, mut events) = AsyncClient::builder(options)
        .capacity(usize::from(WINDOW))
        .build();
    let answer = match events.poll().await {
        Ok(Event::Incoming(Packet::ConnAck(answer))) => answer.properties,
        Ok(_) => None,
        Err(error) => return Err(failure(error)),
    };
    // What is not said can be done.
    let said = |of: fn(&ConnAckProperties) -> Option<u8>| answer.as_ref().and_then(of) != Some(0);
    let offer = Offer {
        retain: said(|answer| answer.retain_available),
        receipts: said(|answer| answer.max_qos),
        wildcards: said(|answer| answer.wildcard_subscription_available),
        largest: answer.as_ref().and_then(|answer| answer.max_packet_size),
    };
    let largest = offer.largest.and_then(|bytes| usize::try_from(bytes).ok());
    let client_id = setup.client_id.clone();
    Ok((Client { library, largest }, offer, Loop { events, client_id }))
}

fn failure(error: ConnectionError) -> Failure {
    let code = match error {
        ConnectionError::Timeout(_) => return Failure::Silent(PATIENCE.as_secs()),
        ConnectionError::ConnectionRefused(code) => code,
        ConnectionError::MqttState(StateError::ConnFail { reason }) => reason,
        ConnectionError::Io(error)
        | ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(rumqttc5::mqttbytes::Error::Io(error)),
        ) => {
            return Failure::Closed(error);
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            return Failure::Closed(io::Error::from(io::ErrorKind::ConnectionAborted));
        }
        // What a broker of 3.1.1 answers is no well-formed packet of 5.
        ConnectionError::MqttState(StateError::Deserialization(_)) => return Failure::Version,
        other => return Failure::Refused(other.to_string()),
    };
    match code {
        ConnectReturnCode::RefusedProtocolVersion | ConnectReturnCode::UnsupportedProtocolVersion => {
            Failure::Version
        }
        ConnectReturnCode::BadUserNamePassword => Failure::Login("bad user name or password".to_owned()),
        ConnectReturnCode::NotAuthorized | ConnectReturnCode::Banned => {
            Failure::Login("not authorised".to_owned())
        }
        ConnectReturnCode::BadClientId | ConnectReturnCode::ClientIdentifierNotValid => {
            Failure::ClientId("identifier not valid".to_owned())
        }
        other => Failure::Refused(format!("{other:?}")),
    }
}

impl Library for Loop {
    async fn turn(&mut self) -> Turn {
        match self.events.poll().await {
            Ok(Event::Incoming(Packet::Publish(publish))) => Turn::Heard(Incoming {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload,
                retained: publish.retain,
                arrived: Instant::now(),
                expires_in: publish
                    .properties
                    .and_then(|properties| properties.message_expiry_interval)
                    .map(|seconds| Duration::from_secs(u64::from(seconds))),
            }),
            Ok(_) => Turn::Nothing,
            Err(ConnectionError::RequestsDone) => Turn::Closed,
            Err(ConnectionError::MqttState(StateError::ServerDisconnect {
                reason_code: DisconnectReasonCode::SessionTakenOver,
                ..
            })) => Turn::Lost(LinkError::TakenOver {
                client_id: self.client_id.clone(),
            }),
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

/// Bytes of a PUBLISH besides topic and payload, at most.
const HEAD: usize = 16;

impl Client {
    pub(super) fn publish(&self, message: &Message) -> Result<Notice, LinkError> {
        let size = message.payload.len() + message.topic.len() + HEAD;
        if self.largest.is_some_and(|largest| size > largest) {
            return Err(LinkError::Rejected {
                topic: message.topic.to_string(),
                reason: format!("it has {size} bytes, more than the broker takes"),
            });
        }
        let options = PublishOptions::new(quality(message.qos)).retain(message.retain);
        self.library
            .try_publish_tracked(&*message.topic, message.payload.clone(), options)
            .map_err(|error| refused(&error, &message.topic))
    }

    /// Asks at once; the future is the answer.
    pub(super) fn subscribe(
        &self,
        filter: &str,
    ) -> impl Future<Output = Result<(), LinkError>> + Send + use<> {
        let asked = self
            .library
            .try_subscribe_tracked(filter, QoS::AtLeastOnce)
            .map_err(|error| refused(&error, filter));
        let filter = filter.to_owned();
        async move {
            let answer = asked?.wait_async().await.map_err(|error| closed(&error))?;
            match answer.return_codes.first() {
                Some(SubscribeReasonCode::Success(_)) => Ok(()),
                other => Err(LinkError::NotSubscribed {
                    filter,
                    reason: format!("{other:?}"),
                }),
            }
        }
    }

    pub(super) fn disconnect(&self, farewell: Farewell) -> bool {
        match farewell {
            Farewell::Quiet => self.library.try_disconnect().is_ok(),
            Farewell::WithWill => self
                .library
                .try_disconnect_with_properties(
                    DisconnectReasonCode::DisconnectWithWillMessage,
                    DisconnectProperties {
                        session_expiry_interval: None,
                        reason_string: None,
                        user_properties: Vec::new(),
                        server_reference: None,
                    },
                )
                .is_ok(),
        }
    }
}

pub(super) async fn done(notice: Notice, topic: &str) -> Result<(), LinkError> {
    notice.wait_completion_async().await.map_err(|error| match error {
        PublishNoticeError::V5PubAck(reason) => LinkError::Rejected {
            topic: topic.to_owned(),
            reason: format!("{reason:?}"),
        },
        PublishNoticeError::RetainNotSupported => LinkError::Rejected {
            topic: topic.to_owned(),
            reason: "it does not keep messages".to_owned(),
        },
        other => closed(&other),
    })
}
