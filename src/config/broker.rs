//! A broker: where it is, and how we present ourselves to it. The same keys wherever one is declared.

use super::context::Context;
use super::issue::Told;
use super::secret;
use super::setting::Given;
use crate::domain::{BrokerSetup, MqttVersion, Secret};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// The settings of one broker, from whatever table they are in.
pub(super) struct Keys<'k> {
    /// The path of that table.
    pub section: &'static str,
    pub url: &'k Given<String>,
    pub user: &'k Given<String>,
    pub password: &'k Given<String>,
    pub password_file: &'k Given<PathBuf>,
    pub password_credential: &'k Given<String>,
    pub ca_file: &'k Given<PathBuf>,
    pub certificate_file: &'k Given<PathBuf>,
    pub key_file: &'k Given<PathBuf>,
    pub client_id: &'k Given<String>,
    pub protocol: &'k Given<String>,
    pub keep_alive: &'k Given<Duration>,
}

/// The settings of one broker, by reference, from a struct that has them all.
macro_rules! keys_of {
    ($section:literal, $from:expr) => {
        super::broker::Keys {
            section: $section,
            url: &$from.url,
            user: &$from.user,
            password: &$from.password,
            password_file: &$from.password_file,
            password_credential: &$from.password_credential,
            ca_file: &$from.ca_file,
            certificate_file: &$from.certificate_file,
            key_file: &$from.key_file,
            client_id: &$from.client_id,
            protocol: &$from.protocol,
            keep_alive: &$from.keep_alive,
        }
    };
}
pub(super) use keys_of;

/// A broker as meant; its client id is empty where none is configured. `None`: something is wrong, and told.
pub(super) fn read(keys: &Keys<'_>, context: &mut Context<'_>) -> Option<BrokerSetup> {
    let (host, port, tls) = address(keys.url, context)?;
    let places = secret::Places {
        section: keys.section,
        at: keys.user.at,
        plain: keys.password,
        file: keys.password_file,
        credential: keys.password_credential,
    };
    let password = if places.any() {
        if !keys.user.written {
            let told = Told::new(
                format!("{}.user", keys.section),
                "is missing",
                "the account that the password is for",
                "add user = \"retrovolt\"",
            );
            context.found.error(keys.url.at, told);
        }
        let (text, _) = secret::password_of(&places, context)?;
        if !tls && !is_near(&host) {
            keys.url.warning(
                &mut context.found,
                "the password goes over the network in the open",
                "mqtts:// with a broker that is not on this machine",
                "write mqtts://, on the broker's TLS port",
            );
        }
        Some(Secret::new(text.unwrap_or_default()))
    } else {
        None
    };
    let identity = identity(keys, tls, context)?;
    if keys.ca_file.written && !tls {
        keys.ca_file.warning(
            &mut context.found,
            "has no effect with mqtt://",
            "it with mqtts://",
            "remove it",
        );
    }
    let ca_file = match keys.ca_file.written {
        true => Some(secret::pem_file(keys.ca_file, "CERTIFICATE", context)?),
        false => None,
    };
    Some(BrokerSetup {
        host,
        port,
        tls,
        client_id: keys.client_id.value.clone().unwrap_or_default(),
        user: keys.user.value.clone(),
        password,
        ca_file,
        identity,
        version: MqttVersion::of(keys.protocol.value.as_deref()?)?,
        keep_alive: keys.keep_alive.value?,
    })
}

fn is_near(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn address(given: &Given<String>, context: &mut Context<'_>) -> Option<(String, u16, bool)> {
    let text = given.value.as_deref()?;
    let wanted = "mqtt://HOST:PORT or mqtts://HOST:PORT";
    let mut refuse = |problem: &str, next: &str| {
        given.error(&mut context.found, problem, wanted, next);
        None
    };
    let Ok(url) = Url::parse(text) else {
        return refuse("is not a URL", "write \"mqtts://broker.example.com:8883\"");
    };
    let tls = match url.scheme() {
        "mqtt" => false,
        "mqtts" => true,
        _ => {
            return refuse(
                "begins with neither mqtt:// nor mqtts://",
                "write \"mqtts://broker.example.com:8883\"",
            );
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(
            "holds a user or a password",
            "write them to user and password_file",
        );
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return refuse(
            "has something behind the port",
            "remove it; the topic prefix is a setting of its own",
        );
    }
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return refuse("names no host", "write \"mqtts://broker.example.com:8883\"");
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some((host, url.port().unwrap_or(if tls { 8883 } else { 1883 }), tls))
}

fn identity(keys: &Keys<'_>, tls: bool, context: &mut Context<'_>) -> Option<Option<(PathBuf, PathBuf)>> {
    let (certificate, key) = (keys.certificate_file, keys.key_file);
    match (certificate.written, key.written) {
        (false, false) => return Some(None),
        (true, true) => {}
        (there, _) => {
            let (given, missing) = if there {
                (certificate, "key_file")
            } else {
                (key, "certificate_file")
            };
            given.error(
                &mut context.found,
                format!("is there without {missing}"),
                "both, or neither",
                format!("add {missing} = \"/etc/retrovolt/secrets/mqtt...\""),
            );
            return None;
        }
    }
    if !tls {
        certificate.error(
            &mut context.found,
            "cannot be shown without TLS",
            "a URL that begins with mqtts://",
            "write mqtts://, or remove certificate_file and key_file",
        );
        return None;
    }
    let certificate = secret::pem_file(certificate, "CERTIFICATE", context);
    let key = secret::pem_file(key, "PRIVATE KEY", context);
    Some(Some((certificate?, key?)))
}
