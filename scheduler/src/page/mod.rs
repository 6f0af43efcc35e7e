//! The capacity page: real against virtual capacity and use, burst pods and why they went where they are.
//!
//! Three embedded files, no build step and nothing from anywhere else; the page only shows what `/api/capacity` says.

mod capacity;
mod overview;

pub use overview::{Overview, Picture};

pub use capacity::{BurstPodRow, Cache, Capacity, Class, Classes, Node, PolicyRow, Use, capacity};

/// The page.
pub const INDEX: &str = include_str!("index.html");
/// Its style.
pub const STYLE: &str = include_str!("app.css");
/// Its script.
pub const SCRIPT: &str = include_str!("app.js");
