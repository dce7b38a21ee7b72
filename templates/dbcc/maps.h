/* BCC's map declarations. Compiled, each is a map as libbpf declares them, in the section ".maps". Parsed (DBCC_PARSE),
 * each is an object with the methods of BCC's maps as typed members, so that clang itself checks their arguments, and
 * an annotation that tells rewriting what it is. Numbers of map types and flags: enum bpf_map_type and BPF_F_... of
 * include/uapi/linux/bpf.h; they are part of the kernel's ABI. */
#pragma once

/* The number of arguments picks the macro: DBCC_PICK(NAME, 1 to 8 arguments...) is NAME_1 to NAME_8 of them. */
#define DBCC_COUNT_(_1, _2, _3, _4, _5, _6, _7, _8, n, ...) n
#define DBCC_COUNT(...) DBCC_COUNT_(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define DBCC_JOIN_(a, b) a##_##b
#define DBCC_JOIN(a, b) DBCC_JOIN_(a, b)
#define DBCC_PICK(name, ...) DBCC_JOIN(name, DBCC_COUNT(__VA_ARGS__))(__VA_ARGS__)

/* The name that BCC gives a map type, as a number; -1, which is no size of an array, where there is no such name. Behind
 * the name may stand `:` and the path of a pin, or `$` and the name of an inner map. The type of a map that is declared
 * elsewhere is known when it is found; until then it is a hash. */
#define DBCC_IS(name, type, number, otherwise)                                                                         \
	__builtin_strcmp(name, type) == 0 || __builtin_strncmp(name, type ":", sizeof(type)) == 0 ||                   \
		__builtin_strncmp(name, type "$", sizeof(type)) == 0 ? (number) : (otherwise)
#define DBCC_MAP_TYPE(name)                                                                                            \
	(DBCC_IS(name, "hash", 1,                                                                                      \
	 DBCC_IS(name, "array", 2,                                                                                     \
	 DBCC_IS(name, "prog", 3,                                                                                      \
	 DBCC_IS(name, "perf_output", 4,                                                                               \
	 DBCC_IS(name, "perf_array", 4,                                                                                \
	 DBCC_IS(name, "percpu_hash", 5,                                                                               \
	 DBCC_IS(name, "percpu_array", 6,                                                                              \
	 DBCC_IS(name, "stacktrace", 7,                                                                                \
	 DBCC_IS(name, "cgroup_array", 8,                                                                              \
	 DBCC_IS(name, "lru_hash", 9,                                                                                  \
	 DBCC_IS(name, "lru_percpu_hash", 10,                                                                          \
	 DBCC_IS(name, "lpm_trie", 11,                                                                                 \
	 DBCC_IS(name, "array_of_maps", 12,                                                                            \
	 DBCC_IS(name, "hash_of_maps", 13,                                                                             \
	 DBCC_IS(name, "devmap", 14,                                                                                   \
	 DBCC_IS(name, "sockmap", 15,                                                                                  \
	 DBCC_IS(name, "cpumap", 16,                                                                                   \
	 DBCC_IS(name, "xskmap", 17,                                                                                   \
	 DBCC_IS(name, "sockhash", 18,                                                                                 \
	 DBCC_IS(name, "cgroup_storage", 19,                                                                           \
	 DBCC_IS(name, "percpu_cgroup_storage", 21,                                                                    \
	 DBCC_IS(name, "queue", 22,                                                                                    \
	 DBCC_IS(name, "stack", 23,                                                                                    \
	 DBCC_IS(name, "sk_storage", 24,                                                                               \
	 DBCC_IS(name, "devmap_hash", 25,                                                                              \
	 DBCC_IS(name, "ringbuf", 27,                                                                                  \
	 DBCC_IS(name, "inode_storage", 28,                                                                            \
	 DBCC_IS(name, "task_storage", 29,                                                                             \
	 DBCC_IS(name, "extern", 1, -1))))))))))))))))))))))))))))))
/* Slots of a histogram that are plain numbers make an array; slots with a key beside them a hash. */
#define DBCC_TYPE_OF(name, K)                                                                                          \
	DBCC_IS(name, "histogram", __builtin_types_compatible_p(K, int) ? 2 : 1, DBCC_MAP_TYPE(name))

