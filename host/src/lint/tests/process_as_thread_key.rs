use super::check;

const LINT: &str = "process-as-thread-key";

/// A pair of probes that keep a time under a key.
fn pair(entry: &str, ret: &str) -> String {
    format!(
        "struct key_t {{ u32 pid; u32 part; }};\nBPF_HASH(start, u32);\nBPF_HASH(starts, struct key_t);\n\
         static int keep(struct pt_regs *ctx)\n{{\n    u64 id = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();\n\
         \x20   {entry}\n    return 0;\n}}\n\
         int on_entry(struct pt_regs *ctx) {{ return keep(ctx); }}\n\
         int on_return(struct pt_regs *ctx)\n{{\n    u64 id = bpf_get_current_pid_tgid();\n    {ret}\n    return 0;\n}}\n"
    )
}

const ATTACHED: &[&str] = &["uprobe:/bin/true:main=on_entry", "uretprobe:/bin/true:main=on_return"];
const LOOKUP: &str = "u64 *then = start.lookup(&key); if (then) start.delete(&key);";

#[test]
fn a_process_for_a_pair() {
    for (process, place) in [
        ("u32 key = id >> 32;", "&key"),
        ("u32 key; key = (u32)(id >> 32);", "&key"),
        ("u32 tgid = bpf_get_current_pid_tgid() >> 32, key = tgid;", "&key"),
    ] {
        let text = pair(&format!("{process} start.update(&key, &now);"), &format!("{process} {LOOKUP}"));
        check(LINT, &text, ATTACHED, &[place]);
    }
    let key = "struct key_t key = {}; key.pid = id >> 32; key.part = 1;";
    let text = pair(
        &format!("{key} starts.update(&key, &now);"),
        &format!("{key} if (starts.lookup(&key)) starts.delete(&key);"),
    );
    check(LINT, &text, ATTACHED, &["&key"]);
}

#[test]
fn a_thread_for_a_pair_and_processes_that_are_counted() {
    for key in [
        "u32 key = id;",
        "u32 key = (u32)bpf_get_current_pid_tgid();",
        "u32 pid = id >> 32, key = id; if (pid == 1) return 0;",
    ] {
        let text = pair(&format!("{key} start.update(&key, &now);"), &format!("{key} {LOOKUP}"));
        check(LINT, &text, ATTACHED, &[]);
    }
    let process = "u32 key = id >> 32;";
    // What an entry leaves for other entries, and what a return keeps, is of the process.
    let text = pair(&format!("{process} start.update(&key, &now);"), &format!("{process} {LOOKUP}"));
    check(LINT, &text, &["uprobe:/bin/true:main=on_entry", "uprobe:/bin/true:exit=on_return"], &[]);
    let text = pair(&format!("{process} {LOOKUP}"), &format!("u64 now = id; {process} start.update(&key, &now);"));
    check(LINT, &text, ATTACHED, &[]);
    let key = "struct key_t key = {}; key.pid = id >> 32; key.part = id;";
    let text = pair(
        &format!("{key} starts.update(&key, &now);"),
        &format!("{key} if (starts.lookup(&key)) starts.delete(&key);"),
    );
    check(LINT, &text, ATTACHED, &[]);
}
