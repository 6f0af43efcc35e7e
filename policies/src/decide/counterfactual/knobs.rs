//! The smallest setting of several knobs that turns an outcome which only the whole engine can judge.
//!
//! Knobs are monotone: turning one up never undoes what turning another up achieved. Then the search below ends at a
//! setting where every knob is needed and none could be lower by one; and it is judged once more at the end, so that
//! where an engine is not monotone after all, nothing untrue is told.

/// Something that can be turned up from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knob {
    /// Knobs of one group are turned together first: the smallest change is looked for within a group.
    pub group: u8,
    /// The highest setting that makes sense.
    pub most: u64,
}

/// Settings, one per knob, that `turns` accepts: for each group that is enough by itself one, else one for all groups
/// together.
pub fn smallest(knobs: &[Knob], turns: &mut dyn FnMut(&[u64]) -> bool) -> Vec<Vec<u64>> {
    let nothing = vec![0; knobs.len()];
    if turns(&nothing) {
        return vec![];
    }
    let mut groups: Vec<u8> = knobs.iter().map(|knob| knob.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let alone: Vec<_> = groups.iter().filter_map(|group| settle(knobs, &|g| g == *group, turns)).collect();
    if !alone.is_empty() || groups.len() < 2 {
        return alone;
    }
    settle(knobs, &|_| true, turns).into_iter().collect()
}

fn settle(
    knobs: &[Knob],
    with: &dyn Fn(u8) -> bool,
    turns: &mut dyn FnMut(&[u64]) -> bool,
) -> Option<Vec<u64>> {
    let mut setting: Vec<u64> = knobs.iter().map(|k| if with(k.group) { k.most } else { 0 }).collect();
    if !turns(&setting) {
        return None;
    }
    for at in 0..setting.len() {
        lower(&mut setting, at, turns);
    }
    turns(&setting).then_some(setting)
}

/// Lowers one knob as far as the others where they are allow.
fn lower(setting: &mut [u64], at: usize, turns: &mut dyn FnMut(&[u64]) -> bool) {
    let Some(high) = setting.get(at).copied().filter(|high| *high > 0) else { return };
    let mut try_at = |value: u64, setting: &mut [u64]| {
        if let Some(knob) = setting.get_mut(at) {
            *knob = value;
        }
        turns(setting)
    };
    // `no` does not turn, `yes` does. Small answers are the likely ones: the step doubles from below.
    if try_at(0, setting) {
        return;
    }
    let (mut no, mut yes, mut step) = (0_u64, high, 1_u64);
    while no.saturating_add(step) < yes {
        let value = no.saturating_add(step);
        if try_at(value, setting) {
            yes = value;
            break;
        }
        no = value;
        step = step.saturating_mul(2);
    }
    while yes - no > 1 {
        let middle = no + (yes - no) / 2;
        if try_at(middle, setting) {
            yes = middle;
        } else {
            no = middle;
        }
    }
    if let Some(knob) = setting.get_mut(at) {
        *knob = yes;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn knob(group: u8, most: u64) -> Knob {
        Knob { group, most }
    }

    #[test]
    fn a_group_alone_or_all_together() {
        let check = |need: [u64; 3], any: bool, wanted: &[[u64; 3]]| {
            let knobs = [knob(0, 100), knob(0, 100), knob(1, 1_000_000)];
            let mut turns = |s: &[u64]| {
                let met = |at: usize| s[at] >= need[at];
                if any { (met(0) && met(1)) || met(2) } else { met(0) && met(1) && met(2) }
            };
            assert_eq!(smallest(&knobs, &mut turns), wanted, "{need:?}");
        };
        check([3, 0, 7], true, &[[3, 0, 0], [0, 0, 7]]);
        check([3, 2, 777_777], true, &[[3, 2, 0], [0, 0, 777_777]]);
        check([3, 2, 7], false, &[[3, 2, 7]]);
        check([3, 200, 7], false, &[]);
        check([0, 0, 0], false, &[]);
    }

    proptest! {
        #[test]
        fn what_is_found_turns_and_one_less_does_not(
            need in prop::collection::vec((0_u64..5000, 0_u8..3), 1..6),
        ) {
            let knobs: Vec<_> = need.iter().map(|(_, group)| knob(*group, 10_000)).collect();
            let enough = |s: &[u64]| s.iter().zip(&need).all(|(have, (need, _))| have >= need);
            for found in smallest(&knobs, &mut |s| enough(s)) {
                prop_assert!(enough(&found));
                for at in 0..found.len() {
                    let mut less = found.clone();
                    if less[at] > 0 {
                        less[at] -= 1;
                        prop_assert!(!enough(&less), "{found:?} {at}");
                    }
                }
            }
        }
    }
}
