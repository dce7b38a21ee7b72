#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use super::*;
use crate::bpf::OpenObject;
use crate::bpf::testing::{compile, compiled, fact, ready};
use crate::elf;

const TEXT: &str = r#"
struct task_struct { int pid; char comm[16]; } __attribute__((preserve_access_index));
SEC("kprobe/vfs_read") int on_read(struct pt_regs *ctx) {
    struct task_struct *task = (void *)bpf_get_current_task();
    int pid = 0;
    bpf_probe_read_kernel(&pid, sizeof(pid), &task->pid);
    count(pid, 1);
    return 0;
}
SEC("fentry/vfs_read") int on_read__fentry(void *ctx) { count(1, 1); return 0; }
"#;

const MACHINE: &str = std::env::consts::ARCH;

fn built(text: &str, ties: serde_json::Value) -> Built {
    let forms = &[("fentry", "on_read__fentry"), ("kprobe", "on_read")];
    let mut compiled = compiled(compile(text), vec![fact("on_read", "kprobe", Some("vfs_read"), forms)], &[]);
    compiled.file = "test.bpf.c".into();
    let mut all = serde_json::json!({
        "machine": MACHINE, "page_shift": null, "versions": null, "configuration": {}, "records": [], "enumerators": {},
        "functions": [], "copied": [],
    });
    all.as_object_mut().unwrap().extend(ties.as_object().unwrap().clone());
    Built {
        dbcc: "0".into(),
        release: "6".into(),
        source: Source::from_text("test.c", text),
        attaches: Vec::new(),
        asked: BTreeSet::new(),
        variants: vec![Variant {
            offers: vec![BTreeSet::new()],
            compiled,
            hidden: vec!["fentry/vfs_read".into()],
            ties: serde_json::from_value(all).unwrap(),
        }],
    }
}

fn plain() -> Built {
    built(TEXT, serde_json::json!({}))
}

fn programs(elf: &[u8]) -> Vec<String> {
    OpenObject::open(elf).unwrap().programs().iter().map(|program| program.name()).collect()
}

#[test]
fn an_object_comes_back_as_it_was() {
    if !ready() {
        return;
    }
    let mut built = plain();
    let other = Variant { offers: vec![BTreeSet::from(["DBCC_HAVE_KPROBE".to_owned()])], ..built.variants[0].clone() };
    built.variants.push(other);
    let bytes = built.to_bytes().unwrap();
    let back = Built::from_bytes(&bytes).unwrap().unwrap();
    assert_eq!(back.source, built.source);
    assert_eq!(back.variants.len(), 2);
    for variant in &back.variants {
        assert_eq!(variant.compiled.facts, built.variants[0].compiled.facts);
        // What libbpf does not see, dbcc does.
        assert_eq!(programs(&variant.compiled.elf), ["on_read", "on_read__fentry"]);
    }
    assert_eq!(programs(&bytes), ["on_read"]);
    let plain = compile(TEXT);
    assert!(Built::from_bytes(&plain).unwrap().is_none(), "an object of clang's has no section of dbcc's");
}

#[test]
fn damage_is_found() {
    if !ready() {
        return;
    }
    let bytes = plain().to_bytes().unwrap();
    for at in (0..bytes.len()).step_by(97) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        // The name of the section is damaged, too: then it is an object that dbcc did not make.
        let read = Built::from_bytes(&damaged);
        assert!(!matches!(read, Ok(Some(_))), "a changed byte at {at} of {} is not noticed", bytes.len());
        assert!(!matches!(Built::from_bytes(&bytes[..at]), Ok(Some(_))), "cut at {at}");
    }
    let newer = section::find(&bytes).unwrap().unwrap().start + 8;
    let mut other = bytes;
    other[newer] = 2;
    assert_eq!(Built::from_bytes(&other).unwrap_err(), BuiltError::Version(2));
}

/// Bytes that say that they are right: nothing panics, hangs or takes all memory, whatever they hold.
#[test]
fn hostile_objects_do_no_harm() {
    if !ready() {
        return;
    }
    let bytes = plain().to_bytes().unwrap();
    let kernel = Kernel::new();
    let (small, _) = elf::relocations(&bytes).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % u64::try_from(below).unwrap()).unwrap()
    };
    let mut read = 0;
    for _ in 0..3000 {
        let mut hostile = bytes.clone();
        for _ in 0..=next(4) {
            let at = next(hostile.len());
            hostile[at] = [0, 1, 0x7f, 0x80, 0xff, b'9', b'"', b'A'][next(8)];
        }
        container::seal(&mut hostile);
        if let Ok(Some(built)) = Built::from_bytes(&hostile) {
            read += 1;
            let source = built.source.clone();
            let compiled = built.variants[0].compiled.clone();
            drop(OpenObject::open(&compiled.elf));
            drop(layout::misfits(&compiled.elf, &small, &["mine".to_owned(), "task_struct".to_owned()]));
            for program in &compiled.facts.programs {
                let log = "0: (bf) r6 = r1\nR1 invalid mem access 'scalar'\n";
                crate::verifier::explain(&program.function, "on_read", log, &compiled, &source);
            }
            // All the types of the kernel take a moment in a build for tests.
            if read % 100 == 0 {
                drop(built.choose(&BTreeSet::new(), &kernel));
            }
        } else {
            drop(OpenObject::open(&hostile));
        }
    }
    assert!(read > 100, "{read} objects were read at all");
}

