//! What the kubelet port asks of the rest of the bridge: which pods a virtual node has, their logs, commands in them.
//!
//! One value serves one virtual node. It must never name a pod of another node, and it decides by pod UID: the port
//! only passes on what the request said.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::cloud::{ByteStream, Capabilities, CloudError, PodIdentity};
use crate::streams::{Connection, ExecProviderEnd, ExecRequest, LogOptions};
use crate::usage::Answer;

/// A container of a pod of this virtual node, found by [`Backend::find`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The pod.
    pub pod: PodIdentity,
    /// Name of one of its containers, init containers included.
    pub container: String,
}

/// Why a request names nothing that this virtual node has. Answered as 404 with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// No pod of that name on this node.
    #[error("pod \"{namespace}/{pod}\" is not on this virtual node")]
    Pod {
        /// Namespace asked for.
        namespace: String,
        /// Name asked for.
        pod: String,
    },
    /// The name is here, but it is another pod than the one asked for.
    #[error("pod \"{namespace}/{pod}\" has another uid than {uid}")]
    Uid {
        /// Namespace asked for.
        namespace: String,
        /// Name asked for.
        pod: String,
        /// UID asked for.
        uid: String,
    },
    /// The pod is here and has no such container.
    #[error("container \"{container}\" is not in pod \"{namespace}/{pod}\"")]
    Container {
        /// Namespace asked for.
        namespace: String,
        /// Name asked for.
        pod: String,
        /// Container asked for.
        container: String,
    },
}

/// The pods of one virtual node and what can be done with them.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Every pod bound to this node, as complete Pod objects with their latest status.
    async fn pods(&self) -> Vec<Arc<Value>>;

    /// The pods that have a running cloud instance, as Pod objects (metadata and spec suffice).
    async fn running_pods(&self) -> Vec<Arc<Value>>;

    /// Resolves the names of a request. `uid` is there when the request carried it and must then match.
    async fn find(
        &self,
        namespace: &str,
        pod: &str,
        uid: Option<&str>,
        container: &str,
    ) -> Result<Target, NotFound>;

    /// Resolves the names of a request that is about no container.
    async fn find_pod(&self, namespace: &str, pod: &str, uid: Option<&str>) -> Result<PodIdentity, NotFound>;

    /// What the node's cloud can do.
    fn capabilities(&self) -> Capabilities;

    /// A container's log; with `follow` the stream ends when the container does. Dropping the stream ends the session.
    async fn logs(&self, target: &Target, options: &LogOptions) -> Result<ByteStream, CloudError>;

    /// Runs a command. May return when the session is open or only when the command ended: the outcome is what
    /// `streams.outcome` carries. An error means that the command was not started.
    async fn exec(
        &self,
        target: &Target,
        request: &ExecRequest,
        streams: ExecProviderEnd,
    ) -> Result<(), CloudError>;

    /// Attaches to a container's own process; otherwise as [`Backend::exec`].
    async fn attach(
        &self,
        target: &Target,
        request: &ExecRequest,
        streams: ExecProviderEnd,
    ) -> Result<(), CloudError>;

    /// Connects to a TCP port of a pod. Dropping the connection closes it.
    async fn connect(&self, pod: &PodIdentity, port: u16) -> Result<Box<dyn Connection>, CloudError>;

    /// What the node's pods use; asked only where [`Capabilities::usage`] says so.
    async fn usage(&self) -> Result<Answer, CloudError> {
        Err(CloudError::Retryable("nobody measures here".to_owned()))
    }

    /// Prometheus text for `/metrics`; `None` answers 404.
    fn metrics(&self) -> Option<String> {
        None
    }

    /// The effective configuration for `/configz`, without secrets.
    fn configz(&self) -> Value {
        Value::Object(serde_json::Map::new())
    }
}
