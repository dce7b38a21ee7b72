// mysql_conn: one line for each new connection to a MySQL or MariaDB server.
//
//     dbcc --pid $(pidof mysqld) mysql_conn
//
// check_connection() runs once for each connection. It is static: optimisation may inline it and stripping hides it,
// and then one of its callers serves as well.
//
//@ attach uprobe:check_connection | uprobe:login_connection | uprobe:thd_prepare_connection = on_connection
//@ hide last_seen

struct connection {
    u32 pid;
    u32 tid;
    char comm[TASK_COMM_LEN];
    u64 gap_us; // microseconds since the connection before it; 0 for the first that is seen
};

BPF_PERF_OUTPUT(connections);
BPF_HASH(last_seen, u32, u64);

int on_connection(struct pt_regs *ctx)
{
    struct connection connection = {};
    u64 pid_tgid = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();
    u64 *last;

    if (FILTER_PID)
        return 0;
    connection.pid = pid_tgid >> 32;
    connection.tid = pid_tgid;
    bpf_get_current_comm(&connection.comm, sizeof(connection.comm));

    last = last_seen.lookup(&connection.pid);
    // Of two threads that race, one may have read the clock first and come here second.
    if (last && now > *last)
        connection.gap_us = (now - *last) / 1000;
    last_seen.update(&connection.pid, &now);

    connections.perf_submit(ctx, &connection, sizeof(connection));
    return 0;
}
