//! What several EVSEs share: fuses. Pure.
