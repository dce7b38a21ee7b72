//! Attaching, on this kernel.

mod kernel_functions;

use super::*;
use crate::bpf::Map;
use crate::bpf::testing::{Victim, compile, compiled, fact, ready};
use crate::facts::Compiled;
use crate::kind::UserPlace;
use crate::load::{Settings, load};

/// Loads programs of the names `kind`, `function`, `targets`, without attaching.
fn loaded(text: &str, programs: &[(&str, &str, Vec<Target>)], pids: &[u32]) -> Loaded {
    let facts = programs.iter().map(|(kind, function, _)| fact(function, kind, None, &[(kind, function)])).collect();
    let compiled: Compiled = compiled(compile(text), facts, &[]);
    let wanted = programs.iter().enumerate().map(|(index, (_, _, targets))| (index, targets.as_slice()));
    load(&compiled, wanted, &Kernel::new(), &Settings { pids: pids.to_vec(), ..Settings::default() }).unwrap()
}

fn counts(map: &Map) -> Vec<(u32, u64)> {
    let entries = map.entries().unwrap();
    assert_eq!(entries.incomplete, None);
    let row = |(key, value): (Vec<u8>, Vec<u8>)| {
        (u32::from_ne_bytes(key.try_into().unwrap()), u64::from_ne_bytes(value.try_into().unwrap()))
    };
    let mut rows: Vec<_> = entries.rows.into_iter().map(row).collect();
    rows.sort_unstable();
    rows
}

fn count(map: &Map, key: u32) -> u64 {
    counts(map).iter().find(|(found, _)| *found == key).map_or(0, |(_, value)| *value)
}

/// Counts calls by process, and by thread.
const BY_PROCESS: &str = "SEC(\"uprobe\") int hit(struct pt_regs *ctx) { count(TGID, 1); return 0; }";

#[test]
fn a_uprobe_of_one_process_fires_in_all_its_threads_and_nowhere_else() {
    if !ready() {
        return;
    }
    let mut victim = Victim::start();
    let mut other = victim.sibling();
    let loaded = loaded(BY_PROCESS, &[("uprobe", "hit", vec![victim.target(Some(victim.pid()))])], &[]);
    let map = loaded.map("counts").unwrap().clone();
    let mut attached = attach(loaded, &Kernel::new(), &[victim.pid()]).unwrap();
    assert_eq!(attached.programs().first().map(|program| program.kind), Some("uprobe"));
    // Threads that are made after attaching count as well as those before.
    victim.call(16, 100);
    other.call(4, 100);
    assert_eq!(counts(&map), [(victim.pid(), 1600)]);
    attached.detach();
    victim.call(4, 100);
    assert_eq!(counts(&map), [(victim.pid(), 1600)], "detached");
}

#[test]
fn a_uprobe_without_a_process_fires_in_all() {
    if !ready() {
        return;
    }
    let mut victim = Victim::start();
    let mut other = victim.sibling();
    let loaded = loaded(BY_PROCESS, &[("uprobe", "hit", vec![victim.target(None)])], &[]);
    let map = loaded.map("counts").unwrap().clone();
    let attached = attach(loaded, &Kernel::new(), &[]).unwrap();
    victim.call(2, 100);
    other.call(2, 50);
    let mut expected = [(victim.pid(), 200), (other.pid(), 100)];
    expected.sort_unstable();
    assert_eq!(counts(&map), expected);
    drop(attached);
    victim.call(2, 100);
    assert_eq!(counts(&map), expected, "dropped");
}

#[test]
fn a_uretprobe_sees_the_return_value() {
    if !ready() {
        return;
    }
    let mut victim = Victim::start();
    let text = "SEC(\"uretprobe\") int back(struct pt_regs *ctx) { count(1, ctx->ax); return 0; }";
    let loaded = loaded(text, &[("uretprobe", "back", vec![victim.target(Some(victim.pid()))])], &[]);
    let map = loaded.map("counts").unwrap().clone();
    let attached = attach(loaded, &Kernel::new(), &[]).unwrap();
    victim.call(1, 10);
    assert_eq!(count(&map, 1), (0..10).map(|number| number * 2).sum::<u64>());
    drop(attached);
}

