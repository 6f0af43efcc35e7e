#![allow(clippy::needless_pass_by_value, reason = "tables read best with literals in place")]

use super::*;

fn workload(kind: &str, own: &[(&str, &str)], template: &[(&str, &str)], spec: Value) -> Value {
    let template = json!({"metadata": {"labels": labels(template)}, "spec": spec});
    let spec = match kind {
        "CronJob" => json!({"jobTemplate": {"spec": {"template": template}}}),
        _ => json!({"template": template}),
    };
    json!({"kind": kind, "metadata": {"name": "web", "namespace": "shop", "labels": labels(own)}, "spec": spec})
}

#[test]
fn workloads_with_bad_labels_are_refused() {
    let check = |object: &Value, wanted: &[&str]| {
        let text = admit_workload(object, None, &[]).expect_err("admitted").to_string();
        for part in wanted {
            assert!(text.contains(part), "{part:?} is not in: {text}");
        }
        let again = admit_workload(object, Some(object), &[]).expect("what was there before may be updated");
        assert_eq!((again.patch.len(), &again.warnings[0]), (0, &text));
    };
    for kind in ["Deployment", "StatefulSet", "ReplicaSet", "Job", "CronJob", "DaemonSet"] {
        let title = format!("{kind}/web");
        let bad = [("burst-to-cci", "always")];
        check(
            &workload(kind, &bad, &[], json!({})),
            &[&title, "\"always\"", "auto, localPrefer, enforce, off"],
        );
        check(&workload(kind, &[], &bad, json!({})), &[&title, "\"always\""]);
        let two = [("burst-to-cci", "auto"), ("burst.io/policy", "off")];
        check(
            &workload(kind, &two, &[], json!({})),
            &["label burst.io/policy=off", "label burst-to-cci=auto"],
        );
        let auto = [("burst-to-cci", "auto")];
        check(&workload(kind, &bad, &auto, json!({})), &[&title, "\"always\""]);
    }
    let selector = json!({"nodeSelector": {"type": "bare-metal"}});
    let enforce = [("burst-to-cci", "enforce")];
    check(
        &workload("Deployment", &enforce, &[], selector),
        &["Deployment/web label burst-to-cci", "spec.nodeSelector type=bare-metal"],
    );
    check(&workload("DaemonSet", &enforce, &[], json!({})), &["its kind, DaemonSet", "Deployment"]);
    check(&workload("DaemonSet", &[], &[("burst-to-cci", "auto")], json!({})), &["its kind, DaemonSet"]);
    let quantity = json!({"containers": [{"resources": {"requests": {"cpu": "1 core"}}}]});
    check(
        &workload("Job", &[], &[], quantity),
        &["pod template of Job/web", "spec.containers[0].resources.requests.cpu", "\"1 core\""],
    );
}

#[test]
fn workloads_are_left_alone() {
    let auto = [("burst-to-cci", "auto")];
    for kind in ["Deployment", "StatefulSet", "ReplicaSet", "Job", "CronJob"] {
        let object = workload(kind, &auto, &[], json!({"tolerations": [{"operator": "Exists"}]}));
        assert_eq!(admit_workload(&object, None, &[]).unwrap(), Admission::default());
    }
    let other = json!({"kind": "Service", "metadata": {"labels": {"burst-to-cci": "always"}}});
    assert_eq!(admit_workload(&other, None, &[]).unwrap(), Admission::default());
    let object = workload("Deployment", &auto, &[("burst-to-cci", "off")], json!({}));
    let warnings = admit_workload(&object, None, &[]).unwrap().warnings;
    assert!(warnings[0].contains("label burst-to-cci=auto has no effect"), "{warnings:?}");
}

#[test]
fn unsupported_templates() {
    let field = Unsupported { field: "spec.volumes[0].hostPath".into(), sentence: "no host there".into() };
    let admit = |policy| {
        let object = workload("Deployment", &[("burst-to-cci", policy)], &[], json!({}));
        admit_workload(&object, None, std::slice::from_ref(&field))
    };
    assert!(admit("enforce").unwrap_err().to_string().contains("hostPath: no host there"));
    assert!(admit("auto").unwrap().warnings[0].contains("hostPath"));
    assert_eq!(admit("off").unwrap(), Admission::default());
}

#[test]
fn a_daemon_set_that_tolerates_everything_is_kept_away_in_its_template() {
    let blanket = json!({"tolerations": [{"operator": "Exists"}]});
    let set = workload("DaemonSet", &[], &[], blanket.clone());
    let after = apply(&set, &admit_workload(&set, None, &[]).unwrap().patch);
    assert_eq!(terms(&after["spec"]["template"]), json!([{"matchExpressions": [on_virtual("NotIn")]}]));
    assert_eq!(admit_workload(&after, None, &[]).unwrap().patch, []);

    let mut relabelled = set.clone();
    relabelled["metadata"]["labels"] = json!({"team": "infra"});
    let untouched = admit_workload(&relabelled, Some(&set), &[]).unwrap();
    assert_eq!(untouched.patch, [], "no rollout behind the owner's back");
    let replaced = admit_workload(&set, Some(&after), &[]).unwrap().patch;
    assert_eq!(apply(&set, &replaced), after, "a replaced template gets it again, and so does not roll out");

    let narrow =
        workload("DaemonSet", &[], &[], json!({"tolerations": [{"key": "a", "operator": "Exists"}]}));
    assert_eq!(admit_workload(&narrow, None, &[]).unwrap(), Admission::default());
    let named = workload("DaemonSet", &[], &[], json!({"tolerations": [provider()]}));
    let admission = admit_workload(&named, None, &[]).unwrap();
    assert_eq!(admission.patch, []);
    assert!(admission.warnings[0].contains("a pod on every virtual node"));
    let off = workload("DaemonSet", &[("burst-to-cci", "off")], &[], blanket);
    assert!(!admit_workload(&off, None, &[]).unwrap().patch.is_empty());
}

#[test]
fn job_templates_speak_for_the_jobs() {
    let mut cron = workload("CronJob", &[("burst-to-cci", "auto")], &[], json!({}));
    cron["spec"]["jobTemplate"]["metadata"] = json!({"labels": {"burst-to-cci": "enforce"}});
    cron["spec"]["jobTemplate"]["spec"]["template"]["spec"] = json!({"nodeSelector": {"type": "bare-metal"}});
    let text = admit_workload(&cron, None, &[]).unwrap_err().to_string();
    assert!(text.contains("policy enforce (job template of CronJob/web label burst-to-cci)"), "{text}");
    cron["spec"]["jobTemplate"]["metadata"] = json!({"labels": {"burst-to-cci": "bad"}});
    let text = admit_workload(&cron, None, &[]).unwrap_err().to_string();
    assert!(text.contains("job template of CronJob/web: label burst-to-cci=\"bad\""), "{text}");
}
