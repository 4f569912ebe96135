//! Metrics for Prometheus and whoever speaks like it: off unless configured, on this machine alone unless signed for.
//!
//! | file | what |
//! |---|---|
//! | `table` | every metric, as data |
//! | `figures` | what a scrape tells beside the picture, and how both become samples |
//! | `page` | the two text formats, and which of them is wanted |
//! | `server` | the endpoint |

mod figures;
mod page;
mod server;
mod table;

pub use figures::{
    AccountFigures, Figures, LedgerFigures, LinkFigures, MqttFigures, ProcessFigures, RecordQueue,
    SparkplugFigures, bus_state, page as samples,
};
pub use page::{Format, Page};
pub use server::{Exhibit, Source, serve};
pub use table::{Kind, METRICS, Metric, document};
