//! Small workloads as manifests, for the demo and the tests.

use serde_json::{Value, json};

/// A Deployment of one busybox container, to be varied.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The manifest, free to change.
    pub manifest: Value,
}

impl Workload {
    /// A Deployment `name` in `namespace` whose pods ask for 1 core and 1 GiB and print a line a second.
    pub fn deployment(namespace: &str, name: &str, replicas: u32) -> Self {
        let labels = json!({"app": name});
        Self {
            manifest: json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"namespace": namespace, "name": name},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": Self::pod_spec("1", "1Gi")},
                },
            }),
        }
    }

    /// The same as a StatefulSet, whose pods come and go one after the other.
    pub fn stateful_set(namespace: &str, name: &str, replicas: u32) -> Self {
        let mut workload = Self::deployment(namespace, name, replicas);
        workload.manifest["kind"] = json!("StatefulSet");
        workload.manifest["spec"]["serviceName"] = json!(name);
        workload
    }

    /// A Pod of the same kind.
    pub fn pod(namespace: &str, name: &str) -> Self {
        Self {
            manifest: json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"namespace": namespace, "name": name, "labels": {}},
                "spec": Self::pod_spec("1", "1Gi"),
            }),
        }
    }

    /// The pod spec that both use.
    pub fn pod_spec(cpu: &str, memory: &str) -> Value {
        json!({
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "main",
                "image": "busybox",
                "command": ["sh", "-c", "i=0; while true; do echo \"$(hostname) line $i\"; i=$((i+1)); sleep 1; done"],
                "resources": {"requests": {"cpu": cpu, "memory": memory}},
            }],
        })
    }

    /// Labels the workload object itself (for a Deployment: not its pods).
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.manifest["metadata"]["labels"][key] = json!(value);
        self
    }

    /// Labels the pod template.
    #[must_use]
    pub fn pod_label(mut self, key: &str, value: &str) -> Self {
        self.manifest["spec"]["template"]["metadata"]["labels"][key] = json!(value);
        self
    }

    /// Changes the pod spec, of the template or of the pod itself.
    #[must_use]
    pub fn spec(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let spec = if self.manifest["kind"] == "Pod" {
            &mut self.manifest["spec"]
        } else {
            &mut self.manifest["spec"]["template"]["spec"]
        };
        change(spec);
        self
    }

    /// The manifest as text for `kubectl apply`.
    pub fn text(&self) -> String {
        self.manifest.to_string()
    }
}
