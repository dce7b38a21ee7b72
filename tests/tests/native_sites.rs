//! Where functions are probed: at a cheaper instruction behind the entry, every hit sees what it would see at the entry.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::dbcc::{self, Attached, Records};
use dbcc_tests::need;
use dbcc_tests::process::{self, Running};
use symres::{Binary, Handling, KernelVersion, Pattern, Refusal, Site};

/// The functions of `functions.c` that its rounds call, and how often one round calls each.
const FUNCTIONS: &[(&str, u64)] = &[
    ("plain", 1),
    ("loads", 1),
    ("frame", 2),
    ("variadic", 1),
    ("on_stack", 1),
    ("floating", 1),
    ("loops", 1),
    ("switches", 8),
    ("tail", 1),
    ("asm_branched", 1),
    ("asm_moves", 1),
    ("asm_frame", 2),
];

/// What GCC makes of it.
const GCC: &[&[&str]] = &[
    &["-O0"],
    &["-O1", "-no-pie", "-fcf-protection=none"],
    &["-O2"],
    &["-O3", "-fno-omit-frame-pointer", "-fstack-protector-all"],
    &["-Os"],
];

/// What Clang makes of it.
const CLANG: &[&[&str]] = &[&["-O0"], &["-O1"], &["-O2"], &["-O3", "-fcf-protection=none"]];

fn case(name: &str) -> PathBuf {
    need::repository().join("tests/cases/sites").join(name)
}

fn compile(compiler: &str, case_name: &str, flags: &[&str], path: &Path) -> Result<()> {
    let mut command = Command::new(compiler);
    command.args(["-w", "-fcf-protection"]).args(flags).arg("-o").arg(path).arg(case(case_name));
    let finished = process::run(command)?;
    ensure!(finished.code() == Some(0), "{}", finished.stderr());
    Ok(())
}

fn site(binary: &Binary, function: &str, kernel: KernelVersion) -> Result<Site> {
    let answer = binary.functions(&function.parse::<Pattern>()?)?;
    let found = answer.matches.iter().find(|found| found.name == function).with_context(|| function.to_owned())?;
    Ok(binary.site(found.body().context("it has a body")?, kernel)?)
}

fn running_kernel() -> Result<KernelVersion> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    KernelVersion::of_release(&release).with_context(|| release.clone())
}

/// The program `functions.c`, running.
struct Program {
    process: Running,
    /// Where `plain` is.
    plain: u64,
    asked: usize,
}

impl Program {
    fn start(path: &Path) -> Result<Self> {
        // At the same addresses in each run: what is in a register that carries no argument may be one of them.
        let mut command = Command::new("setarch");
        command.arg("--addr-no-randomize").arg(path);
        let mut process = Running::start_listening(command)?;
        let mut plain = None;
        let plain = process.wait_for("ready", |line| {
            plain = plain.or_else(|| u64::from_str_radix(line.text.strip_prefix("plain 0x")?, 16).ok());
            plain.filter(|_| line.text == "ready")
        })?;
        Ok(Self { process, plain, asked: 0 })
    }

    /// Calls all its functions `rounds` times.
    fn call(&mut self, rounds: u64) -> Result<()> {
        self.process.tell(&rounds.to_string())?;
        self.asked += 1;
        let (mut answers, asked) = (0, self.asked);
        self.process.wait_for("done", |line| {
            answers += usize::from(line.text == "done");
            (answers == asked).then_some(())
        })
    }
}

/// Runs the probe on a fresh process of the program: what it recorded.
fn traced(path: &Path, attaches: &[String], more: &[&str], rounds: u64) -> Result<Records> {
    let mut program = Program::start(path)?;
    let pid = program.process.pid().to_string();
    let arguments = [case("probe.c").display().to_string(), "--interval".into(), "1h".into(), "-v".into()];
    let arguments = arguments.into_iter().chain(["--pid".to_owned(), pid]);
    let attaches = attaches.iter().flat_map(|attach| ["--attach".to_owned(), attach.clone()]);
    let more = more.iter().map(|word| (*word).to_owned());
    let dbcc = Attached::start(arguments.chain(attaches).chain(more))?;
    program.call(rounds)?;
    dbcc.interrupt()
}

/// The entries of a map as text, with how often each was seen.
fn entries(records: &Records, map: &str) -> Result<BTreeMap<String, u64>> {
    let counted = records.last_map(map)?.into_iter().map(|entry| {
        let count = entry.get("value").and_then(serde_json::Value::as_u64).context("its value is a number")?;
        Ok((entry.get("key").context("it has a key")?.to_string(), count))
    });
    counted.collect()
}

fn on(program: &str, functions: &[(&str, u64)], kind: &str) -> Vec<String> {
    functions.iter().map(|(function, _)| format!("{kind}:{function}={program}")).collect()
}

/// What is said of the choices, a line each.
fn said(records: &Records) -> String {
    let notes = records.of_kind("note").filter_map(|note| note["message"].as_str());
    notes.map(|note| format!("{note}\n")).collect()
}

