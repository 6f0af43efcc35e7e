//! Settings of provider `eci`, and the environment variables under which the vendor's chart has them.
//!
//! `ECI_REGION`, `ECI_VSWITCH`, `ECI_SECURITY_GROUP`, `ECI_KUBE_PROXY`, `ALIYUN_CLUSTERID`, `ALIYUN_RESOURCEGROUP_ID`,
//! `ECI_ACCESS_KEY` and `ECI_SECRET_KEY` fill in what the file does not say, so that an installation of the vendor's own
//! virtual node can be moved. Facts: the vendor's manual of its virtual node's chart.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

/// Alibaba ECI account, place and network.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EciConfig {
    /// Region (`cn-hangzhou`), also the node's region label.
    pub region: Option<String>,
    /// Base URL; the region's own endpoint if absent.
    pub endpoint: Option<String>,
    /// vSwitches to try, in their order: a list, or one text with commas between.
    pub v_switches: Listed,
    /// Security group of the instances.
    pub security_group: Option<String>,
    /// Resource group; the account's default if absent.
    pub resource_group: Option<String>,
    /// Cluster id in the tags; the UID of the kube-system namespace if absent.
    pub cluster_id: Option<String>,
    /// Zone to name beside the vSwitch.
    pub available_zone: Option<String>,
    /// Pods may reach this cluster's Services: on unless it says `false`.
    pub kube_proxy: Option<bool>,
    /// Address of this cluster's DNS.
    pub cluster_dns: Option<String>,
    /// Domain of this cluster.
    pub cluster_domain: Option<String>,
    /// File with the AccessKey id.
    pub access_key_file: Option<PathBuf>,
    /// File with the AccessKey secret.
    pub secret_key_file: Option<PathBuf>,
    /// File with the security token of temporary keys.
    pub security_token_file: Option<PathBuf>,
    /// File with temporary keys as STS answers them (JSON), in place of the three.
    pub sts_file: Option<PathBuf>,
    /// CA bundle of the endpoint, PEM; the system's roots if absent.
    pub ca_file: Option<PathBuf>,
    /// `acs3`, or `rpc` for gateways that know only the older signature.
    pub signature: SignatureConfig,
    /// Calls per minute that the vendor agreed to, by action, where they are not the published ones.
    pub calls_per_minute: BTreeMap<String, u32>,
    /// Time between two looks for changes while nothing is under way (`3s`).
    pub poll: Option<String>,
    /// Keys from the environment.
    #[serde(skip)]
    pub keys: Option<(String, SecretString, Option<SecretString>)>,
}

/// How requests are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureConfig {
    /// `ACS3-HMAC-SHA256`.
    #[default]
    Acs3,
    /// RPC `HMAC-SHA1`.
    Rpc,
}

/// Several texts: a list, or one text with commas between; blanks around them do not count.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Listed {
    /// `[a, b]`.
    List(Vec<String>),
    /// `a, b`.
    Text(String),
}

