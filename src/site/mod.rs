//! What several EVSEs share: fuses, and what all of them together may draw. Pure.

mod fuse;
mod fuses;
mod most;

pub use fuse::{Demand, Member};
pub use fuses::{Fuses, Shares};
pub use most::{Feeder, Most, Outlet, Restrictor, most};
