use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;
use crate::facts::Toolchain;
use crate::source::Source;

fn request(text: &str) -> CompileRequest {
    CompileRequest {
        source: Source::from_text("probe.c", text),
        functions: Vec::new(),
        tail_calls: Vec::new(),
        defines: Vec::new(),
        features: Features::default(),
        without_tracepoints: Vec::new(),
        toolchain: Toolchain { clang: "clang".into(), libclang: "libclang.so".into(), version: 19 },
    }
}

fn host() -> Host {
    Host { release: "6.1.0".into(), version_code: 0x06_01_00, page_shift: 12 }
}

/// The types of the running kernel.
fn btf() -> &'static crate::bpf::btf::Btf {
    static BTF: std::sync::OnceLock<crate::bpf::btf::Btf> = std::sync::OnceLock::new();
    BTF.get_or_init(|| crate::kernel::btf::load().expect("the tests need a kernel with BTF"))
}

/// The include tree for a request, with the types of the running kernel.
fn templated(request: &CompileRequest) -> Templated {
    let needs = Needs::of(request).unwrap();
    let types = crate::kernel::btf::slice(btf(), &needs.names).unwrap().text;
    write(request, &needs, &KernelText { types, tracepoints: Vec::new() }, &Host::running().unwrap()).unwrap()
}

/// What clang says about a request's text; empty when it compiles without a warning.
fn clang_says(request: &CompileRequest) -> String {
    clang_says_of(&templated(request), &request.source.text)
}

