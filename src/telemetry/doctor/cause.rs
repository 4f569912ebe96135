//! The causes, and what an error of the connection comes to.

use super::super::client::{Flaw, LinkError, Stage};
use serde::Serialize;

/// A cause the doctor knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The name has no address.
    NameUnknown,
    /// The name server does not answer.
    DnsSilent,
    /// Nobody listens on the port.
    Refused,
    /// There is no way to the host.
    Unreachable,
    /// Packets to the port vanish.
    TcpSilent,
    /// Our own certificate, key or authority file cannot be used.
    OwnFiles,
    /// The port does not speak a TLS that is allowed here.
    NotTls,
    /// The TLS handshake hangs.
    TlsSilent,
    /// The certificate is of an authority that is not trusted here.
    TlsChain,
    /// The certificate is for another name.
    TlsName,
    /// The certificate has expired.
    TlsExpired,
    /// The clock of this machine is wrong.
    Clock,
    /// The broker wants another client certificate, or one at all.
    ClientCertificate,
    /// What answers is no broker, or wants TLS.
    NotMqtt,
    /// The broker does not answer.
    SilentBroker,
    /// The broker does not speak the version that is configured.
    Version,
    /// User or password.
    Login,
    /// The broker does not take the client id.
    ClientId,
    /// The broker does not let anybody in at present.
    ConnectRefused,
    /// Another client uses the same client id.
    ClientIdTaken,
    /// The broker closed the connection.
    Dropped,
    /// The broker keeps no messages.
    NoRetain,
    /// The broker takes quality 0 only.
    NoReceipts,
    /// The broker takes no filters with `+`.
    NoWildcards,
    /// The broker takes small packets only.
    SmallPackets,
    /// Not allowed to subscribe.
    SubscribeDenied,
    /// Not allowed to publish.
    PublishDenied,
    /// Published, and not allowed to read it.
    ReadDenied,
    /// Not allowed to publish or to read; 3.1.1 does not tell which.
    NotDelivered,
    /// What was published for the check could not be taken away.
    LeftOver,
    /// Not allowed to announce devices to Home Assistant.
    AnnounceDenied,
    /// No Home Assistant has shown itself.
    NoHomeAssistant,
    /// Home Assistant says that it is offline.
    HomeAssistantOffline,
    /// The primary host has never shown itself.
    NoPrimaryHost,
    /// The primary host says that it is offline.
    PrimaryHostOffline,
    /// The running gateway is not connected.
    GatewayOffline,
    /// The running gateway cannot be asked.
    GatewayUnknown,
}

/// The check an error belongs to, and its cause.
pub(super) fn placed(error: &LinkError) -> (&'static str, Cause) {
    match error {
        LinkError::UnknownName { .. } => ("dns", Cause::NameUnknown),
        LinkError::Nobody { .. } => ("tcp", Cause::Refused),
        LinkError::Unreachable { .. } => ("tcp", Cause::Unreachable),
        LinkError::Late { stage, .. } => match stage {
            Stage::Name => ("dns", Cause::DnsSilent),
            Stage::Tcp => ("tcp", Cause::TcpSilent),
            Stage::Tls => ("tls", Cause::TlsSilent),
        },
        LinkError::OwnFiles { .. } => ("tls", Cause::OwnFiles),
        LinkError::Certificate { flaw, .. } => match flaw {
            Flaw::Authority => ("tls", Cause::TlsChain),
            Flaw::Name => ("tls", Cause::TlsName),
            Flaw::Expired => ("tls", Cause::TlsExpired),
            Flaw::NotYet => ("tls", Cause::Clock),
        },
        LinkError::OurCertificate { .. } => ("tls", Cause::ClientCertificate),
        LinkError::Tls { .. } => ("tls", Cause::NotTls),
        LinkError::NotSpoken { .. } => ("connect", Cause::NotMqtt),
        LinkError::Silent { .. } => ("connect", Cause::SilentBroker),
        LinkError::Version { .. } => ("connect", Cause::Version),
        LinkError::NotAuthorised { .. } => ("connect", Cause::Login),
        LinkError::ClientId { .. } => ("connect", Cause::ClientId),
        LinkError::Refused { .. } => ("connect", Cause::ConnectRefused),
        LinkError::TakenOver { .. } => ("connect", Cause::ClientIdTaken),
        LinkError::Closed { .. } | LinkError::Full => ("connect", Cause::Dropped),
        LinkError::Rejected { .. } => ("publish", Cause::PublishDenied),
        LinkError::NotSubscribed { .. } => ("subscribe", Cause::SubscribeDenied),
    }
}
