//! Commands: who may send them, whether they are recent, well-formed and not too many. What they come to is judged by
//! the station: a command can only reduce what others allow.
//!
//! In this order, the first that fails rejects (`docs/mqtt.md`):
//! 1. user and name are in the allow list;
//! 2. not kept by the broker, not expired, not dated more than 30 s before or after now;
//! 3. well-formed and within what device and installation allow;
//! 4. not more often than the user may; what closes a contactor or restarts is spaced further by the desk, which every
//!    door leads to.

use super::super::client::Incoming;
use super::super::picture::{Picture, Reach};
use super::super::units::{At, Milli, Slug};
use super::topics::Topics;
use crate::domain::{CommandRights, Mono, Now, ResetKind};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// A time further from now than this is not believed.
const RECENT_MS: i64 = 30_000;
/// Longest `for_s`: a year.
const LONGEST_S: u64 = 366 * 24 * 3600;
/// Senders whose last command is remembered.
const REMEMBERED: usize = 1024;

/// What can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Charging is allowed.
    Enabled,
    /// Limit per phase.
    LimitA,
    /// Charging mode.
    Mode,
    /// Phases to use.
    Phases,
    /// Priority among those who share a fuse.
    Priority,
    /// When the vehicle leaves.
    Departure,
    /// Release the plug.
    Unlock,
    /// Present a token.
    Authorize,
    /// Restart.
    Reset,
}

impl Key {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Enabled,
        Self::LimitA,
        Self::Mode,
        Self::Phases,
        Self::Priority,
        Self::Departure,
        Self::Unlock,
        Self::Authorize,
        Self::Reset,
    ];

    /// As in a topic and in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::LimitA => "limit_a",
            Self::Mode => "mode",
            Self::Phases => "phases",
            Self::Priority => "priority",
            Self::Departure => "departure",
            Self::Unlock => "unlock",
            Self::Authorize => "authorize",
            Self::Reset => "reset",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.word() == word)
    }
}

/// What can be requested.
pub const OPERATIONS: [&str; 4] = ["info", "status", "sessions", "refresh"];

/// How long a limit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until it is replaced.
    Replaced,
    /// For this long.
    For(Duration),
    /// Until this time, Unix milliseconds.
    At(i64),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Allow charging, or not; `None`: as if nothing had been said.
    Enabled(Option<bool>),
    /// Limit per phase; `None`: no limit of ours any more.
    Limit(Option<Milli>, Until),
    /// Use one phase or three; `None`: as wired.
    Phases(Option<u8>),
    /// Release the plug.
    Unlock,
    /// Present a token.
    Authorize(String),
    /// Restart.
    Reset(ResetKind),
}

/// A command that may be carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// By whom.
    pub user: String,
    /// At which EVSE.
    pub point: Slug,
    /// What.
    pub ask: Ask,
}

/// The record of a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// By whom.
    pub user: String,
    /// Without prefix and gateway.
    pub topic: String,
    /// At which EVSE, if it was about one.
    pub point: Option<Slug>,
    /// Before.
    pub old: Option<Value>,
    /// What was asked for, or what holds now; a token is masked.
    pub new: Option<Value>,
    /// Why it was rejected; `None`: it was accepted.
    pub reason: Option<String>,
    /// Rejections of the same user that were not recorded one by one since the last verdict that was.
    pub unrecorded: u64,
}

/// What a message on a command topic comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heard {
    /// Nothing: not one of ours, or empty, which only deletes a retained message.
    Nothing,
    /// A command to carry out.
    Order(Order, About),
    /// A request to answer from the picture.
    Request(String, Option<Slug>, About),
    /// Rejected.
    Rejected(About, String),
}

/// What is answered, and to whom.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct About {
    pub(super) user: String,
    /// Last level of the response topic.
    pub(super) name: String,
    /// Without prefix and gateway.
    pub(super) topic: String,
    pub(super) point: Option<Slug>,
    pub(super) asked: Option<Value>,
    pub(super) transaction: Option<Value>,
}

/// Who may do what, and when they last did.
#[derive(Debug)]
pub(super) struct Gatekeeper {
    rights: BTreeMap<String, CommandRights>,
    /// By user and topic, and whether it stopped something.
    last: BTreeMap<(String, String), (Mono, bool)>,
}

/// A payload taken apart.
#[derive(Clone, Debug, Default, PartialEq)]
struct Said {
    value: Value,
    members: Map<String, Value>,
}

