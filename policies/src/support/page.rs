//! The page of a provider in the manual, from the same tables that judge pods.

use std::fmt::Write as _;

use super::annotations::{Annotation, Sent};
use super::{Row, Treatment, When};
use crate::providers::Known;

/// The line from which on a page is made from the tables.
pub const MARK: &str =
    "<!-- made from the tables; refresh: BURST_REFRESH_GOLDEN=1 cargo test --workspace provider_pages -->";

/// What a provider does with every pod field and annotation, as Markdown.
pub fn page(known: &Known) -> String {
    let mut text = format!("{MARK}\n\n## Pod fields\n\n| Field | | What the user is told |\n|---|---|---|\n");
    for row in known.table {
        let _ = writeln!(text, "| {} | {} | {} |", field(row), treatment(row.treatment), row.sentence);
    }
    if !known.interop.is_empty() {
        text.push_str(
            "\nWhere network interop is on, besides:\n\n| Field | | What the user is told |\n|---|---|---|\n",
        );
        for row in known.interop {
            let _ = writeln!(text, "| {} | {} | {} |", field(row), treatment(row.treatment), row.sentence);
        }
    }
    if !known.annotations.is_empty() {
        text.push_str("\n## Pod annotations\n\n| Annotation | Value | |\n|---|---|---|\n");
        for row in known.annotations {
            let _ = writeln!(text, "| `{}` | {} | {} |", row.key, row.values.words(), becomes(row));
        }
    }
    text
}

const fn treatment(treatment: Treatment) -> &'static str {
    match treatment {
        Treatment::Passed => "passed",
        Treatment::Emulated => "emulated",
        Treatment::Refused => "refused",
    }
}

fn field(row: &Row) -> String {
    let name = row.field.replace('~', ".").replace("anyContainers", "(init)containers");
    match row.when {
        When::Is(text) => format!("`{name}`: {text}"),
        When::IsNot(texts) => format!("`{name}`: other than {}", texts.join(", ")),
        When::Rule(_) if row.treatment == Treatment::Refused => format!("`{name}`, as the sentence says"),
        When::Present | When::Rule(_) => format!("`{name}`"),
    }
}

fn becomes(row: &Annotation) -> String {
    match row.sent {
        Sent::As(parameter) => format!("`{parameter}`"),
        Sent::Each(parameter) => format!("`{parameter}.N`"),
        Sent::By(how) => how.to_owned(),
        Sent::Not(why) => format!("not sent: {why}"),
        Sent::Refused(why) => format!("refused: {why}"),
    }
}
