//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::Subnet;

/// A cloud that is not one: the API of CCI 1.0 or 2.0, ECI or Cube over instances that are scripted or real processes.
#[derive(Clone, Parser)]
#[command(name = "cloud-sim", version)]
pub struct Options {
    /// Whose API it speaks
    #[arg(long, value_enum, default_value = "cci1")]
    pub api: Api,
    /// Address to listen on
    #[arg(long)]
    pub listen: SocketAddr,
    /// Serving certificate chain, PEM; plain HTTP without it
    #[arg(long, requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Access key (AK) of the account
    #[arg(long, env = "CLOUD_SIM_ACCESS_KEY", hide_env_values = true)]
    pub access_key: String,
    /// Secret key (SK) of the account
    #[arg(long, env = "CLOUD_SIM_SECRET_KEY", hide_env_values = true)]
    pub secret_key: String,
    /// Project of the account
    #[arg(long)]
    pub project_id: String,
    /// A token accepted as X-Auth-Token (cci1) or as the security token of temporary keys (eci, cube); none if absent
    #[arg(long, env = "CLOUD_SIM_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// What instances are made of
    #[arg(long, value_enum, default_value = "script")]
    pub runtime: RuntimeKind,
    /// Folder for images, volumes and logs of instances
    #[arg(long)]
    pub state_dir: PathBuf,
    /// Billing meter, appended to; `meter.jsonl` in the state folder if absent
    #[arg(long)]
    pub meter: Option<PathBuf>,
    /// Bridge that instances hang on (process runtime); made if it does not exist
    #[arg(long, default_value = "lab0")]
    pub bridge: String,
    /// Addresses of instances; the first belongs to the bridge
    #[arg(long, default_value = "198.18.64.0/18")]
    pub subnet: Subnet,
    /// A static busybox, of which the image `busybox` is made
    #[arg(long)]
    pub busybox: Option<PathBuf>,
    /// Folder of OCI image layouts, one folder per image, `/` and `:` in names as `_`
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// Region of the account; each cloud's first one if absent
    #[arg(long)]
    pub region: Option<String>,
    /// Zones of the region, in the cloud's own order; two of them if absent (eci, cube)
    #[arg(long, value_delimiter = ',')]
    pub zones: Vec<String>,
    /// `ID=ZONE`: a switch (eci) or subnet (cube) and its zone; any id is in the first zone if none is named
    #[arg(long = "subnet-zone", value_delimiter = ',')]
    pub subnet_zones: Vec<String>,
    /// Milliseconds from accepted to placed
    #[arg(long, default_value_t = 20)]
    pub schedule_ms: u64,
    /// Milliseconds from placed to running (script runtime)
    #[arg(long, default_value_t = 50)]
    pub start_ms: u64,
    /// Milliseconds from stopped to confirmed gone
    #[arg(long, default_value_t = 50)]
    pub delete_ms: u64,
    /// Milliseconds until a Network is Active
    #[arg(long, default_value_t = 50)]
    pub network_ms: u64,
    /// Seconds that the name of a deleted namespace stays taken
    #[arg(long, default_value_t = 30)]
    pub namespace_hold_seconds: u64,
    /// First wait between crashes of a container, doubled up to five minutes
    #[arg(long, default_value_t = 10_000)]
    pub restart_backoff_ms: u64,
    /// Events per kind that a watch can look back
    #[arg(long, default_value_t = 10_000)]
    pub history: usize,
    /// Seconds between watch bookmarks
    #[arg(long, default_value_t = 60)]
    pub bookmark_seconds: u64,
    /// Milliseconds that an update in place takes (eci, cube)
    #[arg(long, default_value_t = 50)]
    pub update_ms: u64,
    /// Answers beyond the published calls per minute, instead of refusing them (eci)
    #[arg(long)]
    pub unthrottled: bool,
    /// This program, started again inside containers; its own path if absent
    #[arg(long, hide = true)]
    pub init: Option<PathBuf>,
}

/// The clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Api {
    /// Huawei CCI 1.0
    Cci1,
    /// Huawei CCI 2.0
    Cci2,
    /// Alibaba Cloud ECI
    Eci,
    /// UCloud Cube
    Cube,
}

impl Api {
    /// The region that is played if none is named.
    #[must_use]
    pub fn region(self) -> &'static str {
        match self {
            Self::Cci1 | Self::Cci2 => "cn-north-4",
            Self::Eci => "cn-hangzhou",
            Self::Cube => "cn-bj2",
        }
    }
}

/// The two runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RuntimeKind {
    /// Nothing runs; states change on the clock
    Script,
    /// Every instance is a process tree in its own namespaces
    Process,
}
