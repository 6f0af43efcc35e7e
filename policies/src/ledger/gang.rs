//! Pods that go together: all of a group on one side, or all wait. Groups are decided in one round, and so in one write.

use std::collections::BTreeMap;

use super::{
    Claim, GrantState, Hold,
    round::{Refusal, Round},
};
use crate::{burst_policy::Side, node::NodeClass, policy::Policy};

/// Pods by group, each group where its first pod stands; a pod without a gang is alone.
pub(super) fn groups<'a>(order: &[&'a Claim]) -> Vec<Vec<&'a Claim>> {
    let mut groups: Vec<Vec<&Claim>> = Vec::new();
    let mut at: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for claim in order {
        let Some(gang) = &claim.gang else {
            groups.push(vec![claim]);
            continue;
        };
        let at = *at.entry((claim.namespace.as_str(), gang.group.as_str())).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(claim),
            None => groups.push(vec![claim]),
        }
    }
    groups
}

impl<'a> Round<'a> {
    /// Decides one group, or lets late members follow the side that was chosen.
    pub(super) fn gang(&mut self, members: &[&'a Claim]) {
        let side = members.iter().find_map(|c| self.side_of(c));
        let size = members.iter().filter_map(|c| c.gang.as_ref()).map(|g| g.size).max().unwrap_or(0);
        if let Some(side) = side {
            for claim in members {
                let refused = match self.ledger.grants.get(&claim.uid) {
                    // What waits for its place on a real node stays with the others.
                    Some(grant) if grant.side == Side::Local => Ok(()),
                    None if claim.node.is_none() => self.follow(claim, side),
                    _ => self.single(claim),
                };
                self.tell(claim, refused);
            }
            return;
        }
        let decided = if members.len() < size as usize {
            Err((Hold::GangIncomplete, None))
        } else {
            self.together(members)
        };
        if let Err(refused) = decided {
            for claim in members {
                self.tell(claim, Err(refused));
            }
        }
    }

    /// The side that a member is on.
    fn side_of(&self, claim: &Claim) -> Option<Side> {
        let bound = claim.node.as_ref().map(|n| match n.class {
            NodeClass::Real => Side::Local,
            NodeClass::Virtual => Side::Cloud,
        });
        let granted = || self.ledger.grants.get(&claim.uid).filter(|g| g.state == GrantState::Open);
        bound.or_else(|| granted().map(|g| g.side))
    }

    /// A member that came later.
    fn follow(&mut self, claim: &Claim, side: Side) -> Result<(), Refusal> {
        match side {
            Side::Cloud => self.burst(claim, false),
            Side::Local if self.local(claim, false) => Ok(()),
            Side::Local => Err((Hold::LocalLimit, None)),
        }
    }

    /// All on real nodes, else all in the cloud, else none.
    fn together(&mut self, members: &[&Claim]) -> Result<(), Refusal> {
        if members.iter().any(|c| self.ledger.grants.contains_key(&c.uid)) {
            return Err((Hold::Closing, None));
        }
        let any = |policy| members.iter().any(|c| c.policy == policy);
        if !any(Policy::Enforce)
            && self
                .all(
                    members,
                    |round, claim| {
                        if round.local(claim, true) { Ok(()) } else { Err((Hold::LocalLimit, None)) }
                    },
                )
                .is_ok()
        {
            return Ok(());
        }
        if any(Policy::Off) {
            return Err((Hold::LocalLimit, None));
        }
        self.all(members, |round, claim| round.burst(claim, false)).map_err(|(hold, until)| match hold {
            Hold::TierLimit | Hold::CloudLimit => (Hold::GangTooLarge, until),
            _ => (hold, until),
        })
    }

    /// Grants every member, or none.
    fn all(
        &mut self,
        members: &[&Claim],
        mut each: impl FnMut(&mut Self, &Claim) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let point = self.checkpoint();
        let uids: Vec<&str> = members.iter().map(|c| c.uid.as_str()).collect();
        for claim in members {
            if let Err(refused) = each(self, claim) {
                self.back_to(point, &uids);
                return Err(refused);
            }
        }
        Ok(())
    }
}
