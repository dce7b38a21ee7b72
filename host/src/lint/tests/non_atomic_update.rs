use super::check;

const LINT: &str = "non-atomic-update";

/// A probe with a map and a body that has `v`, what a lookup returned.
fn probe(map: &str, key: &str, body: &str) -> String {
    format!(
        "struct value_t {{ u64 n; u32 m; u8 small; u64 bits : 3; }};\n{map};\n\
         int kprobe__vfs_read(struct pt_regs *ctx, struct file *file)\n{{\n    {key}\n    {body}\n    return 0;\n}}\n"
    )
}

const PROCESS: &str = "u32 key = bpf_get_current_pid_tgid() >> 32;";

#[test]
fn values_that_are_changed_in_place() {
    for (body, place) in [
        ("u64 *v = m.lookup(&key); if (v) *v += 2;", "*v += 2"),
        ("u64 *v = m.lookup(&key); if (v) *v = *v + 2;", "*v = *v + 2"),
        ("u64 *v = m.lookup(&key); if (v) --(*v);", "--(*v)"),
        ("u64 *v = m.lookup(&key); if (v) v[0]++;", "v[0]++"),
        ("u64 zero = 0; (*m.lookup_or_init(&key, &zero))++;", "(*m.lookup_or_init(&key, &zero))++"),
        ("u64 *v = bpf_map_lookup_elem(&m, &key); if (v) (*v)++;", "(*v)++"),
    ] {
        check(LINT, &probe("BPF_HASH(m, u32)", PROCESS, body), &[], &[place]);
    }
    let body = "struct value_t *v = m.lookup(&key); if (v) { v->n++; v->small += 1; }";
    check(LINT, &probe("BPF_ARRAY(m, struct value_t)", "int key = 0;", body), &[], &["v->n++", "v->small += 1"]);
}

#[test]
fn values_that_are_put_back() {
    for body in [
        "u64 n = 0, *v = m.lookup(&key); if (v) n = *v; n++; m.update(&key, &n);",
        "u64 *v = m.lookup(&key); u64 n = v ? *v + 1 : 1; m.update(&key, &n);",
        "u64 n = 1, *v = m.lookup(&key); if (v) n += *v; m.update(&key, &n);",
    ] {
        check(LINT, &probe("BPF_HASH(m, u32)", PROCESS, body), &[], &["m.update(&key, &n)"]);
    }
}

#[test]
fn what_cannot_lose_counts() {
    for (map, key, body) in [
        ("BPF_HASH(m, u32)", PROCESS, "u64 *v = m.lookup(&key); if (v) __sync_fetch_and_add(v, 1);"),
        ("BPF_HASH(m, u32)", PROCESS, "u64 *v = m.lookup(&key); if (v) lock_xadd(v, 1);"),
        ("BPF_HASH(m, u32)", PROCESS, "m.increment(key); m.atomic_increment(key);"),
        ("BPF_HASH(m, u32)", PROCESS, "u64 *v = m.lookup(&key); u64 n = v ? *v : 0; n++; return n;"),
        (
            "BPF_HASH(m, u32)",
            PROCESS,
            "u64 n = bpf_ktime_get_ns(), *v = m.lookup(&key); if (v) n -= 1; m.update(&key, &n);",
        ),
        ("BPF_PERCPU_HASH(m, u32)", PROCESS, "u64 *v = m.lookup(&key); if (v) (*v)++;"),
        ("BPF_PERCPU_ARRAY(m, u64)", "int key = 0;", "u64 *v = m.lookup(&key); if (v) (*v)++;"),
        ("BPF_HASH(m, u32)", "u32 key = bpf_get_current_pid_tgid();", "u64 *v = m.lookup(&key); if (v) (*v)++;"),
        ("BPF_HASH(m, u32)", "u32 key = bpf_get_smp_processor_id();", "u64 *v = m.lookup(&key); if (v) (*v)++;"),
        ("BPF_HASH(m, struct file *)", "", "u64 *v = m.lookup(&file); if (v) (*v)++;"),
        ("BPF_HASH(m, u32)", PROCESS, "u64 *v = m.lookup(&key); for (int i = 0; v && i < 3; i++) key++;"),
    ] {
        check(LINT, &probe(map, key, body), &[], &[]);
    }
}

