//! What a cloud can do for a virtual node, in domain words; one folder per provider.
//!
//! Providers hold no pod state: everything needed to find an instance again is in its tags (see `policies::keys::tag`).
//! They get Secrets and ConfigMaps through [`Resolve`], never a Kubernetes client.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use policies::resources::Resources;
use serde_json::Value;

use crate::streams::{Connection, ExecProviderEnd, ExecRequest, LogOptions};

pub mod access_keys;
mod attach;
pub mod cci;
#[cfg(test)]
mod conformance;
pub mod cube;
mod dial;
pub mod eci;
mod encoding;
mod error;
#[cfg(test)]
mod golden;
pub mod hidden;
mod http_client;
mod kubelike;
pub mod kubernetes;
pub mod mock;
mod polling;
mod sessions;
mod task_stream;
mod translate;
pub mod usage;

pub use error::CloudError;
use usage::Usage;

/// Pod condition type with which a provider says that the cloud accepted an instance but has not found room for it yet
/// (status `False`, the cloud's own reason and message). The local `PodScheduled` stays true.
pub const CONDITION_CLOUD_SCHEDULED: &str = "burst.io/CloudScheduled";

/// The one identity of a pod, with the words people use for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodIdentity {
    /// `metadata.uid`: the identity.
    pub uid: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

/// An instance as the cloud reports it.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The cloud's own id or name; opaque outside the provider.
    pub id: String,
    /// The pod it was made for, from its tags.
    pub pod: PodIdentity,
    /// The virtual node it belongs to, from its tags.
    pub node: String,
    /// When the cloud says it was created.
    pub created: Option<jiff::Timestamp>,
    /// Deletion was asked for and is not finished.
    pub deleting: bool,
    /// The size that it is billed as, as far as its tags say.
    pub billed: Resources,
    /// Pod status in Kubernetes' form (`status` of a Pod), already stripped of what is the cloud's own business.
    pub status: Arc<Value>,
}

/// What happened on the cloud's side.
#[derive(Clone, Debug)]
pub enum InstanceEvent {
    /// A complete list begins: instances not named before the next [`InstanceEvent::Synced`] do not exist.
    Restarted,
    /// New or changed.
    Changed(Instance),
    /// Confirmed gone.
    Gone(Instance),
    /// The list is complete.
    Synced,
}

/// Something that the cloud warns of about one instance, for the owner of its pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// [`Instance::id`].
    pub id: String,
    /// Reason, as the cloud spells it.
    pub reason: String,
    /// For people, with the cloud's own names in it.
    pub message: String,
    /// What the cloud is called.
    pub from: &'static str,
    /// The cloud's name for where the instance is; may be empty.
    pub namespace: String,
    /// The cloud's name of the instance; may be empty.
    pub name: String,
}

/// What the bridge wants created: the local pod and everything it refers to is resolved by the provider's forge.
#[derive(Clone, Debug)]
pub struct CreateRequest {
    /// Whose instance.
    pub pod: PodIdentity,
    /// Virtual node name.
    pub node: String,
    /// The complete local Pod object as JSON.
    pub object: Arc<Value>,
    /// Labels that the pod's policy puts on the instance; they win over the pod's own, never over the identity.
    pub labels: BTreeMap<String, String>,
    /// Annotations that the pod's policy puts on the instance.
    pub annotations: BTreeMap<String, String>,
    /// Names of containers of `object` that the pod itself does not have: the provider keeps them as a tag of the instance
    /// and leaves them out of its status ([`hidden`]).
    pub hidden: Vec<String>,
    /// A policy limits the pod: an open grant must exist at the moment of the call.
    pub needs_grant: bool,
}

impl CreateRequest {
    /// The pod's annotations and its policy's, which win.
    pub(in crate::cloud) fn all_annotations(&self) -> BTreeMap<String, String> {
        let metadata = self.object.get("metadata").unwrap_or(&Value::Null);
        let own = translate::json::pairs(metadata, "annotations");
        let mut all: BTreeMap<String, String> =
            own.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        all.extend(self.annotations.clone());
        all
    }
}

/// A PersistentVolumeClaim and what stands behind it, as JSON.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The PersistentVolumeClaim.
    pub claim: Value,
    /// The PersistentVolume that it is bound to, if it is.
    pub volume: Option<Value>,
}

/// Looks up what a pod refers to, as the virtual node's identity. `Ok(None)` is "does not exist".
#[async_trait]
pub trait Resolve: Send + Sync {
    /// A ConfigMap as JSON.
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Value>, CloudError>;
    /// A Secret as JSON; callers must not log it.
    async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Value>, CloudError>;
    /// Services of the pod's namespace and `default/kubernetes`, as JSON, for service environment variables.
    async fn services(&self, namespace: &str) -> Result<Vec<Value>, CloudError>;
    /// A PersistentVolumeClaim of a pod.
    async fn claim(&self, namespace: &str, name: &str) -> Result<Option<Claim>, CloudError> {
        let _ = (namespace, name);
        Ok(None)
    }
    /// Keeps a text on the pod itself, where it outlives this process, unless one is kept there under this key: then that
    /// one is answered and nothing is written. For what must not be done twice, before it is done.
    ///
    /// # Errors
    /// When it is not certain that the text is kept: then what it stands for must not be done.
    async fn keep_once(
        &self,
        pod: &PodIdentity,
        key: &'static str,
        text: &str,
    ) -> Result<Option<String>, CloudError> {
        let _ = (pod, text);
        Err(CloudError::Retryable(format!("nothing is kept here, {key} neither")))
    }
    /// Drops what [`Resolve::keep_once`] keeps: what it stands for was not done.
    async fn drop_kept(&self, pod: &PodIdentity, key: &'static str) -> Result<(), CloudError> {
        let _ = (pod, key);
        Ok(())
    }
    /// Something to tell the pod's owner as a Warning event: `reason` is one of the event reasons of virtual-kubelet
    /// (`MandatoryConfigMapNotFound`, `OptionalSecretKeyNotFound`, `InvalidEnvironmentVariableNames`, …).
    fn notice(&self, reason: &'static str, message: &str) {
        tracing::debug!(reason, message, "notice without a listener");
    }
}

