//! The heart: per-EVSE state, transactions, authorisation, limit arbitration, safe state. Pure.