fn clang_says_of(templated: &Templated, text: &str) -> String {
    let clang = crate::toolchain::find().expect("the tests need clang").clang;
    let mut child = Command::new(clang)
        .args(&templated.arguments)
        .current_dir(templated.root.path())
        .args(["-Wall", "-Wno-unused-function", "-Wno-unused-variable", "-S", "-o", "/dev/null", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[track_caller]
fn compiles(text: &str) {
    let said = clang_says(&request(text));
    assert!(said.is_empty(), "{text}\n{said}");
}

#[test]
fn every_template_compiles_alone_and_all_of_them_together() {
    compiles("");
    let names: Vec<String> = headers::names()
        .filter(|name| !name.starts_with("dbcc/") && name != "bpf/bpf_helper_defs.h" && !name.starts_with("ctx_"))
        .collect();
    let all: String = names.iter().map(|name| format!("#include <{name}>\n")).collect();
    assert!(names.len() > 100, "{all}");
    compiles(&all);
    // All of them have the types of all.
    let needs = Needs::of(&request(&all)).unwrap();
    let types = crate::kernel::btf::slice(btf(), &needs.names).unwrap().text;
    let clang = crate::toolchain::find().expect("the tests need clang").clang;
    for name in names {
        let request = request(&format!("#include <{name}>\n"));
        let kernel = KernelText { types: types.clone(), tracepoints: Vec::new() };
        let templated = write(&request, &Needs::of(&request).unwrap(), &kernel, &host()).unwrap();
        std::fs::write(templated.main_file(), &request.source.text).unwrap();
        let output = Command::new(&clang)
            .args(&templated.arguments)
            .args(["-Wall", "-Wno-unused-function", "-fsyntax-only"])
            .arg(templated.main_file())
            .output()
            .unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{name}: {output:?}");
    }
}

#[test]
fn names_of_the_kernel_need_no_include() {
    let includes = |text: &str| {
        let needs = Needs::of(&request(text)).unwrap();
        let text = needs.files.texts().find(|(name, _)| *name == "dbcc/api.h").unwrap().1;
        text.lines().map(|line| line.trim_start_matches("#include <").trim_end_matches('>').to_owned()).collect()
    };
    let check = |text: &str, expect: &[&str]| {
        let found: Vec<String> = includes(text);
        assert_eq!(found, expect, "{text}");
    };
    check("int x;", &[]);
    check("int x = AF_INET;", &["linux/socket.h"]);
    check("int f(int m) { return S_ISREG(m); }", &["linux/stat.h"]);
    // A name before no parenthesis is no call; what the text declares is its own, and so are its members.
    check("int f(int min) { return min; }", &[]);
    check("static int min(int a, int b) { return a; } int f(void) { return min(1, 2); }", &[]);
    check("enum { AF_INET = 7 }; int x = AF_INET;", &[]);
    check("struct own { int WRITE; }; int f(struct own *own) { return own->WRITE; }", &[]);
    // The path to a member, where nothing of that name is declared.
    check("u16 f(struct sock *sk) { return sk->sk_family; }", &["linux/in6.h", "net/sock.h"]);
    check("struct event { u16 sk_family; }; void f(struct event *event) { event->sk_family = 1; }", &[]);
    check("struct own { struct rcu_head head; };", &["linux/types.h"]);
    check("int f(void) { struct rcu_head { int x; } rcu_head; return rcu_head.x; }", &[]);
    assert_eq!(clang_says(&request("struct own { struct rcu_head head; struct sockaddr_storage address; } x;")), "");
    // Also what is given behind -D, and what is included.
    let mut defined = request("int x = LIMIT;");
    defined.defines.push(("LIMIT".into(), "NAME_MAX".into()));
    assert_eq!(clang_says(&defined), "");
    check("#include <uapi/linux/un.h>", &["linux/un.h"]);
}

#[test]
fn types_and_macros_of_the_kernel_are_there_without_its_headers() {
    compiles(
        "#include <uapi/linux/ptrace.h>\n#include <net/sock.h>\n#include <bcc/proto.h>\n#include <linux/nsproxy.h>\n\
         u16 family(struct sock *sk) { return sk->sk_family == AF_INET6 ? ntohs(sk->sk_dport) : 0; }\n\
         u32 address(struct sock *sk) { return inet_sk(sk)->inet_saddr; }\n\
         u32 window(struct sock *sk) { return tcp_sk(sk)->snd_cwnd; }\n\
         int states[] = { TCP_ESTABLISHED, IPPROTO_TCP, BPF_F_CURRENT_CPU, SOCK_STREAM, TASK_COMM_LEN };\n\
         char name[DNAME_INLINE_LEN], path[NAME_MAX + 1];\n\
         u64 ip(struct pt_regs *ctx) { return PT_REGS_IP(ctx) + ctx->di + PT_REGS_PARM1(ctx) + PT_REGS_RC(ctx); }\n\
         bool regular(struct inode *inode) { return S_ISREG(inode->i_mode) && inode->i_sb != NULL; }",
    );
}

#[test]
fn helpers_of_bcc_compute_what_bcc_computes() {
    compiles(
        "_Static_assert(LINUX_VERSION_CODE >= KERNEL_VERSION(5, 4, 0), \"\");\n\
         _Static_assert(PAGE_SIZE == 4096 && PAGE_MASK == ~4095UL, \"\");\n\
         u64 sum; void add(u64 *to) { lock_xadd(to, min(3, 4) + max_t(u64, 1, 2)); sum = bpf_log2l(*to); }",
    );
    // The functions are plain C: the oracle is the C compiler of the machine, running them.
    let text = headers::embedded("dbcc/helpers.h").unwrap();
    let cut = text.find("#define bpf_log2(v)").unwrap();
    let functions = text[..cut].replace("static __always_inline", "static") + "\n#endif";
    let main = "#include <stdio.h>\nint main(void) {\n\
        unsigned v[] = {0, 1, 2, 3, 4, 255, 256, 65535, 65536, 0x7fffffff, 0x80000000};\n\
        for (int i = 0; i < 11; i++) printf(\"%u \", dbcc_log2(v[i]));\n\
        unsigned long w[] = {0, 1, 2, 3, 1024, 0xffffffff, 0x100000000, 0x1ffffffff, -1ul};\n\
        for (int i = 0; i < 9; i++) printf(\"%u \", dbcc_log2l(w[i])); }";
    let dir = tempfile::tempdir().unwrap();
    let (source, program) = (dir.path().join("t.c"), dir.path().join("t"));
    std::fs::write(&source, format!("{functions}\n{main}")).unwrap();
    let status = Command::new("cc").arg(&source).arg("-o").arg(&program).status().unwrap();
    assert!(status.success());
    let output = Command::new(&program).output().unwrap();
    let expect = "0 0 1 1 2 7 8 15 16 30 31 1 1 2 2 11 32 33 33 64 ";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expect);
}

#[test]
fn what_a_probe_declares_itself_takes_the_name() {
    compiles("static inline int min(int a, int b) { return a < b ? a : b; }\nint f(void) { return min(1, 2); }");
    compiles("enum { AF_INET = 7, TASK_COMM_LEN = 3 }; _Static_assert(AF_INET == 7 && TASK_COMM_LEN == 3, \"\");");
    compiles("#define AF_INET 8\n_Static_assert(AF_INET == 8, \"\");");
    compiles("static void *(*bpf_map_lookup_elem)(void *map, void *key) = (void *)1;");
    compiles("struct sock { int mine; }; int f(struct sock *sk) { return sk->mine; }");
    compiles("typedef unsigned int u32; typedef unsigned long long u64; struct task_struct; u32 a; u64 b;");
}

#[test]
fn programs_in_the_style_of_libbpf_find_their_headers() {
    compiles(
        "#include \"vmlinux.h\"\n#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_tracing.h>\n\
         #include <bpf/bpf_core_read.h>\n#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n\
         struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u32); __type(value, __u64); }\n\
         counts SEC(\".maps\");\nchar LICENSE[] SEC(\"license\") = \"GPL\";\n\
         SEC(\"kprobe/tcp_sendmsg\") int BPF_KPROBE(on_send, struct sock *sk) {\n\
         u32 key = BPF_CORE_READ(sk, __sk_common.skc_family); u64 *value = bpf_map_lookup_elem(&counts, &key);\n\
         if (value) __sync_fetch_and_add(value, 1); return 0; }",
    );
}

#[test]
fn defines_are_set_behind_the_templates() {
    let mut request = request("_Static_assert(LIMIT == 5 && AF_INET == 9, \"\"); int x = sizeof(struct WHAT);");
    for (name, value) in [("LIMIT", "5"), ("AF_INET", "9"), ("WHAT", "task_struct")] {
        request.defines.push((name.into(), value.into()));
    }
    assert_eq!(clang_says(&request), "");
}

#[test]
fn a_define_that_is_no_macro_is_said() {
    let check = |name: &str, value: &str, expect: &str| {
        let mut request = request("");
        request.defines.push((name.into(), value.into()));
        let messages = Needs::of(&request).unwrap_err();
        assert_eq!(messages.iter().map(|one| one.message.as_str()).collect::<Vec<_>>(), [expect]);
    };
    check("1A", "", "`-D 1A=`: `1A` is not a name that C knows");
    check("A(x)", "x", "`-D A(x)=x`: `A(x)` is not a name that C knows");
    check("", "x", "`-D =x`: `` is not a name that C knows");
    check("A", "1\n#include </etc/passwd>", "the value of `-D A` must stand on one line");
}

#[test]
fn tracepoints_are_those_that_the_text_names() {
    let request = request(
        "TRACEPOINT_PROBE(sock, inet_sock_set_state) { return 0; }\n\
         int tracepoint__sched__sched_switch(struct tracepoint__sched__sched_switch *args) { return 0; }\n\
         #ifdef DBCC_HAVE_TRACEPOINT__net__netif_rx\n#endif\n// TRACEPOINT_PROBE(no, no)",
    );
    let needs = Needs::of(&request).unwrap();
    let found: Vec<String> = needs.tracepoints.iter().map(|one| format!("{}:{}", one.category, one.name)).collect();
    assert_eq!(found, ["net:netif_rx", "sched:sched_switch", "sock:inet_sock_set_state"]);
    let kernel = KernelText {
        types: String::new(),
        tracepoints: vec![(
            TracepointName { category: "net".into(), name: "netif_rx".into() },
            "struct tracepoint__net__netif_rx { int len; };".into(),
        )],
    };
    let header = |tracepoint| {
        let request = CompileRequest { features: Features { tracepoint, ..Features::default() }, ..request.clone() };
        let written = write(&request, &needs, &kernel, &host()).unwrap();
        std::fs::read_to_string(written.root.path().join("dbcc/host.h")).unwrap()
    };
    let offered = "#define DBCC_HAVE_TRACEPOINT__net__netif_rx 1\n";
    assert_eq!((header(true).contains(offered), header(false).contains(offered)), (true, false));
    let written = write(&request, &needs, &kernel, &host()).unwrap();
    let read = |name: &str| std::fs::read_to_string(written.root.path().join(name)).unwrap();
    assert!(!read("dbcc/host.h").contains("sched_switch"));
    assert_eq!(read("dbcc/tracepoints.h"), "struct tracepoint__net__netif_rx { int len; };\n");
}

#[test]
fn headers_beside_the_probe_are_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("inc")).unwrap();
    std::fs::write(dir.path().join("inc/mine.h"), "#include \"deep.h\"\nstruct mine { pid_t pid; };").unwrap();
    std::fs::write(dir.path().join("inc/deep.h"), "#include \"mine.h\"\n#include <linux/fs.h>\nstruct inode;").unwrap();
    std::fs::write(dir.path().join("vmlinux.h"), "#error not this one").unwrap();
    let mut request =
        request("#include \"vmlinux.h\"\n#include \"inc/mine.h\"\nint f(struct mine *m) { return m->pid; }");
    request.source.dir = Some(dir.path().into());
    let needs = Needs::of(&request).unwrap();
    let found: Vec<_> =
        needs.local.iter().map(|header| header.path.strip_prefix(dir.path()).unwrap().to_owned()).collect();
    assert_eq!(found, [PathBuf::from("inc/mine.h"), PathBuf::from("inc/deep.h")]);
    assert!(needs.names.declared_tags.contains("mine"));
    // The headers include one another without guards, which is theirs to fix; each alone is fine.
    std::fs::write(dir.path().join("inc/deep.h"), "#include <linux/fs.h>\nstruct inode;").unwrap();
    assert_eq!(clang_says(&request), "");
}

