//! `/exec` over SPDY/3.1 with the genuine client: a small Go program around client-go's executor (`spdy-peer`). Without
//! Go the tests fail and say so: whoever builds the project's bench has it.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use crate::port::{Port, port};

/// Far more than any session here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Builds the peer once per run; Go caches the rest.
async fn peer() -> &'static PathBuf {
    static PEER: OnceCell<PathBuf> = OnceCell::const_new();
    PEER.get_or_init(|| async {
        let binary = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("spdy-peer");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/spdy-peer");
        let built =
            Command::new("go").args(["build", "-o"]).arg(&binary).arg(".").current_dir(source).status().await;
        assert!(built.expect("Go is needed: install it from go.dev").success(), "spdy-peer does not build");
        binary
    })
    .await
}

async fn start(port: &Port, flags: &[&str], path: &str, command: &[&str]) -> Child {
    let mut process = Command::new(peer().await);
    process.args(["-token", "admin"]).args(flags).arg(port.url(path)).args(command);
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    process.spawn().unwrap()
}

async fn run(port: &Port, flags: &[&str], command: &[&str], input: &'static [u8]) -> Output {
    let mut child = start(port, flags, "/exec/shop/web/u-1/app", command).await;
    let mut stdin = child.stdin.take().unwrap();
    let typing = async {
        // Fails when the command does not read its input.
        let _ = stdin.write_all(input).await;
        drop(stdin);
    };
    let talk = async { tokio::join!(typing, child.wait_with_output()).1.unwrap() };
    tokio::time::timeout(PATIENCE, talk).await.expect("the session does not end")
}

fn text(output: &Output) -> (Option<i32>, &str, &str) {
    let utf8 = |bytes| std::str::from_utf8(bytes).unwrap();
    (output.status.code(), utf8(&output.stdout), utf8(&output.stderr))
}

#[tokio::test]
async fn output_error_and_exit_code() {
    let port = port().await;
    for code in [0, 42] {
        let output = run(&port, &[], &["print", &code.to_string()], b"").await;
        assert_eq!(text(&output), (Some(code), "out", "err"));
    }
}

#[tokio::test]
async fn every_version_of_the_protocol() {
    let port = port().await;
    for name in ["v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io"] {
        let output = run(&port, &["-stdin", "-protocol", name], &["cat"], b"hello").await;
        assert_eq!(text(&output), (Some(0), "hello", ""), "{name}");
    }
    // The first version cannot say that standard input has ended (kubernetes issue 13394).
    let output = run(&port, &["-protocol", "channel.k8s.io"], &["print", "0"], b"").await;
    assert_eq!(text(&output), (Some(0), "out", "err"));
    let output = run(&port, &["-protocol", "v9.channel.k8s.io"], &["cat"], b"").await;
    assert_eq!(output.status.code(), Some(250));
    assert!(text(&output).2.contains("unable to upgrade"), "{output:?}");
}

#[tokio::test]
async fn arguments_stay_as_they_are() {
    let port = port().await;
    let command = ["argv", "", "a  b", "\"q\" && $x", "ünï\n"];
    let output = run(&port, &[], &command, b"").await;
    let argv: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(argv, command);
}

#[tokio::test]
async fn four_mebibytes_there_and_back() {
    let port = port().await;
    let input: Vec<u8> = (0..4_u32 << 20).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect();
    let input: &'static [u8] = input.leak();
    let output = run(&port, &["-stdin"], &["cat"], input).await;
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout == input, "came back changed ({} bytes)", output.stdout.len());
}

#[tokio::test]
async fn terminal_sizes() {
    let port = port().await;
    let flags = ["-stdin", "-tty", "-size", "80x24", "-size", "100x30", "-size", "120x40"];
    let output = run(&port, &flags, &["sizes", "3"], b"").await;
    assert_eq!(text(&output), (Some(0), "80x24 100x30 120x40 ", ""));
}

#[tokio::test]
async fn a_command_that_cannot_start_says_why() {
    let port = port().await;
    let output = run(&port, &[], &["refuse"], b"").await;
    assert_eq!(output.status.code(), Some(250));
    assert!(text(&output).2.contains("container app is not running"), "{output:?}");
}

#[tokio::test]
async fn unknown_names_are_told_before_the_upgrade() {
    let port = port().await;
    let child = start(&port, &[], "/exec/shop/web/side", &["cat"]).await;
    let output = child.wait_with_output().await.unwrap();
    assert!(text(&output).2.contains("container \"side\" is not in pod \"shop/web\""), "{output:?}");
}

#[tokio::test]
async fn leaving_stops_the_command() {
    let port = port().await;
    let mut child = start(&port, &[], "/exec/shop/web/app", &["wait"]).await;
    let mut ready = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).await.unwrap();
    child.kill().await.unwrap();
    port.cloud.abandoned().await;
}
