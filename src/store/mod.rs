//! The only room that speaks SQL: ledger, readers, key-value state.
