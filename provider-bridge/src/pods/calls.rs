//! Makes the calls that a table asks for, each with a deadline, and reduces what comes back to an [`Answer`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cluster::daemons::KeptDaemon;
use cluster::events::Event;
use cluster::kept::Kept;
use cluster::patch::{self, PodRef, Written};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams};
use serde_json::Value;
use smol_str::{SmolStr, ToSmolStr};
use tokio::sync::watch;

use super::KubeResolve;
use super::beside::{self, objects, objects::Read};
use super::ground::Ground;
use super::hand_back::{Way, ignores_disruption};
use super::machine::Outcome;
use super::permits::Permit;
use super::table::{Answer, Work};
use super::words;
use crate::cloud::{Claim, CloudError, CreateRequest, Instance, PodIdentity, Provider, Resolve};
use crate::metrics;

/// What calls are made with.
pub(super) struct Calls {
    pub(super) client: Client,
    /// Our own identity: reads what is not a node's business.
    pub(super) own: Client,
    /// For the last look at the grants.
    pub(super) ground: watch::Receiver<Arc<Ground>>,
    /// For what runs beside a pod.
    pub(super) daemons: Kept<KeptDaemon>,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) resolve: Arc<dyn Resolve>,
    /// Reads what DaemonSets refer to: no pod of the node does, so this is our own right, where somebody gave it.
    pub(super) agents: KubeResolve,
    pub(super) record: Arc<dyn Fn(Event) + Send + Sync>,
    pub(super) node: String,
    pub(super) timeout: Duration,
}

impl Calls {
    pub(super) async fn make(&self, work: Work) -> Answer {
        match work {
            Work::Create(request) if !self.granted(&request) => {
                tracing::info!(
                    node = self.node,
                    uid = request.pod.uid,
                    "the grant was gone at the moment of the create; nothing was sent"
                );
                Answer::Withheld(request.pod)
            }
            Work::Create(request) => {
                let pod = request.pod.clone();
                let result = self.create(request).await;
                log(&self.node, &pod, "create", result.as_ref().err());
                Answer::Created(pod, result)
            }
            Work::Delete { instance, grace_seconds } => {
                let result = self.in_time("delete", self.provider.delete(&instance, grace_seconds)).await;
                log(&self.node, &instance.pod, "delete", result.as_ref().err());
                Answer::Deleted(instance.pod, result)
            }
            Work::Patch { pod, status, annotations, fingerprint, since } => {
                let status = Value::Object(status);
                let written =
                    patch::patch_pod_status_with(&self.client, pod_ref(&pod), &status, annotations.as_ref());
                let outcome = self.write(&pod, "patch status", written).await;
                Answer::Patched(pod, fingerprint, since, outcome)
            }
            Work::Remove(pod) => {
                let outcome =
                    self.write(&pod, "remove", patch::delete_pod_now(&self.client, pod_ref(&pod))).await;
                Answer::Removed(pod, outcome)
            }
            Work::HandBack { pod, status, way } => {
                let outcome = self.hand_back(&pod, &status, way).await;
                Answer::HandedBack(pod, outcome)
            }
            Work::AskJob { pod, job } => {
                let ignores = self.ask_job(&pod, &job).await;
                Answer::JobAsked(pod, ignores)
            }
            Work::List { started } => {
                Answer::Listed(started, self.in_time("list", self.provider.list()).await)
            }
            Work::ConfirmOrphans(candidates) => {
                let known = self.uids_in_api().await;
                Answer::OrphansConfirmed(candidates, known)
            }
            Work::Prepare => {
                let result = self.in_time("prepare", self.provider.prepare()).await;
                if let Err(error) = &result {
                    tracing::warn!(node = self.node, %error, "preparing the cloud account");
                }
                Answer::Prepared(result)
            }
        }
    }

    /// Makes the instance, with the DaemonSets beside the pod.
    async fn create(&self, mut request: CreateRequest) -> Result<Instance, CloudError> {
        if !self.daemons.synced() && beside::is_named(&request.object) {
            return Err(CloudError::Retryable("the DaemonSets of the cluster are not listed yet".to_owned()));
        }
        let daemons = self.daemons.objects();
        let read = self.in_time("read", objects::read(&self.agents, &request, &daemons)).await?;
        let told = beside::join(&mut request, &daemons, &read.refused, &*self.provider);
        let resolve =
            Telling { resolve: &*self.resolve, pod: &request.pod, read: &read, record: &*self.record };
        let result = self.in_time("create", self.provider.create(&request, &resolve)).await;
        if result.is_ok() {
            told.iter()
                .for_each(|text| (self.record)(words::notice(&request.pod, words::NOT_REPLACED, text)));
        }
        result
    }

    /// The freshest that is known of the grants says yes.
    fn granted(&self, request: &CreateRequest) -> bool {
        !request.needs_grant || self.ground.borrow().permits.of(&request.pod.uid, &self.node) == Permit::Open
    }

    /// First the condition, so that whoever sees the pod go sees why; then the eviction, within disruption budgets.
    async fn hand_back(&self, pod: &PodIdentity, status: &Value, way: Way) -> Outcome {
        let said = patch::patch_pod_status(&self.client, pod_ref(pod), status);
        let said = self.write(pod, "patch status", said).await;
        match (said, way) {
            (Outcome::Ok, Way::Evict) => {
                self.write(pod, "evict", patch::evict_pod(&self.client, pod_ref(pod))).await
            }
            (said, _) => said,
        }
    }

