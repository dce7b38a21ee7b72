//! Tests for a kernel with kprobes and fentry, which many development machines do not offer: run in a guest.

use std::env;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::burst;
use crate::dbcc::{self, Attached, Records};
use crate::doctor;
use crate::hooks;
use crate::kinds;
use crate::listed;
use crate::listing;
use crate::load::Load;
use crate::need;
use crate::objects;
use crate::process::{self, Running};
use crate::scenario::{counted, netio_is_exact, nothing_lost, observe};
use crate::senders::Senders;
use crate::server::{Flavor, Server};
use crate::sites::{self, Sites};
use crate::swapped;
use crate::watch;
use crate::written;

/// A test in the form that Rust's own harness has too.
pub type Test = fn() -> Result<()>;

/// What names the tests that a guest runs: nothing for [`TESTS`], else [`WITHOUT_HOOKS`].
pub const CHOICE: &str = "DBCC_GUEST_CHOICE";

/// Those for a kernel that asks no programs when it asks its security modules.
pub const WITHOUT_HOOKS: &[(&str, Test)] = &[
    ("the_kernel_is_the_one_that_was_asked_for", the_kernel_is_the_one_that_was_asked_for),
    ("hooks_that_ask_nobody_are_told", hooks::hooks_that_ask_nobody_are_told),
    ("what_the_doctor_says_is_what_others_find", doctor::agrees_with_others),
];

/// All others, by name. The test `vm` runs them; see `src/bin/guest.rs`.
pub const TESTS: &[(&str, Test)] = &[
    ("the_kernel_is_the_one_that_was_asked_for", the_kernel_is_the_one_that_was_asked_for),
    ("shipped_probes_pass_the_verifier", shipped_probes_pass_the_verifier),
    ("netio_on_mysql56_is_exact_however_it_is_attached", netio_on_mysql56_is_exact_however_it_is_attached),
    ("netio_on_mariadb_is_exact", netio_on_mariadb_is_exact),
    ("the_published_netio_is_exact_for_one_client", the_published_netio_is_exact_for_one_client),
    ("mysql_conn_sees_every_connection", mysql_conn_sees_every_connection),
    ("returns_past_12_blocked_threads_are_counted_by_fexit", || returns_past_blocked_threads("fentry", 12, 0)),
    ("returns_past_40_blocked_threads_are_counted_by_fexit", || returns_past_blocked_threads("fentry", 40, 0)),
    ("returns_past_12_blocked_threads_are_counted_by_kretprobe", || returns_past_blocked_threads("kprobe", 12, 0)),
    ("returns_past_40_blocked_threads_are_counted_by_kretprobe", || returns_past_blocked_threads("kprobe", 40, 0)),
    ("returns_past_200_late_threads_are_counted_by_fexit", || returns_past_blocked_threads("fentry", 0, 200)),
    ("returns_past_200_late_threads_are_reported_by_kretprobe", || returns_past_blocked_threads("kprobe", 0, 200)),
    ("usdt_probes_are_exact_with_one_breakpoint_for_each_site", usdt_probes_are_exact),
    ("starts_of_programs_are_exact", || burst::starts_are_exact(400)),
    ("ends_of_processes_are_exact", || burst::ends_are_exact(400)),
    ("unit_tests_of_kernel_functions_pass", unit_tests_of_kernel_functions_pass),
    ("the_published_hello_attached_as_a_kprobe_runs_as_fentry", || hello("kprobe", &[], "fentry")),
    ("the_published_hello_is_forced_to_run_as_a_kprobe", || hello("kprobe", &["--attach-as", "kprobe"], "kprobe")),
    ("functions_of_a_pattern_are_counted", kinds::functions_of_a_pattern_are_counted),
    ("arguments_of_system_calls_are_bound", kinds::arguments_of_system_calls_are_bound),
    ("decisions_are_made", kinds::decisions_are_made),
    ("swapped_kprobes_are_exact", || watch::kernel_functions_are_exact("kprobe", 8)),
    ("swapped_fentry_and_fexit_are_exact", || watch::kernel_functions_are_exact("fentry", 8)),
    ("swapped_decisions_are_all_made", swapped::decisions_are_made),
    ("the_published_hello_runs_as_fentry", || hello("fentry", &[], "fentry")),
    ("functions_are_listed_as_others_tell_them", listing::functions::agree),
    ("uprobes_of_tracefs_are_listed", listing::functions::uprobes_of_tracefs_are_listed),
    ("places_of_programs_are_listed", listed::functions_are_told),
    ("what_the_doctor_says_is_what_others_find", doctor::agrees_with_others),
    ("probes_of_the_kernel_that_are_written_tell_the_truth", written::kernel_functions_tell_the_truth),
    ("hooks_that_are_pasted_run", hooks::pasted_hooks_run),
    ("objects_of_another_kernel_read_what_this_one_has", objects_of_another_kernel),
];

