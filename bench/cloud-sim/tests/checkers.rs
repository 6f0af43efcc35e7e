//! Independent clients against the simulator: Huawei's SDK core and the Kubernetes client for Python, Alibaba's current
//! and legacy SDKs, UCloud's. Skipped, in words, where Python, `venv` or the packages cannot be had. `CLOUD_SIM_PYTHON`
//! names an interpreter that has them all.
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

/// Packages with what they are imported as.
type Packages = &'static [(&'static str, &'static str)];

const HUAWEI: Packages = &[("huaweicloudsdkcore", "huaweicloudsdkcore"), ("kubernetes", "kubernetes")];
const ALIBABA: Packages = &[
    ("alibabacloud-eci20180808", "alibabacloud_eci20180808"),
    ("aliyun-python-sdk-core", "aliyunsdkcore"),
    ("aliyun-python-sdk-eci", "aliyunsdkeci"),
];

const UCLOUD: Packages = &[("ucloud-sdk-python3", "ucloud"), ("PyYAML", "yaml")];

/// An interpreter with the packages, made once per target folder and cloud.
fn python(cloud: &str, packages: Packages) -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("CLOUD_SIM_PYTHON") {
        return Some(given.into());
    }
    let venv = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("checkers-{cloud}"));
    let python = venv.join("bin/python");
    let works = |program: &PathBuf| {
        let modules: Vec<&str> = packages.iter().map(|(_, module)| *module).collect();
        let imports = format!("import {}", modules.join(", "));
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
    let names = packages.iter().map(|(name, _)| *name);
    let _ = Command::new(&python).args(install).args(names).stderr(Stdio::null()).status();
    works(&python).then_some(python)
}

/// Runs a script with these arguments; its complaints are the failure.
async fn run(python: PathBuf, script: &str, arguments: Vec<String>) {
    let script = format!("{}/checkers/{script}", env!("CARGO_MANIFEST_DIR"));
    let run = move || Command::new(python).arg(script).args(arguments).output();
    let output = tokio::task::spawn_blocking(run).await.expect("joined").expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_sdk_and_the_kubernetes_client_agree() {
    let Some(python) = python("venv", HUAWEI) else {
        println!("SKIPPED: python3 with venv and the packages {HUAWEI:?} is not to be had");
        return;
    };
    let cloud = Cloud::start(&[]).await;
    cloud.client.namespace("checker").await;
    let endpoint = format!("http://{}", cloud.client.address);
    run(python, "check_cci1.py", words(&[&endpoint, "testAK", "testSK", "proj123", "MIItoken"])).await;
    let meter = cloud.client.meter().await;
    assert_eq!((&meter["open"], &meter["closed"]), (&serde_json::json!(0), &serde_json::json!(2)));
    cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alibabas_current_and_legacy_sdks_agree() {
    let Some(python) = python("eci", ALIBABA) else {
        println!("SKIPPED: python3 with venv and the packages {ALIBABA:?} is not to be had");
        return;
    };
    let cloud = Cloud::of("eci", &[]).await;
    cloud
        .client
        .post(
            "/_sim/scripts",
            serde_json::json!([
                {"image": "busybox", "runMs": 0, "exitCode": 0}, {"log": ["first", "said"]},
            ]),
        )
        .await;
    run(python, "check_eci.py", words(&[&cloud.client.address.to_string(), "testAK", "testSK"])).await;
    let meter = cloud.client.meter().await;
    assert_eq!((&meter["open"], &meter["lostLines"]), (&serde_json::json!(0), &serde_json::json!(0)));
    cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uclouds_sdk_agrees() {
    let Some(python) = python("cube", UCLOUD) else {
        println!("SKIPPED: python3 with venv and the packages {UCLOUD:?} is not to be had");
        return;
    };
    let cloud = Cloud::of("cube", &[]).await;
    let endpoint = format!("http://{}", cloud.client.address);
    run(python, "check_cube.py", words(&[&endpoint, "testAK", "testSK", "proj123"])).await;
    let meter = cloud.client.meter().await;
    assert_eq!((&meter["open"], &meter["lostLines"]), (&serde_json::json!(0), &serde_json::json!(0)));
    cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_sdk_and_the_kubernetes_client_agree_on_the_second_generation() {
    let Some(python) = python("venv", HUAWEI) else {
        println!("SKIPPED: python3 with venv and the packages {HUAWEI:?} is not to be had");
        return;
    };
    let cloud = Cloud::start(&["--api", "cci2"]).await;
    let endpoint = format!("http://{}", cloud.client.address);
    run(python, "check_cci2.py", words(&[&endpoint, "testAK", "testSK", "proj123", "MIItoken"])).await;
    let meter = cloud.client.meter().await;
    assert_eq!((&meter["open"], &meter["closed"]), (&serde_json::json!(0), &serde_json::json!(2)));
    cloud.stop().await;
}
