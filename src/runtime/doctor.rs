//! `retrovolt doctor --csms` and `--mqtt`: which CSMSs and brokers there are, what the running gateway says of them, and the
//! examination of each.

mod mqtt;

pub use mqtt::brokers;

use super::clock::SystemClock;
use super::control::running;
use crate::config::{self, LoadOptions};
use crate::domain::{CpId, CsmsSetup, OcppVersion, Security, TagRule};
use crate::uplink::doctor::{CONNECT_WAIT, Gateway, Report, Subject, examine};
use futures_util::future::join_all;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A CSMS that is not, or not yet, configured.
#[derive(Clone, Debug)]
pub struct Loose {
    /// Its URL; `{id}` becomes the identity.
    pub url: String,
    /// The identity; `None`: the last part of the URL's path.
    pub id: Option<String>,
    /// The version to offer.
    pub version: OcppVersion,
    /// File that holds the password, for HTTP Basic.
    pub password_file: Option<PathBuf>,
    /// Certificate and key, for security profile 3.
    pub client: Option<(PathBuf, PathBuf)>,
    /// PEM files trusted beside the system's own.
    pub trust_dir: Option<PathBuf>,
}

/// Why there is nothing to examine.
#[derive(Debug)]
pub enum Unfit {
    /// The configuration has mistakes.
    Configuration(config::Report),
    /// What was named on the command line cannot be used.
    Usage(String),
}

/// Examines every CSMS of the configuration, all at once.
///
/// # Errors
/// When the configuration cannot be used.
pub async fn configured(path: &Path, options: &LoadOptions) -> Result<Vec<Report>, Unfit> {
    let loaded = config::load(path, options).map_err(Unfit::Configuration)?;
    let status = running(&loaded.setup.socket).await;
    let mut subjects = Vec::new();
    for cp in &loaded.setup.charge_points {
        for csms in &cp.csms {
            let gateway = link(&status, &cp.id, &csms.name);
            let trust_dir = loaded.setup.trust_dir.clone();
            let mut of_link = subject(csms.clone(), cp.id.clone(), trust_dir, gateway);
            of_link.state_dir = Some(loaded.setup.state_dir.clone());
            subjects.push(of_link);
        }
    }
    Ok(join_all(subjects.into_iter().map(examine)).await)
}

/// Examines one that is named on the command line. If the configuration has the same URL, the running gateway is asked
/// about it.
///
/// # Errors
/// When it cannot be used as named.
pub async fn loose(loose: Loose, path: &Path, options: &LoadOptions) -> Result<Report, Unfit> {
    let (cp, csms) = setup(&loose)?;
    let mut gateway = Gateway::Absent;
    // Without a configuration there is no gateway that could have a link there.
    if let Ok(loaded) = config::load(path, options) {
        let links = loaded
            .setup
            .charge_points
            .iter()
            .flat_map(|cp| cp.csms.iter().map(move |c| (cp, c)));
        for (of, same) in links.filter(|(_, configured)| configured.url == csms.url) {
            gateway = link(&running(&loaded.setup.socket).await, &of.id, &same.name);
        }
    }
    Ok(examine(subject(csms, cp, loose.trust_dir, gateway)).await)
}

fn subject(csms: CsmsSetup, cp: CpId, trust_dir: Option<PathBuf>, gateway: Gateway) -> Subject {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Subject {
        csms,
        cp,
        trust_dir,
        state_dir: None,
        clock: Arc::new(SystemClock::for_a_tool()),
        machine_unix_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        gateway,
    }
}

