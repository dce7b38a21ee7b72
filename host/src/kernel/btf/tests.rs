use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;
use crate::bpf::btf::{Array, Kind, TypeId, Writer};
use crate::lex::Lexed;

fn names(text: &str) -> Names {
    let mut names = Names::default();
    names.add(&Lexed::new(text));
    names
}

/// The output of a program that the development set-up has; none, said on standard error, where it is missing.
fn run(program: &str, arguments: &[&str], input: &str) -> Option<(bool, String, String)> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if std::env::var_os("CI").is_some() => panic!("{program}: {error}"),
        Err(error) => {
            eprintln!("skipped: {program}: {error}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Some((output.status.success(), text(output.stdout), text(output.stderr)))
}

/// Compiles a text; the messages of clang where it does not compile.
fn compile(text: &str) -> Option<Result<(), String>> {
    let clang = if Command::new("clang-19").arg("--version").output().is_ok() { "clang-19" } else { "clang" };
    let arguments = "-target bpf -std=gnu11 -O2 -g -Wall -Werror -Wno-visibility -nostdinc -x c -c - -o /dev/null";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let (ok, _, errors) = run(clang, &arguments, text)?;
    Some(if ok { Ok(()) } else { Err(errors) })
}

/// The BTF to test on: the file that `DBCC_TEST_BTF` names, or that of this kernel.
fn kernel_path() -> String {
    std::env::var("DBCC_TEST_BTF").unwrap_or_else(|_| VMLINUX.to_owned())
}

/// The BTF to test on, or none with the reason printed.
fn kernel() -> Option<Btf> {
    match load_from(Path::new(&kernel_path())) {
        Ok(btf) => Some(btf),
        Err(error) if std::env::var_os("CI").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// Structs that C for BPF cannot lay out as the kernel does (all of Linux 5.10 to 7.2): the first holds a packed union,
/// and BTF does not say that it is packed; the second holds a `va_list`, which each compiler target has its own of.
const IMPOSSIBLE: &[&str] = &["ec_response_get_next_event_v3", "warn_args"];

/// Size of each struct by name, and the names and offsets in bytes of its fields.
type Layouts = BTreeMap<String, (u64, Vec<(String, u64)>)>;

/// Sizes and offsets of the kernel's named structs, as bpftool reads them from the same BTF; bit fields are left out.
fn layouts() -> Option<Layouts> {
    let (_, json, _) = run("bpftool", &["-j", "btf", "dump", "file", &kernel_path()], "")?;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let mut layouts = BTreeMap::new();
    let mut ambiguous = BTreeSet::new();
    for found in json["types"].as_array().unwrap() {
        let name = found["name"].as_str().unwrap_or_default();
        if found["kind"] != "STRUCT" || name == "(anon)" {
            continue;
        }
        let fields = found["members"].as_array().unwrap().iter().filter_map(|member| {
            let name = member["name"].as_str()?;
            let plain = name != "(anon)" && member.get("bitfield_size").is_none();
            plain.then(|| (name.to_owned(), member["bits_offset"].as_u64().unwrap() / 8))
        });
        let entry = (found["size"].as_u64().unwrap(), fields.collect());
        if layouts.insert(name.to_owned(), entry).is_some() {
            ambiguous.insert(name.to_owned());
        }
    }
    // Of several structs of one name, a slice may hold any.
    layouts.retain(|name, _| !ambiguous.contains(name) && !IMPOSSIBLE.contains(&name.as_str()));
    Some(layouts)
}

/// Checks with clang that a slice compiles and that each struct in it is laid out as in the kernel; the number of
/// structs.
fn check_layout(text: &str, layouts: &Layouts) -> usize {
    let mut program = format!("struct pt_regs {{ unsigned long r[21]; }};\n{text}");
    let mut checked = 0;
    for line in text.lines() {
        let Some(name) = line.strip_prefix("struct ").and_then(|line| line.strip_suffix(" {")) else { continue };
        let Some((size, fields)) = layouts.get(name) else { continue };
        checked += 1;
        program += &format!("_Static_assert(sizeof(struct {name}) == {size}, \"size of {name}\");\n");
        for (field, offset) in fields {
            program += &format!(
                "_Static_assert(__builtin_offsetof(struct {name}, {field}) == {offset}, \"{name}.{field}\");\n"
            );
        }
    }
    if let Some(Err(errors)) = compile(&program) {
        panic!("{errors}");
    }
    checked
}

#[test]
fn slices_compile_and_have_the_kernels_layout() {
    let (Some(btf), Some(layouts)) = (kernel(), layouts()) else { return };
    for (text, at_least) in [
        ("", 0),
        ("struct task_struct *t;", 40),
        ("struct sock *t; struct sk_buff *b; struct inet_sock *i; struct tcp_sock *s;", 30),
        ("struct file *f; struct dentry *d; struct inode *i; struct kiocb *k; struct iov_iter *v;", 20),
        ("struct request *r; struct bio *b; struct gendisk *g; struct net_device *n; struct rq *q;", 50),
        ("struct bpf_perf_event_data *d; struct bpf_sock_ops *o; struct __sk_buff *s; struct xdp_md *x;", 4),
    ] {
        let slice = slice(&btf, &names(text)).unwrap();
        let checked = check_layout(&slice.text, &layouts);
        assert!(checked >= at_least, "{text}: {checked} structs in {}", slice.text);
    }
}

/// A fifth of all structs of the kernel.
#[test]
fn any_struct_compiles_and_has_the_kernels_layout() {
    let (Some(btf), Some(layouts)) = (kernel(), layouts()) else { return };
    let mut checked = 0;
    for some in layouts.keys().collect::<Vec<_>>().chunks(400).step_by(5) {
        let text: String = some.iter().map(|name| format!("struct {name} *x;")).collect();
        let slice = slice(&btf, &names(&text)).unwrap();
        checked += check_layout(&slice.text, &layouts);
    }
    assert!(checked * 5 >= layouts.len(), "{checked} of {}", layouts.len());
}

#[test]
fn a_root_keeps_its_name_before_others_of_the_name() {
    // Two structs of one name; the second is a dependency that is printed first.
    let mut writer = Writer::new();
    writer.int("int", 4, 1 << 24 | 32);
    writer.record("a", Kind::Struct, false, 8, &[("own".into(), TypeId(1), 0), ("b".into(), TypeId(3), 32)]);
    writer.record("b", Kind::Struct, false, 4, &[("inner".into(), TypeId(4), 0)]);
    writer.record("a", Kind::Struct, false, 4, &[("other".into(), TypeId(1), 0)]);
    let text = slice(&parsed(writer), &names("struct a *x;")).unwrap().text;
    if let Some(Err(errors)) = compile(&format!("{text}\nint f(struct a *a) {{ return a->own + a->b.inner.other; }}")) {
        panic!("{errors}\n{text}");
    }
}

#[test]
fn a_member_without_a_name_may_have_a_tag() {
    let mut writer = Writer::new();
    writer.int("int", 4, 1 << 24 | 32);
    let inner = [("x".into(), TypeId(1), 0), ("next".into(), TypeId(3), 64)];
    writer.record("inner", Kind::Struct, false, 16, &inner);
    writer.plain("", Kind::Pointer, false, 2);
    let outer = [("own".into(), TypeId(1), 0), (String::new(), TypeId(2), 64), (String::new(), TypeId(5), 192)];
    writer.record("outer", Kind::Struct, false, 40, &outer);
    writer.record("third", Kind::Union, false, 16, &[(String::new(), TypeId(6), 0), ("y".into(), TypeId(1), 0)]);
    writer.record("deep", Kind::Struct, false, 16, &[("z".into(), TypeId(1), 64), ("q".into(), TypeId(1), 96)]);
    let text = slice(&parsed(writer), &names("struct outer *x;")).unwrap().text;
    let program = format!(
        "{text}\nint f(struct outer *o) {{ return o->own + o->x + o->next->x + o->y + o->z; }}
         _Static_assert(sizeof(struct outer) == 40 && __builtin_offsetof(struct outer, q) == 36, \"\");"
    );
    if let Some(Err(errors)) = compile(&program) {
        panic!("{errors}\n{text}");
    }
}

#[test]
fn a_struct_and_a_union_of_one_name_are_told_apart() {
    let mut writer = Writer::new();
    writer.int("int", 4, 1 << 24 | 32);
    writer.record("a", Kind::Union, false, 4, &[("x".into(), TypeId(1), 0)]);
    writer.record("a", Kind::Struct, false, 4, &[("y".into(), TypeId(1), 0)]);
    writer.plain("", Kind::Pointer, false, 3);
    writer.record("b", Kind::Struct, false, 16, &[("p".into(), TypeId(4), 0), ("v".into(), TypeId(2), 64)]);
    let text = slice(&parsed(writer), &names("struct b *x; union a *y;")).unwrap().text;
    if let Some(Err(errors)) = compile(&format!("{text}\nint f(struct b *b) {{ return b->v.x && b->p; }}")) {
        panic!("{errors}\n{text}");
    }
}

#[test]
fn a_struct_that_the_probe_defines_is_not_made_relocatable() {
    let Some(btf) = kernel() else { return };
    let probe = "struct mount { long mine; }; struct mnt_namespace *n;\n\
                 long get(struct mount *m) { return __builtin_preserve_access_index(n) && m->mine; }";
    let text = slice(&btf, &names(probe)).unwrap().text;
    let (declarations, region) = text.split_once("#pragma").unwrap();
    assert!(declarations.contains("struct mount;\n") && !region.contains("struct mount;"), "{text}");
}

#[test]
fn a_pointer_is_followed_where_a_member_of_its_name_is_used() {
    let Some(btf) = kernel() else { return };
    let defines = |text: &str, tag: &str| slice(&btf, &names(text)).unwrap().text.contains(&format!("{tag} {{"));
    let head = "struct task_struct *t = x;";
    assert!(defines(head, "struct task_struct"));
    assert!(!defines(head, "struct mm_struct"));
    assert!(!defines(&format!("{head} int mm;"), "struct mm_struct"));
    assert!(defines(&format!("{head} t->mm;"), "struct mm_struct"));
    assert!(defines(&format!("{head} BPF_CORE_READ(t, mm, owner);"), "struct mm_struct"));
    let two = format!("{head} t->nsproxy->mnt_ns->user_ns;");
    assert!(defines(&two, "struct nsproxy") && defines(&two, "struct mnt_namespace"));
    assert!(!defines(&format!("{head} t->mnt_ns;"), "struct mnt_namespace"));
}

#[test]
fn enumerators_come_by_name() {
    let Some(btf) = kernel() else { return };
    // TASK_COMM_LEN is one only since Linux 5.17.
    let probe = "int a = BPF_ANY + TCP_SYN_SENT + PIDTYPE_PID; bool b = true;";
    let text = slice(&btf, &names(probe)).unwrap().text;
    let program = format!(
        "{text}\n_Static_assert(BPF_ANY == 0 && BPF_NOEXIST == 1 && TCP_SYN_SENT == 2, \"\");\n\
         bool yes(void) {{ return PIDTYPE_PID == 0 && true; }}"
    );
    if let Some(Err(errors)) = compile(&program) {
        panic!("{errors}\n{text}");
    }
}

#[test]
fn what_the_probe_declares_itself_is_left_to_it() {
    let Some(btf) = kernel() else { return };
    // `struct path` is held by value by `struct file`, `struct mount` is pointed to; `pid_t` is a basic typedef;
    // TASK_COMM_LEN and TCP_SYN_SENT are the kernel's enumerators, the latter of an enum with a tag in use here.
    let probe = "struct path { int mine; }; struct mount { long mine; }; typedef long pid_t;\n\
                 enum { TASK_COMM_LEN = 7, TCP_ESTABLISHED = 99 };\n\
                 struct file *f; struct mnt_namespace *n;\n\
                 long get(void) { return (long)n->root->mine + f->f_path.dentry->d_name.len + TCP_SYN_SENT; }\n\
                 _Static_assert(TASK_COMM_LEN == 7 && sizeof(pid_t) == 8 && TCP_ESTABLISHED == 99, \"\");";
    let text = slice(&btf, &names(probe)).unwrap().text;
    if let Some(Err(errors)) = compile(&format!("{text}\n{probe}")) {
        panic!("{errors}\n{text}");
    }
    assert!(text.contains("struct path___kernel f_path") || text.contains("struct path___kernel __f_path"), "{text}");
}

#[test]
fn functions_have_their_parameters() {
    let Some(btf) = kernel() else { return };
    let found = function(&btf, "tcp_sendmsg").unwrap();
    let names: Vec<&str> = found.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names, ["sk", "msg", "size"]);
    assert!(found.parameters.iter().all(|parameter| parameter.places == 1) && !found.variadic);
    assert_eq!(btf.underlying(found.returns).name(), "int");
    assert_eq!(btf.get(found.id).kind(), Kind::Function);
    // Its name has had an underscore since Linux 5.15.
    assert!(function(&btf, "_printk").or_else(|| function(&btf, "printk")).unwrap().variadic);
    assert_eq!(function(&btf, "no_such_function"), None);
    let both = functions(&btf, &["vfs_read", "vfs_write", "nothing"]);
    assert_eq!(both.keys().collect::<Vec<_>>(), ["vfs_read", "vfs_write"]);
}

#[test]
fn fields_and_raw_tracepoints_are_listed() {
    let Some(btf) = kernel() else { return };
    let fields = members(&btf, "sock_common");
    // skc_daddr stands in two anonymous levels.
    for field in ["skc_daddr", "skc_rcv_saddr", "skc_family", "skc_dport"] {
        assert!(fields.iter().any(|found| found == field), "{fields:?}");
    }
    assert_eq!(members(&btf, "no_such_struct"), Vec::<String>::new());
    assert!(has_raw_tracepoint(&btf, "sched_switch"));
    assert!(!has_raw_tracepoint(&btf, "no_such_tracepoint"));
    let structs = type_names(&btf, |kind| kind == Kind::Struct);
    assert!(structs.binary_search(&"task_struct".to_owned()).is_ok());
    assert!(structs.is_sorted());
}

fn parsed(writer: Writer) -> Btf {
    Btf::parse(writer.finish()).unwrap()
}

#[test]
fn hostile_types_end_in_an_error() {
    // A struct that holds itself.
    let mut writer = Writer::new();
    writer.record("a", Kind::Struct, false, 8, &[("a".into(), TypeId(1), 0)]);
    let error = slice(&parsed(writer), &names("struct a *x;")).unwrap_err();
    assert!(matches!(error, SliceError::Depth { .. }), "{error}");

    // A circle of const and a pointer to itself, as the types of members.
    let mut writer = Writer::new();
    writer.record("a", Kind::Struct, false, 8, &[("a".into(), TypeId(2), 0), ("b".into(), TypeId(4), 0)]);
    writer.plain("", Kind::Const, false, 3);
    writer.plain("", Kind::Volatile, false, 2);
    writer.plain("", Kind::Pointer, false, 4);
    let error = slice(&parsed(writer), &names("struct a *x;")).unwrap_err();
    assert!(matches!(error, SliceError::Depth { .. }), "{error}");

    // A chain that would take all of the stack.
    let mut writer = Writer::new();
    writer.plain("a", Kind::Typedef, false, 2);
    for id in 3..50_000 {
        writer.plain("", Kind::Const, false, id);
    }
    let error = slice(&parsed(writer), &names("a x;")).unwrap_err();
    assert!(matches!(error, SliceError::Depth { .. }), "{error}");

    // More than is printed.
    let mut writer = Writer::new();
    let all: Vec<_> = (2..60_010).map(|id| (format!("m{id}"), TypeId(id), 0)).collect();
    writer.record("a", Kind::Struct, false, 8, &all);
    for id in 2..60_010 {
        writer.record(&format!("s{id}"), Kind::Struct, false, 8, &[]);
    }
    let error = slice(&parsed(writer), &names("struct a *x;")).unwrap_err();
    assert!(matches!(error, SliceError::TooMany), "{error}");

    // References that lead nowhere are `void`.
    let mut writer = Writer::new();
    let array = Array { element: TypeId(77), index: TypeId(78), length: 2 };
    writer.record("a", Kind::Struct, false, 8, &[("p".into(), TypeId(2), 0)]);
    writer.plain("", Kind::Pointer, false, 99);
    writer.array(array);
    let slice = slice(&parsed(writer), &names("struct a *x;")).unwrap();
    assert!(slice.text.contains("void *p;"), "{}", slice.text);
}

#[test]
fn a_kernel_without_btf_is_named() {
    let error = load_from(std::path::Path::new("/no/such/btf")).unwrap_err().to_string();
    assert!(error.contains("/no/such/btf") && error.contains("CONFIG_DEBUG_INFO_BTF"), "{error}");
    let error = load_from(std::path::Path::new("/proc/self/status")).unwrap_err().to_string();
    assert!(error.contains("not BTF"), "{error}");
}

/// The kernel of the tests of modules: `int`, and `struct base` with one member.
fn small_kernel() -> Writer {
    let mut writer = Writer::new();
    let int = writer.int("int", 4, 1 << 24 | 32);
    writer.record("base", Kind::Struct, false, 4, &[("number".to_owned(), int, 0)]);
    writer
}

/// A module's BTF: what `add` adds behind [`small_kernel`].
fn split(add: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let kernel = small_kernel().finish();
    let mut whole = small_kernel();
    add(&mut whole);
    let whole = whole.finish();
    let word = |bytes: &[u8], at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    let (types, strings) = (word(&whole, 12) - word(&kernel, 12), word(&whole, 20) - word(&kernel, 20));
    let mut bytes = whole[..8].to_vec();
    for word in [0, types, types, strings] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    let from = 24 + usize::try_from(word(&kernel, 12)).unwrap();
    let to = 24 + usize::try_from(word(&whole, 12)).unwrap();
    bytes.extend_from_slice(&whole[from..to]);
    bytes.extend_from_slice(&whole[to + usize::try_from(word(&kernel, 20)).unwrap()..]);
    bytes
}

/// Two modules; both have a member and an enumerator of the same names, and each its own types.
fn modules() -> [Vec<u8>; 2] {
    let add = |name: &'static str, value: u64| {
        split(move |writer| {
            let pointer = writer.plain("", Kind::Pointer, false, 2);
            let state = writer.enumeration("", Kind::Enum, false, 4, &[(format!("{name}_STATE"), value)]);
            let array = writer.array(Array { element: TypeId(2), index: TypeId(1), length: 3 });
            let members =
                [("parent".to_owned(), pointer, 0), ("state".to_owned(), state, 64), ("all".to_owned(), array, 96)];
            writer.record(name, Kind::Struct, false, 24, &members);
        })
    };
    [add("first", 1), add("second", 2)]
}

#[test]
fn types_of_loaded_modules_stand_behind_those_of_the_kernel() {
    let kernel = Btf::parse(small_kernel().finish()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = modules();
    for (name, bytes) in
        [("first", &first), ("second", &second), ("damaged", &first[..40].to_vec()), ("vmlinux", &first)]
    {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let text = "struct second *a; struct first b; int f(void) { return a->parent->number + b.all[1].number; }";
    let wanted = names(text);
    let missing = slice(&kernel, &wanted).unwrap().missing;
    assert_eq!(missing, ["first", "second"].map(String::from).into());
    let module::Joined { btf: joined, inputs: taken, .. } =
        module::with_modules_in(folder.path(), &kernel, &missing).unwrap();
    let read = [("first", &first), ("second", &second)];
    assert_eq!(taken, read.map(|(name, bytes)| crate::facts::Input::new(&folder.path().join(name), bytes)));
    let found = slice(&joined, &wanted).unwrap();
    assert!(found.missing.is_empty(), "{found:?}");
    for part in [
        "struct base *parent;",
        "struct first {",
        "struct second {",
        "struct base all[3];",
        "first_STATE = 1",
        "second_STATE = 2",
    ] {
        assert!(found.text.contains(part), "{part}: {}", found.text);
    }
    if let Some(compiled) = compile(&format!("{}\n{text}", found.text)) {
        compiled.unwrap();
    }
    // Equal names have equal places, whichever module they are of.
    let named = |wanted: &[u8]| joined.strings().filter(|(_, text)| *text == wanted).count();
    assert_eq!((named(b"parent"), named(b"number"), named(b"first")), (1, 1, 1));
    // Nothing is read where no module has the name.
    let none = ["no_such_type".to_owned()].into();
    assert!(module::with_modules_in(folder.path(), &kernel, &none).is_none());
    assert!(module::with_modules_in(&folder.path().join("nowhere"), &kernel, &missing).is_none());
}

#[test]
fn a_damaged_module_is_an_error_or_harmless() {
    let kernel = Btf::parse(small_kernel().finish()).unwrap();
    let [whole, _] = modules();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let Ok(joined) = kernel.with_module(&kernel, &bytes) else { continue };
        let _ = slice(&joined, &names("struct first *a; struct base b; int x = first_STATE;"));
    }
    for length in 0..whole.len() {
        let _ = kernel.with_module(&kernel, &whole[..length]);
    }
}
