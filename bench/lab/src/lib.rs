//! The lab: a real Kubernetes control plane in namespaces of its own, for the demo, the end-to-end tests and the benchmarks.
//!
//! A program calls [`enter`] first thing in `main`: outside, it builds what is missing and runs itself again under its
//! own network, mount and pid namespace; inside, `enter` returns and [`Lab::start`] brings up etcd, kube-apiserver,
//! kube-controller-manager and kwok. The pid namespace makes sure that no process survives the program, however it ends.

mod binaries;
mod browser;
mod ca;
mod clouds;
mod control_plane;
mod enter;
mod host_ports;
mod kubeconfig;
mod kubectl;
mod ports;
mod process;
mod schedulers;
mod service_proxy;
mod stack;
mod wait;
mod workload;

pub use binaries::{Tools, built_binary, ensure_tools, repository_root};
pub use browser::ensure_chromium;
pub use ca::{Authority, Issued};
pub use clouds::{AnotherCloud, CloudApi};
pub use control_plane::{Lab, LabOptions, SchedulerChoice};
pub use enter::{Entry, enter, shutdown_requested};
pub use host_ports::HostPorts;
pub use process::Process;
pub use schedulers::{AnotherScheduler, scheduler_get, yaml};
pub use service_proxy::{ServiceProxy, ensure_service_proxy};
pub use stack::{
    CloudRuntime, CubeNodes, Driver, Stack, StackOptions, cci2_node, cube_node, eci_node,
    prepare_deciding_side, start_deciding_side,
};
pub use wait::{eventually, eventually_within};
pub use workload::Workload;

/// The one address of everything in the lab: InternalIP of nodes, hostIP, advertise address. The API server refuses to
/// proxy to loopback, and this range (RFC 2544) is nobody's.
pub const ADDRESS: &str = "198.18.0.1";

/// Address and prefix of the bridge that instances with a network namespace of their own are attached to.
pub const BRIDGE_SUBNET: &str = "198.18.64.0/18";

/// Name of that bridge.
pub const BRIDGE: &str = "lab0";
