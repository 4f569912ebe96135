//! What several EVSEs share: fuses. Pure.

mod fuse;
mod fuses;

pub use fuse::{Demand, Fuse, FuseEffect, FuseInput, FuseSnapshot, Grant, Member};
pub use fuses::{Fuses, Shares};
