//! The providers that are tested, each over the far side that its own tests use.

use std::time::Duration;

use policies::keys::tag;
use secrecy::SecretString;

use super::*;
use crate::cloud::access_keys;
use crate::cloud::cci::{CciProvider, CciSettings, Credentials, Generation, NetworkSettings};
use crate::cloud::cube::tests::Bench;
use crate::cloud::eci::tests::cloud::{Cloud, Fault};
use crate::cloud::eci::{EciProvider, EciSettings, Signature};
use crate::cloud::kubelike::testing::{Answer, Seen, Server, status};
use crate::cloud::kubernetes::{KubernetesProvider, KubernetesSettings, Login, Namespaces};
use crate::cloud::mock::{MockProvider, MockSettings};

/// The mock, whose instances are in itself.
pub(super) struct Mock(MockProvider);

pub(super) async fn mock() -> Mock {
    Mock(MockProvider::new(MockSettings {
        start_delay: Duration::ZERO,
        stop_delay: Duration::from_millis(50),
    }))
}

#[async_trait]
impl Subject for Mock {
    fn provider(&self) -> &dyn Provider {
        &self.0
    }

    fn restarted(&self) -> Option<Box<dyn Provider>> {
        None
    }

    fn lose_the_next_answer(&self) -> bool {
        false
    }

    fn fail_the_next_list(&self) -> bool {
        false
    }

    fn add_a_strangers_instance(&self) -> bool {
        false
    }

