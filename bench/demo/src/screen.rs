//! What the demo prints: numbered steps, facts and command output; in colour on a terminal and plain otherwise.

use std::{cell::Cell, io::IsTerminal, time::Instant};

/// Prints for people.
#[derive(Debug)]
pub(crate) struct Screen {
    colour: bool,
    step: Cell<u32>,
    start: Instant,
}

impl Screen {
    /// Colour if standard output is a terminal and `NO_COLOR` is not set.
    pub(crate) fn of_stdout() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colour, step: Cell::new(0), start: Instant::now() }
    }

    pub(crate) fn title(&self, text: &str) {
        println!("{}\n", self.paint("1", text));
    }

    /// A new step: what is being shown.
    pub(crate) fn step(&self, text: &str) {
        self.step.set(self.step.get() + 1);
        let head = format!("[{:>4.1}s] {}.", self.start.elapsed().as_secs_f64(), self.step.get());
        println!("\n{} {}", self.paint("1;34", &head), self.paint("1", text));
    }

    /// A command as a person would type it.
    pub(crate) fn command(&self, text: &str) {
        println!("  {}", self.paint("36", &format!("$ {text}")));
    }

    /// Output of a command, indented.
    pub(crate) fn output(&self, text: &str) {
        for line in text.trim_end().lines() {
            println!("  {line}");
        }
    }

    /// One named fact.
    pub(crate) fn fact(&self, name: &str, value: &str) {
        println!("  {} {value}", self.paint("32", &format!("{name:<14}")));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
