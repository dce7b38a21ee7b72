//! Golden tests: a probe in, rewritten C out, which must itself compile without a warning.

mod usdt;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::*;
use crate::bpf::btf::Btf;
use crate::facts::{Features, FunctionKind};
use crate::source::Source;
use crate::template::{Host, KernelText, Needs, write};

mod c;
mod kinds;
mod maps;
mod messages;
mod outputs;
mod reads;
mod registers;

/// The running kernel's types, read once.
fn btf() -> &'static Btf {
    static BTF: OnceLock<Btf> = OnceLock::new();
    BTF.get_or_init(|| crate::kernel::btf::load().expect("the tests need a kernel with BTF"))
}

/// The running kernel's answers, but for the arity of a few functions that not every kernel has.
struct TestKernel;

impl KernelFacts for TestKernel {
    fn arity(&self, function: &str) -> Option<u32> {
        match function {
            "tcp_sendmsg" | "tcp_cleanup_rbuf" => Some(if function == "tcp_sendmsg" { 3 } else { 2 }),
            "vfs_read" => Some(4),
            "__x64_sys_openat" => Some(1),
            _ => None,
        }
    }

    fn members(&self, record: &str) -> Vec<String> {
        crate::kernel::btf::members(btf(), record.trim_start_matches("struct "))
    }

    fn has_type(&self, name: &str) -> bool {
        !self.members(name).is_empty()
    }

    fn has_function(&self, name: &str) -> bool {
        crate::kernel::btf::function(btf(), name).is_some()
    }

    fn enumerators(&self) -> Vec<String> {
        crate::kernel::btf::enumerators(btf())
    }
}

/// The tail calls that the directives of a text name.
fn tail_calls(text: &str) -> Vec<crate::facts::TailCall> {
    let lexed = crate::lex::Lexed::new(text);
    let lines = lexed.directives();
    let lines: Vec<(Span, &str)> = lines.iter().map(|line| (line.span, line.text.as_str())).collect();
    crate::directive::Directives::parse(&lines).map(|directives| directives.tail_calls()).unwrap_or_default()
}

fn request(text: &str, attach: &[&str]) -> CompileRequest {
    let functions = attach.iter().map(|attach| {
        let (point, function) = attach.split_once('=').expect("KIND:TARGET=FUNCTION");
        let (kind, target) = point.split_once(':').expect("KIND:TARGET");
        FunctionKind { function: function.into(), kind: kind.into(), target: target.into() }
    });
    CompileRequest {
        source: Source::from_text("probe.c", text),
        functions: functions.collect(),
        tail_calls: tail_calls(text),
        defines: Vec::new(),
        features: Features { kprobe: true, fentry: true, uprobe: true, ringbuf: true, ..Features::default() },
        without_tracepoints: Vec::new(),
        toolchain: crate::toolchain::find().expect("the tests need clang"),
    }
}

fn templated(request: &CompileRequest) -> Templated {
    let needs = Needs::of(request).expect("the request is good");
    let types = crate::kernel::btf::slice(btf(), &needs.names).expect("the kernel's types can be sliced").text;
    let host = Host::running().expect("the host tells its version");
    write(request, &needs, &KernelText { types, tracepoints: Vec::new() }, &host)
        .expect("the include tree can be written")
}

/// Rewrites, and checks that the result compiles.
pub(super) fn rewritten(text: &str, attach: &[&str]) -> Result<Rewritten, Vec<Diagnostic>> {
    compiled(text, attach, std::path::Path::new("/dev/null"))
}

/// The object that a probe becomes.
#[track_caller]
pub(super) fn object(text: &str, attach: &[&str]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().expect("there is room for a file");
    compiled(text, attach, file.path()).unwrap_or_else(|messages| panic!("{messages:#?}"));
    std::fs::read(file.path()).expect("it was written")
}

fn compiled(text: &str, attach: &[&str], out: &std::path::Path) -> Result<Rewritten, Vec<Diagnostic>> {
    compiled_as(&request(text, attach), out)
}

