//! Who may read and write what the gateway needs.

use super::{Check, Gateway, Machine, Needs};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// Mode bits of everybody but owner and group.
const OTHERS: u32 = 0o007;
/// Mode bits of everybody but the owner.
const NOT_THE_OWNER: u32 = 0o077;

pub(super) fn checks(machine: &Machine<'_>, needs: &Needs) -> Vec<Check> {
    let mut checks = vec![state_dir(machine, &needs.state_dir), socket(machine, needs)];
    checks.extend(needs.secrets.iter().map(|file| secret(machine, file)));
    checks.extend(needs.ports.iter().filter_map(|port| port_of(machine, port)));
    checks
}

/// Mode and owner of a file; `None`: it is not there, or may not be looked at.
fn facts(machine: &Machine<'_>, path: &Path) -> Option<(u32, u32)> {
    let facts = std::fs::metadata(machine.at(path)).ok()?;
    Some((facts.permissions().mode() & 0o7777, facts.uid()))
}

fn state_dir(machine: &Machine<'_>, folder: &Path) -> Check {
    const NAME: &str = "state directory";
    let shown = folder.display();
    let Some((mode, owner)) = facts(machine, folder) else {
        return Check::unknown(
            NAME,
            format!(
                "{shown} is not there yet, or may not be looked at; the gateway makes it at its first start"
            ),
        );
    };
    let evidence = format!("{shown}: mode {mode:04o}, user {owner}");
    if mode & NOT_THE_OWNER != 0 {
        return Check::failure(
            NAME,
            evidence,
            "somebody has opened it to others; there are tokens and passwords in it",
            format!("chmod 700 {shown}"),
        );
    }
    let strange = machine
        .at(folder)
        .join("ledger.db")
        .metadata()
        .is_ok_and(|ledger| ledger.uid() != owner);
    if strange {
        let next = format!("chown -R --reference={shown} {shown}");
        return Check::failure(
            NAME,
            format!("{evidence}, but the ledger in it belongs to somebody else"),
            "the gateway was run by hand as another user",
            next,
        );
    }
    Check::good(NAME, evidence)
}

fn socket(machine: &Machine<'_>, needs: &Needs) -> Check {
    const NAME: &str = "control socket";
    let shown = needs.socket.display();
    let Some((mode, _)) = facts(machine, &needs.socket) else {
        return match &needs.gateway {
            Gateway::Absent => {
                Check::unknown(NAME, format!("{shown} is not there; the gateway does not run"))
            }
            Gateway::Silent(why) => Check::doubt(
                NAME,
                why.clone(),
                "only its user and its group may ask the gateway",
                "run this with sudo, or join the group retrovolt",
            ),
            Gateway::Runs { .. } => Check::unknown(NAME, format!("{shown} may not be looked at")),
        };
    };
    let evidence = format!("{shown}: mode {mode:04o}");
    if mode & OTHERS != 0 {
        return Check::failure(
            NAME,
            evidence,
            "somebody has opened it to everybody on this machine",
            "restart the gateway: it makes it anew with mode 0660",
        );
    }
    Check::good(NAME, evidence)
}

fn secret(machine: &Machine<'_>, file: &Path) -> Check {
    const NAME: &str = "secret";
    let shown = file.display();
    match facts(machine, file) {
        None => Check::doubt(
            NAME,
            format!("{shown} is not there, or may not be looked at"),
            "it was moved, or only the gateway may see it",
            "run this with sudo; if it is gone, put it back",
        ),
        Some((mode, owner)) if mode & NOT_THE_OWNER != 0 => {
            let evidence = format!("{shown}: mode {mode:04o}, user {owner}");
            Check::failure(
                NAME,
                evidence,
                "others may read it",
                format!("chmod 600 {shown}; if others could have read it, have it changed"),
            )
        }
        Some((mode, owner)) => Check::good(NAME, format!("{shown}: mode {mode:04o}, user {owner}")),
    }
}

/// A port that is there; the bus doctor speaks of those that are not.
fn port_of(machine: &Machine<'_>, port: &Path) -> Option<Check> {
    const NAME: &str = "port permissions";
    let at = machine.at(port);
    let facts = std::fs::metadata(&at).ok()?;
    let mode = facts.permissions().mode() & 0o777;
    let shown = port.display();
    let evidence = format!("{shown}: mode {mode:04o}, group {}", facts.gid());
    if !facts.file_type().is_char_device() && machine.root == Path::new("/") {
        return Some(Check::failure(
            NAME,
            format!("{shown} is no device"),
            "a program wrote a file where the port had been",
            format!("rm {shown}, and plug the adapter in again"),
        ));
    }
    Some(if mode & 0o060 == 0o060 {
        Check::good(NAME, evidence)
    } else {
        Check::doubt(
            NAME,
            evidence,
            "its group may not use it",
            "a udev rule with GROUP=\"dialout\", MODE=\"0660\"; the package brings one for USB adapters",
        )
    })
}
