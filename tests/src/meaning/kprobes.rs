//! Tools that need kprobes, fentry or the layout of kernel structs: they run in a guest with BCC's kernel.

use super::case::{Case, Mine, Rule, SAME, Table, Work, same_but};

/// A map or buffer whose text filters by itself.
const fn all(name: &'static str, rule: Rule, rows: usize) -> Table {
    Table { name, mine: Mine::All, rule, rows }
}

/// One that is filtered by the name of the worker's program.
const fn of_comm(name: &'static str, field: &'static str, rule: Rule, rows: usize) -> Table {
    Table { name, mine: Mine::Comm(field), rule, rows }
}

const BASE: Case = Case {
    tool: "",
    arguments: &[],
    without_fentry: false,
    work: Work::Program,
    targets: &[],
    apart: false,
    tables: &[],
    wrong: ("", ""),
};

/// The only function of 6.1 that the pattern for both of its names matches.
const FINISH_TASK_SWITCH: (&str, &str) =
    (r"^finish_task_switch$|^finish_task_switch\.isra\.\d$", "finish_task_switch.isra.0");

/// All.
pub const CASES: &[Case] = &[
    Case {
        tool: "execsnoop",
        tables: &[Table { name: "events", mine: Mine::Pid("ppid"), rule: SAME, rows: 30 }],
        wrong: ("data.retval = PT_REGS_RC(ctx)", "data.retval = PT_REGS_RC(ctx) + 1"),
        ..BASE
    },
    Case {
        tool: "opensnoop",
        without_fentry: true,
        tables: &[of_comm("events", "comm", same_but(&["ts"]), 15)],
        wrong: ("data.ret = PT_REGS_RC(ctx)", "data.ret = PT_REGS_RC(ctx) + 1"),
        ..BASE
    },
    Case {
        tool: "killsnoop",
        tables: &[of_comm("events", "comm", SAME, 9)],
        wrong: ("data.sig = valp->sig", "data.sig = valp->tpid"),
        ..BASE
    },
    Case {
        tool: "tcpconnect",
        tables: &[
            of_comm("ipv4_events", "task", same_but(&["ts_us"]), 2),
            of_comm("ipv6_events", "task", same_but(&["ts_us"]), 1),
        ],
        wrong: ("data4.lport = lport", "data4.lport = dport"),
        ..BASE
    },
    Case {
        tool: "filetop",
        arguments: &["--pid", "PID"],
        tables: &[all("counts", SAME, 5)],
        wrong: ("valp->wbytes += count", "valp->wbytes += count + 1"),
        ..BASE
    },
    Case {
        tool: "exitsnoop",
        tables: &[Table { name: "events", mine: Mine::Pid("ppid"), rule: same_but(&["exit_time"]), rows: 7 }],
        wrong: ("task->exit_code >> 8", "task->exit_code >> 7"),
        ..BASE
    },
    Case {
        tool: "runqlat",
        arguments: &["-p", "PID"],
        tables: &[all("dist", Rule::Histogram { group: &[], least: 0 }, 1)],
        wrong: ("dist.atomic_increment(bpf_log2l(delta))", "dist.atomic_increment(bpf_log2l(delta), 2)"),
        ..BASE
    },
    Case {
        tool: "offcputime",
        arguments: &["-p", "PID", "-U"],
        targets: &[FINISH_TASK_SWITCH],
        // Twenty sleeps of 5 ms; the unit is a microsecond.
        tables: &[all("counts", Rule::Durations { floor: 100_000 }, 3)],
        wrong: ("key.kernel_stack_id = -1", "key.kernel_stack_id = -2"),
        ..BASE
    },
];
