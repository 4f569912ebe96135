//! Whether systemd looks after the gateway.

use super::{Check, Gateway, Machine};

/// systemd keeps the id of each running unit as a link of this name.
const UNIT: &str = "/run/systemd/units/invocation:retrovolt.service";

pub(super) fn checks(machine: &Machine<'_>, gateway: &Gateway) -> Vec<Check> {
    let mut checks = vec![unit(machine, gateway)];
    if let Gateway::Runs { watchdog_ms } = gateway {
        checks.push(watchdog(*watchdog_ms));
    }
    checks
}

fn unit(machine: &Machine<'_>, gateway: &Gateway) -> Check {
    const NAME: &str = "service";
    if !machine.exists("/run/systemd/system") {
        return Check::unknown(
            NAME,
            "systemd does not run here; something else must start the gateway again after a crash",
        );
    }
    match (machine.exists(UNIT), gateway) {
        (true, Gateway::Runs { .. }) => {
            Check::good(NAME, "retrovolt.service is active and the gateway answers")
        }
        (true, Gateway::Silent(why)) => Check::doubt(
            NAME,
            format!("retrovolt.service is active; {why}"),
            "it hangs, or you may not ask it",
            "`systemctl status retrovolt`; `journalctl -u retrovolt -e`",
        ),
        (true, Gateway::Absent) => Check::failure(
            NAME,
            "retrovolt.service is active, but nothing listens at its socket",
            "it is still starting, or its configuration names another socket",
            "`systemctl status retrovolt`; `journalctl -u retrovolt -e`",
        ),
        (false, Gateway::Runs { .. } | Gateway::Silent(_)) => Check::doubt(
            NAME,
            "the gateway runs, but not as retrovolt.service",
            "it was started by hand: nobody starts it again after a crash or a restart",
            "end it and `systemctl enable --now retrovolt`",
        ),
        (false, Gateway::Absent) => Check::failure(
            NAME,
            "retrovolt.service is not active",
            "it was never enabled, or it was stopped",
            "`systemctl enable --now retrovolt`, then `systemctl status retrovolt`",
        ),
    }
}

fn watchdog(limit_ms: Option<u64>) -> Check {
    const NAME: &str = "service watchdog";
    match limit_ms {
        Some(ms) => Check::good(
            NAME,
            format!("systemd ends a gateway that hangs after {} s", ms / 1000),
        ),
        None => Check::doubt(
            NAME,
            "systemd does not watch the gateway",
            "the unit was changed, or the gateway was started by hand",
            "take WatchdogSec=30 back into the unit: `systemctl revert retrovolt`",
        ),
    }
}
