//! What a trace says: pods with a life, nodes with room. Plain rows; whoever reads the files fills them.
//!
//! A million pods are kept, so what many of them share (namespace, labels, owner, …) is kept once as [`Traits`].

use std::collections::{BTreeMap, HashMap};

use crate::resources::Resources;

/// Largest amount of anything in a row: a million cores in milli-cores, a pebibyte in MiB. Keeps every product of two
/// amounts within 64 bits and of four within 128.
pub const MAX_AMOUNT: u64 = 1 << 30;
/// An amount of a virtual node that is not limited.
pub const ENDLESS: u32 = u32::MAX;
/// Largest time in a row, in seconds: 3 000 years.
pub const MAX_SECONDS: i64 = 100_000_000_000;

/// What a pod asks for, or what is free on a node. No field above [`MAX_AMOUNT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Size {
    /// CPU in thousandths of a core.
    pub cpu_milli: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// GPUs, whole devices.
    pub gpu: u32,
    /// Pods: 1 for a pod, the limit for a node.
    pub pods: u32,
}

impl Size {
    /// As the decision engine counts.
    pub fn resources(self) -> Resources {
        Resources {
            cpu_milli: u64::from(self.cpu_milli),
            memory_bytes: u64::from(self.memory_mib) << 20,
            ephemeral_storage_bytes: 0,
            gpu: u64::from(self.gpu),
            pods: u64::from(self.pods),
        }
    }

    /// Whether it fits into `room`.
    pub const fn fits(self, room: Self) -> bool {
        self.cpu_milli <= room.cpu_milli
            && self.memory_mib <= room.memory_mib
            && self.gpu <= room.gpu
            && self.pods <= room.pods
    }

    /// Sum, saturating.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
            gpu: self.gpu.saturating_add(other.gpu),
            pods: self.pods.saturating_add(other.pods),
        }
    }

    /// Difference, never below zero.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_sub(other.cpu_milli),
            memory_mib: self.memory_mib.saturating_sub(other.memory_mib),
            gpu: self.gpu.saturating_sub(other.gpu),
            pods: self.pods.saturating_sub(other.pods),
        }
    }
}

/// What many pods share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Traits {
    /// Namespace.
    pub namespace: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Kind and name of the workload that owns the pod; an empty name is no owner.
    pub owner: (String, String),
    /// Models of GPU it can use; empty means any.
    pub gpu_models: Vec<String>,
    /// The group that goes together; empty means none.
    pub gang: String,
}

/// One pod of a trace. It exists from `created` until `deleted`, wherever it is, placed or waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Name, unique in its namespace.
    pub name: Box<str>,
    /// What it asks for, `pods` is 1.
    pub size: Size,
    /// Seconds after the start of the trace.
    pub created: i64,
    /// Seconds after the start of the trace; not before `created`.
    pub deleted: i64,
    /// `spec.priority`.
    pub priority: i32,
    /// Index in [`Trace::traits`].
    pub traits: u32,
}

/// One node of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Name.
    pub name: String,
    /// Allocatable.
    pub size: Size,
    /// Model of its GPUs.
    pub gpu_model: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Value of the provider taint; a node that has one is virtual.
    pub provider: Option<String>,
    /// Zone; empty if none.
    pub zone: String,
}

/// A trace: rows as read, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Pods.
    pub pods: Vec<Pod>,
    /// What pods share.
    pub traits: Vec<Traits>,
    /// Real and virtual nodes.
    pub nodes: Vec<Node>,
}

/// Keeps equal [`Traits`] once.
#[derive(Debug, Default)]
pub struct Interner {
    known: HashMap<Traits, u32>,
}

impl Interner {
    /// The index of these traits, adding them to the list if they are new.
    pub fn index(&mut self, traits: Traits) -> u32 {
        let next = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        *self.known.entry(traits).or_insert(next)
    }

    /// The list, in the order of the indexes.
    pub fn into_list(self) -> Vec<Traits> {
        let mut list: Vec<_> = self.known.into_iter().collect();
        list.sort_by_key(|(_, index)| *index);
        list.into_iter().map(|(traits, _)| traits).collect()
    }
}
