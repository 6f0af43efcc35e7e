//! The four policies by name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a workload asks of burst (DESIGN 4.2).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, Default,
)]
pub enum Policy {
    /// Never on a virtual node.
    #[default]
    #[serde(rename = "off")]
    Off,
    /// The scheduler's total score decides, leaning to real nodes.
    #[serde(rename = "auto")]
    Auto,
    /// A virtual node only if no real node is feasible now.
    #[serde(rename = "localPrefer")]
    LocalPrefer,
    /// Only on a virtual node.
    #[serde(rename = "enforce")]
    Enforce,
}

impl Policy {
    /// Every policy, in the order in which messages list them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::LocalPrefer, Self::Enforce, Self::Off];

    /// The label value that names this policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Auto => "auto",
            Self::LocalPrefer => "localPrefer",
            Self::Enforce => "enforce",
        }
    }

    /// Reads a label value; values are case-sensitive, as label values are.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == value)
    }
}
