//! What runs in an instance, as far as sessions and ports meet it: on loopback, in this process.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_util::task::AbortOnDropHandle;

use super::Session;

/// Kubernetes' protocol for commands.
pub(super) const COMMANDS: &str = "v5.channel.k8s.io";
/// Kubernetes' protocol for ports.
pub(super) const PORTS: &str = "v4.channel.k8s.io";

const COMPLAINT: &str = "err\n";
const CODE: i32 = 42;
const ENDED: &str = r#"{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"42"}]}}"#;

/// What runs at a far side. Dropping it ends everything.
#[derive(Default)]
pub(super) struct Far {
    tasks: Mutex<Vec<AbortOnDropHandle<()>>>,
    running: Arc<AtomicUsize>,
}

impl Far {
    pub(super) fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().unwrap().push(AbortOnDropHandle::new(tokio::spawn(task)));
    }

    /// How the commands here end.
    pub(super) fn session(&self) -> Session {
        Session { complaint: COMPLAINT, code: CODE, running: Arc::clone(&self.running) }
    }

    /// A command that will run.
    pub(super) fn begin(&self) -> Begun {
        Begun(Arc::clone(&self.running))
    }

    /// A port of this host at which what is sent comes back.
    pub(super) async fn echo(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        self.run(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (mut from, mut to) = socket.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            }
        });
        port
    }

    /// The address of WebSockets behind which commands run, whose words are in the query.
    pub(super) async fn web_sockets(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("ws://{}/", listener.local_addr().unwrap());
        let running = Arc::clone(&self.running);
        self.run(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let mut query = String::new();
                #[allow(clippy::result_large_err, reason = "tungstenite's own signature")]
                let choose = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
                    query = request.uri().query().unwrap_or_default().to_owned();
                    response.headers_mut().insert("sec-websocket-protocol", COMMANDS.parse().unwrap());
                    Ok(response)
                };
                if let Ok(socket) = tokio_tungstenite::accept_hdr_async(socket, choose).await {
                    Begun(Arc::clone(&running)).command(socket, &query).await;
                }
            }
        });
        address
    }
}

/// A command at a far side.
pub(super) struct Begun(Arc<AtomicUsize>);

impl Begun {
    /// Says its words, complains, gives back what is typed, and ends when its input does or nobody is there.
    pub(super) async fn command<S>(self, mut socket: WebSocketStream<S>, query: &str)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.0.fetch_add(1, Ordering::Relaxed);
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        let words: Vec<_> = pairs.filter(|(key, _)| key == "command").map(|(_, word)| word).collect();
        say(&mut socket, 1, format!("{}\n", words.join(" ")).as_bytes()).await;
        say(&mut socket, 2, COMPLAINT.as_bytes()).await;
        while let Some(Ok(message)) = socket.next().await {
            let Message::Binary(bytes) = message else { continue };
            match bytes.as_ref() {
                [0, typed @ ..] => say(&mut socket, 1, typed).await,
                [255, 0] => say(&mut socket, 3, ENDED.as_bytes()).await,
                _ => {}
            }
        }
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A port of a pod over Kubernetes' channels, at which what is sent comes back.
pub(super) async fn port<S>(mut socket: WebSocketStream<S>, port: u16)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for channel in [0, 1] {
        say(&mut socket, channel, &port.to_le_bytes()).await;
    }
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Binary(bytes) = message
            && let [0, sent @ ..] = bytes.as_ref()
        {
            say(&mut socket, 0, sent).await;
        }
    }
}

/// Whoever does not listen any more has left.
async fn say<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, channel: u8, bytes: &[u8]) {
    let _ = socket.send(Message::Binary([&[channel], bytes].concat().into())).await;
}
