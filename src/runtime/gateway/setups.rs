//! What a configuration says of what runs.

use crate::domain::{CpSetup, DeviceId, SiteSetup};

/// The site before anything of it runs.
pub(super) fn nothing_of(setup: &SiteSetup) -> SiteSetup {
    SiteSetup {
        buses: Vec::new(),
        charge_points: Vec::new(),
        ..setup.clone()
    }
}

/// Whether a charge point goes on under a new configuration: at most CSMSs that only read come and go.
pub(super) fn goes_on(old: &CpSetup, new: &SiteSetup) -> bool {
    let but_readers = |cp: &CpSetup| CpSetup {
        csms: cp.csms.iter().take(1).cloned().collect(),
        ..cp.clone()
    };
    new.charge_points
        .iter()
        .any(|cp| cp.id == old.id && but_readers(cp) == but_readers(old))
}

/// Every device of a charge point.
pub(super) fn devices_of(setup: &CpSetup) -> impl Iterator<Item = &DeviceId> {
    setup.evses.iter().flat_map(|e| {
        std::iter::once(&e.charger)
            .chain(e.meter.as_ref())
            .chain(e.reader.as_ref())
    })
}
