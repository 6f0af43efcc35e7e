//! The process runtime end to end, with the real binary: this test starts itself again in its own network, mount and
//! pid namespaces, so that it neither needs nor disturbs anything of the machine. Skipped, in words, without the rights
//! or without a static busybox.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "a test may stop and say why"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::Method;
use serde_json::{Value, json};
use support::{Client, PODS, pod};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const INSIDE: &str = "CLOUD_SIM_TEST_INSIDE";

/// A static busybox: `BUSYBOX_STATIC`, or the one that `make test` fetches.
fn busybox() -> PathBuf {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/control-plane/busybox");
    std::env::var_os("BUSYBOX_STATIC").map_or(fetched, PathBuf::from)
}

#[test]
fn process_runtime_end_to_end() {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Runtime::new().expect("tokio");
        runtime.block_on(everything());
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
    let this = std::env::current_exe().expect("this test");
    let status = Command::new("unshare")
        .args(own)
        .arg(this)
        .args(["process_runtime_end_to_end", "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .env("BUSYBOX_STATIC", busybox)
        .status()
        .expect("unshare");
    assert!(status.success(), "{status}");
}

/// The simulator as its own process, killed on drop.
struct Running {
    process: std::process::Child,
    client: Client,
    dir: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn start() -> Running {
    let status = Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("ip");
    assert!(status.success());
    let dir = tempfile::tempdir().expect("a folder");
    let state = dir.path().to_str().expect("a path");
    let busybox = busybox();
    let process = Command::new(env!("CARGO_BIN_EXE_cloud-sim"))
        .args(["--listen", "127.0.0.1:7443", "--access-key", "testAK", "--secret-key", "testSK"])
        .args(["--project-id", "proj123", "--runtime", "process", "--state-dir", state, "--bridge", "lab0"])
        .args([
            "--subnet",
            "198.18.64.0/18",
            "--restart-backoff-ms",
            "50",
            "--network-ms",
            "0",
            "--delete-ms",
            "0",
        ])
        .arg("--busybox")
        .arg(busybox)
        .spawn()
        .expect("cloud-sim");
    let address = "127.0.0.1:7443".parse().expect("an address");
    let client = Client { address, secret_key: "testSK".to_owned() };
    for _ in 0..400 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    client.namespace(support::NS).await;
    Running { process, client, dir }
}

/// A pod that runs a shell script.
fn shell(name: &str, script: &str) -> Value {
    let mut body = pod(name);
    body["spec"]["containers"][0]["command"] = json!(["sh", "-c", script]);
    body["spec"]["restartPolicy"] = json!("Never");
    body
}

async fn create(client: &Client, body: Value) {
    let (status, answer) = client.post(PODS, body).await;
    assert_eq!(status.as_u16(), 201, "{answer}");
}

async fn log(client: &Client, name: &str, query: &str) -> String {
    let answer = client.get(&format!("{PODS}/{name}/log?container=c{query}")).await.1;
    answer.as_str().map_or_else(|| answer.to_string(), str::to_owned)
}

async fn everything() {
    let running = start().await;
    let client = &running.client;
    output_env_and_files(client).await;
    exit_codes_and_restarts(client).await;
    image_errors(client).await;
    let pids = exec_and_network(client).await;
    usage_of_processes(client).await;
    init_sidecar_and_probe(client).await;
    graceful_stop(client).await;
    deletion_leaves_nothing(client, &pids, running.dir.path()).await;
    killing_the_simulator_leaves_no_process(running).await;
}

async fn output_env_and_files(client: &Client) {
    let config = json!({"metadata": {"name": "conf"}, "data": {"a.txt": "from config", "key": "v1"}});
    let secret = json!({"metadata": {"name": "sec"}, "data": {"pw": "c2VjcmV0"}});
    assert_eq!(client.post(&PODS.replace("pods", "configmaps"), config).await.0.as_u16(), 201);
    assert_eq!(client.post(&PODS.replace("pods", "secrets"), secret).await.0.as_u16(), 201);
    let script = "echo $GREETING $KEY; echo oops >&2; cat /conf/a.txt; echo; cat /sec/pw; echo; echo x > /scratch/f && cat /scratch/f; \
        touch /conf/x 2>/dev/null || echo ro; pwd; hostname; echo $$$$; ps | wc -l; printf last > /dev/termination-log";
    let mut body = shell("out", script);
    let container = &mut body["spec"]["containers"][0];
    container["workingDir"] = json!("/work/dir");
    container["env"] = json!([
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "GREETING", "value": "hello $(IP)"},
        {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "key"}}}]);
    container["volumeMounts"] = json!([{"name": "conf", "mountPath": "/conf"}, {"name": "sec", "mountPath": "/sec"},
        {"name": "scratch", "mountPath": "/scratch"}]);
    body["spec"]["volumes"] = json!([{"name": "conf", "configMap": {"name": "conf"}}, {"name": "sec", "secret": {"secretName": "sec"}},
        {"name": "scratch", "emptyDir": {}}]);
    create(client, body).await;
    let done = client.until_phase("out", "Succeeded").await;
    let ip = done["status"]["podIP"].as_str().expect("an address").to_owned();
    let lines = log(client, "out", "").await;
    let mut got: Vec<&str> = lines.lines().collect();
    got.retain(|line| *line != "oops");
    let expected =
        [&format!("hello {ip} v1")[..], "from config", "secret", "x", "ro", "/work/dir", "out", "1"];
    assert_eq!(&got[..8], expected, "{lines}");
    assert!(lines.contains("oops"), "standard error is in the log");
    assert!(got[8].trim().parse::<u32>().is_ok_and(|n| n <= 5), "only its own processes: {lines}");
    assert_eq!(done["status"]["containerStatuses"][0]["state"]["terminated"]["message"], "last");
    let stamped = log(client, "out", "&timestamps=true&tailLines=1").await;
    assert!(stamped.contains("Z "), "{stamped}");
}

