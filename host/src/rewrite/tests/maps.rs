//! Maps and their methods.

use super::*;

#[test]
fn maps_of_every_macro_compile() {
    let text = "struct k { u32 a; }; struct v { u64 b; };\n\
                BPF_HASH(h1); BPF_HASH(h2, u32); BPF_HASH(h3, struct k, struct v); BPF_HASH(h4, struct k, struct v, 7);\n\
                BPF_PERCPU_HASH(ph1); BPF_PERCPU_HASH(ph4, u32, struct v, 7); BPF_LRU_HASH(lru, u32, u64);\n\
                BPF_ARRAY(a1); BPF_ARRAY(a2, u32); BPF_ARRAY(a3, struct v, 3); BPF_PERCPU_ARRAY(pa, u64, 3);\n\
                BPF_HISTOGRAM(i1); BPF_HISTOGRAM(i2, struct k); BPF_HISTOGRAM(i3, struct k, 100);\n\
                BPF_LPM_TRIE(trie, struct v, u32); BPF_STACK_TRACE(stacks, 10); BPF_PERF_OUTPUT(out);\n\
                BPF_RINGBUF_OUTPUT(ring, 8); BPF_PERF_ARRAY(counters, 4); BPF_CGROUP_ARRAY(groups, 4);\n\
                BPF_PROG_ARRAY(progs, 4); BPF_QUEUE(queue, struct v, 8); BPF_STACK(stack, u32, 8);\n\
                BPF_HASH(inner, u32, u64, 16); BPF_ARRAY_OF_MAPS(outer, \"inner\", 4); BPF_HASH_OF_MAPS(outer2, u32, \"inner\", 4);\n\
                BPF_SK_STORAGE(per_socket, u64); BPF_TASK_STORAGE(per_task, u64); BPF_DEVMAP(devices, 4);\n\
                BPF_CPUMAP(cpus, 4); BPF_XSKMAP(sockets, 4); BPF_SOCKMAP(sock_map, 4); BPF_SOCKHASH(sock_hash, u32, 4);\n\
                BPF_TABLE(\"percpu_hash\", u32, u64, table, 9); BPF_F_TABLE(\"hash\", u32, u64, flagged, 9, 1);\n";
    let facts = rewritten(text, &[]).expect("it is good").facts;
    assert_eq!(facts.maps.len(), 35);
}

#[test]
fn methods_become_helpers() {
    insta::assert_snapshot!(changed(
        "BPF_HASH(counts, u32, u64); BPF_HISTOGRAM(slots); BPF_QUEUE(queue, u64, 8); BPF_RINGBUF_OUTPUT(ring, 8);\n\
         static void helper(u32 key) { u64 zero = 0; (*counts.lookup_or_init(&key, &zero))++; }\n\
         int kprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         u32 key = 1; u64 one = 1, *found;\n\
         found = counts.lookup(&key);\n\
         counts.update(&key, &one); counts.insert(&key, &one); counts.delete(&key);\n\
         counts.increment(key); counts.increment(key, 5); counts.atomic_increment(key, one);\n\
         slots.increment(bpf_log2l(one)); queue.push(&one); queue.pop(&one); queue.peek(&one);\n\
         ring.ringbuf_output(&one, sizeof(one), 0);\n\
         found = counts . lookup /* why not */ ( &key\n\
         );\n\
         found = bpf_map_lookup_elem(&counts, &key);\n\
         helper(key);\n\
         return found != 0;\n\
         }\n",
        &[]
    ), @r#"
    __always_inline static void helper(u32 key) { u64 zero = 0; (*dbcc_lookup_or_init_void(counts, 1, &key, &zero))++; }
    static __always_inline int kprobe__vfs_read__body(void *dbcc_ctx, struct pt_regs *ctx)
    found = dbcc_lookup(counts, 1, &key);
    dbcc_update(counts, 1, &key, &one); dbcc_insert(counts, 1, &key, &one); dbcc_delete(counts, 1, &key);
    dbcc_increment(counts, 1, key); dbcc_increment(counts, 1, key, 5); dbcc_atomic_increment(counts, 1, key, one);
    dbcc_increment(slots, 2, bpf_log2l(one)); dbcc_push(queue, 3, &one); dbcc_pop(queue, 3, &one); dbcc_peek(queue, 3, &one);
    dbcc_ringbuf_output(ring, 4, &one, sizeof(one), 0);
    found = dbcc_lookup(counts, 1, &key
    struct dbcc_losses_map dbcc_losses SEC(".maps");
    u64 dbcc_event_0 SEC(".dbcc.types");
    SEC("fentry/vfs_read") int kprobe__vfs_read__fentry(unsigned long long *ctx)
    {
    	struct pt_regs regs = {};

    	regs.__PT_PARM1_REG = ctx[0];
    	regs.__PT_PARM2_REG = ctx[1];
    	regs.__PT_PARM3_REG = ctx[2];
    	regs.__PT_PARM4_REG = ctx[3];
    	return kprobe__vfs_read__body(ctx, &regs);
    }
    SEC("kprobe/vfs_read") int kprobe__vfs_read(struct pt_regs *ctx)
    {
    	return kprobe__vfs_read__body(ctx, (void *)ctx);
    }
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
}