/// What a provider offers beyond the minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Instance changes are pushed (watch); otherwise the bridge lists.
    pub watch: bool,
    /// Logs can be fetched and followed.
    pub logs: bool,
    /// Commands can be run in containers.
    pub exec: bool,
    /// Clients can be attached to a container with its standard input; without it, output is shown where there are logs.
    pub attach: bool,
    /// Ports of instances can be connected to.
    pub port_forward: bool,
    /// The cloud tells what instances use.
    pub usage: bool,
}

/// A byte stream whose errors end it.
pub type ByteStream = BoxStream<'static, Result<Bytes, CloudError>>;

/// A cloud as a virtual node needs it.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// The vendor's own name: value of the provider taint (`huawei`).
    fn name(&self) -> &'static str;

    /// What it offers.
    fn capabilities(&self) -> Capabilities;

    /// The account and the place whose listing it reads, without secrets: words that are the same as long as the listing is
    /// ([`crate::account`]). `None` where instances do not outlive the process.
    fn account(&self) -> Option<String> {
        None
    }

    /// Whether it puts a container of its own into every instance, through which the cluster's Services are reached: its
    /// virtual nodes say so ([`policies::keys::NETWORK_INTEROP`]), and one container less of a pod fits.
    fn network_interop(&self) -> bool {
        false
    }

    /// Makes the account ready (namespace, network); called at start and again after [`CloudError::Account`].
    async fn prepare(&self) -> Result<(), CloudError>;

    /// Removes what [`Provider::prepare`] made, after the last instance is gone; nothing, unless a cloud bills or counts it.
    /// It is refused while anything is there that is not this node's.
    async fn leave(&self) -> Result<(), CloudError> {
        Ok(())
    }

    /// Creates the instance of a pod, or returns the one that already exists for the same UID (adoption).
    /// Safe to repeat after any error.
    async fn create(&self, request: &CreateRequest, resolve: &dyn Resolve) -> Result<Instance, CloudError>;

    /// Asks for deletion. `Ok` means accepted, or already gone; the end is seen by watch or list.
    async fn delete(&self, instance: &Instance, grace_seconds: u32) -> Result<(), CloudError>;

    /// Every instance of this cluster and node set, from the cloud's listing alone. Never partial: an error is an error.
    async fn list(&self) -> Result<Vec<Instance>, CloudError>;

    /// Changes from now on, beginning with a complete list between `Restarted` and `Synced`; reconnects by itself with
    /// back-off and never ends unless dropped. Errors are reported as items so that the node's condition can say them.
    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent, CloudError>>;

    /// What the cloud warns of about instances from now on, those of other virtual nodes among them; reconnects by itself
    /// and never ends unless dropped. Nothing, unless a cloud tells.
    fn warnings(&self) -> BoxStream<'static, Warning> {
        Box::pin(futures::stream::pending())
    }

    /// A container's log.
    async fn logs(
        &self,
        instance: &Instance,
        container: &str,
        options: &LogOptions,
    ) -> Result<ByteStream, CloudError>;

    /// Starts a command; returns when the session is open, and drives `streams` until the command ends.
    async fn exec(
        &self,
        instance: &Instance,
        container: &str,
        request: &ExecRequest,
        streams: ExecProviderEnd,
    ) -> Result<(), CloudError>;

    /// Attaches to a container's own process, as [`Provider::exec`] does to a command. Unless a cloud can do more, output is
    /// what the log says from now on, and standard input is refused.
    async fn attach(
        &self,
        instance: &Instance,
        container: &str,
        request: &ExecRequest,
        streams: ExecProviderEnd,
    ) -> Result<(), CloudError> {
        if request.stdin {
            return Err(attach::no_input(self.name()));
        }
        let options = LogOptions { follow: true, tail_lines: Some(0), ..LogOptions::default() };
        attach::show(self.logs(instance, container, &options).await?, streams).await;
        Ok(())
    }

    /// Connects to a TCP port of an instance. Unless a cloud has another way, that is its address, which the bridge must be
    /// able to reach.
    async fn connect(&self, instance: &Instance, port: u16) -> Result<Box<dyn Connection>, CloudError> {
        dial::dial(instance, port).await
    }

    /// What these instances use, as few calls as the cloud needs for it; asked only where [`Capabilities::usage`] says so,
    /// and only while somebody wants to know. An instance of which nothing can be had is left out.
    ///
    /// # Errors
    /// When nothing can be had of any of them.
    async fn usage(&self, instances: &[Instance]) -> Result<Vec<Usage>, CloudError> {
        let _ = instances;
        Err(CloudError::Invalid(format!("{} does not tell what instances use", self.name())))
    }
}
