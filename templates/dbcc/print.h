/* What bpf_trace_printk() and bpf_printk() become: records in a ring buffer of the probe's own, formatted in user
 * space, so that nobody else's lines are mixed in and what is lost is counted. */
#pragma once

/* The head of a record. Behind it stand nargs arguments of 8 bytes, sign-extended, and behind these one slot of
 * DBCC_PRINT_TEXT bytes for each argument that is text; the argument itself is then the number of its slot, from 0.
 * A slot holds a NUL-terminated string; it is empty where the text could not be read. */
struct dbcc_print {
	__u64 ns;      /* bpf_ktime_get_ns(): CLOCK_MONOTONIC */
	__u32 pid;     /* process (thread group) */
	__u32 tid;     /* thread */
	char comm[16]; /* command name of the thread */
	__u32 cpu;
	__u32 id;      /* index of the call in Facts::prints */
	__u32 nargs;
	__u32 pad;     /* zero */
};

#define DBCC_PRINT_TEXT 64
#define DBCC_PRINT_MAX_ARGS 12

#ifdef DBCC_PARSE

/* Both ways to call it have one shape here: (format, arguments...) and (format, size of the format, arguments...). */
#undef bpf_printk
int bpf_printk(const char *format, ...);
int dbcc_parse_trace_printk(const char *format, ...);
#define bpf_trace_printk dbcc_parse_trace_printk

#else

/* Defined behind the user's text if a print is in it. */
struct dbcc_prints_map {
	__uint(type, 27); /* BPF_MAP_TYPE_RINGBUF */
	__uint(max_entries, 1 << 18);
};
extern struct dbcc_prints_map dbcc_prints;

static __always_inline void dbcc_print_head(struct dbcc_print *head, __u32 id, __u32 nargs)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();

	head->ns = bpf_ktime_get_ns();
	head->pid = pid_tgid >> 32;
	head->tid = (__u32)pid_tgid;
	bpf_get_current_comm(head->comm, sizeof(head->comm));
	head->cpu = bpf_get_smp_processor_id();
	head->id = id;
	head->nargs = nargs;
	head->pad = 0;
}

/* id: index of the call; nargs, ntexts: how many arguments, and how many of them are text; texts: dbcc_text() for each
 * of these, in parentheses; then the arguments, converted to __u64. They are evaluated before a record is reserved, so
 * that one of them may return from the program. */
#define dbcc_print(id, nargs, ntexts, texts, ...)                                                                      \
	({                                                                                                             \
		struct {                                                                                               \
			struct dbcc_print head;                                                                        \
			__u64 args[nargs];                                                                             \
			char text[ntexts][DBCC_PRINT_TEXT];                                                            \
		} *dbcc_record;                                                                                        \
		__u64 dbcc_args[nargs] = {__VA_ARGS__};                                                                \
                                                                                                                       \
		dbcc_record = bpf_ringbuf_reserve(&dbcc_prints, sizeof(*dbcc_record), 0);                              \
		if (dbcc_record) {                                                                                     \
			dbcc_print_head(&dbcc_record->head, id, nargs);                                                \
			__builtin_memcpy(dbcc_record->args, dbcc_args, sizeof(dbcc_args));                             \
			(void)(texts);                                                                                 \
			bpf_ringbuf_submit(dbcc_record, dbcc_wake(&dbcc_prints, sizeof(*dbcc_record)));                \
		} else {                                                                                               \
			dbcc_lost(0);                                                                                  \
		}                                                                                                      \
		0;                                                                                                     \
	})

/* Copies the text of an argument into a slot; memory: kernel (which the stack and maps are too), user, or any, where the
 * address tells. */
#define dbcc_text_kernel bpf_probe_read_kernel_str
#define dbcc_text_user bpf_probe_read_user_str
#define dbcc_text_any bpf_probe_read_str
#define dbcc_text(slot, arg, memory)                                                                                   \
	(dbcc_text_##memory(dbcc_record->text[slot], DBCC_PRINT_TEXT, (const void *)dbcc_args[arg]) < 0                \
	         ? (void)(dbcc_record->text[slot][0] = 0)                                                              \
	         : (void)0,                                                                                            \
	 dbcc_record->args[arg] = slot)

#endif
