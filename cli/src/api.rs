//! Reads of the API server as plain JSON. A kind that is not served has no objects; anything else that fails is told
//! with the path that was asked.

use std::path::Path;

use anyhow::{Context, Result, bail};
use http::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

/// Objects per page of a list.
const PAGE: u32 = 500;

/// Which cluster, and who asks.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Cluster {
    /// Kubeconfig of the cluster; $KUBECONFIG or ~/.kube/config if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<std::path::PathBuf>,
    /// Context of the kubeconfig; its current one if not given
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Namespace that burst runs in, with its ledgers
    #[arg(long, value_name = "NAMESPACE", default_value = "burst-system")]
    pub(crate) burst_namespace: String,
}

/// The API server.
pub(crate) struct Api {
    client: Client,
    server: String,
    /// Namespace of the context.
    pub(crate) namespace: String,
}

impl Api {
    pub(crate) async fn connect(cluster: &Cluster) -> Result<Self> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut config = config(cluster).await?;
        config.proxy_url = None;
        let (server, namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
        let client = Client::try_from(config).context("preparing the client of the API server")?;
        Ok(Self { client, server, namespace })
    }

    #[cfg(test)]
    pub(crate) fn over(client: Client) -> Self {
        Self { client, server: "a test".to_owned(), namespace: "default".to_owned() }
    }

    /// An object; none if there is none.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Value>> {
        let request = Request::get(path).body(Vec::new()).context("a request")?;
        match self.client.request::<Value>(request).await {
            Ok(value) => Ok(Some(value)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(kube::Error::Api(status)) => bail!("{path} of {}: {}", self.server, status.message),
            Err(error) => Err(error).with_context(|| format!("{path} of {}", self.server)),
        }
    }

    /// All objects of a list, page by page, each handed to `take`.
    pub(crate) async fn each(&self, path: &str, mut take: impl FnMut(Value)) -> Result<()> {
        let mut token = String::new();
        let join = if path.contains('?') { '&' } else { '?' };
        loop {
            let more = if token.is_empty() { String::new() } else { format!("&continue={token}") };
            let Some(mut page) = self.get(&format!("{path}{join}limit={PAGE}{more}")).await? else {
                return Ok(());
            };
            if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
                items.into_iter().for_each(&mut take);
            }
            token = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned();
            if token.is_empty() {
                return Ok(());
            }
        }
    }

    /// All objects of a list.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        self.each(path, |object| all.push(object)).await?;
        Ok(all)
    }
}

async fn config(cluster: &Cluster) -> Result<Config> {
    let options = KubeConfigOptions { context: cluster.context.clone(), ..KubeConfigOptions::default() };
    let file = |path: &Path| {
        Kubeconfig::read_from(path).with_context(|| format!("reading kubeconfig {}", path.display()))
    };
    match (&cluster.kubeconfig, &cluster.context) {
        (Some(path), _) => Config::from_custom_kubeconfig(file(path)?, &options)
            .await
            .with_context(|| format!("kubeconfig {}", path.display())),
        (None, Some(_)) => Config::from_kubeconfig(&options).await.context("the kubeconfig's context"),
        (None, None) => Config::infer().await.context("finding a kubeconfig; name one with --kubeconfig"),
    }
}

/// Text at a JSON pointer; empty if there is none.
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
