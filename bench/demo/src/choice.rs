//! Which cloud the demo bursts to: the environment variable `PROVIDER`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use lab::{CloudRuntime, CubeNodes, StackOptions};
use serde_json::{Value, json};

/// What `PROVIDER` may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Cci,
    /// CCI 2.0.
    Cci2,
    Eci,
    Cube,
    Kubernetes,
    /// Three clouds at once, under one policy.
    All,
}

const CHOICES: [Choice; 6] =
    [Choice::Cci, Choice::Cci2, Choice::Eci, Choice::Cube, Choice::Kubernetes, Choice::All];

/// What CCI and ECI may take at once in the demo of three clouds.
pub(crate) const CEILING: usize = 3;

impl Choice {
    /// Reads the variable; CCI if there is none.
    ///
    /// # Errors
    /// For any other word: the text lists the legal ones.
    pub(crate) fn read(text: Option<&str>) -> Result<Self> {
        let wanted = text.map(str::trim).filter(|text| !text.is_empty()).unwrap_or(Self::Cci.word());
        if let Some(choice) = CHOICES.into_iter().find(|choice| choice.word() == wanted) {
            return Ok(choice);
        }
        bail!("PROVIDER={wanted} is not one of {}", CHOICES.map(Self::word).join(", "))
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Cci => "cci",
            Self::Cci2 => "cci2",
            Self::Eci => "eci",
            Self::Cube => "cube",
            Self::Kubernetes => "kubernetes",
            Self::All => "all",
        }
    }

    /// What is started beside burst itself, in words.
    pub(crate) const fn stage(self) -> &'static str {
        match self {
            Self::Cci => "a simulated CCI (every instance a real process tree)",
            Self::Cci2 => "a simulated CCI 2.0 (every instance a real process tree)",
            Self::Eci => "a simulated ECI (every container group a real process tree)",
            Self::Cube => "a simulated Cube (every Cube pod a real process tree)",
            Self::Kubernetes => "a second real control plane with two nodes (kwok plays their kubelets)",
            Self::All => "a simulated CCI, ECI and Cube (every instance a real process tree)",
        }
    }

    /// What makes the Deployment burst, in words.
    pub(crate) fn opening(self) -> String {
        match self {
            Self::All => format!(
                "one BurstPolicy, whose tiers are: local, {CEILING} at Huawei, {CEILING} at Alibaba Cloud, the rest at \
                 UCloud"
            ),
            _ => format!("one label on the Deployment: {}: auto", self.label()),
        }
    }

    /// The label: for CCI that of its vendor's own add-on.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Cci | Self::Cci2 => "burst-to-cci",
            _ => "burst.io/policy",
        }
    }

    /// The policy object in place of the label.
    pub(crate) fn policy(self, namespace: &str) -> Option<Value> {
        let tiers = json!([
            {"name": "own", "side": "Local"},
            {"name": "huawei", "side": "Cloud", "provider": "huawei", "max": {"pods": CEILING}},
            {"name": "alibaba", "side": "Cloud", "provider": "alibabacloud", "max": {"pods": CEILING}},
            {"name": "ucloud", "side": "Cloud", "provider": "ucloud"},
        ]);
        (self == Self::All).then(|| {
            json!({
                "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy",
                "metadata": {"namespace": namespace, "name": "web"},
                "spec": {"policy": "auto", "tiers": tiers},
            })
        })
    }

    /// What Cube asks of every pod: an image of its own registry, and no token of this cluster.
    pub(crate) fn pod(self, spec: &mut Value) {
        if matches!(self, Self::Cube | Self::All) {
            spec["containers"][0]["image"] = json!("uhub.service.ucloud.cn/library/busybox:1");
            spec["automountServiceAccountToken"] = json!(false);
        }
    }

    /// Which virtual nodes there are.
    pub(crate) fn stack(self, other_cluster: Option<PathBuf>) -> StackOptions {
        let one = |choice: Self| usize::from(self == choice || self == Self::All);
        StackOptions {
            runtime: CloudRuntime::Process,
            virtual_nodes: one(Self::Cci),
            cci2_nodes: usize::from(self == Self::Cci2),
            eci_nodes: one(Self::Eci),
            cube_nodes: CubeNodes { count: one(Self::Cube), disabled: false },
            other_cluster,
            ..StackOptions::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_and_others_are_refused_with_the_legal_ones() {
        for choice in CHOICES {
            assert_eq!(Choice::read(Some(choice.word())).ok(), Some(choice));
        }
        assert_eq!(Choice::read(None).ok(), Some(Choice::Cci));
        assert_eq!(Choice::read(Some("")).ok(), Some(Choice::Cci));
        let error = Choice::read(Some("aws")).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "PROVIDER=aws is not one of cci, cci2, eci, cube, kubernetes, all");
    }
}