fn the_kernel_is_the_one_that_was_asked_for() -> Result<()> {
    let wanted = fs::read_to_string(need!(need::vm_guest()).join("kver"))?;
    let running = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure!(running == wanted, "{running:?} runs, {wanted:?} was asked for");
    Ok(())
}

fn shipped_probes_pass_the_verifier() -> Result<()> {
    let folder = fs::read_dir(need::repository().join("probes"))?;
    let files = folder.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let probes = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "c"));
    let check = ["check", "--load"].iter().map(Into::into);
    let finished = dbcc::run(check.chain(probes.map(|path| path.as_os_str().to_owned())))?;
    ensure!(finished.code() == Some(0), "{}{}", finished.stdout(), finished.stderr());
    Ok(())
}

/// The object of the machine that started this guest, which has another kernel; and one for that machine to run.
fn objects_of_another_kernel() -> Result<()> {
    let folder = env::var_os(objects::FOLDER).context("DBCC_OBJECTS names no folder")?;
    let folder = std::path::Path::new(&folder);
    objects::runs(&folder.join("host"))?;
    objects::build(&folder.join("guest"))
}

/// Slots and misses of kretprobes, what a killed process leaves, the choice between fexit and kretprobe.
fn unit_tests_of_kernel_functions_pass() -> Result<()> {
    let program = env::var_os("DBCC_UNIT_TESTS").context("DBCC_UNIT_TESTS names no program")?;
    let mut tests = Command::new(program);
    tests.args(["attach::tests::kernel_functions", "load::tests::the_form", "--test-threads", "1"]);
    let finished = process::run(tests)?;
    let (stdout, stderr) = (finished.stdout(), finished.stderr());
    ensure!(finished.code() == Some(0) && !stdout.contains(" 0 passed"), "{stdout}{stderr}");
    Ok(())
}

/// Kernels before Linux 6.6 have no attachment to several sites at once.
fn usdt_probes_are_exact() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = sites::compile(folder.path(), "sites", &[])?;
    // With --watch dbcc itself attaches what libbpf attaches otherwise.
    for (options, of_process) in [(&[] as &[&str], false), (&[], true), (&["--watch"], false), (&["--watch"], true)] {
        let mut running = Sites::start(Command::new(&path))?;
        let dbcc = match of_process {
            true => sites::start_with(options, None, Some(running.pid()))?,
            false => sites::start_with(options, Some(&path), None)?,
        };
        let up = running.come_by(20)?;
        ensure!(up == 20, "the semaphore was up {up} times");
        sites::check(&dbcc.interrupt()?, 20)?;
        let up = running.come_by(3)?;
        ensure!(up == 0, "the semaphore was still up {up} times");
    }
    Ok(())
}

/// The kinds that the programs were attached as, in the order of the alphabet.
fn kinds(records: &Records) -> Vec<String> {
    let mut kinds: Vec<_> = records.attach_kinds().into_iter().map(|(_, kind)| kind).collect();
    kinds.sort();
    kinds
}

fn expect_kinds(records: &Records, expected: [&str; 2]) -> Result<()> {
    let kinds = kinds(records);
    ensure!(kinds == expected, "attached as {kinds:?}, expected {expected:?}");
    Ok(())
}

fn netio_on_mysql56_is_exact_however_it_is_attached() -> Result<()> {
    let server = need!(Flavor::Mysql56.installed()).start()?;
    let netio = dbcc::probe("netio.c");
    for (arguments, expected) in [
        (&[] as &[&str], ["fentry", "fexit"]),
        (&["--attach-as", "fentry"], ["fentry", "fexit"]),
        (&["--attach-as", "kprobe"], ["kprobe", "kretprobe"]),
    ] {
        let records = netio_is_exact(&server, &netio, arguments).with_context(|| format!("with {arguments:?}"))?;
        expect_kinds(&records, expected)?;
        let attached: Vec<_> = records.of_kind("attached").filter_map(|record| record.get("programs")).collect();
        let reasons = attached.iter().filter_map(|programs| programs.as_array()).flatten();
        for reason in reasons.map(|program| program.get("why")) {
            let said = reason.and_then(|why| why.as_str()).is_some_and(|why| !why.is_empty());
            ensure!(said, "no reason for the choice: {attached:?}");
        }
    }
    Ok(())
}

