//! Component tests: the provider against a small server on loopback that keeps objects, streams and upgrades, and
//! misbehaves when told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;
use crate::cloud::PodIdentity;

mod claims;
mod interop;
mod life;
mod second;
mod streams;
mod warnings;
mod watching;

use crate::cloud::kubelike::testing::Server;

pub(super) const CLUSTER: &str = "c-1";
pub(super) const NODE: &str = "burst-a";
pub(super) const NAMESPACE: &str = "cce-burst-c-1";

pub(in crate::cloud) fn settings(endpoint: &str) -> CciSettings {
    CciSettings {
        generation: Generation::One,
        cluster_id: CLUSTER.into(),
        node_names: vec![NODE.into()],
        endpoint: endpoint.into(),
        region: "cn-north-4".into(),
        project_id: "proj123".into(),
        domain_id: "dom1".into(),
        credentials: Credentials::Fixed { access_key: "AK1".into(), secret_key: SecretString::from("SK1") },
        ca_pem: None,
        availability_zone: "cn-north-4a".into(),
        network: NetworkSettings {
            vpc_id: "vpc".into(),
            network_id: "net".into(),
            subnet_id: "sub".into(),
            more_subnets: Vec::new(),
            cidr: "192.168.0.0/18".into(),
            security_group_id: "sg".into(),
        },
        interop: None,
    }
}

pub(super) fn provider(server: &Server) -> CciProvider {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    CciProvider::new(settings(&server.endpoint)).unwrap()
}

pub(super) fn identity(name: &str) -> PodIdentity {
    PodIdentity { uid: format!("uid-{name}"), namespace: "shop".into(), name: name.into() }
}

/// A create request for a pod with one container, changed by `change`.
pub(super) fn request(name: &str, change: impl FnOnce(&mut Value)) -> CreateRequest {
    let pod = identity(name);
    let mut object = json!({
        "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
        "spec": {"containers": [{"name": "app", "image": "app", "resources": {"limits": {"cpu": "1", "memory": "2Gi"}}}]},
    });
    change(&mut object);
    CreateRequest {
        pod,
        node: NODE.into(),
        object: Arc::new(object),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        hidden: Vec::new(),
        needs_grant: false,
    }
}

/// Objects of the local cluster, and what was told to the pod's owner.
#[derive(Default)]
pub(super) struct Local {
    pub(super) secrets: Vec<(&'static str, Value)>,
    pub(super) volumes: Vec<(&'static str, Value)>,
    pub(super) told: Mutex<Vec<String>>,
}

#[async_trait]
impl Resolve for Local {
    async fn config_map(&self, _: &str, _: &str) -> Result<Option<Value>, CloudError> {
        Ok(None)
    }

    async fn secret(&self, _: &str, name: &str) -> Result<Option<Value>, CloudError> {
        Ok(self.secrets.iter().find(|(other, _)| *other == name).map(|(_, object)| object.clone()))
    }

    async fn claim(&self, _: &str, name: &str) -> Result<Option<crate::cloud::Claim>, CloudError> {
        let found = self.volumes.iter().find(|(other, _)| *other == name);
        let volume = |spec: &Value| Some(json!({"spec": spec})).filter(|_| !spec.is_null());
        Ok(found.map(|(_, spec)| crate::cloud::Claim { claim: json!({}), volume: volume(spec) }))
    }

    async fn services(&self, _: &str) -> Result<Vec<Value>, CloudError> {
        Ok(Vec::new())
    }

    fn notice(&self, reason: &'static str, message: &str) {
        self.told.lock().unwrap().push(format!("{reason}: {message}"));
    }
}
