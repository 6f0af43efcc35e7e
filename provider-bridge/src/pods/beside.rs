//! The DaemonSets that run beside a pod in its instance: exactly those that admission wrote on it, as far as they still
//! ask for it and still ask for no more.
//!
//! Pure. Who is left out is named, with the field; the pod runs without it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::daemons::{KeptDaemon, asking};
use cluster::kept::Objects;
use policies::daemons::{Daemon, Joined, Refused, record};
use policies::keys;
use policies::pod::PodFacts;
use serde_json::Value;

use crate::cloud::{CreateRequest, Provider};

pub(super) mod objects;

/// Whether admission wrote down a DaemonSet.
pub(super) fn is_named(pod: &Value) -> bool {
    annotation(pod).is_some_and(|names| !names.is_empty())
}

/// Puts the containers into the request; returns what to tell the pod's owner. `unread` names the DaemonSets of which an
/// object could not be read.
pub(super) fn join(
    request: &mut CreateRequest,
    daemons: &Objects<KeptDaemon>,
    unread: &BTreeMap<String, Refused>,
    provider: &dyn Provider,
) -> Vec<String> {
    join_at(request, daemons, unread, (provider.name(), provider.network_interop()))
}

fn join_at(
    request: &mut CreateRequest,
    daemons: &Objects<KeptDaemon>,
    unread: &BTreeMap<String, Refused>,
    (provider, interop): (&str, bool),
) -> Vec<String> {
    let pod = Arc::clone(&request.object);
    let names: Vec<&str> = annotation(&pod).map(|text| record::names(text).collect()).unwrap_or_default();
    if names.is_empty() && asking(daemons).next().is_none() {
        return Vec::new();
    }
    let Ok(facts) = PodFacts::from_value(&pod) else { return Vec::new() };
    if facts.is_daemon() {
        return Vec::new();
    }
    let room = record::requests(&facts.annotations).unwrap_or_default();
    let (mut joined, mut told) = (Joined::alone(&pod, &request.pod.namespace), Vec::new());
    joined.interop = interop;
    for name in &names {
        let daemon = daemons.get(*name).and_then(|kept| kept.daemon.as_ref());
        let result = match (daemon, unread.get(*name)) {
            (_, Some(unread)) => Err(unread.clone()),
            (Some(daemon), None) => joined.add(daemon, &[provider], Some(room)),
            (None, None) => Err(gone()),
        };
        told.extend(result.err().map(|refused| refused.text(name)));
    }
    // Who was not written down because it cannot run here is named too; who asks since later is for later pods.
    let others = asking(daemons).filter(|daemon| !names.contains(&daemon.key().as_str()));
    let refused = |daemon: &Daemon| Some(joined.look(daemon, &[provider]).err()?.text(&daemon.key()));
    told.extend(others.filter_map(refused));
    if !joined.hidden.is_empty() {
        (request.object, request.hidden) = (Arc::new(joined.pod), joined.hidden);
    }
    told
}

fn gone() -> Refused {
    Refused {
        field: format!("metadata.annotations['{}']", keys::REPLACE_IN_CLOUD),
        sentence: "it is gone, or does not ask for it any more".to_owned(),
    }
}

