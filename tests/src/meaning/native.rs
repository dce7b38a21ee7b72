//! Tools that need neither kprobes nor the layout of kernel structs: they run on any kernel, with BCC's headers from another.

use super::case::{Case, Mine, Rule, SAME, Table, Work, same_but};

/// A map or buffer whose text filters by itself.
const fn all(name: &'static str, rule: Rule, rows: usize) -> Table {
    Table { name, mine: Mine::All, rule, rows }
}

/// One that is filtered by a process id.
const fn of_pid(name: &'static str, field: &'static str, rule: Rule, rows: usize) -> Table {
    Table { name, mine: Mine::Pid(field), rule, rows }
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

/// All.
pub const CASES: &[Case] = &[
    Case {
        tool: "syscount",
        arguments: &["-p", "PID"],
        tables: &[all("data", SAME, 20)],
        wrong: ("lock_xadd(val, 1)", "lock_xadd(val, args->id == 0 ? 2 : 1)"),
        ..BASE
    },
    Case {
        tool: "syscount",
        arguments: &["-p", "PID", "--failures"],
        tables: &[all("data", SAME, 4)],
        wrong: ("args->ret >= 0", "args->ret >= -2"),
        ..BASE
    },
    Case {
        tool: "syscount",
        arguments: &["-p", "PID", "-L"],
        tables: &[
            all("data", Rule::Same { without: &["value.total_ns"], floors: &[("value.total_ns", 1)] }, 20),
            // Threads that are inside of a system call.
            all("start", same_but(&["value"]), 1),
        ],
        wrong: ("lock_xadd(&val->count, 1)", "lock_xadd(&val->count, 2)"),
        ..BASE
    },
    Case {
        tool: "tcpstates",
        tables: &[
            Table { name: "ipv4_events", mine: Mine::Comm("task"), rule: same_but(&["ts_us", "span_us"]), rows: 20 },
            Table { name: "ipv6_events", mine: Mine::Comm("task"), rule: same_but(&["ts_us", "span_us"]), rows: 10 },
        ],
        wrong: ("data4.ports = dport", "data4.ports = lport"),
        ..BASE
    },
    Case {
        tool: "bashreadline",
        work: Work::Bash,
        tables: &[of_pid("events", "pid", SAME, 3)],
        wrong: ("sizeof(data.str)", "6"),
        ..BASE
    },
    Case {
        tool: "gethostlatency",
        tables: &[of_pid("events", "pid", same_but(&["delta"]), 5)],
        wrong: ("sizeof(data.host)", "4"),
        ..BASE
    },
    Case {
        tool: "threadsnoop",
        targets: &[("pthread", "c")],
        tables: &[of_pid("events", "pid", same_but(&["ts"]), 6)],
        wrong: ("PT_REGS_PARM3", "PT_REGS_PARM2"),
        ..BASE
    },
    Case {
        tool: "memleak",
        arguments: &["-p", "PID"],
        tables: &[
            all("allocs", same_but(&["value.timestamp_ns"]), 8),
            all("combined_allocs", SAME, 2),
            all("sizes", SAME, 0),
            all("memptrs", SAME, 0),
        ],
        wrong: ("info.size = *size64", "info.size = *size64 + 1"),
        ..BASE
    },
    Case {
        tool: "funccount",
        arguments: &["-p", "PID", "c:malloc"],
        targets: &[("function", "malloc")],
        tables: &[all("counts", SAME, 1)],
        wrong: ("counts.atomic_increment(loc)", "counts.atomic_increment(loc, 2)"),
        ..BASE
    },
    Case {
        tool: "funclatency",
        arguments: &["-p", "PID", "c:clock_nanosleep"],
        targets: &[("^clock_nanosleep$", "clock_nanosleep")],
        // The shortest sleep is 1 ms, or 2^19.9 ns.
        tables: &[all("dist", Rule::Histogram { group: &["key.key.ip", "key.key.pid"], least: 20 }, 1)],
        wrong: ("bpf_log2l(delta)", "bpf_log2l(delta / 1000)"),
        ..BASE
    },
    Case {
        tool: "argdist",
        arguments: &["-p", "PID", "-c", "-C", "p:c:malloc(size_t size):size_t:size"],
        tables: &[all("malloc_hash0", SAME, 16)],
        wrong: ("__key.v0 = size", "__key.v0 = size + 1"),
        ..BASE
    },
    Case {
        tool: "trace",
        arguments: &["-p", "PID", "p:c:getaddrinfo \"%s\", arg1"],
        tables: &[all("probe_getaddrinfo_1_events", same_but(&["timestamp_ns"]), 5)],
        wrong: ("sizeof(__data.v0)", "5"),
        ..BASE
    },
    Case {
        tool: "stackcount",
        arguments: &["-p", "PID", "c:malloc"],
        targets: &[("^malloc$", "malloc")],
        tables: &[all("counts", SAME, 2)],
        wrong: ("counts.atomic_increment(key)", "counts.atomic_increment(key, 2)"),
        ..BASE
    },
    Case {
        tool: "softirqs",
        arguments: &["--events"],
        tables: &[all("dist", Rule::Between { group: &["key.vec"] }, 1)],
        wrong: ("key.vec = args->vec", "key.vec = args->vec + 1"),
        ..BASE
    },
    Case {
        tool: "hardirqs",
        arguments: &["--count"],
        tables: &[all("dist", Rule::Between { group: &["key.name"] }, 1)],
        wrong: ("args->ret != IRQ_NONE", "args->ret == IRQ_NONE"),
        ..BASE
    },
    Case {
        tool: "dbslower",
        arguments: &["mysql", "-x", "BINARY", "-m", "0"],
        work: Work::Mysql,
        targets: &[("function", "_Z16dispatch_command19enum_server_commandP3THDPcj")],
        tables: &[of_pid(
            "events",
            "pid",
            Rule::Same { without: &["timestamp", "duration"], floors: &[("duration", 5_000_000)] },
            20,
        )],
        wrong: ("sizeof(tmp.query)", "7"),
        ..BASE
    },
    Case {
        tool: "uflow",
        arguments: &["-l", "python", "PID"],
        work: Work::Python(1),
        apart: true,
        tables: &[all("calls", SAME, 18)],
        wrong: ("bpf_usdt_readarg(2, ctx, &method)", "bpf_usdt_readarg(1, ctx, &method)"),
        ..BASE
    },
    Case {
        tool: "ugc",
        arguments: &["-l", "python", "PID"],
        work: Work::Python(2),
        apart: true,
        tables: &[all("gcs", same_but(&["elapsed_ns"]), 4)],
        wrong: ("bpf_usdt_readarg(1, ctx, &gen)", "gen = 7"),
        ..BASE
    },
    Case {
        tool: "profile",
        arguments: &["-p", "PID", "-U", "-F", "997"],
        tables: &[all("counts", Rule::Samples, 1)],
        wrong: ("key.kernel_stack_id = -1", "key.kernel_stack_id = -2"),
        ..BASE
    },
];
