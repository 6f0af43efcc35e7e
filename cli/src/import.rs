//! `kubectl burst import`: other products' objects as ours on standard output, and what became of each field on standard
//! error.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use policies::import::{Fate, Imported, convert};
use serde_json::Value;

use crate::args::Import;

/// The objects as YAML, and whether every field of their specs was taken over without a contradiction.
pub(crate) fn run(args: &Import) -> Result<(String, bool)> {
    let text = read(&args.file)?;
    let imported = objects(&text, &args.file)?
        .iter()
        .map(|object| convert(object).with_context(|| args.file.display().to_string()))
        .collect::<Result<Vec<_>>>()?;
    if imported.is_empty() {
        bail!("{} holds no object", args.file.display());
    }
    let _ = write!(std::io::stderr().lock(), "{}", imported.iter().map(table).collect::<Vec<_>>().join("\n"));
    Ok((yaml(&imported)?, imported.iter().all(is_complete)))
}

fn read(file: &Path) -> Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

/// The documents of a file, and the items of lists in it (`kubectl get … -o yaml` writes lists).
fn objects(text: &str, file: &Path) -> Result<Vec<Value>> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).with_context(|| format!("{} is no YAML", file.display()))?;
    let each = |document: Value| match document.get("items").and_then(Value::as_array) {
        Some(items) if document.get("kind").and_then(Value::as_str).is_some_and(|k| k.ends_with("List")) => {
            items.clone()
        }
        _ if document.is_null() => Vec::new(),
        _ => vec![document],
    };
    Ok(documents.into_iter().flat_map(each).collect())
}

fn yaml(imported: &[Imported]) -> Result<String> {
    let documents = imported.iter().map(|i| serde_saphyr::to_string(&i.manifest()));
    Ok(documents.collect::<Result<Vec<_>, _>>().context("YAML")?.join("---\n"))
}

/// Fields outside the spec name the object, or say what held once: leaving them out loses nothing that was asked for.
fn is_complete(imported: &Imported) -> bool {
    let refused = |row: &policies::import::Row| row.fate == Fate::Refused && row.field.starts_with("spec");
    imported.problems.is_empty() && !imported.rows.iter().any(refused)
}

/// What became of each field.
fn table(imported: &Imported) -> String {
    let width = imported.rows.iter().map(|row| row.field.chars().count()).max().unwrap_or(0);
    let mut out = format!("{} -> {}\n", imported.title, imported.object.key);
    for row in &imported.rows {
        let _ = writeln!(out, "  {:width$}  {:12}  {}", row.field, row.fate.as_str(), row.note);
    }
    for problem in &imported.problems {
        let _ = writeln!(out, "  contradiction in the result: {problem}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "\
apiVersion: v1
kind: List
items:
- apiVersion: eci.aliyun.com/v1
  kind: Selector
  metadata: {name: a}
  spec: {policy: {fair: {}}}
---
apiVersion: scheduling.alibabacloud.com/v1alpha1
kind: ResourcePolicy
metadata: {name: b, namespace: shop}
spec:
  units: [{resource: ecs, max: 2}, {resource: eci, surprise: 1}]
";

    fn imported(text: &str) -> Vec<Imported> {
        let objects = objects(text, Path::new("f.yaml")).unwrap();
        objects.iter().map(|object| convert(object).unwrap()).collect()
    }

    #[test]
    fn lists_and_documents_become_documents() {
        let imported = imported(TWO);
        let text = yaml(&imported).unwrap();
        let back: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let kinds: Vec<_> = back.iter().map(|o| o["kind"].as_str().unwrap_or("?")).collect();
        assert_eq!(kinds, ["ClusterBurstPolicy", "BurstPolicy"], "{text}");
        assert_eq!(back, imported.iter().map(Imported::manifest).collect::<Vec<_>>());
    }

    #[test]
    fn a_field_that_is_lost_is_shown_and_changes_the_exit_code() {
        let imported = imported(TWO);
        assert_eq!(imported.iter().map(is_complete).collect::<Vec<_>>(), [true, false]);
        let table = table(&imported[1]);
        let line = table.lines().find(|line| line.contains("spec.units[1].surprise")).unwrap();
        assert!(line.contains("refused") && line.contains("burst does not know this field"), "{table}");
        assert!(table.starts_with("ResourcePolicy shop/b (Alibaba ACK) -> BurstPolicy/shop/b\n"), "{table}");
    }
}
