//! Loading, on this kernel.

use super::*;
use crate::bpf::testing::{compile, compiled, fact, ready};

fn load_one(text: &str, kind: &str, pids: &[u32]) -> Result<Loaded, LoadError> {
    let compiled = compiled(compile(text), vec![fact("hit", kind, None, &[(kind, "hit")])], &[]);
    let settings = Settings { pids: pids.to_vec(), ..Settings::default() };
    load(&compiled, [(0, [].as_slice())], &Kernel::new(), &settings)
}

#[test]
fn a_program_is_loaded_with_its_maps() {
    if !ready() {
        return;
    }
    let text = "SEC(\"uprobe\") int hit(void *ctx) { if (OTHERS) return 0; count(1, 1); return 0; }";
    let loaded = load_one(text, "uprobe", &[4711]).unwrap();
    assert!(loaded.filters());
    assert_eq!(loaded.programs().len(), 1);
    let map = loaded.map("counts").unwrap();
    assert_eq!((map.key_size(), map.value_size(), map.max_entries()), (4, 8, 4096));
    assert!(map.key_type() > 0 && map.value_type() > 0);
    let settings = loaded.map(".rodata.dbcc").unwrap();
    let value = settings.lookup(&0_u32.to_ne_bytes()).unwrap().unwrap();
    assert_eq!(value.get(..8), Some([1_u32.to_ne_bytes(), 4711_u32.to_ne_bytes()].concat().as_slice()));
}

#[test]
fn a_program_without_a_filter_says_so() {
    if !ready() {
        return;
    }
    let loaded = load_one("SEC(\"uprobe\") int hit(void *ctx) { count(1, 1); return 0; }", "uprobe", &[1]).unwrap();
    assert!(!loaded.filters());
    let many = load_one("SEC(\"uprobe\") int hit(void *ctx) { return OTHERS; }", "uprobe", &[1; MAX_PIDS + 1]);
    assert!(matches!(many, Err(LoadError::Pids(65))), "{many:?}");
}

#[test]
fn a_refusal_carries_the_verifiers_log() {
    if !ready() {
        return;
    }
    let text = "SEC(\"uprobe\") int hit(void *ctx) { return *(volatile int *)4096; }";
    let error = load_one(text, "uprobe", &[]).unwrap_err();
    let LoadError::Rejected { function, program, log, truncated, .. } = &error else { panic!("{error:?}") };
    assert_eq!((function.as_str(), program.as_str(), *truncated), ("hit", "hit", false));
    assert!(log.contains("invalid mem access"), "{log}");
    // The lines of the source that clang put into the object are what a message is mapped by.
    assert!(log.contains("test.bpf.c:") || log.contains("; SEC("), "{log}");
}

