//! A stream that a task feeds, as watches are.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// What a task sends. Dropping it ends the task.
pub(super) struct TaskStream<T> {
    items: mpsc::Receiver<T>,
    _task: AbortOnDropHandle<()>,
}

impl<T> TaskStream<T> {
    /// Starts a task that sends; `depth` items may wait for the reader. Must be called inside a Tokio runtime.
    pub(super) fn start<F>(depth: usize, task: impl FnOnce(mpsc::Sender<T>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, items) = mpsc::channel(depth);
        Self { items, _task: AbortOnDropHandle::new(tokio::spawn(task(sender))) }
    }
}

impl<T> Stream for TaskStream<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.items.poll_recv(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn the_task_ends_with_its_reader() {
        let (held, released) = tokio::sync::oneshot::channel::<()>();
        let mut stream = TaskStream::start(1, |sender| async move {
            let _held = held;
            sender.send(7).await.unwrap();
            std::future::pending::<()>().await;
        });
        assert_eq!(stream.next().await, Some(7));
        drop(stream);
        assert!(released.await.is_err(), "the task is dropped");
    }
}
