/* What the methods of BCC's maps become: m.method(arguments) is dbcc_method(m, loss, arguments). `loss` is the entry of
 * dbcc_losses in which failures of this map are counted: what BCC loses in silence is a number here. */
#pragma once

#ifndef DBCC_PARSE

/* Entry 0: prints for which the ring buffer had no room; entry i + 1: entries or events that the map of index i in
 * Facts::maps had no room for. Defined behind the user's text if it is used. */
struct dbcc_losses_map {
	__uint(type, 2); /* BPF_MAP_TYPE_ARRAY */
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
};
extern struct dbcc_losses_map dbcc_losses;

static __always_inline void dbcc_lost_at(const __u32 *from)
{
	__u64 *count = bpf_map_lookup_elem(&dbcc_losses, from);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline void dbcc_lost(__u32 from)
{
	dbcc_lost_at(&from);
}

/* Passes a result on, and counts it where it is negative. -17 is EEXIST: somebody else has made the entry. */
static __always_inline long dbcc_counted(long result, __u32 loss)
{
	if (result < 0 && result != -17)
		dbcc_lost(loss);
	return result;
}

/* No parameter is called key, value or type: those are members of maps. */
#define dbcc_lookup(m, loss, k) ((typeof((m).value))bpf_map_lookup_elem(&(m), k))
/* The inner map of a key; its type is known to the verifier. */
#define dbcc_lookup_inner(m, loss, k) ((void *)bpf_map_lookup_elem(&(m), k))
#define dbcc_update(m, loss, k, leaf) ((int)dbcc_counted(bpf_map_update_elem(&(m), k, leaf, 0), loss))
#define dbcc_insert(m, loss, k, leaf) ((int)dbcc_counted(bpf_map_update_elem(&(m), k, leaf, 1), loss))
#define dbcc_delete(m, loss, k) ((int)bpf_map_delete_elem(&(m), k))

/* The entry of a key, made with the value `init` if it is missing. Null where the map is full, which is counted. */
#define dbcc_lookup_or_try_init(m, loss, k, init)                                                                    \
	({                                                                                                             \
		const void *dbcc_key = (k);                                                                            \
		const void *dbcc_init = (init);                                                                        \
		typeof((m).value) dbcc_leaf = bpf_map_lookup_elem(&(m), dbcc_key);                                     \
                                                                                                                       \
		if (!dbcc_leaf) {                                                                                      \
			dbcc_counted(bpf_map_update_elem(&(m), dbcc_key, dbcc_init, 1), loss);                         \
			dbcc_leaf = bpf_map_lookup_elem(&(m), dbcc_key);                                               \
		}                                                                                                      \
		dbcc_leaf;                                                                                             \
	})
/* As BCC has it: the function returns 0 where the map is full. */
#define dbcc_lookup_or_init(m, loss, k, init) dbcc_lookup_or_return(m, loss, k, init, return 0)
#define dbcc_lookup_or_init_void(m, loss, k, init) dbcc_lookup_or_return(m, loss, k, init, return)
#define dbcc_lookup_or_return(m, loss, k, init, leave)                                                               \
	({                                                                                                             \
		typeof((m).value) dbcc_found = dbcc_lookup_or_try_init(m, loss, k, init);                            \
                                                                                                                       \
		if (!dbcc_found)                                                                                       \
			leave;                                                                                         \
		dbcc_found;                                                                                            \
	})

/* Adds 1 or `by` to the value of a key. The addition is atomic, unlike BCC's, as far as the instruction set has it:
 * for values of 4 and 8 bytes. */
#define dbcc_increment(m, loss, ...) DBCC_JOIN(dbcc_increment, DBCC_COUNT(__VA_ARGS__))(m, loss, __VA_ARGS__)
#define dbcc_atomic_increment(m, loss, ...) dbcc_increment(m, loss, __VA_ARGS__)
#define dbcc_increment_1(m, loss, k) dbcc_increment_2(m, loss, k, 1)
#define dbcc_increment_2(m, loss, k, by)                                                                               \
	({                                                                                                             \
		typeof(*(m).key) dbcc_slot = (k);                                                                      \
		typeof(*(m).value) dbcc_zero = 0;                                                                      \
		typeof(*(m).value) dbcc_by = (by);                                                                     \
		typeof((m).value) dbcc_count = dbcc_lookup_or_try_init(m, loss, &dbcc_slot, &dbcc_zero);               \
                                                                                                                       \
		if (dbcc_count)                                                                                        \
			dbcc_add(dbcc_count, dbcc_by);                                                                 \
	})
#define dbcc_add(to, by)                                                                                               \
	__builtin_choose_expr(sizeof(*(to)) >= 4, (void)__sync_fetch_and_add((to), (by)), (void)(*(to) += (by)))

#define dbcc_perf_submit(m, loss, ctx, data, size)                                                                     \
	((int)bpf_perf_event_output(ctx, &(m), 0xffffffffULL /* BPF_F_CURRENT_CPU */, data, size))
#define dbcc_perf_submit_skb(m, loss, ctx, length, data, size)                                                         \
	((int)bpf_perf_event_output(ctx, &(m), 0xffffffffULL | (__u64)(length) << 32, data, size))

/* Whether a record of so many bytes wakes the reader: those do with which the buffer becomes a quarter, a half and three quarters
 * full. The reader looks by itself every few milliseconds, so no other has to: waking it costs more than writing a record.
 * What other CPUs reserve meanwhile counts too, so that a record may step over its mark unseen; then one of the next marks
 * wakes the reader. The numbers are BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE, BPF_RB_FORCE_WAKEUP and BPF_RB_NO_WAKEUP; the size of
 * a ring is a power of two; a record has a head of 8 bytes and is padded to 8 bytes. */
static __always_inline __u64 dbcc_wake(void *ring, __u64 bytes)
{
	__u64 filled = bpf_ringbuf_query(ring, 0), quarter = bpf_ringbuf_query(ring, 1) / 4;

	return filled >= quarter && (filled & (quarter - 1)) < 8 + ((bytes + 7) & ~7ULL) ? 2 : 1;
}

/* perf_submit() where the output is a ring buffer: the record is the time at which it is written and the data, which are
 * copied into the buffer itself. Records are aligned to 8 bytes, and their type says so; what is not larger than so many times
 * its own alignment is copied with as many instructions, and the rest by a helper.
 *
 * The frame is not to be larger than with a perf buffer, since it may be near 512 bytes. So the data are in memory before the
 * record is reserved: what the compiler holds apart in registers, it would keep in 8 bytes of the stack for each field
 * meanwhile. And the entry for losses is no variable of the stack. */
#define DBCC_PIECES 16
#define dbcc_perf_submit_ring(m, loss, ctx, data, size)                                                                \
	({                                                                                                             \
		static const __u32 dbcc_loss = (loss);                                                                 \
		__auto_type dbcc_given = (data);                                                                       \
		__auto_type dbcc_from = dbcc_address(dbcc_given);                                                      \
		struct {                                                                                               \
			__u64 time;                                                                                    \
			char bytes[size];                                                                              \
		} *dbcc_room;                                                                                          \
		int dbcc_result = -28; /* ENOSPC, as a perf buffer has it */                                           \
                                                                                                                       \
		(void)(ctx);                                                                                           \
		asm volatile("" : : "r"(dbcc_from) : "memory");                                                        \
		dbcc_room = bpf_ringbuf_reserve(&(m), sizeof(__u64) + (size), 0);                                      \
		if (dbcc_room) {                                                                                       \
			dbcc_room->time = bpf_ktime_get_ns();                                                          \
			if ((size) <= DBCC_PIECES * __alignof__(*dbcc_from))                                           \
				__builtin_memcpy(dbcc_room->bytes, dbcc_from, size);                                   \
			else                                                                                           \
				bpf_probe_read_kernel(dbcc_room->bytes, size, dbcc_from);                              \
			bpf_ringbuf_submit(dbcc_room, dbcc_wake(&(m), sizeof(__u64) + (size)));                        \
			dbcc_result = 0;                                                                               \
		} else {                                                                                               \
			dbcc_lost_at(&dbcc_loss);                                                                      \
		}                                                                                                      \
		dbcc_result;                                                                                           \
	})
/* A pointer as it is, and a number, with which BCC's users say an address too, as a pointer. 5 is the class of pointers. */
#define dbcc_address(given)                                                                                            \
	__builtin_choose_expr(__builtin_classify_type(given) == 5, given, (const void *)(__u64)(given))

#define dbcc_perf_read(m, loss, flags) ((__u64)bpf_perf_event_read(&(m), flags))
#define dbcc_perf_counter_value(m, loss, flags, buffer, size)                                                          \
	((int)bpf_perf_event_read_value(&(m), flags, buffer, size))
#define dbcc_get_stackid(m, loss, ctx, flags) ((int)bpf_get_stackid(ctx, &(m), flags))
#define dbcc_call(m, loss, ctx, index) bpf_tail_call(ctx, &(m), index)
#define dbcc_check_current_task(m, loss, index) ((int)bpf_current_task_under_cgroup(&(m), index))

#define dbcc_ringbuf_output(m, loss, data, size, flags)                                                                \
	((int)dbcc_counted(bpf_ringbuf_output(&(m), data, size, flags), loss))
#define dbcc_ringbuf_reserve(m, loss, size)                                                                            \
	({                                                                                                             \
		void *dbcc_room = bpf_ringbuf_reserve(&(m), size, 0);                                                  \
                                                                                                                       \
		if (!dbcc_room)                                                                                        \
			dbcc_lost(loss);                                                                               \
		dbcc_room;                                                                                             \
	})
#define dbcc_ringbuf_submit(m, loss, data, flags) bpf_ringbuf_submit(data, flags)
#define dbcc_ringbuf_discard(m, loss, data, flags) bpf_ringbuf_discard(data, flags)
#define dbcc_ringbuf_query(m, loss, flags) ((__u64)bpf_ringbuf_query(&(m), flags))

#define dbcc_push(m, loss, ...) DBCC_JOIN(dbcc_push, DBCC_COUNT(__VA_ARGS__))(m, loss, __VA_ARGS__)
#define dbcc_push_1(m, loss, leaf) dbcc_push_2(m, loss, leaf, 0)
#define dbcc_push_2(m, loss, leaf, flags) ((int)dbcc_counted(bpf_map_push_elem(&(m), leaf, flags), loss))
#define dbcc_pop(m, loss, leaf) ((int)bpf_map_pop_elem(&(m), leaf))
#define dbcc_peek(m, loss, leaf) ((int)bpf_map_peek_elem(&(m), leaf))

#define dbcc_redirect_map(m, loss, k, flags) ((int)bpf_redirect_map(&(m), k, flags))
#define dbcc_sock_map_update(m, loss, ctx, k, flags) ((int)bpf_sock_map_update(ctx, &(m), k, flags))
#define dbcc_sock_hash_update(m, loss, ctx, k, flags) ((int)bpf_sock_hash_update(ctx, &(m), k, flags))
#define dbcc_msg_redirect_map(m, loss, ctx, k, flags) ((int)bpf_msg_redirect_map(ctx, &(m), k, flags))
#define dbcc_sk_redirect_map(m, loss, ctx, k, flags) ((int)bpf_sk_redirect_map(ctx, &(m), k, flags))
#define dbcc_msg_redirect_hash(m, loss, ctx, k, flags) ((int)bpf_msg_redirect_hash(ctx, &(m), k, flags))
#define dbcc_sk_redirect_hash(m, loss, ctx, k, flags) ((int)bpf_sk_redirect_hash(ctx, &(m), k, flags))

#define dbcc_sk_storage_get(m, loss, object, init, flags)                                                              \
	((typeof((m).value))bpf_sk_storage_get(&(m), object, init, flags))
#define dbcc_sk_storage_delete(m, loss, object) ((int)bpf_sk_storage_delete(&(m), object))
#define dbcc_inode_storage_get(m, loss, object, init, flags)                                                           \
	((typeof((m).value))bpf_inode_storage_get(&(m), object, init, flags))
#define dbcc_inode_storage_delete(m, loss, object) ((int)bpf_inode_storage_delete(&(m), object))
#define dbcc_task_storage_get(m, loss, object, init, flags)                                                            \
	((typeof((m).value))bpf_task_storage_get(&(m), object, init, flags))
#define dbcc_task_storage_delete(m, loss, object) ((int)bpf_task_storage_delete(&(m), object))
#define dbcc_get_local_storage(m, loss, flags) ((typeof((m).value))bpf_get_local_storage(&(m), flags))

#endif
