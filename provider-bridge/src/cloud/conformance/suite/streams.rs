//! Logs, commands in containers, and their ports.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// A log comes line by line as it was said; where a cloud has none, the answer says so.
pub(super) async fn logs_are_what_was_said_or_said_not_to_be_had(subject: &dyn Subject) {
    let provider = subject.provider();
    let instance = create(provider, "u-1", "web").await;
    if !provider.capabilities().logs {
        let error = provider.logs(&instance, "app", &LogOptions::default()).await.err().expect("no log");
        assert!(matches!(error, CloudError::Invalid(_)), "{error:?}");
        return;
    }
    if !subject.say(&["one", "two"]) {
        return;
    }
    let mut stream = provider.logs(&instance, "app", &LogOptions::default()).await.unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = timeout(PATIENCE, stream.next()).await.expect("the log ends") {
        text.extend(chunk.unwrap());
    }
    assert_eq!(String::from_utf8(text).unwrap(), "one\ntwo\n");
}

/// Words of the command that is run here.
const WORDS: [&str; 3] = ["sh", "-c", "cat; exit 42"];

fn asked(command: &[&str], stdin: bool) -> ExecRequest {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    ExecRequest { command, stdin, stdout: true, stderr: true, tty: false }
}

/// Types, waits until that has come back, closes the input, and tells what was printed and how it ended.
async fn conversation(client: ExecClientEnd, typed: &'static str) -> (String, String, ExecOutcome) {
    let ExecClientEnd { stdin, mut stdout, mut stderr, resize: _resize, outcome } = client;
    let all = async {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        if !typed.is_empty() {
            stdin.send(typed.into()).await.unwrap();
        }
        while !out.ends_with(typed.as_bytes()) {
            out.extend(stdout.recv().await.expect("what is typed comes back while the command runs"));
        }
        drop(stdin);
        let rest = async {
            while let Some(bytes) = stdout.recv().await {
                out.extend(bytes);
            }
        };
        let complaints = async {
            while let Some(bytes) = stderr.recv().await {
                err.extend(bytes);
            }
        };
        tokio::join!(rest, complaints);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(out), text(err), outcome.await.expect("told how it ended"))
    };
    timeout(PATIENCE, all).await.expect("the command ends with its input")
}

/// A command gets its words and what is typed, while it runs; what it prints comes back by channel, and how it ended is
/// told. Where a cloud runs none, the answer says so.
pub(super) async fn a_session_carries_what_is_typed_and_ends_as_the_command_ends(subject: &dyn Subject) {
    let provider = subject.provider();
    let instance = create(provider, "u-1", "web").await;
    for typed in ["typed", ""] {
        let (client, streams) = exec_pair(4);
        let request = asked(&WORDS, !typed.is_empty());
        let Some(session) = subject.next_session("u-1").await else {
            let error = provider.exec(&instance, "app", &request, streams).await.unwrap_err();
            return assert!(matches!(error, CloudError::Invalid(_)), "{error:?}");
        };
        assert!(provider.capabilities().exec);
        provider.exec(&instance, "app", &request, streams).await.unwrap();
        let (out, err, ended) = conversation(client, typed).await;
        assert!(WORDS.iter().all(|word| out.contains(word)), "{out}");
        assert!(out.ends_with(typed), "{out}");
        assert_eq!((err.as_str(), ended), (session.complaint, ExecOutcome::Exited(session.code)));
    }
}

/// Nobody reads any more: the command ends there too, and not only when its input does.
pub(super) async fn a_client_that_leaves_ends_the_command(subject: &dyn Subject) {
    let provider = subject.provider();
    let instance = create(provider, "u-1", "web").await;
    let Some(session) = subject.next_session("u-1").await else { return };
    let (client, streams) = exec_pair(4);
    provider.exec(&instance, "app", &asked(&WORDS, true), streams).await.unwrap();
    let ExecClientEnd { stdin: _stdin, mut stdout, stderr, resize: _resize, outcome } = client;
    timeout(PATIENCE, stdout.recv()).await.expect("it runs").expect("it runs");
    drop((stdout, stderr));
    // Told or not: nobody is left who asks.
    let _ = timeout(PATIENCE, outcome).await.expect("the session ends");
    let ended = async {
        while session.running() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, ended).await.expect("the command ends");
}

/// Attaching is a session with the container itself; where a cloud has none, output is shown as long as somebody looks, and
/// input is refused in words.
pub(super) async fn whoever_attaches_meets_the_container_or_its_output(subject: &dyn Subject) {
    let provider = subject.provider();
    let instance = create(provider, "u-1", "web").await;
    let session = subject.next_session("u-1").await;
    let (client, streams) = exec_pair(4);
    if provider.capabilities().attach {
        let session = session.expect("a far side to attach to");
        provider.attach(&instance, "app", &asked(&[], true), streams).await.unwrap();
        let (out, err, ended) = conversation(client, "typed").await;
        assert!(out.ends_with("typed"), "{out}");
        return assert_eq!((err.as_str(), ended), (session.complaint, ExecOutcome::Exited(session.code)));
    }
    let error = provider.attach(&instance, "app", &asked(&[], true), streams).await.unwrap_err();
    assert!(matches!(error, CloudError::Invalid(_)), "{error:?}");
    let (client, streams) = exec_pair(4);
    subject.say(&["one"]);
    let request = asked(&[], false);
    let attached = provider.attach(&instance, "app", &request, streams);
    drop(client);
    let answer = timeout(PATIENCE, attached).await.expect("it ends when nobody looks");
    match answer {
        Ok(()) => assert!(provider.capabilities().logs),
        Err(error) => assert!(matches!(error, CloudError::Invalid(_)), "{error:?}"),
    }
}

/// A port gives and takes while the connection is open; where a cloud has none, the answer says so.
pub(super) async fn a_port_carries_bytes_both_ways(subject: &dyn Subject) {
    let provider = subject.provider();
    create(provider, "u-1", "web").await;
    let port = subject.listen("u-1").await;
    let all = provider.list().await.unwrap();
    let instance = all.iter().find(|instance| instance.pod.uid == "u-1").expect("listed");
    let connected = timeout(PATIENCE, provider.connect(instance, port.unwrap_or(80))).await;
    let connected = connected.expect("connected or refused in time");
    if port.is_none() {
        assert!(!provider.capabilities().port_forward);
        let error = connected.err().expect("nothing listens there");
        return assert!(matches!(error, CloudError::Invalid(_)), "{error:?}");
    }
    let mut connection = connected.unwrap();
    let talk = async {
        for text in ["GET /", "and more"] {
            connection.write_all(text.as_bytes()).await.unwrap();
            let mut back = vec![0; text.len()];
            connection.read_exact(&mut back).await.unwrap();
            assert_eq!(back, text.as_bytes());
        }
    };
    timeout(PATIENCE, talk).await.expect("what is sent comes back");
}
