//! Attaching where a cloud has logs but no way to a container's own process: output only.

use futures::StreamExt as _;

use crate::streams::{ExecOutcome, ExecProviderEnd};

use super::{ByteStream, CloudError};

/// Why standard input cannot be attached.
pub(super) fn no_input(provider: &str) -> CloudError {
    CloudError::Invalid(format!(
        "{provider} cannot attach standard input to a running container: attach without --stdin shows its output, exec \
         runs a command in it"
    ))
}

/// Shows a followed log as standard output until it ends or the client leaves.
pub(super) async fn show(mut log: ByteStream, streams: ExecProviderEnd) {
    let ExecProviderEnd { stdout, outcome, .. } = streams;
    let ended = loop {
        let chunk = tokio::select! {
            chunk = log.next() => chunk,
            () = stdout.closed() => return,
        };
        match chunk {
            Some(Ok(bytes)) => drop(stdout.send(bytes).await),
            Some(Err(error)) => break ExecOutcome::Failed(error.to_string()),
            None => break ExecOutcome::Exited(0),
        }
    };
    // Nobody may be left to be told.
    let _ = outcome.send(ended);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::stream;

    use super::*;
    use crate::streams::exec_pair;

    #[tokio::test]
    async fn output_is_shown_until_the_log_ends() {
        let (mut client, provider) = exec_pair(4);
        let log = stream::iter([Ok(Bytes::from("one\n")), Ok(Bytes::from("two\n"))]);
        show(log.boxed(), provider).await;
        assert_eq!(client.stdout.recv().await.unwrap(), "one\n");
        assert_eq!(client.stdout.recv().await.unwrap(), "two\n");
        assert_eq!(client.outcome.await, Ok(ExecOutcome::Exited(0)));
    }

    #[tokio::test]
    async fn a_client_that_left_ends_it() {
        let (client, provider) = exec_pair(4);
        drop(client.stdout);
        show(stream::pending().boxed(), provider).await;
        assert!(client.outcome.await.is_err());
    }
}
