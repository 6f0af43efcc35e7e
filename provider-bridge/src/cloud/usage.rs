//! What instances use, in the words of Kubernetes' `stats/v1alpha1`: as much of it as a cloud tells.

use jiff::Timestamp;

/// What one instance uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// UID of the pod it was made for.
    pub pod_uid: String,
    /// Its containers, those among them that the pod itself does not have.
    pub containers: Vec<ContainerUsage>,
    /// Its network interfaces, where the cloud tells.
    pub interfaces: Vec<Interface>,
}

/// What one container uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerUsage {
    /// Name of the container.
    pub name: String,
    /// When it was measured.
    pub at: Timestamp,
    /// CPU in use, averaged over the cloud's own window: thousand-millionths of a core.
    pub nano_cores: Option<u64>,
    /// CPU used since the container's start: core-nanoseconds.
    pub core_nano_seconds: Option<u64>,
    /// Memory.
    pub memory: Memory,
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Left below the limit.
    pub available: Option<u64>,
    /// All of it, caches included.
    pub usage: Option<u64>,
    /// What cannot be given back under pressure; what `kubectl top` shows.
    pub working_set: Option<u64>,
    /// Anonymous memory.
    pub rss: Option<u64>,
}

impl Memory {
    /// What both use; a number that one of them does not say is not known of the sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sum = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
        Self {
            available: sum(self.available, other.available),
            usage: sum(self.usage, other.usage),
            working_set: sum(self.working_set, other.working_set),
            rss: sum(self.rss, other.rss),
        }
    }

    /// Nothing, exactly known: where a sum begins.
    pub const NOTHING: Self = Self { available: Some(0), usage: Some(0), working_set: Some(0), rss: Some(0) };
}

/// What went through a network interface since it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name: `eth0`.
    pub name: String,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Errors while receiving.
    pub rx_errors: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Errors while sending.
    pub tx_errors: u64,
}
