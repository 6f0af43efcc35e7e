//! Every metric of `burst-scheduler`: one enum of names, described in one place, handles built once.
//!
//! Never label by pod, by real node or by error text. What the snapshot already knows (capacity, virtual nodes) is
//! written at scrape time from the snapshot itself, see `gauges`, so that it cannot go stale.

mod gauges;
mod handles;
mod names;

pub use gauges::{gauges, leader};
pub use handles::{Call, Code, InFlight, Metrics, Mode, Verb};
pub use names::{Kind, Metric};
