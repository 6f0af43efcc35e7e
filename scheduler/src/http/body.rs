//! Reading a request body to its end, whatever its size, in bounded time and memory.
//!
//! A server that answers before it has read the body closes the connection, and kube-scheduler then pays for a new
//! one per call; so a body over the limit is read on and thrown away, up to a point where closing is cheaper. All bodies
//! that are held at one moment share a budget, and one that takes too long is given up: a client that sends slowly, or
//! many that send much, cannot take the process down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::web::Payload;
use futures::StreamExt;

/// The largest body that is looked at: whole Node objects of a large cluster.
pub(super) const LIMIT: usize = crate::config::LARGEST_BODY;

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
    /// There was no room for it; all of it was read, the connection can be used again.
    #[error(
        "burst: no room for a request body of {size} bytes: all requests together may hold {budget} bytes \
         (http.bodyBudgetMib); try again, or set nodeCacheCapable: true"
    )]
    NoRoom {
        /// Bytes sent.
        size: usize,
        /// Bytes that all bodies may have together.
        budget: usize,
    },
    /// It did not come in time.
    #[error("burst: the request body did not end within {0:?} (http.bodyTimeoutSeconds)")]
    Slow(Duration),
    /// The connection broke, the framing is wrong, or the body has no end.
    #[error("burst: the request body could not be read: {0}")]
    Broken(String),
}

/// What bodies may take, all together.
#[derive(Debug)]
pub struct Intake {
    timeout: Duration,
    budget: usize,
    held: AtomicUsize,
}

impl Intake {
    /// Bodies end within `timeout` and hold at most `budget` bytes together.
    pub const fn new(timeout: Duration, budget: usize) -> Self {
        Self { timeout, budget, held: AtomicUsize::new(0) }
    }

    fn take(&self, bytes: usize) -> bool {
        let room = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.budget);
        self.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// A body, and its part of the budget for as long as it is held.
pub(super) struct Body {
    bytes: Vec<u8>,
    intake: Arc<Intake>,
}

impl Body {
    fn hold(&mut self, chunk: &[u8]) -> bool {
        let room = self.intake.take(chunk.len());
        if room {
            self.bytes.extend_from_slice(chunk);
        }
        room
    }

    fn throw_away(&mut self) {
        self.intake.give_back(std::mem::take(&mut self.bytes).len());
    }
}

impl std::ops::Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.throw_away();
    }
}

/// Reads a whole body of at most `limit` bytes.
///
/// # Errors
/// [`BodyError`].
pub(super) async fn read(
    payload: Payload,
    declared: Option<usize>,
    limit: usize,
    intake: &Arc<Intake>,
) -> Result<Body, BodyError> {
    let bytes = Vec::with_capacity(declared.unwrap_or(0).min(limit).min(RESERVE));
    let body = Body { bytes, intake: intake.clone() };
    let whole = to_the_end(payload, body, limit);
    tokio::time::timeout(intake.timeout, whole).await.unwrap_or(Err(BodyError::Slow(intake.timeout)))
}

async fn to_the_end(mut payload: Payload, mut body: Body, limit: usize) -> Result<Body, BodyError> {
    let (mut size, mut no_room) = (0_usize, false);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|e: PayloadError| BodyError::Broken(e.to_string()))?;
        size = size.saturating_add(chunk.len());
        if size > DRAIN {
            return Err(BodyError::Broken(format!("more than {DRAIN} bytes")));
        }
        no_room = no_room || (size <= limit && !body.hold(&chunk));
        if no_room || size > limit {
            body.throw_away();
        }
    }
    match (size > limit, no_room) {
        (true, _) => Err(BodyError::TooLarge { size, limit }),
        (_, true) => Err(BodyError::NoRoom { size, budget: body.intake.budget }),
        _ => Ok(body),
    }
}