fn netio_on_mariadb_is_exact() -> Result<()> {
    let server = need!(Flavor::MariaDb.installed()).start()?;
    netio_is_exact(&server, &dbcc::probe("netio.c"), &[])?;
    Ok(())
}

/// With several clients it is not, and must not be made to be: it reads, adds and writes, and threads overwrite each other.
fn the_published_netio_is_exact_for_one_client() -> Result<()> {
    let probe = need!(need::acceptance("netio.bcc.c"));
    let server = need!(Flavor::Mysql56.installed()).start()?;
    let load = Load { threads: 1, connections: 4, queries: 8 };
    let (records, done) = observe(&server, &probe, &[], load)?;
    let counts = (counted(&records, "net_map", server.pid(), 1)?, counted(&records, "net_map", server.pid(), 2)?);
    let truth = (done.traffic.received, done.traffic.sent);
    ensure!(counts == truth, "counted (sent, received) {counts:?}, truth {truth:?}");
    nothing_lost(&records)
}

fn mysql_conn_sees_every_connection() -> Result<()> {
    let see = |server: &Server| {
        let load = Load { threads: 16, connections: 100, queries: 0 };
        let (records, _) = observe(server, &dbcc::probe("mysql_conn.c"), &[], load)?;
        let events = records.of_kind("event").count();
        ensure!(events == 100, "{events} events for 100 connections to {:?}", server.flavor);
        nothing_lost(&records)
    };
    see(&need!(Flavor::Mysql56.installed()).start()?)?;
    see(&need!(Flavor::MariaDb.installed()).start()?)
}

/// A kretprobe has a fixed number of slots for calls that have not returned yet. Threads that block in `tcp_sendmsg` take
/// them, and the returns of all others are then missed: they must be counted all the same, or reported as missed. Slots
/// can be made for the `threads` that are there at the start, hardly for those that come `late`.
fn returns_past_blocked_threads(attach_as: &str, threads: u64, late: u64) -> Result<()> {
    const SENDS: u64 = 100;
    const SIZE: u64 = 1000;
    let mut senders = Senders::start(threads)?;
    let (pid, netio) = (senders.pid(), dbcc::probe("netio.c"));
    let arguments =
        ["--attach-as", attach_as, "--pid", &pid.to_string(), &netio.display().to_string()].map(str::to_owned);
    let dbcc = Attached::start(arguments)?;
    senders.add_threads(late)?;
    senders.block()?;
    senders.send(SENDS, SIZE)?;
    // They are still blocked: nothing but the sends has returned when the probe ends.
    let records = dbcc.interrupt()?;
    let bytes = counted(&records, "netio", pid, "sendMsg").or_else(|error| {
        // All rows may be missing where every return was missed.
        if records.lost("returns") > 0 { Ok(0) } else { Err(error) }
    })?;
    let missed = records.lost("returns");
    println!("  {threads} + {late} threads blocked, {attach_as}: {bytes} bytes counted, {missed} returns missed");
    let (counted, rest) = (bytes / SIZE, bytes % SIZE);
    ensure!(rest == 0 && counted <= SENDS, "counted {bytes} bytes");
    if attach_as == "fentry" || late == 0 {
        ensure!((counted, missed) == (SENDS, 0), "counted {counted} sends, {missed} returns reported as missed");
    } else {
        // Entries of the blocked threads that found no slot are missed too.
        let explained = (SENDS..=SENDS + late).contains(&(counted + missed));
        ensure!(explained, "counted {counted} sends, {missed} returns reported as missed");
    }
    Ok(())
}

fn hello(kind: &str, arguments: &[&str], chosen: &str) -> Result<()> {
    let probe = need!(need::acceptance("hello.c"));
    let attach = format!("{kind}:do_sys_openat2=hello_world");
    let probe = probe.display().to_string();
    let mut dbcc = Attached::start(["--attach", &attach, &probe].iter().chain(arguments))?;
    // Another process opens a file; what dbcc or this test open themselves proves less.
    let mut cat = Command::new("cat");
    let cat = Running::start({
        cat.arg("/proc/version");
        cat
    })?;
    let pid = cat.pid();
    ensure!(cat.finish()?.code() == Some(0), "cat failed");
    let message = dbcc.wait_for("a line of the process that opened a file", |record| {
        (record.get("kind")? == "print" && record.get("pid")? == pid).then(|| record.get("message").cloned())
    })?;
    ensure!(message == Some("Hello, World!".into()), "the line says {message:?}");
    let records = dbcc.interrupt()?;
    ensure!(kinds(&records) == [chosen], "attached as {:?}", kinds(&records));
    Ok(())
}
