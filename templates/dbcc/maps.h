/* BCC's map declarations. Compiled, each is a map as libbpf declares them, in the section ".maps". Parsed (DBCC_PARSE),
 * each is an object with the methods of BCC's maps as typed members, so that clang itself checks their arguments, and
 * an annotation that tells rewriting what it is. Numbers of map types and flags: enum bpf_map_type and BPF_F_... of
 * include/uapi/linux/bpf.h; they are part of the kernel's ABI. */
#pragma once

/* The number of arguments picks the macro: DBCC_PICK(NAME, 1 to 4 arguments...) is NAME_1 to NAME_4 of them. */
#define DBCC_COUNT_(_1, _2, _3, _4, n, ...) n
#define DBCC_COUNT(...) DBCC_COUNT_(__VA_ARGS__, 4, 3, 2, 1, 0)
#define DBCC_JOIN_(a, b) a##_##b
#define DBCC_JOIN(a, b) DBCC_JOIN_(a, b)
#define DBCC_PICK(name, ...) DBCC_JOIN(name, DBCC_COUNT(__VA_ARGS__))(__VA_ARGS__)

/* The name that BCC gives a map type, as a number; -1, which is no size of an array, where there is no such name. */
#define DBCC_IS(name, type, number, otherwise) __builtin_strcmp(name, type) == 0 ? (number) : (otherwise)
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
	 DBCC_IS(name, "devmap", 14,                                                                                   \
	 DBCC_IS(name, "sockmap", 15,                                                                                  \
	 DBCC_IS(name, "cpumap", 16,                                                                                   \
	 DBCC_IS(name, "xskmap", 17,                                                                                   \
	 DBCC_IS(name, "sockhash", 18,                                                                                 \
	 DBCC_IS(name, "sk_storage", 24,                                                                               \
	 DBCC_IS(name, "inode_storage", 28,                                                                            \
	 DBCC_IS(name, "task_storage", 29, -1)))))))))))))))))))))

/* What the kernel demands: tries and local storages take no preallocated entries (BPF_F_NO_PREALLOC). */
#define DBCC_MAP_FLAGS(name, flags)                                                                                    \
	((flags) | (DBCC_MAP_TYPE(name) == 11 || DBCC_MAP_TYPE(name) >= 24 ? 1 : 0))
/* Local storages count no entries. */
#define DBCC_MAP_ENTRIES(name, entries) (DBCC_MAP_TYPE(name) >= 24 ? 0 : (entries))

#ifdef DBCC_PARSE

/* The members are those of BCC's own table types. Which of them a map of some type has is known to rewriting. */
#define DBCC_METHODS(K, V)                                                                                             \
	typeof(K) key;                                                                                                 \
	typeof(V) leaf;                                                                                                \
	typeof(V) *(*lookup)(typeof(K) *);                                                                             \
	typeof(V) *(*lookup_or_init)(typeof(K) *, typeof(V) *);                                                        \
	typeof(V) *(*lookup_or_try_init)(typeof(K) *, typeof(V) *);                                                    \
	int (*update)(typeof(K) *, typeof(V) *);                                                                       \
	int (*insert)(typeof(K) *, typeof(V) *);                                                                       \
	int (*delete)(typeof(K) *);                                                                                    \
	void (*increment)(typeof(K), ...);                                                                             \
	void (*atomic_increment)(typeof(K), ...);                                                                      \
	int (*perf_submit)(void *, void *, __u32);                                                                     \
	int (*perf_submit_skb)(void *, __u32, void *, __u32);                                                          \
	__u64 (*perf_read)(__u64);                                                                                     \
	int (*perf_counter_value)(__u64, void *, __u32);                                                               \
	int (*get_stackid)(void *, __u64);                                                                             \
	void (*call)(void *, int);                                                                                     \
	int (*check_current_task)(int);                                                                                \
	int (*push)(typeof(V) *, ...);                                                                                 \
	int (*pop)(typeof(V) *);                                                                                       \
	int (*peek)(typeof(V) *);                                                                                      \
	int (*redirect_map)(__u64, __u64);                                                                             \
	int (*sock_map_update)(void *, typeof(K) *, __u64);                                                            \
	int (*sock_hash_update)(void *, typeof(K) *, __u64);                                                           \
	int (*msg_redirect_hash)(void *, typeof(K) *, __u64);                                                          \
	int (*sk_redirect_hash)(void *, typeof(K) *, __u64);                                                           \
	typeof(V) *(*sk_storage_get)(void *, void *, __u64);                                                           \
	int (*sk_storage_delete)(void *);                                                                              \
	typeof(V) *(*inode_storage_get)(void *, void *, __u64);                                                        \
	int (*inode_storage_delete)(void *);                                                                           \
	typeof(V) *(*task_storage_get)(void *, void *, __u64);                                                         \
	int (*task_storage_delete)(void *);                                                                            \
	typeof(V) *(*get_local_storage)(__u64);                                                                        \
	int (*ringbuf_output)(void *, __u64, __u64);                                                                   \
	void *(*ringbuf_reserve)(__u64);                                                                               \
	void (*ringbuf_submit)(void *, __u64);                                                                         \
	void (*ringbuf_discard)(void *, __u64);                                                                        \
	__u64 (*ringbuf_query)(__u64);

