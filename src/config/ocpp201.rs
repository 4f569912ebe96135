//! Initial OCPP 2.0.1 variables. What can be written, and which values, is the dialect's to say; here it is told with
//! the place and a near guess.

use super::context::Context;
use super::issue::Told;
use super::nearest::did_you_mean;
use super::ocpp16::{Names, unspoken};
use super::tree::show_text;
use crate::ocpp::v201::variables;

/// Checks `[charge_point.ocpp201]`.
pub(super) fn check(given: &Names, spoken: bool, context: &mut Context<'_>) {
    if given.written && !spoken {
        unspoken(given, "2.0.1", context);
    }
    for (name, (value, at)) in given.value.iter().flatten() {
        let path = format!("{}.{name}", given.path);
        if let Some((problem, expected, suggestion)) = refused(name, value) {
            context
                .found
                .error(*at, Told::new(path, problem, expected, suggestion));
        }
    }
}

/// Problem, expectation, next step.
fn refused(name: &str, value: &str) -> Option<(String, String, String)> {
    let (component, variable) = name.split_once('.').unwrap_or((name, ""));
    if name.to_ascii_lowercase().contains("basicauthpassword") {
        return Some((
            "is a secret and has a place of its own".to_owned(),
            "the password in [[charge_point.csms]]".to_owned(),
            "remove it and use password_file there".to_owned(),
        ));
    }
    if component.is_empty() || variable.is_empty() || variable.contains('.') {
        return Some((
            "is not the name of a variable".to_owned(),
            "Component.Variable or \"Component.Variable[Instance]\"".to_owned(),
            "write for example OCPPCommCtrlr.HeartbeatInterval = 300".to_owned(),
        ));
    }
    match variables::check(name, value) {
        Ok(()) => None,
        Err(variables::Unfit::Unknown) => Some((
            format!("there is no variable {} that can be set", show_text(name)),
            "a variable of OCPP 2.0.1 that the gateway has".to_owned(),
            did_you_mean(name, variables::writable(), || "remove it".to_owned()),
        )),
        Err(variables::Unfit::ReadOnly) => Some((
            "is told by the gateway and cannot be set".to_owned(),
            "a variable that can be written".to_owned(),
            "remove it".to_owned(),
        )),
        Err(variables::Unfit::Value { problem, expected }) => Some((
            format!("{} is {problem}", show_text(value)),
            expected,
            "correct the value, or remove the line for the default".to_owned(),
        )),
    }
}