fn compiled_as(request: &CompileRequest, out: &std::path::Path) -> Result<Rewritten, Vec<Diagnostic>> {
    let text = &request.source.text;
    let templated = templated(request);
    let rewritten = rewrite(request, &templated, &TestKernel, &|_| Vec::new())?;
    let mut child = Command::new(&request.toolchain.clang)
        .args(&templated.arguments)
        .args(["-Wall", "-Wno-unused-function", "-Wno-unused-variable", "-c", "-", "-o"])
        .arg(out)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("clang runs");
    child.stdin.take().expect("it is piped").write_all(rewritten.text.as_bytes()).expect("clang reads");
    let output = child.wait_with_output().expect("clang ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{}\n{said}", rewritten.text);
    let lines = |text: &str| text.lines().count();
    assert!(lines(&rewritten.text) >= lines(text), "line ends were removed: {}", rewritten.text);
    Ok(rewritten)
}

/// The rewritten text.
#[track_caller]
pub(super) fn golden(text: &str, attach: &[&str]) -> String {
    match rewritten(text, attach) {
        Ok(rewritten) => rewritten.text,
        Err(messages) => panic!("{messages:#?}"),
    }
}

/// The messages, one a line: severity, place, what is there, message; then notes and help.
#[track_caller]
pub(super) fn messages(text: &str, attach: &[&str]) -> String {
    let found = match rewritten(text, attach) {
        Ok(rewritten) => rewritten.warnings,
        Err(messages) => messages,
    };
    let source = Source::from_text("probe.c", text);
    let mut out = String::new();
    for message in found {
        let place = message.span.map(|span| (source.line_column(span.start), source.slice(span).to_owned()));
        let place = place.map_or_else(String::new, |(at, text)| format!(" {}:{} `{text}`", at.line, at.column));
        out.push_str(&format!("{:?}{place}: {}\n", message.severity, message.message));
        for (span, label) in &message.labels {
            let at = source.line_column(span.start);
            out.push_str(&format!("  at {}:{} `{}`: {label}\n", at.line, at.column, source.slice(*span)));
        }
        message.notes.iter().for_each(|note| out.push_str(&format!("  note: {note}\n")));
        message.help.iter().for_each(|help| out.push_str(&format!("  help: {help}\n")));
    }
    out
}

/// What a file becomes, for a look.
#[test]
#[ignore = "for people: prints what the file that DBCC_REWRITE names becomes"]
fn show() {
    let path = std::env::var("DBCC_REWRITE").expect("DBCC_REWRITE names a probe");
    let attach = std::env::var("DBCC_ATTACH").unwrap_or_default();
    let attach: Vec<&str> = attach.split_whitespace().collect();
    let text = std::fs::read_to_string(path).expect("the probe can be read");
    println!("{}", messages(&text, &attach));
    if let Ok(rewritten) = rewritten(&text, &attach) {
        println!("{}\n{:#?}", rewritten.text, rewritten.facts);
    }
}

/// The lines of the user's text that rewriting changed, and what is behind it.
#[track_caller]
pub(super) fn changed(text: &str, attach: &[&str]) -> String {
    let after = golden(text, attach);
    let mut before = text.lines();
    let changed = after.lines().filter(|line| before.next() != Some(*line));
    changed.map(|line| format!("{line}\n")).collect()
}

