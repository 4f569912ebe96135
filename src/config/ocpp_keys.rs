//! Names of OCPP 1.6 configuration keys (specification section 9, and the security whitepaper), so that a slip in
//! `[charge_point.ocpp16]` is found here and not by a back end that wonders.

use super::context::Context;
use super::issue::Told;
use super::nearest::did_you_mean;
use super::place::Place;
use super::setting::Given;
use super::tree::show_text;
use std::collections::BTreeMap;

/// Free names with their values.
type Names = Given<BTreeMap<String, (String, Place)>>;

/// What may be written to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyType {
    /// A whole number, not negative.
    Count,
    /// `true` or `false`.
    Flag,
    /// Text, checked by the dialect.
    Text,
    /// Told, not set.
    ReadOnly,
    /// A secret with a place of its own.
    Secret,
}

use KeyType::{Count, Flag, ReadOnly, Secret, Text};

/// Every standard key of the profiles Core, Local Auth List, Reservation, Smart Charging and Security.
pub(super) const OCPP16: &[(&str, KeyType)] = &[
    ("AllowOfflineTxForUnknownId", Flag),
    ("AuthorizationCacheEnabled", Flag),
    ("AuthorizationKey", Secret),
    ("AuthorizeRemoteTxRequests", Flag),
    ("BlinkRepeat", Count),
    ("ChargeProfileMaxStackLevel", ReadOnly),
    ("ChargingScheduleAllowedChargingRateUnit", ReadOnly),
    ("ChargingScheduleMaxPeriods", ReadOnly),
    ("ClockAlignedDataInterval", Count),
    ("ConnectionTimeOut", Count),
    ("ConnectorPhaseRotation", Text),
    ("ConnectorPhaseRotationMaxLength", ReadOnly),
    ("ConnectorSwitch3to1PhaseSupported", ReadOnly),
    ("CpoName", Text),
    ("GetConfigurationMaxKeys", ReadOnly),
    ("HeartbeatInterval", Count),
    ("LightIntensity", Count),
    ("LocalAuthListEnabled", Flag),
    ("LocalAuthListMaxLength", ReadOnly),
    ("LocalAuthorizeOffline", Flag),
    ("LocalPreAuthorize", Flag),
    ("MaxChargingProfilesInstalled", ReadOnly),
    ("MaxEnergyOnInvalidId", Count),
    ("MeterValueSampleInterval", Count),
    ("MeterValuesAlignedData", Text),
    ("MeterValuesAlignedDataMaxLength", ReadOnly),
    ("MeterValuesSampledData", Text),
    ("MeterValuesSampledDataMaxLength", ReadOnly),
    ("MinimumStatusDuration", Count),
    ("NumberOfConnectors", ReadOnly),
    ("ReserveConnectorZeroSupported", ReadOnly),
    ("ResetRetries", Count),
    ("SecurityProfile", ReadOnly),
    ("SendLocalListMaxLength", ReadOnly),
    ("StopTransactionOnEVSideDisconnect", Flag),
    ("StopTransactionOnInvalidId", Flag),
    ("StopTxnAlignedData", Text),
    ("StopTxnAlignedDataMaxLength", ReadOnly),
    ("StopTxnSampledData", Text),
    ("StopTxnSampledDataMaxLength", ReadOnly),
    ("SupportedFeatureProfiles", ReadOnly),
    ("SupportedFeatureProfilesMaxLength", ReadOnly),
    ("TransactionMessageAttempts", Count),
    ("TransactionMessageRetryInterval", Count),
    ("UnlockConnectorOnEVSideDisconnect", Flag),
    ("WebSocketPingInterval", Count),
];

/// Finds a key; OCPP keys compare without regard to case.
pub(super) fn ocpp16(name: &str) -> Option<(&'static str, KeyType)> {
    OCPP16
        .iter()
        .copied()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// Checks `[charge_point.ocpp16]`.
pub(super) fn check16(given: &Names, spoken: bool, context: &mut Context<'_>) {
    if given.written && !spoken {
        unspoken(given, "1.6", context);
    }
    for (name, (value, at)) in given.value.iter().flatten() {
        let path = format!("{}.{name}", given.path);
        let Some((spelled, kind)) = ocpp16(name) else {
            let names = OCPP16.iter().map(|(known, _)| *known);
            let told = Told::new(
                path,
                "there is no such OCPP 1.6 key",
                "a configuration key of OCPP 1.6, section 9",
                did_you_mean(name, names, || "remove it".to_owned()),
            );
            context.found.error(*at, told);
            continue;
        };
        let told = match kind {
            Count if value.parse::<u32>().is_err() => {
                let digits: String = value.chars().filter(char::is_ascii_digit).collect();
                let number = digits.parse::<u32>().unwrap_or(60);
                let problem = format!("{} is no whole number", show_text(value));
                Told::new(
                    path,
                    problem,
                    "a whole number, 0 or more",
                    format!("write {spelled} = {number}"),
                )
            }
            Flag if value != "true" && value != "false" => {
                let problem = format!("{} is no truth value", show_text(value));
                Told::new(path, problem, "true or false", format!("write {spelled} = true"))
            }
            ReadOnly => Told::new(
                path,
                "is told by the gateway and cannot be set",
                "a key that can be written",
                "remove it",
            ),
            Secret => Told::new(
                path,
                "is a secret and has a place of its own",
                "the password in [[charge_point.csms]]",
                "remove it and use password_file there",
            ),
            Count | Flag | Text => continue,
        };
        context.found.error(*at, told);
    }
}

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
pub(super) fn check201(given: &Names, spoken: bool, context: &mut Context<'_>) {
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

fn unspoken(given: &Names, version: &str, context: &mut Context<'_>) {
    given.warning(
        &mut context.found,
        format!("no back end of this charge point speaks OCPP {version}"),
        format!("a [[charge_point.csms]] with version = \"{version}\""),
        "set that version, or remove the table",
    );
}
