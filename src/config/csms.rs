//! A back end: its URL, its security, its waits.

use super::context::Context;
use super::keys::CsmsKeys;
use super::nearest::did_you_mean;
use super::secret;
use super::setting::Section;
use super::tags;
use crate::domain::{CsmsSetup, OcppVersion, Security, TagRule};
use std::path::PathBuf;
use url::{Host, Url};

/// Shortest password that the OCPP 1.6 security whitepaper (A.01, 16 to 20 bytes) and 2.0.1 (A00) allow.
const SHORTEST_PASSWORD: usize = 16;

/// A back end as read.
pub(super) struct Csms {
    /// Its settings.
    pub keys: CsmsKeys,
    /// All of it, where nothing was wrong.
    pub setup: Option<CsmsSetup>,
}

impl Csms {
    /// The version, if it was readable.
    pub fn version(&self) -> Option<OcppVersion> {
        self.keys.version.value.as_deref().map(version)
    }
}

fn version(word: &str) -> OcppVersion {
    if word == "2.0.1" {
        OcppVersion::V201
    } else {
        OcppVersion::V16
    }
}

/// Reads a back end of the charge point `id`.
pub(super) fn read(section: &Section<'_>, id: Option<&str>, context: &mut Context<'_>) -> Csms {
    let keys = CsmsKeys::read(section, &mut context.found);
    let url = keys
        .url
        .value
        .clone()
        .and_then(|template| url(&keys, &template, id, context));
    waits(&keys, context);
    let security = security(&keys, url.as_ref().map(|(url, _)| url), context);
    let tags = tags::read(&keys, context);
    let secure_url = secure_url(&keys, id, context);
    let setup = setup(&keys, url.map(|(_, text)| text), secure_url, security, tags);
    Csms { keys, setup }
}

fn setup(
    keys: &CsmsKeys,
    url: Option<String>,
    secure_url: Option<String>,
    security: Option<Security>,
    tags: Option<TagRule>,
) -> Option<CsmsSetup> {
    Some(CsmsSetup {
        name: keys.name.value.clone()?,
        url: url?,
        secure_url,
        version: version(keys.version.value.as_deref()?),
        security: security?,
        reconnect_min: keys.reconnect_min.value?,
        reconnect_max: keys.reconnect_max.value?,
        message_timeout: keys.message_timeout.value?,
        connect_timeout: keys.connect_timeout.value?,
        ping: keys.ping.value?,
        boot_retry: keys.boot_retry.value?,
        tags: tags?,
    })
}

/// The URL for TLS, filled in.
fn secure_url(keys: &CsmsKeys, id: Option<&str>, context: &mut Context<'_>) -> Option<String> {
    let template = keys.secure_url.value.as_deref()?;
    let filled = template.replace("{id}", id.unwrap_or("id"));
    let usable = Url::parse(&filled).is_ok_and(|parsed| parsed.scheme() == "wss" && parsed.host().is_some());
    let credentials = filled.split('/').nth(2).is_some_and(|host| host.contains('@'));
    let plain = keys
        .url
        .value
        .as_deref()
        .is_none_or(|url| url.starts_with("ws://"));
    let (problem, next) = if !usable || filled.contains(char::is_whitespace) {
        ("is not a URL of TLS", "begin it with wss://")
    } else if credentials {
        ("carries a user or password", "take it out")
    } else if !plain {
        ("has no effect, because url uses TLS already", "remove it")
    } else {
        return Some(filled);
    };
    keys.secure_url.error(&mut context.found, problem, WANTED, next);
    None
}

/// What a URL is expected to be.
const WANTED: &str = "a WebSocket URL such as wss://csms.example.com/ocpp/{id}";

/// Checks the template and fills it in. The text is kept as written; the parsed form is only for checks.
fn url(
    keys: &CsmsKeys,
    template: &str,
    id: Option<&str>,
    context: &mut Context<'_>,
) -> Option<(Url, String)> {
    let filled = template.replace("{id}", id.unwrap_or("id"));
    let refusal = match slip(template, &filled, id) {
        Some(refusal) => refusal,
        None => match Url::parse(&filled) {
            Ok(parsed) if parsed.host().is_some() => return Some((parsed, filled)),
            Ok(_) => (
                "has no host".to_owned(),
                WANTED,
                "write the host after ://".to_owned(),
            ),
            Err(error) => (
                format!("is not a URL: {error}"),
                WANTED,
                "mend host and port".to_owned(),
            ),
        },
    };
    keys.url
        .error(&mut context.found, refusal.0, refusal.1, refusal.2);
    None
}

