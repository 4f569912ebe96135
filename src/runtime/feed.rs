//! The store as an uplink sees it.

use crate::domain::{Batch, CpId, Row};
use crate::store::Store;
use crate::uplink::Feed;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::time::Duration;

/// Wait before a question the store could not answer is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// One charge point's view of the ledger.
#[derive(Clone, Debug)]
pub struct StoreFeed {
    /// The store.
    pub store: Store,
    /// Whose rows.
    pub cp: CpId,
}

impl Feed for StoreFeed {
    fn rows(&self, after: u64, limit: usize) -> BoxFuture<'_, Vec<Row>> {
        async move {
            loop {
                match self.store.rows(&self.cp, after, limit).await {
                    Ok(rows) => return rows,
                    Err(error) => {
                        tracing::error!(cp = %self.cp, "cannot read the ledger: {error}; trying again");
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        }
        .boxed()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, bool> {
        async move {
            match self.store.commit(batch).await {
                Ok(_) => true,
                Err(error) => {
                    tracing::error!(cp = %self.cp, "cannot note what the CSMS has acknowledged: {error}");
                    false
                }
            }
        }
        .boxed()
    }
}