impl Gatekeeper {
    pub(super) fn new(rights: BTreeMap<String, CommandRights>) -> Self {
        Self {
            rights,
            last: BTreeMap::new(),
        }
    }

    /// Judges a message.
    pub(super) fn judge(
        &mut self,
        now: Now,
        incoming: &Incoming,
        topics: &Topics,
        picture: &Picture,
    ) -> Heard {
        let Some(topic) = topics.within(&incoming.topic) else {
            return Heard::Nothing;
        };
        let levels: Vec<&str> = topic.split('/').collect();
        let (user, point, name) = match levels[..] {
            ["as", user, "cp", point, key, "set"] => (user, Some(point), key),
            ["as", user, "request", operation] => (user, None, operation),
            _ => return Heard::Nothing,
        };
        if incoming.payload.is_empty() {
            return Heard::Nothing;
        }
        let mut about = About {
            user: user.to_owned(),
            name: name.to_owned(),
            topic: topic.to_owned(),
            point: point.map(Slug::of).filter(|slug| Some(slug.as_str()) == point),
            asked: None,
            transaction: None,
        };
        let said = parse(&incoming.payload);
        if let Ok(said) = &said {
            about.transaction = said
                .members
                .get("transaction")
                .filter(|value| is_short(value))
                .cloned();
            about.asked = Some(if name == Key::Authorize.word() {
                Value::String("***".to_owned())
            } else {
                said.value.clone()
            });
        }
        let verdict = self
            .allowed(user, point.is_some(), name)
            .and_then(|()| recent(now, incoming, said.as_ref().ok()))
            .and(said)
            .and_then(|said| match point {
                Some(_) => order(&about, &said, picture, now).map(Work::Order),
                None => request(&about, &said, picture).map(Work::Request),
            })
            .and_then(|work| self.not_too_often(now.mono, &about, &work).map(|()| work));
        match verdict {
            Ok(Work::Order(order)) => Heard::Order(order, about),
            Ok(Work::Request(point)) => Heard::Request(about.name.clone(), point, about),
            Err(reason) => Heard::Rejected(about, reason),
        }
    }

    fn allowed(&self, user: &str, sets: bool, name: &str) -> Result<(), String> {
        let rights = self
            .rights
            .get(user)
            .ok_or_else(|| format!("user '{user}' may send no commands; see [[mqtt.allow]]"))?;
        let names = if sets { &rights.keys } else { &rights.operations };
        let known = if sets {
            Key::of(name).is_some()
        } else {
            OPERATIONS.contains(&name)
        };
        if !known {
            return Err(format!("there is no '{name}'"));
        }
        if names.contains(name) {
            Ok(())
        } else {
            Err(format!("user '{user}' may not send '{name}'; see [[mqtt.allow]]"))
        }
    }

    /// A stop never waits, but for one like it that was just taken.
    fn not_too_often(&mut self, now: Mono, about: &About, work: &Work) -> Result<(), String> {
        let Some(rights) = self.rights.get(&about.user) else {
            return Ok(());
        };
        let (spacing, stops) = (rights.spacing, work.stops());
        let who = (about.user.clone(), about.topic.clone());
        if let Some((last, stopped)) = self.last.get(&who)
            && now.since(*last) < spacing
            && (!stops || *stopped)
        {
            let left = spacing.saturating_sub(now.since(*last)).as_secs_f32().ceil();
            return Err(format!("too often; again in {left} s"));
        }
        if self.last.len() >= REMEMBERED {
            let longest = self.rights.values().map(|rights| rights.spacing).max();
            let longest = longest.unwrap_or_default();
            self.last.retain(|_, (last, _)| now.since(*last) < longest);
        }
        self.last.insert(who, (now, stops));
        Ok(())
    }
}

enum Work {
    Order(Order),
    Request(Option<Slug>),
}

impl Work {
    /// It pauses charging.
    fn stops(&self) -> bool {
        let Self::Order(order) = self else { return false };
        matches!(
            order.ask,
            Ask::Enabled(Some(false)) | Ask::Limit(Some(Milli(0)), _)
        )
    }
}

