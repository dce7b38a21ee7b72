use crate::bpf::btf::{Btf, Kind, TypeId, Writer};
use crate::kernel::tracepoint::Tracepoint;

use super::*;

/// `int f(struct sock *sk, const char *name, int (*done)(void *, ...), struct pair pair, enum e e, _Bool, ...)`, the call of a
/// tracepoint `t`, a hook `h` and an iterator `i`.
fn sample() -> Btf {
    let mut writer = Writer::new();
    let int = writer.int("int", 4, 1 << 24 | 32);
    let char = writer.int("char", 1, 1 << 24 | 8);
    let boolean = writer.int("_Bool", 1, 4 << 24 | 8);
    let sock = writer.plain("sock", Kind::Forward, false, 0);
    let sock_pointer = writer.plain("", Kind::Pointer, false, sock.0);
    let constant = writer.plain("", Kind::Const, false, char.0);
    let text = writer.plain("", Kind::Pointer, false, constant.0);
    let void_pointer = writer.plain("", Kind::Pointer, false, 0);
    let callback = writer.prototype(int, &[(String::new(), void_pointer), (String::new(), TypeId::VOID)]);
    let callback = writer.plain("", Kind::Pointer, false, callback.0);
    let fields = [("a".to_owned(), text, 0), ("b".to_owned(), text, 64)];
    let pair = writer.record("pair", Kind::Struct, false, 16, &fields);
    let choice = writer.enumeration("e", Kind::Enum, false, 4, &[("ONE".to_owned(), 1)]);
    let named = |name: &str, id| (name.to_owned(), id);
    let parameters = [
        named("sk", sock_pointer),
        named("name", text),
        named("done", callback),
        named("pair", pair),
        named("e", choice),
        named("", boolean),
        named("", TypeId::VOID),
    ];
    let prototype = writer.prototype(int, &parameters);
    writer.plain("f", Kind::Function, false, prototype.0);
    let call = [named("__data", void_pointer), named("sk", sock_pointer), named("default", int)];
    let call = writer.prototype(int, &call);
    writer.plain("__traceiter_t", Kind::Function, false, call.0);
    let pointer = writer.plain("", Kind::Pointer, false, call.0);
    writer.plain("btf_trace_t", Kind::Typedef, false, pointer.0);
    let hook = writer.prototype(int, &[named("sk", sock_pointer)]);
    writer.plain("bpf_lsm_h", Kind::Function, false, hook.0);
    writer.plain("bpf_lsm_helps", Kind::Function, false, hook.0);
    let hook_pointer = writer.plain("", Kind::Pointer, false, hook.0);
    let hooks = [("h".to_owned(), hook_pointer, 0), ("removed".to_owned(), hook_pointer, 0)];
    writer.record("security_list_options", Kind::Union, false, 8, &hooks);
    let union = writer.record("", Kind::Union, false, 8, &[("sk".to_owned(), sock_pointer, 0)]);
    writer.record("bpf_iter__i", Kind::Struct, false, 16, &[(String::new(), union, 0), ("fd".to_owned(), int, 64)]);
    writer.record("bpf_iter__i__part", Kind::Struct, false, 8, &[(String::new(), union, 0)]);
    writer.plain("bpf_iter_i", Kind::Function, false, hook.0);
    Btf::parse(writer.finish()).unwrap()
}

fn classes(prototype: &Prototype) -> Vec<Class> {
    prototype.arguments.iter().map(|argument| argument.class).collect()
}

#[test]
fn a_function_of_the_kernel_is_told_as_c_writes_it() {
    let btf = sample();
    let prototypes = KernelPrototypes::new(&btf);
    let function = prototypes.function("f").unwrap();
    assert_eq!(
        function.line(),
        "int (struct sock *sk, const char *name, int (*done)(void *, ...), struct pair pair, enum e e, _Bool, ...)"
    );
    let int = Class::Integer { size: 4, signed: true };
    let expected = [
        Class::KernelStruct(Owner::Either),
        Class::Text(Owner::Either),
        Class::Pointer(Owner::Either),
        Class::Aggregate(Some(16)),
        Class::Integer { size: 4, signed: false },
        Class::Boolean,
    ];
    assert_eq!(classes(&function), expected);
    let numbers: Vec<Option<usize>> = function.arguments.iter().map(Argument::number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 6, 7].map(Some), "the pair takes two places");
    assert_eq!(function.returns.as_ref().map(|returned| returned.class), Some(int));
    assert_eq!(prototypes.function("g"), None);
}

