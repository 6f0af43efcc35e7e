//! Amounts of compute, in integers: what a pod asks for and what a node has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An amount of each resource that a decision looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub cpu_milli: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Ephemeral storage in bytes.
    pub ephemeral_storage_bytes: u64,
    /// GPUs, whole devices, summed over the vendors' resource names.
    pub gpu: u64,
    /// Pods: 1 for a pod, the pod limit for a node.
    pub pods: u64,
}

impl Resources {
    /// Sum, saturating: an absurd sum stays absurd instead of wrapping to something that fits.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            ephemeral_storage_bytes: self
                .ephemeral_storage_bytes
                .saturating_add(other.ephemeral_storage_bytes),
            gpu: self.gpu.saturating_add(other.gpu),
            pods: self.pods.saturating_add(other.pods),
        }
    }

    /// Difference, never below zero.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_sub(other.cpu_milli),
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
            ephemeral_storage_bytes: self
                .ephemeral_storage_bytes
                .saturating_sub(other.ephemeral_storage_bytes),
            gpu: self.gpu.saturating_sub(other.gpu),
            pods: self.pods.saturating_sub(other.pods),
        }
    }

    /// The larger of each resource.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.max(other.cpu_milli),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            ephemeral_storage_bytes: self.ephemeral_storage_bytes.max(other.ephemeral_storage_bytes),
            gpu: self.gpu.max(other.gpu),
            pods: self.pods.max(other.pods),
        }
    }

    /// Whether `self` fits into `room`, every resource of it.
    pub const fn fits(self, room: Self) -> bool {
        self.cpu_milli <= room.cpu_milli
            && self.memory_bytes <= room.memory_bytes
            && self.ephemeral_storage_bytes <= room.ephemeral_storage_bytes
            && self.gpu <= room.gpu
            && self.pods <= room.pods
    }
}