#[test]
fn one_program_serves_several_targets() {
    if !ready() {
        return;
    }
    let mut victim = Victim::start();
    let mut other = victim.sibling();
    let mut third = victim.sibling();
    let targets = vec![victim.target(Some(victim.pid())), other.target(Some(other.pid()))];
    let loaded = loaded(BY_PROCESS, &[("uprobe", "hit", targets)], &[]);
    let map = loaded.map("counts").unwrap().clone();
    let attached = attach(loaded, &Kernel::new(), &[]).unwrap();
    victim.call(1, 10);
    other.call(1, 20);
    third.call(1, 30);
    let mut expected = [(victim.pid(), 10), (other.pid(), 20)];
    expected.sort_unstable();
    assert_eq!(counts(&map), expected);
    assert_eq!(attached.programs().len(), 2);
}

/// Counts calls of getppid (number 110) by their arguments' record.
const GETPPID: &str = "
    struct record { __u64 common; long id; unsigned long args[6]; };
    SEC(\"tracepoint\") int enter(struct record *ctx) { if (OTHERS) return 0; if (ctx->id == 110) count(1, 1); return 0; }
    struct raw { __u64 regs; long id; };
    SEC(\"raw_tracepoint\") int raw(struct raw *ctx) { if (OTHERS) return 0; if (ctx->id == 110) count(2, 1); return 0; }";

/// Calls getppid.
fn ask() {
    let _ = rustix::process::getppid();
}

#[test]
fn tracepoints_count_exactly_what_the_filter_lets_through() {
    if !ready() {
        return;
    }
    let record = Target::Tracepoint { category: "raw_syscalls".into(), name: "sys_enter".into() };
    let raw = Target::RawTracepoint { name: "sys_enter".into() };
    let own = std::process::id();
    let programs = [("tracepoint", "enter", vec![record]), ("raw_tracepoint", "raw", vec![raw])];
    let calls = || {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..250).for_each(|_| ask()));
            }
        });
    };
    for (pids, expected) in [(vec![own], 1000), (vec![own + 1], 0)] {
        let loaded = loaded(GETPPID, &programs, &pids);
        let map = loaded.map("counts").unwrap().clone();
        let mut attached = attach(loaded, &Kernel::new(), &pids).unwrap();
        let mut counters = attached.take_counters();
        calls();
        attached.detach();
        assert_eq!(count(&map, 1), expected, "filtered by {pids:?}");
        // A kernel that preempts threads inside of a raw tracepoint's program does not run it for others meanwhile
        // (Linux 7.2 does), and says how often, for whomever.
        let runs = counters.iter_mut().filter(|counter| counter.what() == "runs" && &**counter.from() == "raw");
        let missed: u64 = runs.map(|counter| counter.more().unwrap()).sum();
        let counted = count(&map, 2);
        assert!(counted <= expected && counted + missed >= expected, "{counted} counted, {missed} missed, {pids:?}");
    }
}

