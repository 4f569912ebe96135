//! Emulated boards in qemu, without KVM: a PC with a real 16550 UART, and an arm64 board with a real kernel GPIO chip
//! that runs a static arm64 binary of this source. `tests/boards/setup.sh` loads their kernels.
#![allow(
    clippy::too_many_lines,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "not a pure room"
)]

mod agent;
mod arm64;
mod cpio;
mod debian;
mod guest;
mod machine;
mod processor;
#[path = "../gateway/slave.rs"]
mod slave;
mod story;
mod uart;
