struct k { u32 a; }; struct v { u64 b; };
typedef struct { u32 pid; char comm[16]; } key_tt;
#define SIZE (4 * 8)
#define MY_MAP(name) BPF_HASH(name, u32, struct v, SIZE)
#define NAME renamed
#define KIND "lru_hash"
BPF_HASH(h1); BPF_HASH(h2, u32); BPF_HASH(h3, struct k, struct v); BPF_HASH(h4, struct k, struct v, 7);
BPF_F_TABLE("hash", u32, u64, flagged, 9, BPF_F_NO_PREALLOC); BPF_TABLE(KIND, u32, u64, by_macro, SIZE * 2);
BPF_TABLE("lru_hash", u32, u64, NAME, 9); BPF_HASH(keyed, key_tt, key_tt); MY_MAP(mine);
BPF_HASH(arrays, char[16], u64[4]); BPF_HASH(pointers, struct task_struct *, void *); BPF_HASH(chars, char, bool);
BPF_HASH(inplace, struct in_place { u32 a; u32 b; }, struct { u64 x; });
BPF_HASH(key, u32, u32); BPF_HASH(value, u32, u32); BPF_HASH(leaf); BPF_HASH(type); BPF_HASH(name); BPF_HASH(loss); BPF_HASH(entries);
BPF_HASH(min); BPF_HASH(bpf_log2); BPF_HASH(m); BPF_HASH(k); BPF_HASH(current); BPF_HASH(start); BPF_ARRAY(lock_xadd);
BPF_ARRAY(a1); BPF_ARRAY(a2, u32); BPF_ARRAY(a3, struct v, 3);
BPF_PERCPU_ARRAY(pa1); BPF_PERCPU_ARRAY(pa2, u32); BPF_PERCPU_ARRAY(pa, u64, 3);
BPF_PERCPU_HASH(ph1); BPF_PERCPU_HASH(ph2, u32); BPF_PERCPU_HASH(ph3, u32, struct v); BPF_PERCPU_HASH(ph4, u32, struct v, 7);
BPF_LRU_HASH(lru1); BPF_LRU_HASH(lru, u32, u64); BPF_TABLE("lru_percpu_hash", u32, u64, lruph, 64);
BPF_LPM_TRIE(trie0); BPF_LPM_TRIE(trie, struct v, u32); BPF_LPM_TRIE(trie4, struct v, u32, 16);
BPF_HISTOGRAM(i1); BPF_HISTOGRAM(i2, struct k); BPF_HISTOGRAM(i3, struct k, 100); BPF_TABLE("histogram", int, u64, i4, 64);
BPF_STACK_TRACE(stacks, 10); BPF_STACK_TRACE_BUILDID(build_ids, 1000);
BPF_PERF_ARRAY(counters, 4); BPF_PERF_OUTPUT(out); BPF_RINGBUF_OUTPUT(ring, 8); BPF_PROG_ARRAY(progs, 4); BPF_CGROUP_ARRAY(groups, 4);
BPF_QUEUE(queue, struct v, 8); BPF_QUEUE(queue4, struct v, 8, 0); BPF_STACK(stack, u32, 8); BPF_STACK(stack4, u32, 8, 0);
BPF_QUEUESTACK("queue", qs, u64, 10, 0); BPF_QUEUESTACK_PUBLIC("stack", qsp, u64, 10, 0); BPF_QUEUESTACK_SHARED("queue", qss, u64, 10, 0);
BPF_ARRAY_OF_MAPS(before, "inner", 4);
BPF_HASH(inner, u32, u64, 16); BPF_ARRAY(inner_array, struct v, 3);
BPF_HASH_OF_MAPS(outer2, "inner"); BPF_HASH_OF_MAPS(outer3, u32, "inner_array"); BPF_HASH_OF_MAPS(outer4, struct k, "inner", 4);
BPF_SK_STORAGE(per_socket, u64); BPF_TASK_STORAGE(per_task, struct v); BPF_CGROUP_STORAGE(per_cgroup, u64); BPF_PERCPU_CGROUP_STORAGE(per_cpu_cgroup, u64);
BPF_INODE_STORAGE(per_inode, u64);
BPF_DEVMAP(devices, 4); BPF_DEVMAP_HASH(devices_hash, 4); BPF_CPUMAP(cpus, 4); BPF_XSKMAP(sockets, 4); BPF_SOCKMAP(sock_map, 4);
BPF_SOCKHASH(sh1); BPF_SOCKHASH(sh2, u64); BPF_SOCKHASH(sock_hash, u32, 4);
BPF_TABLE("percpu_hash", u32, u64, table, 9); BPF_TABLE_PUBLIC("hash", u32, u64, pub, 9); BPF_TABLE_SHARED("array", int, u64, shared, 9);
BPF_TABLE7("hash", u32, u64, seven, 9, 0);

int raw_tracepoint__sys_enter(void *ctx)
{
	u32 one = 1;
	struct v v = {};
	void *in = before.lookup(&(int){0});

	if (in)
		bpf_map_update_elem(in, &one, &v, 0);
	h4.update(&(struct k){one}, &(struct v){ .b = 1, });
	return 0;
}
