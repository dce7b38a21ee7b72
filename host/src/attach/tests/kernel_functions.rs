//! kprobes and fentry. Many development machines have neither; the tests in a guest do.

use super::*;
use crate::bpf::testing::{eventually, has_kprobes};

/// Counts reads of pipes by one thread: entries, returns, and the sum of what was returned.
const PIPES: &str = "
    #undef OTHERS
    #define OTHERS (dbcc_settings.filter_count && dbcc_settings.filter_pids[0] != (__u32)bpf_get_current_pid_tgid())
    SEC(\"kprobe\") int entry(struct pt_regs *ctx) { if (OTHERS) return 0; count(1, 1); return 0; }
    SEC(\"kretprobe\") int back(struct pt_regs *ctx) { if (OTHERS) return 0; count(2, 1); count(3, ctx->ax); return 0; }
    SEC(\"fentry/pipe_read\") int traced_entry(__u64 *ctx) { if (OTHERS) return 0; count(4, 1); return 0; }
    SEC(\"fexit/pipe_read\") int traced_back(__u64 *ctx) { if (OTHERS) return 0; count(5, 1); count(6, ctx[2]); return 0; }";

fn this_thread() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().try_into().unwrap()
}

fn pipe_read() -> Vec<Target> {
    // It changed its name once: `anon_pipe_read` since Linux 6.15.
    let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap();
    let names = ["anon_pipe_read", "pipe_read"];
    let name = names.into_iter().find(|name| symbols.lines().any(|line| line.split_whitespace().nth(2) == Some(name)));
    vec![Target::KernelFunction { name: name.unwrap().into(), offset: 0 }]
}

/// Threads that wait in `pipe_read` until they are dropped.
struct Blocked {
    writers: Vec<std::io::PipeWriter>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Blocked {
    fn start(count: usize) -> Self {
        let mut blocked = Self { writers: Vec::new(), threads: Vec::new() };
        for _ in 0..count {
            let (mut reader, writer) = std::io::pipe().unwrap();
            let (started, starts) = std::sync::mpsc::channel();
            blocked.writers.push(writer);
            blocked.threads.push(std::thread::spawn(move || {
                started.send(rustix::thread::gettid()).unwrap();
                let _ = std::io::Read::read(&mut reader, &mut [0_u8; 8]).unwrap();
            }));
            let thread = starts.recv().unwrap().as_raw_nonzero();
            let path = format!("/proc/self/task/{thread}/stack");
            eventually("a thread to wait", || std::fs::read_to_string(&path).unwrap().contains("pipe_read"));
        }
        blocked
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.writers.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Reads 5 bytes from a pipe, many times.
fn read_pipes(times: u64) {
    use std::io::{Read, Write};
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    for _ in 0..times {
        writer.write_all(b"12345").unwrap();
        assert_eq!(reader.read(&mut [0_u8; 16]).unwrap(), 5);
    }
}

#[test]
fn kprobes_and_fentry_count_alike() {
    if !ready() || !has_kprobes() {
        return;
    }
    let target = pipe_read();
    let Some(Target::KernelFunction { name, .. }) = target.first() else { panic!("{target:?}") };
    let text = PIPES.replace("/pipe_read", &format!("/{name}"));
    let programs = ["kprobe entry", "kretprobe back", "fentry traced_entry", "fexit traced_back"].map(|pair| {
        let (kind, function) = pair.split_once(' ').unwrap();
        (kind, function, target.clone())
    });
    let loaded = loaded(&text, &programs, &[this_thread()]);
    let map = loaded.map("counts").unwrap().clone();
    let mut attached = attach(loaded, &Kernel::new(), &[]).unwrap();
    read_pipes(100);
    attached.detach();
    read_pipes(10);
    assert_eq!(counts(&map), [(1, 100), (2, 100), (3, 500), (4, 100), (5, 100), (6, 500)]);
}

/// What of a kretprobe was counted, and what was reported as missed, with that many threads inside of the function.
fn behind_blocked_threads(blocked: usize, threads: u64) -> (u64, u64) {
    let loaded = loaded(PIPES, &[("kretprobe", "back", pipe_read())], &[this_thread()]);
    let map = loaded.map("counts").unwrap().clone();
    let kernel = Kernel::new();
    let mut attached = attach_with(loaded, &kernel, &[], threads, &Default::default(), None).unwrap();
    let mut counters = attached.take_counters();
    let waiting = Blocked::start(blocked);
    read_pipes(100);
    attached.detach();
    drop(waiting);
    let missed = counters.iter_mut().filter(|counter| counter.what() == "returns");
    (count(&map, 2), missed.map(|counter| counter.more().unwrap()).sum())
}

#[test]
fn a_kretprobe_has_slots_for_its_threads() {
    if !ready() || !has_kprobes() {
        return;
    }
    for blocked in [12, 40, 200] {
        // As many threads as will be there.
        assert_eq!(behind_blocked_threads(blocked, u64::try_from(blocked).unwrap()), (100, 0), "{blocked} threads");
    }
}

#[test]
fn what_a_kretprobe_misses_is_reported() {
    if !ready() || !has_kprobes() {
        return;
    }
    // Room for 64 threads, and there are 100: the reads of these and all later ones are missed.
    let (counted, missed) = behind_blocked_threads(100, 0);
    assert_eq!(counted, 0);
    // Another process may have read a pipe meanwhile.
    assert!((136..200).contains(&missed), "{missed}");
}

#[test]
fn without_tracefs_a_kretprobe_has_the_kernels_slots_and_says_so() {
    if !ready() || !has_kprobes() {
        return;
    }
    let targets = pipe_read();
    let loaded = loaded(PIPES, &[("kretprobe", "back", targets.clone())], &[this_thread()]);
    let map = loaded.map("counts").unwrap().clone();
    let refusal = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let options = kind::Options {
        tracefs: Err(&refusal),
        threads: 4096,
        pids: &[],
        maps: &[],
        many: false,
        early: &Default::default(),
        usdt: None,
    };
    let kretprobe = kind::by_name("kretprobe").unwrap();
    let program = loaded.object().program("back").unwrap();
    let attachment = kretprobe.attach(program, targets.first().unwrap(), &options).unwrap();
    assert!(attachment.note().unwrap().contains("default number of slots"), "{:?}", attachment.note());
    read_pipes(100);
    assert_eq!(count(&map, 2), 100);
    // The kernel's default is 10 or twice the CPUs.
    let waiting = Blocked::start(100);
    read_pipes(100);
    let missed = attachment.missed();
    drop(attachment);
    drop(waiting);
    assert_eq!(count(&map, 2), 100, "there was no slot");
    // Linux 6.7 tells how many; older kernels tell nothing.
    let missed = missed.count().unwrap();
    assert!(missed == 0 || missed >= 100, "{missed}");
}

fn own_definitions() -> Vec<String> {
    let tracefs = crate::kernel::tracefs::Tracefs::open().unwrap();
    let text = tracefs.read("kprobe_events").unwrap();
    text.lines().filter(|line| line.contains(":dbcc_")).map(str::to_owned).collect()
}

const HOLD: &str = "DBCC_TEST_HOLD_A_KRETPROBE";

#[test]
fn what_a_killed_process_left_is_removed_at_the_next_start() {
    if !ready() || !has_kprobes() {
        return;
    }
    if std::env::var_os(HOLD).is_some() {
        let loaded = loaded(PIPES, &[("kretprobe", "back", pipe_read())], &[]);
        let _attached = attach(loaded, &Kernel::new(), &[]).unwrap();
        println!("holding");
        loop {
            std::thread::park();
        }
    }
    let test = std::thread::current().name().unwrap().to_owned();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test.as_str(), "--exact", "--nocapture"])
        .env(HOLD, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("holding") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut output, &mut line).unwrap() > 0, "the child ended");
    }
    let of_child = format!(":dbcc_{}_", child.id());
    let left = || own_definitions().iter().any(|line| line.contains(&of_child));
    let tracefs = crate::kernel::tracefs::Tracefs::open().unwrap();
    assert!(left(), "{:?}", own_definitions());
    kind::remove_stale(&tracefs);
    assert!(left(), "that of a living process stays");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(left(), "the kernel keeps it");
    kind::remove_stale(&tracefs);
    assert!(!left(), "{:?}", own_definitions());
}

#[test]
fn nothing_is_left_after_an_ordinary_end() {
    if !ready() || !has_kprobes() {
        return;
    }
    let of_ours = format!(":dbcc_{}_", std::process::id());
    let left = || own_definitions().iter().filter(|line| line.contains(&of_ours)).count();
    let before = left();
    let loaded = loaded(PIPES, &[("kretprobe", "back", pipe_read())], &[]);
    let attached = attach(loaded, &Kernel::new(), &[]).unwrap();
    assert!(left() > before);
    drop(attached);
    // Other tests of this process may have definitions of their own.
    eventually("the definition to go", || left() <= before);
}

#[test]
fn a_kernel_that_offers_neither_form_is_told_in_one_message() {
    if !ready() {
        return;
    }
    let kernel = Kernel::new();
    if kernel.features().kprobe || kernel.features().fentry {
        crate::bpf::testing::skip("this kernel has kprobes", false);
        return;
    }
    let forms = [("fexit", "traced_back"), ("kretprobe", "back")];
    let compiled = compiled(compile(PIPES), vec![fact("hit", "kretprobe", None, &forms)], &[]);
    let target = [Target::KernelFunction { name: "tcp_sendmsg".into(), offset: 0 }];
    let loaded = load(&compiled, [(0, target.as_slice())], &kernel, &Settings::default()).unwrap();
    let text = attach(loaded, &kernel, &[]).unwrap_err().to_string();
    assert!(text.contains("this kernel was built without kprobes"), "{text}");
    assert!(text.contains("kretprobe: no fexit, since the kernel refuses every fentry and fexit program"), "{text}");
}
