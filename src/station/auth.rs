//! Who may charge: the local list, the cache of verdicts, and the order in which they, the rules for working offline
//! and the CSMS are asked (OCPP 1.6 sections 3.5 and 4.1; 2.0.1 block C).
//!
//! Rules:
//! * What the local list says of a token hides what the cache says of it, and such a token is not cached (3.5.3).
//! * Online a known "accepted" is enough only with `LocalPreAuthorize`; whatever else is known, the CSMS is asked.
//! * Offline what is known decides if `LocalAuthorizeOffline`; a token known as refused or expired stays refused; an
//!   unknown one is let in only with `AllowOfflineTxForUnknownId`.
//! * A full cache gives up refused entries first, then the oldest accepted one (section 3.5.1).

use super::list::LocalList;
use crate::domain::{AuthStatus, IdToken, Now, Params, Put, TokenInfo};
use std::collections::BTreeMap;

/// Most cached verdicts.
const CACHE_MAX: usize = 1000;
/// Longest token that is cached; none of any dialect is longer.
const KEY_MAX: usize = 64;

/// What to do about a token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    /// It is decided.
    Known(TokenInfo),
    /// The CSMS must say.
    Ask,
}

/// Everything known of tokens.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The local list.
    pub(super) list: LocalList,
    /// The cache.
    pub(super) cache: Cache,
}

/// What a verdict of the CSMS comes to.
#[derive(Debug, Default)]
pub(super) struct Lesson {
    /// Makes it last.
    pub(super) puts: Vec<Put>,
    /// The local list says the opposite (1.6 section 3.5.2).
    pub(super) conflict: bool,
}

impl Known {
    /// What is decided about a token, and by whom.
    pub(super) fn decide(&self, token: &IdToken, online: bool, params: &Params, now: Now) -> Decision {
        let known = self.lookup(token, params, now);
        if !online {
            return Decision::Known(offline(known, params));
        }
        match known {
            Some(info) if params.local_pre_authorize && info.status == AuthStatus::Accepted => {
                Decision::Known(info)
            }
            _ => Decision::Ask,
        }
    }

    /// What is decided when the CSMS was asked and does not answer.
    pub(super) fn decide_offline(&self, token: &IdToken, params: &Params, now: Now) -> TokenInfo {
        offline(self.lookup(token, params, now), params)
    }

    /// The known group of a token.
    pub(super) fn group(&self, token: &IdToken, params: &Params, now: Now) -> Option<String> {
        self.lookup(token, params, now)
            .filter(|i| i.status == AuthStatus::Accepted)?
            .group
    }

    /// Takes in a verdict of the CSMS.
    pub(super) fn learn(
        &mut self,
        scope: &str,
        token: &IdToken,
        info: &TokenInfo,
        params: &Params,
        now: Now,
    ) -> Lesson {
        let valid = |status| matches!(status, AuthStatus::Accepted | AuthStatus::ConcurrentTx);
        match self.listed(token, params, now) {
            Some(listed) => Lesson {
                puts: Vec::new(),
                conflict: valid(listed.status) != valid(info.status),
            },
            None => Lesson {
                puts: self.cache.learn(scope, token, info, params, now),
                conflict: false,
            },
        }
    }

    fn listed(&self, token: &IdToken, params: &Params, now: Now) -> Option<TokenInfo> {
        let listed = self.list.get(&token.key()).filter(|_| params.list_enabled)?;
        Some(aged(listed, now))
    }

    fn lookup(&self, token: &IdToken, params: &Params, now: Now) -> Option<TokenInfo> {
        self.listed(token, params, now)
            .or_else(|| self.cache.lookup(token, params, now))
    }
}

/// What was accepted until a time that has passed has expired.
fn aged(mut info: TokenInfo, now: Now) -> TokenInfo {
    if info.status == AuthStatus::Accepted && info.expires_ms.is_some_and(|e| e <= now.wall.unix_ms) {
        info.status = AuthStatus::Expired;
    }
    info
}

/// The authorisation cache.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: BTreeMap<String, TokenInfo>,
}

impl Cache {
    /// Takes back an entry stored under `cache/<key>`.
    pub(super) fn restore(&mut self, key: &str, value: &str) {
        if let Ok(info) = serde_json::from_str(value)
            && self.entries.len() < CACHE_MAX
        {
            self.entries.insert(key.to_owned(), info);
        }
    }

    /// Remembers a verdict of the CSMS; the puts make it last. Nothing is written for a verdict already known.
    fn learn(
        &mut self,
        scope: &str,
        token: &IdToken,
        info: &TokenInfo,
        params: &Params,
        now: Now,
    ) -> Vec<Put> {
        let key = token.key();
        if !params.cache_enabled || key.is_empty() || key.len() > KEY_MAX {
            return Vec::new();
        }
        let news = TokenInfo {
            known_since: Some(now.stamp()),
            ..info.clone()
        };
        let known = self.entries.get(&key);
        if known.is_some_and(|k| {
            k.status == news.status && k.group == news.group && k.expires_ms == news.expires_ms
        }) {
            return Vec::new();
        }
        let mut puts = Vec::new();
        if known.is_none() && self.entries.len() >= CACHE_MAX {
            puts.extend(self.make_room(scope));
        }
        puts.push(put(scope, &key, serde_json::to_string(&news).ok()));
        self.entries.insert(key, news);
        puts
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self, scope: &str) -> Vec<Put> {
        let puts = self.entries.keys().map(|k| put(scope, k, None)).collect();
        self.entries.clear();
        puts
    }