#[test]
fn all_programs_are_attached_or_none() {
    if !ready() {
        return;
    }
    let mut victim = Victim::start();
    let text = "
        SEC(\"uprobe\") int good(void *ctx) { count(1, 1); return 0; }
        SEC(\"uprobe\") int bad(void *ctx) { count(2, 1); return 0; }
        SEC(\"tracepoint\") int worse(void *ctx) { count(3, 1); return 0; }";
    let nowhere = Target::UserFunction {
        open: "/no/such/file".into(),
        shown: "/no/such/file".into(),
        function: "f".into(),
        places: vec![UserPlace::entry(0x1000)],
        pid: None,
    };
    let nothing = Target::Tracepoint { category: "no_such".into(), name: "event".into() };
    let programs = [
        ("uprobe", "good", vec![victim.target(None)]),
        ("uprobe", "bad", vec![nowhere]),
        ("tracepoint", "worse", vec![nothing]),
    ];
    let loaded = loaded(text, &programs, &[]);
    let map = loaded.map("counts").unwrap().clone();
    let error = attach(loaded, &Kernel::new(), &[]).unwrap_err();
    let names: Vec<&str> = error.failures.iter().map(|failure| failure.function.as_str()).collect();
    assert_eq!(names, ["bad", "worse"], "{error}");
    let text = error.to_string();
    assert!(text.contains("`bad`: failed to attach to uprobe `/no/such/file:f +0x1000`"), "{text}");
    assert!(text.contains("the kernel has no such tracepoint"), "{text}");
    victim.call(1, 10);
    assert_eq!(counts(&map), []);
}

/// The victim's function and another place as the places of one function.
fn two_places(victim: &Victim, second: u64, pid: Option<u32>) -> Target {
    let places = vec![UserPlace::entry(victim.offset), UserPlace::entry(second)];
    let Target::UserFunction { open, shown, function, .. } = victim.target(None) else { panic!("another kind") };
    Target::UserFunction { open, shown, function, places, pid }
}

#[test]
fn all_places_of_a_function_are_attached_or_none() {
    if !ready() {
        return;
    }
    let mut victim = Victim::start();
    let second = victim.second();
    // By one link where the kernel has such, and, for one process, by a link each where it has not.
    for pid in [None, Some(victim.pid())] {
        let targets = vec![two_places(&victim, second, pid)];
        let loaded = loaded(BY_PROCESS, &[("uprobe", "hit", targets)], &[]);
        let map = loaded.map("counts").unwrap().clone();
        let attached = attach(loaded, &Kernel::new(), &[]).unwrap();
        let program = attached.programs().first().unwrap();
        assert!(program.target.ends_with("victim (2 places)"), "{}", program.target);
        let list = format!("at +{:#x}, +{second:#x}, one link", victim.offset);
        assert!(program.why.contains(&list), "{}", program.why);
        victim.call(2, 100);
        assert_eq!(count(&map, victim.pid()), 400, "200 calls of each");
    }
    let targets = vec![two_places(&victim, 0xffff_f000, None)];
    let loaded = loaded(BY_PROCESS, &[("uprobe", "hit", targets)], &[]);
    let map = loaded.map("counts").unwrap().clone();
    let error = attach(loaded, &Kernel::new(), &[]).unwrap_err().to_string();
    assert!(error.contains("`hit`: failed to attach to uprobe `"), "{error}");
    victim.call(1, 10);
    assert_eq!(counts(&map), []);
}

/// As on kernels that have no links to many places.
#[test]
fn places_are_attached_one_by_one_all_or_none() {
    if !ready() {
        return;
    }
    let mut victim = Victim::start();
    let loaded = loaded(BY_PROCESS, &[("uprobe", "hit", vec![victim.target(None)])], &[]);
    let map = loaded.map("counts").unwrap().clone();
    let program = loaded.object().program("hit").unwrap();
    let kind = kind::by_name("uprobe").unwrap();
    let missing = std::io::Error::from_raw_os_error(libc::ENOENT);
    let options = kind::Options {
        tracefs: Err(&missing),
        threads: 1,
        pids: &[],
        maps: &[],
        many: false,
        early: &Default::default(),
        usdt: None,
    };
    let attached = kind.attach(program, &two_places(&victim, victim.second(), None), &options).unwrap();
    assert!(attached.note().is_some_and(|note| note.ends_with(", one link each")), "{:?}", attached.note());
    victim.call(2, 100);
    assert_eq!(count(&map, victim.pid()), 400);
    drop(attached);
    let error = kind.attach(program, &two_places(&victim, 0xffff_f000, None), &options).unwrap_err().to_string();
    assert!(error.contains(":victim +0xfffff000`"), "the place that was refused: {error}");
    victim.call(1, 10);
    assert_eq!(count(&map, victim.pid()), 400, "nothing stays attached");
}

#[test]
fn a_program_without_targets_is_attached_by_its_section() {
    if !ready() {
        return;
    }
    // Another system call than that of the test above, which may run at the same time: getpgid.
    let text = GETPPID.replace("SEC(\"raw_tracepoint\")", "SEC(\"raw_tp/sys_enter\")").replace("110", "121");
    let own = std::process::id();
    let loaded = loaded(&text, &[("raw_tracepoint", "raw", vec![])], &[own]);
    let map = loaded.map("counts").unwrap().clone();
    let attached = attach(loaded, &Kernel::new(), &[]).unwrap();
    assert_eq!(attached.programs().first().map(|program| program.target.as_str()), Some("raw_tp/sys_enter"));
    for _ in 0..10 {
        let _ = rustix::process::getpgid(None).unwrap();
    }
    assert_eq!(count(&map, 2), 10);
}
