//! Long-lived tasks: started by name, started again when they end before their time, ended by one token.
//!
//! A task that ends by itself or panics must not take a virtual node down for good, and must not go unnoticed.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics;

/// Pause before a task is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts and ends the tasks of this process.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl Supervisor {
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the process is to end.
    pub const fn token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// For parts that start tracked tasks themselves.
    pub const fn tracker(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Runs what `make` makes until it returns after cancellation; makes it again if it ends earlier.
    pub fn keep<F>(&self, name: String, make: impl Fn(CancellationToken) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            while !cancel.is_cancelled() {
                let ended = tokio::spawn(make(cancel.clone())).await;
                if cancel.is_cancelled() {
                    return;
                }
                match ended {
                    Ok(()) => tracing::error!(task = name, "ended before its time; started again"),
                    Err(error) => tracing::error!(task = name, %error, "failed; started again"),
                }
                metrics::task_restart(&name);
                tokio::select! { () = cancel.cancelled() => {}, () = tokio::time::sleep(PAUSE) => {} }
            }
        });
    }

    /// Ends everything; `false` when something did not end within `patience`.
    pub async fn stop(&self, patience: Duration) -> bool {
        self.cancel.cancel();
        self.tasks.close();
        tokio::time::timeout(patience, self.tasks.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_panicking_task_is_started_again_and_stop_ends_it() {
        let runs = Arc::new(AtomicU32::new(0));
        let (seen, supervisor) = (runs.clone(), Supervisor::new());
        let (tx, mut rx) = tokio::sync::mpsc::channel(1);
        supervisor.keep("test".into(), move |cancel| {
            let (seen, tx) = (seen.clone(), tx.clone());
            async move {
                assert!(seen.fetch_add(1, Ordering::SeqCst) > 0, "the first run fails");
                let _ = tx.send(()).await;
                cancel.cancelled().await;
            }
        });
        rx.recv().await;
        assert_eq!(runs.load(Ordering::SeqCst), 2);
        assert!(supervisor.stop(Duration::from_secs(5)).await);
    }
}
