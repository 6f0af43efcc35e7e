//! The admission webhook: policy labels become tolerations and affinity before the scheduler sees the pod.
//!
//! What is written is decided by `policies::admission`; here a review is read, what it needs is looked up within a
//! deadline below the webhook's timeout, and the answer is written. A look-up that fails is no verdict: the call
//! fails, and the webhook's `failurePolicy` decides, which is `Fail` only in namespaces with burst workloads.

mod lookups;
mod marking;
mod pods;
mod provider;
mod resize;
pub mod review;
mod workloads;

pub use lookups::{LookupError, Lookups};
pub use pods::pod;
pub use resize::resize;
pub use workloads::workload;

use std::time::Duration;

use cluster::Snapshot;
use cluster::kept::Kept;
use policies::decide::score::LocalLoad;

use crate::app::{App, Settings};
use crate::verbs::Stock;

/// Time for all look-ups of one review; the webhook's timeout is 2 s.
pub const DEADLINE: Duration = Duration::from_millis(1500);

/// What a review is judged by.
#[derive(Debug)]
pub struct Around<'a> {
    /// The picture of the cluster.
    pub snapshot: &'a Snapshot,
    /// Whether the picture may be believed; if not, why.
    pub fresh: Result<(), String>,
    /// Settings.
    pub settings: &'a Settings,
    /// What has to be asked of the API server.
    pub lookups: &'a Lookups,
    /// Room and use of the real nodes together, of the same picture.
    pub load: LocalLoad,
    /// Whether some place is sold out now.
    pub sold_out: bool,
}

impl<'a> Around<'a> {
    /// As of the picture, see [`App::picture`].
    pub fn of(app: &'a App, (snapshot, load): (&'a Snapshot, LocalLoad)) -> Self {
        let reports = app.reports.get().map(Kept::objects);
        let sold_out =
            reports.as_deref().map(Stock::as_of_now).is_some_and(|stock| stock.sold_out_somewhere());
        Self { snapshot, fresh: app.fresh(), settings: &app.settings, lookups: &app.lookups, load, sold_out }
    }
}
