//! Initial OCPP 1.6 configuration keys (specification section 9): names, types and ranges, so that a slip in
//! `[charge_point.ocpp16]` is found here. The dialect has the same table with what the keys do; a test holds that
//! both accept and refuse the same.

use super::context::Context;
use super::issue::Told;
use super::nearest::{did_you_mean, nearest};
use super::place::Place;
use super::setting::Given;
use super::tree::show_text;
use std::collections::BTreeMap;

/// Free names with their values.
pub(super) type Names = Given<BTreeMap<String, (String, Place)>>;

/// What may be written to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number in this range.
    Count(u32, u32),
    /// Measurands with commas between them.
    Measurands,
    /// `connector.rotation`, with commas between them.
    Rotation,
    /// Any text.
    Words,
    /// Told, not set.
    ReadOnly,
    /// A secret with a place of its own.
    Secret,
    /// Standard, but of a feature that the gateway does not have.
    Absent,
}

use Kind::{Absent, Count, Flag, Measurands, ReadOnly, Rotation, Secret, Words};

const DAY: Kind = Count(0, 86_400);

/// Every standard key of the profiles Core, Local Auth List, Reservation, Smart Charging and Security, and ours.
const KEYS: &[(&str, Kind)] = &[
    ("AdditionalRootCertificateCheck", ReadOnly),
    ("AllowOfflineTxForUnknownId", Flag),
    ("AuthorizationCacheEnabled", Flag),
    ("AuthorizationKey", Secret),
    ("AuthorizeRemoteTxRequests", Flag),
    ("BlinkRepeat", Absent),
    ("CertificateSignedMaxChainSize", ReadOnly),
    ("CertificateStoreMaxLength", ReadOnly),
    ("ChargeProfileMaxStackLevel", ReadOnly),
    ("ChargingScheduleAllowedChargingRateUnit", ReadOnly),
    ("ChargingScheduleMaxPeriods", ReadOnly),
    ("ClockAlignedDataInterval", DAY),
    ("ConnectionTimeOut", Count(1, 86_400)),
    ("ConnectorPhaseRotation", Rotation),
    ("ConnectorPhaseRotationMaxLength", ReadOnly),
    ("ConnectorSwitch3to1PhaseSupported", ReadOnly),
    ("CpoName", Words),
    ("GetConfigurationMaxKeys", ReadOnly),
    ("HeartbeatInterval", Count(1, 86_400)),
    ("LightIntensity", Absent),
    ("LocalAuthListEnabled", Flag),
    ("LocalAuthListMaxLength", ReadOnly),
    ("LocalAuthorizeOffline", Flag),
    ("LocalPreAuthorize", Flag),
    ("MaxChargingProfilesInstalled", ReadOnly),
    ("MaxEnergyOnInvalidId", Count(0, 1_000_000)),
    ("MessageTimeout", Count(1, 3_600)),
    ("MeterValueSampleInterval", DAY),
    ("MeterValuesAlignedData", Measurands),
    ("MeterValuesAlignedDataMaxLength", ReadOnly),
    ("MeterValuesSampledData", Measurands),
    ("MeterValuesSampledDataMaxLength", ReadOnly),
    ("MinimumStatusDuration", Count(0, 3_600)),
    ("NumberOfConnectors", ReadOnly),
    ("ReserveConnectorZeroSupported", ReadOnly),
    ("ResetRetries", Count(0, 10)),
    ("SecurityProfile", ReadOnly),
    ("SendLocalListMaxLength", ReadOnly),
    ("StopTransactionMaxMeterValues", ReadOnly),
    ("StopTransactionOnEVSideDisconnect", Flag),
    ("StopTransactionOnInvalidId", Flag),
    ("StopTxnAlignedData", Measurands),
    ("StopTxnAlignedDataMaxLength", ReadOnly),
    ("StopTxnSampledData", Measurands),
    ("StopTxnSampledDataMaxLength", ReadOnly),
    ("SupportedFeatureProfiles", ReadOnly),
    ("SupportedFeatureProfilesMaxLength", Absent),
    ("TransactionMessageAttempts", Count(1, 100)),
    ("TransactionMessageRetryInterval", DAY),
    ("UnlockConnectorOnEVSideDisconnect", Flag),
    ("WebSocketPingInterval", DAY),
];

/// Measurands of section 7.31 that the gateway has.
const MEASURANDS: &[&str] = &[
    "Current.Import",
    "Current.Offered",
    "Energy.Active.Export.Register",
    "Energy.Active.Import.Register",
    "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Register",
    "Frequency",
    "Power.Active.Import",
    "Power.Factor",
    "Power.Reactive.Import",
    "SoC",
    "Temperature",
    "Voltage",
];

/// Phases that a measurand may carry after a dot.
const PHASES: &[&str] = &["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N"];

/// Most measurands in a list.
const MOST_MEASURANDS: usize = 20;

/// Longest value (section 6.37).
const LONGEST_VALUE: usize = 500;

const ROTATIONS: &[&str] = &[
    "NotApplicable",
    "Unknown",
    "RST",
    "RTS",
    "SRT",
    "STR",
    "TRS",
    "TSR",
];

/// Problem, expectation, next step.
type Refusal = (String, String, String);