fn link(status: &Result<Option<Value>, String>, cp: &CpId, csms: &str) -> Gateway {
    let status = match status {
        Ok(Some(status)) => status,
        Ok(None) => return Gateway::Absent,
        Err(why) => return Gateway::Unknown(why.clone()),
    };
    let points = status["charge_points"].as_array().into_iter().flatten();
    let mut links = points
        .filter(|point| point["id"] == cp.as_str())
        .flat_map(|point| point["links"].as_array().into_iter().flatten());
    let Some(link) = links.find(|link| link["csms"] == csms).map(|link| &link["link"]) else {
        return Gateway::Absent;
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Gateway::Link {
        connected: link["connected"] == Value::Bool(true),
        registration: text(&link["ocpp"]["registration"]).unwrap_or_else(|| "none".to_owned()),
        waiting_for: text(&link["ocpp"]["waiting_for"]),
        detail: text(&link["detail"]).unwrap_or_default(),
    }
}

fn setup(loose: &Loose) -> Result<(CpId, CsmsSetup), Unfit> {
    let usage = |words: &str| Unfit::Usage(words.to_owned());
    let authority = loose.url.split("://").nth(1).unwrap_or(&loose.url);
    if authority
        .split(['/', '?'])
        .next()
        .is_some_and(|a| a.contains('@'))
    {
        return Err(usage(
            "the URL carries a user or password; name a --password-file instead",
        ));
    }
    let whole = authority.split(['?', '#']).next().unwrap_or_default();
    let path = whole.split_once('/').map_or("", |(_, path)| path);
    let last = path.rsplit('/').find(|part| !part.is_empty());
    let id = match (&loose.id, last) {
        (Some(id), _) => id.clone(),
        (None, Some(last)) if !loose.url.contains("{id}") => last.to_owned(),
        (None, _) => return Err(usage("no identity: add --id, or end the URL with it")),
    };
    let security = match (&loose.password_file, &loose.client) {
        (Some(_), Some(_)) => return Err(usage("a password or a client certificate, not both")),
        (Some(file), None) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Unfit::Usage(format!("{}: {error}", file.display())))?;
            let password = text.trim_end_matches(['\r', '\n']).to_owned();
            Security::Basic { password }
        }
        (None, Some((certificate, key))) => Security::Client {
            certificate: certificate.clone(),
            key: key.clone(),
        },
        (None, None) => Security::None,
    };
    let csms = CsmsSetup {
        name: "named".to_owned(),
        url: loose.url.replace("{id}", &id),
        secure_url: None,
        version: loose.version,
        security,
        reconnect_min: CONNECT_WAIT,
        reconnect_max: CONNECT_WAIT,
        message_timeout: CONNECT_WAIT,
        connect_timeout: CONNECT_WAIT,
        ping: Duration::ZERO,
        boot_retry: CONNECT_WAIT,
        tags: TagRule::default(),
    };
    Ok((CpId::new(id), csms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(url: &str, id: Option<&str>) -> Result<(String, String), String> {
        let loose = Loose {
            url: url.to_owned(),
            id: id.map(str::to_owned),
            version: OcppVersion::V16,
            password_file: None,
            client: None,
            trust_dir: None,
        };
        match setup(&loose) {
            Ok((cp, csms)) => Ok((cp.to_string(), csms.url)),
            Err(Unfit::Usage(words)) => Err(words),
            Err(Unfit::Configuration(report)) => Err(report.to_string()),
        }
    }

    #[test]
    fn the_identity_is_in_the_url_or_beside_it() {
        let is = |id: &str, url: &str| Ok((id.to_owned(), url.to_owned()));
        assert_eq!(
            named("wss://h/ocpp/{id}/", Some("CP1")),
            is("CP1", "wss://h/ocpp/CP1/")
        );
        assert_eq!(named("wss://h/ocpp/CP2/", None), is("CP2", "wss://h/ocpp/CP2/"));
        assert_eq!(named("ws://h/CP3?a=b", None), is("CP3", "ws://h/CP3?a=b"));
        for (url, id) in [("wss://h/ocpp/{id}", None), ("wss://h", None), ("wss://h/", None)] {
            assert!(named(url, id).is_err_and(|words| words.contains("--id")), "{url}");
        }
        let told = named("wss://me:s3cret@h/CP1", None).expect_err("a password in a URL");
        assert!(
            told.contains("--password-file") && !told.contains("s3cret"),
            "{told}"
        );
    }

    #[test]
    fn the_gateways_own_link_is_found_by_charge_point_and_name() {
        let status = Ok(Some(json!({ "charge_points": [{ "id": "CP1", "links": [
            { "csms": "main", "link": { "connected": true, "detail": "d", "ocpp": { "registration": "pending", "waiting_for": "Heartbeat" } } },
            { "csms": "fleet", "link": { "connected": false, "detail": "why not", "ocpp": null } },
        ] }] })));
        let cp = CpId::new("CP1");
        assert_eq!(
            link(&status, &cp, "main"),
            Gateway::Link {
                connected: true,
                registration: "pending".to_owned(),
                waiting_for: Some("Heartbeat".to_owned()),
                detail: "d".to_owned(),
            }
        );
        assert!(matches!(
            link(&status, &cp, "fleet"),
            Gateway::Link { connected: false, .. }
        ));
        assert_eq!(link(&status, &cp, "other"), Gateway::Absent);
        assert_eq!(link(&status, &CpId::new("CP2"), "main"), Gateway::Absent);
        assert_eq!(link(&Ok(None), &cp, "main"), Gateway::Absent);
        assert_eq!(
            link(&Err("no".to_owned()), &cp, "main"),
            Gateway::Unknown("no".to_owned())
        );
    }
}
