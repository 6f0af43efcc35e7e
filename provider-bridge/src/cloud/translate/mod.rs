//! What every provider does with a pod before it speaks its cloud's language: references, variables, fields, Services'
//! variables, files of volumes.
//!
//! Pure but for [`fetch`]; knows no cloud. What a cloud has in place of ConfigMaps and Secrets is the provider's business.

mod claims;
mod env;
mod expand;
mod fetch;
mod fields;
pub(in crate::cloud) mod json;
mod ports;
mod problem;
pub(in crate::cloud) mod pull_secrets;
mod references;
pub(in crate::cloud) mod service_env;
mod volumes;

pub(in crate::cloud) use claims::{Claims, bound, claim_names};
pub(in crate::cloud) use env::{Environment, Plain, Sources};
pub(in crate::cloud) use fetch::fetch;
pub(in crate::cloud) use fields::{Size, Sizes};
pub(in crate::cloud) use ports::port;
pub(in crate::cloud) use problem::{Kind, Notice, Problem, tell};
pub(in crate::cloud) use references::{References, Resolved, references};
pub(in crate::cloud) use volumes::{
    Rendered, content, downward_file, dropped, is_injected_token, items, keep_keys, mounts,
};
