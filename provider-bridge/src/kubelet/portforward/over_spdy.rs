//! Two SPDY streams per connection: `streamType: error`, then `streamType: data`, both with the port and, but for old
//! clients, a `requestID` that says which belong together.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::{Ends, Forward, connection};
use crate::kubelet::spdy::{self, Limits, Session, Stream};

/// Two per connection that is open.
const MAX_STREAMS: usize = 1024;
/// How long the second stream of a pair may take.
const CREATION: Duration = Duration::from_secs(30);

/// Serves one upgraded connection until it ends.
pub(crate) async fn serve<T: AsyncRead + AsyncWrite>(io: T, forward: &Forward<'_>) {
    let (mut session, driver) = spdy::open(io, Limits { streams: MAX_STREAMS, idle: forward.idle });
    let work = async {
        tokio::select! {
            () = run(&mut session, forward) => {}
            () = forward.shutdown.cancelled() => {}
        }
        session.finish().await;
    };
    tokio::join!(driver.run(), work);
}

/// Takes streams as they come and serves every pair; ends with the connection.
async fn run(session: &mut Session, forward: &Forward<'_>) {
    let mut pairs = Pairs::default();
    let mut open = FuturesUnordered::new();
    let gone = session.gone.clone();
    loop {
        tokio::select! {
            stream = session.streams.recv() => match stream {
                Some(stream) => open.extend(pairs.add(stream, Instant::now()).map(|ends| connection(forward, ends))),
                None => return,
            },
            Some(()) = open.next() => {}
            () = pairs.overdue() => {
                for stream in pairs.expire(Instant::now()) {
                    tracing::debug!(pod = %forward.pod.uid, "the second stream of a forwarded connection did not come");
                    // An error means that the client is gone.
                    let _ = stream.writer.close().await;
                }
            }
            () = gone.cancelled() => return,
        }
    }
}

/// Streams that wait for the other half of their pair, by what they have in common.
#[derive(Default)]
struct Pairs {
    waiting: HashMap<String, (Stream, Instant)>,
}

impl Pairs {
    /// The connection, once both halves are there.
    fn add(&mut self, stream: Stream, now: Instant) -> Option<Ends> {
        let is_error = match header(&stream, "streamtype") {
            "error" => true,
            "data" => false,
            other => {
                tracing::debug!(stream_type = other, "stream of an unknown type");
                return None;
            }
        };
        let request = match header(&stream, "requestid") {
            // Clients of old open the data stream right after the error stream.
            "" if is_error => stream.id.to_string(),
            "" => stream.id.saturating_sub(2).to_string(),
            id => format!("id {id}"),
        };
        let Some((other, _)) = self.waiting.remove(&request) else {
            self.waiting.insert(request, (stream, now + CREATION));
            return None;
        };
        let (error, data) = if is_error { (stream, other) } else { (other, stream) };
        if header(&error, "streamtype") != "error" || header(&data, "streamtype") != "data" {
            tracing::debug!(request, "two streams of one kind under one requestID");
            return None;
        }
        // A port that is none is refused by whoever dials it.
        let port = header(&data, "port").parse().unwrap_or(0);
        Some(Ends { port, incoming: data.incoming, data: data.writer, error: error.writer })
    }

    /// Resolves when the oldest half has waited too long.
    async fn overdue(&self) {
        match self.waiting.values().map(|(_, deadline)| *deadline).min() {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }

    /// The halves that have waited too long.
    fn expire(&mut self, now: Instant) -> Vec<Stream> {
        self.waiting.extract_if(|_, (_, deadline)| *deadline <= now).map(|(_, (stream, _))| stream).collect()
    }
}

fn header<'a>(stream: &'a Stream, name: &str) -> &'a str {
    stream.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::kubelet::channels::ChannelWriter;

    fn stream(id: u32, kind: &str, request: &str) -> Stream {
        let (_, incoming) = mpsc::channel(1);
        let (queue, _) = mpsc::channel(1);
        let pairs = [("streamtype", kind), ("port", "80"), ("requestid", request)];
        let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        let headers = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Stream { id, headers, incoming, writer: ChannelWriter::new(id, queue) }
    }

    /// The numbers of the streams at which a connection is complete.
    fn paired(streams: &[(u32, &str, &str)]) -> Vec<u32> {
        let (mut pairs, now) = (Pairs::default(), Instant::now());
        let complete = |(id, kind, request): &(u32, &str, &str)| {
            pairs.add(stream(*id, kind, request), now).map(|ends| {
                assert_eq!(ends.port, 80);
                *id
            })
        };
        streams.iter().filter_map(complete).collect()
    }

    #[tokio::test]
    async fn halves_find_each_other() {
        assert_eq!(paired(&[(1, "error", "0"), (3, "data", "0")]), [3]);
        assert_eq!(paired(&[(1, "data", "0"), (3, "error", "0")]), [3]);
        let crossed = [(1, "error", "0"), (3, "error", "1"), (5, "data", "1"), (7, "data", "0")];
        assert_eq!(paired(&crossed), [5, 7]);
        assert_eq!(paired(&[(1, "error", ""), (3, "data", ""), (5, "error", ""), (7, "data", "")]), [3, 7]);
        assert_eq!(paired(&[(1, "error", "0"), (3, "error", "0"), (5, "what", "0")]), [0_u32; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_pair_waits_half_a_minute() {
        let (mut pairs, begin) = (Pairs::default(), Instant::now());
        assert!(pairs.add(stream(1, "error", "0"), begin).is_none());
        pairs.overdue().await;
        assert_eq!(begin.elapsed(), CREATION);
        assert_eq!(pairs.expire(Instant::now()).len(), 1);
        assert!(pairs.add(stream(3, "data", "0"), Instant::now()).is_none(), "it came too late");
    }
}
