//! What several EVSEs share: fuses. Pure.

mod fuse;

pub use fuse::{Demand, Fuse, FuseEffect, FuseInput, FuseSnapshot, Grant, Member};
