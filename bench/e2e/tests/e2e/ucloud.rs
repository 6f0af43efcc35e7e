//! UCloud: the examples of the vendor's page on virtual nodes of UK8S, and what that page says of them, on virtual nodes
//! over a simulated Cube.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{World, names};
use lab::{CubeNodes, cube_node, eventually_within};
use serde_json::{Value, json};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The page's first example, word for word but for its comments.
const NGINX: &str = r#"apiVersion: v1
kind: Pod
metadata:
  name: nginx
spec:
  automountServiceAccountToken: false
  nodeSelector:
    type: virtual-kubelet
  tolerations:
  - key: virtual-kubelet.io/provider
    operator: Equal
    value: ucloud
    effect: NoSchedule
  containers:
  - name: nginx
    image: uhub.service.ucloud.cn/ucloud/nginx:latest
    resources:
      requests:
        cpu: "2"
        memory: 2048Mi
"#;

/// The page's Secret for a token, and the Deployment that mounts it where a token is looked for.
const TOKEN: &str = r#"apiVersion: v1
kind: Secret
metadata:
  name: default-token
  annotations:
    kubernetes.io/service-account.name: default
type: kubernetes.io/service-account-token
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: nginx-deployment
  labels:
    app: nginx
spec:
  replicas: 1
  selector:
    matchLabels:
      app: nginx
  template:
    metadata:
      labels:
        app: nginx
    spec:
      nodeSelector:
        type: virtual-kubelet
      tolerations:
      - effect: NoSchedule
        key: virtual-kubelet.io/provider
        operator: Equal
        value: ucloud
      serviceAccount: default
      containers:
      - name: nginx
        image: uhub.service.ucloud.cn/ucloud/nginx:latest
        ports:
        - containerPort: 80
        volumeMounts:
        - mountPath: /var/run/secrets/kubernetes.io/serviceaccount
          name: default-token
          readOnly: true
      volumes:
      - name: default-token
        secret:
          defaultMode: 420
          secretName: default-token
"#;

/// The page's registry of one's own: what goes into `.dockerconfigjson`, and the Deployment.
const REGISTRY: &str = r#"{
  "auths": {
    "myhub.ucloud.cn": {
      "username": "user-xxx",
      "password": "passwd-yyy",
      "registryaddr": "10.x.y.z",
      "vpcid": "uvnet-xxx"
    }
  }
}
"#;
const FROM_REGISTRY: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: nginx-myhub-deployment
  labels:
    app: nginx
spec:
  replicas: 1
  selector:
    matchLabels:
      app: nginx
  template:
    metadata:
      labels:
        app: nginx
    spec:
      automountServiceAccountToken: false
      nodeSelector:
        type: virtual-kubelet
      tolerations:
      - key: virtual-kubelet.io/provider
        operator: "Equal"
        value: ucloud
        effect: NoSchedule
      containers:
      - name: nginx
        image: myhub.ucloud.cn/test/nginx:latest
        ports:
        - containerPort: 80
      imagePullSecrets:
      - name: myhub
"#;

/// Runs a case with two virtual nodes of Cube beside CCI's, and leaves the world as it was: nothing is left at Cube, and
/// nothing is billed any more.
pub(crate) async fn with_cube<F: Future<Output = Result<()>>>(
    world: &World,
    ns: &str,
    case: impl FnOnce() -> F,
) -> Result<()> {
    world.namespace(ns).await?;
    nodes(world, 2, false).await?;
    // Admission judges by the virtual nodes that it knows.
    let known = eventually_within(PATIENCE, "admission knows Cube", || async {
        let said = dry_run(world, ns, &pod("probe", |spec| spec["hostNetwork"] = json!(true))).await;
        let text = said.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(text.contains("Cube pods share no host"), "{text}");
        Ok(())
    })
    .await;
    let result = match known {
        Ok(()) => case().await,
        Err(error) => Err(error),
    };
    // No page of the vendor names a field that is not in this list.
    let unknown = get(world, "unknown-parameters").await?;
    post(world, "faults", &json!([])).await?;
    let cleaned = world.clean(ns).await;
    let empty = eventually_within(PATIENCE, "Cube holds nothing and bills nothing", || async {
        let (left, bill) = (instances(world).await?, get(world, "meter").await?);
        ensure!(left.is_empty() && bill["open"] == 0, "left: {}, {bill}", Value::from(left));
        Ok(())
    })
    .await;
    nodes(world, 0, false).await?;
    result.and(cleaned).and(empty)?;
    ensure!(unknown == json!([]), "the vendor's pages do not know {unknown}");
    Ok(())
}

