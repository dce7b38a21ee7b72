use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::diag::render_all;
use crate::facts::{Features, FunctionKind};
use crate::source::Source;

fn request(name: &str, text: &str) -> CompileRequest {
    CompileRequest {
        source: Source::from_text(name, text),
        functions: Vec::new(),
        tail_calls: Vec::new(),
        defines: Vec::new(),
        features: Features { kprobe: true, fentry: true, uprobe: true, ringbuf: true, tracepoint: true },
        without_tracepoints: Vec::new(),
        toolchain: crate::toolchain::find().expect("the tests need clang"),
    }
}

#[track_caller]
fn compiled(request: &CompileRequest) -> Compiled {
    compile(request).unwrap_or_else(|errors| panic!("{}", render_all(&errors, &request.source, false)))
}

/// What is said about a text that does not compile.
fn said(text: &str) -> String {
    let request = request("t.c", text);
    render_all(&compile(&request).unwrap_err(), &request.source, false)
}

#[test]
fn a_probe_becomes_programs_and_maps() {
    let text = include_str!("../../../probes/netio.c");
    let compiled = compiled(&request("netio.c", text));
    let contents = elf::read(&compiled.elf).unwrap();
    assert!(contents.maps.contains(&"netio".to_owned()), "{:?}", contents.maps);
    assert_eq!(compiled.facts.programs.len(), 2);
    assert!(compiled.facts.uses_filter_pid);
    for fact in &compiled.facts.programs {
        assert_eq!(fact.forms.len(), 2, "{fact:?}");
        for form in &fact.forms {
            assert!(contents.programs.contains(&form.program), "{form:?}");
        }
    }
    assert_eq!(compiled.warnings, []);
}

#[test]
fn the_same_probe_gives_the_same_object() {
    let text = include_str!("../../../probes/mysql_conn.c");
    let mut request = request("mysql_conn.c", text);
    request.functions.push(FunctionKind {
        function: "on_connection".into(),
        kind: "uprobe".into(),
        target: "check_connection".into(),
    });
    assert_eq!(compiled(&request).elf, compiled(&request).elf);
}

#[test]
fn errors_of_every_stage_are_on_the_users_line() {
    let check = |text: &str, part: &str| {
        let said = said(text);
        assert!(said.contains(part) && said.contains("--> t.c:"), "{said}");
    };
    check("int kprobe__f(struct pt_regs *ctx, struct sock *sk) { return sk->sk_nope; }", "sk_nope");
    check(
        "BPF_HASH(m, u32, u64);\nint kprobe__f(struct pt_regs *ctx) { m.lokup(0); return 0; }",
        "did you mean `lookup`?",
    );
    check(
        "int kprobe__f(struct pt_regs *ctx) { char a[600]; bpf_probe_read_user(a, 600, (void *)ctx->di); return a[ctx->si & 511]; }",
        "stack of 600 bytes exceeds 512",
    );
    let tracepoint = "TRACEPOINT_PROBE(sched, sched_swich) { return args->x; }";
    check(tracepoint, "this kernel has no tracepoint sched:sched_swich; did you mean sched:sched_switch?");
    assert_eq!(said(tracepoint).matches("error").count(), 1, "{}", said(tracepoint));
    check(
        "int missing(int);\nint kprobe__f(struct pt_regs *ctx) { return missing(1); }",
        "`missing` is called but has no body",
    );
}

#[test]
fn an_answer_crosses_the_border_whole() {
    let request = request("h.c", "int kprobe__f(struct pt_regs *ctx) { bpf_trace_printk(\"x %d\", 1); return 0; }");
    let bytes = serde_json::to_vec(&request).unwrap();
    let mut output = Vec::new();
    // As `serve`, but without its limits, which would be those of the tests.
    let direct = compile(&serde_json::from_slice(&bytes).unwrap()).unwrap();
    let json = serde_json::to_vec(&Answer::Compiled(Box::new(direct.clone()))).unwrap();
    output.extend(u64::try_from(json.len()).unwrap().to_le_bytes());
    output.extend(&json);
    output.extend(&direct.elf);
    let Some((Answer::Compiled(read), elf)) = answer(&output) else { panic!("no answer") };
    assert_eq!((read.facts, read.text, elf), (direct.facts, direct.text, direct.elf.as_slice()));
    for end in 0..output.len().min(json.len() + 8) {
        assert!(answer(&output[..end]).is_none());
    }
}

