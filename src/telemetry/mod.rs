//! Sideways shell: what a site operator lives on. Bounded everywhere: it can never slow the paths of money and safety.
//!
//! | file | what |
//! |---|---|
//! | `client` | one connection to an MQTT broker |
//! | `event` | what is published of things that happen |
//! | `mqtt` | the own topic tree |
//! | `units` | numbers, times and names as they are published |
//! | `payload` | what is published, one type per payload |
//! | `picture` | all that is known at one moment, and what happened in between |
//! | `shown` | where every key of every payload is shown (tests) |
//! | `metrics` | the endpoint for Prometheus |
//! | `sparkplug` | the gateway as an edge node of Sparkplug B |
//! | `ha` | Home Assistant |
//! | `doctor` | what is wrong between here and a broker |

pub mod client;
pub mod doctor;
mod event;
pub mod ha;
pub mod metrics;
pub mod mqtt;
mod payload;
mod picture;
#[cfg(test)]
mod shown;
pub mod sparkplug;
mod units;

pub use event::{Change, EVENT_TYPES, Event, EventData, Record, RecordKind, Response, ResponseStatus};
pub use payload::{
    Budget, BusState, Csms, Health, Info, Latency, LinkState, MeterState, Phases, PointState, Queue, SCHEMA,
    Session, SiteState, Status,
};
pub use picture::{Device, Easel, Happening, Meter, Picture, Point, Reach, Totals, View, What};
pub use units::{At, Milli, Slug};
