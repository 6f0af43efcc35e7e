//! What the operator decides about one CCI account, checked before anything is sent.
//!
//! Facts: Huawei's manual "virtual-kubelet" (one namespace per cluster; the subnet must not overlap the Service network
//! of CCI namespaces).

use policies::support;

use crate::cloud::CloudError;

use super::credentials::Credentials;
use super::interop::InteropSettings;

/// Which CCI: they have other paths, sizes, networks and namespaces, and do not see each other's pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generation {
    /// CCI 1.0.
    #[default]
    One,
    /// CCI 2.0.
    Two,
}

impl Generation {
    /// As the vendor writes it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::One => "1.0",
            Self::Two => "2.0",
        }
    }

    /// Path before `namespaces`.
    pub(super) const fn root(self) -> &'static str {
        match self {
            Self::One => "/api/v1",
            Self::Two => "/apis/cci/v2",
        }
    }

    /// `apiVersion` of pods and what they refer to.
    pub(super) const fn api_version(self) -> &'static str {
        match self {
            Self::One => "v1",
            Self::Two => "cci/v2",
        }
    }

    /// Value of the provider taint.
    pub(super) const fn taint(self) -> &'static str {
        match self {
            Self::One => support::HUAWEI,
            Self::Two => support::HUAWEI_2,
        }
    }
}

/// Everything a [`super::CciProvider`] needs to know. Secrets live in [`Credentials`] only.
#[derive(Clone, Debug)]
pub struct CciSettings {
    /// Which CCI.
    pub generation: Generation,
    /// UID of the cluster's kube-system namespace: part of the CCI namespace's name and a tag on every instance.
    pub cluster_id: String,
    /// The virtual nodes whose instances this provider serves.
    pub node_names: Vec<String>,
    /// Scheme, host and port of the API, for example `https://cci.cn-north-4.myhuaweicloud.com`.
    pub endpoint: String,
    /// Region, for messages.
    pub region: String,
    /// Project id: header `X-Project-Id` and an annotation of the Network.
    pub project_id: String,
    /// Domain (account) id: an annotation of the Network.
    pub domain_id: String,
    /// Access key and secret key.
    pub credentials: Credentials,
    /// Certificates to trust instead of the system's, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// `spec.availableZone` of the Network of 1.0; empty leaves the choice to CCI. 2.0 has the zone of the subnet.
    pub availability_zone: String,
    /// The VPC that instances are attached to.
    pub network: NetworkSettings,
    /// What reaches the cluster's Services from inside instances; none if they are not reached.
    pub interop: Option<InteropSettings>,
}

/// Where instances get their addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSettings {
    /// `spec.attachedVPC`; 1.0 only.
    pub vpc_id: String,
    /// `spec.networkID` (Neutron network); 1.0 only.
    pub network_id: String,
    /// `spec.subnetID` (Neutron subnet), or the first of `spec.subnets`.
    pub subnet_id: String,
    /// The other ones of `spec.subnets`; 2.0 only.
    pub more_subnets: Vec<String>,
    /// `spec.cidr`, for example `192.168.0.0/18`; at 2.0 only checked.
    pub cidr: String,
    /// Annotation `network.alpha.kubernetes.io/default-security-group`, or `spec.securityGroups`.
    pub security_group_id: String,
}

impl CciSettings {
    /// The namespace that holds every instance of a cluster, as Huawei's own add-on names it.
    pub(super) fn namespace(&self) -> String {
        match self.generation {
            Generation::One => format!("cce-burst-{}", self.cluster_id),
            Generation::Two => format!("bursting-{}", self.cluster_id),
        }
    }
}

/// The Service network inside every CCI namespace.
const SERVICE_NETWORK: (u32, u32) = (0x0AF7_0000, 16);

/// Refuses settings that can never work, in words.
pub(super) fn check(settings: &CciSettings) -> Result<(), CloudError> {
    let both = [
        ("clusterId", &settings.cluster_id),
        ("endpoint", &settings.endpoint),
        ("projectId", &settings.project_id),
        ("network.subnetId", &settings.network.subnet_id),
    ];
    let first = [
        ("network.vpcId", &settings.network.vpc_id),
        ("network.networkId", &settings.network.network_id),
        ("network.cidr", &settings.network.cidr),
    ];
    let own = match settings.generation {
        Generation::One => &first[..],
        Generation::Two => &[("domainId", &settings.domain_id)],
    };
    if let Some((name, _)) = both.iter().chain(own).find(|(_, value)| value.is_empty()) {
        return Err(CloudError::Invalid(format!("the CCI settings lack {name}")));
    }
    if settings.network.cidr.is_empty() { Ok(()) } else { check_cidr(&settings.network.cidr) }
}

/// CCI namespaces use 10.247.0.0/16 for Services: an overlapping subnet breaks every instance's network.
fn check_cidr(cidr: &str) -> Result<(), CloudError> {
    let (address, length) = parse_cidr(cidr)
        .ok_or_else(|| CloudError::Invalid(format!("network.cidr {cidr:?} is not an IPv4 range")))?;
    let shorter = length.min(SERVICE_NETWORK.1);
    let mask = u32::MAX.checked_shl(32 - shorter).unwrap_or(0);
    if address & mask == SERVICE_NETWORK.0 & mask {
        return Err(CloudError::Invalid(format!(
            "the subnet {cidr} overlaps 10.247.0.0/16, which CCI uses for the Services of its namespaces; choose another subnet"
        )));
    }
    Ok(())
}

fn parse_cidr(cidr: &str) -> Option<(u32, u32)> {
    let (address, length) = cidr.split_once('/')?;
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    let length: u32 = length.parse().ok().filter(|length| *length <= 32)?;
    Some((address.into(), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_that_overlap_the_service_network_are_refused() {
        let cases = [
            ("192.168.0.0/18", true),
            ("10.246.0.0/16", true),
            ("10.248.0.0/16", true),
            ("10.247.0.0/16", false),
            ("10.247.3.0/24", false),
            ("10.0.0.0/8", false),
            ("10.240.0.0/12", false),
            ("0.0.0.0/0", false),
            ("10.247.255.255/32", false),
            ("10.247.0.0", false),
            ("fd00::/8", false),
            ("10.1.0.0/33", false),
        ];
        for (cidr, allowed) in cases {
            assert_eq!(check_cidr(cidr).is_ok(), allowed, "{cidr}");
        }
    }

    #[test]
    fn the_refusal_names_both_ranges() {
        let text = check_cidr("10.247.8.0/24").map_err(|e| e.to_string()).unwrap_err();
        assert!(text.contains("10.247.8.0/24 overlaps 10.247.0.0/16"), "{text}");
    }
}
