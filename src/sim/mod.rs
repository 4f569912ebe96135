//! The simulated world, for demo, tests and benches: chargers and meters made from the same profiles that drive the
//! real ones, vehicles, serial lines at their real speed with noise, and a small CSMS. No production room uses it.

mod ascii;
mod body;
pub mod broker;
pub mod clock;
pub mod csms;
mod device;
mod duties;
mod ev;
mod face;
mod invert;
mod line;
mod meter;
mod process;
mod rapi;
pub mod slave;
mod speech;
pub mod story;
mod tcp;
pub mod telegram;
mod twc;
mod wire;
mod world;

pub use body::{Body, Supervision, Write};
pub use device::{DeviceSpec, SimDevice};
pub use ev::{Energy, Ev, EvSpec, Flow};
pub use face::{Effect, Face};
pub use line::{Line, LineSetup};
pub use process::{GatewayProcess, ProcessError, status};
pub use tcp::TcpServer;
pub use wire::{Fault, Format, Noise, Wire, WireRules, WireStats};
pub use world::{STEP_MS, Unknown, World, WorldSpec};
