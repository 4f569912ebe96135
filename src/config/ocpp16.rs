//! Initial OCPP 1.6 configuration keys (specification section 9), so that a slip in `[charge_point.ocpp16]` is found at
//! its place. What can be written, and which values, is the dialect's to say; here it is told with a near guess.

use super::context::Context;
use super::issue::Told;
use super::nearest::did_you_mean;
use super::place::Place;
use super::setting::Given;
use super::tree::show_text;
use crate::ocpp::v16::keys::{self, Kind, Unfit};
use std::collections::BTreeMap;

/// Free names with their values.
pub(super) type Names = Given<BTreeMap<String, (String, Place)>>;

/// Standard keys of features that the gateway does not have.
const ABSENT: &[&str] = &[
    "BlinkRepeat",
    "LightIntensity",
    "SupportedFeatureProfilesMaxLength",
];

/// A secret with a place of its own.
const SECRET: &str = "AuthorizationKey";

/// Phases that a measurand may carry after a dot.
const PHASES: &[&str] = &["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N"];

/// Problem, expectation, next step.
type Refusal = (String, String, String);

/// The name as the specification spells it.
pub(super) fn spelled(name: &str) -> String {
    keys::known(name).map_or(name, |(known, _)| known).to_owned()
}

/// Checks `[charge_point.ocpp16]` of a charge point.
pub(super) fn check(given: &Names, spoken: bool, context: &mut Context<'_>) {
    if given.written && !spoken {
        unspoken(given, "1.6", context);
    }
    for (name, (value, at)) in given.value.iter().flatten() {
        if let Some((problem, expected, suggestion)) = refused(name, value.trim()) {
            let path = format!("{}.{name}", given.path);
            context
                .found
                .error(*at, Told::new(path, problem, expected, suggestion));
        }
    }
}

/// Where no charger has a lock, the key for unlocking stays false (errata 3.84).
pub(super) fn without_locks(given: &Names, context: &mut Context<'_>) {
    for (name, (value, at)) in given.value.iter().flatten() {
        let wanted = value.trim().eq_ignore_ascii_case("true");
        if wanted && name.eq_ignore_ascii_case("UnlockConnectorOnEVSideDisconnect") {
            let told = Told::new(
                format!("{}.{name}", given.path),
                "has no effect: no charger of this charge point can be told to release the plug",
                "a charger whose profile has an unlock recipe",
                "remove it",
            );
            context.found.warning(*at, told);
        }
    }
}

fn refused(name: &str, value: &str) -> Option<Refusal> {
    let told = |problem: &str, expected: &str, next: &str| {
        Some((problem.to_owned(), expected.to_owned(), next.to_owned()))
    };
    let is = |known: &&str| known.eq_ignore_ascii_case(name);
    if is(&SECRET) {
        return told(
            "is a secret and has a place of its own",
            "the password in [[charge_point.csms]]",
            "remove it and use password_file there",
        );
    }
    match keys::check(name, value) {
        Ok(()) => None,
        Err(Unfit::Unknown) if ABSENT.iter().any(is) => told(
            "belongs to a feature that the gateway does not have",
            "a key that changes something",
            "remove it",
        ),
        Err(Unfit::Unknown) => Some((
            "there is no such OCPP 1.6 key".to_owned(),
            "a configuration key of OCPP 1.6, section 9".to_owned(),
            did_you_mean(name, keys::names(), || "remove it".to_owned()),
        )),
        Err(Unfit::ReadOnly) => told(
            "is told by the gateway and cannot be set",
            "a key that can be written",
            "remove it",
        ),
        Err(Unfit::Value(problem)) => Some(unfit(name, value, problem)),
    }
}

/// A value that will not do, by the kind of its key.
fn unfit(name: &str, value: &str, problem: &str) -> Refusal {
    let shown = format!("{} is {problem}", show_text(value));
    match keys::known(name).map(|(_, kind)| kind) {
        Some(Kind::Bool) => (shown, "true or false".to_owned(), format!("write {name} = true")),
        Some(Kind::Int(least, most)) => {
            let bare: String = value.chars().filter(char::is_ascii_digit).collect();
            let near = bare.parse().unwrap_or(least).clamp(least, most);
            (
                shown,
                format!("a whole number from {least} to {most}"),
                format!("write {name} = {near}"),
            )
        }
        Some(Kind::Measurands) => measurands(value, shown),
        Some(Kind::Credential) => (
            format!("{name} is {problem}"),
            "what [charge_point.csms] says".to_owned(),
            "remove it".to_owned(),
        ),
        Some(Kind::Text) | None => (shown, "a shorter text".to_owned(), "shorten it".to_owned()),
    }
}

fn measurands(value: &str, shown: String) -> Refusal {
    let known = keys::measurand_names();
    let expected = format!("some of {}, with commas between them", known.join(", "));
    let bare = |item: &str| match item.rsplit_once('.') {
        Some((name, phase)) if PHASES.contains(&phase) => name.to_owned(),
        _ => item.to_owned(),
    };
    let mut items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
    match items.find(|item| !known.contains(&bare(item).as_str())) {
        Some(odd) => (
            format!("there is no measurand {}", show_text(odd)),
            expected,
            did_you_mean(&bare(odd), known.iter().copied(), || {
                format!("remove {}", show_text(odd))
            }),
        ),
        None => (
            shown,
            expected,
            "leave out the phases to name all of them".to_owned(),
        ),
    }
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
