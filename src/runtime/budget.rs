//! What each back end costs in bytes, over restarts, and the stage that follows from its budget.
//!
//! Written seldom, for the sake of the flash: every quarter of an hour, when a stage changes, and at the end. A kill loses a
//! quarter of an hour of one back end's bytes at most.

use crate::domain::{Account, Batch, Bytes, Mono, Now, Put, Thrift};
use crate::store::{Store, StoreError};
use crate::telemetry::Budget;
use crate::telemetry::metrics::AccountFigures;
use std::collections::BTreeMap;
use std::time::Duration;

/// Scope of the store.
const SCOPE: &str = "traffic";
/// How often what has changed is written.
const WRITE_EVERY: Duration = Duration::from_secs(900);

/// One back end.
#[derive(Clone, Debug, Default)]
struct Entry {
    account: Account,
    /// How far the count of this process has been booked.
    seen: Bytes,
    /// It is there in this run.
    counts: bool,
    changed: bool,
}

/// The accounts of all back ends.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    entries: BTreeMap<String, Entry>,
    budgets: BTreeMap<String, u64>,
    booked_at: Mono,
    written_at: Mono,
    /// A stage has changed: not to wait.
    urgent: bool,
}

impl Accounts {
    /// As the last run has left them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(store: &Store, now: Now) -> Result<Self, StoreError> {
        let mut accounts = Self {
            booked_at: now.mono,
            written_at: now.mono,
            ..Self::default()
        };
        for (back_end, text) in store.scope(SCOPE).await? {
            match serde_json::from_str(&text) {
                Ok(account) => {
                    let entry = Entry {
                        account,
                        ..Entry::default()
                    };
                    accounts.entries.insert(back_end, entry);
                }
                Err(error) => tracing::warn!(back_end, "its account of bytes begins anew: {error}"),
            }
        }
        Ok(accounts)
    }

    /// Budgets as configured now.
    pub fn allow(&mut self, budgets: &BTreeMap<String, u64>) {
        self.budgets.clone_from(budgets);
    }

    /// Books what was counted up to now.
    pub fn book(&mut self, now: Now, counts: &BTreeMap<String, Bytes>) {
        let passed = now.mono.since(self.booked_at);
        self.booked_at = now.mono;
        let passed_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        for (back_end, count) in counts {
            let entry = self.entries.entry(back_end.clone()).or_default();
            let more = count.since(entry.seen);
            (entry.seen, entry.counts) = (*count, true);
            entry.account.book(now, passed_ms, more);
            entry.changed |= more != Bytes::default();
            let budget = self.budgets.get(back_end).copied();
            if entry.account.judge(now, budget) {
                entry.changed = true;
                self.urgent = true;
                announce(back_end, &entry.account, budget);
            }
        }
    }

    /// How sparing a back end is to be told things.
    pub fn thrift(&self, back_end: &str) -> Thrift {
        self.entries
            .get(back_end)
            .map(|entry| entry.account.thrift)
            .unwrap_or_default()
    }

    /// What is to be written now, if it is time to.
    pub fn due(&mut self, now: Now) -> Option<Batch> {
        if !self.urgent && now.mono.since(self.written_at) < WRITE_EVERY {
            return None;
        }
        (self.written_at, self.urgent) = (now.mono, false);
        self.unwritten()
    }

    /// What has changed since it was written last.
    pub fn unwritten(&mut self) -> Option<Batch> {
        let mut puts = Vec::new();
        for (back_end, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.changed) {
            entry.changed = false;
            puts.push(Put {
                scope: SCOPE.to_owned(),
                key: back_end.clone(),
                value: serde_json::to_string(&entry.account).ok(),
            });
        }
        (!puts.is_empty()).then(|| Batch {
            puts,
            ..Batch::default()
        })
    }

    /// For metrics and status: those that are there.
    pub fn figures(&self) -> Vec<AccountFigures> {
        let figures = |(back_end, entry): (&String, &Entry)| AccountFigures {
            back_end: back_end.clone(),
            account: entry.account,
            budget: self.budgets.get(back_end).copied(),
        };
        self.entries
            .iter()
            .filter(|(_, entry)| entry.counts)
            .map(figures)
            .collect()
    }
}

/// For the health of the gateway: those that have a budget.
pub(super) fn budgets(accounts: &[AccountFigures]) -> Vec<Budget> {
    let budget = |figures: &AccountFigures| {
        Some(Budget {
            back_end: figures.back_end.clone(),
            month_bytes: figures.account.month.bytes.total(),
            budget_bytes: figures.budget?,
            stage: figures.account.thrift.word(),
        })
    };
    accounts.iter().filter_map(budget).collect()
}

fn announce(back_end: &str, account: &Account, budget: Option<u64>) {
    let (used, budget) = (account.month.bytes.total(), budget.unwrap_or(0));
    match account.thrift {
        Thrift::Free => tracing::info!(
            back_end,
            used,
            budget,
            "bytes are within the budget: everything is told again"
        ),
        Thrift::Sparing => {
            tracing::warn!(
                back_end,
                used,
                budget,
                "bytes near the budget: periodic samples and measured values are told seldom"
            );
        }
        Thrift::Bare => {
            tracing::warn!(
                back_end,
                used,
                budget,
                "bytes over the budget so far: periodic samples and measured values are told hardly or not at all"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ClockQuality, Wall};

    fn at(second: u64) -> Now {
        Now {
            mono: Mono(second * 1_000),
            wall: Wall {
                unix_ms: 1_772_000_000_000 + i64::try_from(second).unwrap() * 1_000,
                quality: ClockQuality::Ntp,
            },
            ..Now::default()
        }
    }

    fn counts(sent: u64) -> BTreeMap<String, Bytes> {
        let bytes = Bytes { sent, received: 0 };
        [("CP1/main".to_owned(), bytes)].into()
    }

    #[tokio::test]
    async fn bytes_are_booked_once_and_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path()).unwrap();
        let mut accounts = Accounts::load(&store, at(0)).await.unwrap();
        accounts.book(at(1), &counts(100));
        accounts.book(at(2), &counts(150));
        assert!(accounts.due(at(3)).is_none(), "written seldom");
        let batch = accounts.due(at(900)).expect("a quarter of an hour has passed");
        store.commit(batch).await.unwrap();
        assert!(accounts.due(at(1_800)).is_none(), "nothing has changed");
        // The next run counts from zero.
        let mut next = Accounts::load(&store, at(0)).await.unwrap();
        next.book(at(1), &counts(30));
        assert_eq!(next.figures()[0].account.month.bytes.sent, 180);
        store.close().await;
    }

    #[tokio::test]
    async fn a_stage_that_changes_is_written_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path()).unwrap();
        let mut accounts = Accounts::load(&store, at(0)).await.unwrap();
        accounts.allow(&[("CP1/main".to_owned(), 1_000)].into());
        accounts.book(at(1), &counts(5_000));
        assert_eq!(accounts.thrift("CP1/main"), Thrift::Bare);
        assert!(accounts.due(at(2)).is_some());
        assert_eq!(budgets(&accounts.figures())[0].stage, "bare");
        accounts.allow(&BTreeMap::new());
        accounts.book(at(3), &counts(5_000));
        assert_eq!(accounts.thrift("CP1/main"), Thrift::Free);
        assert!(accounts.due(at(4)).is_some() && budgets(&accounts.figures()).is_empty());
        store.close().await;
    }
}
