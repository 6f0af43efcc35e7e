//! Independent clients against the simulator: Huawei's SDK core and the Kubernetes client for Python. Skipped, in words,
//! where Python, `venv` or the packages cannot be had. `CLOUD_SIM_PYTHON` names an interpreter that has them.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "a test may stop and say why"
)]

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::Cloud;

const PACKAGES: [&str; 2] = ["huaweicloudsdkcore", "kubernetes"];

/// An interpreter with the packages, made once per target folder.
fn python() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("CLOUD_SIM_PYTHON") {
        return Some(given.into());
    }
    let venv = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("checkers-venv");
    let python = venv.join("bin/python");
    let works = |program: &PathBuf| {
        let imports = format!("import {}", PACKAGES.join(", "));
        let run = Command::new(program).args(["-c", &imports]).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    };
    if works(&python) {
        return Some(python);
    }
    let made = Command::new("python3").args(["-m", "venv"]).arg(&venv).stderr(Stdio::null()).status();
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--retries",
        "1",
        "--timeout",
        "20",
    ];
    made.is_ok_and(|status| status.success()).then_some(())?;
    let _ = Command::new(&python).args(install).args(PACKAGES).stderr(Stdio::null()).status();
    works(&python).then_some(python)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_sdk_and_the_kubernetes_client_agree() {
    let Some(python) = python() else {
        println!("SKIPPED: python3 with venv and the packages {PACKAGES:?} is not to be had");
        return;
    };
    let cloud = Cloud::start(&[]).await;
    cloud.client.namespace("checker").await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/checkers/check_cci1.py");
    let endpoint = format!("http://{}", cloud.client.address);
    let run = move || {
        Command::new(python)
            .arg(script)
            .arg(endpoint)
            .args(["testAK", "testSK", "proj123", "MIItoken"])
            .output()
    };
    let output = tokio::task::spawn_blocking(run).await.expect("joined").expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let meter = cloud.client.meter().await;
    assert_eq!((&meter["open"], &meter["closed"]), (&serde_json::json!(0), &serde_json::json!(2)));
    cloud.stop().await;
}
