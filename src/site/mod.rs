//! What several EVSEs share: fuses. Pure.

mod fuse;
mod fuses;

pub use fuse::{Demand, Member};
pub use fuses::{Fuses, Shares};
