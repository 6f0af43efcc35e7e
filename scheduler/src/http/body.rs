//! Reading a request body to its end, whatever its size.
//!
//! A server that answers before it has read the body closes the connection, and kube-scheduler then pays for a new
//! one per call; so a body over the limit is read on and thrown away, up to a point where closing is cheaper.

use actix_web::error::PayloadError;
use actix_web::web::Payload;
use futures::StreamExt;

/// The largest body that is looked at: whole Node objects of a large cluster.
pub(super) const LIMIT: usize = 96 << 20;

/// How much of a larger body is read and thrown away before the connection is given up.
const DRAIN: usize = 1 << 30;

/// Room set aside before the first byte comes, at most: what a client declares is not yet what it sends.
const RESERVE: usize = 1 << 20;

/// Why there is no body to look at.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// Larger than the limit; all of it was read, the connection can be used again.
    #[error(
        "burst: the request body of {size} bytes is over the limit of {limit} bytes; set nodeCacheCapable: true"
    )]
    TooLarge {
        /// Bytes sent.
        size: usize,
        /// Bytes that would have been looked at.
        limit: usize,
    },
    /// The connection broke, the framing is wrong, or the body has no end.
    #[error("burst: the request body could not be read: {0}")]
    Broken(String),
}

/// Reads a whole body of at most `limit` bytes.
///
/// # Errors
/// [`BodyError`].
pub(super) async fn read(
    mut payload: Payload,
    declared: Option<usize>,
    limit: usize,
) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::with_capacity(declared.unwrap_or(0).min(limit).min(RESERVE));
    let mut size = 0_usize;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|e: PayloadError| BodyError::Broken(e.to_string()))?;
        size = size.saturating_add(chunk.len());
        if size <= limit {
            body.extend_from_slice(&chunk);
        } else if size <= DRAIN {
            body = Vec::new();
        } else {
            return Err(BodyError::Broken(format!("more than {DRAIN} bytes")));
        }
    }
    if size > limit { Err(BodyError::TooLarge { size, limit }) } else { Ok(body) }
}