async fn nodes(world: &World, count: usize, disabled: bool) -> Result<()> {
    world.stack.lock().await.set_cube_nodes(&world.lab, CubeNodes { count, disabled }).await
}

pub(crate) async fn get(world: &World, path: &str) -> Result<Value> {
    world.stack.lock().await.cube_get(&world.lab, path).await
}

pub(crate) async fn post(world: &World, path: &str, body: &Value) -> Result<Value> {
    world.stack.lock().await.cube_post(&world.lab, path, body).await
}

/// What exists at Cube.
pub(crate) async fn instances(world: &World) -> Result<Vec<Value>> {
    let all = get(world, "instances").await?;
    Ok(all.as_array().context("no list of instances")?.clone())
}

/// How often Cube was asked for something.
pub(crate) async fn asked(world: &World, action: &str) -> Result<u64> {
    let all = get(world, "requests").await?;
    let rows = all["counts"].as_array().context("no counts")?.iter().filter(|row| row["route"] == action);
    Ok(rows.filter_map(|row| row["count"].as_u64()).sum())
}

/// A pod as the vendor's first example has it, without a size.
pub(crate) fn pod(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 1,
        "nodeSelector": {"type": "virtual-kubelet"},
        "tolerations": [{"key": "virtual-kubelet.io/provider", "operator": "Equal", "value": "ucloud", "effect": "NoSchedule"}],
        "containers": [{"name": "nginx", "image": "uhub.service.ucloud.cn/ucloud/nginx:latest"}],
    });
    change(&mut spec);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "annotations": {}}, "spec": spec})
}

/// The same with annotations of the vendor's.
pub(crate) fn annotated(name: &str, annotations: &[(&str, &str)]) -> Value {
    let mut pod = pod(name, |_| {});
    for (key, value) in annotations {
        pod["metadata"]["annotations"][format!("cube.ucloud.cn/{key}")] = json!(value);
    }
    pod
}

pub(crate) async fn apply(world: &World, ns: &str, manifest: &str) -> Result<()> {
    world.lab.kubectl_stdin(&["apply", "-n", ns, "-f", "-"], manifest).await.map(drop)
}

async fn dry_run(world: &World, ns: &str, manifest: &Value) -> Result<()> {
    let dry = ["apply", "--dry-run=server", "-n", ns, "-f", "-"];
    world.lab.kubectl_stdin(&dry, &manifest.to_string()).await.map(drop)
}

/// Waits until so many pods of the namespace exist and all run on virtual nodes of Cube.
pub(crate) async fn running_at_cube(world: &World, ns: &str, count: usize) -> Result<Vec<Value>> {
    eventually_within(PATIENCE, &format!("{count} pods run at Cube"), || async {
        let pods = world.pods(ns).await?;
        let good = |pod: &&Value| {
            let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
            [cube_node(0), cube_node(1)].iter().any(|name| name == node)
                && pod["status"]["phase"] == "Running"
                && pod["status"]["podIP"].is_string()
        };
        ensure!(pods.len() == count && pods.iter().filter(good).count() == count, "{}", names(&pods));
        Ok(pods)
    })
    .await
}

/// Waits until the namespace has no pod and Cube no instance.
async fn nothing_left(world: &World, ns: &str) -> Result<()> {
    eventually_within(PATIENCE, "nothing is left", || async {
        let (pods, open) = (world.pods(ns).await?, instances(world).await?);
        ensure!(pods.is_empty() && open.is_empty(), "{} pods, {} instances", pods.len(), open.len());
        Ok(())
    })
    .await
}

