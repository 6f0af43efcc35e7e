//! A simulated cloud for the lab, the tests and the benchmarks: faithful on the wire, with a billing meter, faults on
//! request, and instances that are scripted or real processes. It shares no code with the product, so that client and
//! simulator cannot share a mistake. It must never be reachable from outside the machine: its control API is open.
#![cfg_attr(
    test,
    allow(clippy::needless_pass_by_value, reason = "cases written with json! read better by value")
)]

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;

pub mod auth;
mod core;
mod error;
mod facade;
mod options;
mod runtime;
mod server;
mod size;
mod size2;

pub use options::{Api, Options, RuntimeKind};
pub use runtime::addresses::Subnet;
pub use runtime::process::init::run as container;

use crate::core::instances::{Cloud, Habits, Timing};
use crate::core::kind::Generation;
use crate::core::meter::Meter;
use crate::core::store::Store;
use crate::facade::{Face, Front, Variants, millis};
use crate::runtime::{Runtime, addresses::Addresses, process, script};

/// A running simulator.
pub struct Simulator {
    address: SocketAddr,
    cloud: Arc<Cloud>,
}

impl Simulator {
    /// Starts it; it serves when this returns.
    ///
    /// # Errors
    /// When the address is taken, the certificate cannot be read, the state folder or the meter cannot be written, or
    /// the process runtime lacks its rights; each says which.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&options.state_dir)
            .with_context(|| format!("--state-dir {}", options.state_dir.display()))?;
        let tls = server::tls(options.tls_cert.as_deref(), options.tls_key.as_deref())?;
        let path = options.meter.clone().unwrap_or_else(|| options.state_dir.join("meter.jsonl"));
        let meter = Meter::open_file(&path, jiff::Timestamp::now())
            .with_context(|| format!("--meter {}", path.display()))?;
        let runtime = runtime(&options).await?;
        let (habits, store) = (habits(options.api), Store::of(generation(options.api), options.history));
        let region = options.region.clone().unwrap_or_else(|| options.api.region().to_owned());
        let cloud = Cloud::new(store, meter, runtime, timing(&options), habits, region);
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("--listen {}", options.listen))?;
        let address = listener.local_addr()?;
        let face = Face::new(&options, &cloud);
        let front = Front::new(cloud.clone(), face, account(&options), variants(&options));
        cloud.tasks.spawn(server::accept(listener, tls, front));
        Ok(Self { address, cloud })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every instance and connection.
    pub async fn stop(self) {
        self.cloud.cancel.cancel();
        self.cloud.tasks.close();
        self.cloud.tasks.wait().await;
        for instance in self.cloud.all() {
            if let Some(sandbox) = instance.sandbox.get() {
                sandbox.teardown().await;
            }
        }
        if let Runtime::Process(runtime) = &self.cloud.runtime {
            runtime.close().await;
        }
    }
}

async fn runtime(options: &Options) -> anyhow::Result<Runtime> {
    match options.runtime {
        RuntimeKind::Script => {
            Ok(Runtime::Script(script::Script::new(Addresses::new(options.subnet), millis(options.start_ms))))
        }
        RuntimeKind::Process => {
            let init = match &options.init {
                Some(init) => init.clone(),
                None => std::env::current_exe().context("the path of this program")?,
            };
            let settings = process::Settings {
                state_dir: options.state_dir.clone(),
                bridge: options.bridge.clone(),
                subnet: options.subnet,
                busybox: options.busybox.clone(),
                images: options.images.clone(),
                init,
            };
            Ok(Runtime::Process(process::Process::new(settings).await.context("--runtime process")?))
        }
    }
}

fn timing(options: &Options) -> Timing {
    Timing {
        schedule: millis(options.schedule_ms),
        delete: millis(options.delete_ms),
        backoff: millis(options.restart_backoff_ms),
        namespace_hold: std::time::Duration::from_secs(options.namespace_hold_seconds),
        network: millis(options.network_ms),
    }
}

fn generation(api: Api) -> Generation {
    if api == Api::Cci2 { Generation::Two } else { Generation::One }
}

fn habits(api: Api) -> Habits {
    match api {
        Api::Cci1 | Api::Cci2 => Habits::CCI,
        Api::Eci | Api::Cube => Habits::PLAIN,
    }
}

fn account(options: &Options) -> auth::Account {
    auth::Account {
        access_key: options.access_key.clone(),
        secret_key: options.secret_key.clone(),
        project_id: options.project_id.clone(),
        token: options.token.clone(),
    }
}

fn variants(options: &Options) -> Variants {
    let exec_protocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"].map(str::to_owned).into();
    Variants { exec_protocols, bookmark_seconds: options.bookmark_seconds.max(1), metrics: true }
}
