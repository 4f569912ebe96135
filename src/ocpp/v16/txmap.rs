//! Which transaction of ours the CSMS calls by which number.

use crate::domain::TxId;

/// Sent for a transaction whose StartTransaction was given up (errata 3.18).
pub(super) const NO_ID: i32 = -1;

/// The map, oldest first. Kept as `tx/<TxId>` in the reader's scope.
#[derive(Debug, Default)]
pub(super) struct TxMap(Vec<(TxId, i32)>);

impl TxMap {
    pub(super) fn restored(pairs: &[(String, String)]) -> Self {
        let entry = |(key, value): &(String, String)| {
            let tx = TxId::new(key.strip_prefix("tx/")?);
            Some((tx, value.parse().ok()?))
        };
        Self(pairs.iter().filter_map(entry).collect())
    }

    /// The number to send for a transaction.
    pub(super) fn number(&self, tx: &TxId) -> i32 {
        self.0
            .iter()
            .find(|(known, _)| known == tx)
            .map_or(NO_ID, |(_, number)| *number)
    }

    /// The transaction the CSMS means; the newest where it gave one number twice.
    pub(super) fn tx(&self, number: i32) -> Option<&TxId> {
        let named = |(_, known): &&(TxId, i32)| *known == number && number != NO_ID;
        self.0.iter().rev().find(named).map(|(tx, _)| tx)
    }

    /// Learns a number; gives what to keep.
    pub(super) fn learn(&mut self, tx: &TxId, number: i32) -> (String, Option<String>) {
        self.0.retain(|(known, _)| known != tx);
        self.0.push((tx.clone(), number));
        (format!("tx/{tx}"), Some(number.to_string()))
    }

    /// Forgets an ended transaction; gives what to remove.
    pub(super) fn forget(&mut self, tx: &TxId) -> (String, Option<String>) {
        self.0.retain(|(known, _)| known != tx);
        (format!("tx/{tx}"), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_up_start_cannot_be_meant_by_the_csms() {
        let mut map = TxMap::restored(&[("tx/a".into(), "7".into()), ("key/X".into(), "1".into())]);
        map.learn(&TxId::new("b"), NO_ID);
        map.learn(&TxId::new("c"), 7);
        assert_eq!(map.tx(NO_ID), None);
        assert_eq!(map.tx(7), Some(&TxId::new("c")));
        assert_eq!(
            (map.number(&TxId::new("a")), map.number(&TxId::new("b"))),
            (7, -1)
        );
        map.forget(&TxId::new("c"));
        assert_eq!(map.tx(7), Some(&TxId::new("a")));
    }
}
