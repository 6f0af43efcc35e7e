//! Policy objects from a file, as `kubectl apply` would take them.

use std::path::Path;

use anyhow::{Context, Result, bail};
use policies::burst_policy::{BurstPolicySpec, GROUP, PolicyKind, PolicyObject, VERSION};
use serde::Deserialize;

/// One document. Of the metadata only the identity is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: PolicyKind,
    metadata: Metadata,
    spec: BurstPolicySpec,
    /// What the cluster wrote, in a file that came from `kubectl get -o yaml`.
    #[serde(default, rename = "status")]
    _status: serde::de::IgnoredAny,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
}

/// Reads every document of a file.
pub(super) fn read(path: &Path) -> Result<Vec<PolicyObject>> {
    let file = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {file}"))?;
    parse(&text).with_context(|| format!("{file} is not a usable policy file"))
}

fn parse(text: &str) -> Result<Vec<PolicyObject>> {
    let documents: Vec<Document> = serde_saphyr::from_multiple(text)?;
    let wanted = format!("{GROUP}/{VERSION}");
    let mut objects: Vec<PolicyObject> = Vec::new();
    for Document { api_version, kind, metadata, spec, .. } in documents {
        if api_version != wanted {
            bail!("{kind} {}: apiVersion {api_version} is not {wanted}", metadata.name);
        }
        let namespace = match kind {
            PolicyKind::BurstPolicy => Some(metadata.namespace.unwrap_or_else(|| "default".to_owned())),
            PolicyKind::ClusterBurstPolicy => None,
        };
        let object = PolicyObject::new(namespace.as_deref(), &metadata.name, spec);
        if objects.iter().any(|o| o.key == object.key) {
            bail!("{} is there twice", object.key);
        }
        objects.push(object);
    }
    if objects.is_empty() {
        bail!("it holds no BurstPolicy and no ClusterBurstPolicy");
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: burst.io/v1alpha1\nkind: ";

    #[test]
    fn several_documents() {
        let text = format!(
            "{HEAD}BurstPolicy\nmetadata: {{name: a, namespace: shop, labels: {{x: y}}}}\nspec: {{policy: auto}}\n---\n\
             {HEAD}BurstPolicy\nmetadata: {{name: b}}\nspec: {{}}\nstatus: {{pods: {{local: 1}}}}\n---\n\
             {HEAD}ClusterBurstPolicy\nmetadata: {{name: c}}\nspec: {{max: {{cloud: {{pods: 3}}}}}}\n"
        );
        let keys: Vec<_> = parse(&text).unwrap().into_iter().map(|o| o.key).collect();
        assert_eq!(keys, ["BurstPolicy/shop/a", "BurstPolicy/default/b", "ClusterBurstPolicy/c"]);
    }

    #[test]
    fn what_is_no_policy_is_refused_in_words() {
        let check = |text: &str, wanted: &str| {
            let refused = format!("{:#}", parse(text).unwrap_err());
            assert!(refused.contains(wanted), "{refused}");
        };
        check("", "it holds no BurstPolicy");
        check(&format!("{HEAD}Pod\nmetadata: {{name: a}}\nspec: {{}}\n"), "Pod");
        check(&format!("{HEAD}BurstPolicy\nmetadata: {{name: a}}\nspec: {{polcy: auto}}\n"), "polcy");
        let one = format!("{HEAD}BurstPolicy\nmetadata: {{name: a}}\nspec: {{}}\n");
        check(&format!("{one}---\n{one}"), "BurstPolicy/default/a is there twice");
        check(&one.replace("v1alpha1", "v9"), "apiVersion burst.io/v9 is not burst.io/v1alpha1");
    }
}
