//! Virtual nodes: what each Node object must say, and the tasks that keep it saying so.
//!
//! A cloud outage is a condition and a taint with hysteresis, never a NotReady: the pods run on, and NotReady evicts them.

mod desired;
mod keeper;
mod outage;

pub use desired::{Desired, NodeView, reconcile};
pub use keeper::{KeeperSettings, keep};
pub use outage::{CloudHealth, Outage};
