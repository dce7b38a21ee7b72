//! What becomes of the programs of each kind.

use super::*;

/// Function, kind, target and section of each program.
#[track_caller]
fn programs(text: &str, attach: &[&str]) -> String {
    let rewritten = rewritten(text, attach).unwrap_or_else(|messages| panic!("{messages:#?}"));
    let sections: Vec<&str> =
        rewritten.text.split("SEC(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let facts = rewritten.facts.programs.iter().map(|fact| {
        let target = fact.target.as_deref().unwrap_or("-");
        format!("{} {} {target}\n", fact.function, fact.kind)
    });
    format!("{}{}", facts.collect::<String>(), sections.join(" "))
}

#[test]
fn macros_name_functions_that_are_attached() {
    insta::assert_snapshot!(programs(
        "KFUNC_PROBE(vfs_read, struct file *file) { return file->f_flags; }\n\
         KRETFUNC_PROBE(vfs_read, struct file *file, char *buf, size_t count, loff_t *pos, int ret) { return ret; }\n\
         MODULE_KFUNC_PROBE(nf_conntrack, nf_ct_delete, void *ct) { return !ct; }\n\
         MODULE_KRETFUNC_PROBE(nf_conntrack, nf_ct_delete, void *ct) { return !ct; }\n\
         KMOD_RET(__x64_sys_openat, struct pt_regs *regs) { return 0; }\n\
         LSM_PROBE(bpf, int cmd, union bpf_attr *attr, unsigned int size, int ret) { return ret; }\n\
         RAW_TRACEPOINT_PROBE(sched_switch) { return 0; }\n\
         BPF_ITER(task) { return 0; }\n",
        &[]
    ), @"
    kfunc__vmlinux__vfs_read fentry vfs_read
    kretfunc__vmlinux__vfs_read fexit vfs_read
    kfunc__nf_conntrack__nf_ct_delete fentry nf_conntrack:nf_ct_delete
    kretfunc__nf_conntrack__nf_ct_delete fexit nf_conntrack:nf_ct_delete
    kmod_ret____x64_sys_openat fmod_ret __x64_sys_openat
    lsm__bpf lsm bpf
    raw_tracepoint__sched_switch raw_tracepoint sched_switch
    bpf_iter__task iter task
    raw_tracepoint/sched_switch iter/task fentry/vfs_read fexit/vfs_read fentry/nf_conntrack:nf_ct_delete fexit/nf_conntrack:nf_ct_delete fmod_ret/__x64_sys_openat lsm/bpf license license
    ");
}

#[test]
fn arguments_that_come_by_number_are_bound() {
    insta::assert_snapshot!(changed(
        "KRETFUNC_PROBE(vfs_read, struct file *file, char *buf, size_t count, loff_t *pos, int ret)\n\
         { return file->f_flags + ret; }\n\
         int raw_tracepoint__sched_switch(struct bpf_raw_tracepoint_args *ctx, bool preempt, struct task_struct *prev)\n\
         { return preempt + prev->pid + ((struct task_struct *)ctx->args[2])->pid; }\n\
         int tp_btf__sched_switch(u64 *ctx, bool preempt, struct task_struct *prev) { return prev->pid; }\n",
        &[]
    ), @r#"
    static __always_inline DBCC_TRACED(kretfunc__vmlinux__vfs_read__body,struct file *file, char *buf, size_t count, loff_t *pos, int ret)
    { return dbcc_read(file->f_flags) + ret; }
    static __always_inline int raw_tracepoint__sched_switch__body(struct bpf_raw_tracepoint_args *ctx, bool preempt, struct task_struct *prev)
    { return preempt + dbcc_read(prev->pid) + dbcc_read(((struct task_struct *)ctx->args[2])->pid); }
    static __always_inline int tp_btf__sched_switch__body(u64 *ctx, bool preempt, struct task_struct *prev) { return dbcc_read(prev->pid); }
    SEC("fexit/vfs_read") int kretfunc__vmlinux__vfs_read(unsigned long long *ctx)
    {
    	return kretfunc__vmlinux__vfs_read__body((void *)ctx, (struct file *)ctx[0], (char *)ctx[1], (size_t)ctx[2], (loff_t *)ctx[3], (int)ctx[4]);
    }
    SEC("raw_tracepoint/sched_switch") int raw_tracepoint__sched_switch(struct pt_regs *ctx)
    {
    	return raw_tracepoint__sched_switch__body((void *)ctx, (bool)(__u8)((struct bpf_raw_tracepoint_args *)ctx)->args[0], (struct task_struct *)((struct bpf_raw_tracepoint_args *)ctx)->args[1]);
    }
    SEC("tp_btf/sched_switch") int tp_btf__sched_switch(unsigned long long *ctx)
    {
    	return tp_btf__sched_switch__body((void *)ctx, (bool)(__u8)ctx[0], (struct task_struct *)ctx[1]);
    }
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
}

#[test]
fn the_context_tells_the_kind_where_nothing_else_does() {
    insta::assert_snapshot!(programs(
        "int a(struct xdp_md *ctx) { return XDP_PASS; }\n\
         int b(struct __sk_buff *skb) { return skb->len > 3 ? -1 : 0; }\n\
         int c(struct __sk_buff *skb) { return (long)skb->data == 3; }\n\
         static int mark(struct __sk_buff *skb) { skb->mark = 3; return 0; }\n\
         int d(struct __sk_buff *skb) { return mark(skb); }\n\
         int e(struct __sk_buff *skb) { return bpf_clone_redirect(skb, 1, 0); }\n\
         int f(struct bpf_perf_event_data *ctx) { return PT_REGS_IP(&ctx->regs) == 0; }\n\
         int g(struct bpf_raw_tracepoint_args *ctx) { return ctx->args[0] == 0; }\n\
         int h(struct bpf_iter__task *ctx) { return 0; }\n\
         int i(struct bpf_sock_ops *ctx) { return 1; }\n\
         int j(struct sk_msg_md *ctx) { return 1; }\n\
         int k(struct bpf_sockopt *ctx) { return 1; }\n\
         int l(struct bpf_sock_addr *ctx) { return 1; }\n\
         int m(struct bpf_sk_lookup *ctx) { return 1; }\n",
        &[]
    ), @"
    a xdp -
    b socket -
    c tc -
    d tc -
    e tc -
    f perf_event -
    g raw_tracepoint -
    h iter task
    i sock_ops -
    j sk_msg -
    k cgroup_sockopt -
    l cgroup_sock_addr -
    m sk_lookup -
    xdp socket tc tc tc perf_event raw_tracepoint iter/task sockops sk_msg cgroup/getsockopt cgroup/connect4 sk_lookup license license
    ");
}

#[test]
fn targets_give_sections() {
    let text = "int f(void *ctx) { return 0; }\n";
    for (attach, section) in [
        ("xdp:lo:generic=f", "xdp"),
        ("tc:lo:egress=f", "tcx/egress"),
        ("cgroup_skb:/sys/fs/cgroup/x:ingress=f", "cgroup_skb/ingress"),
        ("cgroup_sock_addr:/sys/fs/cgroup:connect6=f", "cgroup/connect6"),
        ("perf_event:software:cpu-clock:99hz=f", "perf_event"),
        ("iter:bpf_map_elem:m=f", "iter/bpf_map_elem"),
        ("lsm:file_open=f", "lsm/file_open"),
        ("tp_btf:sched_switch=f", "tp_btf/sched_switch"),
        ("sk_skb:socks:verdict=f", "sk_skb/stream_verdict"),
        ("uprobe:/bin/true:main=f", "uprobe"),
    ] {
        assert!(golden(text, &[attach]).starts_with(&format!("SEC(\"{section}\") int f(")), "{attach}");
    }
    // One program has one hook; with two it is left to the kernel.
    let both = golden(text, &["cgroup_skb:/c:ingress=f", "cgroup_skb:/c:egress=f"]);
    assert!(both.starts_with("SEC(\"cgroup/skb\") "), "{both}");
}

#[test]
fn what_an_iterator_is_handed_is_used_as_it_is() {
    insta::assert_snapshot!(changed(
        "BPF_ITER(task)\n\
         {\n\
         struct seq_file *seq = ctx->meta->seq;\n\
         struct task_struct *task = ctx->task;\n\
         if (!task || ctx->meta->seq_num) return 0;\n\
         BPF_SEQ_PRINTF(seq, \"%d\\n\", task->tgid);\n\
         return 0;\n\
         }\n",
        &[]
    ), @r#"
    SEC("iter/task") BPF_ITER(task)
    BPF_SEQ_PRINTF(seq, "%d\n", dbcc_read(task->tgid));
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
}

#[test]
fn a_program_without_a_place_is_verified_and_a_warning_says_how_to_attach_it() {
    insta::assert_snapshot!(messages("int f(struct xdp_md *ctx) { return XDP_PASS; }\n", &[]), @"
    Warning 1:5 `f`: `f` is a program of the kind xdp by its context, and is not attached to anything
      help: attach it with `//@ attach xdp:INTERFACE[:generic|:native|:offload] = f` in the probe or `--attach xdp:INTERFACE[:generic|:native|:offload]=f`
    ");
}

#[test]
fn system_calls_take_their_arguments_from_the_callers_registers() {
    insta::assert_snapshot!(changed(
        "int syscall__execve(struct pt_regs *ctx, const char __user *filename, const char __user *const __user *argv)\n\
         { return filename[0] == argv[0][0]; }\n\
         int by_hand(struct pt_regs *ctx)\n\
         { struct pt_regs *call = PT_REGS_SYSCALL_CTX(ctx); u64 fd = 0;\n\
         bpf_probe_read_kernel(&fd, sizeof(fd), &PT_REGS_PARM1_SYSCALL(call)); return fd; }\n",
        &["kprobe:__x64_sys_execve=syscall__execve", "kprobe:__x64_sys_close=by_hand"]
    ), @r#"
    static __always_inline int syscall__execve__body(struct pt_regs *ctx, const char __user *filename, const char __user *const __user *argv)
    { return dbcc_read_user(filename[0]) == dbcc_read_user(dbcc_read_user(argv[0])[0]); }
    SEC("kprobe/__x64_sys_close") int by_hand(struct pt_regs *ctx)
    SEC("kprobe/__x64_sys_execve") int syscall__execve(struct pt_regs *ctx)
    {
    	return syscall__execve__body((void *)ctx, (const char *)PT_REGS_PARM1_CORE_SYSCALL((struct pt_regs *)PT_REGS_PARM1(ctx)), (const char *const *)PT_REGS_PARM2_CORE_SYSCALL((struct pt_regs *)PT_REGS_PARM1(ctx)));
    }
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
}

#[test]
fn a_function_may_be_named_as_its_section() {
    let text = "int xdp(struct xdp_md *ctx)\n{\n    return ctx->data == ctx->data_end;\n}\n";
    let rewritten = rewritten(text, &["xdp:lo=xdp"]).unwrap_or_else(|messages| panic!("{messages:#?}"));
    let forms = rewritten.facts.programs.first().map(|fact| fact.forms.clone()).unwrap_or_default();
    assert_eq!(forms.iter().map(|form| form.program.as_str()).collect::<Vec<_>>(), ["xdp__xdp"]);
}

#[test]
fn what_takes_registers_is_verified_as_a_kprobe_where_nothing_tells_its_kind() {
    insta::assert_snapshot!(programs(
        "int entry(struct pt_regs *ctx, struct task_struct *task) { return task->pid; }\n\
         int called(struct pt_regs *ctx) { return PT_REGS_RC(ctx) != 0; }\n\
         int kretprobe__vfs_read(struct pt_regs *ctx) { return called(ctx); }\n",
        &[]
    ), @"
    entry kprobe -
    kretprobe__vfs_read kretprobe vfs_read
    kprobe fexit/vfs_read kretprobe/vfs_read license license
    ");
}
