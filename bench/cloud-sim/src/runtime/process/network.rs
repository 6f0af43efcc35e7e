//! The lab's bridge and one veth per instance, through `ip`.

use std::io;
use std::net::Ipv4Addr;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::runtime::addresses::Subnet;

/// The bridge that instances hang on.
#[derive(Debug)]
pub(super) struct Bridge {
    name: String,
    /// Made here, so removed here.
    made: bool,
}

impl Bridge {
    /// The bridge, made with the subnet's gateway address if it does not exist.
    pub(super) async fn ready(name: &str, subnet: Subnet) -> io::Result<Self> {
        let exists = Command::new("ip").args(["link", "show", "dev", name]).output().await?.status.success();
        if !exists {
            let address = format!("{}/{}", subnet.gateway(), subnet.prefix);
            let lines =
                format!("link add {name} type bridge\naddr add {address} dev {name}\nlink set {name} up\n");
            batch(Command::new("ip"), &lines).await?;
        }
        Ok(Self { name: name.to_owned(), made: !exists })
    }

    /// The bridge's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Removes it if it was made here.
    pub(super) async fn remove(&self) {
        if self.made {
            let _ = Command::new("ip").args(["link", "del", &self.name]).output().await;
        }
    }
}

/// Connects the network namespace of a process to the bridge.
pub(super) async fn connect(
    bridge: &str,
    veth: &str,
    pid: u32,
    address: Ipv4Addr,
    subnet: Subnet,
) -> io::Result<()> {
    let outside = format!(
        "link add {veth} type veth peer name eth0 netns {pid}\nlink set {veth} master {bridge}\nlink set {veth} up\n"
    );
    batch(Command::new("ip"), &outside).await?;
    let (prefix, gateway) = (subnet.prefix, subnet.gateway());
    let inside = format!(
        "link set lo up\naddr add {address}/{prefix} dev eth0\nlink set eth0 up\nroute add default via {gateway}\n"
    );
    let mut enter = Command::new("nsenter");
    enter.args(["-t", &pid.to_string(), "-n", "ip"]);
    batch(enter, &inside).await
}

/// Removes a veth; it may be gone already with its namespace.
pub(super) async fn disconnect(veth: &str) {
    let _ = Command::new("ip").args(["link", "del", veth]).stderr(Stdio::null()).status().await;
}

/// Runs `ip -batch` with these lines.
async fn batch(mut command: Command, lines: &str) -> io::Result<()> {
    command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(lines.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let text = text.trim();
    Err(io::Error::other(format!(
        "ip: {text} (the process runtime needs CAP_NET_ADMIN in its network namespace)"
    )))
}
