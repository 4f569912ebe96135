//! What meters say that name their values by OBIS codes (IEC 62056-61), whatever carries them: SML, IEC 62056-21 text,
//! P1 telegrams. Pure.
//!
//! * [`code`]: the codes. [`unit`]: units and exact numbers. [`item`]: a code with its value.
//! * [`map`]: which codes of a profile become which readings and facts.
//! * [`text`]: data lines `code(value*unit)`. [`shape`]: what stands in for a checksum where there is none.
//! * [`presence`]: whether a device is heard. [`listener`]: the machine of a meter that speaks by itself.

pub(super) mod code;
pub(super) mod item;
pub(super) mod listener;
pub(super) mod map;
pub(super) mod presence;
pub(super) mod shape;
pub(super) mod text;
pub(super) mod unit;

pub use code::ObisCode;
pub use map::{ObisMeaning, ObisPoint, Term};
pub use unit::Unit;
