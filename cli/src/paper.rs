//! Text for a terminal of any width, or for a pipe: lines are broken at blanks where a terminal is narrow, and never
//! where nobody is looking.

use std::fmt::Write as _;
use std::io::IsTerminal;

/// Column at which the values of fields begin.
const VALUES: usize = 16;
/// Narrower than this nothing is put side by side.
const NARROW: usize = 72;

/// Text being written.
pub(crate) struct Paper {
    text: String,
    width: Option<usize>,
}

impl Paper {
    /// As wide as the terminal, if standard output is one.
    pub(crate) fn here() -> Self {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let asked = || rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| size.ws_col.into());
        let width = if std::io::stdout().is_terminal() { columns.or_else(asked) } else { None };
        Self::new(width.filter(|width| *width > 0))
    }

    pub(crate) const fn new(width: Option<usize>) -> Self {
        Self { text: String::new(), width }
    }

    /// Whether somebody looks at it on a wide enough screen for bars.
    pub(crate) fn wide(&self) -> bool {
        self.width.is_some_and(|width| width >= NARROW)
    }

    fn narrow(&self) -> bool {
        self.width.is_some_and(|width| width < NARROW)
    }

    /// A line from the left.
    pub(crate) fn line(&mut self, text: &str) {
        self.put("", text, 2);
    }

    /// A line of a list.
    pub(crate) fn item(&mut self, text: &str) {
        self.put("  - ", text, 4);
    }

    /// A name and its value.
    pub(crate) fn field(&mut self, name: &str, value: &str) {
        if self.narrow() {
            if !name.is_empty() {
                self.put("  ", name, 2);
            }
            self.put("    ", value, 4);
        } else {
            self.put(&format!("  {name:<width$}", width = VALUES - 2), value, VALUES);
        }
    }

    /// Rows with columns as wide as their widest cell; on a narrow terminal a row becomes a line with its heads.
    pub(crate) fn table(&mut self, heads: &[&str], rows: &[Vec<String>]) {
        if self.narrow() {
            for row in rows {
                let cells = heads.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
                let cells: Vec<_> = cells.map(|(head, cell)| format!("{head} {cell}")).collect();
                self.item(&cells.join(", "));
            }
            return;
        }
        let width = |at: usize| {
            let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
            cells.chain(heads.get(at).map(|head| head.len())).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let heads: Vec<String> = heads.iter().map(|head| head.to_uppercase()).collect();
        for row in std::iter::once(&heads).chain(rows) {
            let mut line = String::from("  ");
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "{cell:<width$}  ");
            }
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }

    fn put(&mut self, first: &str, text: &str, indent: usize) {
        let Some(width) = self.width else {
            self.text.push_str(format!("{first}{text}").trim_end());
            self.text.push('\n');
            return;
        };
        let mut line = first.to_owned();
        let mut empty = true;
        for word in text.split(' ') {
            if !empty && line.chars().count() + 1 + word.chars().count() > width {
                self.text.push_str(line.trim_end());
                self.text.push('\n');
                line = " ".repeat(indent);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    pub(crate) fn text(self) -> String {
        self.text
    }
}

/// `[######----]`; full where there is nothing to fill.
pub(crate) fn bar(used: u64, max: u64) -> String {
    const CELLS: u128 = 10;
    let filled =
        if max == 0 { CELLS } else { (u128::from(used) * CELLS).div_ceil(u128::from(max)).min(CELLS) };
    let filled = usize::try_from(filled).unwrap_or(0);
    format!("[{:-<10}]", "#".repeat(filled))
}

/// A time in seconds as RFC 3339.
pub(crate) fn clock(at: i64) -> String {
    jiff::Timestamp::from_second(at).map(|at| at.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(width: Option<usize>) -> String {
        let mut paper = Paper::new(width);
        paper.line("pod shop/web-1 has no node");
        paper.field("policy", "localPrefer, from Deployment/web label burst-to-cci");
        paper.item("would burst if the hourly budget were 1.20 CNY higher");
        paper.table(
            &["node", "cpu"],
            &[vec!["node-1".into(), "4".into()], vec!["burst-cci-0".into(), String::new()]],
        );
        paper.text()
    }

    #[test]
    fn a_pipe_gets_whole_lines_and_a_narrow_terminal_short_ones() {
        let plain = written(None);
        assert!(
            plain.contains("  policy        localPrefer, from Deployment/web label burst-to-cci\n"),
            "{plain}"
        );
        assert!(plain.contains("  NODE         CPU\n  node-1       4\n  burst-cci-0\n"), "{plain}");
        for width in [20, 40, 71, 80] {
            let text = written(Some(width));
            let long = text.lines().find(|line| {
                line.chars().count() > width && line.trim_start_matches(['-', ' ']).contains(' ')
            });
            assert_eq!(long, None, "at {width}:\n{text}");
        }
        assert!(written(Some(40)).contains("- node node-1, cpu 4\n"));
    }

    #[test]
    fn bars() {
        let check = |used, max, wanted: &str| assert_eq!(bar(used, max), wanted);
        check(0, 10, "[----------]");
        check(1, 100, "[#---------]");
        check(5, 10, "[#####-----]");
        check(11, 10, "[##########]");
        check(0, 0, "[##########]");
    }
}
