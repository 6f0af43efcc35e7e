//! `docs/features.md` names only tests that exist.

use super::named::{Code, rows};

#[test]
fn every_test_named_exists() {
    let (code, rows) = (Code::read(), rows("features.md", "| Feature"));
    assert!(rows.len() > 20, "{rows:?}");
    for row in rows {
        let names = code.tests(&row[0], &row[2]);
        assert!(!names.is_empty() || row[1].starts_with("no"), "{}: yes, but no test", row[0]);
    }
}
