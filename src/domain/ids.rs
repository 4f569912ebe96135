//! Identities. Each is a type of its own, so that a bus can never be passed where a device is meant.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps an id that was already checked by the configuration or read back from the store.
            #[must_use]
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// A charge point as the CSMS knows it (last segment of the OCPP URL), `[A-Za-z0-9_-]{1,36}`.
    CpId
);
text_id!(
    /// A south-side port: one RS-485 line or one TCP endpoint.
    BusId
);
text_id!(
    /// A charger or meter on a bus, as named in the configuration.
    DeviceId
);
text_id!(
    /// A ledger reader: one back end of one charge point that must not miss a row.
    ReaderId
);
text_id!(
    /// A transaction's own id, a UUID; the 2.x transactionId and the key of the 1.6 id map.
    TxId
);

/// An EVSE within its charge point, counted from 1 (OCPP 1.6 connectorId, 2.x evseId).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EvseId(pub u16);

impl fmt::Display for EvseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
