//! `burst-scheduler`: scheduler extender, admission webhook, capacity API and page.
//!
//! Decisions are made by the `policies` crate from a snapshot of the `cluster` crate; this crate reads requests, writes
//! replies, and keeps both fast. It must never hold cloud code, and no request handler may use a Kubernetes client
//! itself: connections belong to the runtime that polls them.

pub mod admission;
pub mod app;
pub mod config;
pub mod decisions;
pub mod http;
pub mod leader;
pub mod metrics;
pub mod observer;
pub mod page;
pub mod run;
pub mod tls;
pub mod verbs;
pub mod wire;
