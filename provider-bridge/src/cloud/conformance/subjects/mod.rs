//! The providers that are tested, each over the far side that its own tests use.

use std::time::Duration;

use policies::keys::tag;
use secrecy::SecretString;

use super::far::{self, Far};
use super::*;
use crate::cloud::access_keys;

mod cube;
mod eci;
mod kubelike;
mod mock;

pub(super) use cube::cube;
pub(super) use eci::eci;
pub(super) use kubelike::{cci, cci2, kubernetes, kubernetes_in_one_namespace};
pub(super) use mock::mock;
