//! Network interop (网络互通): a kube-proxy of the operator's image in every instance, so that its pod reaches ClusterIP
//! Services of the cluster. One container more than the pod defines, hidden from everything that the pod shows.
//!
//! The vendor's add-on does the same with a sidecar of its own (manual "virtual-kubelet", "网络互通"); ours runs upstream's
//! program. Its kubeconfig is a Secret of the instance that no other container mounts, and nothing here prints it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{AuthInfo, Cluster, Kubeconfig};
use policies::support;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::cloud::translate::Resolved;
use crate::cloud::{CloudError, CreateRequest};

/// Name of the container and of its volume, unless the pod has it.
const NAME: &str = "burst-network-interop";
/// The Secret among those that the pod refers to: no Secret of a cluster can be called so.
const SECRET: &str = "burst.io/network-interop";
const FOLDER: &str = "/var/lib/burst/network-interop";
const FILE: &str = "kubeconfig";
/// CCI's own pull secret, for an image of the operator's SWR.
const PULL_SECRET: &str = super::forge::DEFAULT_PULL_SECRET;

/// What kube-proxy is run with, beside its kubeconfig and the node's name. An instance has one address and no node of its
/// own: nothing listens there beside the pod, and what kernel settings need more than `NET_ADMIN` stay as they are.
const ARGUMENTS: [&str; 11] = [
    "--proxy-mode=nftables",
    "--healthz-bind-address=",
    "--metrics-bind-address=",
    "--conntrack-max-per-core=0",
    "--conntrack-min=0",
    "--conntrack-tcp-timeout-established=0s",
    "--conntrack-tcp-timeout-close-wait=0s",
    "--conntrack-udp-timeout=0s",
    "--conntrack-udp-timeout-stream=0s",
    "--oom-score-adj=0",
    "--v=1",
];

/// The container that is added, as the operator declares it.
#[derive(Clone, Debug)]
pub struct InteropSettings {
    /// An image with kube-proxy (where upstream's has it) and nft.
    pub image: String,
    /// A kubeconfig with everything in it.
    pub kubeconfig_file: PathBuf,
}

/// A kubeconfig on its way into an instance.
pub(super) struct Secret(SecretString);

impl InteropSettings {
    /// Refuses a kubeconfig that kube-proxy could not use from an instance.
    pub(super) fn check(&self) -> Result<(), CloudError> {
        self.read().map(drop).map_err(CloudError::Invalid)
    }

    /// The request with the container beside the pod's own, and what it mounts; read anew, so that a file that was replaced
    /// holds for every instance that is made from then on.
    pub(super) fn beside(
        &self,
        request: &CreateRequest,
        provider: &str,
    ) -> Result<(CreateRequest, Secret), CloudError> {
        let unsupported = support::check_on(provider, true, &request.object);
        if !unsupported.is_empty() {
            return Err(CloudError::Invalid(support::sentences(&unsupported)));
        }
        let secret = self.read().map_err(CloudError::Retryable)?;
        let (object, name) = join(&request.object, &self.image, &request.node);
        let mut beside = CreateRequest { object: Arc::new(object), ..request.clone() };
        beside.hidden.push(name);
        Ok((beside, Secret(secret)))
    }

    fn read(&self) -> Result<SecretString, String> {
        let file = &self.kubeconfig_file;
        let wrong =
            |why: &dyn std::fmt::Display| format!("networkInterop.kubeconfigFile {}: {why}", file.display());
        let text = std::fs::read_to_string(file).map(SecretString::from).map_err(|error| wrong(&error))?;
        usable(text.expose_secret(), file).map_err(|why| wrong(&why))?;
        Ok(text)
    }
}

impl Secret {
    /// What the pod refers to, and this.
    pub(super) fn among(&self, resolved: &Resolved) -> Resolved {
        let mut all = resolved.clone();
        let data = STANDARD.encode(self.0.expose_secret());
        all.secrets.insert(SECRET.to_owned(), Some(json!({"type": "Opaque", "data": {FILE: data}})));
        all
    }
}

/// The pod with the container, and the container's name.
fn join(pod: &Value, image: &str, node: &str) -> (Value, String) {
    let mut pod = pod.clone();
    let [name, volume] = [&["containers", "initContainers"][..], &["volumes"]].map(|lists| free(&pod, lists));
    let mut command = vec!["/usr/local/bin/kube-proxy".to_owned()];
    command.push(format!("--kubeconfig={FOLDER}/{FILE}"));
    command.push(format!("--hostname-override={node}"));
    command.extend(ARGUMENTS.map(str::to_owned));
    let container = json!({
        "name": name,
        "image": image,
        "command": command,
        // No size of its own: CCI rounds and bills what asks for something, and this shares what the pod bought.
        "volumeMounts": [{"name": volume, "mountPath": FOLDER, "readOnly": true}],
        "securityContext": {
            "capabilities": {"add": ["NET_ADMIN"]},
            // The pod's own user would be too little.
            "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false,
        },
    });
    // 0400: of root alone.
    let mounted = json!({"name": volume, "secret": {"secretName": SECRET, "defaultMode": 256}});
    push(&mut pod, "containers", container);
    push(&mut pod, "volumes", mounted);
    let pull = json!({"name": PULL_SECRET});
    if !list(&pod, "imagePullSecrets").contains(&pull) {
        push(&mut pod, "imagePullSecrets", pull);
    }
    (pod, name)
}