/// Waits until the events of a pod say something.
pub(crate) async fn told(world: &World, ns: &str, pod: &str, words: &[&str]) -> Result<()> {
    let selector = format!("involvedObject.name={pod}");
    eventually_within(PATIENCE, &format!("an event of pod {pod} says {words:?}"), || async {
        let args =
            ["get", "events", "-n", ns, "--field-selector", &selector, "-o", "jsonpath={.items[*].message}"];
        let events = world.lab.kubectl(&args).await?;
        ensure!(words.iter().all(|word| events.contains(word)), "events: {events}");
        Ok(())
    })
    .await
}

/// The examples of the vendor's page run as they stand there: by selector and by `nodeName`, with a token from a Secret,
/// from a registry of one's own; on nodes that are called as the vendor calls them; in the size that was asked for, else in
/// the node's own.
pub(crate) async fn examples_of_the_vendors_page(world: Arc<World>) -> Result<()> {
    let ns = "ucloud-examples";
    with_cube(&world, ns, || examples(&world, ns)).await
}

async fn examples(world: &World, ns: &str) -> Result<()> {
    let node = cube_node(0);
    ensure!(node.starts_with("uk8s-") && node.contains("-vk-"), "{node}");
    apply(world, ns, NGINX).await?;
    let selector = "  nodeSelector:\n    type: virtual-kubelet\n";
    ensure!(NGINX.contains(selector), "the example has its selector");
    let named = NGINX.replace(selector, &format!("  nodeName: {node}\n"));
    apply(world, ns, &named.replace("name: nginx\nspec", "name: named\nspec")).await?;
    apply(world, ns, TOKEN).await?;
    let file = world.lab.dir().join("dockerconfigjson");
    std::fs::write(&file, REGISTRY)?;
    let from = format!("--from-file=.dockerconfigjson={}", file.display());
    world.lab.kubectl(&["create", "secret", "docker-registry", "myhub", "-n", ns, &from]).await?;
    apply(world, ns, FROM_REGISTRY).await?;
    let pods = running_at_cube(world, ns, 4).await?;
    let named = pods.iter().find(|pod| pod["metadata"]["name"] == "named").context("the named pod")?;
    ensure!(named["spec"]["nodeName"] == node.as_str(), "{}", names(&pods));
    let mut sizes: Vec<(u64, u64)> = instances(world)
        .await?
        .iter()
        .map(|one| (one["cpuMilli"].as_u64().unwrap_or(0), one["memoryBytes"].as_u64().unwrap_or(0) >> 20))
        .collect();
    sizes.sort_unstable();
    ensure!(sizes == [(1000, 2048), (1000, 2048), (2000, 2048), (2000, 2048)], "{sizes:?}");
    Ok(())
}

/// What Cube or this way to it cannot do is refused at once, with the legal values, the number, or what to do instead.
pub(crate) async fn wrong_pods_are_refused_with_the_remedy(world: Arc<World>) -> Result<()> {
    let ns = "ucloud-refused";
    with_cube(&world, ns, || refused(&world, ns)).await
}

