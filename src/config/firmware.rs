//! What a back end may update.

use super::context::Context;
use super::keys::FirmwareKeys;
use super::setting::Section;
use crate::domain::{FirmwareKind, FirmwareSetup};

/// Reads the table; `None` where it is not there, or something in it is wrong.
pub(super) fn read(root: &Section<'_>, context: &mut Context<'_>) -> Option<FirmwareSetup> {
    let sections = root.tables(FirmwareKeys::TABLE, &mut context.found);
    let keys = FirmwareKeys::read(sections.first()?, &mut context.found);
    let unsigned = keys.accept_unsigned.value == Some(true);
    if unsigned && keys.roots_file.written {
        keys.accept_unsigned.error(
            &mut context.found,
            "unsigned updates would get round the signature that roots_file asks for",
            "one of roots_file and accept_unsigned",
            "remove accept_unsigned",
        );
    }
    if !unsigned && !keys.roots_file.written {
        keys.spool.error(
            &mut context.found,
            "nothing says where firmware may come from",
            "roots_file, or accept_unsigned = true",
            "add roots_file = \"/etc/retrovolt/firmware-roots.pem\"",
        );
    }
    let roots = context.path(&keys.roots_file);
    if let Some(file) = roots.as_ref().filter(|file| !file.is_file()) {
        keys.roots_file.error(
            &mut context.found,
            format!("there is no file {}", file.display()),
            "a PEM file with root certificates",
            "put the manufacturer's certificates there, or mend the path",
        );
    }
    let mib = u64::try_from(keys.max_mib.value?).ok()?;
    Some(FirmwareSetup {
        spool: context.path(&keys.spool)?,
        kind: match keys.kind.value.as_deref()? {
            "charger" => FirmwareKind::Charger,
            _ => FirmwareKind::Package,
        },
        roots,
        max_bytes: mib * 1024 * 1024,
        waits_for_sessions: keys.waits_for_sessions.value?,
        install_timeout: keys.install_timeout.value?,
    })
}