fn recent(now: Now, incoming: &Incoming, said: Option<&Said>) -> Result<(), String> {
    if incoming.retained {
        return Err("it was stored by the broker; send commands without the retain flag".to_owned());
    }
    if incoming.is_expired() {
        return Err("it has expired".to_owned());
    }
    let Some(ts) = said.and_then(|said| said.members.get("ts")) else {
        return Ok(());
    };
    let text = ts
        .as_str()
        .ok_or("`ts` is not a time such as \"2026-03-01T10:00:00Z\"")?;
    let at = read_time(text)?;
    if !now.wall.quality.is_trusted() {
        return Err("it is dated, and the clock of the gateway is not set yet".to_owned());
    }
    let age = now.wall.unix_ms.saturating_sub(at);
    if age > RECENT_MS {
        return Err(format!("it is {} s old", age / 1000));
    }
    if age < -RECENT_MS {
        return Err(format!("it is dated {} s ahead", -age / 1000));
    }
    Ok(())
}

fn read_time(text: &str) -> Result<i64, String> {
    text.parse::<jiff::Timestamp>()
        .map(|at| at.as_millisecond())
        .map_err(|_| format!("'{text}' is not a time such as \"2026-03-01T10:00:00Z\""))
}

/// A transaction is repeated in the answer; it must not be a way to make us send much.
fn is_short(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() <= 64,
        Value::Number(_) => true,
        _ => false,
    }
}

/// Plain text, a JSON scalar, or an object with `value` and more.
fn parse(payload: &[u8]) -> Result<Said, String> {
    let text = std::str::from_utf8(payload)
        .map_err(|_| "it is not UTF-8")?
        .trim();
    let mut said = Said::default();
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(mut members)) => {
            said.value = members.remove("value").unwrap_or(Value::Null);
            said.members = members;
        }
        Ok(Value::Array(_)) => return Err("it is a list; one value is expected".to_owned()),
        Ok(scalar) => said.value = scalar,
        Err(_) if text.starts_with(['{', '[']) => return Err("it is not well-formed JSON".to_owned()),
        Err(_) => said.value = Value::String(text.to_owned()),
    }
    if let Value::String(text) = &said.value
        && matches!(text.as_str(), "" | "none" | "None" | "null" | "-")
    {
        said.value = Value::Null;
    }
    Ok(said)
}

fn truth(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::Number(number) if number.as_u64() == Some(1) => Ok(true),
        Value::Number(number) if number.as_u64() == Some(0) => Ok(false),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "on" | "true" | "1" => Ok(true),
            "off" | "false" | "0" => Ok(false),
            _ => Err(format!("'{}' is neither on nor off", shown(text))),
        },
        other => Err(format!("{} is neither on nor off", shown(&other.to_string()))),
    }
}

