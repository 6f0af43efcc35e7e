//! Logs and commands. A log cannot be followed; a command answers at once (`Sync`) or with addresses that live 30 s.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::super::Front;
use super::change::find;
use super::error::EciError;
use super::tree::Tree;
use super::{Eci, Order};
use crate::core::instances::Instance;
use crate::core::logs::{Line, log_time};
use crate::runtime::{ExecSpec, Output};

const LINES: usize = 500;
const LINES_MAX: usize = 2000;
const BYTES_MAX: usize = 1 << 20;
const COMMAND_MAX: usize = 20;
const WORD_MAX: usize = 256;
/// How long a synchronous command may take.
const SYNC_TIMEOUT: Duration = Duration::from_secs(30);

fn instance(front: &Front, id: &str, container: &str) -> Result<std::sync::Arc<Instance>, EciError> {
    find(front, id)?;
    let instance = front.cloud.instance(id).ok_or_else(|| EciError::no_group(id))?;
    if instance.plan.container(container).is_none() {
        return Err(EciError::parameter("ContainerName", &format!("there is no container {container:?}")));
    }
    Ok(instance)
}

/// DescribeContainerLog.
pub(super) fn log(front: &Front, tree: &Tree) -> Result<Value, EciError> {
    let container = tree.required("ContainerName")?;
    let instance = instance(front, tree.required("ContainerGroupId")?, container)?;
    let tail = match tree.integer("Tail")? {
        None => LINES,
        Some(n) => usize::try_from(n)
            .ok()
            .filter(|n| (1..=LINES_MAX).contains(n))
            .ok_or_else(|| EciError::parameter("Tail", "it is not 1 to 2000"))?,
    };
    let bytes = match tree.integer("LimitBytes")? {
        None => BYTES_MAX,
        Some(n) => usize::try_from(n)
            .ok()
            .filter(|n| (1..=BYTES_MAX).contains(n))
            .ok_or_else(|| EciError::parameter("LimitBytes", "it is not 1 to 1048576"))?,
    };
    let now = front.cloud.clock.now();
    let seconds = tree
        .integer("SinceSeconds")?
        .map(|n| now.checked_sub(SignedDuration::from_secs(n)).unwrap_or(Timestamp::MIN));
    let start = match tree.text("StartTime") {
        None => None,
        Some(text) => Some(
            text.parse::<Timestamp>().map_err(|_| EciError::parameter("StartTime", "it is not RFC 3339"))?,
        ),
    };
    let since = seconds.max(start);
    let lines = instance.log(container, tree.flag("LastTime")?).map(|log| log.read(0).0).unwrap_or_default();
    let mut lines: Vec<Line> =
        lines.into_iter().filter(|line| since.is_none_or(|since| line.at >= since)).collect();
    lines.drain(..lines.len().saturating_sub(tail));
    let content = text(&lines, tree.flag("Timestamps")?, bytes);
    Ok(json!({"ContainerName": container, "Content": content}))
}

/// The lines as one text; of more than `bytes` the beginning is left out.
fn text(lines: &[Line], timestamps: bool, bytes: usize) -> String {
    let mut out = String::new();
    for line in lines {
        if timestamps {
            out.push_str(&log_time(line.at));
            out.push(' ');
        }
        out.push_str(&String::from_utf8_lossy(&line.text));
    }
    let mut from = out.len().saturating_sub(bytes);
    while !out.is_char_boundary(from) {
        from += 1;
    }
    out.split_off(from)
}

/// ExecContainerCommand.
pub(super) async fn exec(front: &Front, eci: &Eci, order: &Order) -> Result<Value, EciError> {
    let tree = &order.tree;
    let (id, container) = (tree.required("ContainerGroupId")?, tree.required("ContainerName")?);
    let command = command(tree.required("Command")?)?;
    let (tty, sync) = (tree.flag("TTY")?, tree.flag("Sync")?);
    if sync && tty {
        return Err(EciError::parameter("TTY", "a synchronous command has no terminal"));
    }
    let instance = instance(front, id, container)?;
    let running =
        || EciError::new(400, "IncorrectStatus", format!("The container {container} is not running."));
    let runs = instance.log(container, false).is_some();
    let sandbox = instance.sandbox.get().filter(|_| runs).ok_or_else(running)?;
    if !sync {
        let spec = ExecSpec { command, stdin: tree.flag("Stdin")?, tty };
        let token = eci.tickets.issue(id, container, spec, front.cloud.clock.now());
        let scheme = if eci.secure { "wss" } else { "ws" };
        return Ok(json!({
            "HttpUrl": format!("https://eci.console.aliyun.com/terminal?param={token}"),
            "WebSocketUri": format!("{scheme}://{}/exec/?s={token}", order.host),
        }));
    }
    let spec = ExecSpec { command, stdin: false, tty: false };
    let session =
        sandbox.exec(container, &spec).await.map_err(|why| EciError::new(400, "IncorrectStatus", why))?;
    let (stdout, stderr) = (session.stdout, session.stderr);
    let all = async move { tokio::join!(read(stdout), read(stderr), session.outcome) };
    let Ok((mut out, errors, _)) = tokio::time::timeout(SYNC_TIMEOUT, all).await else {
        return Err(EciError::new(500, "InternalError", "The command did not end in time."));
    };
    out.push_str(&errors);
    Ok(json!({"SyncResponse": out}))
}

async fn read(stream: Option<Output>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A command: a JSON list in a string.
fn command(text: &str) -> Result<Vec<String>, EciError> {
    let words: Vec<String> = serde_json::from_str(text)
        .map_err(|_| EciError::parameter("Command", "it is not a JSON list of texts"))?;
    if words.is_empty() {
        return Err(EciError::missing("Command"));
    }
    if words.len() > COMMAND_MAX || words.iter().any(|word| word.chars().count() > WORD_MAX) {
        return Err(EciError::length("Command", WORD_MAX));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn commands_are_json_lists() {
        assert_eq!(command(r#"["sh","-c","echo hi"]"#).ok().map(|c| c.len()), Some(3));
        for (text, code) in [("sh -c x", "InvalidParameter"), ("[]", "MissingParameter")] {
            assert!(command(text).is_err_and(|e| e.code == code), "{text}");
        }
        let long = json!(vec!["x"; 21]).to_string();
        assert!(command(&long).is_err_and(|e| e.code == "InvalidParameter.LengthExceeded"));
    }

    #[test]
    fn of_a_long_log_the_end_is_shown() {
        let line = |text: &str| Line { at: Timestamp::UNIX_EPOCH, text: Bytes::from(text.to_owned()) };
        assert_eq!(text(&[line("中文\n"), line("b\n")], false, 5), "\nb\n");
        assert_eq!(text(&[line("a\n")], true, 99), "1970-01-01T00:00:00.000000000Z a\n");
    }
}