async fn refused(world: &World, ns: &str) -> Result<()> {
    let container =
        |field: &'static str, value: Value| pod("p", move |spec| spec["containers"][0][field] = value);
    let limits = |cpu: &str, memory: &str| json!({"limits": {"cpu": cpu, "memory": memory}});
    let refusals: Vec<(Value, &[&str])> = vec![
        (annotated("p", &[("cube-chargetype", "hour")]), &["year, month, postpay"]),
        (annotated("p", &[("cube-quantity", "many")]), &["0 to 120"]),
        (annotated("p", &[("cube-eip", "yes")]), &["true or false"]),
        (annotated("p", &[("cube-eip-paymode", "free")]), &["traffic, bandwidth, sharebandwidth"]),
        (annotated("p", &[("cube-eip-chargetype", "postpay")]), &["year, month, dynamic"]),
        (annotated("p", &[("cube-eip-bandwidth", "wide")]), &["0 to 800"]),
        (annotated("p", &[("cube-eip-bandwith", "2")]), &["does not know this annotation"]),
        (container("args", json!(["x".repeat(13_000)])), &["16 KB", "12288 bytes"]),
        (container("image", json!("docker.io/library/nginx")), &["UHub", "imagePullSecret"]),
        (container("image", json!("nginx")), &["complete image names"]),
        (container("resources", limits("64", "128Gi")), &["32 core / 128Gi"]),
        (
            container("resources", json!({"requests": {"ephemeral-storage": "11Gi"}})),
            &["10Gi of scratch space", "nfs"],
        ),
        (
            // As if it did not say anything.
            pod("p", |spec| spec["automountServiceAccountToken"] = Value::Null),
            &["automountServiceAccountToken: false", "kubernetes.io/service-account-token"],
        ),
        (pod("p", |spec| spec["hostNetwork"] = json!(true)), &["hostNetwork", "share no host"]),
        (
            pod("p", |spec| spec["volumes"] = json!([{"name": "v", "hostPath": {"path": "/"}}])),
            &["hostPath", "emptyDir"],
        ),
    ];
    for (manifest, words) in refusals {
        let said = dry_run(world, ns, &manifest).await;
        let text = said.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(words.iter().all(|word| text.contains(word)), "{words:?} for {manifest}: {text}");
    }
    // What only shows with the ConfigMap's content is told by an event, with the number; nothing is made.
    let content = "x".repeat(13_000);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}, "data": {"k": content}});
    apply(world, ns, &map.to_string()).await?;
    let large = pod("large", |spec| {
        spec["volumes"] = json!([{"name": "v", "configMap": {"name": "large"}}]);
        spec["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    });
    apply(world, ns, &large.to_string()).await?;
    told(world, ns, "large", &["takes 12288 (16 KB of base64)"]).await?;
    ensure!(
        instances(world).await?.is_empty() && asked(world, "CreateCubePod").await? == 0,
        "nothing is made"
    );
    Ok(())
}

/// Disabled, a node makes no new instances, of pods that name it neither, and keeps those that it has; drained, it has
/// none, and can be deleted.
pub(crate) async fn disabled_then_deleted(world: Arc<World>) -> Result<()> {
    let ns = "ucloud-disabled";
    with_cube(&world, ns, || disabled(&world, ns)).await
}

async fn disabled(world: &World, ns: &str) -> Result<()> {
    let node = cube_node(0);
    let on = |name: &str| {
        pod(name, |spec| {
            spec["nodeName"] = json!(node);
            spec["nodeSelector"] = json!({});
        })
    };
    apply(world, ns, &on("before").to_string()).await?;
    running_at_cube(world, ns, 1).await?;
    nodes(world, 2, true).await?;
    apply(world, ns, &on("bound").to_string()).await?;
    apply(world, ns, &pod("chosen", |_| {}).to_string()).await?;
    // The scheduler says of one why it waits; the other is bound, and would have been made long before that is said.
    eventually_within(PATIENCE, "the scheduler says why it waits", || async {
        let pod = world.pod(ns, "chosen").await?;
        ensure!(pod["status"].to_string().contains("2 node(s) had untolerated taint"), "{}", names(&[pod]));
        Ok(())
    })
    .await?;
    let (open, bound) = (instances(world).await?, world.pod(ns, "bound").await?);
    ensure!(open.len() == 1 && bound["status"]["phase"] == "Pending", "{}", names(&[bound]));
    ensure!(world.pod(ns, "before").await?["status"]["phase"] == "Running", "what there is stays");
    nodes(world, 2, false).await?;
    running_at_cube(world, ns, 3).await?;
    for node in [cube_node(0), cube_node(1)] {
        world.lab.kubectl(&["drain", &node, "--force", "--timeout=60s"]).await?;
    }
    nothing_left(world, ns).await
}

/// Pods of a StatefulSet come one after the other under names that stay: a successor is another Cube pod, made when the
/// one before is gone; scaled to nothing, nothing is left. A NetworkPolicy over them is said to have no effect.
pub(crate) async fn a_stateful_set_keeps_its_names(world: Arc<World>) -> Result<()> {
    let ns = "ucloud-stateful";
    with_cube(&world, ns, || stateful(&world, ns)).await
}

async fn stateful(world: &World, ns: &str) -> Result<()> {
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "db", "namespace": ns},
        "spec": {"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"]},
    });
    ensure!(!world.told_of(&policy).await?.contains("Warning"), "nothing bursts in this namespace");
    world.lab.kubectl(&["label", "namespace", ns, "burst.io/active=true"]).await?;
    eventually_within(PATIENCE, "the NetworkPolicy is said to have no effect", || async {
        let text = world.told_of(&policy).await?;
        ensure!(text.contains("Warning") && text.contains("no effect on pods that burst"), "{text}");
        Ok(())
    })
    .await?;
    let labels = json!({"app": "db"});
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {
            "serviceName": "db", "replicas": 2, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod("db", |_| {})["spec"]},
        },
    });
    apply(world, ns, &set.to_string()).await?;
    let pods = running_at_cube(world, ns, 2).await?;
    let uid = |pods: &[Value], name: &str| {
        let one = pods.iter().find(|pod| pod["metadata"]["name"] == name);
        one.map(|pod| pod["metadata"]["uid"].clone()).with_context(|| format!("{name} of {}", names(pods)))
    };
    let (first, second) = (uid(&pods, "db-0")?, uid(&pods, "db-1")?);
    world.lab.kubectl(&["delete", "pod", "db-0", "-n", ns, "--wait=false"]).await?;
    eventually_within(PATIENCE, "db-0 runs again as another pod", || async {
        let pods = running_at_cube(world, ns, 2).await?;
        ensure!(uid(&pods, "db-0")? != first && uid(&pods, "db-1")? == second, "{}", names(&pods));
        Ok(())
    })
    .await?;
    eventually_within(PATIENCE, "one Cube pod each", || async {
        let open = instances(world).await?;
        ensure!(open.len() == 2, "{}", Value::from(open));
        Ok(())
    })
    .await?;
    world.lab.kubectl(&["scale", "statefulset", "db", "-n", ns, "--replicas=0"]).await?;
    nothing_left(world, ns).await
}