/// An exact decimal number with at most three places.
fn number(value: &Value) -> Result<Milli, String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let wrong = || format!("'{}' is no number such as 16 or 7.5", shown(&text));
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or((1, text.as_str()), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || fraction.len() > 3 || whole.len() > 9 {
        return Err(wrong());
    }
    let milli: i64 = format!("{whole}{fraction:0<3}").parse().map_err(|_| wrong())?;
    Ok(Milli(sign * milli))
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

fn only(said: &Said, known: &[&str]) -> Result<(), String> {
    let always = ["ts", "transaction"];
    match said
        .members
        .keys()
        .find(|key| !known.contains(&key.as_str()) && !always.contains(&key.as_str()))
    {
        Some(key) => Err(format!("'{}' has no meaning here", shown(key))),
        None => Ok(()),
    }
}

fn until(said: &Said, now: Now) -> Result<Until, String> {
    match (said.members.get("for_s"), said.members.get("until")) {
        (None | Some(Value::Null), None | Some(Value::Null)) => Ok(Until::Replaced),
        (Some(seconds), None | Some(Value::Null)) => match seconds.as_u64() {
            Some(seconds @ 1..=LONGEST_S) => Ok(Until::For(Duration::from_secs(seconds))),
            _ => Err(format!("`for_s` is no whole number from 1 to {LONGEST_S}")),
        },
        (None | Some(Value::Null), Some(at)) => {
            let at = read_time(at.as_str().unwrap_or_default())?;
            if !now.wall.quality.is_trusted() {
                return Err("the clock of the gateway is not set yet; use `for_s`".to_owned());
            }
            if at <= now.wall.unix_ms {
                return Err(format!("`until` is over: it is {}", At(now.wall.unix_ms)));
            }
            Ok(Until::At(at))
        }
        (Some(_), Some(_)) => Err("`for_s` and `until` are both there; one is enough".to_owned()),
    }
}

fn order(about: &About, said: &Said, picture: &Picture, now: Now) -> Result<Order, String> {
    let key = Key::of(&about.name).ok_or("there is no such key")?;
    let found = about
        .point
        .as_ref()
        .and_then(|id| picture.points.get_key_value(id));
    let (id, point) =
        found.ok_or_else(|| format!("there is no charge point '{}'", topic_point(&about.topic)))?;
    let reach = point.reach;
    only(
        said,
        if key == Key::LimitA {
            &["for_s", "until"]
        } else {
            &[]
        },
    )?;
    let ask = match key {
        Key::Enabled if said.value.is_null() => Ask::Enabled(None),
        Key::Enabled => Ask::Enabled(Some(truth(&said.value)?)),
        Key::LimitA if said.value.is_null() => Ask::Limit(None, Until::Replaced),
        Key::LimitA => Ask::Limit(Some(amps(&said.value, reach)?), until(said, now)?),
        Key::Unlock if !reach.unlocks => {
            return Err("this charger cannot be told to release the plug".to_owned());
        }
        Key::Unlock => press(&said.value, &["UNLOCK"]).map(|_| Ask::Unlock)?,
        Key::Authorize => match &said.value {
            Value::String(token) if token.chars().count() <= 36 && !token.chars().any(char::is_control) => {
                Ask::Authorize(token.clone())
            }
            _ => return Err("it is no token of 1 to 36 characters".to_owned()),
        },
        Key::Reset => match press(&said.value, &["SOFT", "HARD", "IDLE"])?.as_str() {
            "SOFT" => Ask::Reset(ResetKind::Soft),
            "HARD" => Ask::Reset(ResetKind::Hard),
            _ => Ask::Reset(ResetKind::OnIdle),
        },
        Key::Phases if !reach.switches_phases => return Err("this charger cannot switch phases".to_owned()),
        Key::Phases if said.value.is_null() => Ask::Phases(None),
        Key::Phases => Ask::Phases(Some(phases(&said.value)?)),
        Key::Mode => return Err("there is no choice of charging modes here".to_owned()),
        Key::Priority => return Err("there is no choice of priorities here".to_owned()),
        Key::Departure => return Err("departure times are not planned with here".to_owned()),
    };
    Ok(Order {
        user: about.user.clone(),
        point: id.clone(),
        ask,
    })
}

/// One phase or three.
fn phases(value: &Value) -> Result<u8, String> {
    match number(value)? {
        Milli(1000) => Ok(1),
        Milli(3000) => Ok(3),
        _ => Err("one phase or three can be used: 1 or 3".to_owned()),
    }
}

/// A limit within what the installation and the vehicle allow; 0 pauses.
fn amps(value: &Value, reach: Reach) -> Result<Milli, String> {
    let amps = number(value)?;
    if amps > reach.max_a {
        let most = reach.max_a.value();
        return Err(format!(
            "{} A is more than the {most} A of the installation",
            amps.value()
        ));
    }
    if amps.0 < 0 || (amps.0 > 0 && amps < reach.min_a) {
        let least = reach.min_a.value();
        return Err(format!(
            "{} A is less than the least current of {least} A; 0 pauses",
            amps.value()
        ));
    }
    Ok(amps)
}

fn topic_point(topic: &str) -> String {
    shown(topic.split('/').nth(3).unwrap_or_default())
}

/// The word of a button, `PRESS` or one of these.
fn press(value: &Value, words: &[&str]) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.to_ascii_uppercase(),
        Value::Bool(true) => "PRESS".to_owned(),
        Value::Number(number) if number.as_u64() == Some(1) => "PRESS".to_owned(),
        _ => String::new(),
    };
    if text == "PRESS" || words.contains(&text.as_str()) {
        Ok(text)
    } else {
        Err(format!("PRESS is expected, or one of {}", words.join(", ")))
    }
}

/// The EVSE that a request is about; `None`: all.
fn request(about: &About, said: &Said, picture: &Picture) -> Result<Option<Slug>, String> {
    only(said, if about.name == "refresh" { &[] } else { &["cp"] })?;
    let Some(wanted) = said.members.get("cp").and_then(Value::as_str) else {
        return Ok(None);
    };
    let found = picture.points.keys().find(|id| id.as_str() == wanted);
    found
        .cloned()
        .map(Some)
        .ok_or_else(|| format!("there is no charge point '{}'", shown(wanted)))
}

#[cfg(test)]
mod tests;
