//! An in-memory API server behind a real [`kube::Client`], for tests; works with paused time.

use kube::Client;
use serde_json::Value;

/// The fake API server; clones share one state.
#[derive(Clone, Debug, Default)]
pub struct FakeApi {}

impl FakeApi {
    /// An empty server with the namespaces `default`, `kube-system` and `kube-node-lease`.
    pub fn new() -> Self {
        todo!()
    }

    /// A client of this server.
    pub fn client(&self) -> Client {
        todo!()
    }

    /// Creates or replaces an object as a user with all rights would, without being recorded; returns it as stored.
    /// `apiVersion`, `kind` and `metadata.name` decide where it goes; a missing namespace is `default`.
    pub fn put(&self, object: Value) -> Value {
        todo!()
    }

    /// An object by path below the group version, for example `get("v1", "pods", "default", "a")`.
    pub fn get(&self, api_version: &str, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        todo!()
    }

    /// Removes an object at once; watchers are told.
    pub fn remove(&self, api_version: &str, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        todo!()
    }

    /// Every object of a kind, ordered by namespace and name.
    pub fn list(&self, api_version: &str, plural: &str) -> Vec<Value> {
        todo!()
    }
}
