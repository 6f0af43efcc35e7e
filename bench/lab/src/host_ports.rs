//! Sockets that a person needs (API server, page): opened on the host before entering, served from inside by copying bytes.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};

/// The sockets that came in from the host, in the order in which they were asked for.
#[derive(Debug)]
pub struct HostPorts(Vec<Option<std::net::TcpListener>>);

impl HostPorts {
    pub(crate) fn inherited() -> Result<Self> {
        let mut fds = listenfd::ListenFd::from_env();
        let count = fds.len();
        (0..count)
            .map(|i| fds.take_tcp_listener(i).context("taking a socket from the host"))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// The host's address of socket `index`.
    ///
    /// # Errors
    /// When there is no such socket or it was forwarded already.
    pub fn address(&self, index: usize) -> Result<SocketAddr> {
        let listener = self.0.get(index).and_then(Option::as_ref).context("no such host socket")?;
        Ok(listener.local_addr()?)
    }

    /// Forwards every connection to socket `index` to `target` inside the lab, until the program ends.
    ///
    /// # Errors
    /// When there is no such socket or it was forwarded already.
    pub fn forward(&mut self, index: usize, target: SocketAddr) -> Result<SocketAddr> {
        let listener = self.0.get_mut(index).and_then(Option::take).context("no such host socket")?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(copy(client, target));
            }
        });
        Ok(address)
    }
}

async fn copy(mut client: TcpStream, target: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(target).await {
        // Either side going away ends the copy; there is nobody to tell.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}
