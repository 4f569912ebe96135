//! What the running gateway puts into a support bundle: texts by file name, without secrets.
//!
//! The journal is not read: that needs another process or more rights. The log is what this run has said last.

use super::bundle::{self, hide_tokens, without_secrets};
use crate::config;
use crate::domain::{Clock, CpId, Now, SiteSetup};
use crate::store::Store;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The ledger is not waited for any longer; what it has not said by then is left out.
const LEDGER_WAIT: Duration = Duration::from_secs(2);

/// What it is made of.
pub(super) struct Diagnostics {
    /// The site.
    pub setup: Arc<SiteSetup>,
    /// As told by the status question.
    pub status: Value,
    /// The ledger.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Diagnostics {
    /// The files, as `{"files": {name: text}}`.
    pub(super) async fn files(self) -> Value {
        let now = self.clock.now();
        let mut files = Map::new();
        let mut add = |name: &str, text: String| {
            let text = without_secrets(&text, &self.setup);
            files.insert(name.to_owned(), text.into());
        };
        add("configuration.toml", config::effective(&self.setup));
        add("state.json", pretty(&hide_tokens(self.status.clone())));
        add("ledger.json", self.ledger().await);
        add("log.txt", log(now));
        for cp in self.setup.charge_points.iter().map(|point| &point.id) {
            add(&format!("security-{cp}.jsonl"), self.security(cp).await);
        }
        json!({ "files": files })
    }

    async fn ledger(&self) -> String {
        match timeout(LEDGER_WAIT, self.store.stats()).await {
            Ok(Ok(stats)) => {
                serde_json::to_value(stats).map_or_else(|error| error.to_string(), |stats| pretty(&stats))
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {LEDGER_WAIT:?}"),
        }
    }

    async fn security(&self, cp: &CpId) -> String {
        match timeout(LEDGER_WAIT, self.store.security_log(cp)).await {
            Ok(Ok(events)) => bundle::security_lines(&events),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {LEDGER_WAIT:?}"),
        }
    }
}

fn log(now: Now) -> String {
    let lines = super::log::ring().all();
    let all = bundle::Window {
        oldest_ms: None,
        latest_ms: None,
    };
    bundle::log_lines(&lines, Instant::now(), now.wall.unix_ms, all).0
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
