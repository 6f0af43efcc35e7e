//! burst-bridge: virtual nodes whose pods really run on a cloud.
//!
//! `node` keeps Node objects and leases true, `pods` drives each pod's life, `cloud` speaks to providers behind one
//! small trait, `kubelet` serves the port that the API server dials for logs and exec. State lives in the API server
//! and in tags on cloud instances, nowhere else.

pub mod account;
pub mod bridge;
pub mod cloud;
pub mod config;
pub mod gc;
pub mod http;
pub mod kubelet;
pub mod metrics;
pub mod node;
pub mod pods;
pub mod registry;
pub mod report;
pub mod streams;
pub mod supervisor;
pub mod uninstall;
pub mod usage;