#define DBCC_DECLARE(type, K, V, name, entries, flags)                                                                 \
	struct dbcc_table_##name {                                                                                     \
		DBCC_METHODS(K, V)                                                                                     \
		int dbcc_type[DBCC_MAP_TYPE(type)];                                                                    \
		int dbcc_entries[(entries) + 1];                                                                       \
		int dbcc_flags[(flags) + 1];                                                                           \
	};                                                                                                             \
	struct dbcc_table_##name name __attribute__((annotate("dbcc:map:" type)))
#define DBCC_DECLARE_BARE(type, number, V, name, entries)                                                              \
	struct dbcc_table_##name {                                                                                     \
		DBCC_METHODS(int, V)                                                                                   \
		int dbcc_entries[(entries) + 1];                                                                       \
	};                                                                                                             \
	struct dbcc_table_##name name __attribute__((annotate("dbcc:map:" type)))
#define DBCC_DECLARE_NEST(type, number, K, inner, name, entries)                                                       \
	struct dbcc_table_##name {                                                                                     \
		DBCC_METHODS(K, int)                                                                                   \
		int dbcc_inner[sizeof(inner)];                                                                         \
	};                                                                                                             \
	struct dbcc_table_##name name __attribute__((annotate("dbcc:map:" type)))
#define DBCC_HISTOGRAM(name, K, int_entries, other_entries)                                                            \
	struct dbcc_table_##name {                                                                                     \
		DBCC_METHODS(K, __u64)                                                                                 \
		int dbcc_entries[(int_entries) + (other_entries)];                                                     \
	};                                                                                                             \
	struct dbcc_table_##name name __attribute__((annotate("dbcc:map:histogram")))

#else

#define DBCC_DECLARE(type_, K, V, name, entries, flags)                                                                \
	struct {                                                                                                       \
		__uint(type, DBCC_MAP_TYPE(type_));                                                                    \
		__uint(max_entries, DBCC_MAP_ENTRIES(type_, entries));                                                 \
		__uint(map_flags, DBCC_MAP_FLAGS(type_, flags));                                                       \
		__type(key, K);                                                                                        \
		__type(value, V);                                                                                      \
	} name SEC(".maps")
/* A map without keys: its values are only counted (queue, stack) or have no type of their own (ring buffer). */
#define DBCC_DECLARE_BARE(type_, number, V, name, entries) DBCC_JOIN(DBCC_BARE, number)(V, name, entries)
#define DBCC_BARE_22(V, name, entries) DBCC_BARE_QUEUE(22, V, name, entries)
#define DBCC_BARE_23(V, name, entries) DBCC_BARE_QUEUE(23, V, name, entries)
#define DBCC_BARE_QUEUE(number, V, name, entries)                                                                      \
	struct {                                                                                                       \
		__uint(type, number);                                                                                  \
		__uint(max_entries, entries);                                                                          \
		__type(value, V);                                                                                      \
	} name SEC(".maps")
#define DBCC_BARE_27(V, name, entries)                                                                                 \
	struct {                                                                                                       \
		__uint(type, 27);                                                                                      \
		__uint(max_entries, entries);                                                                          \
	} name SEC(".maps")
#define DBCC_DECLARE_NEST(type_, number, K, inner, name, entries)                                                      \
	struct {                                                                                                       \
		__uint(type, number);                                                                                  \
		__uint(max_entries, entries);                                                                          \
		__type(key, K);                                                                                        \
		__array(values, typeof(inner));                                                                        \
	} name SEC(".maps")