/* What the kernel demands: tries and local storages take no preallocated entries (BPF_F_NO_PREALLOC). */
#define DBCC_NO_PREALLOC(number) ((number) == 11 || (number) == 24 || (number) == 28 || (number) == 29)
#define DBCC_MAP_FLAGS(number, flags) ((flags) | (DBCC_NO_PREALLOC(number) ? 1 : 0))
/* Local storages count no entries. */
#define DBCC_IS_STORAGE(number)                                                                                        \
	((number) == 19 || (number) == 21 || (number) == 24 || (number) == 28 || (number) == 29)
#define DBCC_MAP_ENTRIES(number, entries) (DBCC_IS_STORAGE(number) ? 0 : (entries))

/* A type may be defined where the map is declared, so that it may be written out only once. */
#define DBCC_NAME_TYPES(name, K, V)                                                                                    \
	typedef typeof(K) dbcc_key_##name;                                                                             \
	typedef typeof(V) dbcc_leaf_##name

#ifdef DBCC_PARSE

/* The members are those of BCC's own table types. Which of them a map of some type has is known to rewriting. */
#define DBCC_METHODS(K, V)                                                                                             \
	K key;                                                                                                         \
	V leaf;                                                                                                        \
	V *(*lookup)(const K *);                                                                                       \
	V *(*lookup_or_init)(const K *, const V *);                                                                    \
	V *(*lookup_or_try_init)(const K *, const V *);                                                                \
	int (*update)(const K *, const V *);                                                                           \
	int (*insert)(const K *, const V *);                                                                           \
	int (*delete)(const K *);                                                                                      \
	void (*increment)(K, ...);                                                                                     \
	void (*atomic_increment)(K, ...);                                                                              \
	int (*perf_submit)(void *, void *, __u32);                                                                     \
	int (*perf_submit_skb)(void *, __u32, void *, __u32);                                                          \
	__u64 (*perf_read)(__u64);                                                                                     \
	int (*perf_counter_value)(__u64, void *, __u32);                                                               \
	int (*get_stackid)(void *, __u64);                                                                             \
	void (*call)(void *, int);                                                                                     \
	int (*check_current_task)(int);                                                                                \
	int (*push)(const V *, ...);                                                                                   \
	int (*pop)(V *);                                                                                               \
	int (*peek)(V *);                                                                                              \
	int (*redirect_map)(__u64, __u64);                                                                             \
	int (*sock_map_update)(void *, void *, __u64);                                                                 \
	int (*sock_hash_update)(void *, void *, __u64);                                                                \
	int (*msg_redirect_map)(void *, __u32, __u64);                                                                 \
	int (*msg_redirect_hash)(void *, void *, __u64);                                                               \
	int (*sk_redirect_map)(void *, __u32, __u64);                                                                  \
	int (*sk_redirect_hash)(void *, void *, __u64);                                                                \
	V *(*sk_storage_get)(void *, void *, __u64);                                                                   \
	int (*sk_storage_delete)(void *);                                                                              \
	V *(*inode_storage_get)(void *, void *, __u64);                                                                \
	int (*inode_storage_delete)(void *);                                                                           \
	V *(*task_storage_get)(void *, void *, __u64);                                                                 \
	int (*task_storage_delete)(void *);                                                                            \
	V *(*get_local_storage)(__u64);                                                                                \
	int (*ringbuf_output)(void *, __u64, __u64);                                                                   \
	void *(*ringbuf_reserve)(__u64);                                                                               \
	void (*ringbuf_submit)(void *, __u64);                                                                         \
	void (*ringbuf_discard)(void *, __u64);                                                                        \
	__u64 (*ringbuf_query)(__u64);

