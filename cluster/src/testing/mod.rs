//! An in-memory API server behind a real [`kube::Client`], for the tests of everything that talks to Kubernetes.
//!
//! It keeps objects as JSON by group and plural, any kind. Times follow tokio's clock, so it works with paused time. It
//! must never be used outside tests.
//!
//! What it does not do: schema validation, defaulting (beyond `status.phase` of new pods), admission, authorisation of
//! requests (except the answers of SubjectAccessReview), immutability of specs (except UIDs), server-side-apply field
//! ownership (an apply is a merge that may create), strict pod field selectors (any path works), namespace life cycle.
//!
//! ```no_run
//! # async fn doc() {
//! use cluster::testing::{FakeApi, Fault};
//! let api = FakeApi::new();
//! api.put(serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "shop"}}));
//! api.fault(Fault::status(503).on("PATCH", "/pods/a/status").times(2));
//! let client = api.client();
//! # }
//! ```

mod access;
mod delete;
mod faults;
mod handle;
mod meta;
mod patch;
mod route;
mod select;
mod serve;
mod store;
mod watchers;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use serde_json::Value;

pub use access::{AccessQuery, TokenUser};
pub use faults::{Fault, Recorded};

use route::Resource;
use store::Store;

/// The fake API server; clones share one state.
#[derive(Clone)]
pub struct FakeApi {
    state: Arc<Mutex<State>>,
}

/// Everything behind the lock.
struct State {
    store: Store,
    faults: Vec<Fault>,
    requests: Vec<Recorded>,
    access: access::Access,
}

impl std::fmt::Debug for FakeApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeApi").finish_non_exhaustive()
    }
}

impl Default for FakeApi {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeApi {
    /// A server with the namespaces `default`, `kube-system` and `kube-node-lease`, and nothing else.
    pub fn new() -> Self {
        let state = State {
            store: Store::new(),
            faults: Vec::new(),
            requests: Vec::new(),
            access: access::Access::default(),
        };
        let api = Self { state: Arc::new(Mutex::new(state)) };
        for name in ["default", "kube-system", "kube-node-lease"] {
            api.put(serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        }
        api
    }

    /// A client of this server; must be called within a tokio runtime.
    pub fn client(&self) -> Client {
        handle::client(self.clone())
    }

    /// Creates or replaces an object, status included, unchecked and unrecorded; watchers are told. Returns it as stored.
    ///
    /// `apiVersion`, `kind` and `metadata` decide where it goes; a namespaced object without a namespace goes to
    /// `default`. A `uid` given is kept, else one is made. Parts of a wrong type are stored as they are.
    pub fn put(&self, object: Value) -> Value {
        self.lock().store.put(object)
    }

    /// An object, for example `get("v1", "pods", "default", "a")`; the namespace of a cluster-scoped object is empty.
    pub fn get(&self, api_version: &str, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        self.lock().store.get(&Resource::named(api_version, plural), namespace, name).cloned()
    }

    /// A pod.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<Value> {
        self.get("v1", "pods", namespace, name)
    }

    /// Removes an object at once, whatever its finalizers; watchers are told.
    pub fn remove(&self, api_version: &str, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        self.lock().store.remove(&Resource::named(api_version, plural), namespace, name)
    }

    /// Every object of a kind, ordered by namespace and name.
    pub fn list(&self, api_version: &str, plural: &str) -> Vec<Value> {
        self.lock().store.list(&Resource::named(api_version, plural)).cloned().collect()
    }

    /// Makes a kind known to discovery (built-in kinds are) and to [`Self::put`].
    pub fn register(&self, api_version: &str, kind: &str, plural: &str, namespaced: bool) {
        self.lock().store.register(api_version, kind, plural, namespaced);
    }

    /// Ends every open watch as a server does at its timeout; clients open them again from where they were.
    pub fn close_watches(&self) {
        self.lock().store.close_watches();
    }

    /// Forgets the history: every open watch gets 410 and ends, and a watch from an older version gets 410.
    pub fn expire(&self) {
        self.lock().store.expire();
    }

    /// Sends every open watch of a kind one line of raw text, for example an event that is not JSON.
    pub fn send_raw(&self, api_version: &str, plural: &str, line: &str) {
        self.lock().store.send_raw(&Resource::named(api_version, plural), line);
    }

    /// How many watches are open.
    pub fn open_watches(&self) -> usize {
        self.lock().store.open_watches()
    }

    /// Adds a fault; the first one that matches a request and is not used up applies.
    pub fn fault(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Removes every fault.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Every request so far, in order, with its answer's status.
    pub fn requests(&self) -> Vec<Recorded> {
        self.lock().requests.clone()
    }

    /// Requests with this method whose path contains `part`.
    pub fn requests_of(&self, method: &str, part: &str) -> Vec<Recorded> {
        self.lock().requests.iter().filter(|r| r.method == method && r.path.contains(part)).cloned().collect()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.lock().requests.clear();
    }

    /// What TokenReview answers for a bearer token; unknown tokens are not authenticated.
    pub fn set_token(&self, token: &str, user: TokenUser) {
        self.lock().access.set_token(token, user);
    }

    /// What SubjectAccessReview and SelfSubjectAccessReview answer; without it everything is denied.
    pub fn set_access(&self, allowed: impl Fn(&AccessQuery) -> bool + Send + Sync + 'static) {
        self.lock().access.set_rule(Arc::new(allowed));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
