//! What tests of loading, attaching and reading share: small objects compiled on the spot, a process to trace, and ways
//! to say that a test cannot run here.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::facts::{Compiled, Facts, Form, MapFact, MapRole, ProgramFact};
use crate::linemap::LineMap;
use crate::source::Span;

/// Types that libbpf's headers need, and registers.
const PRELUDE: &str = r#"
typedef unsigned char __u8; typedef unsigned short __u16; typedef unsigned int __u32; typedef unsigned long long __u64;
typedef signed char __s8; typedef short __s16; typedef int __s32; typedef long long __s64;
typedef __u16 __be16; typedef __u32 __be32; typedef __u64 __be64; typedef __u32 __wsum;
struct pt_regs {
    unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#include <bpf_helpers.h>
char _license[] SEC("license") = "GPL";
static const volatile struct dbcc_settings { __u32 filter_count; __u32 filter_pids[64]; } dbcc_settings
    __attribute__((section(".rodata.dbcc")));
#define TGID ((__u32)(bpf_get_current_pid_tgid() >> 32))
#define OTHERS (dbcc_settings.filter_count && dbcc_settings.filter_pids[0] != TGID)
struct { __uint(type, 1); __uint(max_entries, 4096); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
static __always_inline void count(__u32 key, __u64 by) {
    __u64 zero = 0, *value = bpf_map_lookup_elem(&counts, &key);
    if (!value) { bpf_map_update_elem(&counts, &key, &zero, 1); value = bpf_map_lookup_elem(&counts, &key); }
    if (value) __sync_fetch_and_add(value, by);
}
"#;

/// Ends a test that cannot run here; an error where `CI=true` and `required`.
pub(crate) fn skip(reason: &str, required: bool) {
    let test = std::thread::current().name().unwrap_or("unnamed test").to_owned();
    assert!(!(required && std::env::var("CI").is_ok_and(|ci| ci == "true")), "cannot run here: {reason}");
    eprintln!("SKIPPED: {test}: {reason}");
    if let Some(log) = std::env::var_os("DBCC_SKIP_LOG") {
        let mut log = std::fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
        log.write_all(format!("{test}: {reason}\n").as_bytes()).unwrap();
    }
}

/// Whether programs can be loaded here and there is a compiler; says so where not.
pub(crate) fn ready() -> bool {
    if !crate::kernel::capability::missing().is_empty() {
        skip("must run as root", true);
        return false;
    }
    if clang().is_none() {
        skip("there is no clang", true);
        return false;
    }
    true
}

/// Whether the kernel has kprobes; says so where not. Many development machines have none, and the tests in a guest do.
pub(crate) fn has_kprobes() -> bool {
    let has = super::perf_event::Pmu::kprobe().is_ok();
    if !has {
        skip("this kernel was built without kprobes", std::env::var_os("DBCC_IN_GUEST").is_some());
    }
    has
}

fn clang() -> Option<&'static str> {
    let works = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    ["clang-19", "clang"].into_iter().find(works)
}

/// Compiles C into a BPF object, once for all tests of a process: in an emulated guest it takes seconds.
pub(crate) fn compile(text: &str) -> Vec<u8> {
    static KEPT: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.entry(text.to_owned()).or_insert_with(|| compile_once(text)).clone()
}

fn compile_once(text: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in libbpf_sys::API_HEADERS {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let source = folder.path().join("test.bpf.c");
    std::fs::write(&source, format!("{PRELUDE}\n{text}")).unwrap();
    let object = folder.path().join("test.bpf.o");
    let status = Command::new(clang().unwrap())
        .args(["--target=bpf", "-O2", "-g", "-nostdinc", "-Wno-unused", "-fno-addrsig", "-c", "-I"])
        .arg(folder.path())
        .arg(&source)
        .arg("-o")
        .arg(&object)
        .status()
        .unwrap();
    assert!(status.success());
    std::fs::read(object).unwrap()
}

/// What the front half would say about such an object: programs by function, kind and forms, maps by name and role.
pub(crate) fn compiled(elf: Vec<u8>, programs: Vec<ProgramFact>, maps: &[(&str, MapRole)]) -> Compiled {
    let span = Span { start: 0, end: 0 };
    let maps = maps
        .iter()
        .map(|(name, role)| MapFact { name: (*name).into(), span, role: role.clone(), pin: None, stamped: false })
        .collect();
    let facts = Facts { programs, maps, prints: Vec::new(), uses_filter_pid: true, copied: Vec::new() };
    Compiled {
        elf,
        text: String::new(),
        file: String::new(),
        line_map: LineMap::default(),
        facts,
        warnings: Vec::new(),
        lints: Vec::new(),
        stacks: Vec::new(),
        inputs: None,
    }
}

/// A program fact: `forms` are kinds and names of programs, best first.
pub(crate) fn fact(function: &str, kind: &str, target: Option<&str>, forms: &[(&str, &str)]) -> ProgramFact {
    let form =
        |(kind, program): &(&str, &str)| Form { kind: (*kind).into(), program: (*program).into(), arguments: None };
    ProgramFact {
        function: function.into(),
        span: Span { start: 0, end: 0 },
        kind: kind.into(),
        target: target.map(str::to_owned),
        forms: forms.iter().map(form).collect(),
        registers_because: None,
        reads: Default::default(),
    }
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(240);
    while !holds() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A process that calls a function when it is told to.
pub(crate) struct Victim {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) path: PathBuf,
    /// Offset in the file of the function `victim`.
    pub(crate) offset: u64,
    _folder: tempfile::TempDir,
}

/// Reads lines `THREADS CALLS` and answers each with a line when that many threads have called `victim` so many times.
const VICTIM: &str = r#"
#include <pthread.h>
#include <stdio.h>
__attribute__((noinline)) long second(long number) { __asm__ volatile("" : "+r"(number)); return number * 2; }
__attribute__((noinline)) long victim(long number) { __asm__ volatile("" : "+r"(number)); second(number); return number * 2; }
static long calls;
static void *run(void *none) { for (long i = 0; i < calls; i++) victim(i); return none; }
int main(void) {
    int threads;
    while (scanf("%d %ld", &threads, &calls) == 2) {
        pthread_t made[64];
        for (int i = 0; i < threads; i++) pthread_create(&made[i], 0, run, 0);
        for (int i = 0; i < threads; i++) pthread_join(made[i], 0);
        puts("done");
        fflush(stdout);
    }
}
"#;

impl Victim {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("victim.c");
        std::fs::write(&source, VICTIM).unwrap();
        let path = folder.path().join("victim");
        let mut compiler = Command::new(clang().unwrap());
        let status = compiler.arg("-O1").arg("-pthread").arg(&source).arg("-o").arg(&path).status().unwrap();
        assert!(status.success());
        let offset = file_offset(&path, "victim");
        let mut child = Command::new(&path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, commands, answers, path, offset, _folder: folder }
    }

    /// Another process of the same program.
    pub(crate) fn sibling(&self) -> Self {
        let mut child = Command::new(&self.path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let (path, offset) = (self.path.clone(), self.offset);
        Self { child, commands, answers, path, offset, _folder: tempfile::tempdir().unwrap() }
    }

    /// Offset in the file of the function `second`, which `victim` calls once each time.
    pub(crate) fn second(&self) -> u64 {
        file_offset(&self.path, "second")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has the function called, and returns when that is done.
    pub(crate) fn call(&mut self, threads: u32, calls: u64) {
        self.begin(threads, calls);
        self.wait();
    }

    /// Has the function called.
    pub(crate) fn begin(&mut self, threads: u32, calls: u64) {
        writeln!(self.commands, "{threads} {calls}").unwrap();
    }

    /// Waits for what was begun.
    pub(crate) fn wait(&mut self) {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n");
    }

    /// The function as a target, in this process or in all.
    pub(crate) fn target(&self, pid: Option<u32>) -> crate::kind::Target {
        crate::kind::Target::UserFunction {
            open: format!("/proc/{}/exe", self.pid()).into(),
            shown: self.path.display().to_string(),
            function: "victim".into(),
            places: vec![crate::kind::UserPlace::entry(self.offset)],
            pid,
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Offset in a file of a symbol, by the tables that readelf prints.
fn file_offset(path: &Path, symbol: &str) -> u64 {
    let print = |option: &str| {
        let output = Command::new("readelf").args([option, "-W"]).arg(path).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    let symbols = print("-s");
    let line = symbols.lines().find(|line| line.split_whitespace().last() == Some(symbol)).unwrap();
    let address = hex(line.split_whitespace().nth(1).unwrap());
    let segments = print("-l");
    let fields = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let loads = segments.lines().map(fields).filter(|fields| fields.first().is_some_and(|first| first == "LOAD"));
    let mut offsets = loads.map(|fields| (hex(&fields[1]), hex(&fields[2]), hex(&fields[4])));
    let (offset, start, _) = offsets.find(|(_, start, size)| (*start..*start + *size).contains(&address)).unwrap();
    address - start + offset
}
