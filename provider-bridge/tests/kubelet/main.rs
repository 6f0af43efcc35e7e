//! The kubelet port over real TLS on loopback, judged by clients that the project did not write: kube for WebSocket,
//! client-go for SPDY, reqwest for the rest.

// Tests may panic; that is how they fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod fake;
mod logs;
mod port;
mod spdy;
mod stats;
mod websocket;