/// What a loop below the container's shell uses is more than a scripted tenth of half a core, and memory is there.
async fn usage_of_processes(client: &Client) {
    create(client, shell("busy", "sh -c 'while :; do :; done'; true")).await;
    client.until_phase("busy", "Running").await;
    let metrics = PODS.replace("/api/v1/", "/apis/metrics.k8s.io/v1beta1/");
    let number = |item: &Value, what: &str, unit: &str| {
        let text = item["containers"][0]["usage"][what].as_str().and_then(|text| text.strip_suffix(unit));
        text.and_then(|text| text.parse::<u64>().ok()).unwrap_or_default()
    };
    let busy = |list: &Value| {
        let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
        let item = items.iter().find(|item| item["metadata"]["name"] == "busy");
        item.is_some_and(|item| number(item, "cpu", "n") > 60_000_000 && number(item, "memory", "Ki") > 0)
    };
    client.until(&metrics, busy).await;
    client.delete(&format!("{PODS}/busy?gracePeriodSeconds=0")).await;
    client.until_gone("busy").await;
}

async fn exit_codes_and_restarts(client: &Client) {
    create(client, shell("seven", "exit 7")).await;
    let failed = client.until_phase("seven", "Failed").await;
    assert_eq!(failed["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 7);
    create(client, shell("nothing", "true")).await;
    let mut missing = shell("missing", "");
    missing["spec"]["containers"][0]["command"] = json!(["/no/such/program"]);
    create(client, missing).await;
    let failed = client.until_phase("missing", "Failed").await;
    let terminated = &failed["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(terminated["exitCode"], 128);
    assert!(terminated["message"].as_str().is_some_and(|m| m.contains("/no/such/program")), "{terminated}");
    if other_users() {
        another_user(client).await;
    }
    let mut again = shell("again", "echo run; sleep 1000");
    again["spec"]["restartPolicy"] = json!("Always");
    create(client, again).await;
    client.until_phase("again", "Running").await;
    let kill = json!({"namespace": support::NS, "name": "again", "container": "c"});
    assert_eq!(client.post("/_sim/kill", kill).await.0.as_u16(), 200);
    let path = format!("{PODS}/again");
    let status = |p: &Value| p["status"]["containerStatuses"][0].clone();
    let restarted =
        client.until(&path, |p| status(p)["restartCount"] == 1 && status(p)["ready"] == true).await;
    let last = &status(&restarted)["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["signal"]), (&json!(137), &json!(9)), "{last}");
    assert_eq!(log(client, "again", "&previous=true").await, "run\n");
    let mut crash = shell("crash", "exit 1");
    crash["spec"]["restartPolicy"] = json!("OnFailure");
    create(client, crash).await;
    let looping = |p: &Value| status(p)["state"]["waiting"]["reason"] == "CrashLoopBackOff";
    let looped = client.until(&format!("{PODS}/crash"), looping).await;
    assert_eq!(status(&looped)["lastState"]["terminated"]["exitCode"], 1);
}

/// A user namespace of one user has no other user to become.
fn other_users() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").expect("uid_map");
    let count = map.split_whitespace().nth(2).and_then(|count| count.parse::<u64>().ok());
    count.is_some_and(|count| count > 65534)
}

async fn another_user(client: &Client) {
    let mut nobody = shell("nobody", "id -u; id -g; sleep 1000");
    nobody["spec"]["securityContext"] = json!({"runAsUser": 65534, "runAsGroup": 65533});
    create(client, nobody).await;
    client.until_phase("nobody", "Running").await;
    let (out, _, status) = exec(client, "nobody", "v4.channel.k8s.io", "command=id&command=-u", None).await;
    assert_eq!((out.as_str(), &status["status"]), ("65534\n", &json!("Success")));
    assert_eq!(log(client, "nobody", "").await, "65534\n65533\n");
}

async fn image_errors(client: &Client) {
    let mut body = pod("noimage");
    body["spec"]["containers"][0]["image"] = json!("registry.example.com/none:1");
    create(client, body).await;
    let waiting =
        |p: &Value| p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ImagePullBackOff";
    client.until(&format!("{PODS}/noimage"), waiting).await;
    let path =
        PODS.replace("pods", "events") + "?fieldSelector=involvedObject.name%3Dnoimage,reason%3DFailed";
    let events =
        client.until(&path, |list| list["items"].as_array().is_some_and(|all| !all.is_empty())).await;
    assert!(events["items"][0]["message"].as_str().is_some_and(|m| m.contains("not found")), "{events}");
}

/// One exec session; answers stdout, stderr and the final status.
async fn exec(
    client: &Client,
    name: &str,
    protocol: &str,
    query: &str,
    stdin: Option<&[u8]>,
) -> (String, String, Value) {
    let path = format!("{PODS}/{name}/exec?container=c&stdout=true&stderr=true&{query}");
    let headers = client.headers(&Method::GET, &path, None, b"");
    let mut request = format!("ws://{}{path}", client.address).into_client_request().expect("a request");
    request.headers_mut().extend(headers);
    request.headers_mut().insert("sec-websocket-protocol", protocol.parse().expect("a header"));
    let stream = tokio::net::TcpStream::connect(client.address).await.expect("connected");
    let (mut socket, answer) = tokio_tungstenite::client_async(request, stream).await.expect("switched");
    assert_eq!(answer.headers()["sec-websocket-protocol"], protocol);
    if query.contains("tty=true") {
        let size = [&[4][..], br#"{"Width":101,"Height":33}"#].concat();
        socket.send(Message::Binary(size.into())).await.expect("sent");
    }
    if let Some(stdin) = stdin {
        let typed = [&[0][..], stdin].concat();
        socket.send(Message::Binary(typed.into())).await.expect("sent");
        if protocol.starts_with("v5") {
            socket.send(Message::Binary(vec![255, 0].into())).await.expect("sent");
        }
    }
    let mut streams = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    while let Ok(Some(Ok(message))) = tokio::time::timeout(Duration::from_secs(20), socket.next()).await {
        match message {
            Message::Binary(bytes) => {
                if let Some((channel, rest)) = bytes.split_first() {
                    streams[usize::from(*channel)].extend_from_slice(rest);
                }
            }
            Message::Close(_) => break,
            _ => {}
        }
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&streams[1]), text(&streams[2]), serde_json::from_slice(&streams[3]).unwrap_or_default())
}

async fn exec_and_network(client: &Client) -> Vec<u64> {
    let mut serving = shell("server", "mkdir /www; echo served > /www/index.html; httpd -f -p 8080 -h /www");
    serving["spec"]["containers"][0]["env"] = json!([{"name": "MINE", "value": "yes"}]);
    create(client, serving).await;
    let pod = client.until_phase("server", "Running").await;
    let ip = pod["status"]["podIP"].as_str().expect("an address").to_owned();
    let run = |script: &str| {
        format!(
            "command=sh&command=-c&command={}",
            script.replace(' ', "%20").replace(';', "%3B").replace('&', "%26").replace('>', "%3E")
        )
    };
    for protocol in ["v4.channel.k8s.io", "v5.channel.k8s.io"] {
        let (out, err, status) =
            exec(client, "server", protocol, &run("echo out $MINE; echo err >&2; exit 3"), None).await;
        assert_eq!((out.as_str(), err.as_str()), ("out yes\n", "err\n"));
        assert_eq!(
            (&status["reason"], &status["details"]["causes"][0]["message"]),
            (&json!("NonZeroExitCode"), &json!("3"))
        );
    }
    let (out, _, status) =
        exec(client, "server", "v5.channel.k8s.io", "stdin=true&command=cat", Some(b"typed")).await;
    assert_eq!((out.as_str(), &status["status"]), ("typed", &json!("Success")), "half-close ends cat");
    let (out, _, _) = exec(
        client,
        "server",
        "v5.channel.k8s.io",
        &format!("tty=true&{}", run("sleep 1; tty; stty size")),
        None,
    )
    .await;
    assert_eq!(out, "/dev/pts/0\r\n33 101\r\n");
    // Another pod reaches it by its address, and so does the machine.
    create(
        client,
        shell(
            "client",
            &format!("for i in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://{ip}:8080/ && break; sleep 1; done"),
        ),
    )
    .await;
    client.until_phase("client", "Succeeded").await;
    assert_eq!(log(client, "client", "").await, "served\n");
    let direct = tokio::net::TcpStream::connect((ip.as_str(), 8080)).await;
    assert!(direct.is_ok(), "{direct:?}");
    // A client that goes away takes its command with it.
    let path = format!("{PODS}/server/exec?container=c&stdout=true&command=sleep&command=4242");
    let mut request = format!("ws://{}{path}", client.address).into_client_request().expect("a request");
    request.headers_mut().extend(client.headers(&Method::GET, &path, None, b""));
    request.headers_mut().insert("sec-websocket-protocol", "v4.channel.k8s.io".parse().expect("a header"));
    let stream = tokio::net::TcpStream::connect(client.address).await.expect("connected");
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("switched");
    wait_until(|| processes("4242") == 1).await;
    drop(socket);
    wait_until(|| processes("4242") == 0).await;
    let instances = client.get("/_sim/instances").await.1;
    let all = instances
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|i| i["pids"].as_object().cloned().unwrap_or_default());
    all.filter_map(|(_, pid)| pid.as_u64()).collect()
}

async fn init_sidecar_and_probe(client: &Client) {
    let mut body = shell("multi", "cat /shared/f; sleep 1; touch /tmp/ready; sleep 1000");
    let small = json!({"limits": {"cpu": "250m", "memory": "512Mi"}});
    body["spec"]["initContainers"] = json!([
        {"name": "first", "image": "busybox", "resources": small, "command": ["sh", "-c", "echo from init > /shared/f"],
            "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]},
        {"name": "side", "image": "busybox", "resources": small, "restartPolicy": "Always", "command": ["sleep", "1000"]}]);
    body["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "shared", "mountPath": "/shared"}]);
    body["spec"]["containers"][0]["readinessProbe"] =
        json!({"exec": {"command": ["cat", "/tmp/ready"]}, "periodSeconds": 1});
    body["spec"]["volumes"] = json!([{"name": "shared", "emptyDir": {}}]);
    create(client, body).await;
    let unready = client.until_phase("multi", "Running").await;
    assert_eq!(unready["status"]["containerStatuses"][0]["ready"], false);
    let ready = client
        .until(&format!("{PODS}/multi"), |p| p["status"]["containerStatuses"][0]["ready"] == true)
        .await;
    assert_eq!(ready["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"], 0);
    assert!(ready["status"]["initContainerStatuses"][1]["state"]["running"].is_object());
    assert_eq!(log(client, "multi", "").await, "from init\n");
}

async fn graceful_stop(client: &Client) {
    create(client, shell("polite", "trap 'echo bye; exit 0' TERM; echo up; while true; do sleep 0.1; done"))
        .await;
    client.until_phase("polite", "Running").await;
    for _ in 0..400 {
        if log(client, "polite", "").await == "up\n" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let path = format!("{PODS}/polite/log?container=c&follow=true");
    let mut following = client.watch(&path).await;
    assert!(following.next().await.is_err(), "the first line is no JSON");
    client.delete(&format!("{PODS}/polite?gracePeriodSeconds=30")).await;
    let bye = following.next().await;
    assert!(bye.is_err_and(|error| error.contains("expected")), "a second line came after SIGTERM");
    client.until_gone("polite").await;
}

/// How many processes have this word in their command line.
fn processes(word: &str) -> usize {
    let all = std::fs::read_dir("/proc").expect("proc").flatten();
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| {
            line.split(|byte| *byte == 0).any(|part| part == word.as_bytes()) && line.starts_with(b"sleep")
        })
        .count()
}

async fn wait_until(done: impl Fn() -> bool) {
    for _ in 0..800 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it never happened");
}

fn veths() -> usize {
    let output = Command::new("ip").args(["-o", "link", "show", "type", "veth"]).output().expect("ip");
    String::from_utf8_lossy(&output.stdout).lines().count()
}

async fn deletion_leaves_nothing(client: &Client, pids: &[u64], dir: &Path) {
    assert!(!pids.is_empty() && veths() > 0);
    assert_eq!(client.delete(&format!("{PODS}?gracePeriodSeconds=0")).await.0.as_u16(), 200);
    client.until(PODS, |list| list["items"].as_array().is_some_and(Vec::is_empty)).await;
    assert_eq!(veths(), 0);
    assert!(pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()), "{pids:?}");
    let left = std::fs::read_dir(dir.join("pods")).expect("pods").count();
    assert_eq!(left, 0, "no folder of a pod is left");
    let meter = client.meter().await;
    assert_eq!(meter["open"], 0, "{meter}");
}

async fn killing_the_simulator_leaves_no_process(mut running: Running) {
    let client = running.client.clone();
    let mut orphan = shell("orphan", "sleep 777777 & exec sleep 777777");
    if other_users() {
        orphan["spec"]["securityContext"] = json!({"runAsUser": 65534});
    }
    create(&client, orphan).await;
    client.until_phase("orphan", "Running").await;
    wait_until(|| processes("777777") == 2).await;
    running.process.kill().expect("killed");
    running.process.wait().expect("waited");
    wait_until(|| processes("777777") == 0 && veths() == 0).await;
}
