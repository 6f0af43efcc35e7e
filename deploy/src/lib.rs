//! What a cluster needs to run burst, beside the programs: manifests, a KubeSchedulerConfiguration, a dashboard.
//!
//! The files are the product; this crate only reads them, so that tests can compare them with the code. It holds no
//! product code and nothing depends on it.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of this folder could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not there or not readable.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not YAML.
    #[error("{path}: {source}")]
    Yaml {
        /// The file.
        path: String,
        /// Where and why.
        source: Box<serde_saphyr::Error>,
    },
}

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// This folder.
#[must_use]
pub fn folder() -> PathBuf {
    root().join("deploy")
}

/// The text of a file of this folder.
///
/// # Errors
/// [`FileError::Read`].
pub fn text(file: &str) -> Result<String, FileError> {
    let path = folder().join(file);
    std::fs::read_to_string(&path)
        .map_err(|source| FileError::Read { path: path.display().to_string(), source })
}

/// The documents of a YAML file of this folder, aliases resolved.
///
/// # Errors
/// [`FileError`] with the file and, for YAML, the line.
pub fn documents(file: &str) -> Result<Vec<Value>, FileError> {
    let text = text(file)?;
    serde_saphyr::from_multiple(&text)
        .map_err(|source| FileError::Yaml { path: file.to_owned(), source: Box::new(source) })
}

/// Names of the files in a sub-folder that end in `extension`, as `manifests/rbac.yaml`, in order.
///
/// # Errors
/// [`FileError::Read`].
pub fn files(sub_folder: &str, extension: &str) -> Result<Vec<String>, FileError> {
    let path = folder().join(sub_folder);
    let read = |source| FileError::Read { path: path.display().to_string(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&path).map_err(read)? {
        let name = entry.map_err(read)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(extension) {
            names.push(format!("{sub_folder}/{name}"));
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    mod admission;
    mod crds;
    mod dashboards;
    mod docs;
    mod features;
    mod manifests;
    mod named;
    mod rbac;
    mod scheduler;
    mod vendors;
    mod webhooks;
}
