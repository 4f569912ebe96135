//! Ports and endpoints that cannot be opened.

use super::{Cause, Finding, ranked};
use crate::commission::medium::Target;
use crate::commission::ports::{Roots, holders, list};
use std::io;
use std::path::Path;

/// Why a port could not be opened.
#[must_use]
pub fn unopened(target: &Target, error: &io::Error, roots: &Roots) -> Vec<Finding> {
    match target {
        Target::Serial { path } => ranked(serial(path, error, roots)),
        Target::Tcp { host, port } => vec![endpoint(host, *port, error)],
    }
}

/// Why a port or connection that could be opened broke while it was used.
#[must_use]
pub fn broken(target: &Target, error: &io::Error, roots: &Roots) -> Vec<Finding> {
    match target {
        Target::Serial { path } if !path.exists() => unopened(target, error, roots),
        Target::Serial { path } => vec![Finding::new(
            Cause::ConnectionBroken,
            90,
            format!(
                "{} was open and failed while it was used: {error}",
                path.display()
            ),
            "pull the adapter and plug it in again, without a hub in between; `dmesg` tells what the kernel saw",
        )],
        Target::Tcp { .. } => vec![broke(error)],
    }
}

/// A connection that stood and broke.
pub(super) fn broke(error: &io::Error) -> Finding {
    Finding::new(
        Cause::ConnectionBroken,
        90,
        format!("the connection stood, and broke when something was asked: {error}"),
        "many devices serve one client and drop all others: end the other one; else check the power and the network cable of the device",
    )
}

fn endpoint(host: &str, port: u16, error: &io::Error) -> Finding {
    let next = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "switch Modbus TCP on in the device's own menu; many allow one client only: end the other one"
        }
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "check address, cable and firewall; ping it from this machine"
        }
        _ => "check the name or address",
    };
    Finding::new(Cause::Unreachable, 95, format!("{host}:{port}: {error}"), next)
}

fn serial(path: &Path, error: &io::Error, roots: &Roots) -> Vec<Finding> {
    let shown = path.display();
    let mut findings = Vec::new();
    if error.kind() == io::ErrorKind::NotFound || !path.exists() {
        findings.extend(missing(path, roots));
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        findings.push(Finding::new(
            Cause::NoPermission,
            95,
            format!("{shown}: {error}"),
            "add the user to the group of the device (usually `dialout`) and log in again, or use sudo",
        ));
    } else {
        let held = holders(roots, path);
        let names: Vec<String> = held.iter().map(|(id, name)| format!("{name} ({id})")).collect();
        let busy = matches!(error.kind(), io::ErrorKind::ResourceBusy) || !held.is_empty();
        let who = if names.is_empty() {
            "another program".to_owned()
        } else {
            names.join(", ")
        };
        findings.push(Finding::new(
            Cause::PortHeld,
            if busy { 95 } else { 50 },
            format!("{shown}: {error}; held by {who}"),
            "end that program (for the gateway itself: `systemctl stop retrovolt`) and try again",
        ));
    }
    findings
}

/// A port that is not there: pulled out, or back under another name.
fn missing(path: &Path, roots: &Roots) -> Vec<Finding> {
    let shown = path.display();
    let others = list(roots);
    let adapters: Vec<String> = others
        .iter()
        .filter(|port| port.usb.is_some())
        .map(|port| port.best_name().display().to_string())
        .collect();
    let numbered = path
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with("ttyUSB") || name.starts_with("ttyACM"));
    let unplugged = |weight| {
        Finding::new(
            Cause::Unplugged,
            weight,
            format!("{shown} is not there"),
            "plug the adapter in; `retrovolt ports` lists what is there",
        )
    };
    if adapters.is_empty() {
        return vec![unplugged(95)];
    }
    // A number is given away anew at every start; a name by adapter only changes with the adapter.
    let weight = if numbered { 90 } else { 60 };
    let renumbered = Finding::new(
        Cause::Renumbered,
        weight,
        format!("{shown} is not there, but {} is", adapters.join(", ")),
        "write the stable name (/dev/serial/by-id/...) into the configuration",
    );
    vec![renumbered, unplugged(if numbered { 60 } else { 80 })]
}
