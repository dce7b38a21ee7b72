//! C as probes use it: functions, globals, and the types of events.

use super::*;

/// The lines of the user's text that rewriting changed.
#[track_caller]
fn lines(text: &str) -> String {
    let after = golden(text, &[]);
    let changed = after.lines().zip(text.lines()).filter(|(after, before)| after != before);
    changed.map(|(after, _)| format!("{after}\n")).collect()
}

#[test]
fn functions_of_every_form_are_inlined() {
    insta::assert_snapshot!(lines(
        "int plain(int x) { return x; }\nvoid out(struct task_struct *t, u32 *pid) { *pid = t->pid; }\n\
         inline int hinted(int x) { return x; }\nstatic __always_inline int already(int x) { return x; }\n\
         static __attribute__((noinline)) int kept(int x) { return x; }\nextern int later(int x);\nint later(int x) { return x; }\n\
         int kprobe__f(struct pt_regs *ctx, struct task_struct *task)\n{\n\
         u32 pid; out(task, &pid); return plain(hinted(already(kept(later(pid)))));\n}\n"
    ), @"
    static __always_inline int plain(int x) { return x; }
    static __always_inline void out(struct task_struct *t, u32 *pid) { *pid = dbcc_read(t->pid); }
    static __always_inline inline int hinted(int x) { return x; }
    __always_inline static __always_inline int already(int x) { return x; }
    static __always_inline int later(int x);
    static __always_inline int later(int x) { return x; }
    static __always_inline int kprobe__f__body(struct pt_regs *ctx, struct task_struct *task)
    ");
}

#[test]
fn any_number_of_arguments_is_refused() {
    insta::assert_snapshot!(messages(
        "static int sum(int n, ...) { return n; }\nint kprobe__f(struct pt_regs *ctx) { return sum(1, 2); }\n",
        &[]
    ), @"
    Error 1:12 `sum`: `sum` takes any number of arguments, which BPF does not have
      help: make it a macro: `#define f(first, ...) …`
    ");
}

#[test]
fn globals_literals_and_types_of_c_are_kept() {
    let text = "static int counter = 5; const int fixed = 6; int plain; static const char *names[] = {\"a\", \"b\"};\n\
                struct pad { u8 a; u64 b; }; struct __attribute__((packed)) tight { u8 a; u64 b; }; union u { u32 a; u8 b[4]; };\n\
                struct bits { u32 a:3; s32 b:5; }; struct wide { unsigned __int128 v; }; struct flex { u32 n; char data[]; };\n\
                BPF_HASH(h, struct pad, struct wide); _Static_assert(sizeof(struct tight) == 9, \"tight\");\n\
                int kprobe__f(struct pt_regs *ctx)\n{\n\
                struct pad p = {1, 2}; struct wide w = {}; union u u = {.b = {1}}; struct bits b = {.b = -2}; char s[] = \"text\";\n\
                int all[8] = {[0 ... 3] = 7}, sum = 0, n = 0;\n\
                h.update(&p, &w);\n\
                #pragma unroll\n\
                for (int i = 0; i < 4; i++) sum += s[i];\n\
                while (n < 10) { if (n++ == sum) goto done; }\n\
                done:\n\
                asm volatile(\"\" : \"+r\"(sum)); counter++; plain = sum;\n\
                return sum + all[n & 7] + u.a + b.b + fixed + ((struct pad){.a = 3}).a + ({ int v = 3; v; }) + names[0][0];\n}\n";
    let after = golden(text, &[]);
    assert!(!after.contains("dbcc_read"), "{after}");
}

#[test]
fn events_have_types_wherever_these_are_declared() {
    insta::assert_snapshot!(lines(
        "BPF_PERF_OUTPUT(out); BPF_RINGBUF_OUTPUT(ring, 8); struct named { u32 a; };\n\
         int kprobe__f(struct pt_regs *ctx)\n{\n\
         struct local { u32 x; u64 y; } local = {}, *room; struct { char c[40]; } nameless = {}; int numbers[20] = {};\n\
         struct named named = {};\n\
         out.perf_submit(ctx, &named, sizeof(named)); out.perf_submit(ctx, &local, sizeof(local));\n\
         out.perf_submit(ctx, (void *)&nameless, sizeof(nameless)); out.perf_submit(ctx, numbers, sizeof(numbers));\n\
         room = ring.ringbuf_reserve(sizeof(*room)); if (room) { *room = local; ring.ringbuf_submit(room, 0); }\n\
         return 0;\n}\n"
    ), @r#"
    DBCC_RING_OUTPUT(out); BPF_RINGBUF_OUTPUT(ring, 8); struct named { u32 a; };
    SEC("kprobe/f") int kprobe__f(struct pt_regs *ctx)
    dbcc_perf_submit_ring(out, 1, ctx, &named, sizeof(named)); dbcc_perf_submit_ring(out, 1, ctx, ({ __auto_type dbcc_data = &local; static typeof(({ *dbcc_data; })) dbcc_event_1 SEC(".dbcc.types"); dbcc_data; }), sizeof(local));
    dbcc_perf_submit_ring(out, 1, ctx, (void *)({ __auto_type dbcc_data = &nameless; static typeof(({ *dbcc_data; })) dbcc_event_2 SEC(".dbcc.types"); dbcc_data; }), sizeof(nameless)); dbcc_perf_submit_ring(out, 1, ctx, ({ __auto_type dbcc_data = &(numbers); static typeof(*dbcc_data) dbcc_event_3 SEC(".dbcc.types"); dbcc_data; }), sizeof(numbers));
    room = dbcc_ringbuf_reserve(ring, 2, sizeof(*room)); if (room) { *room = local; dbcc_ringbuf_submit(ring, 2, ({ __auto_type dbcc_data = room; static typeof(({ *dbcc_data; })) dbcc_event_4 SEC(".dbcc.types"); dbcc_data; }), 0); }
    "#);
}

/// Addresses as BCC's users write them, also as numbers; what each becomes compiles.
#[test]
fn what_is_submitted_may_be_any_address() {
    for data in [
        "&data",
        "(void *)&data",
        "(const char *)&data",
        "data.text",
        "&data.text",
        "(void *)address",
        "address",
        "(unsigned long)&data",
        "(u32)address",
        "&(struct data_t){1}",
        "numbers",
        "numbers + 1",
    ] {
        let text = format!(
            "BPF_PERF_OUTPUT(out); struct data_t {{ u64 first; char text[24]; }};\n\
             int kprobe__f(struct pt_regs *ctx)\n{{\n\
             struct data_t data = {{}}; u64 address = (u64)&data; u32 numbers[20] = {{}};\n\
             return out.perf_submit(ctx, {data}, sizeof(data));\n}}\n"
        );
        let found = rewritten(&text, &[]).unwrap_or_else(|messages| panic!("{data}: {messages:#?}"));
        assert!(found.facts.maps.iter().all(|map| map.stamped), "{data}");
    }
}

#[test]
fn events_that_cannot_be_told_apart_are_a_warning() {
    insta::assert_snapshot!(messages(
        "BPF_PERF_OUTPUT(out); struct one { u32 a; }; struct two { u32 b, c, d; }; struct three { u32 x; };\n\
         int kprobe__f(struct pt_regs *ctx)\n{\n\
         struct one one = {}; struct two two = {}; struct three three = {};\n\
         out.perf_submit(ctx, &one, sizeof(one)); out.perf_submit(ctx, &two, sizeof(two));\n\
         out.perf_submit(ctx, &three, sizeof(three)); out.perf_submit(ctx, &one, sizeof(one));\n\
         return 0;\n}\n",
        &[]
    ), @"
    Warning 6:22 `&three`: events of `out` cannot be told apart: `struct three` and `struct one`
      note: both fill records of the same size; such events are shown as what is submitted first in the text
      help: use an output for each type, or add a field to one of them
    ");
}