    /// Whether the pod's Job ignores disruptions; nothing if it could not be read.
    async fn ask_job(&self, pod: &PodIdentity, job: &str) -> Option<bool> {
        let jobs = Api::<Job>::namespaced(self.own.clone(), &pod.namespace);
        match tokio::time::timeout(self.timeout, jobs.get_opt(job)).await {
            Ok(Ok(found)) => {
                let found = serde_json::to_value(found).unwrap_or_default();
                Some(ignores_disruption(&found))
            }
            Ok(Err(error)) => {
                tracing::warn!(node = self.node, uid = pod.uid, job, %error, "reading a pod's Job");
                None
            }
            Err(_) => None,
        }
    }

    async fn in_time<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, CloudError>>,
    ) -> Result<T, CloudError> {
        tokio::time::timeout(self.timeout, call).await.unwrap_or_else(|_| {
            Err(CloudError::Retryable(format!(
                "{what}: no answer from the cloud within {} s",
                self.timeout.as_secs()
            )))
        })
    }

    async fn write(
        &self,
        pod: &PodIdentity,
        what: &'static str,
        call: impl Future<Output = Written>,
    ) -> Outcome {
        let answer = tokio::time::timeout(self.timeout, call).await;
        let outcome = match &answer {
            Err(_) => Outcome::Unsure,
            Ok(Ok(cluster::Outcome::Done)) => Outcome::Ok,
            // Another pod has the name, so ours is gone.
            Ok(Ok(cluster::Outcome::Gone | cluster::Outcome::Conflict)) => Outcome::NotFound,
            Ok(Ok(cluster::Outcome::Retry(after))) => Outcome::Refused { after: Some(*after) },
            Ok(Err(_)) => Outcome::Refused { after: None },
        };
        metrics::api_write(&self.node, what, outcome == Outcome::Ok);
        if let Ok(Err(error)) = answer {
            tracing::warn!(node = self.node, uid = pod.uid, namespace = pod.namespace, name = pod.name, %error, "the API server refuses a write");
        }
        outcome
    }

    /// UIDs of every pod that the API server has for this node, or nothing if it did not answer.
    async fn uids_in_api(&self) -> Option<Vec<SmolStr>> {
        let pods = Api::<Pod>::all(self.client.clone());
        let params = ListParams::default().fields(&format!("spec.nodeName={}", self.node));
        match tokio::time::timeout(self.timeout, pods.list_metadata(&params)).await {
            Ok(Ok(list)) => {
                Some(list.items.into_iter().filter_map(|p| p.metadata.uid.map(|u| u.to_smolstr())).collect())
            }
            Ok(Err(error)) => {
                tracing::warn!(node = self.node, %error, "listing the node's pods before deleting orphans; none is deleted now");
                None
            }
            Err(_) => None,
        }
    }
}

fn pod_ref(pod: &PodIdentity) -> PodRef<'_> {
    PodRef { namespace: &pod.namespace, name: &pod.name, uid: &pod.uid }
}

fn log(node: &str, pod: &PodIdentity, what: &str, error: Option<&CloudError>) {
    match error {
        None => {
            tracing::debug!(node, uid = pod.uid, namespace = pod.namespace, name = pod.name, what, "done");
        }
        Some(error) => {
            tracing::warn!(node, uid = pod.uid, namespace = pod.namespace, name = pod.name, what, %error, "not done");
        }
    }
}

/// Look-ups for one pod: what they notice becomes an event on it.
struct Telling<'a> {
    resolve: &'a dyn Resolve,
    pod: &'a PodIdentity,
    read: &'a Read,
    record: &'a (dyn Fn(Event) + Send + Sync),
}

#[async_trait]
impl Resolve for Telling<'_> {
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Value>, CloudError> {
        match self.read.config_maps.get(name).filter(|_| namespace == self.pod.namespace) {
            Some(object) => Ok(Some(object.clone())),
            None => self.resolve.config_map(namespace, name).await,
        }
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Value>, CloudError> {
        match self.read.secrets.get(name).filter(|_| namespace == self.pod.namespace) {
            Some(object) => Ok(Some(object.clone())),
            None => self.resolve.secret(namespace, name).await,
        }
    }

    async fn services(&self, namespace: &str) -> Result<Vec<Value>, CloudError> {
        self.resolve.services(namespace).await
    }

    async fn claim(&self, namespace: &str, name: &str) -> Result<Option<Claim>, CloudError> {
        self.resolve.claim(namespace, name).await
    }

    async fn keep_once(
        &self,
        pod: &PodIdentity,
        key: &'static str,
        text: &str,
    ) -> Result<Option<String>, CloudError> {
        self.resolve.keep_once(pod, key, text).await
    }

    async fn drop_kept(&self, pod: &PodIdentity, key: &'static str) -> Result<(), CloudError> {
        self.resolve.drop_kept(pod, key).await
    }

    fn notice(&self, reason: &'static str, message: &str) {
        (self.record)(words::notice(self.pod, reason, message));
    }
}
