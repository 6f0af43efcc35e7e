//! ECI and Cube over the process runtime, with the real binary: what these APIs create really runs. Like the other
//! process test it starts itself again in its own namespaces.
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "a test may stop and say why"
)]

#[path = "support/acs3.rs"]
mod acs3;
#[path = "support/sha1.rs"]
mod sha1;
mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::Client;

const INSIDE: &str = "CLOUD_SIM_TEST_INSIDE";

fn busybox() -> PathBuf {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/control-plane/busybox");
    std::env::var_os("BUSYBOX_STATIC").map_or(fetched, PathBuf::from)
}

#[test]
fn what_eci_and_cube_create_really_runs() {
    if std::env::var_os(INSIDE).is_some() {
        tokio::runtime::Runtime::new().expect("tokio").block_on(async {
            eci().await;
            cube().await;
        });
        return;
    }
    let busybox = busybox();
    assert!(
        busybox.is_file(),
        "no {}; run `target/debug/lab build` or set BUSYBOX_STATIC",
        busybox.display()
    );
    let own =
        ["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let own = if rustix::process::geteuid().is_root() { &own[2..] } else { &own[..] };
    let allowed = Command::new("unshare").args(own).arg("true").stderr(Stdio::null()).status();
    assert!(
        allowed.is_ok_and(|status| status.success()),
        "no right to make namespaces; run as root or allow unprivileged user namespaces"
    );
    let status = Command::new("unshare")
        .args(own)
        .arg(std::env::current_exe().expect("this test"))
        .args(["what_eci_and_cube_create_really_runs", "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .env("BUSYBOX_STATIC", busybox)
        .status()
        .expect("unshare");
    assert!(status.success(), "{status}");
}

/// The simulator as its own process, killed on drop.
struct Running {
    process: Child,
    client: Client,
    _dir: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn start(api: &str) -> Running {
    let status = Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("ip");
    assert!(status.success());
    let dir = tempfile::tempdir().expect("a folder");
    let process = Command::new(env!("CARGO_BIN_EXE_cloud-sim"))
        .args([
            "--api",
            api,
            "--listen",
            "127.0.0.1:7443",
            "--access-key",
            "testAK",
            "--secret-key",
            "testSK",
        ])
        .args([
            "--project-id",
            "proj123",
            "--runtime",
            "process",
            "--bridge",
            "lab0",
            "--delete-ms",
            "0",
            "--state-dir",
        ])
        .arg(dir.path())
        .arg("--busybox")
        .arg(busybox())
        .spawn()
        .expect("cloud-sim");
    let client =
        Client { address: "127.0.0.1:7443".parse().expect("an address"), secret_key: "testSK".to_owned() };
    for _ in 0..400 {
        if tokio::net::TcpStream::connect(client.address).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Running { process, client, _dir: dir }
}

async fn until(client: &Client, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let ids = json!([id]).to_string();
    let mut last = Value::Null;
    for _ in 0..600 {
        last = client.eci("DescribeContainerGroups", &[("ContainerGroupIds", &ids)]).await["ContainerGroups"]
            [0]
        .clone();
        if wanted(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{id} never became as wanted: {last}");
}

async fn eci() {
    let running = start("eci").await;
    let client = &running.client;
    let script = "echo $GREETING; cat /conf/a.txt; echo; stat -c %a /conf/a.txt; hostname; trap 'exit 0' TERM; while :; do sleep 0.1; done";
    let file = "Volume.1.ConfigFileVolume.ConfigFileToPath.1";
    let (path, content, mode) = (format!("{file}.Path"), format!("{file}.Content"), format!("{file}.Mode"));
    let order = [
        ("ContainerGroupName", "web"),
        ("HostName", "inside"),
        ("Container.1.Name", "c"),
        ("Container.1.Image", "busybox"),
        ("Container.1.Command.1", "sh"),
        ("Container.1.Command.2", "-c"),
        ("Container.1.Command.3", script),
        ("Container.1.EnvironmentVar.1.Key", "IP"),
        ("Container.1.EnvironmentVar.1.FieldRef.FieldPath", "status.podIP"),
        ("Container.1.EnvironmentVar.2.Key", "GREETING"),
        ("Container.1.EnvironmentVar.2.Value", "hello $(IP)"),
        ("Container.1.VolumeMount.1.Name", "conf"),
        ("Container.1.VolumeMount.1.MountPath", "/conf"),
        ("Volume.1.Name", "conf"),
        ("Volume.1.Type", "ConfigFileVolume"),
        (&path, "a.txt"),
        (&content, "ZnJvbSBjb25maWc="),
        (&mode, "384"),
    ];
    let created = client.eci("CreateContainerGroup", &order).await;
    let id = created["ContainerGroupId"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
    let group = until(client, &id, |group| group["Status"] == "Running").await;
    let address = group["IntranetIp"].as_str().expect("an address").to_owned();
    let named = [("ContainerGroupId", id.as_str()), ("ContainerName", "c")];
    let expected = format!("hello {address}\nfrom config\n600\ninside\n");
    let mut log = Value::Null;
    for _ in 0..200 {
        log = client.eci("DescribeContainerLog", &named).await["Content"].clone();
        if log == expected.as_str() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(log, expected.as_str());
    let exec = [&named[..], &[("Command", "[\"cat\",\"/conf/a.txt\"]"), ("Sync", "true")]].concat();
    assert_eq!(client.eci("ExecContainerCommand", &exec).await["SyncResponse"], "from config");
    let changed = [
        ("ContainerGroupId", id.as_str()),
        ("Volume.1.Name", "conf"),
        ("Volume.1.Type", "ConfigFileVolume"),
        (&path, "a.txt"),
        (&content, "Y2hhbmdlZA=="),
    ];
    assert_eq!(client.refusal("UpdateContainerGroup", &changed).await, "");
    let again = until(client, &id, |group| group["Status"] == "Running").await;
    assert_eq!(again["IntranetIp"], address.as_str(), "the address stays");
    assert_eq!(client.eci("ExecContainerCommand", &exec).await["SyncResponse"], "changed");
    assert_eq!(client.refusal("DeleteContainerGroup", &[("ContainerGroupId", &id)]).await, "");
    until(client, &id, Value::is_null).await;
    assert_eq!((&client.meter().await["open"], &client.meter().await["closed"]), (&json!(0), &json!(1)));
}

async fn cube() {
    let running = start("cube").await;
    let client = &running.client;
    let good = client.cube_pod("good", "test \"$A $(cat /conf/a.txt)\" = 'x y hello'").await;
    client.cube_until(&good, "Completed").await;
    let bad = client.cube_pod("bad", "exit 9").await;
    let failed = client.cube_until(&bad, "Error").await;
    assert_eq!(failed["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 9);
    for id in [&good, &bad] {
        assert_eq!(client.cube("DeleteCubePod", &[("CubeId", id)]).await["RetCode"], 0);
        client.cube_until(id, "").await;
    }
    assert_eq!(client.meter().await["open"], 0);
}