/* Slots that are plain numbers make an array; slots with a key beside them a hash. */
#define DBCC_HISTOGRAM(name, K, int_entries, other_entries)                                                            \
	struct {                                                                                                       \
		__uint(type, __builtin_types_compatible_p(K, int) ? 2 : 1);                                            \
		__uint(max_entries, __builtin_types_compatible_p(K, int) ? (int_entries) : (other_entries));           \
		__type(key, K);                                                                                        \
		__type(value, __u64);                                                                                  \
	} name SEC(".maps")

#endif

/* BPF_TABLE("type", key type, value type, name, entries) */
#define BPF_TABLE(type, K, V, name, entries) DBCC_DECLARE(type, K, V, name, entries, 0)
#define BPF_F_TABLE(type, K, V, name, entries, flags) DBCC_DECLARE(type, K, V, name, entries, flags)

/* BPF_HASH(name, key type = u64, value type = u64, entries = 10240) */
#define BPF_HASH(...) DBCC_PICK(BPF_HASH, __VA_ARGS__)
#define BPF_HASH_1(name) BPF_HASH_4(name, __u64, __u64, 10240)
#define BPF_HASH_2(name, K) BPF_HASH_4(name, K, __u64, 10240)
#define BPF_HASH_3(name, K, V) BPF_HASH_4(name, K, V, 10240)
#define BPF_HASH_4(name, K, V, entries) DBCC_DECLARE("hash", K, V, name, entries, 0)

#define BPF_PERCPU_HASH(...) DBCC_PICK(BPF_PERCPU_HASH, __VA_ARGS__)
#define BPF_PERCPU_HASH_1(name) BPF_PERCPU_HASH_4(name, __u64, __u64, 10240)
#define BPF_PERCPU_HASH_2(name, K) BPF_PERCPU_HASH_4(name, K, __u64, 10240)
#define BPF_PERCPU_HASH_3(name, K, V) BPF_PERCPU_HASH_4(name, K, V, 10240)
#define BPF_PERCPU_HASH_4(name, K, V, entries) DBCC_DECLARE("percpu_hash", K, V, name, entries, 0)

#define BPF_LRU_HASH(...) DBCC_PICK(BPF_LRU_HASH, __VA_ARGS__)
#define BPF_LRU_HASH_1(name) BPF_LRU_HASH_4(name, __u64, __u64, 10240)
#define BPF_LRU_HASH_2(name, K) BPF_LRU_HASH_4(name, K, __u64, 10240)
#define BPF_LRU_HASH_3(name, K, V) BPF_LRU_HASH_4(name, K, V, 10240)
#define BPF_LRU_HASH_4(name, K, V, entries) DBCC_DECLARE("lru_hash", K, V, name, entries, 0)

#define BPF_LPM_TRIE(...) DBCC_PICK(BPF_LPM_TRIE, __VA_ARGS__)
#define BPF_LPM_TRIE_1(name) BPF_LPM_TRIE_4(name, __u64, __u64, 10240)
#define BPF_LPM_TRIE_2(name, K) BPF_LPM_TRIE_4(name, K, __u64, 10240)
#define BPF_LPM_TRIE_3(name, K, V) BPF_LPM_TRIE_4(name, K, V, 10240)
#define BPF_LPM_TRIE_4(name, K, V, entries) DBCC_DECLARE("lpm_trie", K, V, name, entries, 0)

/* BPF_ARRAY(name, value type = u64, entries = 10240) */
#define BPF_ARRAY(...) DBCC_PICK(BPF_ARRAY, __VA_ARGS__)
#define BPF_ARRAY_1(name) BPF_ARRAY_3(name, __u64, 10240)
#define BPF_ARRAY_2(name, V) BPF_ARRAY_3(name, V, 10240)
#define BPF_ARRAY_3(name, V, entries) DBCC_DECLARE("array", int, V, name, entries, 0)

#define BPF_PERCPU_ARRAY(...) DBCC_PICK(BPF_PERCPU_ARRAY, __VA_ARGS__)
#define BPF_PERCPU_ARRAY_1(name) BPF_PERCPU_ARRAY_3(name, __u64, 10240)
#define BPF_PERCPU_ARRAY_2(name, V) BPF_PERCPU_ARRAY_3(name, V, 10240)
#define BPF_PERCPU_ARRAY_3(name, V, entries) DBCC_DECLARE("percpu_array", int, V, name, entries, 0)

