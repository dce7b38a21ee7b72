//! What the verifier's work on a program was, from the end of its log (kernel/bpf/verifier.c: `print_verification_stats`).

/// The verifier's figures; none where this kernel does not tell one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Verified {
    /// Instructions that were looked at, the same one on several ways counted each time.
    pub(super) instructions: Option<u64>,
    /// The most that it looks at.
    pub(super) limit: Option<u64>,
    /// States that were kept, all in all, at most at once, and at most of one instruction.
    pub(super) states: Option<u64>,
    pub(super) peak_states: Option<u64>,
    pub(super) states_of_one: Option<u64>,
    /// In microseconds.
    pub(super) microseconds: Option<u64>,
    /// Bytes of stack of each function, the program's own first.
    pub(super) stack: Vec<u64>,
}

impl Verified {
    pub(super) fn parse(log: &str) -> Self {
        let mut found = Self::default();
        for line in log.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let behind = |word: &str| {
                let at = words.iter().position(|found| *found == word)?;
                words.get(at + 1)?.trim_end_matches(')').parse().ok()
            };
            match words.as_slice() {
                ["verification", "time", time, ..] => found.microseconds = time.parse().ok(),
                ["stack", "depth", depths, ..] => {
                    found.stack = depths.split('+').filter_map(|depth| depth.parse().ok()).collect();
                }
                ["processed", count, ..] => {
                    found.instructions = count.parse().ok();
                    found.limit = behind("(limit");
                    found.states_of_one = behind("max_states_per_insn");
                    found.states = behind("total_states");
                    found.peak_states = behind("peak_states");
                }
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_where_they_stand() {
        let log = "verification time 153 usec\nstack depth 16+0\nprocessed 26 insns (limit 1000000) \
                   max_states_per_insn 1 total_states 4 peak_states 3 mark_read 1\n";
        let expect = Verified {
            instructions: Some(26),
            limit: Some(1_000_000),
            states: Some(4),
            peak_states: Some(3),
            states_of_one: Some(1),
            microseconds: Some(153),
            stack: vec![16, 0],
        };
        assert_eq!(Verified::parse(log), expect);
        assert_eq!(Verified::parse("processed many insns\nstack depth"), Verified::default());
    }
}
