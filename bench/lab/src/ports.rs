//! Where the processes of a control plane listen, so that two can run side by side in one lab.

use crate::ADDRESS;

/// Ports and addresses of one control plane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    /// kube-apiserver.
    pub(crate) api: u16,
    /// etcd, for clients.
    pub(crate) etcd: u16,
    /// etcd, for its peers.
    pub(crate) peers: u16,
    /// kube-controller-manager.
    pub(crate) controllers: u16,
    /// kube-scheduler.
    pub(crate) scheduler: u16,
    /// kwok's kubelet port.
    pub(crate) kubelets: Option<u16>,
    /// Addresses of pods on kwok's nodes.
    pub(crate) pods: &'static str,
}

impl Ports {
    /// Of the control plane that everything else is about.
    pub(crate) const FIRST: Self = Self {
        api: 6443,
        etcd: 2379,
        peers: 2380,
        controllers: 10257,
        scheduler: 10259,
        kubelets: None,
        pods: "198.18.32.0/19",
    };

    /// Of one beside it.
    pub(crate) const SECOND: Self = Self {
        api: 6543,
        etcd: 2479,
        peers: 2480,
        controllers: 10457,
        scheduler: 10459,
        kubelets: Some(10447),
        pods: "198.18.128.0/19",
    };

    /// Base URL of the API server.
    pub(crate) fn server(self) -> String {
        format!("https://{ADDRESS}:{}", self.api)
    }
}