/* BPF_HISTOGRAM(name, key type = int, entries = 64). BCC's 64 entries are too few where the key is a struct, one entry
 * for each slot and key: then the default is that of BPF_HASH. */
#define BPF_HISTOGRAM(...) DBCC_PICK(BPF_HISTOGRAM, __VA_ARGS__)
#define BPF_HISTOGRAM_1(name) DBCC_HISTOGRAM(name, int, 64, 64)
#define BPF_HISTOGRAM_2(name, K) DBCC_HISTOGRAM(name, K, 64, 10240)
#define BPF_HISTOGRAM_3(name, K, entries) DBCC_HISTOGRAM(name, K, entries, entries)

/* Events for user space. libbpf makes as many entries as there are CPUs. */
#define BPF_PERF_OUTPUT(name) DBCC_DECLARE("perf_output", int, __u32, name, 0, 0)
/* BPF_RINGBUF_OUTPUT(name, pages of 4096 bytes, a power of two) */
#define BPF_RINGBUF_OUTPUT(name, pages) DBCC_DECLARE_BARE("ringbuf", 27, char, name, (pages) * 4096)

#define BPF_PERF_ARRAY(name, entries) DBCC_DECLARE("perf_array", int, __u32, name, entries, 0)
#define BPF_CGROUP_ARRAY(name, entries) DBCC_DECLARE("cgroup_array", int, __u32, name, entries, 0)
#define BPF_PROG_ARRAY(name, entries) DBCC_DECLARE("prog", __u32, __u32, name, entries, 0)

/* PERF_MAX_STACK_DEPTH frames, as the sysctl kernel.perf_event_max_stack has it by default. */
struct bpf_stacktrace {
	__u64 ip[127];
};
#define BPF_STACK_TRACE(name, entries) DBCC_DECLARE("stacktrace", int, struct bpf_stacktrace, name, entries, 0)

#define BPF_QUEUE(name, V, entries, ...) DBCC_DECLARE_BARE("queue", 22, V, name, entries)
#define BPF_STACK(name, V, entries, ...) DBCC_DECLARE_BARE("stack", 23, V, name, entries)

/* The inner map is named; its declaration stands before. */
#define BPF_ARRAY_OF_MAPS(name, inner, entries) DBCC_DECLARE_NEST("array_of_maps", 12, __u32, inner, name, entries)
#define BPF_HASH_OF_MAPS(...) DBCC_PICK(BPF_HASH_OF_MAPS, __VA_ARGS__)
#define BPF_HASH_OF_MAPS_3(name, inner, entries) BPF_HASH_OF_MAPS_4(name, int, inner, entries)
#define BPF_HASH_OF_MAPS_4(name, K, inner, entries) DBCC_DECLARE_NEST("hash_of_maps", 13, K, inner, name, entries)

#define BPF_SK_STORAGE(name, V) DBCC_DECLARE("sk_storage", int, V, name, 0, 0)
#define BPF_INODE_STORAGE(name, V) DBCC_DECLARE("inode_storage", int, V, name, 0, 0)
#define BPF_TASK_STORAGE(name, V) DBCC_DECLARE("task_storage", int, V, name, 0, 0)

#define BPF_DEVMAP(name, entries) DBCC_DECLARE("devmap", int, int, name, entries, 0)
#define BPF_CPUMAP(name, entries) DBCC_DECLARE("cpumap", int, __u32, name, entries, 0)
#define BPF_XSKMAP(...) DBCC_PICK(BPF_XSKMAP, __VA_ARGS__)
#define BPF_XSKMAP_2(name, entries) DBCC_DECLARE("xskmap", int, int, name, entries, 0)
#define BPF_SOCKMAP(name, entries) DBCC_DECLARE("sockmap", __u32, __u32, name, entries, 0)
#define BPF_SOCKHASH(...) DBCC_PICK(BPF_SOCKHASH, __VA_ARGS__)
#define BPF_SOCKHASH_1(name) BPF_SOCKHASH_3(name, __u32, 10240)
#define BPF_SOCKHASH_2(name, K) BPF_SOCKHASH_3(name, K, 10240)
#define BPF_SOCKHASH_3(name, K, entries) DBCC_DECLARE("sockhash", K, __u32, name, entries, 0)
