//! A line of the trace pipe (Documentation/trace/ftrace.rst, "Output format").

/// The name of a thread whose name the kernel does not remember (kernel/trace/trace_sched_switch.c: `__trace_find_cmdline`).
pub(super) const NO_NAME: &str = "<...>";

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line<'t> {
    /// `            bash-1977    [000] d..31 17284.993652: bpf_trace_printk: Hello`
    Traced {
        /// The thread's command name.
        comm: &'t str,
        /// The thread.
        tid: u32,
        /// The CPU.
        cpu: u32,
        /// Seconds since the machine was started, as the kernel's trace clock has them.
        seconds: &'t str,
        /// The event, such as `bpf_trace_printk`.
        event: &'t str,
        /// What was written.
        message: &'t str,
    },
    /// `CPU:1 [LOST 12 EVENTS]`
    Lost {
        /// How many lines.
        events: u64,
    },
}

impl<'t> Line<'t> {
    /// Takes a line apart; none for what is no line of its own.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("CPU:") {
            let (_, events) = rest.split_once(" [LOST ")?;
            return Some(Self::Lost { events: events.strip_suffix(" EVENTS]")?.parse().ok()? });
        }
        // A command name may hold anything, ` [` and `-1` too: it ends where the rest is what it must be.
        text.match_indices('-').find_map(|(at, _)| Self::behind(text.get(..at)?, text.get(at + 1..)?))
    }

    /// A line whose command name ends at a `-`.
    fn behind(comm: &'t str, rest: &'t str) -> Option<Self> {
        let (tid, rest) = rest.split_once(' ')?;
        // With the option record-tgid, the process follows in parentheses.
        let rest = rest.trim_start();
        let rest = match rest.strip_prefix('(') {
            Some(process) => process.split_once(')')?.1.trim_start(),
            None => rest,
        };
        let (cpu, rest) = rest.strip_prefix('[')?.split_once(']')?;
        let rest = rest.trim_start();
        // The flags have no blanks; without them (the option irq-info is off) the time stands here.
        let (first, behind) = rest.split_once(' ')?;
        let (seconds, rest) = match first.strip_suffix(':') {
            Some(seconds) => (seconds, behind),
            None => behind.trim_start().split_once(": ")?,
        };
        let (event, message) = rest.split_once(':')?;
        let is_time = seconds.contains('.') && seconds.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let is_name = !event.is_empty() && event.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (is_time && is_name).then_some(())?;
        Some(Self::Traced {
            comm: comm.trim_start(),
            tid: tid.parse().ok()?,
            cpu: cpu.parse().ok()?,
            seconds,
            event,
            message: message.strip_prefix(' ').unwrap_or(message),
        })
    }
}

/// The sizes of buffers that nobody has used, now and once they are used: `7 (expanded: 1408)`. None for buffers in use.
pub(super) fn unexpanded(text: &str) -> Option<(&str, &str)> {
    let (now, rest) = text.trim().split_once(" (expanded: ")?;
    Some((now, rest.strip_suffix(')')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_of_buffers_are_read() {
        assert_eq!(unexpanded("7 (expanded: 1408)\n"), Some(("7", "1408")));
        assert_eq!(unexpanded("1408\n"), None);
    }

    fn check(text: &str, expect: Option<(&str, u32, u32, &str, &str, &str)>) {
        let expect = expect.map(|(comm, tid, cpu, seconds, event, message)| Line::Traced {
            comm,
            tid,
            cpu,
            seconds,
            event,
            message,
        });
        assert_eq!(Line::parse(text), expect, "{text}");
    }

    #[test]
    fn lines_are_taken_apart() {
        check(
            "            bash-1977    [000] d..31 17284.993652: bpf_trace_printk: Hello, x-1 [001] ..... 1.5: a: b",
            Some(("bash", 1977, 0, "17284.993652", "bpf_trace_printk", "Hello, x-1 [001] ..... 1.5: a: b")),
        );
        check(
            "   a-1 [x] b-c d-2345678 (2345670) [012] ..... 1.000001: bpf_trace_printk: ",
            Some(("a-1 [x] b-c d", 2_345_678, 12, "1.000001", "bpf_trace_printk", "")),
        );
        check("  <idle>-0   [001] 7.5: sys_enter: NR 1", Some(("<idle>", 0, 1, "7.5", "sys_enter", "NR 1")));
        check("the second line of a message", None);
        check("", None);
        check("a-b-c-", None);
    }

    #[test]
    fn what_the_kernel_lost_is_told() {
        assert_eq!(Line::parse("CPU:1 [LOST 12 EVENTS]"), Some(Line::Lost { events: 12 }));
        assert_eq!(Line::parse("CPU:1 is lost"), None);
    }
}