    fn make_room(&mut self, scope: &str) -> Option<Put> {
        let age = |i: &TokenInfo| i.known_since.map(|s| (s.boot, s.mono));
        let victim = self
            .entries
            .iter()
            .min_by_key(|(_, i)| (i.status == AuthStatus::Accepted, age(i)))
            .map(|(k, _)| k.clone())?;
        self.entries.remove(&victim);
        Some(put(scope, &victim, None))
    }

    fn lookup(&self, token: &IdToken, params: &Params, now: Now) -> Option<TokenInfo> {
        if !params.cache_enabled {
            return None;
        }
        Some(aged(self.entries.get(&token.key())?.clone(), now))
    }
}

fn offline(known: Option<TokenInfo>, params: &Params) -> TokenInfo {
    match known {
        Some(info) if info.status != AuthStatus::Accepted => info,
        Some(info) if params.local_authorize_offline => info,
        Some(_) => TokenInfo::of(AuthStatus::Invalid),
        None if params.allow_offline_unknown => TokenInfo::of(AuthStatus::Accepted),
        None => TokenInfo::of(AuthStatus::Invalid),
    }
}

fn put(scope: &str, key: &str, value: Option<String>) -> Put {
    Put {
        scope: scope.to_owned(),
        key: format!("cache/{key}"),
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Mono, TokenKind};

    fn token(text: &str) -> IdToken {
        IdToken::new(text, TokenKind::Iso14443)
    }

    fn at(mono: u64, unix_ms: i64) -> Now {
        let mut now = Now {
            mono: Mono(mono),
            ..Now::default()
        };
        now.wall.unix_ms = unix_ms;
        now
    }

    #[test]
    fn a_full_cache_gives_up_refused_entries_first_and_then_the_oldest() {
        let (mut known, params) = (Known::default(), Params::default());
        for i in 0..CACHE_MAX {
            let status = if i == 500 {
                AuthStatus::Blocked
            } else {
                AuthStatus::Accepted
            };
            known.learn(
                "s",
                &token(&format!("T{i}")),
                &TokenInfo::of(status),
                &params,
                at(i as u64, 0),
            );
        }
        let Lesson { puts, .. } = known.learn(
            "s",
            &token("new1"),
            &TokenInfo::of(AuthStatus::Accepted),
            &params,
            at(5_000, 0),
        );
        assert_eq!(puts[0], put("s", "t500", None));
        let Lesson { puts, .. } = known.learn(
            "s",
            &token("new2"),
            &TokenInfo::of(AuthStatus::Accepted),
            &params,
            at(5_001, 0),
        );
        assert_eq!(puts[0], put("s", "t0", None));
        assert_eq!(known.cache.entries.len(), CACHE_MAX);
    }

    #[test]
    fn an_expired_entry_is_refused_offline_even_where_unknown_ones_are_let_in() {
        let (mut known, mut params) = (Known::default(), Params::default());
        params.allow_offline_unknown = true;
        let info = TokenInfo {
            expires_ms: Some(1_000),
            ..TokenInfo::of(AuthStatus::Accepted)
        };
        known.learn("s", &token("A"), &info, &params, at(0, 0));
        assert_eq!(
            known.decide_offline(&token("a"), &params, at(0, 999)).status,
            AuthStatus::Accepted
        );
        assert_eq!(
            known.decide_offline(&token("a"), &params, at(0, 1_000)).status,
            AuthStatus::Expired
        );
        assert_eq!(
            known.decide_offline(&token("b"), &params, at(0, 1_000)).status,
            AuthStatus::Accepted
        );
    }

    #[test]
    fn online_the_cache_is_enough_only_with_pre_authorisation() {
        let (mut known, mut params) = (Known::default(), Params::default());
        known.learn(
            "s",
            &token("A"),
            &TokenInfo::of(AuthStatus::Accepted),
            &params,
            at(0, 0),
        );
        known.learn(
            "s",
            &token("B"),
            &TokenInfo::of(AuthStatus::Blocked),
            &params,
            at(0, 0),
        );
        assert_eq!(known.decide(&token("A"), true, &params, at(0, 0)), Decision::Ask);
        params.local_pre_authorize = true;
        assert!(matches!(
            known.decide(&token("A"), true, &params, at(0, 0)),
            Decision::Known(_)
        ));
        assert_eq!(known.decide(&token("B"), true, &params, at(0, 0)), Decision::Ask);
        assert_eq!(known.decide(&token("C"), true, &params, at(0, 0)), Decision::Ask);
    }

    #[test]
    fn a_verdict_already_known_is_not_written_again() {
        let (mut known, params) = (Known::default(), Params::default());
        let info = TokenInfo::of(AuthStatus::Accepted);
        let lesson = known.learn("s", &token("A"), &info, &params, at(0, 0));
        assert_eq!(lesson.puts.len(), 1);
        let lesson = known.learn("s", &token("A"), &info, &params, at(9, 9));
        assert!(lesson.puts.is_empty());
    }
}
