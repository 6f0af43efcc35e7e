//! Tests that pages of `docs/` name in backticks: which of them exist.

use std::path::Path;

/// The source code of the whole repository, to look names up in.
pub(super) struct Code(String);

impl Code {
    pub(super) fn read() -> Self {
        let mut code = String::new();
        sources(&crate::root(), &mut code);
        Self(code)
    }

    /// The names in backticks in one cell of a table; panics with `row` if one of them is no test that runs.
    pub(super) fn tests<'a>(&self, row: &str, cell: &'a str) -> Vec<&'a str> {
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        for name in &names {
            let function = name.rsplit("::").next().unwrap_or(name);
            let written = [format!("fn {function}("), format!("fn {function}<")];
            assert!(written.iter().any(|w| self.0.contains(w)), "{row}: there is no test {name}");
            // A case of the end-to-end tests runs only if it is in the list.
            let listed = !name.contains("::") || self.0.contains(&format!("    {name},\n"));
            assert!(listed, "{name} is not in a list");
        }
        names
    }
}

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

/// The cells of every row of a page's tables, heads and rulers left out.
pub(super) fn rows(page: &str, head: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(crate::root().join("docs").join(page)).unwrap();
    let inside = |line: &str| line.trim().trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect();
    text.lines().filter(|line| line.starts_with("| ") && !line.starts_with(head)).map(inside).collect()
}