/// A worker that is a shell script.
fn script(text: &str) -> (tempfile::TempDir, Worker) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("worker");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut worker = Worker::of(&path);
    worker.limits.time = Duration::from_secs(5);
    (dir, worker)
}

#[test]
fn a_worker_that_fails_is_a_message() {
    let check = |text: &str, expect: &str| {
        let (_dir, worker) = script(text);
        let messages = worker.run(&request("t.c", "")).unwrap_err().diagnostics();
        let shown = render_all(&messages, &Source::from_text("t.c", ""), false);
        assert!(messages.len() == 1 && shown.contains(expect), "{shown}");
    };
    check("kill -SEGV $$", "the compiler crashed on this probe (signal: 11 (SIGSEGV)");
    check("echo 'LLVM ERROR: no such pass' >&2; exit 70", "it said: LLVM ERROR: no such pass");
    check("echo 'LLVM ERROR: out of memory' >&2; exit 70", "the compiler ran out of memory");
    check("kill -KILL $$", "the compiler was killed (SIGKILL)");
    check("kill -XCPU $$", "compiling took more than 60 seconds of a processor's time");
    check("printf '\\377\\377\\377\\377\\377\\377\\377\\377{}'", "the compiler crashed on this probe (exit status: 0)");
    let (_dir, mut worker) = script("sleep 1000");
    worker.limits.time = Duration::from_millis(200);
    let messages = worker.run(&request("t.c", "")).unwrap_err().diagnostics();
    assert_eq!(messages[0].message, "compiling took more than 0 seconds and was stopped");
    let missing = Worker::of(Path::new("/nonexistent")).run(&request("t.c", "")).unwrap_err();
    let CompileError::Machine(missing) = missing else { panic!("{missing:?}") };
    assert!(missing.starts_with("compiling failed: cannot run `/nonexistent`"), "{missing}");
}

#[test]
fn a_worker_that_is_killed_leaves_nothing_behind() {
    let (dir, worker) = script("echo \"$TMPDIR\" > \"$(dirname \"$0\")/place\"; touch \"$TMPDIR/file\"; kill -KILL $$");
    worker.run(&request("t.c", "")).unwrap_err();
    let place = std::fs::read_to_string(dir.path().join("place")).unwrap();
    assert!(place.contains("/dbcc-"), "{place}");
    assert!(!Path::new(place.trim()).exists());
}

#[test]
fn no_message_names_the_private_folder() {
    let text = "#include \"again.h\"\nint f(void *ctx) { return AGAIN; }";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("again.h"), "int broken(;\n#define AGAIN not_there\n").unwrap();
    let mut request = request("t.c", text);
    request.source.dir = Some(dir.path().into());
    let said = render_all(&compile(&request).unwrap_err(), &request.source, false);
    assert!(said.contains("again.h") && !said.contains("/dbcc-"), "{said}");
}

#[test]
fn the_kernel_knows_its_types() {
    let kernel = Kernel::new();
    let kernel = kernel.btf().unwrap();
    let facts = BtfFacts { kernel, all: kernel, targets: BTreeMap::new() };
    assert!(facts.has_type("struct sock") && facts.has_type("gfp_t") && facts.has_type("enum bpf_map_type"));
    assert!(!facts.has_type("sock") && !facts.has_type("struct gfp_t") && !facts.has_type("struct no_such_type"));
    assert!(facts.members("struct sock_common").contains(&"skc_daddr".to_owned()));
    assert_eq!(facts.arity("tcp_cleanup_rbuf"), Some(2));
    assert_eq!(facts.arity("no_such_function"), None);
}
