//! What is said of what is wrong, and where.

use super::*;

#[test]
fn what_is_wrong_with_maps_is_said_at_the_method() {
    insta::assert_snapshot!(messages(
        "BPF_HASH(counts, u32, u64);\nBPF_PERF_OUTPUT(events);\n\
         int kprobe__f(struct pt_regs *ctx)\n{\n\
         u32 key = 0; u64 value = 0; struct { int x; } odd;\n\
         counts.lokup(&key);\n\
         counts.lookup();\n\
         counts.update(&key);\n\
         counts.update(&odd, &value);\n\
         events.frobnicate();\n\
         count.lookup(&key);\n\
         return 0;\n}\n",
        &[]
    ), @"
    Error 6:8 `lokup`: map `counts` has no method `lokup`
      note: methods of a map of this type (hash): lookup, lookup_or_init, lookup_or_try_init, update, insert, delete, increment, atomic_increment
      help: did you mean `lookup`?
    Error 7:15 `)`: too few arguments to function call, expected 1, have 0
    Error 8:19 `)`: too few arguments to function call, expected 2, have 1
    Warning 9:15 `&odd`: incompatible pointer types passing 'struct (unnamed struct of line 5) *' to parameter of type 'const u32 *' (aka 'const unsigned int *')
    Error 10:8 `frobnicate`: map `events` has no method `frobnicate`
      note: methods of a map of this type (perf_output): perf_submit, perf_submit_skb
    Error 11:1 `count`: use of undeclared identifier 'count'
      help: did you mean `counts`?
    ");
    insta::assert_snapshot!(messages(
        "BPF_HASH(counts, u32, u64);\n\
         int kprobe__f(struct pt_regs *ctx) { u64 value = 0; return counts.perf_submit(ctx, &value, 8); }\n",
        &[]
    ), @"
    Error 2:67 `perf_submit`: map `counts` (hash) has no method `perf_submit`
      note: methods of a map of this type: lookup, lookup_or_init, lookup_or_try_init, update, insert, delete, increment, atomic_increment
    ");
}

#[test]
fn what_is_wrong_with_types_is_said_with_what_the_kernel_has() {
    insta::assert_snapshot!(messages(
        "#include <net/sock.h>\n\
         int kprobe__f(struct pt_regs *ctx, struct sock *sk, struct no_such *none)\n{\n\
         u32 a = sk->__sk_common.skc_dadr;\n\
         u32 b = none->field;\n\
         return undeclared + a + b\n}\n",
        &[]
    ), @"
    Error 4:25 `skc_dadr`: no member named 'skc_dadr' in 'struct sock_common'
      note: as this kernel's BTF has `struct sock_common`
      help: did you mean `skc_daddr`?
    Error 5:13 `-`: incomplete definition of type 'struct no_such'
      at 2:60 `no_such`: forward declaration of 'struct no_such'
      note: this kernel's BTF has no `struct no_such`, and the probe does not define it
    Error 6:8 `undeclared`: use of undeclared identifier 'undeclared'
      note: `undeclared` is neither in the probe nor in dbcc's headers nor in the kernel's BTF
    ");
}

#[test]
fn names_that_the_kernels_headers_may_have_are_said_with_what_to_write() {
    insta::assert_snapshot!(messages(
        "#include <linux/nothing_like_it.h>\n\
         #define FAMILY(name) AF_##name\n\
         int kprobe__f(struct pt_regs *ctx)\n{\n\
         int a = NO_SUCH_MACRO;\n\
         int b = AF_INET_;\n\
         int c = FAMILY(INET);\n\
         int d = no_such_inline(a);\n\
         int e = kfree(0);\n\
         int f = BPF_MAP_TYPE_HSH;\n\
         return a + b + c + d + e + f;\n}\n\
         static int g(no_such_t *x) { return 0; }\n",
        &[]
    ), @"
    Error 5:9 `NO_SUCH_MACRO`: use of undeclared identifier 'NO_SUCH_MACRO'
      note: `NO_SUCH_MACRO` is neither in the probe nor in dbcc's headers nor in the kernel's BTF
      help: if it is a macro of the kernel's headers, write `#define NO_SUCH_MACRO VALUE`, or give `-D NO_SUCH_MACRO=VALUE`
    Error 6:9 `AF_INET_`: use of undeclared identifier 'AF_INET_'
      note: `AF_INET_` is neither in the probe nor in dbcc's headers nor in the kernel's BTF
      help: did you mean `AF_INET` or `AF_INET6`?
    Error 7:9 `FAMILY`: use of undeclared identifier 'AF_INET'
      help: `#include <linux/socket.h>` has `AF_INET`
    Error 8:9 `no_such_inline`: call to undeclared function 'no_such_inline'
      note: `no_such_inline` is neither in the probe nor in dbcc's headers nor in the kernel's BTF
      help: if the kernel's headers have it, write it in the probe: `static inline …` or `#define no_such_inline(…) …`
    Error 9:9 `kfree`: call to undeclared function 'kfree'
      note: `kfree` is a function of the kernel; a probe can call BPF's helpers (`bpf_…`) and functions of its own
    Error 10:9 `BPF_MAP_TYPE_HSH`: use of undeclared identifier 'BPF_MAP_TYPE_HSH'
      note: `BPF_MAP_TYPE_HSH` is neither in the probe nor in dbcc's headers nor in the kernel's BTF
      help: did you mean `BPF_MAP_TYPE_HASH`?
    Error 13:14 `no_such_t`: unknown type name 'no_such_t'
      note: `no_such_t` is neither declared in the probe nor in dbcc's headers nor in the kernel's BTF
    ");
}

#[test]
fn what_rules_refuse_is_said_where_it_stands() {
    insta::assert_snapshot!(messages(
        "struct by_value { u64 a, b, c; };\n\
         static int hidden(struct pt_regs *ctx) { return 0; }\n\
         int many(struct pt_regs *ctx, int a, int b, int c, int d, int e, int f, int g) { return 0; }\n\
         int whole(struct pt_regs *ctx, struct by_value v) { return 0; }\n\
         int writes(struct pt_regs *ctx, struct task_struct *task) { task->pid = 1; task->mm->owner->pid++; return 0; }\n\
         int wrong(struct pt_regs *ctx, int n) { bpf_trace_printk(\"%d %d\", n); bpf_trace_printk(\"%s\", n); return 0; }\n\
         TRACEPOINT_PROBE(sched, sched_switch) { return 0; }\n",
        &["kprobe:f=hidden", "kprobe:f=many", "kprobe:f=whole", "kprobe:f=writes", "kprobe:f=wrong"]
    ), @r#"
    Error 2:12 `hidden`: `hidden` is `static` and cannot be attached
      help: remove `static`
    Error 3:73 `int g`: only the first 6 arguments are in registers
      help: read the others from the stack of the probed function
    Error 4:32 `struct by_value v`: `v` is no integer and no pointer, so it is in no register
    Error 5:61 `task->pid`: a program cannot write to this memory
      note: the pointer is one of the kernel's or of the process's
    Error 5:76 `task->mm->owner->pid`: a program cannot write to this memory
      note: the pointer is one of the kernel's or of the process's
    Error 6:41 `bpf_trace_printk("%d %d", n)`: the format wants 2 arguments and is given 1
    Error 6:94 `n`: `%s` wants a string
      note: this is of type `int`
    "#);
}

#[test]
fn what_may_not_be_meant_is_a_warning() {
    insta::assert_snapshot!(messages(
        "int lonely(struct pt_regs *ctx) { return 0; }\n\
         int back(struct pt_regs *ctx, int n) { return n; }\n\
         int kprobe__f(struct pt_regs *ctx, const char *format) { char own[] = \"x\"; own[0] = 'y';\n\
         bpf_trace_printk(\"%pI4\", &own); return 0; }\n",
        &["uretprobe:main=back"]
    ), @r#"
    Warning 1:5 `lonely`: function `lonely` is not attached to anything
      help: attach it with `//@ attach KIND:TARGET = lonely` in the probe or `--attach KIND:TARGET=lonely`, or name it by BCC's convention (`kprobe__tcp_sendmsg`)
    Warning 2:31 `int n`: on return from a function its arguments are gone: this one is not what was passed
      help: keep it in a map on entry, or use PT_REGS_RC(ctx) for the return value
    Warning 4:18 `"%pI4"`: only the kernel can format `%pI4`
      note: this line goes to the kernel's trace pipe as it is
    "#);
}
