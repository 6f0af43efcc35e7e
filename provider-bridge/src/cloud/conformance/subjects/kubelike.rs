//! Clouds with a Kubernetes-style API, over a server that keeps objects.

use std::sync::Mutex;

use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::cloud::cci::{self, CciProvider, CciSettings, Credentials, Generation};
use crate::cloud::kubelike::testing::{Answer, Seen, Server, status};
use crate::cloud::kubernetes::{KubernetesProvider, KubernetesSettings, Login, Namespaces};

/// A provider whose far side keeps Kubernetes-style objects.
pub(in crate::cloud::conformance) struct KubeLike {
    server: Server,
    provider: Box<dyn Provider>,
    open: fn(&str) -> Box<dyn Provider>,
    /// Where its pods are.
    namespace: &'static str,
    /// Path before `namespaces`.
    root: &'static str,
    secret: &'static str,
    far: Far,
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

async fn kube_like(
    open: fn(&str) -> Box<dyn Provider>,
    namespace: &'static str,
    secret: &'static str,
) -> KubeLike {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let server = Server::start().await;
    let provider = open(&server.endpoint);
    KubeLike { provider, server, open, namespace, root: "/api/v1", secret, far: Far::default() }
}

const CCI_SECRET: &str = "cci-secret-key";

fn open_cci(generation: Generation, endpoint: &str) -> Box<dyn Provider> {
    let credentials =
        Credentials::Fixed { access_key: "AK1".into(), secret_key: SecretString::from(CCI_SECRET) };
    let settings = CciSettings { generation, credentials, ..cci::tests::settings(endpoint) };
    Box::new(CciProvider::new(settings).unwrap())
}

pub(in crate::cloud::conformance) async fn cci() -> KubeLike {
    kube_like(|endpoint| open_cci(Generation::One, endpoint), "cce-burst-c-1", CCI_SECRET).await
}

pub(in crate::cloud::conformance) async fn cci2() -> KubeLike {
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

pub(in crate::cloud::conformance) async fn kubernetes() -> KubeLike {
    let open = |endpoint: &str| other_cluster(endpoint, Namespaces::Prefixed("burst".into()));
    kube_like(open, "burst-shop", "bearer-secret").await
}

pub(in crate::cloud::conformance) async fn kubernetes_in_one_namespace() -> KubeLike {
    let open = |endpoint: &str| other_cluster(endpoint, Namespaces::One("guests".into()));
    kube_like(open, "guests", "bearer-secret").await
}

impl KubeLike {
    /// The next request whose path ends so becomes a WebSocket of this protocol, which goes to `then` with its query.
    fn upgrade<F>(
        &self,
        ends: &'static [&'static str],
        protocol: &'static str,
        then: impl FnOnce(Socket, String) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send,
    {
        let (to, upgrade) = oneshot::channel();
        let query = Arc::new(Mutex::new(String::new()));
        let asked = Arc::clone(&query);
        let matches = move |seen: &Seen| {
            let mine = ends.iter().any(|end| seen.path.ends_with(end));
            if mine {
                asked.lock().unwrap().clone_from(&seen.query);
            }
            mine
        };
        self.server.next(matches, Answer::Upgrade(protocol, to));
        self.far.run(async move {
            let Ok(upgrade) = upgrade.await else { return };
            let Ok(upgraded) = upgrade.await else { return };
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            let query = query.lock().unwrap().clone();
            then(socket, query).await;
        });
    }

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

    fn most_at_once(&self, uid: &str) -> usize {
        self.server.most_at_once(uid)
    }

    /// A file system, which several pods may mount at once.
    fn disk(&self) -> Option<Disk> {
        let volume = json!({"csi": {"driver": "nas.csi.everest.io", "volumeHandle": "fs-1"}, "accessModes": ["ReadWriteMany"]});
        self.provider.name().starts_with("huawei").then(|| Disk::claimed("fs-1", &volume, false))
    }

    fn disks_of(&self, uid: &str) -> Vec<String> {
        let path = self.of_pod(uid).expect("an instance");
        let pod = self.server.object(&path).unwrap();
        let (space, _) = path.split_once("/pods/").unwrap();
        let volumes = pod["spec"]["volumes"].as_array().cloned().unwrap_or_default();
        let names = volumes.iter().filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str());
        let behind = names.map(|name| {
            let claim = self.server.object(&format!("{space}/persistentvolumeclaims/{name}")).unwrap();
            let volume = self.server.object(&format!("{}/persistentvolumes/{name}", self.root));
            let volume = volume.unwrap_or_default();
            let imported = claim["metadata"]["annotations"]["volumeID"].as_str();
            imported.or_else(|| volume["spec"]["csi"]["volumeHandle"].as_str()).unwrap().to_owned()
        });
        behind.collect()
    }

    /// A claim goes with its file system, unless the call or the volume says that it stays.
    fn disks_are_untouched(&self) -> bool {
        let removed = |seen: &Seen| seen.method == "DELETE" && seen.path.contains("/persistentvolumeclaims/");
        let made = |seen: &Seen| seen.method == "POST" && seen.path.ends_with("/persistentvolumes");
        let retained = |seen: &Seen| seen.body["spec"]["persistentVolumeReclaimPolicy"] == "Retain";
        let seen = self.server.seen();
        let (volumes, kept) = (seen.iter().any(made), seen.iter().filter(|seen| made(seen)).all(retained));
        kept && seen
            .iter()
            .filter(|seen| removed(seen))
            .all(|seen| volumes || seen.query.contains("deleteVolume=false"))
    }

    fn restart_the_container(&self, uid: &str) -> bool {
        let (at, end) = ("2026-01-02T03:05:00Z", json!({"exitCode": 137, "reason": "OOMKilled"}));
        let row = json!({"name": "app", "ready": true, "restartCount": 1, "state": {"running": {"startedAt": at}},
            "lastState": {"terminated": end}});
        let path = self.of_pod(uid).expect("an instance");
        let status = json!({"phase": "Running", "containerStatuses": [row]});
        self.server.change(&path, |object| object["status"] = status);
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

    async fn next_session(&self, _uid: &str) -> Option<Session> {
        let begun = self.far.begin();
        let command = |socket, query: String| async move { begun.command(socket, &query).await };
        self.upgrade(&["/exec", "/attach"], far::COMMANDS, command);
        Some(self.far.session())
    }

    /// Through the API, but at CCI, where it is dialled.
    async fn listen(&self, uid: &str) -> Option<u16> {
        if !self.provider.name().starts_with("huawei") {
            self.upgrade(&["/portforward"], far::PORTS, |socket, _| far::port(socket, 80));
            return Some(80);
        }
        let path = self.of_pod(uid).expect("an instance");
        self.server.change(&path, |object| object["status"]["podIP"] = json!("127.0.0.1"));
        Some(self.far.echo().await)
    }

    fn secrets(&self) -> Vec<&'static str> {
        vec![self.secret]
    }
}
