use super::check;

const LINT: &str = "map-never-deleted";

/// A probe that keeps something at the start of a request and uses it at its end.
fn pair(map: &str, put: &str, used: &str) -> String {
    format!(
        "{map};\nint kprobe__blk_mq_start_request(struct pt_regs *ctx, struct request *req)\n{{\n\
         \x20   u64 now = bpf_ktime_get_ns(), id = bpf_get_current_pid_tgid();\n    {put}\n    return 0;\n}}\n\
         int kprobe__blk_mq_end_request(struct pt_regs *ctx, struct request *req)\n{{\n\
         \x20   u64 id = bpf_get_current_pid_tgid(), *then;\n    {used}\n    return 0;\n}}\n"
    )
}

const REQUESTS: &str = "BPF_HASH(start, struct request *)";

#[test]
fn what_is_kept_for_good() {
    let text = pair(REQUESTS, "start.update(&req, &now);", "then = start.lookup(&req);");
    check(LINT, &text, &[], &["start"]);
    let text = pair("BPF_HASH(start)", "start.insert(&id, &now);", "then = start.lookup(&id);");
    check(LINT, &text, &[], &["start"]);
    let text = pair(
        REQUESTS,
        "bpf_map_update_elem(&start, &req, &now, BPF_ANY);",
        "then = bpf_map_lookup_elem(&start, &req);",
    );
    check(LINT, &text, &[], &["start"]);
}

#[test]
fn what_does_not_grow_or_is_deleted_or_counts() {
    for (map, put, used) in [
        (REQUESTS, "start.update(&req, &now);", "then = start.lookup(&req); start.delete(&req);"),
        (REQUESTS, "start.update(&req, &now);", "then = start.lookup(&req); bpf_map_delete_elem(&start, &req);"),
        (
            r#"BPF_TABLE("lru_hash", struct request *, u64, start, 100)"#,
            "start.update(&req, &now);",
            "start.lookup(&req);",
        ),
        // Of each process: few, and a result.
        ("BPF_HASH(start)", "u64 key = id >> 32; start.update(&key, &now);", "u64 key = id >> 32; start.lookup(&key);"),
        ("BPF_HASH(start)", "start.increment(id);", "then = start.lookup(&id);"),
        ("BPF_HASH(start)", "start.update(&id, &now);", ""),
        // What was there before is looked for and replaced by the same program.
        ("BPF_HASH(start)", "u64 *last = start.lookup(&id); start.update(&id, &now);", ""),
    ] {
        check(LINT, &pair(map, put, used), &[], &[]);
    }
}
