//! The inventory: name, kind, help. Naming follows Prometheus' rules (base units, `_total` on counters only).

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Distribution.
    Histogram,
}

impl Kind {
    /// The word of the exposition format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

macro_rules! inventory {
    ($($variant:ident $kind:ident $name:literal $help:literal)*) => {
        /// A metric of `burst-scheduler`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Metric {
            $(#[doc = $help] $variant,)*
        }

        impl Metric {
            /// Every metric.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name as exposed.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The kind.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }

            /// The help sentence.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

inventory! {
    ExtenderRequests Counter "burst_extender_requests_total"
        "Extender calls by verb, outcome code and form of the nodes (names, nodes, none)."
    ExtenderDuration Histogram "burst_extender_request_duration_seconds"
        "Time from the last byte of an extender request to the reply being ready."
    ExtenderBytes Histogram "burst_extender_request_bytes"
        "Size of extender request bodies."
    ExtenderNodes Histogram "burst_extender_nodes"
        "Nodes per extender request."
    ExtenderInflight Gauge "burst_extender_inflight"
        "Extender requests being read or answered."
    ExtenderConnections Counter "burst_extender_connections_total"
        "Connections accepted, by listener (http, https)."
    AdmissionRequests Counter "burst_admission_requests_total"
        "Admission reviews by hook (pods, workloads) and result (allowed, patched, denied, error)."
    AdmissionDuration Histogram "burst_admission_duration_seconds"
        "Time to answer an admission review, look-ups included."
    Decisions Counter "burst_decisions_total"
        "Pods with a policy seen bound, by policy, outcome (local, cloud) and reason."
    Events Counter "burst_events_total"
        "Events about decisions handed over to be written on pods."
    CertificateReloads Counter "burst_certificate_reloads_total"
        "Changes of the serving certificate's files, by result (loaded, failed)."
    CacheAge Gauge "burst_cache_age_seconds"
        "Time since the API server last said anything on the slower of the watches."
    CacheSynced Gauge "burst_cache_synced"
        "1 when nodes and pods were listed completely."
    CacheErrors Counter "burst_cache_watch_errors_total"
        "Errors of the watches since the start."
    CacheProtobuf Gauge "burst_cache_protobuf"
        "1 when the API server answers the watches of nodes and pods in protobuf, which costs it least."
    CacheUndecodable Gauge "burst_cache_undecodable"
        "Objects that could not be decoded completely."
    VirtualNodeInfo Gauge "burst_virtual_node_info"
        "1 for every virtual node, with its provider; join it with unless on(node) to leave virtual nodes out."
    Nodes Gauge "burst_nodes"
        "Nodes by class (real, virtual) and state (usable, unusable)."
    CpuAllocatable Gauge "burst_cpu_allocatable_cores"
        "Allocatable CPU by class of node."
    CpuRequested Gauge "burst_cpu_requested_cores"
        "Requested CPU of unfinished pods bound to a class of node."
    MemoryAllocatable Gauge "burst_memory_allocatable_bytes"
        "Allocatable memory by class of node."
    MemoryRequested Gauge "burst_memory_requested_bytes"
        "Requested memory of unfinished pods bound to a class of node."
    PodsAllocatable Gauge "burst_pods_allocatable"
        "Allocatable pods by class of node."
    PodsBound Gauge "burst_pods_bound"
        "Unfinished pods bound to a class of node."
    PodsByPolicy Gauge "burst_pods_policy"
        "Unfinished pods with a policy, by policy and place (pending, local, cloud)."
    PodsPending Gauge "burst_pods_pending"
        "Unfinished pods without a node, with or without a policy."
    PolicyLimit Gauge "burst_policy_limit"
        "Ceiling by policy object, tier (local and cloud are the sides) and resource (pods, cpu, memory, gpu)."
    PolicyUsed Gauge "burst_policy_used"
        "In use or granted by policy object, tier (local and cloud are the sides) and resource."
    BudgetRemaining Gauge "burst_budget_remaining"
        "Money left by policy object, window (hour, day, month), namespace (where budgets are per namespace) and currency."
    SpendRate Gauge "burst_spend_rate"
        "What the instances of a policy object with a budget cost together, in currency units per second."
    DecisionWait Histogram "burst_decision_wait_seconds"
        "Time from a governed pod's creation until it was granted."
    Grants Gauge "burst_grants"
        "Grants in the cloud by policy object and state (open, closing)."
    LedgerWrites Counter "burst_ledger_writes_total"
        "Writes of ledgers by result (written, conflict, retry, refused)."
    Repatriations Counter "burst_repatriations_total"
        "Pods in the cloud whose move home was tried, by result (moved, later, gone, refused)."
    Leader Gauge "burst_leader"
        "1 on the replica that grants."
    BuildInfo Gauge "burst_build_info"
        "1, with the version."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_keep_prometheus_rules() {
        let mut seen = std::collections::BTreeSet::new();
        for metric in Metric::ALL {
            let name = metric.name();
            assert!(seen.insert(name), "{name} twice");
            assert!(name.starts_with("burst_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind() == Kind::Counter, "{name}");
            for suffix in ["_count", "_sum", "_bucket", "_milliseconds", "_ms", "_kb", "_gauge", "_counter"] {
                assert!(!name.ends_with(suffix), "{name} ends with {suffix}");
            }
            assert!(metric.help().ends_with('.') && metric.help().len() > 10, "{name}: {}", metric.help());
        }
    }
}
