//! Addresses of instances: one subnet, the first host address is the gateway, freed addresses are reused last.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// An IPv4 subnet, `198.18.64.0/18`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    base: u32,
    /// Prefix length, 8 to 29.
    pub prefix: u8,
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is not an IPv4 subnet such as 198.18.64.0/18 (prefix 8 to 29)");
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        if !(8..=29).contains(&prefix) || u32::from(address) & (u32::MAX >> prefix) != 0 {
            return Err(wrong());
        }
        Ok(Self { base: u32::from(address), prefix })
    }
}

impl Subnet {
    /// The first host address, which the bridge has.
    #[must_use]
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from(self.base + 1)
    }

    /// How many addresses instances can have.
    fn size(self) -> u32 {
        (u32::MAX >> self.prefix) - 2
    }
}

/// The addresses of a subnet, given out round robin.
#[derive(Debug)]
pub(crate) struct Addresses {
    pub(crate) subnet: Subnet,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u32,
    taken: HashSet<u32>,
}

impl Addresses {
    /// All of a subnet's addresses.
    pub(crate) fn new(subnet: Subnet) -> Self {
        Self { subnet, inner: Mutex::default() }
    }

    /// A free address, or `None` when all are taken.
    pub(crate) fn take(&self) -> Option<Ipv4Addr> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let size = self.subnet.size();
        let start = inner.next;
        let free = (0..size).map(|step| (start + step) % size).find(|n| !inner.taken.contains(n))?;
        inner.taken.insert(free);
        inner.next = (free + 1) % size;
        Some(Ipv4Addr::from(self.subnet.base + 2 + free))
    }

    /// This address, or any other if it is taken or none of these.
    pub(crate) fn take_or_any(&self, wanted: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let number = wanted.map(|address| u32::from(address).wrapping_sub(self.subnet.base + 2));
        if let Some(number) = number.filter(|number| *number < self.subnet.size()) {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            if inner.taken.insert(number) {
                return wanted;
            }
        }
        self.take()
    }

    /// Frees an address.
    pub(crate) fn give_back(&self, address: Ipv4Addr) {
        let number = u32::from(address).wrapping_sub(self.subnet.base + 2);
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).taken.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_used_up_and_reused_last() {
        let subnet: Subnet = "198.18.64.0/29".parse().expect("a subnet");
        assert_eq!(subnet.gateway(), Ipv4Addr::new(198, 18, 64, 1));
        let addresses = Addresses::new(subnet);
        let all: Vec<_> = std::iter::from_fn(|| addresses.take()).collect();
        assert_eq!(all.len(), 5, "{all:?}");
        assert_eq!(
            all.last(),
            Some(&Ipv4Addr::new(198, 18, 64, 6)),
            "the broadcast address is not given out"
        );
        addresses.give_back(all[3]);
        assert_eq!(addresses.take(), Some(all[3]));
        assert_eq!(addresses.take(), None);
    }

    #[test]
    fn wrong_subnets_are_refused() {
        for text in ["198.18.64.1/18", "198.18.64.0", "198.18.64.0/33", "x/8", "198.18.64.0/30"] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }
}