#[test]
fn a_map_that_the_kernel_refuses_is_named() {
    if !ready() {
        return;
    }
    // A hash needs room for an entry.
    let text = "
        struct { __uint(type, 1); __uint(max_entries, 0); __type(key, __u32); __type(value, __u32); } none SEC(\".maps\");
        SEC(\"uprobe\") int hit(void *ctx) { __u32 key = 0; return bpf_map_lookup_elem(&none, &key) != 0; }";
    let error = load_one(text, "uprobe", &[]).unwrap_err();
    assert!(matches!(&error, LoadError::Map { map, .. } if map == "none"), "{error:?}");
}

#[test]
fn a_promise_that_the_object_does_not_keep_is_an_error() {
    if !ready() {
        return;
    }
    let compiled = compiled(compile(""), vec![fact("hit", "uprobe", None, &[("uprobe", "hit")])], &[]);
    let error = load(&compiled, [(0, [].as_slice())], &Kernel::new(), &Settings::default()).unwrap_err();
    assert!(matches!(&error, LoadError::Promise(name) if name == "hit"), "{error:?}");
    let mut garbage = compiled;
    garbage.elf = b"no object".to_vec();
    let error = load(&garbage, [(0, [].as_slice())], &Kernel::new(), &Settings::default()).unwrap_err();
    assert!(matches!(&error, LoadError::Kernel(_)), "{error:?}");
}

const TWO_FORMS: &str = "
    SEC(\"fexit\") int hit_fexit(__u64 *ctx) { count(1, 1); return 0; }
    SEC(\"kretprobe\") int hit_kretprobe(struct pt_regs *ctx) { count(2, 1); return 0; }";

fn choose(settings: &Settings, target: &Target) -> Result<(String, String), LoadError> {
    let forms = [("fexit", "hit_fexit"), ("kretprobe", "hit_kretprobe")];
    let compiled = compiled(compile(TWO_FORMS), vec![fact("hit", "kretprobe", None, &forms)], &[]);
    let loaded = load(&compiled, [(0, std::slice::from_ref(target))], &Kernel::new(), settings)?;
    let [program] = loaded.programs() else { panic!("{loaded:?}") };
    assert!(loaded.object().program(&program.program).is_some(), "the chosen form is loaded");
    let other = if program.program == "hit_fexit" { "hit_kretprobe" } else { "hit_fexit" };
    assert!(loaded.object().program(other).is_none(), "the other form is not loaded");
    Ok((program.program.clone(), program.why.clone()))
}

#[test]
fn the_form_that_the_kernel_takes_is_chosen() {
    if !ready() {
        return;
    }
    let target = Target::KernelFunction { name: "tcp_sendmsg".into(), offset: 0 };
    let kernel = Kernel::new();
    let (program, why) = choose(&Settings::default(), &target).unwrap();
    if kernel.features().fentry {
        assert_eq!((program.as_str(), why.as_str()), ("hit_fexit", "fexit: the kernel accepted a trial attach"));
    } else {
        assert_eq!(program, "hit_kretprobe");
        assert!(why.starts_with("kretprobe: no fexit, since the kernel refuses"), "{why}");
    }
    let forced = Settings { attach_as: Some(AttachAs::Kprobe), ..Settings::default() };
    assert_eq!(choose(&forced, &target).unwrap(), ("hit_kretprobe".into(), "kretprobe: --attach-as kprobe".into()));
    let forced = Settings { attach_as: Some(AttachAs::Fentry), ..Settings::default() };
    match choose(&forced, &target) {
        Ok((program, _)) => assert!(kernel.features().fentry && program == "hit_fexit"),
        Err(error) => assert!(!kernel.features().fentry && error.to_string().contains("`hit`"), "{error}"),
    }
    let without = Settings { without_fentry: true, ..Settings::default() };
    assert_eq!(choose(&without, &target).unwrap().0, "hit_kretprobe");
    let inside = Target::KernelFunction { name: "tcp_sendmsg".into(), offset: 4 };
    assert_eq!(choose(&Settings::default(), &inside).unwrap().0, "hit_kretprobe");
    let missing = Target::KernelFunction { name: "no_such_function".into(), offset: 0 };
    assert_eq!(choose(&Settings::default(), &missing).unwrap().0, "hit_kretprobe");
}

#[test]
fn the_form_that_fits_the_functions_arguments_is_chosen() {
    if !ready() {
        return;
    }
    let kernel = Kernel::new();
    if !kernel.features().fentry {
        crate::bpf::testing::skip("this kernel has no fentry", false);
        return;
    }
    let text = format!("{TWO_FORMS} SEC(\"fexit\") int hit_fexit3(__u64 *ctx) {{ count(3, ctx[3]); return 0; }}");
    let forms = [("fexit", "hit_fexit"), ("fexit", "hit_fexit3"), ("kretprobe", "hit_kretprobe")];
    let mut program = fact("hit", "kretprobe", None, &forms);
    let elf = compile(&text);
    let mut choose = |first: u32, second: u32| {
        for (form, arguments) in program.forms.iter_mut().zip([first, second]) {
            form.arguments = Some(arguments);
        }
        let compiled = compiled(elf.clone(), vec![program.clone()], &[]);
        // tcp_sendmsg(struct sock *, struct msghdr *, size_t), in every kernel since Linux 4.1.
        let target = Target::KernelFunction { name: "tcp_sendmsg".into(), offset: 0 };
        let loaded = load(&compiled, [(0, [target].as_slice())], &Kernel::new(), &Settings::default()).unwrap();
        (loaded.programs()[0].program.clone(), loaded.programs()[0].why.clone())
    };
    assert_eq!(choose(3, 4).0, "hit_fexit");
    assert_eq!(choose(4, 3).0, "hit_fexit3");
    let (program, why) = choose(4, 5);
    assert_eq!(program, "hit_kretprobe");
    assert!(why.contains("compiled for 4 or 5 arguments, and `tcp_sendmsg` of this kernel has 3"), "{why}");
}