/// How many places are said to be probed behind their entry.
fn moved(records: &Records) -> usize {
    said(records).lines().filter(|line| line.contains("behind its entry, at `")).count()
}

/// That two runs have seen the same; else some of what one saw and the other did not.
fn same(found: &BTreeMap<String, u64>, wanted: &BTreeMap<String, u64>) -> Result<()> {
    let only = |one: &BTreeMap<String, u64>, other: &BTreeMap<String, u64>| {
        one.iter().filter(|(key, count)| other.get(*key) != Some(count)).map(|(key, _)| key.clone()).take(3).collect()
    };
    let (more, less): (Vec<String>, Vec<String>) = (only(found, wanted), only(wanted, found));
    ensure!(more.is_empty() && less.is_empty(), "{more:?} instead of {less:?}");
    Ok(())
}

#[test]
fn a_site_sees_what_the_entry_sees_in_what_gcc_makes() -> Result<()> {
    need!(need::root());
    sites_see_what_entries_see("gcc", GCC, 30)
}

#[test]
fn a_site_sees_what_the_entry_sees_in_what_clang_makes() -> Result<()> {
    need!(need::root());
    sites_see_what_entries_see("clang-19", CLANG, 30)
}

/// Runs all builds of a compiler; at least so many entries and returns are probed at sites.
fn sites_see_what_entries_see(compiler: &str, builds: &[&[&str]], least: usize) -> Result<()> {
    const ROUNDS: u64 = 25;
    let folder = tempfile::tempdir()?;
    let mut all_moved = 0;
    for (number, flags) in builds.iter().enumerate() {
        let what = || format!("{compiler} {flags:?}");
        let path = folder.path().join(format!("functions{number}"));
        compile(compiler, "functions.c", flags, &path)?;
        let mut attaches = on("on_call", FUNCTIONS, "uprobe");
        attaches.extend(on("on_return", FUNCTIONS, "uretprobe"));
        attaches.push("uprobe:on_stack=on_stack_argument".to_owned());
        let at_sites = traced(&path, &attaches, &[], ROUNDS).with_context(what)?;
        let at_entries = traced(&path, &attaches, &["--at-entry"], ROUNDS).with_context(what)?;
        for map in ["calls", "returned", "seventh"] {
            same(&entries(&at_sites, map)?, &entries(&at_entries, map)?)
                .with_context(|| format!("{}: {map}", what()))?;
        }
        let calls: u64 = FUNCTIONS.iter().map(|(_, times)| times * ROUNDS).sum();
        for map in ["calls", "returned"] {
            let hits: u64 = entries(&at_sites, map)?.values().sum();
            ensure!(hits == calls, "{}: {map}: {hits} hits of {calls} calls", what());
        }
        let seventh: Vec<String> = entries(&at_sites, "seventh")?.into_keys().collect();
        let passed: BTreeSet<String> = (1..=ROUNDS).map(|round| (70 + round).to_string()).collect();
        ensure!(seventh.iter().cloned().collect::<BTreeSet<_>>() == passed, "{}: {seventh:?}", what());
        ensure!(moved(&at_entries) == 0, "{}: {}", what(), said(&at_entries));
        all_moved += moved(&at_sites);
        // What symres says is what is done.
        let binary = Binary::open(&path)?;
        for (function, _) in FUNCTIONS {
            let site = site(&binary, function, running_kernel()?)?;
            let told = said(&at_sites);
            let said = told.lines().any(|line| {
                site.best.as_ref().is_some_and(|best| {
                    line.contains(&format!("{function} of "))
                        && line.contains(&format!(" {} bytes behind", best.offset))
                })
            });
            ensure!(said == site.best.is_some(), "{}: {function}: {site:?}\n{told}", what());
        }
    }
    ensure!(all_moved >= least, "only {all_moved} were moved");
    Ok(())
}

#[test]
fn functions_of_a_pattern_are_probed_at_their_sites() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("functions");
    compile("gcc", "functions.c", &["-O2"], &path)?;
    let pattern = ["uprobe:/^(plain|loads|frame|on_stack|switches)$/=on_call".to_owned()];
    let at_sites = traced(&path, &pattern, &[], 20)?;
    let at_entries = traced(&path, &pattern, &["--at-entry"], 20)?;
    same(&entries(&at_sites, "calls")?, &entries(&at_entries, "calls")?)?;
    assert_eq!(entries(&at_sites, "calls")?.values().sum::<u64>(), 13 * 20);
    assert!(said(&at_sites).contains("of 5 places are probed behind their entry"), "{}", said(&at_sites));
    assert!(!said(&at_entries).contains("behind their entry"), "{}", said(&at_entries));
    Ok(())
}

