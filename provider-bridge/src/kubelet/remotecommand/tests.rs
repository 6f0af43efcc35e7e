//! The session between fake channels and a fake cloud.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::Value;

use super::*;
use crate::cloud::{ByteStream, Capabilities, CloudError, PodIdentity};
use crate::kubelet::backend::NotFound;
use crate::streams::{Connection, ExecProviderEnd, LogOptions};

/// What the fake cloud does with a command.
#[derive(Clone, Copy)]
enum Script {
    /// Prints "out" and "err" and exits with 7.
    Print,
    /// Repeats its input until it ends.
    Cat,
    /// Repeats the sizes it hears of, until input ends.
    Sizes,
    /// Refuses to start.
    Refuse,
    /// Goes away without a word.
    Vanish,
    /// Exits, but something in the background keeps the output open.
    Background,
    /// Waits until nobody listens any more.
    Wait,
}

struct Fake {
    script: Script,
    ended: Arc<Mutex<bool>>,
}

#[async_trait]
impl Backend for Fake {
    async fn pods(&self) -> Vec<Arc<Value>> {
        Vec::new()
    }

    async fn running_pods(&self) -> Vec<Arc<Value>> {
        Vec::new()
    }

    async fn find(&self, _: &str, _: &str, _: Option<&str>, _: &str) -> Result<Target, NotFound> {
        Ok(target())
    }

    async fn find_pod(&self, _: &str, _: &str, _: Option<&str>) -> Result<PodIdentity, NotFound> {
        Ok(target().pod)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            watch: false,
            logs: false,
            exec: true,
            attach: true,
            port_forward: false,
            usage: false,
        }
    }

    async fn attach(&self, _: &Target, _: &ExecRequest, streams: ExecProviderEnd) -> Result<(), CloudError> {
        streams.stdout.send(Bytes::from_static(b"attached")).await.unwrap();
        streams.outcome.send(ExecOutcome::Exited(0)).unwrap();
        Ok(())
    }

    async fn connect(&self, _: &PodIdentity, _: u16) -> Result<Box<dyn Connection>, CloudError> {
        Err(CloudError::Invalid("no ports here".into()))
    }

    async fn logs(&self, _: &Target, _: &LogOptions) -> Result<ByteStream, CloudError> {
        Err(CloudError::Invalid("no logs here".into()))
    }

    async fn exec(
        &self,
        _: &Target,
        _: &ExecRequest,
        mut streams: ExecProviderEnd,
    ) -> Result<(), CloudError> {
        match self.script {
            Script::Print => {
                streams.stdout.send(Bytes::from_static(b"out")).await.unwrap();
                streams.stderr.send(Bytes::from_static(b"err")).await.unwrap();
                streams.outcome.send(ExecOutcome::Exited(7)).unwrap();
            }
            Script::Cat => {
                while let Some(bytes) = streams.stdin.recv().await {
                    streams.stdout.send(bytes).await.unwrap();
                }
                streams.outcome.send(ExecOutcome::Exited(0)).unwrap();
            }
            Script::Sizes => {
                while let Some(size) = streams.resize.recv().await {
                    let text = format!("{}x{} ", size.width, size.height);
                    streams.stdout.send(text.into()).await.unwrap();
                }
                streams.outcome.send(ExecOutcome::Exited(0)).unwrap();
            }
            Script::Refuse => return Err(CloudError::Invalid("container app is not running".into())),
            Script::Vanish => {}
            Script::Background => {
                streams.outcome.send(ExecOutcome::Exited(0)).unwrap();
                tokio::spawn(async move {
                    streams.stdout.send(Bytes::from_static(b"late")).await.unwrap();
                    streams.stdout.closed().await;
                });
            }
            Script::Wait => {
                let ended = Arc::clone(&self.ended);
                tokio::spawn(async move {
                    tokio::join!(streams.stdout.closed(), streams.stderr.closed());
                    *ended.lock().unwrap() = true;
                });
            }
        }
        Ok(())
    }
}

fn target() -> Target {
    let pod = PodIdentity { uid: "u-1".into(), namespace: "shop".into(), name: "web".into() };
    Target { pod, container: "app".into() }
}

const STDOUT: u32 = 1;
const STDERR: u32 = 2;
const ERROR: u32 = 3;

struct Client {
    stdin: Option<mpsc::Sender<Bytes>>,
    resize: Option<mpsc::Sender<Bytes>>,
    heard: mpsc::Receiver<Outgoing>,
    gone: CancellationToken,
}

fn channels() -> (Channels, Client) {
    let (queue, heard) = mpsc::channel(DEPTH);
    let (stdin, from_stdin) = mpsc::channel(DEPTH);
    let (resize, from_resize) = mpsc::channel(DEPTH);
    let gone = CancellationToken::new();
    let channels = Channels {
        stdin: Some(from_stdin),
        resize: Some(from_resize),
        stdout: Some(ChannelWriter::new(STDOUT, queue.clone())),
        stderr: Some(ChannelWriter::new(STDERR, queue.clone())),
        error: ChannelWriter::new(ERROR, queue),
        status: StatusFormat::Json,
        gone: gone.clone(),
    };
    (channels, Client { stdin: Some(stdin), resize: Some(resize), heard, gone })
}

/// Everything that was sent, as `channel:text`, `channel:end`.
async fn everything(mut heard: mpsc::Receiver<Outgoing>) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(item) = heard.recv().await {
        all.push(match item {
            Outgoing::Data { channel, payload } => format!("{channel}:{}", String::from_utf8_lossy(&payload)),
            Outgoing::Close { channel } => format!("{channel}:end"),
            other => format!("{other:?}"),
        });
    }
    all
}

