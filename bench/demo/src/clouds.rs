//! The clouds of a demo: whose virtual node is whose, what each holds, and what its bill says.

use anyhow::{Context, Result, ensure};
use lab::{CloudApi, Lab, LabOptions, Stack};
use serde_json::Value;

use crate::choice::Choice;

/// One cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cloud {
    Cci,
    Cci2,
    Eci,
    Cube,
    OtherCluster,
}

/// What a cloud holds and has held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Holding {
    pub(crate) open: u64,
    /// Closed entries of the bill and their seconds; another cluster keeps none.
    pub(crate) bill: Option<(u64, f64)>,
}

impl Cloud {
    pub(crate) const fn of(choice: Choice) -> &'static [Self] {
        match choice {
            Choice::Cci => &[Self::Cci],
            Choice::Cci2 => &[Self::Cci2],
            Choice::Eci => &[Self::Eci],
            Choice::Cube => &[Self::Cube],
            Choice::Kubernetes => &[Self::OtherCluster],
            Choice::All => &[Self::Cci, Self::Eci, Self::Cube],
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cci => "CCI",
            Self::Cci2 => "CCI 2.0",
            Self::Eci => "ECI",
            Self::Cube => "Cube",
            Self::OtherCluster => "the other cluster",
        }
    }

    /// How the names of its virtual nodes begin.
    const fn node_prefix(self) -> &'static str {
        match self {
            Self::Cci => "burst-cci-",
            Self::Cci2 => "bursting-node-",
            Self::Eci => "virtual-node-eci-",
            Self::Cube => "uk8s-",
            Self::OtherCluster => "burst-other-",
        }
    }

    /// Whether a pod runs there.
    pub(crate) fn has(self, pod: &Value) -> bool {
        pod["spec"]["nodeName"].as_str().is_some_and(|node| node.starts_with(self.node_prefix()))
    }

    /// Asks the cloud itself.
    pub(crate) async fn holding(self, lab: &Lab, stack: &Stack, other: Option<&Lab>) -> Result<Holding> {
        let meter = match self {
            Self::Cci => stack.cloud_get(lab, "meter").await?,
            Self::Cci2 => stack.beside(CloudApi::Cci2)?.get(lab, "meter").await?,
            Self::Eci => stack.beside(CloudApi::Eci)?.get(lab, "meter").await?,
            Self::Cube => stack.beside(CloudApi::Cube)?.get(lab, "meter").await?,
            Self::OtherCluster => {
                let other = other.context("no other cluster")?;
                let pods = ["get", "pods", "-A", "-l", policies::keys::tag::POD_UID, "-o", "name"];
                let open = other.kubectl(&pods).await?.lines().count() as u64;
                return Ok(Holding { open, bill: None });
            }
        };
        let number = |key: &str| meter[key].as_u64().with_context(|| format!("no {key} in {meter}"));
        let seconds = meter["seconds"].as_f64().with_context(|| format!("no seconds in {meter}"))?;
        Ok(Holding { open: number("open")?, bill: Some((number("closed")?, seconds)) })
    }
}

impl Holding {
    /// The last words on a cloud that holds nothing.
    ///
    /// # Errors
    /// When it holds something, or never did.
    pub(crate) fn ended(self) -> Result<String> {
        let Self { open, bill } = self;
        ensure!(open == 0, "{open} instances are left");
        let Some((closed, seconds)) = bill else { return Ok("0 pods left there".to_owned()) };
        ensure!(closed > 0, "nothing was ever billed");
        Ok(format!("0 instances, bill closed: {closed} instances for {seconds:.1} s in all"))
    }
}

/// Another cluster, with the rights that `deploy/other-cluster` gives.
pub(crate) async fn other_cluster() -> Result<Lab> {
    let name = "demo-other-cluster".to_owned();
    let other = Lab::start(LabOptions { name, beside: true, ..LabOptions::default() }).await?;
    other.add_real_nodes(2, "8", "32Gi", 110).await?;
    let rights = lab::repository_root()?.join("deploy/other-cluster/rbac.yaml");
    other.kubectl(&["apply", "-f", rights.to_str().context("path of the manifests")?]).await?;
    // kwok shows one file as the log of every container, in the form of a CRI log.
    let line = "2026-01-02T03:04:05.000000000Z stdout F line 0 of the other cluster\n";
    std::fs::write(other.dir().join("kwok.log"), line)?;
    Ok(other)
}
