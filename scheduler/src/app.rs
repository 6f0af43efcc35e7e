//! What every request handler shares: the picture of the cluster, settings, counters, the last decisions.
//!
//! Handlers run on the HTTP server's own single-threaded runtimes; whatever needs the API server is asked of tasks on
//! the main runtime through handles that are callable from anywhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use cluster::reports::StoredReport;
use cluster::{ClusterHandle, Kept, Snapshot};
use policies::decide::score::LocalLoad;
use policies::policy::Policy;
use policies::price::PriceBook;

use crate::admission::Lookups;
use crate::config::{Config, Driver};
use crate::decisions::Ring;
use crate::http::Intake;
use crate::leader::View;
use crate::metrics::Metrics;
use crate::page::Overview;

/// Settings that requests look at.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Policy of a pod that nothing else decides for.
    pub default_policy: Policy,
    /// Whether admission writes the marker resources.
    pub marker: bool,
    /// Whether auto pods go without a call while its answer is known.
    pub spare_calls: bool,
    /// Whether the leader opens pods instead of an extender (driver `toleration`).
    pub toleration_driver: bool,
    /// What clouds charge.
    pub prices: Arc<PriceBook>,
    /// Namespaces admitted untouched.
    pub exempt: Vec<String>,
    /// Age of the picture from which on calls are failed.
    pub stale_after: Duration,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    /// Bytes that the bodies of all requests may hold together.
    pub body_budget: usize,
}

impl Settings {
    /// What is configured, with the prices that [`Config::price_book`] names.
    pub fn of(config: &Config, prices: Arc<PriceBook>) -> Self {
        Self {
            default_policy: config.default_policy,
            marker: config.marker,
            spare_calls: config.spare_calls,
            toleration_driver: config.driver == Driver::Toleration,
            prices,
            exempt: config.namespace_exempt.clone(),
            stale_after: config.cache.stale_after(),
            body_timeout: Duration::from_secs(config.http.body_timeout_seconds),
            body_budget: config.http.body_budget_mib << 20,
        }
    }
}

/// The shared state.
#[derive(Debug)]
pub struct App {
    /// The picture of the cluster.
    pub cluster: ClusterHandle,
    /// What admission asks the API server.
    pub lookups: Lookups,
    /// Settings.
    pub settings: Settings,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The last decisions.
    pub decisions: Arc<Ring>,
    /// Room for request bodies.
    pub intake: Arc<Intake>,
    /// What the page tells of policies, money and stock.
    pub overview: Arc<Overview>,
    /// What the leader shows, if it is this replica.
    pub leader: Arc<ArcSwap<View>>,
    /// What the bridges report of their virtual nodes; unset in tests that need none.
    pub reports: OnceLock<Kept<StoredReport>>,
    draining: AtomicBool,
    /// The sum over the real nodes, of the snapshot with this generation.
    load: ArcSwap<(u64, LocalLoad)>,
}

impl App {
    /// Puts the state together.
    pub fn new(
        cluster: ClusterHandle,
        lookups: Lookups,
        settings: Settings,
        metrics: Arc<Metrics>,
        decisions: Arc<Ring>,
    ) -> Self {
        let load = ArcSwap::from_pointee((u64::MAX, LocalLoad::default()));
        let intake = Arc::new(Intake::new(settings.body_timeout, settings.body_budget));
        let overview = Arc::new(Overview::default());
        let (leader, reports, draining) = (Arc::default(), OnceLock::new(), AtomicBool::new(false));
        Self {
            cluster,
            lookups,
            settings,
            metrics,
            decisions,
            intake,
            overview,
            leader,
            reports,
            draining,
            load,
        }
    }

    /// The picture of the cluster for one request, with the sum over its real nodes: summed once per picture, for
    /// there are thousands of nodes and thousands of requests.
    pub fn picture(&self) -> (Arc<Snapshot>, LocalLoad) {
        let snapshot = self.cluster.snapshot();
        let known = self.load.load();
        if known.0 == snapshot.generation() {
            return (snapshot, known.1);
        }
        let load = LocalLoad::of(snapshot.nodes().map(|(_, row)| row));
        self.load.store(Arc::new((snapshot.generation(), load)));
        (snapshot, load)
    }

    /// From now on `/readyz` fails, so that nobody new sends requests here.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether requests can be answered from the picture of the cluster.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn fresh(&self) -> Result<(), String> {
        self.cluster.ready(self.settings.stale_after).map_err(|reason| format!("burst: {reason}"))
    }

    /// Whether new requests should be sent here.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn ready(&self) -> Result<(), String> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("burst: stopping".to_owned());
        }
        self.fresh()
    }
}
