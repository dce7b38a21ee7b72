//! Where outputs and prints go.

use super::*;

#[test]
fn an_output_is_a_ring_buffer_only_where_nothing_tells_the_difference() {
    let stamped = |declarations: &str, body: &str, attach: &str| {
        let text = format!(
            "{declarations}\nstruct data_t {{ u32 a, b[30]; }};\n\
             int f(struct CONTEXT *ctx)\n{{\nstruct data_t data = {{}};\n{body}\nreturn 0;\n}}\n"
        );
        let context = if attach.starts_with("perf_event") { "bpf_perf_event_data" } else { "pt_regs" };
        let facts = rewritten(&text.replace("CONTEXT", context), &[attach]).expect("it is good").facts;
        facts.maps.iter().map(|map| map.stamped).collect::<Vec<_>>()
    };
    let (output, submit) = ("BPF_PERF_OUTPUT(out);", "out.perf_submit(ctx, &data, sizeof(data));");
    assert_eq!(stamped(output, submit, "uprobe:main=f"), [true]);
    assert_eq!(stamped("BPF_PERF_OUTPUT ( out );", submit, "uprobe:main=f"), [true]);
    let another = "BPF_PERF_OUTPUT(out); BPF_RINGBUF_OUTPUT(ring, 8);";
    assert_eq!(stamped(another, submit, "uprobe:main=f"), [true, false]);
    // A size that only the run tells, another use of the map, one that is declared by a macro of the probe's, hardware counters.
    let size = "out.perf_submit(ctx, &data, 4 * (bpf_get_smp_processor_id() & 7));";
    assert_eq!(stamped(output, size, "uprobe:main=f"), [false]);
    let helper = "bpf_perf_event_output(ctx, &out, 0xffffffffULL, &data, sizeof(data));";
    assert_eq!(stamped(output, &format!("{submit}{helper}"), "uprobe:main=f"), [false]);
    assert_eq!(stamped("#define OUT BPF_PERF_OUTPUT(out)\nOUT;", submit, "uprobe:main=f"), [false]);
    assert_eq!(stamped(output, submit, "perf_event:hardware:cpu-cycles:1000=f"), [false]);
}

#[test]
fn prints_go_to_the_trace_pipe_where_that_is_asked_for() {
    let text =
        "int kprobe__f(struct pt_regs *ctx) { bpf_trace_printk(\"a %d\\n\", 1); bpf_printk(\"b\"); return 0; }\n";
    let mut request = request(text, &[]);
    request.defines.push((crate::facts::TRACE_PIPE.to_owned(), "1".to_owned()));
    let rewritten = compiled_as(&request, std::path::Path::new("/dev/null")).expect("it is rewritten");
    assert!(rewritten.facts.prints.is_empty());
    assert!(rewritten.text.contains("bpf_trace_printk(\"a %d\\n\", 6, 1); bpf_printk(\"b\");"), "{}", rewritten.text);
}

/// Whoever prints them, reads outputs too.
#[test]
fn outputs_stay_perf_buffers_where_others_read() {
    let text = "BPF_PERF_OUTPUT(out);\n\
                int kprobe__f(struct pt_regs *ctx) { u64 now = 1; out.perf_submit(ctx, &now, 8); return 0; }\n";
    let mut request = request(text, &[]);
    let stamped = |request: &CompileRequest| {
        let rewritten = compiled_as(request, std::path::Path::new("/dev/null")).expect("it is rewritten");
        rewritten.facts.maps.iter().map(|map| map.stamped).collect::<Vec<_>>()
    };
    assert_eq!(stamped(&request), [true]);
    request.defines.push((crate::facts::TRACE_PIPE.to_owned(), "1".to_owned()));
    assert_eq!(stamped(&request), [false]);
}

#[test]
fn prints_become_records() {
    insta::assert_snapshot!(changed(
        "int kprobe__f(struct pt_regs *ctx, struct task_struct *task, const char __user *path, int n)\n\
         {\n\
         char format[] = \"sized %d\\n\"; char own[16];\n\
         bpf_trace_printk(\"plain\\n\");\n\
         bpf_trace_printk(\"n %d of %lu: %c\", n, task->start_time, 'x');\n\
         bpf_trace_printk(\"%s %s %s\", task->comm, path, \"literal\");\n\
         bpf_trace_printk(format, sizeof(format), n);\n\
         bpf_trace_printk(\"also sized %d\", sizeof(\"also sized %d\"), n);\n\
         bpf_printk(\"libbpf's %s %pus\", own, path);\n\
         return 0;\n\
         }\n",
        &[]
    ), @r#"
    static __always_inline int kprobe__f__body(struct pt_regs *ctx, struct task_struct *task, const char __user *path, int n)
    dbcc_print(0, 0, 0, (0));
    dbcc_print(1, 3, 0, (0), (__u64)(n), (__u64)(dbcc_read(task->start_time)), (__u64)('x'));
    dbcc_print(2, 3, 3, (dbcc_text(0, 0, kernel), dbcc_text(1, 1, user), dbcc_text(2, 2, kernel)), (__u64)(task->comm), (__u64)(path), (__u64)("literal"));
    dbcc_print(3, 1, 0, (0), (__u64)(n));
    dbcc_print(4, 1, 0, (0), (__u64)(n));
    dbcc_print(5, 2, 2, (dbcc_text(0, 0, kernel), dbcc_text(1, 1, user)), (__u64)(own), (__u64)(path));
    struct dbcc_losses_map dbcc_losses SEC(".maps");
    struct dbcc_prints_map dbcc_prints SEC(".maps");
    SEC("kprobe/f") int kprobe__f(struct pt_regs *ctx)
    {
    	return kprobe__f__body((void *)ctx, (struct task_struct *)PT_REGS_PARM1(ctx), (const char *)PT_REGS_PARM2(ctx), (int)PT_REGS_PARM3(ctx));
    }
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
}
