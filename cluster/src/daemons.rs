//! The DaemonSets that ask to be replaced in the cloud (`burst.io/replace-in-cloud`), for admission and the bridge.
//!
//! Of every other DaemonSet only its name is kept. An annotation that says neither true nor false is logged and ignored.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client};
use policies::daemons::{Daemon, wish};
use policies::keys;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use smol_str::SmolStr;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::guarded::guarded;
use crate::kept::{self, Kept, Keyed, Objects};
use crate::slim::wire::{identity_of, text};

/// A DaemonSet, with its template if it asks to be replaced.
#[derive(Clone, Debug, Default)]
pub struct KeptDaemon {
    /// Namespace, name, UID and resource version only.
    pub metadata: ObjectMeta,
    /// None if it does not ask, or is being deleted.
    pub daemon: Option<Daemon>,
}

/// Watches the DaemonSets of all namespaces; keys are `namespace/name`. Must be called within a tokio runtime.
pub fn watch(client: &Client, cancel: CancellationToken, tracker: &TaskTracker) -> Kept<KeptDaemon> {
    let api = Api::all(guarded(client, std::sync::Arc::new(|| {})));
    kept::start(api, watcher::Config::default(), cancel, tracker)
}

/// Those that ask, in the order of their names.
pub fn asking(all: &Objects<KeptDaemon>) -> impl Iterator<Item = &Daemon> {
    all.values().filter_map(|kept| kept.daemon.as_ref())
}

impl Keyed for KeptDaemon {
    const OPTIONAL: bool = false;

    fn key(&self) -> SmolStr {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        smol_str::format_smolstr!("{}/{}", part(&self.metadata.namespace), part(&self.metadata.name))
    }
}

impl<'de> Deserialize<'de> for KeptDaemon {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::of)
    }
}

impl KeptDaemon {
    fn of(mut set: Value) -> Self {
        let metadata = identity_of(&set);
        let (namespace, name) = (text(&set, "/metadata/namespace"), text(&set, "/metadata/name"));
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let asks =
            wish(set["metadata"]["annotations"][keys::REPLACE_IN_CLOUD].as_str()).unwrap_or_else(|bad| {
                tracing::warn!(namespace, name, "DaemonSet: {bad}");
                false
            });
        let stays = set["metadata"]["deletionTimestamp"].is_null();
        let daemon = (asks && stays).then(|| Daemon {
            namespace,
            name,
            spec: set.pointer_mut("/spec/template/spec").map(Value::take).unwrap_or_default(),
        });
        Self { metadata, daemon }
    }
}

crate::read_as!(KeptDaemon as DaemonSet);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::FakeApi;

    fn set(name: &str, annotations: &Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {"namespace": "logging", "name": name, "uid": name, "annotations": annotations},
            "spec": {"template": {"spec": {"containers": [{"name": "c", "image": name}]}}}})
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_ask_are_known_with_their_template() {
        let api = FakeApi::new();
        let yes = json!({"burst.io/replace-in-cloud": "true"});
        api.put(set("a", &yes));
        api.put(set("b", &json!({"burst.io/replace-in-cloud": "false"})));
        api.put(set("c", &json!({"burst.io/replace-in-cloud": "yes"})));
        api.put(set("d", &json!(null)));
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let kept = watch(&api.client(), stop.clone(), &tracker);
        kept.wait_synced().await;
        let names =
            |kept: &Kept<KeptDaemon>| -> Vec<String> { asking(&kept.objects()).map(Daemon::key).collect() };
        assert_eq!(names(&kept), ["logging/a"]);
        let objects = kept.objects();
        assert_eq!(
            asking(&objects).next().map(|a| a.spec["containers"][0]["image"].clone()),
            Some(json!("a"))
        );
        assert_eq!(objects.len(), 4);
        api.put(set("d", &yes));
        let mut changes = kept.changes();
        while names(&kept) != ["logging/a", "logging/d"] {
            changes.changed().await.expect("the watch goes on");
        }
        stop.cancel();
    }
}