fn find(name: &str) -> Option<(&'static str, Kind)> {
    // OCPP compares names of keys without regard to case (CiString50).
    KEYS.iter()
        .copied()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// The name as the specification spells it.
pub(super) fn spelled(name: &str) -> String {
    find(name).map_or(name, |(known, _)| known).to_owned()
}

/// Checks `[charge_point.ocpp16]` of a charge point with this many EVSEs.
pub(super) fn check(given: &Names, spoken: bool, evses: usize, context: &mut Context<'_>) {
    if given.written && !spoken {
        unspoken(given, "1.6", context);
    }
    for (name, (value, at)) in given.value.iter().flatten() {
        let refusal = match find(name) {
            Some((name, kind)) => refused(name, kind, value.trim(), evses),
            None => Some(unknown(name)),
        };
        if let Some((problem, expected, suggestion)) = refusal {
            let path = format!("{}.{name}", given.path);
            context
                .found
                .error(*at, Told::new(path, problem, expected, suggestion));
        }
    }
}

fn unknown(name: &str) -> Refusal {
    (
        "there is no such OCPP 1.6 key".to_owned(),
        "a configuration key of OCPP 1.6, section 9".to_owned(),
        did_you_mean(name, KEYS.iter().map(|(known, _)| *known), || {
            "remove it".to_owned()
        }),
    )
}

fn refused(name: &str, kind: Kind, value: &str, evses: usize) -> Option<Refusal> {
    let refuse =
        |problem: &str, expected: &str, next: String| Some((problem.to_owned(), expected.to_owned(), next));
    match kind {
        Secret => refuse(
            "is a secret and has a place of its own",
            "the password in [[charge_point.csms]]",
            "remove it and use password_file there".to_owned(),
        ),
        Absent => refuse(
            "belongs to a feature that the gateway does not have",
            "a key that changes something",
            "remove it".to_owned(),
        ),
        ReadOnly => refuse(
            "is told by the gateway and cannot be set",
            "a key that can be written",
            "remove it".to_owned(),
        ),
        Flag if !["true", "false"]
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word)) =>
        {
            let problem = format!("{} is no truth value", show_text(value));
            refuse(&problem, "true or false", format!("write {name} = true"))
        }
        Count(least, most) => count(name, value, least, most),
        Measurands => measurands(value),
        Rotation => rotation(value, evses),
        Flag | Words => None,
    }
    .or_else(|| {
        let long = value.len() > LONGEST_VALUE;
        long.then(|| {
            let problem = format!("{} characters are too many", value.len());
            (
                problem,
                format!("at most {LONGEST_VALUE} characters"),
                "shorten it".to_owned(),
            )
        })
    })
}

fn count(name: &str, value: &str, least: u32, most: u32) -> Option<Refusal> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse::<u32>().ok().filter(|_| digits);
    if number.is_some_and(|number| (least..=most).contains(&number)) {
        return None;
    }
    let problem = match number {
        Some(number) => format!("{number} is out of range"),
        None => format!("{} is no whole number in range", show_text(value)),
    };
    let bare: String = value.chars().filter(char::is_ascii_digit).collect();
    let near = bare.parse::<u32>().unwrap_or(least).clamp(least, most);
    Some((
        problem,
        format!("a whole number from {least} to {most}"),
        format!("write {name} = {near}"),
    ))
}

fn measurands(value: &str) -> Option<Refusal> {
    let mut seen = std::collections::BTreeSet::new();
    for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let name = match item.rsplit_once('.') {
            Some((name, phase)) if PHASES.contains(&phase) => name,
            _ => item,
        };
        if !MEASURANDS.contains(&name) {
            return Some((
                format!("there is no measurand {}", show_text(item)),
                format!("some of {}, with commas between them", MEASURANDS.join(", ")),
                did_you_mean(name, MEASURANDS.iter().copied(), || {
                    format!("remove {}", show_text(item))
                }),
            ));
        }
        // `Voltage.L1` and `Voltage.L1-N` are the same.
        seen.insert(item.trim_end_matches("-N").to_owned());
    }
    (seen.len() > MOST_MEASURANDS).then(|| {
        let problem = format!("{} measurands are too many", seen.len());
        (
            problem,
            format!("at most {MOST_MEASURANDS}"),
            "leave out the phases to name all of them".to_owned(),
        )
    })
}

fn rotation(value: &str, evses: usize) -> Option<Refusal> {
    for item in value.split(',').map(str::trim) {
        let (connector, order) = item.split_once('.').unwrap_or((item, ""));
        let known = connector
            .parse::<usize>()
            .is_ok_and(|connector| connector <= evses);
        if !known || !ROTATIONS.contains(&order) {
            let near = nearest(order, ROTATIONS.iter().copied()).unwrap_or("RST");
            let number = if known { connector } else { "1" };
            return Some((
                format!("{} is no phase rotation", show_text(item)),
                format!(
                    "connector.rotation with 0 to {evses} and one of {}",
                    ROTATIONS.join(", ")
                ),
                format!("did you mean '{number}.{near}'"),
            ));
        }
    }
    None
}

/// A table for a version that no back end speaks.
pub(super) fn unspoken(given: &Names, version: &str, context: &mut Context<'_>) {
    given.warning(
        &mut context.found,
        format!("no back end of this charge point speaks OCPP {version}"),
        format!("a [[charge_point.csms]] with version = \"{version}\""),
        "set that version, or remove the table",
    );
}