#[test]
fn keys_are_followed_through_structs_and_functions() {
    let text = |key: &str| {
        format!(
            "struct key_t {{ u32 pid; char comm[16]; }};\nBPF_HASH(m, struct key_t);\n\
             static u32 who(void) {{ u64 id = bpf_get_current_pid_tgid(); return {key}; }}\n\
             static void count(struct key_t *key)\n{{\n    u64 *v = m.lookup(key);\n    if (v)\n        (*v)++;\n}}\n\
             int kprobe__vfs_read(struct pt_regs *ctx)\n{{\n    struct key_t key = {{}};\n    key.pid = who();\n\
             \x20   bpf_get_current_comm(&key.comm, sizeof(key.comm));\n    count(&key);\n    return 0;\n}}\n"
        )
    };
    check(LINT, &text("id >> 32"), &[], &["(*v)++"]);
    check(LINT, &text("id"), &[], &[]);
}

#[test]
fn what_to_write_instead() {
    let help = |body: &str| {
        let (_, compiled) = super::compiled(&probe("BPF_HASH(m, u32, struct value_t)", PROCESS, body), &[]);
        compiled.lints[0].diagnostic.help[0].clone()
    };
    let looked = "struct value_t *v = m.lookup(&key); if (v)";
    assert_eq!(help(&format!("{looked} v->n += key;")), "write `__sync_fetch_and_add(&v->n, key)`");
    assert_eq!(help(&format!("{looked} v->m--;")), "write `__sync_fetch_and_add(&v->m, -1)`");
    assert_eq!(help(&format!("{looked} v->n |= 1 << 3;")), "write `__sync_fetch_and_or(&v->n, 1 << 3)`");
    for body in ["v->small++;", "v->bits++;"] {
        assert!(help(&format!("{looked} {body}")).contains("BPF_PERCPU_HASH"), "{body}");
    }
}

#[test]
fn connections_and_queues_are_worked_on_by_one_cpu_at_a_time() {
    let text = |fields: &str| {
        format!(
            "struct key_t {{ u32 from; u32 to; u16 port; u16 other; }};\nBPF_HASH(m, struct key_t);\n\
             TRACEPOINT_PROBE(tcp, tcp_retransmit_skb)\n{{\n    const struct sock *sk = args->skaddr;\n\
             \x20   const struct sk_buff *skb = args->skbaddr;\n    struct key_t key = {{}};\n    {fields}\n\
             \x20   u64 *v = m.lookup(&key);\n    if (v)\n        (*v)++;\n    return skb == 0;\n}}\n"
        )
    };
    let addresses = "key.from = sk->__sk_common.skc_rcv_saddr; key.to = sk->__sk_common.skc_daddr;";
    for serial in [
        "key.port = args->sport; key.other = args->dport;",
        "u16 other = sk->__sk_common.skc_dport; key.port = sk->sk_num; key.other = ntohs(other);",
        "bpf_probe_read_kernel(&key.port, 2, &sk->__sk_common.skc_num); key.other = bpf_ntohs(args->dport);",
        "key.port = skb->queue_mapping;",
    ] {
        check(LINT, &text(&format!("{addresses} {serial}")), &[], &[]);
    }
    for shared in [
        // All connections to a port, all of a port, and ports that are none of a socket.
        "key.other = args->dport;",
        "key.port = sk->__sk_common.skc_num;",
        "key.port = args->state; key.other = args->family;",
    ] {
        check(LINT, &text(&format!("{addresses} {shared}")), &[], &["(*v)++"]);
    }
}
