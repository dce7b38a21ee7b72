// Events of all sorts of types, and of lengths that the type does not say.
#include <uapi/linux/ptrace.h>
#include "types.h"

BPF_PERF_OUTPUT(out);
BPF_PERF_OUTPUT(pairs);
BPF_PERF_OUTPUT(arrays);
BPF_PERF_OUTPUT(unions);
BPF_PERF_OUTPUT(strings);
BPF_RINGBUF_OUTPUT(ring, 8);

struct text_t {
	u32 length;
	char data[64];
};
BPF_PERCPU_ARRAY(texts, struct text_t, 1);

int on_visit(struct pt_regs *ctx, struct mine *m, int i)
{
	struct local_t {
		int x;
		signed int s : 3;
		u64 sum;
	} local = {.x = m->x, .s = m->s, .sum = 7};
	struct {
		int nameless;
		char tag[8];
	} nameless = {.nameless = m->next->x};
	int numbers[3] = {m->arr[0], m->arr[1], m->arr[2]};
	struct inner pair[2] = {};
	union {
		u64 number;
		u8 bytes[8];
	} either = {.number = 258};
	struct local_t *room;
	struct text_t *text;
	int zero = 0;
	u32 length;

	pair[1].a = m->ip->a;
	bpf_probe_read_user_str(nameless.tag, sizeof(nameless.tag), m->in.tag);
	out.perf_submit(ctx, &local, sizeof(local));
	out.perf_submit(ctx, &nameless, sizeof(nameless));
	arrays.perf_submit(ctx, numbers, sizeof(numbers));
	pairs.perf_submit(ctx, &pair, sizeof(pair));
	unions.perf_submit(ctx, (void *)&either, sizeof(either));

	room = ring.ringbuf_reserve(sizeof(*room));
	if (room) {
		*room = local;
		ring.ringbuf_submit(room, 0);
	}
	text = texts.lookup(&zero);
	if (!text)
		return 0;
	text->length = bpf_probe_read_user_str(text->data, sizeof(text->data), m->str);
	length = text->length & 31;
	strings.perf_submit(ctx, text, offsetof(struct text_t, data) + length);
	return 0;
}
