//! Simulated clouds beside the stack's own: ECI, Cube and CCI 2.0, each a process with an address, a bridge and a bill of its own.

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::process::Command;

use crate::{
    ADDRESS, CloudRuntime, Lab, Process,
    binaries::built_binary,
    stack::{ACCESS_KEY, PROJECT, SECRET_KEY, curl},
};

/// Whose API a further cloud speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudApi {
    /// Alibaba Cloud ECI.
    Eci,
    /// UCloud Cube.
    Cube,
    /// Huawei CCI 2.0.
    Cci2,
}

impl CloudApi {
    /// The word on the simulator's command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Eci => "eci",
            Self::Cube => "cube",
            Self::Cci2 => "cci2",
        }
    }

    /// Where it listens, with TLS by the lab's authority.
    pub const fn address(self) -> &'static str {
        match self {
            Self::Eci => "198.18.0.1:7444",
            Self::Cube => "198.18.0.1:7445",
            Self::Cci2 => "198.18.0.1:7446",
        }
    }

    /// Addresses of its instances.
    pub const fn subnet(self) -> &'static str {
        match self {
            Self::Eci => "198.18.128.0/19",
            Self::Cube => "198.18.160.0/19",
            Self::Cci2 => "198.18.192.0/19",
        }
    }
}

/// A running one; dropped, it is killed.
#[derive(Debug)]
pub struct AnotherCloud {
    /// The simulator.
    pub process: Process,
    api: CloudApi,
}

impl AnotherCloud {
    /// Starts it, with the keys of the stack's own cloud and further arguments of the simulator, and waits until it
    /// answers. Its bill is `billing-meter-<api>.jsonl` among the lab's logs.
    ///
    /// # Errors
    /// When it does not come up; the text ends with the end of its log.
    pub async fn start(lab: &Lab, api: CloudApi, runtime: CloudRuntime, more: &[&str]) -> Result<Self> {
        let name = format!("cloud-{}", api.word());
        let serving = lab.authority().issue(
            &format!("{}.simulated.cloud", api.word()),
            &[],
            &[ADDRESS, "127.0.0.1"],
        )?;
        let state = lab.dir().join(&name);
        std::fs::create_dir_all(&state)?;
        let mut command = Command::new(built_binary("cloud-sim")?);
        command
            .args(["--api", api.word(), "--listen", api.address(), "--project-id", PROJECT])
            .args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY, "--runtime", runtime.flag()])
            .args(["--bridge", &format!("lab-{}", api.word()), "--subnet", api.subnet()])
            .arg("--tls-cert")
            .arg(&serving.cert)
            .arg("--tls-key")
            .arg(&serving.key)
            .arg("--state-dir")
            .arg(&state)
            .arg("--meter")
            .arg(lab.logs().join(format!("billing-meter-{}.jsonl", api.word())))
            .arg("--busybox")
            .arg(lab.tools().busybox())
            .args(more);
        let mut cloud = Self { process: lab.spawn(&name, command)?, api };
        cloud.wait_ready(lab).await?;
        Ok(cloud)
    }

    /// The simulator's control API: GET of a path under `/_sim/`.
    ///
    /// # Errors
    /// When it does not answer with JSON.
    pub async fn get(&self, lab: &Lab, path: &str) -> Result<Value> {
        curl(lab, &[&format!("https://{}/_sim/{path}", self.api.address())]).await
    }

    /// The simulator's control API: POST of JSON to a path under `/_sim/`.
    ///
    /// # Errors
    /// When it does not answer with JSON.
    pub async fn post(&self, lab: &Lab, path: &str, body: &Value) -> Result<Value> {
        let address = format!("https://{}/_sim/{path}", self.api.address());
        curl(lab, &["-X", "POST", "-d", &body.to_string(), &address]).await
    }

    async fn wait_ready(&mut self, lab: &Lab) -> Result<()> {
        let mut last = None;
        for _ in 0..200 {
            self.process.check_running()?;
            match self.get(lab, "healthz").await {
                Ok(_) => return Ok(()),
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("never asked"))).context(self.process.log_tail(20))
    }
}