fn unmet(built: Built) -> Vec<String> {
    built.choose(&BTreeSet::new(), &Kernel::new()).err().unwrap_or_default()
}

#[test]
fn what_differs_on_this_kernel_is_said() {
    if !ready() {
        return;
    }
    let check = |ties: serde_json::Value, expect: &[&str]| {
        let unmet = unmet(built(TEXT, ties.clone()));
        assert_eq!(unmet.len(), expect.len(), "{ties}: {unmet:?}");
        unmet.iter().zip(expect).for_each(|(unmet, expect)| assert!(unmet.contains(expect), "{unmet}"));
    };
    check(serde_json::json!({}), &[]);
    check(serde_json::json!({"machine": "vax"}), &["built for vax"]);
    check(serde_json::json!({"page_shift": 20}), &["was 1048576"]);
    check(serde_json::json!({"versions": [0, 0x02_06_00]}), &["Linux before 2.6.0"]);
    check(serde_json::json!({"versions": [0x02_06_00, null]}), &[]);
    check(
        serde_json::json!({"enumerators": {"PIDTYPE_PID": "77", "NO_SUCH_NAME": "1"}}),
        &["no enumerator", "and was 77"],
    );
    check(serde_json::json!({"enumerators": {"PIDTYPE_PID": "0"}}), &[]);
    let record = |size| {
        let fields = serde_json::json!({"prev_pid": [24, size], "gone": [8, 4]});
        serde_json::json!({"records": [{"category": "sched", "name": "sched_switch", "fields": fields}]})
    };
    check(record(8), &["`gone` of tracepoint sched:sched_switch is not there", "`prev_pid` of tracepoint"]);
    let of = |what: &str| serde_json::json!({"functions": [{"name": "vfs_read", "arguments": [[0, what], [2, "a value of 8 bytes"]]}]});
    check(of("a pointer to struct file"), &[]);
    check(of("a pointer to struct inode"), &["argument 1 of `vfs_read` is a pointer to struct file here"]);
}

#[test]
fn fields_of_another_size_are_said() {
    if !ready() {
        return;
    }
    let larger = TEXT.replace("int pid; char", "long pid; char").replace("int pid = 0", "long pid = 0");
    assert_eq!(
        unmet(built(&larger, serde_json::json!({}))),
        ["`struct task_struct.pid` is not as it was where the probe was built: it has 4 bytes here, and had 8 bytes"]
    );
    // A copy of a struct depends on all of it, and one that the kernel does not have is nobody's.
    let text = format!("struct qstr {{ char *name; int hash; }}; struct qstr copy; struct mine {{ int x; }};\n{TEXT}");
    let unmet = unmet(built(&text, serde_json::json!({"copied": ["qstr", "mine"]})));
    assert_eq!(unmet.len(), 1, "{unmet:?}");
    assert!(unmet[0].starts_with("`struct qstr` is not as it was"), "{unmet:?}");
}

#[test]
fn a_variant_is_chosen_by_what_the_kernel_offers() {
    if !ready() {
        return;
    }
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let variant = |offers: &[&[&str]], mark: &str| {
        let mut variant = plain().variants.remove(0);
        variant.offers = offers.iter().map(|names| set(names)).collect();
        variant.compiled.text = mark.into();
        variant
    };
    let variants = vec![variant(&[&["A"], &["A", "B"]], "with A"), variant(&[&[]], "without")];
    let built = Built { variants, ..plain() };
    let choose = |built: &Built, offered: &[&str]| {
        built.clone().choose(&set(offered), &Kernel::new()).map(|chosen| (chosen.compiled.text, chosen.is_exact))
    };
    assert_eq!(choose(&built, &["A", "B"]), Ok(("with A".into(), true)));
    assert_eq!(choose(&built, &[]), Ok(("without".into(), true)));
    assert_eq!(choose(&built, &["B"]), Ok(("without".into(), false)));
    let only = Built { variants: vec![variant(&[&["A"]], "with A")], ..plain() };
    let refused = choose(&only, &["B"]).unwrap_err();
    assert!(refused[0].contains("only `B`"), "{refused:?}");
}

#[test]
fn places_outside_of_the_text_are_refused() {
    if !ready() {
        return;
    }
    let mut built = plain();
    built.variants[0].compiled.facts.programs[0].span = Span { start: 5, end: u32::MAX };
    let bytes = built.to_bytes().unwrap();
    assert!(matches!(Built::from_bytes(&bytes), Err(BuiltError::Damaged(_))));
}
