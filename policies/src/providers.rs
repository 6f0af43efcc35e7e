//! The providers of which something is known: one entry each, and nothing else in burst asks for a provider by name.
//!
//! A provider is named by the value of its taint. Where none is known by that name, a pod is neither refused nor rounded.

use crate::{
    keys,
    shape::{self, Rules},
    support::{self, Row, annotations::Annotation},
};

/// What is known of one provider.
#[derive(Clone, Copy)]
pub struct Known {
    /// Value of the taint on its virtual nodes.
    pub taint: &'static str,
    /// Its name in the manual.
    pub name: &'static str,
    /// Its support matrix.
    pub table: &'static [Row],
    /// The pod annotations that it passes through, and what may stand in them.
    pub annotations: &'static [Annotation],
    /// How it sizes pods; none where every size is taken as it is.
    pub shape: Option<Rules>,
    /// What it cannot run besides where network interop is on ([`keys::NETWORK_INTEROP`]).
    pub interop: &'static [Row],
}

/// All of them.
pub const ALL: [Known; 6] = [
    Known {
        taint: support::HUAWEI,
        name: "cci",
        table: support::cci::TABLE,
        annotations: &[],
        shape: Some(shape::cci::RULES),
        interop: support::INTEROP,
    },
    Known {
        taint: support::HUAWEI_2,
        name: "cci2",
        table: support::cci2::TABLE,
        annotations: support::cci2::ANNOTATIONS,
        shape: Some(shape::cci2::RULES),
        interop: support::INTEROP,
    },
    Known {
        taint: keys::PROVIDER_ALIBABA,
        name: "eci",
        table: support::eci::TABLE,
        annotations: support::eci::ANNOTATIONS,
        shape: Some(shape::eci::RULES),
        interop: &[],
    },
    Known {
        taint: support::KUBERNETES,
        name: "kubernetes",
        table: support::kubernetes::TABLE,
        annotations: &[],
        shape: None,
        interop: &[],
    },
    Known {
        taint: keys::PROVIDER_UCLOUD,
        name: "cube",
        table: support::cube::TABLE,
        annotations: support::cube::ANNOTATIONS,
        shape: Some(shape::cube::RULES),
        interop: &[],
    },
    Known {
        taint: support::MOCK,
        name: "mock",
        table: support::mock::TABLE,
        annotations: &[],
        shape: None,
        interop: &[],
    },
];

/// Its place in [`ALL`].
pub fn position(provider: &str) -> Option<usize> {
    ALL.iter().position(|known| known.taint == provider)
}

/// What is known of a provider.
pub fn of(provider: &str) -> Option<&'static Known> {
    const KNOWN: &[Known] = &ALL;
    KNOWN.get(position(provider)?)
}

/// How a provider sizes pods, if it does.
pub fn shape(provider: &str) -> Option<Rules> {
    of(provider)?.shape
}

/// Whether a pod without a CPU request has no size at this provider.
pub fn needs_cpu(provider: &str) -> bool {
    shape(provider).is_some_and(|rules| rules.needs_cpu)
}