fn annotation(pod: &Value) -> Option<&str> {
    pod.get("metadata")?.get("annotations")?.get(keys::DAEMONSETS)?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cloud::PodIdentity;

    fn kept(name: &str, wish: &str, cpu: &str) -> KeptDaemon {
        serde_json::from_value(json!({
            "metadata": {"namespace": "logging", "name": name, "annotations": {"burst.io/replace-in-cloud": wish}},
            "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i",
                "resources": {"requests": {"cpu": cpu}}}]}}},
        }))
        .expect("a DaemonSet")
    }

    fn request(names: &str, cpu: &str) -> CreateRequest {
        let annotations = json!({"burst.io/daemonsets": names,
            "burst.io/daemonsets-requests": json!({"cpu": cpu}).to_string()});
        CreateRequest {
            pod: PodIdentity { uid: "u".into(), namespace: "shop".into(), name: "web".into() },
            node: "n".into(),
            object: Arc::new(json!({"metadata": {"name": "web", "annotations": annotations},
                "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "1"}}}]}})),
            labels: [].into(),
            annotations: [].into(),
            hidden: Vec::new(),
            needs_grant: false,
        }
    }

    /// What is added, and what is told, for a pod that names `a` and `b` with 200m between them.
    fn check(daemons: &[KeptDaemon], hidden: &[&str], told: &[(&str, &str)]) {
        let daemons: Objects<KeptDaemon> = daemons
            .iter()
            .map(|one| {
                let name = one.metadata.name.as_deref().unwrap_or_default();
                (format!("logging/{name}").into(), Arc::new(one.clone()))
            })
            .collect();
        let mut request = request("logging/a,logging/b", "200m");
        let said = join_at(&mut request, &daemons, &BTreeMap::new(), ("huawei", false));
        assert_eq!(request.hidden, hidden);
        let containers = request.object["spec"]["containers"].as_array().map_or(0, Vec::len);
        assert_eq!(containers, 1 + hidden.len());
        assert_eq!(said.len(), told.len(), "{said:?}");
        for (text, (name, part)) in said.iter().zip(told) {
            assert!(text.contains(&format!("DaemonSet logging/{name} ")) && text.contains(part), "{text}");
        }
    }

    #[test]
    fn exactly_those_that_were_counted_and_still_ask() {
        let (a, b) = (kept("a", "true", "100m"), kept("b", "true", "100m"));
        check(&[a.clone(), b.clone()], &["a-c", "b-c"], &[]);
        check(&[a.clone(), b.clone(), kept("c", "true", "1m")], &["a-c", "b-c"], &[]);
        check(&[a.clone(), kept("b", "false", "100m")], &["a-c"], &[("b", "does not ask for it any more")]);
        check(std::slice::from_ref(&b), &["b-c"], &[("a", "it is gone")]);
        check(
            &[a.clone(), kept("b", "true", "101m")],
            &["a-c"],
            &[("b", "more than when the pod was admitted")],
        );
        check(&[a, kept("b", "true", "64")], &["a-c"], &[("b", "larger than the largest CCI pod")]);
        check(
            &[kept("a", "true", "100m"), b, kept("c", "true", "much")],
            &["a-c", "b-c"],
            &[("c", "requests.cpu")],
        );
    }

    #[test]
    fn nothing_is_read_where_nobody_asks() {
        let mut request = request("", "0");
        let object = Arc::clone(&request.object);
        assert_eq!(
            join_at(&mut request, &Objects::new(), &BTreeMap::new(), ("huawei", false)),
            Vec::<String>::new()
        );
        assert!(Arc::ptr_eq(&request.object, &object));
        assert!(!is_named(&object));
    }

    /// Guards a pod's start: an agent gives way where network interop takes the last place.
    #[test]
    fn an_agent_gives_way_to_network_interop() {
        let daemons: Objects<KeptDaemon> = [("logging/a".into(), Arc::new(kept("a", "true", "100m")))].into();
        for (interop, own, agents) in [(false, 4, 1), (true, 3, 1), (true, 4, 0)] {
            let mut request = request("logging/a", "200m");
            let mut object = (*request.object).clone();
            let containers =
                (0..own).map(|i| json!({"name": format!("c{i}"), "resources": {"requests": {"cpu": "1"}}}));
            object["spec"]["containers"] = containers.collect();
            request.object = Arc::new(object);
            let told = join_at(&mut request, &daemons, &BTreeMap::new(), ("huawei", interop));
            assert_eq!(request.hidden.len(), agents, "{interop} {own}");
            assert_eq!(
                told.iter().filter(|text| text.contains("network interop")).count(),
                1 - agents,
                "{told:?}"
            );
        }
    }
}
