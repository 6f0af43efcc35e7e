//! The life of the pods that are bound to a virtual node.
//!
//! [`machine`] is the transition table of one pod, [`table`] the pods of one node (both pure), [`driver`] makes the calls
//! they ask for. State lives in the API server and in tags on instances; everything here can be lost at any moment.

mod backend;
pub mod backoff;
mod beside;
mod calls;
mod deletion_cost;
pub mod driver;
mod entry;
pub mod ground;
pub mod hand_back;
pub mod machine;
pub mod permits;
mod resolve;
pub mod status;
pub mod stock;
pub mod table;
mod warned;
mod words;

pub use backend::NodeBackend;
pub use deletion_cost::Wish;
pub use driver::{Driver, Handle, NodeDown};
pub use ground::Ground;
pub use resolve::KubeResolve;
