//! Where metrics are served.

use super::context::{self, Context};
use super::keys::MetricsKeys;
use super::setting::Section;
use crate::domain::Listen;
use std::net::SocketAddr;
use std::path::Path;

/// What is expected.
const WANTED: &str = "unix:/path/of/a/socket, or an address with a port such as 127.0.0.1:9469";

/// Reads the table; `None` where it is not there, or something in it is wrong.
pub(super) fn read(root: &Section<'_>, context: &mut Context<'_>) -> Option<Listen> {
    let sections = root.tables(MetricsKeys::TABLE, &mut context.found);
    let keys = MetricsKeys::read(sections.first()?, &mut context.found);
    let text = keys.listen.value.as_deref()?;
    let listen = match text.strip_prefix("unix:") {
        Some(path) => socket(&keys, path, context)?,
        None => address(&keys, text, context)?,
    };
    let remote = matches!(&listen, Listen::Tcp(address) if !address.ip().is_loopback());
    if remote && keys.accept_remote.value == Some(false) {
        keys.listen.error(
            &mut context.found,
            format!("{text} can be reached from other machines, without a password and in the clear"),
            "an address of this machine alone, such as 127.0.0.1:9469, or your consent",
            "write 127.0.0.1, or add accept_remote = true",
        );
        return None;
    }
    if !remote && keys.accept_remote.value == Some(true) {
        keys.accept_remote.warning(
            &mut context.found,
            format!("has no effect with listen = \"{text}\""),
            "it with an address that other machines reach",
            "remove it",
        );
    }
    Some(listen)
}

fn socket(keys: &MetricsKeys, path: &str, context: &mut Context<'_>) -> Option<Listen> {
    let named = !path.is_empty() && !path.ends_with('/');
    let path = context::beside(Path::new(path), keys.listen.at, context.sources);
    let length = path.as_os_str().len();
    let trouble = if !named {
        Some(("names no file".to_owned(), WANTED.to_owned()))
    } else if length > super::LONGEST_SOCKET_PATH {
        let most = super::LONGEST_SOCKET_PATH;
        let problem = format!("{length} characters are too many for a Unix socket");
        Some((problem, format!("a path of at most {most} characters")))
    } else {
        None
    };
    if let Some((problem, expected)) = trouble {
        let next = "write listen = \"unix:/run/retrovolt/metrics.sock\"";
        keys.listen.error(&mut context.found, problem, expected, next);
        return None;
    }
    Some(Listen::Unix(path))
}

fn address(keys: &MetricsKeys, text: &str, context: &mut Context<'_>) -> Option<Listen> {
    if let Ok(address) = text.parse::<SocketAddr>()
        && address.port() != 0
    {
        return Some(Listen::Tcp(address));
    }
    let next = if text.parse::<std::net::IpAddr>().is_ok() {
        format!("did you mean '{text}:9469'")
    } else if Path::new(text).is_absolute() {
        format!("did you mean 'unix:{text}'")
    } else if let Some(port) = text.strip_prefix(':').or_else(|| text.strip_prefix("localhost:")) {
        format!("did you mean '127.0.0.1:{port}'")
    } else {
        "write listen = \"127.0.0.1:9469\"".to_owned()
    };
    let problem = format!("'{text}' is no address with a port, and no socket");
    keys.listen.error(&mut context.found, problem, WANTED, next);
    None
}
