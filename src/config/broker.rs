//! A broker: where it is, and how we present ourselves to it. The same keys wherever one is declared.

use super::context::Context;
use super::secret;
use super::setting::Given;
use crate::domain::{BrokerSetup, MqttVersion, Secret};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// The settings of one broker, from whatever table they are in.
pub(super) struct Keys<'k> {
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

/// A broker as meant; `client_id`: ours, unless another one is configured. `None`: something is wrong, and told.
pub(super) fn read(keys: &Keys<'_>, client_id: &str, context: &mut Context<'_>) -> Option<BrokerSetup> {
    let (host, port, tls) = address(keys.url, context)?;
    let password = password(keys, tls || is_near(&host), context)?;
    let identity = identity(keys, tls, context)?;
    if keys.ca_file.written && !tls {
        keys.ca_file.error(
            &mut context.found,
            "has no effect with mqtt://",
            "it with mqtts://",
            "write mqtts://, or remove ca_file",
        );
        return None;
    }
    let ca_file = match keys.ca_file.written {
        true => Some(secret::pem_file(keys.ca_file, "CERTIFICATE", context)?),
        false => None,
    };
    Some(BrokerSetup {
        host,
        port,
        tls,
        client_id: keys
            .client_id
            .value
            .clone()
            .unwrap_or_else(|| client_id.to_owned()),
        user: keys.user.value.clone(),
        password,
        ca_file,
        identity,
        version: MqttVersion::of(keys.protocol.value.as_deref()?)?,
        keep_alive: keys.keep_alive.value?,
    })
}

fn is_near(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Host, port, and whether by TLS.
fn address(given: &Given<String>, context: &mut Context<'_>) -> Option<(String, u16, bool)> {
    let url = Url::parse(given.value.as_deref()?);
    let tls = url.as_ref().is_ok_and(|url| url.scheme() == "mqtts");
    let problem = match &url {
        Err(_) => Some("is not a URL"),
        Ok(url) if !tls && url.scheme() != "mqtt" => Some("begins with neither mqtt:// nor mqtts://"),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Some("holds a user or a password, which have settings of their own")
        }
        Ok(url) if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() => {
            Some("has something behind the port")
        }
        Ok(url) if url.host_str().is_none_or(str::is_empty) => Some("names no host"),
        Ok(_) => None,
    };
    if let Some(problem) = problem {
        given.error(
            &mut context.found,
            problem,
            "mqtt://HOST:PORT or mqtts://HOST:PORT",
            "write \"mqtts://broker.example.com:8883\"",
        );
        return None;
    }
    let url = url.ok()?;
    let host = url
        .host_str()?
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    Some((host, url.port().unwrap_or(if tls { 8883 } else { 1883 }), tls))
}

#[expect(
    clippy::option_option,
    reason = "the outer one is whether it can be used at all"
)]
fn password(keys: &Keys<'_>, safe: bool, context: &mut Context<'_>) -> Option<Option<Secret>> {
    let password = secret::optional(
        keys.password,
        keys.password_file,
        keys.password_credential,
        context,
    )?;
    if password.is_some() && !keys.user.written {
        keys.user.error(
            &mut context.found,
            "is missing",
            "the account that the password is for",
            "add user = \"retrovolt\"",
        );
        return None;
    }
    if password.is_some() && !safe {
        keys.url.warning(
            &mut context.found,
            "the password goes over the network in the open",
            "mqtts:// with a broker that is not on this machine",
            "write mqtts://, on the broker's TLS port",
        );
    }
    Some(password.map(Secret::new))
}

#[expect(
    clippy::option_option,
    reason = "the outer one is whether it can be used at all"
)]
fn identity(keys: &Keys<'_>, tls: bool, context: &mut Context<'_>) -> Option<Option<(PathBuf, PathBuf)>> {
    let (certificate, key) = (keys.certificate_file, keys.key_file);
    let (given, missing) = match (certificate.written, key.written) {
        (false, false) => return Some(None),
        (true, true) if tls => {
            let certificate = secret::pem_file(certificate, "CERTIFICATE", context);
            let key = secret::pem_file(key, "PRIVATE KEY", context);
            return Some(Some((certificate?, key?)));
        }
        (true, true) => {
            certificate.error(
                &mut context.found,
                "cannot be shown without TLS",
                "a URL that begins with mqtts://",
                "write mqtts://, or remove certificate_file and key_file",
            );
            return None;
        }
        (true, false) => (certificate, "key_file"),
        (false, true) => (key, "certificate_file"),
    };
    given.error(
        &mut context.found,
        format!("is there without {missing}"),
        "both, or neither",
        format!("add {missing} = \"/etc/retrovolt/secrets/mqtt...\""),
    );
    None
}