/// [`NAME`], with a number where these lists have it already.
fn free(pod: &Value, lists: &[&str]) -> String {
    let taken = |name: &str| {
        lists
            .iter()
            .flat_map(|field| list(pod, field))
            .any(|item| item.get("name").is_some_and(|n| n == name))
    };
    let numbered = (1_u32..).map(|number| format!("{NAME}-{number}"));
    std::iter::once(NAME.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

fn list<'v>(pod: &'v Value, field: &str) -> &'v [Value] {
    pod.get("spec").and_then(|spec| spec.get(field)?.as_array()).map(Vec::as_slice).unwrap_or_default()
}

fn push(pod: &mut Value, field: &str, item: Value) {
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return };
    match spec.get_mut(field).and_then(Value::as_array_mut) {
        Some(items) => items.push(item),
        None => drop(spec.insert(field.to_owned(), Value::Array(vec![item]))),
    }
}

/// Whether kube-proxy can use it where there is nothing but this one file. The reader's own words could quote a secret.
fn usable(text: &str, file: &Path) -> Result<(), String> {
    let config =
        Kubeconfig::from_yaml(text).map_err(|_| "it is no kubeconfig; write one with a token".to_owned())?;
    let current = config.current_context.unwrap_or_default();
    let context = config.contexts.into_iter().find(|known| known.name == current);
    let context = context
        .and_then(|known| known.context)
        .ok_or_else(|| format!("current-context {current:?} is none of its contexts; name one of them"))?;
    let cluster = config.clusters.into_iter().find(|known| known.name == context.cluster);
    let cluster =
        cluster.and_then(|known| known.cluster).ok_or("its current context names no cluster of it")?;
    let user = context.user.unwrap_or_default();
    let user = config.auth_infos.into_iter().find(|known| known.name == user);
    let user = user.and_then(|known| known.auth_info).ok_or("its current context names no user of it")?;
    complete(&cluster, &user, file)
}

fn complete(cluster: &Cluster, user: &AuthInfo, file: &Path) -> Result<(), String> {
    let paths = [
        ("certificate-authority", cluster.certificate_authority.as_ref()),
        ("client-certificate", user.client_certificate.as_ref()),
        ("client-key", user.client_key.as_ref()),
    ];
    if let Some((field, path)) = paths.into_iter().find_map(|(field, path)| Some((field, path?))) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        return Err(format!(
            "{field} is the file {path}, and only {name} goes to instances; write {field}-data"
        ));
    }
    if let Some(path) = &user.token_file {
        return Err(format!("tokenFile is the file {path}, which does not go to instances; write the token"));
    }
    if user.exec.is_some() || user.auth_provider.is_some() {
        return Err("its user logs in by a program, which instances do not have; write a token".to_owned());
    }
    let server = cluster.server.as_deref().unwrap_or_default();
    let host = server.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    let host =
        host.ok_or_else(|| format!("server {server:?} is no address; write https://<address>:6443"))?;
    let loopback = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if loopback || host == "localhost" {
        return Err(format!(
            "server {server} is this machine itself; write the API server's address in the VPC, which instances reach"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: 'https://192.168.0.9:5443', certificate-authority-data: QQ==}}]
users: [{name: u, user: {token: topsecret}}]
";

    /// What would leave kube-proxy without the cluster is said before an instance is made, without the secret.
    #[test]
    fn kubeconfigs_that_need_more_than_themselves_are_refused() {
        let said = |from: &str, to: &str| {
            assert!(GOOD.contains(from), "{from}");
            usable(&GOOD.replacen(from, to, 1), Path::new("/keys/proxy.conf")).unwrap_err()
        };
        assert_eq!(usable(GOOD, Path::new("f")), Ok(()));
        let cases: [(&str, &str, &[&str]); 11] = [
            ("kind: Config", "kind: [", &["no kubeconfig"]),
            ("token: topsecret", "token: [topsecret]", &["no kubeconfig"]),
            ("current-context: c", "", &["current-context \"\"", "name one"]),
            ("cluster: k,", "cluster: x,", &["no cluster"]),
            ("user: u}", "user: x}", &["no user"]),
            (
                "certificate-authority-data: QQ==",
                "certificate-authority: /ca.pem",
                &["/ca.pem", "authority-data", "proxy.conf"],
            ),
            ("token: topsecret", "tokenFile: /token", &["/token", "write the token"]),
            ("token: topsecret", "client-key: /key", &["/key", "client-key-data"]),
            ("token: topsecret", "exec: {command: login}", &["program"]),
            ("https://192.168.0.9:5443", "https://127.0.0.1:6443", &["127.0.0.1", "in the VPC"]),
            ("https://192.168.0.9:5443", "", &["no address"]),
        ];
        for (from, to, words) in cases {
            let text = said(from, to);
            assert!(words.iter().all(|word| text.contains(word)), "{to}: {text}");
            assert!(!text.contains("topsecret"), "{text}");
        }
    }

    #[test]
    fn a_name_that_the_pod_has_is_not_taken_twice() {
        let pod = json!({"spec": {"containers": [{"name": NAME}], "initContainers": [{"name": format!("{NAME}-1")}]}});
        let (joined, name) = join(&pod, "proxy", "burst-a");
        assert_eq!(name, format!("{NAME}-2"));
        assert_eq!(joined["spec"]["containers"][1]["name"], name);
        assert_eq!(joined["spec"]["volumes"][0]["name"], NAME);
        assert_eq!(joined["spec"]["containers"][1]["volumeMounts"][0]["name"], NAME);
    }
}