impl Default for Listed {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Listed {
    /// The texts.
    pub fn items(&self) -> Vec<String> {
        let texts: Vec<&str> = match self {
            Self::List(list) => list.iter().flat_map(|text| text.split(',')).collect(),
            Self::Text(text) => text.split(',').collect(),
        };
        texts.into_iter().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
    }
}

/// Key and reason of the first problem.
type Problem = (&'static str, String);

const VSWITCHES_MAX: usize = 10;
const DEFAULT_POLL: Duration = Duration::from_secs(3);

impl EciConfig {
    /// Fills in what the file does not say.
    pub(super) fn fill(&mut self, env: impl Fn(&str) -> Option<String>) -> Result<(), Problem> {
        let get = |name: &str| env(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let texts = [
            (&mut self.region, "ECI_REGION"),
            (&mut self.security_group, "ECI_SECURITY_GROUP"),
            (&mut self.resource_group, "ALIYUN_RESOURCEGROUP_ID"),
            (&mut self.cluster_id, "ALIYUN_CLUSTERID"),
        ];
        for (field, variable) in texts {
            *field = field.take().or_else(|| get(variable));
        }
        if self.v_switches.items().is_empty()
            && let Some(text) = get("ECI_VSWITCH")
        {
            self.v_switches = Listed::Text(text);
        }
        if let (None, Some(text)) = (self.kube_proxy, get("ECI_KUBE_PROXY")) {
            self.kube_proxy = Some(match text.to_ascii_lowercase().as_str() {
                "true" => true,
                "false" => false,
                _ => return Err(("kubeProxy", format!("ECI_KUBE_PROXY is {text:?}; write true or false"))),
            });
        }
        if self.files() == 0
            && let (Some(access), Some(secret)) = (get("ECI_ACCESS_KEY"), get("ECI_SECRET_KEY"))
        {
            self.keys = Some((access, secret.into(), get("ECI_SECURITY_TOKEN").map(SecretString::from)));
        }
        Ok(())
    }

    fn files(&self) -> usize {
        let pair = self.access_key_file.is_some() || self.secret_key_file.is_some();
        usize::from(pair) + usize::from(self.sts_file.is_some())
    }

    /// Time between two looks.
    pub(crate) fn poll(&self) -> Result<Duration, Problem> {
        let Some(text) = &self.poll else { return Ok(DEFAULT_POLL) };
        let read = text.parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
        read.filter(|poll| (Duration::from_millis(100)..=Duration::from_secs(60)).contains(poll))
            .ok_or_else(|| ("poll", format!("{text:?} is not a time of 100ms to 60s; write for example 3s")))
    }

    /// What is missing or contradicts itself.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let refuse = |key, text: String| Err((key, text));
        if self.region.as_deref().unwrap_or_default().is_empty() {
            return refuse(
                "region",
                "is missing; write for example cn-hangzhou, or set ECI_REGION".to_owned(),
            );
        }
        match self.v_switches.items().len() {
            0 => {
                let text = "is empty; name at least one vSwitch, or set ECI_VSWITCH";
                return refuse("vSwitches", text.to_owned());
            }
            n if n > VSWITCHES_MAX => {
                return refuse("vSwitches", format!("has {n} entries; ECI takes at most {VSWITCHES_MAX}"));
            }
            _ => {}
        }
        if self.security_group.as_deref().unwrap_or_default().is_empty() {
            let text = "is missing; name the security group of the instances, or set ECI_SECURITY_GROUP";
            return refuse("securityGroup", text.to_owned());
        }
        if let Some(dns) = self.cluster_dns.as_deref()
            && dns.parse::<std::net::IpAddr>().is_err()
        {
            return refuse("clusterDns", format!("{dns:?} is not an address; write that of the DNS Service"));
        }
        if let Some((action, _)) = self.calls_per_minute.iter().find(|(_, limit)| **limit == 0) {
            let text = format!("{action}: 0 would stop all work; write at least 1");
            return refuse("callsPerMinute", text);
        }
        self.poll()?;
        self.check_keys()
    }

    fn check_keys(&self) -> Result<(), Problem> {
        let refuse = |key, text: &str| Err((key, text.to_owned()));
        match (&self.access_key_file, &self.secret_key_file, &self.sts_file) {
            (Some(_), Some(_), None) => Ok(()),
            (None, None, Some(_)) if self.security_token_file.is_some() => refuse(
                "securityTokenFile",
                "contradicts stsFile, which holds the token; remove one of the two",
            ),
            (None, None, Some(_)) => Ok(()),
            (Some(_), None, None) => refuse("secretKeyFile", "is missing beside accessKeyFile; set both"),
            (None, Some(_), None) => refuse("accessKeyFile", "is missing beside secretKeyFile; set both"),
            (None, None, None) if self.keys.is_some() => Ok(()),
            (None, None, None) => refuse(
                "accessKeyFile",
                "is missing; set accessKeyFile and secretKeyFile, or stsFile, or ECI_ACCESS_KEY and ECI_SECRET_KEY",
            ),
            (_, _, Some(_)) => refuse("stsFile", "contradicts accessKeyFile; remove one of the two"),
        }
    }
}