    async fn finish_deletions(&self) {
        while self.0.list().await.unwrap().iter().any(|instance| instance.deleting) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn secrets(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// A provider whose far side keeps Kubernetes-style objects.
pub(super) struct KubeLike {
    server: Server,
    provider: Box<dyn Provider>,
    open: fn(&str) -> Box<dyn Provider>,
    /// Where its pods are.
    namespace: &'static str,
    /// Path before `namespaces`.
    root: &'static str,
    secret: &'static str,
}

async fn kube_like(
    open: fn(&str) -> Box<dyn Provider>,
    namespace: &'static str,
    secret: &'static str,
) -> KubeLike {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let server = Server::start().await;
    let provider = open(&server.endpoint);
    KubeLike { provider, server, open, namespace, root: "/api/v1", secret }
}

const CCI_SECRET: &str = "cci-secret-key";

fn open_cci(generation: Generation, endpoint: &str) -> Box<dyn Provider> {
    let network = NetworkSettings {
        vpc_id: "vpc".into(),
        network_id: "net".into(),
        subnet_id: "sub".into(),
        more_subnets: Vec::new(),
        cidr: "192.168.0.0/18".into(),
        security_group_id: "sg".into(),
    };
    let credentials =
        Credentials::Fixed { access_key: "AK1".into(), secret_key: SecretString::from(CCI_SECRET) };
    let settings = CciSettings {
        generation,
        cluster_id: "c-1".into(),
        node_names: vec![NODE.into()],
        endpoint: endpoint.into(),
        region: "cn-north-4".into(),
        project_id: "proj".into(),
        domain_id: "dom".into(),
        credentials,
        ca_pem: None,
        availability_zone: String::new(),
        network,
        interop: None,
    };
    Box::new(CciProvider::new(settings).unwrap())
}

pub(super) async fn cci() -> KubeLike {
    kube_like(|endpoint| open_cci(Generation::One, endpoint), "cce-burst-c-1", CCI_SECRET).await
}

pub(super) async fn cci2() -> KubeLike {
    let subject = kube_like(|endpoint| open_cci(Generation::Two, endpoint), "bursting-c-1", CCI_SECRET);
    KubeLike { root: "/apis/cci/v2", ..subject.await }
}

fn other_cluster(endpoint: &str, namespaces: Namespaces) -> Box<dyn Provider> {
    // The token is read at once.
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "bearer-secret").unwrap();
    let login = Login::Token { server: endpoint.into(), token, ca: None };
    let settings =
        KubernetesSettings { cluster_id: "c-1".into(), node_names: vec![NODE.into()], login, namespaces };
    Box::new(KubernetesProvider::new(settings).unwrap())
}

pub(super) async fn kubernetes() -> KubeLike {
    let open = |endpoint: &str| other_cluster(endpoint, Namespaces::Prefixed("burst".into()));
    kube_like(open, "burst-shop", "bearer-secret").await
}

pub(super) async fn kubernetes_in_one_namespace() -> KubeLike {
    let open = |endpoint: &str| other_cluster(endpoint, Namespaces::One("guests".into()));
    kube_like(open, "guests", "bearer-secret").await
}

impl KubeLike {
    /// Where the instance of a pod is.
    fn of_pod(&self, uid: &str) -> Option<String> {
        self.server.paths().into_iter().find(|path| {
            let object = self.server.object(path).unwrap_or_default();
            object["kind"] == "Pod" && object["metadata"]["labels"][tag::POD_UID] == uid
        })
    }
}

fn is_list(seen: &Seen) -> bool {
    seen.method == "GET" && seen.path.ends_with("/pods")
}

#[async_trait]
impl Subject for KubeLike {
    fn provider(&self) -> &dyn Provider {
        self.provider.as_ref()
    }

    fn restarted(&self) -> Option<Box<dyn Provider>> {
        Some((self.open)(&self.server.endpoint))
    }

    fn lose_the_next_answer(&self) -> bool {
        self.server.next(|seen| seen.method == "POST" && seen.path.ends_with("/pods"), Answer::Lost);
        true
    }

    /// The second page, so that there is a part that could be taken for the whole.
    fn fail_the_next_list(&self) -> bool {
        self.server.page(2);
        let later = |seen: &Seen| is_list(seen) && seen.query.contains("continue=");
        if self.server.paths().iter().filter(|path| path.contains("/pods/")).count() > 2 {
            self.server.next(later, Answer::Status(500, status(500, "InternalError")));
        } else {
            self.server.next(is_list, Answer::Status(500, status(500, "InternalError")));
        }
        true
    }

    fn add_a_strangers_instance(&self) -> bool {
        for (cluster, node) in [("c-2", NODE), ("c-1", "burst-b")] {
            let name = format!("stranger-{cluster}-{node}");
            let labels = json!({tag::CLUSTER: cluster, tag::NODE: node, tag::POD_UID: "u-9"});
            let object = json!({"kind": "Pod", "metadata": {"name": name, "namespace": self.namespace, "labels": labels}});
            let path = format!("{}/namespaces/{}/pods/{name}", self.root, self.namespace);
            self.server.put(&path, object);
        }
        true
    }

    /// Another cluster has no account that could be in arrears.
    fn refuse_the_next_create(&self, why: Refused) -> bool {
        let huawei = self.provider.name().starts_with("huawei");
        let (code, reason, message, error_code) = match why {
            Refused::Throttled => (429, "TooManyRequests", "slow down", ""),
            Refused::SoldOut if huawei => (400, "NoAllocatedCluster", "no cluster", "CCI.02.400116"),
            Refused::SoldOut => (403, "Forbidden", "pods \"web\" is forbidden: exceeded quota: pods", ""),
            Refused::Account if huawei => (403, "Forbidden", "arrears", "CCI.01.403009"),
            Refused::Account => return false,
        };
        let mut body = status(code, reason);
        body["message"] = json!(message);
        body["errorCode"] = json!(error_code);
        let create = |seen: &Seen| seen.method == "POST" && seen.path.ends_with("/pods");
        self.server.next(create, Answer::Status(code, body));
        true
    }

    fn take_away(&self, uid: &str) -> bool {
        self.server.remove(&self.of_pod(uid).expect("an instance"));
        true
    }

    fn show_oddly(&self, uid: &str) -> bool {
        let path = self.of_pod(uid).expect("an instance");
        self.server.change(&path, |object| object["status"] = json!({"phase": "Odd"}));
        true
    }

    fn say(&self, lines: &[&'static str]) -> bool {
        let (sender, receiver) = tokio::sync::mpsc::channel(lines.len());
        for line in lines {
            sender.try_send(format!("{line}\n").into()).unwrap();
        }
        self.server.next(|seen| seen.path.ends_with("/log"), Answer::Stream(receiver));
        true
    }

    async fn finish_deletions(&self) {
        for path in self.server.paths() {
            let object = self.server.object(&path).unwrap_or_default();
            if object["kind"] == "Pod" && !object["metadata"]["deletionTimestamp"].is_null() {
                self.server.remove(&path);
            }
        }
    }

    fn secrets(&self) -> Vec<&'static str> {
        vec![self.secret]
    }
}

/// ECI, over groups in this process.
pub(super) struct Eci {
    cloud: Cloud,
    provider: EciProvider,
}

const ECI_SECRET: &str = "eci-secret-key";

fn open_eci(endpoint: &str) -> EciProvider {
    let secret_key = SecretString::from(ECI_SECRET);
    EciProvider::new(EciSettings {
        cluster_id: "c-1".into(),
        node_names: vec![NODE.into()],
        region: "us-west-1".into(),
        endpoint: endpoint.into(),
        vswitches: vec!["vsw-1".into()],
        security_group: "sg-1".into(),
        resource_group: String::new(),
        zone: String::new(),
        credentials: access_keys::Credentials::Fixed { access_key: "AK1".into(), secret_key, token: None },
        ca_pem: None,
        signature: Signature::default(),
        kube_proxy: true,
        cluster_dns: String::new(),
        cluster_domain: "cluster.local".into(),
        calls_per_minute: BTreeMap::new(),
        poll: Duration::from_millis(100),
    })
    .unwrap()
}

pub(super) async fn eci() -> Eci {
    let cloud = Cloud::start().await;
    cloud.slow();
    let provider = open_eci(&cloud.endpoint);
    Eci { cloud, provider }
}

impl Eci {
    /// The group of a pod shows this state.
    fn set(&self, uid: &str, status: &str) {
        let groups = self.cloud.groups();
        let group = groups.iter().find(|group| group.is_of(uid)).expect("a group");
        self.cloud.set(&group.id, status);
    }
}

#[async_trait]
impl Subject for Eci {
    fn provider(&self) -> &dyn Provider {
        &self.provider
    }

    fn restarted(&self) -> Option<Box<dyn Provider>> {
        Some(Box::new(open_eci(&self.cloud.endpoint)))
    }

    fn lose_the_next_answer(&self) -> bool {
        self.cloud.fault("CreateContainerGroup", Fault::Lost);
        true
    }

    /// The second page, so that there is a part that could be taken for the whole.
    fn fail_the_next_list(&self) -> bool {
        self.cloud.page(2);
        let pages = usize::from(self.cloud.groups().len() > 2);
        self.cloud.fault_after("DescribeContainerGroupStatus", pages, Fault::Code(500, "InternalError"));
        true
    }

    fn add_a_strangers_instance(&self) -> bool {
        self.cloud.stranger();
        true
    }

    fn refuse_the_next_create(&self, why: Refused) -> bool {
        let fault = match why {
            Refused::Throttled => Fault::Code(400, "Throttling.User"),
            Refused::SoldOut => Fault::Code(403, "OperationDenied.NoStock"),
            Refused::Account => Fault::Code(400, "Account.Arrearage"),
        };
        self.cloud.fault("CreateContainerGroup", fault);
        true
    }

    /// What the spot market takes back has expired.
    fn take_away(&self, uid: &str) -> bool {
        self.set(uid, "Expired");
        true
    }

    fn show_oddly(&self, uid: &str) -> bool {
        self.set(uid, "Odd");
        true
    }

    fn say(&self, lines: &[&'static str]) -> bool {
        self.cloud.log(lines);
        true
    }

    async fn finish_deletions(&self) {
        self.cloud.finish();
    }

    fn secrets(&self) -> Vec<&'static str> {
        vec![ECI_SECRET]
    }
}

/// Cube, over pods in this process.
pub(super) struct Cube(Bench);

pub(super) async fn cube() -> Cube {
    Cube(Bench::of_node(NODE).await)
}

#[async_trait]
impl Subject for Cube {
    fn provider(&self) -> &dyn Provider {
        self.0.provider()
    }

    fn restarted(&self) -> Option<Box<dyn Provider>> {
        Some(Box::new(self.0.another()))
    }

    fn lose_the_next_answer(&self) -> bool {
        self.0.lose_the_next_answer();
        true
    }

    fn fail_the_next_list(&self) -> bool {
        self.0.fail_the_next_list();
        true
    }

    fn add_a_strangers_instance(&self) -> bool {
        self.0.add_a_strangers();
        true
    }

    fn refuse_the_next_create(&self, why: Refused) -> bool {
        let (code, message) = match why {
            Refused::Throttled => (153, "too many requests"),
            Refused::SoldOut => (8039, "resource not enough in this zone"),
            Refused::Account => (520, "balance not enough"),
        };
        self.0.refuse_the_next_create(code, message);
        true
    }

    fn take_away(&self, uid: &str) -> bool {
        self.0.show(uid, "Failed");
        true
    }

    fn show_oddly(&self, uid: &str) -> bool {
        self.0.show(uid, "Odd");
        true
    }

    /// They are finished at once.
    async fn finish_deletions(&self) {}

    fn secrets(&self) -> Vec<&'static str> {
        vec!["testPriv"]
    }
}
