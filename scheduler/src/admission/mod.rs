//! The admission webhook: policy labels become tolerations and affinity before the scheduler sees the pod.
//!
//! What is written is decided by `policies::admission`; here a review is read, what it needs is looked up within a
//! deadline below the webhook's timeout, and the answer is written. A look-up that fails is no verdict: the call
//! fails, and the webhook's `failurePolicy` decides, which is `Fail` only in namespaces with burst workloads.

mod lookups;
mod pods;
mod provider;
pub mod review;
mod workloads;

pub use lookups::{LookupError, Lookups};
pub use pods::pod;
pub use workloads::workload;

use std::time::Duration;

/// Time for all look-ups of one review; the webhook's timeout is 2 s.
pub const DEADLINE: Duration = Duration::from_millis(1500);
