//! Readiness, liveness and startup probes of real containers: `httpGet`, `tcpSocket` and `exec`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ExecSpec, Sandbox};
use crate::core::clock::Clock;
use crate::core::plan::{Container, Probe};

/// What the readiness probe last said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ready,
    NotReady,
}

/// Probes a running container; resolves only when it must be restarted, with the reason.
pub(crate) async fn watch(
    clock: &Clock,
    sandbox: &Sandbox,
    container: &Container,
    on: impl Fn(Verdict),
) -> String {
    if !sandbox.probes() {
        return std::future::pending().await;
    }
    if let Some(probe) = &container.startup_probe
        && let Err(why) = until_success(clock, sandbox, container, probe).await
    {
        return format!("Startup probe failed: {why}");
    }
    let readiness = async {
        match &container.readiness_probe {
            Some(probe) => ready_loop(clock, sandbox, container, probe, on).await,
            None => std::future::pending().await,
        }
    };
    let liveness = async {
        match &container.liveness_probe {
            Some(probe) => until_failure(clock, sandbox, container, probe).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = readiness => std::future::pending().await,
        why = liveness => format!("Liveness probe failed: {why}"),
    }
}

async fn ready_loop(
    clock: &Clock,
    sandbox: &Sandbox,
    container: &Container,
    probe: &Probe,
    on: impl Fn(Verdict),
) {
    let (mut good, mut bad) = (0, 0);
    let mut said = None;
    clock.sleep(seconds(probe.initial_delay_seconds)).await;
    loop {
        let ok = attempt(sandbox, container, probe).await.is_ok();
        (good, bad) = if ok { (good + 1, 0) } else { (0, bad + 1) };
        let verdict = if good >= probe.success_threshold.unwrap_or(1) {
            Some(Verdict::Ready)
        } else if bad >= probe.failure_threshold.unwrap_or(3) {
            Some(Verdict::NotReady)
        } else {
            said
        };
        if verdict != said {
            said = verdict;
            verdict.into_iter().for_each(&on);
        }
        clock.sleep(period(probe)).await;
    }
}

async fn until_success(
    clock: &Clock,
    sandbox: &Sandbox,
    container: &Container,
    probe: &Probe,
) -> Result<(), String> {
    clock.sleep(seconds(probe.initial_delay_seconds)).await;
    let mut last = String::new();
    for _ in 0..probe.failure_threshold.unwrap_or(3).max(1) {
        match attempt(sandbox, container, probe).await {
            Ok(()) => return Ok(()),
            Err(why) => last = why,
        }
        clock.sleep(period(probe)).await;
    }
    Err(last)
}

async fn until_failure(clock: &Clock, sandbox: &Sandbox, container: &Container, probe: &Probe) -> String {
    clock.sleep(seconds(probe.initial_delay_seconds)).await;
    let mut bad = 0;
    loop {
        match attempt(sandbox, container, probe).await {
            Ok(()) => bad = 0,
            Err(why) => {
                bad += 1;
                if bad >= probe.failure_threshold.unwrap_or(3) {
                    return why;
                }
            }
        }
        clock.sleep(period(probe)).await;
    }
}

fn seconds(n: u32) -> Duration {
    Duration::from_secs(n.into())
}

fn period(probe: &Probe) -> Duration {
    seconds(probe.period_seconds.unwrap_or(10).max(1))
}

async fn attempt(sandbox: &Sandbox, container: &Container, probe: &Probe) -> Result<(), String> {
    let limit = seconds(probe.timeout_seconds.unwrap_or(1).max(1));
    let once = once(sandbox, container, probe);
    tokio::time::timeout(limit, once).await.unwrap_or_else(|_| Err(format!("timed out after {limit:?}")))
}

async fn once(sandbox: &Sandbox, container: &Container, probe: &Probe) -> Result<(), String> {
    if let Some(exec) = &probe.exec {
        let spec = ExecSpec { command: exec.command.clone(), stdin: false, tty: false };
        return match sandbox.exec(&container.name, &spec).await?.outcome.await? {
            0 => Ok(()),
            code => Err(format!("command exited with {code}")),
        };
    }
    let port = |port| container.port(port).ok_or_else(|| "the port has no number".to_owned());
    if let Some(http) = &probe.http_get {
        return get(sandbox.ip(), port(&http.port)?, &http.path).await;
    }
    if let Some(tcp) = &probe.tcp_socket {
        let address = SocketAddr::new(sandbox.ip(), port(&tcp.port)?);
        return TcpStream::connect(address).await.map(drop).map_err(|error| format!("{address}: {error}"));
    }
    Ok(())
}

/// A GET whose status line alone counts.
async fn get(ip: IpAddr, port: u16, path: &str) -> Result<(), String> {
    let address = SocketAddr::new(ip, port);
    let failed = |error: std::io::Error| format!("{address}: {error}");
    let mut stream = TcpStream::connect(address).await.map_err(failed)?;
    let path = if path.is_empty() { "/" } else { path };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut head = [0_u8; 12];
    stream.read_exact(&mut head).await.map_err(failed)?;
    let code = std::str::from_utf8(&head).ok().and_then(|text| text.get(9..12)?.parse::<u16>().ok());
    match code {
        Some(200..=399) => Ok(()),
        Some(code) => Err(format!("HTTP probe failed with statuscode: {code}")),
        None => Err("not an HTTP answer".to_owned()),
    }
}
