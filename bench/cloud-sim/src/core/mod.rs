//! What every façade stands on: the object store with its watch history, the instances and their lives, the clock and
//! the billing meter. It knows nothing of HTTP.

pub(crate) mod clock;
pub(crate) mod driver;
pub(crate) mod instances;
pub(crate) mod kind;
pub(crate) mod life;
pub(crate) mod logs;
pub(crate) mod meter;
pub(crate) mod plan;
pub(crate) mod resolve;
pub(crate) mod selector;
pub(crate) mod store;
pub(crate) mod usage;
