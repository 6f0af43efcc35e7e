//! Least privilege, read from the manifests.

use serde_json::Value;

fn objects(kind: &str) -> Vec<Value> {
    let all = crate::documents("manifests/rbac.yaml").unwrap();
    all.into_iter().filter(|o| o["kind"] == kind).collect()
}

fn words(rule: &Value, field: &str) -> Vec<String> {
    let list = rule[field].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

/// Every rule with the name of its role.
fn rules() -> Vec<(String, Value)> {
    let roles = objects("ClusterRole").into_iter().chain(objects("Role"));
    roles
        .flat_map(|role| {
            let name = role["metadata"]["name"].as_str().unwrap().to_owned();
            role["rules"].as_array().unwrap().clone().into_iter().map(move |rule| (name.clone(), rule))
        })
        .collect()
}

#[test]
fn no_rule_has_a_wildcard() {
    for (role, rule) in rules() {
        for field in ["apiGroups", "resources", "verbs", "resourceNames", "nonResourceURLs"] {
            for word in words(&rule, field) {
                assert!(!word.contains('*'), "{role}: {field} {word}");
            }
        }
        assert!(!words(&rule, "verbs").is_empty() && !words(&rule, "resources").is_empty(), "{role}: {rule}");
    }
}

#[test]
fn secrets_and_config_maps_are_out_of_reach_and_pods_are_read_or_patched() {
    for (role, rule) in rules() {
        let (resources, verbs) = (words(&rule, "resources"), words(&rule, "verbs"));
        for resource in ["secrets", "configmaps", "serviceaccounts/token", "pods/exec"] {
            assert!(!resources.iter().any(|r| r == resource), "{role} must not reach {resource}");
        }
        if resources.iter().any(|r| r.starts_with("pods")) {
            // The leader writes grants on pods and moves them home by eviction; deletion, creation and every other
            // subresource stay out of reach.
            let reads = |v: &String| ["get", "list", "watch"].contains(&v.as_str());
            let leads = |verb: &str, resource: &str| {
                role == "burst-scheduler" && verbs == [verb] && resources == [resource]
            };
            let writes = leads("patch", "pods") || leads("create", "pods/eviction");
            assert!(writes || verbs.iter().all(reads), "{role} only reads pods: {verbs:?}");
        }
        let dangerous = ["escalate", "bind", "deletecollection"];
        assert!(!verbs.iter().any(|v| dangerous.contains(&v.as_str())), "{role}: {verbs:?}");
    }
}

/// Changes to nodes, impersonation and node leases are limited to the same named nodes.
#[test]
fn the_bridge_touches_its_own_nodes_only() {
    let mut lists: Vec<Vec<String>> = Vec::new();
    for (role, rule) in rules() {
        let (resources, verbs) = (words(&rule, "resources"), words(&rule, "verbs"));
        let names = words(&rule, "resourceNames");
        let has = |list: &[String], word: &str| list.iter().any(|w| w == word);
        let changes = ["update", "patch", "delete"].iter().any(|v| has(&verbs, v));
        let owned =
            has(&resources, "nodes") || role == "burst-bridge" && has(&resources, "virtualnodereports");
        if owned && changes || has(&resources, "users") {
            assert!(!names.is_empty(), "{role}: {rule}");
            lists.push(names.iter().map(|n| n.trim_start_matches("system:node:").to_owned()).collect());
        }
        if has(&resources, "groups") {
            assert_eq!(names, ["system:nodes"], "{role}");
        }
        if has(&verbs, "impersonate") {
            assert!(!names.is_empty(), "{role}: impersonation without names is root");
        }
    }
    let leases = rules().into_iter().filter(|(_, r)| {
        words(r, "resources") == ["leases"] && words(r, "verbs").contains(&"patch".to_owned())
    });
    let node_leases =
        leases.map(|(_, r)| words(&r, "resourceNames")).filter(|n| n[0].starts_with("burst-cci"));
    lists.extend(node_leases);
    assert_eq!(lists.len(), 5);
    assert!(lists.iter().all(|l| l == &lists[0]), "the node names differ: {lists:?}");
    let shipped = crate::text("manifests/bridge.yaml").unwrap();
    let named: Vec<_> = lists[0].iter().filter(|n| shipped.contains(&format!("name: {n}\n"))).collect();
    assert!(!named.is_empty(), "the bridge's own configuration names none of {:?}", lists[0]);
}

/// Who may do what with our own kinds, complete: the user owns policies, one program writes ledgers, the other reports.
#[test]
fn our_own_kinds_have_one_writer_each() {
    let wanted = [
        ("burst-bridge", "burstpolicies", "get list watch"),
        ("burst-bridge", "clusterburstpolicies", "get list watch"),
        ("burst-bridge", "virtualnodereports", "create get list update watch"),
        ("burst-ledger-reader", "burstledgers", "get list watch"),
        ("burst-ledger-writer", "burstledgers", "create get list update watch"),
        ("burst-scheduler", "burstpolicies", "get list watch"),
        ("burst-scheduler", "burstpolicies/status", "get patch"),
        ("burst-scheduler", "clusterburstpolicies", "get list watch"),
        ("burst-scheduler", "clusterburstpolicies/status", "get patch"),
        ("burst-scheduler", "virtualnodereports", "get list watch"),
    ];
    let mut have: std::collections::BTreeMap<(String, String), std::collections::BTreeSet<String>> =
        std::collections::BTreeMap::new();
    for (role, rule) in rules().into_iter().filter(|(_, rule)| words(rule, "apiGroups") == ["burst.io"]) {
        for resource in words(&rule, "resources") {
            have.entry((role.clone(), resource)).or_default().extend(words(&rule, "verbs"));
        }
    }
    let have: Vec<_> = have
        .iter()
        .map(|((role, resource), verbs)| {
            (role.as_str(), resource.as_str(), verbs.iter().cloned().collect::<Vec<_>>().join(" "))
        })
        .collect();
    assert_eq!(have, wanted.map(|(role, resource, verbs)| (role, resource, verbs.to_owned())));
    // Ledgers are readable in the programs' own namespace only.
    let roles = objects("Role");
    for name in ["burst-ledger-reader", "burst-ledger-writer"] {
        let role = roles.iter().find(|role| role["metadata"]["name"] == name).unwrap();
        assert_eq!(role["metadata"]["namespace"], "burst-system", "{name}");
    }
}

#[test]
fn bindings_name_roles_and_accounts_that_exist() {
    let name = |o: &Value| o["metadata"]["name"].as_str().unwrap().to_owned();
    let accounts: Vec<String> = objects("ServiceAccount").iter().map(name).collect();
    for (binding, role) in [("ClusterRoleBinding", "ClusterRole"), ("RoleBinding", "Role")] {
        let roles: Vec<String> = objects(role).iter().map(name).collect();
        for object in objects(binding) {
            let reference = object["roleRef"]["name"].as_str().unwrap();
            assert!(roles.iter().any(|r| r == reference), "{binding} {}", name(&object));
            for subject in object["subjects"].as_array().unwrap() {
                assert!(accounts.iter().any(|a| subject["name"] == a.as_str()));
                assert_eq!(subject["namespace"], "burst-system");
            }
        }
    }
}
