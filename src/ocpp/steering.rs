//! What of a version's settings steers the station: one table a version, read from the settings to [`Params`] and, where
//! another CSMS sets them, from [`Params`] to the settings.

use crate::domain::{Measurand, MilliWattHours, Params};
use std::time::Duration;

/// A value of [`Params`] and how it is written.
#[derive(Clone, Copy)]
pub(super) enum Steers {
    /// Whole seconds.
    Seconds(fn(&mut Params) -> &mut Duration),
    /// `true` or `false`.
    Flag(fn(&mut Params) -> &mut bool),
    /// Measurands with commas between them, as the version spells them.
    Measurands(fn(&mut Params) -> &mut Vec<Measurand>),
    /// Whole watt-hours.
    Energy(fn(&mut Params) -> &mut MilliWattHours),
}

/// A setting and what it steers.
pub(super) type Steering = (&'static str, Steers);

/// How a version spells a list of measurands.
#[derive(Clone, Copy)]
pub(super) struct Lists {
    /// From its text; what does not fit is no measurand.
    pub(super) read: fn(&str) -> Vec<Measurand>,
    /// To its text.
    pub(super) write: fn(&[Measurand]) -> String,
}

/// Takes the settings of a table over into `params`; `text` gives the value of a setting, checked when it came in.
pub(super) fn read<'a>(
    table: &[Steering],
    lists: Lists,
    text: impl Fn(&str) -> &'a str,
    params: &mut Params,
) {
    for (name, steers) in table {
        let text = text(name);
        match steers {
            Steers::Seconds(of) => *of(params) = Duration::from_secs(text.parse().unwrap_or(0)),
            Steers::Flag(of) => *of(params) = text == "true",
            Steers::Measurands(of) => *of(params) = (lists.read)(text),
            Steers::Energy(of) => *of(params) = MilliWattHours::from_base(text.parse().unwrap_or(0)),
        }
    }
}

/// The settings of a table as `params` would have them.
pub(super) fn written(
    table: &[Steering],
    lists: Lists,
    params: &Params,
) -> impl Iterator<Item = (&'static str, String)> {
    let mut params = params.clone();
    table.iter().map(move |(name, steers)| {
        let text = match steers {
            Steers::Seconds(of) => of(&mut params).as_secs().to_string(),
            Steers::Flag(of) => of(&mut params).to_string(),
            Steers::Measurands(of) => (lists.write)(of(&mut params)),
            Steers::Energy(of) => of(&mut params).base().to_string(),
        };
        (*name, text)
    })
}
