//! What clouds with a Kubernetes-style API have in common: pods as instances, tags as labels, watch, logs, exec.
//!
//! A provider adds who calls ([`Account`]), where ([`Scope`]) and how a pod looks there ([`Rules`]). Holds no pod state.

mod api;
mod call;
mod claims;
mod client;
mod companions;
mod copies;
mod create;
mod exec;
mod forge;
mod forward;
mod lines;
mod logs;
mod names;
mod operation;
mod refusal;
mod socket;
mod status;
#[cfg(test)]
pub(in crate::cloud) mod testing;
mod usage;
mod volumes;
mod warnings;
mod watch;
mod wire;

pub(in crate::cloud) use api::{Api, Dialect, Scope};
pub(in crate::cloud) use call::Call;
pub(in crate::cloud) use claims::{Removal, SharedClaim, clear as clear_claims};
pub(in crate::cloud) use client::{Account, Client, Endpoint, Signed, header_value};
pub(in crate::cloud) use create::{create, delete};
pub(in crate::cloud) use exec::{Session as ExecSession, attach as open_attach, open as open_exec};
pub(in crate::cloud) use forge::{Context, Fields, Forged, Rules, forge};
pub(in crate::cloud) use forward::open as open_port;
pub(in crate::cloud) use logs::open as open_log;
pub(in crate::cloud) use names::short_hash;
#[cfg(test)]
pub(in crate::cloud) use names::{instance as instance_name, parse_id};
pub(in crate::cloud) use operation::{Operation, Verb};
pub(in crate::cloud) use refusal::{Answer, Refusal};
pub(in crate::cloud) use usage::read as read_usage;
pub(in crate::cloud) use warnings::start as start_warnings;
pub(in crate::cloud) use watch::start as start_watch;
pub(in crate::cloud) use wire::{Named, Page};
