//! Slim owned forms of Pod and Node: only what decisions need, decoded leniently.
//!
//! One object that cannot be decoded must never stop a watch: what is unreadable falls back to its identity and is
//! counted. Facts: core/v1 Pod and Node; watch events carry `type` before `object`.

mod node;
mod pod;
pub(crate) mod wire;

pub use node::SlimNode;
pub(crate) use wire::identity_of;

pub use pod::{OwnerRef, PodPhase, SlimPod};
