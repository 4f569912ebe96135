//! Initial OCPP 2.0.1 variables: names of components, so that a slip is found here.

use super::context::Context;
use super::issue::Told;
use super::nearest::did_you_mean;
use super::ocpp16::{Names, unspoken};
use super::tree::show_text;

/// The controller components that OCPP 2.0.1 standardises (part 2, appendix 3).
const COMPONENTS: &[&str] = &[
    "AlignedDataCtrlr",
    "AuthCacheCtrlr",
    "AuthCtrlr",
    "CHAdeMOCtrlr",
    "ChargingStation",
    "ClockCtrlr",
    "Connector",
    "CustomizationCtrlr",
    "DeviceDataCtrlr",
    "DisplayMessageCtrlr",
    "EVSE",
    "ISO15118Ctrlr",
    "LocalAuthListCtrlr",
    "MonitoringCtrlr",
    "OCPPCommCtrlr",
    "ReservationCtrlr",
    "SampledDataCtrlr",
    "SecurityCtrlr",
    "SmartChargingCtrlr",
    "TariffCostCtrlr",
    "TxCtrlr",
];

/// Checks `[charge_point.ocpp201]`.
pub(super) fn check(given: &Names, spoken: bool, context: &mut Context<'_>) {
    if given.written && !spoken {
        unspoken(given, "2.0.1", context);
    }
    for (name, (_, at)) in given.value.iter().flatten() {
        let path = format!("{}.{name}", given.path);
        let (component, variable) = name.split_once('.').unwrap_or((name, ""));
        let told = if name.to_ascii_lowercase().contains("basicauthpassword") {
            Told::new(
                path,
                "is a secret and has a place of its own",
                "the password in [[charge_point.csms]]",
                "remove it and use password_file there",
            )
        } else if component.is_empty() || variable.is_empty() || variable.contains('.') {
            Told::new(
                path,
                "is not the name of a variable",
                "Component.Variable or \"Component.Variable[Instance]\"",
                "write for example OCPPCommCtrlr.HeartbeatInterval = 300",
            )
        } else if !COMPONENTS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(component))
        {
            Told::new(
                path,
                format!("there is no component {}", show_text(component)),
                "a component of OCPP 2.0.1",
                did_you_mean(component, COMPONENTS.iter().copied(), || "remove it".to_owned()),
            )
        } else {
            continue;
        };
        context.found.error(*at, told);
    }
}
