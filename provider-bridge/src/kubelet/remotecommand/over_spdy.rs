//! Remote command over SPDY: the client opens one stream per channel and names it in the header `streamType`.
//!
//! Facts: `remotecommand/httpstream.go` of k8s.io/cri-streaming. Nothing starts before all streams that the request
//! announced are there.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Channels, Job, run};
use crate::kubelet::negotiate::Protocol;
use crate::kubelet::spdy::{self, Headers, Limits, Session, Stream};
use crate::streams::ExecRequest;

/// Five are ever needed.
const MAX_STREAMS: usize = 16;
/// How long the client has to open its streams.
const CREATION: Duration = Duration::from_secs(30);

/// Serves one upgraded connection until it ends.
pub(crate) async fn serve<T: AsyncRead + AsyncWrite>(
    io: T,
    job: &Job<'_>,
    protocol: Protocol,
    idle: Duration,
) {
    let (mut session, driver) = spdy::open(io, Limits { streams: MAX_STREAMS, idle });
    let work = async {
        match collect(&mut session, protocol, job.request).await {
            Some(channels) => run(job, channels).await,
            None => tracing::debug!(pod = %job.target.pod.uid, "the client did not open its streams in time"),
        }
        session.finish().await;
    };
    tokio::join!(driver.run(), work);
}

#[derive(Default)]
struct Collected {
    error: Option<Stream>,
    stdin: Option<Stream>,
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    resize: Option<Stream>,
}

async fn collect(session: &mut Session, protocol: Protocol, request: &ExecRequest) -> Option<Channels> {
    let mut collected = Collected::default();
    let all = async {
        while !collected.complete(protocol, request) {
            collected.add(session.streams.recv().await?);
        }
        Some(())
    };
    tokio::time::timeout(CREATION, all).await.ok().flatten()?;
    Some(Channels {
        error: collected.error?.writer,
        stdin: collected.stdin.map(|stream| stream.incoming),
        stdout: collected.stdout.map(|stream| stream.writer),
        stderr: collected.stderr.map(|stream| stream.writer),
        resize: collected.resize.map(|stream| stream.incoming),
        status: protocol.status(),
        gone: session.gone.clone(),
    })
}

impl Collected {
    fn add(&mut self, stream: Stream) {
        let place = match stream_type(&stream.headers) {
            "error" => &mut self.error,
            "stdin" => &mut self.stdin,
            "stdout" => &mut self.stdout,
            "stderr" => &mut self.stderr,
            "resize" => &mut self.resize,
            other => return tracing::debug!(stream_type = other, "stream of an unknown type"),
        };
        *place = Some(stream);
    }

    fn complete(&self, protocol: Protocol, request: &ExecRequest) -> bool {
        let there = |wanted: bool, stream: &Option<Stream>| !wanted || stream.is_some();
        there(true, &self.error)
            && there(request.stdin, &self.stdin)
            && there(request.stdout, &self.stdout)
            && there(request.stderr, &self.stderr)
            && there(request.tty && protocol.resizes(), &self.resize)
    }
}

fn stream_type(headers: &Headers) -> &str {
    headers.iter().find(|(name, _)| name == "streamtype").map_or("", |(_, value)| value)
}