fn job<'a>(
    backend: &'a Fake,
    target: &'a Target,
    request: &'a ExecRequest,
    shutdown: &'a CancellationToken,
) -> Job<'a> {
    Job { backend, target, request, process: Process::Command, shutdown }
}

async fn session(script: Script, act: impl AsyncFnOnce(&mut Client)) -> Vec<String> {
    let fake = Fake { script, ended: Arc::default() };
    let request =
        ExecRequest { command: vec!["x".into()], stdin: true, stdout: true, stderr: true, tty: true };
    let (target, shutdown) = (target(), CancellationToken::new());
    let job = job(&fake, &target, &request, &shutdown);
    let (channels, mut client) = channels();
    let talk = async {
        act(&mut client).await;
        everything(client.heard).await
    };
    tokio::join!(run(&job, channels), talk).1
}

const SUCCESS: &str = r#"3:{"metadata":{},"status":"Success"}"#;

#[tokio::test(start_paused = true)]
async fn output_then_status_then_the_ends() {
    let heard = session(Script::Print, async |_: &mut Client| {}).await;
    assert_eq!(heard[..2], ["1:out", "2:err"]);
    assert!(
        heard[2].starts_with("3:{") && heard[2].contains(r#"{"message":"7","reason":"ExitCode"}"#),
        "{heard:?}"
    );
    assert_eq!(heard[3..], ["3:end", "1:end", "2:end"]);
}

#[tokio::test(start_paused = true)]
async fn attached_to_the_containers_own_process() {
    let fake = Fake { script: Script::Print, ended: Arc::default() };
    let request = ExecRequest { command: Vec::new(), stdin: false, stdout: true, stderr: true, tty: false };
    let (target, shutdown) = (target(), CancellationToken::new());
    let job = Job { process: Process::Container, ..job(&fake, &target, &request, &shutdown) };
    assert_eq!(capture(&job).await, (b"attached".to_vec(), ExecOutcome::Exited(0)));
}

#[tokio::test(start_paused = true)]
async fn half_close_of_stdin_reaches_the_command() {
    let heard = session(Script::Cat, async |client: &mut Client| {
        client.stdin.as_ref().unwrap().send(Bytes::from_static(b"typed")).await.unwrap();
        client.stdin = None;
    })
    .await;
    assert_eq!(heard, ["1:typed", SUCCESS, "3:end", "1:end", "2:end"]);
}

#[tokio::test(start_paused = true)]
async fn sizes_arrive_as_often_as_they_change() {
    let heard = session(Script::Sizes, async |client: &mut Client| {
        for size in
            ["{\"Width\":80,\"Height\":24}{\"Wid", "th\":100,\"Height\":30}", "{\"Width\":1,\"Height\":2}"]
        {
            client.resize.as_ref().unwrap().send(Bytes::from_static(size.as_bytes())).await.unwrap();
        }
        client.resize = None;
    })
    .await;
    assert_eq!(heard[..4], ["1:80x24 ", "1:100x30 ", "1:1x2 ", SUCCESS]);
}

#[tokio::test(start_paused = true)]
async fn failures_are_told() {
    let cases = [
        (Script::Refuse, "the cloud refuses this pod: container app is not running"),
        (Script::Vanish, "the connection to the cloud ended before the command did"),
    ];
    for (script, why) in cases {
        let heard = session(script, async |_: &mut Client| {}).await;
        assert!(heard[0].contains("InternalError") && heard[0].contains(why), "{heard:?}");
        assert_eq!(heard[1..], ["3:end", "1:end", "2:end"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_background_process_does_not_hold_the_session() {
    let begin = tokio::time::Instant::now();
    let heard = session(Script::Background, async |_: &mut Client| {}).await;
    assert_eq!(heard, ["1:late", SUCCESS, "3:end", "1:end", "2:end"]);
    assert_eq!(begin.elapsed(), DRAIN);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_takes_the_command_with_it() {
    let fake = Fake { script: Script::Wait, ended: Arc::default() };
    let request =
        ExecRequest { command: vec!["x".into()], stdin: true, stdout: true, stderr: true, tty: false };
    let (target, shutdown) = (target(), CancellationToken::new());
    let job = job(&fake, &target, &request, &shutdown);
    let (channels, client) = channels();
    let leave = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!*fake.ended.lock().unwrap());
        client.gone.cancel();
    };
    tokio::join!(run(&job, channels), leave);
    let stopped = async {
        while !*fake.ended.lock().unwrap() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), stopped).await.unwrap();
    assert_eq!(everything(client.heard).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_closing_port_says_so() {
    let fake = Fake { script: Script::Wait, ended: Arc::default() };
    let request =
        ExecRequest { command: vec!["x".into()], stdin: true, stdout: true, stderr: true, tty: false };
    let (target, shutdown) = (target(), CancellationToken::new());
    let job = job(&fake, &target, &request, &shutdown);
    let (channels, client) = channels();
    shutdown.cancel();
    run(&job, channels).await;
    assert!(everything(client.heard).await[0].contains("port is closing"));
}

#[tokio::test(start_paused = true)]
async fn capture_keeps_what_was_printed() {
    let fake = Fake { script: Script::Print, ended: Arc::default() };
    let request =
        ExecRequest { command: vec!["x".into()], stdin: false, stdout: true, stderr: true, tty: false };
    let (target, shutdown) = (target(), CancellationToken::new());
    let job = job(&fake, &target, &request, &shutdown);
    assert_eq!(capture(&job).await, (b"outerr".to_vec(), ExecOutcome::Exited(7)));
}
