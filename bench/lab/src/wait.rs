//! Waiting on conditions: asks again until it holds or the deadline passes, and then says what it last saw.

use std::{future::Future, time::Duration};

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// [`eventually_within`] a minute.
///
/// # Errors
/// When the condition does not hold in time.
pub async fn eventually<T, F, Fut>(what: &str, check: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    eventually_within(Duration::from_secs(60), what, check).await
}

/// Asks `check` until it answers `Ok`, at most for `limit`.
///
/// # Errors
/// When it does not in time; the text is `what` and the last error.
pub async fn eventually_within<T, F, Fut>(limit: Duration, what: &str, mut check: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + limit;
    loop {
        match check().await {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => bail!("not within {limit:?}: {what}: {error:#}"),
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}
