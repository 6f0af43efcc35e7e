//! `docs/vendors.md` has in every cell tests that exist, or says in words why not.

use super::named::{Code, rows};

/// What a cell without a test begins with, and how many letters a reason has at least.
const NOTHING: (&str, usize) = ("— ", 8);
const MISSING: &str = "not yet";
/// How many cells may say that something is missing; nothing that is there may go missing again.
const STILL_MISSING: usize = 0;

#[test]
fn every_cell_names_a_test_or_a_reason() {
    let (code, rows) = (Code::read(), rows("vendors.md", "| Promise"));
    assert!(rows.len() > 40, "{rows:?}");
    let mut missing = Vec::new();
    for row in &rows {
        assert_eq!(row.len(), 6, "{row:?}");
        for cell in &row[1..] {
            let names = code.tests(&row[0], cell);
            let (mark, letters) = NOTHING;
            let reason = cell.strip_prefix(mark).is_some_and(|reason| reason.len() >= letters);
            let not_yet = cell.contains(MISSING);
            assert!(!names.is_empty() || reason || not_yet, "{}: {cell:?} has no test and no reason", row[0]);
            if not_yet {
                missing.push(format!("{}: {cell}", row[0]));
            }
        }
    }
    assert_eq!(missing.len(), STILL_MISSING, "cells:\n{}", missing.join("\n"));
}
