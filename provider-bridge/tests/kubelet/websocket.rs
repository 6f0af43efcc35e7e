//! `/exec` over WebSocket with kube's own client. Its requests are for the API server; the only thing changed on their
//! way is what an API server changes: the path and the names of the stream parameters.

use http::{Request, Uri};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams, AttachedProcess, TerminalSize};
use kube::client::{Body, ClientBuilder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::util::MapRequestLayer;

use crate::port::{Port, port};

/// As `pkg/registry/core/pod/strategy.go` does.
fn to_kubelet(mut request: Request<Body>) -> Request<Body> {
    let uri = request.uri();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let mut container = String::new();
    for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        match name.as_ref() {
            "container" => container = value.into_owned(),
            "stdin" => drop(query.append_pair("input", if value == "true" { "1" } else { "" })),
            "stdout" => drop(query.append_pair("output", if value == "true" { "1" } else { "" })),
            "stderr" => drop(query.append_pair("error", if value == "true" { "1" } else { "" })),
            "tty" => drop(query.append_pair("tty", if value == "true" { "1" } else { "" })),
            _ => drop(query.append_pair(&name, &value)),
        }
    }
    let parts: Vec<&str> = uri.path().split('/').collect();
    let ["", "api", "v1", "namespaces", namespace, "pods", pod, verb] = parts[..] else { panic!("{uri}") };
    let path = match verb {
        "portforward" => format!("/portForward/{namespace}/{pod}?{}", query.finish()),
        _ => format!("/{verb}/{namespace}/{pod}/{container}?{}", query.finish()),
    };
    *request.uri_mut() = path.parse::<Uri>().unwrap();
    request
}

async fn exec(
    port: &Port,
    token: &str,
    command: &[&str],
    params: AttachParams,
) -> kube::Result<AttachedProcess> {
    pods(port, token)?.exec("web", command.to_vec(), &params.container("app")).await
}

fn pods(port: &Port, token: &str) -> kube::Result<Api<Pod>> {
    let mut config = kube::Config::new(port.url("").parse().unwrap());
    config.root_cert = Some(vec![port.authority.der.to_vec()]);
    config.auth_info.token = Some(token.to_owned().into());
    let client = ClientBuilder::try_from(config)?.with_layer(&MapRequestLayer::new(to_kubelet)).build();
    Ok(Api::namespaced(client, "shop"))
}

async fn text(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut text = String::new();
    stream.unwrap().read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn output_error_and_exit_code() {
    let port = port().await;
    for (code, expected) in [("0", None), ("42", Some("42"))] {
        let mut process = exec(&port, "admin", &["print", code], AttachParams::default()).await.unwrap();
        let status = process.take_status().unwrap();
        let (out, err) = (process.stdout(), process.stderr());
        assert_eq!(tokio::join!(text(out), text(err)), ("out".to_owned(), "err".to_owned()));
        let status = status.await.unwrap();
        let cause = status.details.and_then(|details| details.causes).and_then(|mut causes| causes.pop());
        assert_eq!(cause.and_then(|cause| cause.message).as_deref(), expected);
        assert_eq!(status.status.as_deref(), Some(if expected.is_none() { "Success" } else { "Failure" }));
        process.join().await.unwrap();
    }
}

#[tokio::test]
async fn arguments_stay_as_they_are() {
    let port = port().await;
    let command = ["argv", "", "a  b", "\"q\" && $x", "ünï\n"];
    let mut process = exec(&port, "admin", &command, AttachParams::default()).await.unwrap();
    let argv: Vec<String> = serde_json::from_str(&text(process.stdout()).await).unwrap();
    assert_eq!(argv, command);
}

#[tokio::test]
async fn input_is_half_closed() {
    let port = port().await;
    let params = AttachParams::default().stdin(true).stderr(false);
    let mut process = exec(&port, "admin", &["cat"], params).await.unwrap();
    let (mut stdin, mut stdout) = (process.stdin().unwrap(), process.stdout().unwrap());
    let sent: Vec<u8> = (0..4_u32 << 20).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect();
    let expected = sent.clone();
    let typing = tokio::spawn(async move {
        stdin.write_all(&sent).await.unwrap();
        stdin.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    stdout.read_to_end(&mut got).await.unwrap();
    typing.await.unwrap();
    assert!(got == expected, "4 MiB came back changed ({} bytes)", got.len());
}

#[tokio::test]
async fn terminal_sizes() {
    let port = port().await;
    let params = AttachParams::interactive_tty();
    let mut process = exec(&port, "admin", &["sizes", "3"], params).await.unwrap();
    let mut sizes = process.terminal_size().unwrap();
    let stdout = process.stdout();
    for (width, height) in [(80, 24), (100, 30), (120, 40)] {
        futures::SinkExt::send(&mut sizes, TerminalSize { width, height }).await.unwrap();
    }
    // kube may send an own first size; ours come in order.
    assert_eq!(text(stdout).await, "80x24 100x30 120x40 ");
}

#[tokio::test]
async fn a_command_that_cannot_start_says_why() {
    let port = port().await;
    let mut process = exec(&port, "admin", &["refuse"], AttachParams::default()).await.unwrap();
    let status = process.take_status().unwrap().await.unwrap();
    assert_eq!(status.reason.as_deref(), Some("InternalError"));
    assert!(status.message.unwrap().contains("container app is not running"));
}

#[tokio::test]
async fn leaving_stops_the_command() {
    let port = port().await;
    let mut process = exec(&port, "admin", &["wait"], AttachParams::default()).await.unwrap();
    let mut ready = [0; 5];
    process.stdout().unwrap().read_exact(&mut ready).await.unwrap();
    process.abort();
    drop(process);
    port.cloud.abandoned().await;
}

#[tokio::test]
async fn attached_to_the_container() {
    let port = port().await;
    let params = AttachParams::default().stdin(true).stderr(false).container("app");
    let mut process = pods(&port, "admin").unwrap().attach("web", &params).await.unwrap();
    let (mut stdin, stdout) = (process.stdin().unwrap(), process.stdout());
    stdin.write_all(b"typed").await.unwrap();
    stdin.shutdown().await.unwrap();
    assert_eq!(text(stdout).await, "typed");
}

#[tokio::test]
async fn ports_are_forwarded_and_one_that_fails_fails_alone() {
    let port = port().await;
    let mut forwarder = pods(&port, "admin").unwrap().portforward("web", &[80, 81]).await.unwrap();
    let why = forwarder.take_error(81).unwrap();
    let mut stream = forwarder.take_stream(80).unwrap();
    for size in [5_usize, 100_000] {
        let sent: Vec<u8> = (0..size).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect();
        let (mut from, mut to) = tokio::io::split(&mut stream);
        let mut got = vec![0; size];
        let (written, read) = tokio::join!(to.write_all(&sent), from.read_exact(&mut got));
        written.unwrap();
        read.unwrap();
        assert!(got == sent, "{size} bytes came back changed");
    }
    let why = why.await.unwrap();
    assert!(why.contains("error forwarding port 81 to pod shop/web") && why.contains("refused"), "{why}");
}

#[tokio::test]
async fn refused_before_the_upgrade() {
    let port = port().await;
    for (token, command) in [("getter", "print"), ("stranger", "print")] {
        assert!(exec(&port, token, &[command, "0"], AttachParams::default()).await.is_err(), "{token}");
    }
}
