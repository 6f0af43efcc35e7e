//! A command in a container that is not there: says what it would have run, gives back what is typed, ends with 0.

use bytes::Bytes;

use crate::streams::{ExecOutcome, ExecProviderEnd, ExecRequest};

/// Runs until the client closes its input or goes away.
pub(super) async fn drive(request: ExecRequest, streams: ExecProviderEnd) {
    let ExecProviderEnd { mut stdin, stdout, stderr, outcome, .. } = streams;
    let session = async {
        let said = format!("mock: nothing runs here; the command was {:?}\n", request.command);
        drop(stdout.send(Bytes::from(said)).await);
        while request.stdin
            && let Some(typed) = stdin.recv().await
        {
            drop(stdout.send(typed).await);
        }
    };
    let client_gone = async { tokio::join!(stdout.closed(), stderr.closed()) };
    tokio::select! {
        () = session => {
            // Nobody may be left to be told.
            let _ = outcome.send(ExecOutcome::Exited(0));
        }
        _ = client_gone => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::exec_pair;

    #[tokio::test]
    async fn what_is_typed_comes_back_until_half_close() {
        let (mut client, provider) = exec_pair(4);
        let command = vec!["sh".to_owned(), "-c".to_owned(), "exit 3".to_owned()];
        let request = ExecRequest { command, stdin: true, stdout: true, stderr: true, tty: false };
        client.stdin.send(Bytes::from("typed")).await.unwrap();
        drop(client.stdin);
        drive(request, provider).await;
        let said = client.stdout.recv().await.unwrap();
        assert_eq!(said, "mock: nothing runs here; the command was [\"sh\", \"-c\", \"exit 3\"]\n");
        assert_eq!(client.stdout.recv().await.unwrap(), "typed");
        assert_eq!(client.outcome.await, Ok(ExecOutcome::Exited(0)));
    }
}
