//! What there is to read about lints.

use std::fmt::Write as _;

use super::levels::unknown;
use super::{LINTS, Lint, by_name};

/// The lints, a line each.
pub fn list() -> String {
    let width = LINTS.iter().map(|lint| lint.name().len()).max().unwrap_or(0);
    let mut text = String::new();
    for lint in LINTS {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:width$}  {}", lint.name(), lint.summary());
    }
    text.push_str("\n`dbcc check --explain LINT` says more of one.\n");
    text
}

/// What a lint is about, with an example.
///
/// # Errors
/// What is said of a name that is no lint's.
pub fn explain(name: &str) -> Result<String, String> {
    by_name(name).map(text).ok_or_else(|| unknown(name))
}

fn text(lint: &dyn Lint) -> String {
    let indented = |code: &str| code.lines().map(|line| format!("    {line}").trim_end().to_owned() + "\n").collect();
    let (wrong, right): (String, String) = (indented(lint.example()), indented(lint.mended()));
    let name = lint.name();
    format!(
        "{name}: {}\n\n{}\n\nFinds something in:\n\n{wrong}\nand nothing in:\n\n{right}\n\
         `//@ allow {name}` on the line that is meant, or above it, silences it there; above all code, in the whole \
         file. `--allow {name}` silences it for a run, and `--deny {name}` makes it an error.\n",
        lint.summary(),
        lint.explanation(),
    )
}