#[test]
fn a_program_that_reads_the_instruction_pointer_stays_at_the_entry() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("functions");
    compile("gcc", "functions.c", &["-O0"], &path)?;
    let mut program = Program::start(&path)?;
    let pid = program.process.pid().to_string();
    let probe = case("probe.c").display().to_string();
    let dbcc = Attached::start([
        &probe,
        "--pid",
        &pid,
        "-v",
        "--interval",
        "1h",
        "--attach",
        "uprobe:plain=on_pointer",
        "--attach",
        "uprobe:loads=on_call",
    ])?;
    program.call(10)?;
    let records = dbcc.interrupt()?;
    let pointers = entries(&records, "pointers")?;
    assert_eq!(pointers, BTreeMap::from([(program.plain.to_string(), 10)]));
    let told = said(&records);
    assert!(told.contains("probed at its entry: the program reads the instruction pointer"), "{told}");
    assert_eq!(moved(&records), 1, "loads is probed at its push: {told}");
    Ok(())
}

#[test]
fn the_stack_pointer_is_that_of_the_entry() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("functions");
    compile("gcc", "functions.c", &["-O2"], &path)?;
    let attaches = ["uprobe:asm_frame=on_stack_argument", "uprobe:asm_frame=on_call"].map(str::to_owned);
    let records = traced(&path, &attaches, &[], 5)?;
    let told = said(&records);
    assert!(told.contains("the program reads the stack pointer, which is changed behind the entry"), "{told}");
    assert!(told.contains("probed 12 bytes behind its entry, at `jne"), "{told}");
    // The kernel replaces the return address, so that a return is never probed there.
    let records = traced(&path, &["uretprobe:asm_frame=on_return".to_owned()], &[], 5)?;
    assert_eq!(entries(&records, "returned")?.values().sum::<u64>(), 10);
    assert!(said(&records).contains("probed at its entry: the program reads the return address"), "{}", said(&records));
    Ok(())
}

#[test]
fn what_cannot_be_probed_is_refused_with_the_reason() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("functions");
    compile("gcc", "functions.c", &["-O0"], &path)?;
    let refused = |function: &str| -> Result<String> {
        let attach = format!("uprobe:{}:{function}=on_call", path.display());
        let finished = dbcc::run([case("probe.c").display().to_string(), "--attach".to_owned(), attach])?;
        ensure!(finished.code() != Some(0), "{function} was attached");
        Ok(finished.stderr())
    };
    for (function, why) in [
        ("plain+5", "`mov rbp, rsp`"),
        ("plain+2", "the place is inside of an instruction: `endbr64` starts 2 bytes before it"),
        ("plain+6", "the place is inside of an instruction: `mov rbp, rsp` starts 1 bytes before it"),
        ("asm_refused", "the kernel probes no instruction with the prefix `lock`"),
        ("asm_vector", "does not execute the probed instruction `vzeroupper` as it is, but a jump in its place"),
    ] {
        if function == "plain+5" {
            let attach = ["uprobe:plain+5=on_call".to_owned()];
            let hits: u64 = entries(&traced(&path, &attach, &[], 3)?, "calls")?.values().sum();
            assert_eq!(hits, 3, "an instruction is no middle of one");
            continue;
        }
        let said = refused(function)?;
        assert!(said.contains(why) && said.contains("cannot be probed"), "{function}: {said}");
    }
    // Of a pattern the others are probed.
    let records = traced(&path, &["uprobe:/^(plain|asm_refused|asm_vector)$/=on_call".to_owned()], &[], 3)?;
    assert_eq!(entries(&records, "calls")?.values().sum::<u64>(), 3);
    assert!(records.stderr.contains("2 places that"), "{}", records.stderr);
    Ok(())
}

/// The running kernel is the judge of what symres says about kernels.
#[test]
fn the_kernel_does_with_instructions_what_is_said() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("kernel");
    compile("gcc", "kernel.c", &["-O1", "-no-pie", "-fcf-protection=none"], &path)?;
    let finished = process::run(Command::new(&path))?;
    ensure!(finished.code() == Some(0), "{}", finished.stderr());
    let binary = Binary::open(&path)?;
    let (mut taken, mut refused, mut broken) = (0, 0, 0);
    for line in finished.stdout().lines() {
        let (function, does) = line.split_once(' ').context("NAME WHAT")?;
        let said = site(&binary, function, running_kernel()?)?.entry;
        match (&said, does) {
            (Handling::Emulated | Handling::SingleStepped, "taken right" | "taken uncalled") => taken += 1,
            (Handling::Refused(Refusal::Misexecuted { .. }), "taken wrong" | "taken crashed" | "taken uncalled") => {
                broken += 1
            }
            (Handling::Refused(Refusal::Misexecuted { .. }), _) => {
                ensure!(false, "{function}: said to be executed wrongly, and {does}")
            }
            (Handling::Refused(_), does) if does.starts_with("refused") => refused += 1,
            _ => ensure!(false, "{function}: {said:?} was said, and it is {does}"),
        }
    }
    ensure!((taken, refused) == (35, 18) && broken >= 1, "{taken} taken, {refused} refused, {broken} broken");
    Ok(())
}
