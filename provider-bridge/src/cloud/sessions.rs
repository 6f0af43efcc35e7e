//! Commands and tunnels that run through a provider and end with it.

use tokio_util::sync::CancellationToken;

/// The sessions of one provider. Dropping it ends them.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    stop: CancellationToken,
}

impl Sessions {
    /// Lets a session run by itself. Must be called within a tokio runtime.
    pub(super) fn run(&self, session: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        tokio::spawn(async move { stop.run_until_cancelled_owned(session).await });
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn they_end_with_their_provider() {
        let sessions = Sessions::default();
        let (held, released) = tokio::sync::oneshot::channel::<()>();
        sessions.run(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
        drop(sessions);
        assert!(released.await.is_err(), "the session is dropped");
    }
}