/// The usual slips in a URL: problem, expectation, next step.
fn slip(template: &str, filled: &str, id: Option<&str>) -> Option<(String, &'static str, String)> {
    let refuse = |problem: &str, expected, next: &str| Some((problem.to_owned(), expected, next.to_owned()));
    let (scheme, rest) = template.split_once("://").unwrap_or(("", template));
    if scheme != "ws" && scheme != "wss" {
        let begin = || "begin it with wss:// or ws://".to_owned();
        let next = match scheme {
            "https" | "WSS" => "did you mean 'wss://'".to_owned(),
            "http" | "WS" => "did you mean 'ws://'".to_owned(),
            "" => begin(),
            other => did_you_mean(other, ["ws", "wss"], begin),
        };
        return refuse("is not a WebSocket URL", WANTED, &next);
    }
    if template.contains(char::is_whitespace) {
        return refuse("contains a blank", WANTED, "remove it");
    }
    if rest.split('/').next().unwrap_or("").contains('@') {
        let next = "take it out and use security = \"basic\" with password_file";
        return refuse("carries a user or password", "a URL without credentials", next);
    }
    if template.contains('#') {
        return refuse(
            "contains a fragment (#)",
            WANTED,
            "remove everything from the # on",
        );
    }
    if let Some(open) = filled.find(['{', '}']) {
        let name: String = filled[open..]
            .chars()
            .take_while(|letter| *letter != '/')
            .collect();
        let problem = format!("{name} is not a placeholder");
        return refuse(&problem, "{id} as the only placeholder", "did you mean '{id}'");
    }
    let names_itself = id.is_some_and(|id| template.split('/').any(|segment| segment == id));
    if !template.contains("{id}") && !names_itself {
        let next = format!("did you mean '{}/{{id}}'", template.trim_end_matches('/'));
        return refuse(
            "does not say where the charge point's id belongs",
            "{id} in the URL",
            &next,
        );
    }
    None
}

fn waits(keys: &CsmsKeys, context: &mut Context<'_>) {
    if let (Some(min), Some(max)) = (keys.reconnect_min.value, keys.reconnect_max.value)
        && min > max
    {
        let at = if keys.reconnect_max.written {
            &keys.reconnect_max
        } else {
            &keys.reconnect_min
        };
        at.error(
            &mut context.found,
            format!("reconnect_min of {min:?} is longer than reconnect_max of {max:?}"),
            "reconnect_max at or above reconnect_min",
            format!("write reconnect_max = \"{}\"", super::quantity::duration(min)),
        );
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn security(keys: &CsmsKeys, url: Option<&Url>, context: &mut Context<'_>) -> Option<Security> {
    let mode = keys.security.value.as_deref()?;
    let secure = url.map(|url| url.scheme() == "wss");
    let far = url.is_some_and(|url| !is_loopback(url));
    unused(keys, mode, context);
    match mode {
        "basic" => {
            if secure == Some(false) && far {
                keys.security.warning(
                    &mut context.found,
                    "the password travels in the clear over ws://",
                    "wss:// outside a trusted network",
                    "did you mean 'wss://' in url",
                );
            }
            let (password, at) = secret::password(keys, context)?;
            if password
                .as_ref()
                .is_some_and(|word| word.len() < SHORTEST_PASSWORD)
            {
                let path = "charge_point.csms.password";
                let told = super::issue::Told::new(
                    path,
                    "is short",
                    format!("{SHORTEST_PASSWORD} characters or more, as OCPP asks"),
                    "choose a longer one with the back end",
                );
                context.found.warning(at, told);
            }
            let password = password.unwrap_or_default();
            Some(Security::Basic { password })
        }
        "client" => client(keys, secure, context),
        _ => {
            if keys.version.value.as_deref() == Some("2.0.1") && far && secure == Some(false) {
                keys.security.warning(
                    &mut context.found,
                    "OCPP 2.0.1 knows no connection without security",
                    "\"basic\" or \"client\"",
                    "did you mean 'basic', with wss:// and a password_file",
                );
            }
            Some(Security::None)
        }
    }
}

fn client(keys: &CsmsKeys, secure: Option<bool>, context: &mut Context<'_>) -> Option<Security> {
    if secure == Some(false) {
        keys.security.error(
            &mut context.found,
            "a client certificate needs TLS, but url begins with ws://",
            "a url that begins with wss://",
            "did you mean 'wss://'",
        );
        return None;
    }
    let certificate = secret::certificate(keys, context);
    let key: Option<PathBuf> = secret::key(keys, context);
    Some(Security::Client {
        certificate: certificate?,
        key: key?,
    })
}

/// Credentials that the chosen mode does not use: a slip that would otherwise be found by an attacker.
fn unused(keys: &CsmsKeys, mode: &str, context: &mut Context<'_>) {
    let basic = [
        (keys.password.written, keys.password.at, &keys.password.path),
        (
            keys.password_file.written,
            keys.password_file.at,
            &keys.password_file.path,
        ),
        (
            keys.password_credential.written,
            keys.password_credential.at,
            &keys.password_credential.path,
        ),
    ];
    let client = [
        (
            keys.certificate_file.written,
            keys.certificate_file.at,
            &keys.certificate_file.path,
        ),
        (keys.key_file.written, keys.key_file.at, &keys.key_file.path),
        (
            keys.key_credential.written,
            keys.key_credential.at,
            &keys.key_credential.path,
        ),
    ];
    let idle = basic
        .iter()
        .map(|mark| (mark, "basic"))
        .chain(client.iter().map(|mark| (mark, "client")))
        .filter(|((written, ..), wanted)| *written && *wanted != mode);
    for ((_, at, path), wanted) in idle {
        let told = super::issue::Told::new(
            path.as_str(),
            format!("has no effect with security = \"{mode}\""),
            format!("security = \"{wanted}\""),
            format!("did you mean security = \"{wanted}\""),
        );
        context.found.error(*at, told);
    }
}
