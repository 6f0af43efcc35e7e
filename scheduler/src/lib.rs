//! `burst-scheduler`: scheduler extender, admission webhook, capacity API and page.

pub mod config;
pub mod decisions;
pub mod metrics;
pub mod tls;
pub mod wire;