#[test]
fn pointers_flow_through_functions() {
    insta::assert_snapshot!(changed(
        "static int pid_of(struct task_struct *t) { return t->pid; }\n\
         static u64 add(u64 *sum, unsigned int *by) { *sum += *by; return *sum; }\n\
         static struct task_struct *parent(struct task_struct *t) { return t->real_parent; }\n\
         int kprobe__vfs_read(struct pt_regs *ctx, struct file *file, char *buf, unsigned int *count)\n\
         {\n\
         u64 sum = 0;\n\
         struct task_struct *task = (void *)bpf_get_current_task();\n\
         add(&sum, count);\n\
         return pid_of(task) + parent(parent(task))->tgid;\n\
         }\n",
        &[]
    ), @r#"
    __always_inline static int pid_of(struct task_struct *t) { return dbcc_read(t->pid); }
    __always_inline static u64 add(u64 *sum, unsigned int *by) { *sum += dbcc_read(*by); return *sum; }
    __always_inline static struct task_struct *parent(struct task_struct *t) { return dbcc_read(t->real_parent); }
    static __always_inline int kprobe__vfs_read__body(void *dbcc_ctx, struct pt_regs *ctx, struct file *file, char *buf, unsigned int *count)
    return pid_of(task) + dbcc_read(parent(parent(task))->tgid);
    SEC("fentry/vfs_read") int kprobe__vfs_read__fentry(unsigned long long *ctx)
    {
    	struct pt_regs regs = {};

    	regs.__PT_PARM1_REG = ctx[0];
    	regs.__PT_PARM2_REG = ctx[1];
    	regs.__PT_PARM3_REG = ctx[2];
    	regs.__PT_PARM4_REG = ctx[3];
    	return kprobe__vfs_read__body(ctx, &regs, (struct file *)ctx[0], (char *)ctx[1], (unsigned int *)ctx[2]);
    }
    SEC("kprobe/vfs_read") int kprobe__vfs_read(struct pt_regs *ctx)
    {
    	return kprobe__vfs_read__body(ctx, (void *)ctx, (struct file *)PT_REGS_PARM1(ctx), (char *)PT_REGS_PARM2(ctx), (unsigned int *)PT_REGS_PARM3(ctx));
    }
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
}

#[test]
fn a_kprobe_has_two_forms_and_a_uprobe_one() {
    insta::assert_snapshot!(changed(
        "BPF_PERF_OUTPUT(events);\n\
         BPF_STACK_TRACE(stacks, 16);\n\
         int entry(struct pt_regs *ctx, struct file *file, bool sync)\n\
         {\n\
         u64 id = stacks.get_stackid(ctx, 0);\n\
         events.perf_submit(ctx, &id, sizeof(id));\n\
         return PT_REGS_PARM3(ctx) > 0 && sync && file;\n\
         }\n\
         int returned(struct pt_regs *ctx) { return PT_REGS_RC(ctx) > 0; }\n\
         void queried(struct pt_regs *ctx, const char *query, int length) { char c = query[0]; }\n",
        &["kprobe:vfs_read=entry", "kretprobe:vfs_read=returned", "uprobe:mysqld:query=queried"]
    ), @r#"
    DBCC_RING_OUTPUT(events);
    static __always_inline int entry__body(void *dbcc_ctx, struct pt_regs *ctx, struct file *file, bool sync)
    u64 id = dbcc_get_stackid(stacks, 2, dbcc_ctx, 0);
    dbcc_perf_submit_ring(events, 1, dbcc_ctx, &id, sizeof(id));
    static __always_inline int returned__body(void *dbcc_ctx, struct pt_regs *ctx) { return PT_REGS_RC(ctx) > 0; }
    static __always_inline void queried__body(struct pt_regs *ctx, const char *query, int length) { char c = dbcc_read_user(query[0]); }
    struct dbcc_losses_map dbcc_losses SEC(".maps");
    u64 dbcc_event_0 SEC(".dbcc.types");
    SEC("fentry/vfs_read") int entry__fentry(unsigned long long *ctx)
    {
    	struct pt_regs regs = {};

    	regs.__PT_PARM1_REG = ctx[0];
    	regs.__PT_PARM2_REG = ctx[1];
    	regs.__PT_PARM3_REG = ctx[2];
    	regs.__PT_PARM4_REG = ctx[3];
    	return entry__body(ctx, &regs, (struct file *)ctx[0], (bool)(__u8)ctx[1]);
    }
    SEC("kprobe/vfs_read") int entry(struct pt_regs *ctx)
    {
    	return entry__body(ctx, (void *)ctx, (struct file *)PT_REGS_PARM1(ctx), (bool)(__u8)PT_REGS_PARM2(ctx));
    }
    SEC("fexit/vfs_read") int returned__fexit(unsigned long long *ctx)
    {
    	struct pt_regs regs = {};

    	regs.__PT_PARM1_REG = ctx[0];
    	regs.__PT_PARM2_REG = ctx[1];
    	regs.__PT_PARM3_REG = ctx[2];
    	regs.__PT_PARM4_REG = ctx[3];
    	regs.__PT_RC_REG = ctx[4];
    	return returned__body(ctx, &regs);
    }
    SEC("kretprobe/vfs_read") int returned(struct pt_regs *ctx)
    {
    	return returned__body(ctx, (void *)ctx);
    }
    SEC("uprobe") int queried(struct pt_regs *ctx)
    {
    	queried__body((void *)ctx, (const char *)PT_REGS_PARM1(ctx), (int)PT_REGS_PARM2(ctx));
    	return 0;
    }
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
}

#[test]
fn the_real_context_goes_through_functions_to_where_it_is_needed() {
    insta::assert_snapshot!(changed(
        "BPF_PERF_OUTPUT(events);\n\
         static int send(u64 value, void *context);\n\
         static int twice(struct pt_regs *ctx, u64 value) { send(value, ctx); return send(value + PT_REGS_PARM1(ctx), ctx); }\n\
         static int send(u64 value, void *context) { return events.perf_submit(context, &value, sizeof(value)); }\n\
         static int other(int n) { return n; }\n\
         int entry(struct pt_regs *ctx, u64 a) { return twice(ctx, other(a)); }\n\
         int probe(struct pt_regs *ctx, u64 a) { return twice(ctx, a); }\n",
        &["kprobe:vfs_read=entry", "uprobe:main=probe"]
    ), @r#"
    DBCC_RING_OUTPUT(events);
    __always_inline static int send(void *dbcc_ctx, u64 value, void *context);
    __always_inline static int twice(void *dbcc_ctx, struct pt_regs *ctx, u64 value) { send(dbcc_ctx, value, ctx); return send(dbcc_ctx, value + PT_REGS_PARM1(ctx), ctx); }
    __always_inline static int send(void *dbcc_ctx, u64 value, void *context) { return dbcc_perf_submit_ring(events, 1, dbcc_ctx, &value, sizeof(value)); }
    __always_inline static int other(int n) { return n; }
    static __always_inline int entry__body(void *dbcc_ctx, struct pt_regs *ctx, u64 a) { return twice(dbcc_ctx, ctx, other(a)); }
    static __always_inline int probe__body(struct pt_regs *ctx, u64 a) { return twice(ctx, ctx, a); }
    struct dbcc_losses_map dbcc_losses SEC(".maps");
    u64 dbcc_event_0 SEC(".dbcc.types");
    SEC("fentry/vfs_read") int entry__fentry(unsigned long long *ctx)
    {
    	struct pt_regs regs = {};

    	regs.__PT_PARM1_REG = ctx[0];
    	regs.__PT_PARM2_REG = ctx[1];
    	regs.__PT_PARM3_REG = ctx[2];
    	regs.__PT_PARM4_REG = ctx[3];
    	return entry__body(ctx, &regs, (u64)ctx[0]);
    }
    SEC("kprobe/vfs_read") int entry(struct pt_regs *ctx)
    {
    	return entry__body(ctx, (void *)ctx, (u64)PT_REGS_PARM1(ctx));
    }
    SEC("uprobe") int probe(struct pt_regs *ctx)
    {
    	return probe__body((void *)ctx, (u64)PT_REGS_PARM1(ctx));
    }
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
}

#[test]
fn arguments_of_system_calls_are_in_the_registers_of_the_process() {
    insta::assert_snapshot!(changed(
        "int syscall__open(struct pt_regs *ctx, int dfd, const char *name) { return name[0] == '/'; }\n\
         int raw(struct pt_regs *ctx, struct pt_regs *regs) { return *(char *)regs->si == '/'; }\n",
        &["kprobe:__x64_sys_openat=syscall__open", "kprobe:__x64_sys_openat=raw"]
    ), @r#"
    static __always_inline int syscall__open__body(void *dbcc_ctx, struct pt_regs *ctx, int dfd, const char *name) { return dbcc_read_user(name[0]) == '/'; }
    static __always_inline int raw__body(void *dbcc_ctx, struct pt_regs *ctx, struct pt_regs *regs) { return dbcc_read_user(*(char *)dbcc_read(regs->si)) == '/'; }
    SEC("fentry/__x64_sys_openat") int syscall__open__fentry(unsigned long long *ctx)
    {
    	struct pt_regs regs = {};

    	regs.__PT_PARM1_REG = ctx[0];
    	return syscall__open__body(ctx, &regs, (int)PT_REGS_PARM1_CORE_SYSCALL((struct pt_regs *)ctx[0]), (const char *)PT_REGS_PARM2_CORE_SYSCALL((struct pt_regs *)ctx[0]));
    }
    SEC("kprobe/__x64_sys_openat") int syscall__open(struct pt_regs *ctx)
    {
    	return syscall__open__body(ctx, (void *)ctx, (int)PT_REGS_PARM1_CORE_SYSCALL((struct pt_regs *)PT_REGS_PARM1(ctx)), (const char *)PT_REGS_PARM2_CORE_SYSCALL((struct pt_regs *)PT_REGS_PARM1(ctx)));
    }
    SEC("fentry/__x64_sys_openat") int raw__fentry(unsigned long long *ctx)
    {
    	struct pt_regs regs = {};

    	regs.__PT_PARM1_REG = ctx[0];
    	return raw__body(ctx, &regs, (struct pt_regs *)ctx[0]);
    }
    SEC("kprobe/__x64_sys_openat") int raw(struct pt_regs *ctx)
    {
    	return raw__body(ctx, (void *)ctx, (struct pt_regs *)PT_REGS_PARM1(ctx));
    }
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
}

#[test]
fn targets_with_other_numbers_of_arguments_have_forms_of_their_own() {
    let after = rewritten(
        "int f(struct pt_regs *ctx) { return PT_REGS_RC(ctx) > 0; }",
        &["kretprobe:vfs_read=f", "kretprobe:tcp_sendmsg=f", "kretprobe:no_such_function=f"],
    );
    let facts = after.expect("it is good").facts;
    let forms: Vec<_> = facts.programs[0]
        .forms
        .iter()
        .map(|form| (form.program.as_str(), form.kind.as_str(), form.arguments))
        .collect();
    assert_eq!(forms, [("f__fexit", "fexit", Some(3)), ("f__fexit4", "fexit", Some(4)), ("f", "kretprobe", None)]);
}

#[test]
fn a_function_that_needs_registers_stays_a_kprobe_and_says_why() {
    let check = |body: &str, because: &str| {
        let text = format!(
            "static int use(int n, struct pt_regs *r) {{ return r->di; }}\n\
             static int leak(struct pt_regs *r) {{ return bpf_get_func_ip(r); }}\n\
                            int kprobe__vfs_read(struct pt_regs *ctx) {{ {body} }}"
        );
        let facts = rewritten(&text, &[]).expect("it is good").facts;
        let program = &facts.programs[0];
        assert_eq!(program.registers_because.as_deref().unwrap_or_default(), because, "{body}");
        assert_eq!(program.forms.len(), if because.is_empty() { 2 } else { 1 }, "{body}");
    };
    check("return PT_REGS_PARM1(ctx) > 0;", "");
    check("(void)ctx; return 0;", "");
    check("return PT_REGS_IP(ctx) > 0;", "it uses the register `ip`");
    check("return PT_REGS_RC(ctx);", "it uses the register `ax`");
    check("return use(1, ctx);", "");
    check(
        "return leak(ctx);",
        "it passes its context to `leak`, of which is true: it passes its context to `bpf_get_func_ip`",
    );
    check(
        "struct pt_regs copy = *ctx; return copy.di;",
        "it uses its context other than for arguments and the return value",
    );
    check("ctx->di = 1; return 0;", "it uses its context other than for arguments and the return value");
}

#[test]
fn libbpf_style_is_passed_through_but_for_prints() {
    insta::assert_snapshot!(changed(
        "struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, u32); __type(value, u64); } counts \
         SEC(\".maps\");\n\
         static int helper(struct task_struct *task) { return BPF_CORE_READ(task, pid); }\n\
         SEC(\"kprobe/tcp_sendmsg\") int BPF_KPROBE(on_send, struct sock *sk)\n\
         {\n\
         u32 key = 1; u64 *value = bpf_map_lookup_elem(&counts, &key);\n\
         bpf_printk(\"family %d\", BPF_CORE_READ(sk, __sk_common.skc_family));\n\
         return value && helper((void *)bpf_get_current_task());\n\
         }\n\
         char LICENSE[] SEC(\"license\") = \"GPL\";\n",
        &[]
    ), @r#"
    dbcc_print(0, 1, 0, (0), (__u64)(BPF_CORE_READ(sk, __sk_common.skc_family)));
    struct dbcc_losses_map dbcc_losses SEC(".maps");
    struct dbcc_prints_map dbcc_prints SEC(".maps");
    "#);
}

#[test]
fn facts_name_programs_maps_events_and_prints() {
    let facts = rewritten(
        "struct data_t { u32 pid; };\n\
         BPF_PERF_OUTPUT(events); BPF_RINGBUF_OUTPUT(ring, 8); BPF_HASH(counts); BPF_HISTOGRAM(slots);\n\
         BPF_STACK_TRACE(stacks, 64);\n\
         int hello(struct pt_regs *ctx) {\n\
         struct data_t data = {}; u64 other = 0; struct data_t *room;\n\
         events.perf_submit(ctx, &data, sizeof(data)); events.perf_submit(ctx, &other, sizeof(other));\n\
         room = ring.ringbuf_reserve(sizeof(*room)); if (!room) return 0; ring.ringbuf_submit(room, 0);\n\
         if (FILTER_PID) return 0;\n\
         bpf_trace_printk(\"tab\\there\");\n\
         return 0; }\n\
         int tracepoint__sched__sched_switch(void *args) { return 0; }\n",
        &["uprobe:main=hello"],
    );
    let facts = facts.expect("it is good").facts;
    let names: Vec<_> = facts.maps.iter().map(|map| (map.name.as_str(), map.role.clone())).collect();
    let types = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        names,
        [
            ("events", MapRole::RingEvents(types(&["struct data_t", "u64"]))),
            ("ring", MapRole::RingEvents(types(&["struct data_t"]))),
            ("counts", MapRole::Table),
            ("slots", MapRole::Histogram),
            ("stacks", MapRole::Stacks),
        ]
    );
    assert_eq!(facts.prints[0].format, "tab\there");
    assert!(facts.uses_filter_pid);
    let programs: Vec<_> =
        facts.programs.iter().map(|one| (one.function.as_str(), one.kind.as_str(), one.target.as_deref())).collect();
    let switch = "tracepoint__sched__sched_switch";
    assert_eq!(programs, [("hello", "uprobe", None), (switch, "tracepoint", Some("sched:sched_switch"))]);
}

#[test]
fn functions_of_which_nothing_is_said_are_of_the_kind_of_the_others() {
    let text = "static int helper(void *ctx) { return 1; }\nint one(void *ctx) { return helper(ctx); }\n\
                int kprobe__f(struct pt_regs *ctx) { return 0; }\nint two(struct pt_regs *ctx) { return 0; }\n";
    let kinds = |text: &str| {
        let rewritten = rewritten(text, &["raw_tracepoint:=*"]).expect("it is rewritten");
        let programs = rewritten.facts.programs.iter();
        programs.map(|program| format!("{} {}", program.function, program.kind)).collect::<Vec<_>>()
    };
    assert_eq!(kinds(text), ["one raw_tracepoint", "kprobe__f kprobe", "two kprobe"]);
    // In libbpf's style every program has a section.
    let libbpf = "#include <bpf/bpf_helpers.h>\nSEC(\"xdp\") int one(struct xdp_md *ctx) { return 2; }\n\
                  int two(void *ctx) { return 0; }\nchar _license[] SEC(\"license\") = \"GPL\";\n";
    assert_eq!(kinds(libbpf), ["one xdp"]);
}

#[test]
fn macros_whose_bodies_need_it_are_written_out_where_they_are_used() {
    let text = "BPF_HASH(counts, u32, u64);\n\
                #define PID(t) ((t)->pid)\n\
                #define PARENT(t) ((t)->real_parent)\n\
                #define BOTH(t) (PID(t) + PID(PARENT(t)))\n\
                #define COUNT(k, ...) counts.increment(k, ##__VA_ARGS__)\n\
                #define SAY(what, ...) bpf_trace_printk(what \"\\n\", ##__VA_ARGS__)\n\
                #define TWICE(x) (x) + (x)\n\
                #define PROBE(name) int kprobe__##name(struct pt_regs *ctx, struct task_struct *task)\n\
                PROBE(f)\n\
                {\n\
                u32 key = PID(task) + TWICE(task->tgid); COUNT(key); COUNT(key, 2); if (BOTH(task)) key = 1;\n\
                SAY(\"plain\"); SAY(\"%d %d\", key,\n PID(task));\n\
                return 0;\n\
                }\n";
    insta::assert_snapshot!(changed(text, &[]), @r#"
    static __always_inline int kprobe__f__body(struct pt_regs *ctx, struct task_struct *task)
    u32 key = (dbcc_read((task)->pid)) + TWICE(dbcc_read(task->tgid)); dbcc_increment(counts, 1, key); dbcc_increment(counts, 1, key,2); if (((dbcc_read((task)->pid)) + (dbcc_read(((dbcc_read((task)->real_parent)))->pid)))) key = 1;
    dbcc_print(0, 0, 0, (0)); dbcc_print(1, 2, 0, (0), (__u64)(key), (__u64)((dbcc_read((task)->pid))))
    ;
    struct dbcc_losses_map dbcc_losses SEC(".maps");
    struct dbcc_prints_map dbcc_prints SEC(".maps");
    SEC("kprobe/f") int kprobe__f(struct pt_regs *ctx)
    {
    	return kprobe__f__body((void *)ctx, (struct task_struct *)PT_REGS_PARM1(ctx));
    }
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
    let facts = rewritten(text, &[]).expect("it is good").facts;
    let source = Source::from_text("probe.c", text);
    assert_eq!(source.slice(facts.prints[1].span), "SAY(\"%d %d\", key,\n PID(task))");
    assert_eq!(source.slice(facts.programs[0].span), "PROBE(f)");
    // What is wrong is still said on the user's line.
    let wrong =
        text.replace("return 0", "task->pid = 1; return 0").replace("COUNT(key);", "COUNT(key); PID(task) = 2;");
    insta::assert_snapshot!(messages(&wrong, &[]), @"
    Error 11:54 `PID(task)`: a program cannot write to this memory
      note: the pointer is one of the kernel's or of the process's
    Error 14:1 `task->pid`: a program cannot write to this memory
      note: the pointer is one of the kernel's or of the process's
    ");
}

#[test]
fn a_license_is_there_once() {
    let given =
        golden("char mine[] SEC(\"license\") = \"GPL v2\";\nSEC(\"kprobe\") int f(void *ctx) { return 0; }\n", &[]);
    assert!(!given.contains("_license["), "{given}");
    let none = golden("int kprobe__f(void *ctx) { return 0; }", &[]);
    assert!(none.contains("char _license[] SEC(\"license\") = \"GPL\";"), "{none}");
}

#[test]
fn hostile_texts_are_messages_and_never_panics() {
    let deep = format!("int kprobe__f(struct pt_regs *ctx) {{ return {}1; }}", "1+".repeat(20_000));
    let brackets = format!("int f(void) {{ return {}1{}; }}", "(".repeat(5_000), ")".repeat(5_000));
    let texts = [
        deep.as_str(),
        brackets.as_str(),
        "int f(",
        "#define X X\nint x = X;",
        "BPF_HASH(",
        "BPF_HASH();",
        "BPF_HASH(a, b, c, d, e, f);",
        "int kprobe__(struct pt_regs *ctx) { return 0; }",
        "int kprobe__f() { return 0; }",
        "\\",
        "int kprobe__f(struct pt_regs *ctx) { int x[] = { [0 ... 99] = 1 }; return x[ctx->di & 63]; }",
        "typedef int kprobe__t(struct pt_regs *); kprobe__t kprobe__f; int kprobe__f(struct pt_regs *c) { return 0; }",
        "BPF_TABLE(\"no such type\", int, int, t, 1);",
        "int kprobe__f(a) int a; { return a; }",
    ];
    for text in texts {
        let request = request(text, &[]);
        let templated = templated(&request);
        // Only that it ends, with or without messages.
        drop(rewrite(&request, &templated, &UnknownKernel, &|_| Vec::new()));
    }
}
