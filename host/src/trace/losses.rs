//! What the trace pipe lost, summed: under load the kernel tells of a loss every few lines.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde_json::json;

/// How often losses are told while they go on.
const EVERY: Duration = Duration::from_secs(1);

/// Lines that nobody read in time, beside those that were read.
#[derive(Debug, Default)]
pub(super) struct Losses {
    read: u64,
    total: u64,
    told: u64,
    at: Option<Instant>,
}

impl Losses {
    /// A line came.
    pub(super) fn read(&mut self) {
        self.read = self.read.saturating_add(1);
    }

    /// Lines that the kernel said it lost.
    pub(super) fn add(&mut self, lines: u64) {
        self.total = self.total.saturating_add(lines);
    }

    /// Tells what was lost since it was told last; not more often than once a second.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn tell(&mut self, now: Instant, to: &mut Told<'_>) -> io::Result<()> {
        let early = self.at.is_some_and(|at| now.saturating_duration_since(at) < EVERY);
        if self.total == self.told || early {
            return Ok(());
        }
        self.write(self.total - self.told, false, to)?;
        (self.told, self.at) = (self.total, Some(now));
        Ok(())
    }

    /// Tells the sum, where anything was lost.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn end(&self, to: &mut Told<'_>) -> io::Result<()> {
        if self.total == 0 { Ok(()) } else { self.write(self.total, true, to) }
    }

    fn write(&self, count: u64, at_end: bool, to: &mut Told<'_>) -> io::Result<()> {
        if to.json {
            let line = json!({"kind": "lost", "what": "lines", "from": "trace_pipe", "count": count, "total": at_end,
                "help": HELP});
            return writeln!(to.out, "{line}");
        }
        let (lost, all) = (self.total, self.total.saturating_add(self.read));
        if !at_end {
            return writeln!(to.err, "dbcc: {lost} of {all} lines were lost so far");
        }
        let asked = if to.chosen { ", those that you ask for among them or not" } else { "" };
        writeln!(to.err, "dbcc: {lost} of {all} lines were lost{asked}: nobody read them in time; {HELP}")
    }
}

/// Where losses are told: in JSON among the lines, else on standard error.
pub(super) struct Told<'a> {
    pub(super) out: &'a mut dyn Write,
    pub(super) err: &'a mut dyn Write,
    pub(super) json: bool,
    /// Whether only some of the lines are shown.
    pub(super) chosen: bool,
}

/// What can be done about losses: choosing lines here is too late for those that were lost.
const HELP: &str =
    "let the program print only what you look for, or write a larger number to buffer_size_kb in tracefs";

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of losses at times, in milliseconds, and at the end.
    fn told(losses: &[(u64, u64)], json: bool) -> String {
        let start = Instant::now();
        let (mut out, mut err, mut all) = (Vec::new(), Vec::new(), Losses::default());
        let mut to = Told { out: &mut out, err: &mut err, json, chosen: false };
        for (at, lines) in losses {
            all.read();
            all.add(*lines);
            all.tell(start + Duration::from_millis(*at), &mut to).unwrap();
        }
        all.end(&mut to).unwrap();
        let (written, empty) = if json { (out, err) } else { (err, out) };
        assert!(empty.is_empty());
        String::from_utf8(written).unwrap().replace(HELP, "HELP")
    }

    #[test]
    fn losses_are_told_once_a_second_and_summed() {
        let losses = [(0, 5), (10, 7), (999, 1), (1000, 2), (1500, 0), (1600, 4), (2600, 0)];
        insta::assert_snapshot!(told(&losses, false), @r"
        dbcc: 5 of 6 lines were lost so far
        dbcc: 15 of 19 lines were lost so far
        dbcc: 19 of 26 lines were lost so far
        dbcc: 19 of 26 lines were lost: nobody read them in time; HELP
        ");
        insta::assert_snapshot!(told(&losses, true), @r#"
        {"kind":"lost","what":"lines","from":"trace_pipe","count":5,"total":false,"help":"HELP"}
        {"kind":"lost","what":"lines","from":"trace_pipe","count":10,"total":false,"help":"HELP"}
        {"kind":"lost","what":"lines","from":"trace_pipe","count":4,"total":false,"help":"HELP"}
        {"kind":"lost","what":"lines","from":"trace_pipe","count":19,"total":true,"help":"HELP"}
        "#);
    }

    #[test]
    fn nothing_is_told_where_nothing_was_lost() {
        assert_eq!(told(&[(0, 0), (5000, 0)], false), "");
        assert_eq!(told(&[(0, 1)], false).lines().count(), 2);
    }
}
