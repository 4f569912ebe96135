//! The local authorisation list: what the CSMS says of tokens in advance (OCPP 1.6 sections 3.5.2 and 5.15; 2.0.1 block D).
//!
//! Rules:
//! * Only the CSMS changes it, each time whole or not at all; it survives a restart.
//! * A whole list replaces what is there; changes are applied to a list that is older than they are.
//! * `ConcurrentTx` on the list marks a valid token (section 3.5.2).

use super::persist::put;
use crate::domain::{AuthStatus, LOCAL_LIST_MAX, ListOutcome, ListUpdate, Put, TokenInfo};
use std::collections::{BTreeMap, BTreeSet};

/// Longest token on the list; none of any dialect is longer.
const KEY_MAX: usize = 64;

/// Where the version is stored; the entries lie under `list/<token>`.
const VERSION: &str = "list";

/// The local authorisation list.
#[derive(Debug, Default)]
pub(super) struct LocalList {
    version: i32,
    entries: BTreeMap<String, TokenInfo>,
}

impl LocalList {
    /// Takes back the stored version.
    pub(super) fn restore_version(&mut self, value: &str) {
        self.version = value.parse().unwrap_or(0);
    }

    /// Takes back an entry stored under `list/<key>`.
    pub(super) fn restore(&mut self, key: &str, value: &str) {
        if let Ok(info) = serde_json::from_str(value)
            && self.entries.len() < LOCAL_LIST_MAX
        {
            self.entries.insert(key.to_owned(), info);
        }
    }

    /// Its version; 0 says that it is empty.
    pub(super) fn version(&self) -> i32 {
        if self.entries.is_empty() { 0 } else { self.version }
    }

    /// What it says of a token.
    pub(super) fn get(&self, key: &str) -> Option<TokenInfo> {
        let mut info = self.entries.get(key)?.clone();
        if info.status == AuthStatus::ConcurrentTx {
            info.status = AuthStatus::Accepted;
        }
        Some(info)
    }

    /// Changes it; the puts make the change last.
    pub(super) fn update(&mut self, scope: &str, update: &ListUpdate) -> (ListOutcome, Vec<Put>) {
        match self.changed(update) {
            Ok(entries) => {
                let puts = self.puts(scope, &entries, update.version);
                self.version = update.version;
                self.entries = entries;
                (ListOutcome::Accepted, puts)
            }
            Err(outcome) => (outcome, Vec::new()),
        }
    }

    fn changed(&self, update: &ListUpdate) -> Result<BTreeMap<String, TokenInfo>, ListOutcome> {
        if update.version < 1 {
            return Err(ListOutcome::Failed("a version is 1 or more"));
        }
        if !update.whole && update.version <= self.version() {
            return Err(ListOutcome::VersionMismatch);
        }
        let mut entries = if update.whole {
            BTreeMap::new()
        } else {
            self.entries.clone()
        };
        let mut named = BTreeSet::new();
        for (token, info) in &update.entries {
            let key = token.key();
            if key.is_empty() || key.len() > KEY_MAX {
                return Err(ListOutcome::Failed("a token is empty or too long"));
            }
            if !named.insert(key.clone()) {
                return Err(ListOutcome::Failed("a token is named twice"));
            }
            match info {
                Some(info) => {
                    entries.insert(key, info.clone());
                }
                None if update.whole => {
                    return Err(ListOutcome::Failed("a whole list says something of every token"));
                }
                None => {
                    entries.remove(&key);
                }
            }
        }
        if entries.len() > LOCAL_LIST_MAX {
            return Err(ListOutcome::Failed("the list would be too long"));
        }
        Ok(entries)
    }

    /// Only what differs is written.
    fn puts(&self, scope: &str, entries: &BTreeMap<String, TokenInfo>, version: i32) -> Vec<Put> {
        let at = |key: &str| format!("list/{key}");
        let gone = self.entries.keys().filter(|key| !entries.contains_key(*key));
        let mut puts: Vec<Put> = gone.map(|key| put(scope, at(key), None)).collect();
        let news = entries
            .iter()
            .filter(|(key, info)| self.entries.get(*key) != Some(*info));
        puts.extend(news.map(|(key, info)| put(scope, at(key), serde_json::to_string(info).ok())));
        puts.push(put(scope, VERSION.to_owned(), Some(version.to_string())));
        puts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{IdToken, TokenKind};

    fn entry(text: &str, status: AuthStatus) -> (IdToken, Option<TokenInfo>) {
        (IdToken::new(text, TokenKind::Local), Some(TokenInfo::of(status)))
    }

    fn update(version: i32, whole: bool, entries: Vec<(IdToken, Option<TokenInfo>)>) -> ListUpdate {
        ListUpdate {
            version,
            whole,
            entries,
        }
    }

    fn full(entries: usize) -> LocalList {
        let mut list = LocalList::default();
        for n in 0..entries {
            list.entries
                .insert(format!("t{n}"), TokenInfo::of(AuthStatus::Accepted));
        }
        list.version = 1;
        list
    }

    #[test]
    fn a_list_that_would_be_too_long_changes_nothing() {
        let mut list = full(LOCAL_LIST_MAX);
        let one_more = update(2, false, vec![entry("new", AuthStatus::Accepted)]);
        let (outcome, puts) = list.update("s", &one_more);
        assert!(matches!(outcome, ListOutcome::Failed(_)) && puts.is_empty());
        assert_eq!((list.version(), list.get("new")), (1, None));
        let instead = vec![
            entry("new", AuthStatus::Accepted),
            (IdToken::new("T0", TokenKind::Local), None),
        ];
        assert_eq!(
            list.update("s", &update(2, false, instead)).0,
            ListOutcome::Accepted
        );
    }

    #[test]
    fn only_what_differs_is_written() {
        let mut list = full(3);
        let same = vec![
            entry("T0", AuthStatus::Accepted),
            entry("T1", AuthStatus::Blocked),
        ];
        let (_, puts) = list.update("s", &update(7, true, same));
        let keys: Vec<&str> = puts.iter().map(|put| put.key.as_str()).collect();
        assert_eq!(keys, ["list/t2", "list/t1", "list"]);
    }
}
