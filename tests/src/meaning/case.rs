//! What is compared: the form of a case. The cases themselves are in `native.rs` and `kprobes.rs`.

/// One run of one of BCC's tools.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The tool, as BCC names it.
    pub tool: &'static str,
    /// Its arguments; `PID` stands for the process that does the work, `BINARY` for its program.
    pub arguments: &'static [&'static str],
    /// Whether the tool is to find a kernel without fentry: it hands over another text then.
    pub without_fentry: bool,
    /// Who does the work.
    pub work: Work,
    /// Targets of attach calls that the capture could not know, or leaves to patterns: (captured, real).
    pub targets: &'static [(&'static str, &'static str)],
    /// Whether BCC ends before dbcc starts, and the work is done twice: two uprobes at one instruction must agree about its
    /// semaphore, of which dbcc tells the kernel, while BCC keeps it by itself.
    pub apart: bool,
    /// What is compared.
    pub tables: &'static [Table],
    /// A change of the text (from, to) that the comparison must notice: tried on dbcc's side where a run asks for it.
    pub wrong: (&'static str, &'static str),
}

/// A process that does known things when it is told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// `src/bin/workload.rs`, all its deeds that need no kernel of its own.
    Program,
    /// `tests/bcc/work.py`; one for each tool, since BCC counts in the semaphores of probes in several steps.
    Python(u8),
    /// An interactive bash on a terminal.
    Bash,
    /// MySQL 5.6.24 and its client.
    Mysql,
}

/// A map or buffer of events, and when it is equal.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name in the text.
    pub name: &'static str,
    /// Which rows come from the work.
    pub mine: Mine,
    /// What must be equal.
    pub rule: Rule,
    /// The least number of rows: nothing is not equal to nothing.
    pub rows: usize,
}

/// Which rows come from the work; the machine does other things too.
#[derive(Debug, Clone, Copy)]
pub enum Mine {
    /// All: the text itself filters.
    All,
    /// Those with the worker's process id in this field.
    Pid(&'static str),
    /// Those with the name `workload` in this field.
    Comm(&'static str),
}

/// When two tables are equal. Zeros count as nothing, since an array holds all its entries from the start.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// The same rows, however often each. Fields `without` meaning for another observer (time stamps and durations: the two
    /// programs run one after the other) are left out; durations among them have a least value, `floors`.
    Same {
        /// Fields that are left out.
        without: &'static [&'static str],
        /// Least values.
        floors: &'static [(&'static str, u64)],
    },
    /// A log2 histogram: the same number of events for each value of these fields, and none in a slot that is too low. Which slot
    /// it is depends on who measures: the two run one after the other.
    Histogram {
        /// Fields by which events are counted.
        group: &'static [&'static str],
        /// The slot of the shortest duration that there can be.
        least: u64,
    },
    /// Samples: the same entry has most of them, and at least half, and neither side has half as many again as the other. Each takes its
    /// samples at moments of its own.
    Samples,
    /// A sum between that of a BCC that ran for a shorter time and that of one that ran for a longer time: for what cannot be
    /// kept quiet on a machine.
    Between {
        /// Fields by which the sums are made.
        group: &'static [&'static str],
    },
    /// The same keys, and values that are durations: they add up to at least `floor` on both sides.
    Durations {
        /// Least sum, in the text's own unit.
        floor: u64,
    },
}

/// The same rows in every field.
pub const SAME: Rule = Rule::Same { without: &[], floors: &[] };

/// The same rows but for some fields.
pub const fn same_but(without: &'static [&'static str]) -> Rule {
    Rule::Same { without, floors: &[] }
}

impl Case {
    /// The command line, for people.
    pub fn name(&self) -> String {
        [&[self.tool], self.arguments].concat().join(" ")
    }

    /// Whether a second BCC runs inside of dbcc's time.
    pub fn has_inner(&self) -> bool {
        self.tables.iter().any(|table| matches!(table.rule, Rule::Between { .. }))
    }
}