/* The sizes of the last members fail to be constants, or are negative, where the arguments are wrong. */
#define DBCC_DECLARE(type, number, K, V, name, entries, flags)                                                         \
	DBCC_NAME_TYPES(name, K, V);                                                                                   \
	struct dbcc_table_##name {                                                                                     \
		DBCC_METHODS(dbcc_key_##name, dbcc_leaf_##name)                                                        \
		int dbcc_type[number];                                                                                 \
		int dbcc_entries[(entries) + 1];                                                                       \
		int dbcc_flags[(flags) + 1];                                                                           \
	};                                                                                                             \
	struct dbcc_table_##name name __attribute__((annotate("dbcc:map:" type)))
#define DBCC_DECLARE_BARE(type, number, V, name, entries, flags)                                                       \
	DBCC_DECLARE(type, number, int, V, name, entries, flags)
#define DBCC_DECLARE_RING(name, bytes) DBCC_DECLARE("ringbuf", 27, int, char, name, bytes, 0)
#define DBCC_DECLARE_NEST(type, number, K, inner, name, entries)                                                       \
	DBCC_DECLARE(type "$" inner, number, K, int, name, entries, 0)
#define DBCC_HISTOGRAM(name, K, int_entries, other_entries)                                                            \
	DBCC_DECLARE("histogram", 1, K, __u64, name, (int_entries) + (other_entries), 0)

#else

