// One map of each family, at each send; the number of bytes says what is done.
//@ interval 1h
//@ fill limits[1] = 0x64
//@ fill clocks = software:cpu-clock
//@ fill nest[7] = second_inner
struct prefix {
    u32 prefixlen;
    u8 data[4];
};
struct large {
    u64 count;
    char text[4096];
};

BPF_QUEUE(waiting, u64, 8);
BPF_STACK(piled, u64, 8);
BPF_LPM_TRIE(routes, struct prefix, u32, 16);
BPF_LRU_HASH(recent, u32, u64, 16);
BPF_PERCPU_ARRAY(per_cpu, u64, 1);
BPF_PERCPU_ARRAY(scratch, struct large, 1);
BPF_TABLE("lru_percpu_hash", u32, u64, per_cpu_recent, 16);
BPF_HISTOGRAM(sizes);
BPF_ARRAY(limits, u32, 2);
BPF_PERF_ARRAY(clocks, 1024);
BPF_HASH(inner, u32, u64, 4);
BPF_HASH(second_inner, u32, u64, 4);
BPF_HASH_OF_MAPS(nest, u32, "inner", 4);
BPF_TASK_STORAGE(per_task, u64);
BPF_HASH(found, u32, u64);
BPF_HASH(ticks, u32, u64);

static inline void note(u32 what, u64 value)
{
    found.update(&what, &value);
}

TRACEPOINT_PROBE(sock, sock_send_length)
{
    u64 size = args->ret, *count, popped = 0;
    u32 zero = 0, seven = 7, key = size;
    struct prefix net = {.prefixlen = 16, .data = {10, 1}}, host = {.prefixlen = 32, .data = {10, 1, 2, 3}};
    void *map;

    if (FILTER_PID)
        return 0;
    waiting.push(&size);
    if (piled.push(&size) < 0)
        piled.push(&size, BPF_EXIST);
    if (size == 30 && waiting.pop(&popped) == 0)
        note(1, popped);
    if (size == 30 && piled.peek(&popped) == 0)
        note(2, popped);

    routes.update(&net, &(u32){16});
    u32 *route = routes.lookup(&host);
    note(3, route ? *route : 0);
    net.data[1] = 9;
    note(4, routes.lookup(&net) != NULL);

    recent.increment(key);
    per_cpu.increment(0, 2);
    per_cpu_recent.atomic_increment(1, 3);
    sizes.increment(bpf_log2l(size));

    struct large *large = scratch.lookup(&zero);
    if (large) {
        large->count++;
        large->text[size & 4095] = 'x';
        note(5, large->text[size & 4095] == 'x');
    }

    u32 one = 1, *limit = limits.lookup(&one);
    note(6, limit ? *limit : 0);

    ticks.update(&zero, &(u64){clocks.perf_read(CUR_CPU_IDENTIFIER)});

    map = nest.lookup(&seven);
    if (map)
        bpf_map_update_elem(map, &key, &size, BPF_ANY);

    count = per_task.task_storage_get(bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (count)
        note(7, ++*count);
    return 0;
}
