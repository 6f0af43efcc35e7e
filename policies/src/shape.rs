//! Sizes that a cloud sells, and how a pod's asks are rounded up to one of them.
//!
//! One implementation for admission, scheduling, creation, price and the page. It must never make a container
//! smaller than what was asked for.

pub mod cci;
