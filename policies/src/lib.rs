//! What burst decides, as pure functions: where a pod may run, where it should, why, and at what size.
//!
//! No IO, no async runtime, no Kubernetes client types, no clock, no randomness, no globals: callers pass plain
//! rows in and get values out. Everything here can be tabled, fuzzed, replayed and simulated.

pub mod admission;
pub mod burst_policy;
pub mod crds;
pub mod daemons;
pub mod decide;
pub mod import;
pub mod keys;
pub mod ledger;
pub mod money;
pub mod node;
pub mod pod;
pub mod policy;
pub mod price;
pub mod proof;
pub mod providers;
pub mod quantity;
pub mod reasons;
pub mod resolve;
pub mod resources;
pub mod scheduler_config;
pub mod selector;
pub mod shape;
pub mod simulate;
pub mod stock;
pub mod support;
