//! The Prometheus rules of `deploy/prometheus`, checked and unit-tested by Prometheus' own promtool; and the page of a
//! virtual node for metrics-server.
#![expect(clippy::expect_used, reason = "a test")]

use std::process::Command;

async fn promtool(args: &[&str]) {
    let tools = lab::ensure_tools().await.expect("promtool");
    let folder = lab::repository_root().expect("the checkout").join("deploy/prometheus");
    let output =
        Command::new(tools.promtool()).args(args).current_dir(folder).output().expect("promtool runs");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {args:?}:\n{}", String::from_utf8_lossy(&said));
}

#[tokio::test]
async fn the_rules_are_valid() {
    promtool(&["check", "rules", "rules.yaml"]).await;
}

/// A giant virtual node must change nothing for the real ones: `rules_test.yaml` says what each rule answers.
#[tokio::test]
async fn the_rules_undo_the_giant_node() {
    promtool(&["test", "rules", "rules_test.yaml"]).await;
}

/// The page that metrics-server reads, as Prometheus reads it.
#[tokio::test]
async fn the_resource_metrics_are_valid() {
    let tools = lab::ensure_tools().await.expect("promtool");
    let page =
        lab::repository_root().expect("the checkout").join("provider-bridge/src/usage/testdata/resource.txt");
    let page = std::fs::File::open(page).expect("the page");
    let output = Command::new(tools.promtool())
        .args(["check", "metrics"])
        .stdin(page)
        .output()
        .expect("promtool runs");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