#[test]
fn headers_of_the_system_are_not_there() {
    for name in ["stdio.h", "sys/types.h", "unistd.h"] {
        let said = clang_says(&request(&format!("#include <{name}>")));
        assert!(said.contains("file not found"), "{name}: {said}");
    }
    // What is written stays inside the private folder.
    let needs = Needs::of(&request("#include <../escape.h>\n#include <linux/../../escape.h>\n#include </escape.h>"));
    assert!(needs.unwrap().files.texts().all(|(name, _)| !name.contains("escape")));
}

/// The registers of the other architecture: what every probe may say of them compiles, and each is a place of its own.
#[test]
fn registers_of_each_architecture_have_the_same_names() {
    let names = [
        "PARM1(ctx)",
        "PARM2(ctx)",
        "PARM3(ctx)",
        "PARM4(ctx)",
        "PARM5(ctx)",
        "PARM6(ctx)",
        "RC(ctx)",
        "FP(ctx)",
        "SP(ctx)",
        "IP(ctx)",
        "PARM1_SYSCALL(ctx)",
        "PARM2_SYSCALL(ctx)",
        "PARM3_SYSCALL(ctx)",
        "PARM4_SYSCALL(ctx)",
        "PARM5_SYSCALL(ctx)",
        "PARM6_SYSCALL(ctx)",
        "PARM1_CORE(ctx)",
        "PARM6_CORE(ctx)",
        "PARM1_CORE_SYSCALL(ctx)",
        "PARM6_CORE_SYSCALL(ctx)",
        "RC_CORE(ctx)",
        "IP_CORE(ctx)",
    ];
    for (architecture, context) in ARCHITECTURES {
        let reads = names.map(|name| format!("    sum += (u64)PT_REGS_{name};\n")).concat();
        let text = format!("int f(struct pt_regs *ctx)\n{{\n    u64 sum = 0;\n\n{reads}    return sum;\n}}\n");
        let request = request(&text);
        let templated = templated(&request);
        let host = templated.root.path().join("dbcc/host.h");
        let lines = std::fs::read_to_string(&host).unwrap();
        let (_, rest) = lines.split_once('\n').expect("the first line includes the registers");
        std::fs::write(&host, format!("#include <{context}>\n{rest}")).unwrap();
        std::fs::write(templated.root.path().join(context), headers::embedded(context).unwrap()).unwrap();
        let said = clang_says_of(&templated, &text);
        assert!(said.is_empty(), "{architecture}: {said}");
    }
}
