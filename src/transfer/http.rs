//! HTTP and HTTPS: an upload is a PUT, or, where the server knows none, a POST of the same bytes.

use super::flow::{Guarded, Sink, Stop};
use super::{CONNECT, SILENCE, Target, Trust, quoted};
use crate::domain::TransferError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::ring;
use std::sync::Arc;
use ureq::http::{Request, Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, SendBody};

pub(super) fn upload(
    target: &Target,
    source: Guarded,
    length: u64,
    trust: &Trust,
) -> Result<(), TransferError> {
    let agent = agent(trust);
    let again = source.again()?;
    let answer = send(&agent, target, "PUT", source, length)?;
    let unknown = [StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED];
    if unknown.contains(&answer.status()) {
        return verdict(send(&agent, target, "POST", again.read()?, length)?.status());
    }
    verdict(answer.status())
}

pub(super) fn download(
    target: &Target,
    sink: &mut Sink,
    trust: &Trust,
    stop: &Stop,
) -> Result<(), TransferError> {
    let request = request(target, "GET")
        .body(SendBody::none())
        .map_err(|error| TransferError::Location(error.to_string()))?;
    let answer = agent(trust).run(request).map_err(|error| failed(&error))?;
    verdict(answer.status())?;
    let length = answer.headers().get("content-length");
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = length {
        sink.expect(length)?;
    }
    let mut body = answer.into_body().into_reader();
    let count = sink.take(&mut body, stop)?;
    match length {
        Some(length) if length != count => {
            Err(TransferError::Broken(format!("{count} bytes came of {length}")))
        }
        _ => Ok(()),
    }
}

fn send(
    agent: &Agent,
    target: &Target,
    method: &str,
    source: Guarded,
    length: u64,
) -> Result<Response<Body>, TransferError> {
    let request = request(target, method)
        .header("content-type", "text/plain; charset=utf-8")
        .header("content-length", length.to_string())
        .body(SendBody::from_owned_reader(source))
        .map_err(|error| TransferError::Location(error.to_string()))?;
    agent.run(request).map_err(|error| failed(&error))
}

fn request(target: &Target, method: &str) -> ureq::http::request::Builder {
    let request = Request::builder().method(method).uri(target.url.as_str());
    match &target.login {
        Some((name, password)) => {
            let login = STANDARD.encode(format!("{name}:{password}"));
            request.header("authorization", format!("Basic {login}"))
        }
        None => request,
    }
}

fn agent(trust: &Trust) -> Agent {
    let roots: Vec<Certificate<'static>> = trust
        .roots
        .iter()
        .map(|root| Certificate::from_der(root).to_owned())
        .collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .user_agent(concat!("retrovolt/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(SILENCE))
        .timeout_per_write(Some(SILENCE))
        .max_idle_connections(0)
        .build()
        .new_agent()
}

/// RFC 9110 section 15.
fn verdict(status: StatusCode) -> Result<(), TransferError> {
    let words = status.to_string();
    match status.as_u16() {
        200..=299 => Ok(()),
        401 | 403 | 407 => Err(TransferError::Denied(words)),
        404 | 410 => Err(TransferError::Missing(words)),
        405 | 411 | 413 | 415 | 501 | 505 => Err(TransferError::Unsupported(words)),
        408 | 425 | 429 | 500 | 502..=504 | 507 => Err(TransferError::Broken(words)),
        _ => Err(TransferError::Protocol(words)),
    }
}

fn failed(error: &ureq::Error) -> TransferError {
    let words = quoted(&error.to_string());
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => TransferError::Location(words),
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Tls(_)
        | ureq::Error::Rustls(_)
        | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
            TransferError::Unreachable(words)
        }
        ureq::Error::Protocol(_) | ureq::Error::RedirectFailed | ureq::Error::TooManyRedirects => {
            TransferError::Protocol(words)
        }
        _ => TransferError::Broken(words),
    }
}
