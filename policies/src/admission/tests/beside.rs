//! What is written about the DaemonSets beside a pod.

use super::*;
use crate::{daemons::Beside, resources::Resources};

fn world() -> World {
    let beside = Beside {
        names: vec!["logging/agent".to_owned(), "shop/metrics".to_owned()],
        sizes: vec![Resources { cpu_milli: 150, ..Resources::default() }],
        requests: Resources { cpu_milli: 150, memory_bytes: 96 << 20, ..Resources::default() },
    };
    World { settings: Settings { beside, ..Settings::default() }, ..World::default() }
}

fn written(pod: &Value) -> (&Value, &Value) {
    let of = |key: &str| &pod["metadata"]["annotations"][key];
    (of("burst.io/daemonsets"), of("burst.io/daemonsets-requests"))
}

#[test]
fn pods_that_may_burst_carry_who_runs_beside_them() {
    for policy in ["auto", "localPrefer", "enforce"] {
        let (pod, _) = admitted(&world(), &pod(burst(policy), json!({})));
        let wanted = ("logging/agent,shop/metrics", r#"{"cpu":"150m","memory":"96Mi"}"#);
        assert_eq!(written(&pod), (&json!(wanted.0), &json!(wanted.1)), "{policy}");
    }
    let (off, _) = admitted(&world(), &pod(burst("off"), json!({})));
    assert_eq!(written(&off), (&Value::Null, &Value::Null));
    let unsupported = vec![Unsupported { field: "spec.hostNetwork".into(), sentence: "no".into() }];
    let (stays, _) = admitted(&World { unsupported, ..world() }, &pod(burst("auto"), json!({})));
    assert_eq!(written(&stays), (&Value::Null, &Value::Null), "kept on real nodes");
}

/// Guards the money: nobody writes himself smaller, or gets a container that was not counted.
#[test]
fn what_somebody_wrote_there_himself_does_not_stay() {
    let forged = |policy: &str| {
        let mut pod = pod(burst(policy), json!({}));
        pod["metadata"]["annotations"] = json!({"burst.io/daemonsets": "shop/mine", "burst.io/daemonsets-requests": r#"{"cpu":"1m"}"#,
                "burst.io/daemonsets-sizes": "[]"});
        pod
    };
    for policy in ["auto", "enforce", "off"] {
        let (none, _) = admitted(&World::default(), &forged(policy));
        assert_eq!(written(&none), (&Value::Null, &Value::Null), "{policy}");
        assert_eq!(none["metadata"]["annotations"].get("burst.io/daemonsets-sizes"), None, "{policy}");
    }
    let (some, _) = admitted(&world(), &forged("auto"));
    assert_eq!(written(&some).0, "logging/agent,shop/metrics");
    assert_eq!(written(&some).1, r#"{"cpu":"150m","memory":"96Mi"}"#);
    assert_eq!(some["metadata"]["annotations"]["burst.io/daemonsets-sizes"], r#"[{"cpu":"150m"}]"#);
}
