//! A lean HTTP/1.1 client over raw sockets, so that the two cores measure the server and not the client.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What one round saw.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// Answers per second over all connections.
    pub(crate) per_second: f64,
    /// Client-side latencies in microseconds.
    pub(crate) latencies_us: Vec<f64>,
    /// Connections opened; equals the number of clients unless the server closed one.
    pub(crate) connections: u64,
}

/// A call that is repeated.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) address: String,
    request: Arc<[u8]>,
}

impl Call {
    pub(crate) fn post(address: &str, path: &str, body: &[u8]) -> Self {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        Self { address: address.to_owned(), request: request.into() }
    }

    /// One call on a connection of its own; returns the body.
    pub(crate) async fn once(&self) -> Result<Vec<u8>> {
        let mut connection = Connection::open(&self.address).await?;
        connection.call(&self.request).await
    }

    /// Repeats the call on `clients` connections for `duration`.
    pub(crate) async fn repeat(&self, clients: usize, duration: Duration) -> Result<Round> {
        let opened = Arc::new(AtomicU64::new(0));
        let start = Instant::now();
        let tasks: Vec<_> = (0..clients)
            .map(|_| tokio::spawn(self.clone().client(start + duration, u64::MAX, Arc::clone(&opened))))
            .collect();
        Self::collect(tasks, start, &opened).await
    }

    /// Makes `count` calls one after the other, as kube-scheduler does.
    pub(crate) async fn sequence(&self, count: u64) -> Result<Round> {
        let opened = Arc::new(AtomicU64::new(0));
        let start = Instant::now();
        let far = start + Duration::from_secs(600);
        Self::collect(
            vec![tokio::spawn(self.clone().client(far, count, Arc::clone(&opened)))],
            start,
            &opened,
        )
        .await
    }

    async fn collect(
        tasks: Vec<tokio::task::JoinHandle<Result<Vec<f64>>>>,
        start: Instant,
        opened: &AtomicU64,
    ) -> Result<Round> {
        let mut latencies_us = Vec::new();
        for task in tasks {
            latencies_us.extend(task.await??);
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
        let per_second = latencies_us.len() as f64 / start.elapsed().as_secs_f64();
        Ok(Round { per_second, latencies_us, connections: opened.load(Ordering::Relaxed) })
    }

    async fn client(self, until: Instant, count: u64, opened: Arc<AtomicU64>) -> Result<Vec<f64>> {
        let mut latencies = Vec::new();
        let mut connection = None;
        for _ in 0..count {
            let begin = Instant::now();
            if begin >= until {
                break;
            }
            let open = match connection.as_mut() {
                Some(open) => open,
                None => {
                    opened.fetch_add(1, Ordering::Relaxed);
                    connection.insert(Connection::open(&self.address).await?)
                }
            };
            open.call(&self.request).await?;
            latencies.push(begin.elapsed().as_secs_f64() * 1e6);
            if open.closed {
                connection = None;
            }
        }
        Ok(latencies)
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    closed: bool,
}

impl Connection {
    async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(512 * 1024), closed: false })
    }

    async fn call(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head_end = loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            self.fill().await?;
        };
        let head =
            String::from_utf8_lossy(self.buffer.get(..head_end).unwrap_or_default()).to_ascii_lowercase();
        ensure!(
            head.starts_with("http/1.1 200"),
            "the server answered {}",
            head.lines().next().unwrap_or("")
        );
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .context("an answer without Content-Length costs the scheduler its connection")?
            .trim()
            .parse()?;
        self.closed = head.contains("connection: close");
        while self.buffer.len() < head_end + length {
            self.fill().await?;
        }
        Ok(self.buffer.split_off(head_end))
    }

    async fn fill(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(read > 0, "the server closed the connection in the middle of an answer");
        Ok(())
    }
}
