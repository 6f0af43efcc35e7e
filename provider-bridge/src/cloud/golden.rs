//! Golden files of the tests: every `testdata/<set>/<case>.in.json` has a `<case>.out.json` beside it.
//!
//! Refresh them all with `BURST_REFRESH_GOLDEN=1 cargo test --workspace goldens` and read the diff before committing it.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Runs `run` over every input of a module's set and compares with, or rewrites, the expected outputs.
pub(in crate::cloud) fn check(module: &str, set: &str, run: impl Fn(&Value) -> Value) {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cloud").join(module).join("testdata").join(set);
    let refresh = std::env::var_os("BURST_REFRESH_GOLDEN").is_some();
    let inputs = inputs(&folder);
    assert!(!inputs.is_empty(), "no cases in {}", folder.display());
    for input in inputs {
        let text = std::fs::read_to_string(&input).unwrap();
        let parsed: Value =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", input.display()));
        let actual = format!("{}\n", serde_json::to_string_pretty(&run(&parsed)).unwrap());
        let output = PathBuf::from(input.to_str().unwrap().replace(".in.json", ".out.json"));
        if refresh {
            std::fs::write(&output, actual).unwrap();
        } else {
            let expected = std::fs::read_to_string(&output).unwrap_or_default();
            let differs =
                actual.lines().zip(expected.lines()).position(|(actual, expected)| actual != expected);
            let line = differs.unwrap_or_else(|| actual.lines().count().min(expected.lines().count()));
            assert!(actual == expected, "{}:{} differs (refresh: see golden.rs)", output.display(), line + 1);
        }
    }
}

fn inputs(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().is_some_and(|p| p.ends_with(".in.json")))
        .collect();
    found.sort();
    found
}
