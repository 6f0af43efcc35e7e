//! A signer of UCloud's requests for the tests, written a second time on purpose.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::support::Client;

/// The signature of pairs by the client's key.
pub fn signature(pairs: &[(&str, &str)], private: &str) -> String {
    let mut pairs = pairs.to_vec();
    pairs.sort_unstable();
    let text: String = pairs.iter().map(|(name, value)| format!("{name}{value}")).collect();
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, format!("{text}{private}").as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A pod of half a core as the parameter.
pub fn encoded(name: &str, script: &str) -> String {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "uid": format!("uid-{name}")},
        "spec": {
            "restartPolicy": "Never", "volumes": [{"name": "files", "configMap": {"a.txt": "hello"}}],
            "containers": [{
                "name": "c", "image": "docker.io/library/busybox:1", "command": ["sh", "-c", script],
                "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}, "env": [{"name": "A", "value": "x y"}],
                "volumeMounts": [{"name": "files", "mountPath": "/conf"}],
            }],
        },
    });
    STANDARD.encode(pod.to_string())
}

/// The pod of an answer, as JSON: the fields that are asked for are found in its YAML.
pub fn decoded(text: &Value) -> Value {
    let bytes = STANDARD.decode(text.as_str().unwrap_or_default()).expect("base64");
    serde_saphyr::from_str(&String::from_utf8(bytes).expect("text")).unwrap_or_default()
}

impl Client {
    /// Calls an action; `None` when the answer was lost.
    pub async fn try_cube(&self, action: &str, pairs: &[(&str, &str)]) -> Option<Value> {
        let mut all =
            vec![("Action", action), ("Region", "cn-bj2"), ("ProjectId", "proj123"), ("PublicKey", "testAK")];
        if !pairs.iter().any(|(name, _)| *name == "Zone") {
            all.push(("Zone", "cn-bj2-05"));
        }
        all.extend(pairs);
        let signature = signature(&all, &self.secret_key);
        all.push(("Signature", &signature));
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&all).finish();
        let mut headers = HeaderMap::new();
        headers.insert("host", self.address.to_string().parse().expect("a value"));
        headers.insert("content-type", "application/x-www-form-urlencoded".parse().expect("a value"));
        let response = self.raw(Method::POST, "/", headers, body.into_bytes()).await?;
        assert_eq!(response.status(), 200, "whatever happens");
        assert!(response.headers().contains_key("x-ucloud-request-uuid"));
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        Some(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Calls an action and is answered.
    pub async fn cube(&self, action: &str, pairs: &[(&str, &str)]) -> Value {
        self.try_cube(action, pairs).await.expect("an answer")
    }

    /// Creates a pod; its id.
    pub async fn cube_pod(&self, name: &str, script: &str) -> String {
        let pod = encoded(name, script);
        let answer = self.cube("CreateCubePod", &[("VPCId", "v"), ("SubnetId", "s"), ("Pod", &pod)]).await;
        answer["CubeId"].as_str().unwrap_or_else(|| panic!("not created: {answer}")).to_owned()
    }

    /// Reads a pod until it has this phase; empty: until it is gone.
    pub async fn cube_until(&self, id: &str, phase: &str) -> Value {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = self.cube("GetCubePod", &[("CubeId", id)]).await;
            let pod = decoded(&last["Pod"]);
            if pod["status"]["phase"] == phase || (phase.is_empty() && last["Pod"] == "") {
                return pod;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("{id} never became {phase:?}: {}", decoded(&last["Pod"]));
    }
}