/// Cube's API gives no logs and takes no commands: kubectl says so, and where a terminal can be opened. The address of that
/// terminal is in no log of ours.
pub(crate) async fn logs_and_commands_say_where(world: Arc<World>) -> Result<()> {
    let ns = "ucloud-streams";
    with_cube(&world, ns, || streams(&world, ns)).await
}

async fn streams(world: &World, ns: &str) -> Result<()> {
    apply(world, ns, &pod("p", |_| {}).to_string()).await?;
    running_at_cube(world, ns, 1).await?;
    let said = async |args: &[&str]| -> Result<String> {
        let output = world.lab.kubectl_output(args).await?;
        ensure!(!output.status.success(), "{args:?} succeeds");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let logs = said(&["logs", "p", "-n", ns]).await?;
    ensure!(
        logs.contains("no call for the log of container nginx") && logs.contains("console of Cube"),
        "{logs}"
    );
    let attach = said(&["attach", "p", "-n", ns]).await?;
    ensure!(attach.contains("attach is not offered by this virtual node"), "{attach}");
    for command in [&["exec", "p", "-n", ns, "--", "ls"][..], &["exec", "-i", "p", "-n", ns, "--", "sh"]] {
        let text = said(command).await?;
        let (_, token) = text.split_once("terminal?token=").with_context(|| text.clone())?;
        ensure!(
            text.contains("takes no commands through its API") && text.contains("within 5 minutes"),
            "{text}"
        );
        let token: String = token.chars().take_while(|c| c.is_ascii_hexdigit() || *c == '-').collect();
        ensure!(token.len() > 16, "{text}");
        for entry in std::fs::read_dir(world.lab.logs())? {
            let path = entry?.path();
            let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            ensure!(!text.contains(&token), "{} holds the terminal's token", path.display());
        }
    }
    Ok(())
}
