//! Findings as text and as JSON lines.

use std::io::{self, Write};

use serde_json::json;
use unicode_width::UnicodeWidthStr as _;

use super::{Check, Finding, State, Verdict};

impl Verdict {
    fn sentence(self) -> &'static str {
        match self {
            Self::Runs => "dbcc can compile and run probes here",
            Self::RunsObjects => {
                "dbcc can run probes here that were compiled elsewhere (`dbcc build`), and can compile none"
            }
            Self::RunsNothing => "dbcc cannot run probes here",
        }
    }
}

/// Columns before what was seen: two, the state, two, the name, two.
const INDENT: usize = 2 + 7 + 2 + 25 + 2;
/// Fewer columns than this are no place for a sentence: lines are then left to the terminal.
const LEAST: usize = 30;

pub(super) fn text(
    findings: &[(&Check, Finding)],
    verdict: Verdict,
    width: Option<usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let width = width.map(|width| width.saturating_sub(INDENT)).filter(|width| *width >= LEAST);
    let mut group = "";
    for (check, finding) in findings {
        if check.group != group {
            group = check.group;
            writeln!(out, "{group}")?;
        }
        let said = |heading: &str, words: &str| match words {
            "" => Vec::new(),
            _ => wrapped(&format!("{heading}{words}"), width),
        };
        let seen = said("", &finding.seen);
        let behind = [said("costs: ", &finding.costs), said("mend: ", &finding.mend)].concat();
        let first = seen.first().map(String::as_str).unwrap_or_default();
        writeln!(out, "  {:7}  {:25}  {first}", finding.state.name(), check.name)?;
        for line in seen.iter().skip(1).chain(&behind) {
            writeln!(out, "{:INDENT$}{line}", "")?;
        }
    }
    let named = |state: State| -> Vec<&str> {
        let those = findings.iter().filter(|(_, finding)| finding.state == state);
        those.map(|(check, _)| check.name).collect()
    };
    writeln!(out, "{}", verdict.sentence())?;
    for state in [State::Missing, State::Limited, State::Unknown] {
        let names = named(state);
        if !names.is_empty() {
            writeln!(out, "{}: {}", state.name(), names.join(", "))?;
        }
    }
    Ok(())
}

pub(super) fn json(findings: &[(&Check, Finding)], verdict: Verdict, out: &mut dyn Write) -> io::Result<()> {
    let words = |text: &str| if text.is_empty() { None } else { Some(text.to_owned()) };
    for (check, finding) in findings {
        let Finding { state, seen, costs, mend } = finding;
        let line = json!({"kind": "finding", "group": check.group, "check": check.name, "kinds": check.kinds,
            "state": state.name(), "seen": seen, "costs": words(costs), "mend": words(mend)});
        writeln!(out, "{line}")?;
    }
    let runs = verdict != Verdict::RunsNothing;
    let compiles =
        !findings.iter().any(|(check, finding)| check.decides_compiling() && finding.state == State::Missing);
    writeln!(out, "{}", json!({"kind": "verdict", "runs": runs, "compiles": compiles, "message": verdict.sentence()}))
}

/// Text as lines of at most so many columns, where a word is not longer.
fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width.is_none_or(|width| line.width() + 1 + word.width() <= width) => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("one two three", Some(8)), ["one two", "three"]);
        assert_eq!(wrapped("incomprehensible it is", Some(5)), ["incomprehensible", "it is"]);
        assert_eq!(wrapped("one two three", None), ["one two three"]);
    }
}
