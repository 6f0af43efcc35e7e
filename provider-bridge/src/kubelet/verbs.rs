//! One file per verb of the kubelet port.

pub(crate) mod container_logs;
pub(crate) mod exec;
pub(crate) mod pods;
pub(crate) mod port_forward;
pub(crate) mod run;
pub(crate) mod stats;
