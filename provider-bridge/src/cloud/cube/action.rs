//! The calls that burst makes to UCloud: their official names, and what they are in messages.

use std::fmt;

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    CreatePod,
    DeletePod,
    GetPod,
    ListPods,
    BindAddress,
    GrantFirewall,
    ExecToken,
    BuyAddress,
    ListAddresses,
    ReleaseAddress,
    Metrics,
}

impl Action {
    /// The parameter `Action`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::CreatePod => "CreateCubePod",
            Self::DeletePod => "DeleteCubePod",
            Self::GetPod => "GetCubePod",
            Self::ListPods => "ListCubePod",
            Self::BindAddress => "BindEIP",
            Self::GrantFirewall => "GrantFirewall",
            Self::ExecToken => "GetCubeExecToken",
            Self::BuyAddress => "AllocateEIP",
            Self::ListAddresses => "DescribeEIP",
            Self::ReleaseAddress => "ReleaseEIP",
            Self::Metrics => "GetCubeMetrics",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::CreatePod => "create Cube pod",
            Self::DeletePod => "delete Cube pod",
            Self::GetPod => "get Cube pod",
            Self::ListPods => "list Cube pods",
            Self::BindAddress => "bind an address to Cube pod",
            Self::GrantFirewall => "set the firewall of Cube pod",
            Self::ExecToken => "open a terminal of Cube pod",
            Self::BuyAddress => "buy an address for Cube pod",
            Self::ListAddresses => "list the addresses for Cube pod",
            Self::ReleaseAddress => "release address",
            Self::Metrics => "read what is used by Cube pod",
        }
    }
}

/// One call, on one object.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) action: Action,
    object: String,
}

impl Operation {
    pub(super) fn new(action: Action, object: impl Into<String>) -> Self {
        Self { action, object: object.into() }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action.words())?;
        if self.object.is_empty() { Ok(()) } else { write!(f, " {}", self.object) }
    }
}
