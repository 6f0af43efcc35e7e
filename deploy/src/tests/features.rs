//! `docs/features.md` names only tests that exist.

use std::path::Path;

fn sources(folder: &Path, out: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                sources(&path, out);
            }
        } else if name.ends_with(".rs") {
            out.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_named_exists() {
    let text = std::fs::read_to_string(crate::root().join("docs/features.md")).unwrap();
    let mut code = String::new();
    sources(&crate::root(), &mut code);
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| Feature"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 20, "{rows:?}");
    for row in rows {
        let names: Vec<&str> = row[3].split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty() || row[2].starts_with("no"), "{}: yes, but no test", row[1]);
        for name in names {
            let function = name.rsplit("::").next().unwrap_or(name);
            let written = [format!("fn {function}("), format!("fn {function}<")];
            assert!(written.iter().any(|w| code.contains(w)), "{}: there is no test {name}", row[1]);
            // A case of the end-to-end tests runs only if it is in the list.
            assert!(
                !name.contains("::") || code.contains(&format!("    {name},\n")),
                "{name} is not in a list"
            );
        }
    }
}
