//! One pod `shop/web` (UID `u-1`, container `app`) whose commands are scripts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use provider_bridge::cloud::usage::{ContainerUsage, Memory, Usage};
use provider_bridge::cloud::{ByteStream, Capabilities, CloudError, PodIdentity};
use provider_bridge::kubelet::{Access, Backend, NotFound, ReviewError, Reviewer, Target, User};
use provider_bridge::streams::{Connection, ExecOutcome, ExecProviderEnd, ExecRequest, LogOptions};
use provider_bridge::usage::{Answer, Meter, Observed};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

/// When the container started, and ten seconds later.
const STARTED: &str = "2026-01-02T03:04:05Z";
const AT: &str = "2026-01-02T03:04:15Z";

/// Counts the sessions that nobody listens to any more.
#[derive(Default)]
pub(crate) struct Cloud {
    abandoned: AtomicUsize,
    changed: Notify,
}

impl Cloud {
    fn abandon(&self) {
        self.abandoned.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    /// Waits until a session was abandoned.
    pub(crate) async fn abandoned(&self) {
        let seen = async {
            while self.abandoned.load(Ordering::SeqCst) == 0 {
                self.changed.notified().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), seen)
            .await
            .expect("the session was not abandoned");
    }
}

pub(crate) struct Fake(pub(crate) Arc<Cloud>);

/// Tells the cloud when it is dropped.
struct Alarm(Arc<Cloud>);

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

fn pod() -> Arc<Value> {
    Arc::new(json!({ "metadata": { "name": "web", "namespace": "shop", "uid": "u-1" } }))
}

#[async_trait]
impl Backend for Fake {
    async fn pods(&self) -> Vec<Arc<Value>> {
        vec![pod(), pod()]
    }

    async fn running_pods(&self) -> Vec<Arc<Value>> {
        vec![pod()]
    }

    async fn find(
        &self,
        namespace: &str,
        pod: &str,
        uid: Option<&str>,
        container: &str,
    ) -> Result<Target, NotFound> {
        let pod = self.find_pod(namespace, pod, uid).await?;
        if container != "app" {
            let PodIdentity { namespace, name, .. } = pod;
            return Err(NotFound::Container { namespace, pod: name, container: container.to_owned() });
        }
        Ok(Target { pod, container: container.to_owned() })
    }

    async fn find_pod(&self, namespace: &str, pod: &str, uid: Option<&str>) -> Result<PodIdentity, NotFound> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        if (namespace.as_str(), pod.as_str()) != ("shop", "web") {
            return Err(NotFound::Pod { namespace, pod });
        }
        if let Some(uid) = uid.filter(|uid| *uid != "u-1") {
            return Err(NotFound::Uid { namespace, pod, uid: uid.to_owned() });
        }
        Ok(PodIdentity { uid: "u-1".into(), namespace, name: pod })
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { watch: true, logs: true, exec: true, attach: true, port_forward: true, usage: true }
    }

    /// A quarter of a core and 64 MiB.
    async fn usage(&self) -> Result<Answer, CloudError> {
        let sample = ContainerUsage {
            name: "app".into(),
            at: AT.parse().unwrap(),
            nano_cores: Some(250_000_000),
            core_nano_seconds: None,
            memory: Memory { working_set: Some(64 << 20), ..Memory::default() },
        };
        let usage = Usage { pod_uid: "u-1".into(), containers: vec![sample], interfaces: Vec::new() };
        let pod = PodIdentity { uid: "u-1".into(), namespace: "shop".into(), name: "web".into() };
        let started = Some(STARTED.parse().unwrap());
        let containers = vec![("app".to_owned(), started)];
        let observed = Observed { pod, started, containers, usage: Some(usage) };
        let mut meter = Meter::new("vn-1", STARTED.parse().unwrap());
        Ok(Answer { usage: Arc::new(meter.add(vec![observed], AT.parse().unwrap())), failed: false })
    }

    /// The container repeats what is typed.
    async fn attach(
        &self,
        _: &Target,
        request: &ExecRequest,
        streams: ExecProviderEnd,
    ) -> Result<(), CloudError> {
        // `None` means that the client left in the middle.
        let _ = self.script(&["cat"], request, streams).await;
        Ok(())
    }