#[test]
fn calls_hooks_and_iterators_are_found_by_their_names() {
    let btf = sample();
    let prototypes = KernelPrototypes::new(&btf);
    assert_eq!(prototypes.raw_tracepoint("t").unwrap().line(), "(struct sock *sk, int default)");
    assert_eq!(prototypes.hook("h").unwrap().line(), "int (struct sock *sk)");
    assert_eq!(prototypes.iterator("i").unwrap().line(), "(struct sock *sk, int fd)");
    assert_eq!(prototypes.iterators().collect::<Vec<_>>(), [b"i"], "a struct that describes a part is none");
    assert_eq!(prototypes.tracepoints().collect::<Vec<_>>(), [b"t"]);
    assert_eq!(prototypes.hooks().collect::<Vec<_>>(), [b"h"]);
}

#[test]
fn a_snippet_is_the_head_of_a_program() {
    let btf = sample();
    let prototypes = KernelPrototypes::new(&btf);
    let check = |kind: &str, target: &str, prototype: Option<Prototype>, expect: &str| {
        assert_eq!(snippet(kind, target, prototype.as_ref()).unwrap().to_string(), expect);
    };
    let function = || prototypes.function("f");
    check(
        "kprobe",
        "f",
        function(),
        "int kprobe__f(struct pt_regs *ctx, struct sock *sk, const char *name, void *done /* int (*)(void *, ...) */, \
         u64 pair_low /* struct pair */, u64 pair_high /* struct pair */, enum e e)",
    );
    check("kretprobe", "f", function(), "int kretprobe__f(struct pt_regs *ctx)");
    check("kprobe", "f.isra.0", None, "//@ attach kprobe:f.isra.0 = on_f_isra_0\nint on_f_isra_0(struct pt_regs *ctx)");
    check("lsm", "h", prototypes.hook("h"), "LSM_PROBE(h, struct sock *sk, int ret)");
    check("iter", "i", prototypes.iterator("i"), "BPF_ITER(i)");
    check("tp_btf", "t", prototypes.raw_tracepoint("t"), "int tp_btf__t(u64 *ctx, struct sock *sk, int default_)");
    check(
        "raw_tracepoint",
        "t",
        prototypes.raw_tracepoint("t"),
        "int raw_tracepoint__t(struct bpf_raw_tracepoint_args *ctx, struct sock *sk, int default_)",
    );
    check("tracepoint", "sched:sched_switch", None, "TRACEPOINT_PROBE(sched, sched_switch)");
    check(
        "uretprobe",
        "mysqld:A<int>::send(char const*) const",
        None,
        "//@ attach uretprobe:mysqld:A<int>::send(char const*) const = on_send_return\n\
         int on_send_return(struct pt_regs *ctx)",
    );
    assert_eq!(snippet("xdp", "eth0", None), None);
}

#[test]
fn a_record_is_told_by_its_format() {
    let field = |declaration: &str, offset: u32, size: u32| {
        format!("\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:0;\n")
    };
    let text = format!(
        "ID: 1\n{}{}{}{}{}{}",
        field("int common_pid", 4, 4),
        field("int __syscall_nr", 8, 4),
        field("const char * filename", 16, 8),
        field("char comm[16]", 24, 16),
        field("__data_loc char[] name", 40, 4),
        field("struct sockaddr * addr", 48, 8),
    );
    let enter = Tracepoint::parse("syscalls", "sys_enter_x", &text).unwrap();
    let record = tracepoint(&enter);
    let int = Class::Integer { size: 4, signed: true };
    let owner = Owner::Process;
    let expected = [int, Class::Text(owner), Class::TextArray(16), Class::TextBehind, Class::KernelStruct(owner)];
    assert_eq!(classes(&record), expected);
    let places: Vec<String> = record
        .arguments
        .iter()
        .map(|argument| match &argument.place {
            Where::Field { name, .. } => name.clone(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(places, ["__syscall_nr", "filename", "comm", "data_loc_name", "addr"]);
    let exit = Tracepoint::parse("syscalls", "sys_exit_x", &format!("ID: 2\n{}", field("long ret", 16, 8))).unwrap();
    assert_eq!(
        system_call(&enter, Some(&exit)).line(),
        "long (const char *filename, char comm[16], __data_loc char[] name, struct sockaddr *addr)"
    );
}

#[test]
fn the_kernel_here_has_prototypes_for_all_of_its_functions() {
    let Ok(btf) = crate::kernel::btf::load() else {
        eprintln!("skipped: this kernel has no BTF");
        return;
    };
    let prototypes = KernelPrototypes::new(&btf);
    let names: Vec<String> = prototypes.functions().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    assert!(names.len() > 1000, "{}", names.len());
    for name in &names {
        let prototype = prototypes.function(name).unwrap();
        let unknown =
            prototype.arguments.iter().find(|argument| matches!(argument.class, Class::Unknown | Class::Void));
        assert_eq!(unknown, None, "{name}: {}", prototype.line());
        assert!(snippet("kprobe", name, Some(&prototype)).is_some());
    }
    assert_eq!(
        prototypes.function("tcp_sendmsg").unwrap().line(),
        "int (struct sock *sk, struct msghdr *msg, size_t size)"
    );
}
