//! The custom resource definitions are those of the code.

use serde_json::Value;

const FILE: &str = "manifests/crds.yaml";
const RENEW: &str = "renew it with `UPDATE=1 cargo test --workspace --lib crds_are_those_of_the_code`";

const HEAD: &str = "\
# The custom resource definitions of burst, generated from the types in policies/src/burst_policy and policies/src/ledger.
# Do not edit: `UPDATE=1 cargo test --workspace --lib crds_are_those_of_the_code` writes this file.
";

fn written(definitions: &[Value]) -> String {
    let documents = definitions.iter().map(|definition| serde_saphyr::to_string(definition).unwrap());
    format!("{HEAD}{}", documents.collect::<Vec<_>>().join("---\n"))
}

#[test]
fn crds_are_those_of_the_code() {
    let code = policies::crds::all();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(crate::folder().join(FILE), written(&code)).unwrap();
    }
    let file = crate::documents(FILE).unwrap_or_else(|error| panic!("{error}; {RENEW}"));
    let name = |definition: &Value| definition["metadata"]["name"].as_str().unwrap_or("?").to_owned();
    let names = |all: &[Value]| all.iter().map(name).collect::<Vec<_>>();
    assert_eq!(names(&file), names(&code), "{FILE}: {RENEW}");
    for (have, want) in file.iter().zip(&code) {
        assert!(have == want, "{FILE}: {} is not that of the code; {RENEW}", name(want));
    }
}