#define DBCC_DECLARE(type_, number, K, V, name, entries, flags)                                                        \
	DBCC_NAME_TYPES(name, K, V);                                                                                   \
	enum { dbcc_type_##name = (number) };                                                                          \
	struct {                                                                                                       \
		__uint(type, dbcc_type_##name);                                                                        \
		__uint(max_entries, DBCC_MAP_ENTRIES(dbcc_type_##name, entries));                                      \
		__uint(map_flags, DBCC_MAP_FLAGS(dbcc_type_##name, flags));                                            \
		__type(key, dbcc_key_##name);                                                                          \
		__type(value, dbcc_leaf_##name);                                                                       \
	} name SEC(".maps")
/* A map without keys. */
#define DBCC_DECLARE_BARE(type_, number, V, name, entries, flags)                                                      \
	struct {                                                                                                       \
		__uint(type, number);                                                                                  \
		__uint(max_entries, entries);                                                                          \
		__uint(map_flags, flags);                                                                              \
		__type(value, V);                                                                                      \
	} name SEC(".maps")
#define DBCC_DECLARE_RING(name, bytes)                                                                                 \
	struct {                                                                                                       \
		__uint(type, 27);                                                                                      \
		__uint(max_entries, bytes);                                                                            \
	} name SEC(".maps")
/* Rewriting appends the declaration of struct dbcc_inner_NAME, which is that of the inner map. */
#define DBCC_DECLARE_NEST(type_, number, K, inner, name, entries)                                                      \
	struct dbcc_inner_##name;                                                                                      \
	struct {                                                                                                       \
		__uint(type, number);                                                                                  \
		__uint(max_entries, entries);                                                                          \
		__type(key, K);                                                                                        \
		__array(values, struct dbcc_inner_##name);                                                             \
	} name SEC(".maps")
#define DBCC_HISTOGRAM(name, K, int_entries, other_entries)                                                            \
	DBCC_NAME_TYPES(name, K, __u64);                                                                               \
	struct {                                                                                                       \
		__uint(type, __builtin_types_compatible_p(dbcc_key_##name, int) ? 2 : 1);                              \
		__uint(max_entries, __builtin_types_compatible_p(dbcc_key_##name, int) ? (int_entries) : (other_entries)); \
		__type(key, dbcc_key_##name);                                                                          \
		__type(value, __u64);                                                                                  \
	} name SEC(".maps")

#endif

/* BPF_TABLE("type", key type, value type, name, entries) */
#define BPF_TABLE(type, K, V, name, entries) DBCC_TABLE(type, K, V, name, entries, 0)
#define BPF_F_TABLE(type, K, V, name, entries, flags) DBCC_TABLE(type, K, V, name, entries, flags)
#define BPF_TABLE7(type, K, V, name, entries, flags) DBCC_TABLE(type, K, V, name, entries, flags)
#define DBCC_TABLE(type, K, V, name, entries, flags)                                                                   \
	DBCC_DECLARE(type, DBCC_TYPE_OF(type, dbcc_key_##name), K, V, name, entries, flags)
/* What others may use lies in the file system of BPF: these are plain maps. */
#define BPF_TABLE_PUBLIC(type, K, V, name, entries) DBCC_TABLE(type, K, V, name, entries, 0)
#define BPF_TABLE_SHARED(type, K, V, name, entries) DBCC_TABLE(type, K, V, name, entries, 0)
/* BPF_TABLE_PINNED("type", key type, value type, name, entries, "path", flags = 0) */
#define BPF_TABLE_PINNED(...) DBCC_PICK(BPF_TABLE_PINNED, __VA_ARGS__)
#define BPF_TABLE_PINNED_6(type, K, V, name, entries, path) DBCC_TABLE(type ":" path, K, V, name, entries, 0)
#define BPF_TABLE_PINNED_7(type, K, V, name, entries, path, flags)                                                     \
	DBCC_TABLE(type ":" path, K, V, name, entries, flags)
#define BPF_TABLE_PINNED6(type, K, V, name, entries, path) BPF_TABLE_PINNED_6(type, K, V, name, entries, path)
#define BPF_TABLE_PINNED7(type, K, V, name, entries, path, flags)                                                      \
	BPF_TABLE_PINNED_7(type, K, V, name, entries, path, flags)

/* BPF_HASH(name, key type = u64, value type = u64, entries = 10240) */
#define BPF_HASH(...) DBCC_PICK(BPF_HASH, __VA_ARGS__)
#define BPF_HASH_1(name) BPF_HASH_4(name, __u64, __u64, 10240)
#define BPF_HASH_2(name, K) BPF_HASH_4(name, K, __u64, 10240)
#define BPF_HASH_3(name, K, V) BPF_HASH_4(name, K, V, 10240)
#define BPF_HASH_4(name, K, V, entries) DBCC_DECLARE("hash", 1, K, V, name, entries, 0)

#define BPF_PERCPU_HASH(...) DBCC_PICK(BPF_PERCPU_HASH, __VA_ARGS__)
#define BPF_PERCPU_HASH_1(name) BPF_PERCPU_HASH_4(name, __u64, __u64, 10240)
#define BPF_PERCPU_HASH_2(name, K) BPF_PERCPU_HASH_4(name, K, __u64, 10240)
#define BPF_PERCPU_HASH_3(name, K, V) BPF_PERCPU_HASH_4(name, K, V, 10240)
#define BPF_PERCPU_HASH_4(name, K, V, entries) DBCC_DECLARE("percpu_hash", 5, K, V, name, entries, 0)

#define BPF_LRU_HASH(...) DBCC_PICK(BPF_LRU_HASH, __VA_ARGS__)
#define BPF_LRU_HASH_1(name) BPF_LRU_HASH_4(name, __u64, __u64, 10240)
#define BPF_LRU_HASH_2(name, K) BPF_LRU_HASH_4(name, K, __u64, 10240)
#define BPF_LRU_HASH_3(name, K, V) BPF_LRU_HASH_4(name, K, V, 10240)
#define BPF_LRU_HASH_4(name, K, V, entries) DBCC_DECLARE("lru_hash", 9, K, V, name, entries, 0)

#define BPF_LPM_TRIE(...) DBCC_PICK(BPF_LPM_TRIE, __VA_ARGS__)
#define BPF_LPM_TRIE_1(name) BPF_LPM_TRIE_4(name, __u64, __u64, 10240)
#define BPF_LPM_TRIE_2(name, K) BPF_LPM_TRIE_4(name, K, __u64, 10240)
#define BPF_LPM_TRIE_3(name, K, V) BPF_LPM_TRIE_4(name, K, V, 10240)
#define BPF_LPM_TRIE_4(name, K, V, entries) DBCC_DECLARE("lpm_trie", 11, K, V, name, entries, 0)

/* BPF_ARRAY(name, value type = u64, entries = 10240) */
#define BPF_ARRAY(...) DBCC_PICK(BPF_ARRAY, __VA_ARGS__)
#define BPF_ARRAY_1(name) BPF_ARRAY_3(name, __u64, 10240)
#define BPF_ARRAY_2(name, V) BPF_ARRAY_3(name, V, 10240)
#define BPF_ARRAY_3(name, V, entries) DBCC_DECLARE("array", 2, int, V, name, entries, 0)

#define BPF_PERCPU_ARRAY(...) DBCC_PICK(BPF_PERCPU_ARRAY, __VA_ARGS__)
#define BPF_PERCPU_ARRAY_1(name) BPF_PERCPU_ARRAY_3(name, __u64, 10240)
#define BPF_PERCPU_ARRAY_2(name, V) BPF_PERCPU_ARRAY_3(name, V, 10240)
#define BPF_PERCPU_ARRAY_3(name, V, entries) DBCC_DECLARE("percpu_array", 6, int, V, name, entries, 0)

/* BPF_HISTOGRAM(name, key type = int, entries = 64). BCC's 64 entries are too few where the key is a struct, one entry
 * for each slot and key: then the default is that of BPF_HASH. */
#define BPF_HISTOGRAM(...) DBCC_PICK(BPF_HISTOGRAM, __VA_ARGS__)
#define BPF_HISTOGRAM_1(name) DBCC_HISTOGRAM(name, int, 64, 64)
#define BPF_HISTOGRAM_2(name, K) DBCC_HISTOGRAM(name, K, 64, 10240)
#define BPF_HISTOGRAM_3(name, K, entries) DBCC_HISTOGRAM(name, K, entries, entries)

/* The CPU that the program runs on, for perf_read() and perf_counter_value(): BPF_F_CURRENT_CPU. */
#define CUR_CPU_IDENTIFIER 0xffffffffULL

/* Events for user space. libbpf makes as many entries as there are CPUs. */
#define BPF_PERF_OUTPUT(name) DBCC_DECLARE("perf_output", 4, int, __u32, name, 0, 0)
/* The same by a ring buffer, where rewriting has found that nothing else is done with it. Loading sets its size. */
#define DBCC_RING_OUTPUT(name) DBCC_DECLARE_RING(name, 1 << 20)
/* BPF_RINGBUF_OUTPUT(name, pages of memory, a power of two) */
#define BPF_RINGBUF_OUTPUT(name, pages) DBCC_DECLARE_RING(name, (pages) << PAGE_SHIFT)

#define BPF_PERF_ARRAY(name, entries) DBCC_DECLARE("perf_array", 4, int, __u32, name, entries, 0)
#define BPF_CGROUP_ARRAY(name, entries) DBCC_DECLARE("cgroup_array", 8, int, __u32, name, entries, 0)
#define BPF_PROG_ARRAY(name, entries) DBCC_DECLARE("prog", 3, __u32, __u32, name, entries, 0)

/* PERF_MAX_STACK_DEPTH frames, as the sysctl kernel.perf_event_max_stack has it by default. */
#define BPF_MAX_STACK_DEPTH 127
struct bpf_stacktrace {
	__u64 ip[BPF_MAX_STACK_DEPTH];
};
#define BPF_STACK_TRACE(name, entries) DBCC_DECLARE("stacktrace", 7, int, struct bpf_stacktrace, name, entries, 0)
/* Each frame is the build ID of a file and an offset in it (BPF_F_STACK_BUILD_ID, 32). */
#define BPF_STACK_TRACE_BUILDID(name, entries)                                                                         \
	DBCC_DECLARE("stacktrace", 7, int, struct bpf_stack_build_id[BPF_MAX_STACK_DEPTH], name, entries, 32)

/* BPF_QUEUE(name, value type, entries, flags = 0) */
#define BPF_QUEUE(...) DBCC_PICK(BPF_QUEUE, __VA_ARGS__)
#define BPF_QUEUE_3(name, V, entries) BPF_QUEUE_4(name, V, entries, 0)
#define BPF_QUEUE_4(name, V, entries, flags) DBCC_DECLARE_BARE("queue", 22, V, name, entries, flags)
#define BPF_STACK(...) DBCC_PICK(BPF_STACK, __VA_ARGS__)
#define BPF_STACK_3(name, V, entries) BPF_STACK_4(name, V, entries, 0)
#define BPF_STACK_4(name, V, entries, flags) DBCC_DECLARE_BARE("stack", 23, V, name, entries, flags)
/* BPF_QUEUESTACK("queue" or "stack", name, value type, entries, flags) */
#define BPF_QUEUESTACK(type, name, V, entries, flags)                                                                  \
	DBCC_DECLARE_BARE(type, DBCC_MAP_TYPE(type), V, name, entries, flags)
#define BPF_QUEUESTACK_PUBLIC(type, name, V, entries, flags)                                                           \
	DBCC_DECLARE_BARE(type, DBCC_MAP_TYPE(type), V, name, entries, flags)
#define BPF_QUEUESTACK_SHARED(type, name, V, entries, flags)                                                           \
	DBCC_DECLARE_BARE(type, DBCC_MAP_TYPE(type), V, name, entries, flags)
#define BPF_QUEUESTACK_PINNED(type, name, V, entries, flags, path)                                                     \
	DBCC_DECLARE_BARE(type ":" path, DBCC_MAP_TYPE(type), V, name, entries, flags)

/* The inner map is named by a string. */
#define BPF_ARRAY_OF_MAPS(name, inner, entries) DBCC_DECLARE_NEST("array_of_maps", 12, int, inner, name, entries)
#define BPF_HASH_OF_MAPS(...) DBCC_PICK(BPF_HASH_OF_MAPS, __VA_ARGS__)
#define BPF_HASH_OF_MAPS_2(name, inner) BPF_HASH_OF_MAPS_4(name, int, inner, 10240)
#define BPF_HASH_OF_MAPS_3(name, K, inner) BPF_HASH_OF_MAPS_4(name, K, inner, 10240)
#define BPF_HASH_OF_MAPS_4(name, K, inner, entries) DBCC_DECLARE_NEST("hash_of_maps", 13, K, inner, name, entries)

#define BPF_SK_STORAGE(name, V) DBCC_DECLARE("sk_storage", 24, int, V, name, 0, 0)
#define BPF_INODE_STORAGE(name, V) DBCC_DECLARE("inode_storage", 28, int, V, name, 0, 0)
#define BPF_TASK_STORAGE(name, V) DBCC_DECLARE("task_storage", 29, int, V, name, 0, 0)
#define BPF_CGROUP_STORAGE(name, V)                                                                                    \
	DBCC_DECLARE("cgroup_storage", 19, struct bpf_cgroup_storage_key, V, name, 0, 0)
#define BPF_PERCPU_CGROUP_STORAGE(name, V)                                                                             \
	DBCC_DECLARE("percpu_cgroup_storage", 21, struct bpf_cgroup_storage_key, V, name, 0, 0)

#define BPF_DEVMAP(name, entries) DBCC_DECLARE("devmap", 14, __u32, int, name, entries, 0)
#define BPF_DEVMAP_HASH(name, entries) DBCC_DECLARE("devmap_hash", 25, __u32, int, name, entries, 0)
#define BPF_CPUMAP(name, entries) DBCC_DECLARE("cpumap", 16, __u32, __u32, name, entries, 0)
#define BPF_XSKMAP(...) DBCC_PICK(BPF_XSKMAP, __VA_ARGS__)
#define BPF_XSKMAP_2(name, entries) DBCC_DECLARE("xskmap", 17, __u32, int, name, entries, 0)
#define BPF_XSKMAP_3(name, entries, path) DBCC_DECLARE("xskmap:" path, 17, __u32, int, name, entries, 0)
#define BPF_SOCKMAP(name, entries) DBCC_DECLARE("sockmap", 15, __u32, int, name, entries, 0)
#define BPF_SOCKHASH(...) DBCC_PICK(BPF_SOCKHASH, __VA_ARGS__)
#define BPF_SOCKHASH_1(name) BPF_SOCKHASH_3(name, __u32, 10240)
#define BPF_SOCKHASH_2(name, K) BPF_SOCKHASH_3(name, K, 10240)
#define BPF_SOCKHASH_3(name, K, entries) DBCC_DECLARE("sockhash", 18, K, int, name, entries, 0)
