//! The calls that burst makes to ECI: their official names, what they are in messages, and how many a minute the vendor
//! allows.

use std::fmt;

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    CreateGroup,
    DeleteGroup,
    DescribeGroups,
    DescribeStatus,
    DescribeLog,
    Exec,
    DescribeRegions,
    DescribeMetrics,
}

/// All of them, in the order of [`Action::index`].
pub(super) const ALL: [Action; 8] = [
    Action::CreateGroup,
    Action::DeleteGroup,
    Action::DescribeGroups,
    Action::DescribeStatus,
    Action::DescribeLog,
    Action::Exec,
    Action::DescribeRegions,
    Action::DescribeMetrics,
];

impl Action {
    /// Value of `x-acs-action`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::CreateGroup => "CreateContainerGroup",
            Self::DeleteGroup => "DeleteContainerGroup",
            Self::DescribeGroups => "DescribeContainerGroups",
            Self::DescribeStatus => "DescribeContainerGroupStatus",
            Self::DescribeLog => "DescribeContainerLog",
            Self::Exec => "ExecContainerCommand",
            Self::DescribeRegions => "DescribeRegions",
            Self::DescribeMetrics => "DescribeMultiContainerGroupMetric",
        }
    }

    /// Calls per minute and account, as published; where nothing is published, as the least of its kin.
    pub(super) const fn per_minute(self) -> u32 {
        match self {
            Self::CreateGroup | Self::DeleteGroup => 1000,
            Self::DescribeGroups => 2000,
            Self::DescribeStatus | Self::DescribeLog | Self::Exec | Self::DescribeMetrics => 500,
            Self::DescribeRegions => 100,
        }
    }

    /// Its place in [`ALL`].
    pub(super) const fn index(self) -> usize {
        self as usize
    }

    const fn words(self) -> &'static str {
        match self {
            Self::CreateGroup => "create container group",
            Self::DeleteGroup => "delete container group",
            Self::DescribeGroups => "describe container groups",
            Self::DescribeStatus => "list the status of container groups",
            Self::DescribeLog => "read the log of container group",
            Self::Exec => "exec in container group",
            Self::DescribeRegions => "describe regions",
            Self::DescribeMetrics => "read what container groups use",
        }
    }
}

/// One call, on one object.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) action: Action,
    pub(super) object: String,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_its_place() {
        for (at, action) in ALL.into_iter().enumerate() {
            assert_eq!(action.index(), at, "{action:?}");
        }
    }
}
