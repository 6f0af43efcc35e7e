//! What `container-init` is told: one file per incarnation of a container.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A container's process and its surroundings.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct InitSpec {
    /// Root file system of the image, never written to.
    pub(super) lower: PathBuf,
    /// An empty folder to mount the writable layer on.
    pub(super) scratch: PathBuf,
    /// Where the supervisor writes how it ended.
    pub(super) ended: PathBuf,
    /// Written when the program is about to be started inside.
    pub(super) ready: PathBuf,
    pub(super) hostname: String,
    /// Files written into the root before anything else: path and contents.
    pub(super) files: Vec<(String, String)>,
    pub(super) binds: Vec<Bind>,
    pub(super) read_only_root: bool,
    pub(super) argv: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) cwd: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Where the container may leave its last words.
    pub(super) termination_path: String,
}

/// How the program ended, as the supervisor saw it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
}

/// A folder or file of the machine, seen inside.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Bind {
    pub(super) source: PathBuf,
    pub(super) target: String,
    pub(super) read_only: bool,
}
