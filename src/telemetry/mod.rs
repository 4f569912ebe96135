//! Sideways shell: what a site operator lives on. Bounded everywhere: it can never slow the paths of money and safety.
//!
//! | file | what |
//! |---|---|
//! | `units` | numbers, times and names as they are published |
//! | `payload` | what is published, one type per payload |
//! | `picture` | all that is known at one moment, and what happened in between |
//! | `shown` | where every key of every payload is shown |
//! | `ha` | Home Assistant |

pub mod ha;
mod payload;
mod picture;
mod shown;
mod units;

pub use payload::{
    BusState, Csms, Health, Info, Latency, LinkState, MeterState, Phases, PointState, Queue, SCHEMA, Session,
    SiteState, Status,
};
pub use picture::{Device, Easel, Happening, Measures, Meter, Picture, Point, Reach, Totals, View, What};
pub use shown::{SHOWN, Shown, Where};
pub use units::{At, Milli, Slug};