    /// Port 80 repeats what it hears until it hears the end, 81 does not listen.
    async fn connect(&self, _: &PodIdentity, port: u16) -> Result<Box<dyn Connection>, CloudError> {
        if port != 80 {
            return Err(CloudError::Retryable(format!("connection to port {port} refused")));
        }
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let (mut from, mut to) = tokio::io::split(theirs);
            let mut piece = vec![0; 1 << 14];
            while let Ok(read @ 1..) = from.read(&mut piece).await {
                if to.write_all(&piece[..read]).await.is_err() {
                    return;
                }
            }
            // The client may be gone.
            let _ = to.shutdown().await;
        });
        Ok(Box::new(ours))
    }

    async fn logs(&self, _: &Target, options: &LogOptions) -> Result<ByteStream, CloudError> {
        if options.previous {
            return Err(CloudError::Gone("no previous incarnation".into()));
        }
        let shown = Bytes::from(format!("{options:?}\n"));
        let first = stream::once(async { Ok(shown) });
        if !options.follow {
            return Ok(first.boxed());
        }
        let alarm = Alarm(Arc::clone(&self.0));
        let never = stream::once(async move {
            let _alarm = alarm;
            std::future::pending().await
        });
        Ok(first.chain(never).boxed())
    }

    async fn exec(
        &self,
        _: &Target,
        request: &ExecRequest,
        streams: ExecProviderEnd,
    ) -> Result<(), CloudError> {
        let command: Vec<&str> = request.command.iter().map(String::as_str).collect();
        if command.first() == Some(&"refuse") {
            return Err(CloudError::Invalid("container app is not running".into()));
        }
        // `None` means that the client left in the middle, which only the tests of leaving look at.
        let _ = self.script(&command, request, streams).await;
        Ok(())
    }
}

impl Fake {
    /// `None` when the client left first.
    async fn script(
        &self,
        command: &[&str],
        request: &ExecRequest,
        mut streams: ExecProviderEnd,
    ) -> Option<()> {
        let code = match *command {
            ["print", code] => {
                streams.stdout.send("out".into()).await.ok()?;
                streams.stderr.send("err".into()).await.ok()?;
                code.parse().ok()?
            }
            ["argv", ..] => {
                streams.stdout.send(serde_json::to_vec(&request.command).ok()?.into()).await.ok()?;
                0
            }
            ["cat"] => {
                while let Some(bytes) = streams.stdin.recv().await {
                    streams.stdout.send(bytes).await.ok()?;
                }
                0
            }
            ["sizes", count] => {
                for _ in 0..count.parse().ok()? {
                    let size = streams.resize.recv().await?;
                    streams.stdout.send(format!("{}x{} ", size.width, size.height).into()).await.ok()?;
                }
                0
            }
            ["wait"] => {
                streams.stdout.send("ready".into()).await.ok()?;
                // Cancelled, or told by the closed channel: both count.
                let _alarm = Alarm(Arc::clone(&self.0));
                streams.stdout.closed().await;
                return None;
            }
            _ => 127,
        };
        streams.outcome.send(ExecOutcome::Exited(code)).ok()
    }
}

/// Tokens are user names; what they may do is in their names.
pub(crate) struct Rules;

#[async_trait]
impl Reviewer for Rules {
    async fn review_token(&self, token: &str) -> Result<Option<User>, ReviewError> {
        let known =
            ["admin", "pods-reader", "stats-reader", "metrics-reader", "getter", "nobody"].contains(&token);
        Ok(known.then(|| User { name: token.to_owned(), ..User::default() }))
    }

    async fn review_access(&self, user: &User, node: &str, access: Access) -> Result<bool, ReviewError> {
        Ok(node == "vn-1"
            && match user.name.as_str() {
                "admin" | "kube-apiserver" => true,
                "pods-reader" => access == Access { verb: "get", subresource: "pods" },
                "stats-reader" => access == Access { verb: "get", subresource: "stats" },
                "metrics-reader" => access == Access { verb: "get", subresource: "metrics" },
                "getter" => access.verb == "get",
                _ => false,
            })
    }
}
