//! Exact sums that can be taken back: wide integers, so that an absurd request never saturates a node's sum for ever.

use policies::policy::Policy;
use policies::resources::Resources;

/// What a set of pods asks for, and how many of them there are per policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    cpu_milli: u128,
    memory_bytes: u128,
    ephemeral_storage_bytes: u128,
    gpu: u128,
    pods: u32,
    policies: [u32; 4],
}

impl Sum {
    pub(super) fn add(&mut self, requests: Resources, policy: Option<Policy>) {
        self.cpu_milli += u128::from(requests.cpu_milli);
        self.memory_bytes += u128::from(requests.memory_bytes);
        self.ephemeral_storage_bytes += u128::from(requests.ephemeral_storage_bytes);
        self.gpu += u128::from(requests.gpu);
        self.pods += 1;
        if let Some(count) = self.count(policy) {
            *count += 1;
        }
    }

    pub(super) fn remove(&mut self, requests: Resources, policy: Option<Policy>) {
        self.cpu_milli = self.cpu_milli.saturating_sub(requests.cpu_milli.into());
        self.memory_bytes = self.memory_bytes.saturating_sub(requests.memory_bytes.into());
        let ephemeral = requests.ephemeral_storage_bytes.into();
        self.ephemeral_storage_bytes = self.ephemeral_storage_bytes.saturating_sub(ephemeral);
        self.gpu = self.gpu.saturating_sub(requests.gpu.into());
        self.pods = self.pods.saturating_sub(1);
        if let Some(count) = self.count(policy) {
            *count = count.saturating_sub(1);
        }
    }

    pub(super) fn total(&self) -> Resources {
        let clamp = |value: u128| u64::try_from(value).unwrap_or(u64::MAX);
        Resources {
            cpu_milli: clamp(self.cpu_milli),
            memory_bytes: clamp(self.memory_bytes),
            ephemeral_storage_bytes: clamp(self.ephemeral_storage_bytes),
            gpu: clamp(self.gpu),
            pods: self.pods.into(),
        }
    }

    pub(super) const fn pods(&self) -> u32 {
        self.pods
    }

    /// Counts per policy, in the order of [`Policy::ALL`].
    pub(super) const fn policies(&self) -> [u32; 4] {
        self.policies
    }

    fn count(&mut self, policy: Option<Policy>) -> Option<&mut u32> {
        let policy = policy?;
        self.policies.iter_mut().zip(Policy::ALL).find(|(_, p)| *p == policy).map(|(count, _)| count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absurd_request_can_be_taken_back() {
        let absurd =
            Resources { cpu_milli: u64::MAX, memory_bytes: u64::MAX, pods: 1, ..Resources::default() };
        let small = Resources { cpu_milli: 5, pods: 1, ..Resources::default() };
        let mut sum = Sum::default();
        sum.add(absurd, None);
        sum.add(absurd, Some(Policy::Auto));
        sum.add(small, Some(Policy::Auto));
        assert_eq!((sum.total().cpu_milli, sum.total().pods), (u64::MAX, 3));
        sum.remove(absurd, Some(Policy::Auto));
        sum.remove(absurd, None);
        assert_eq!(sum.total(), small);
        assert_eq!(sum.policies(), [1, 0, 0, 0]);
    }
}
