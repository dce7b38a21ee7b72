//! What `dbcc doctor` says of a machine, against what other tools and the kernel's own files say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::dbcc;
use crate::process::run;

/// What it said.
#[derive(Debug)]
pub struct Said {
    /// Its findings by the name of the check.
    pub findings: BTreeMap<String, Finding>,
    /// Whether probes run, and whether they are compiled.
    pub verdict: (bool, bool),
    /// Its exit code.
    pub code: Option<i32>,
}

/// A line of its output.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Record {
    Finding(Finding),
    Verdict { runs: bool, compiles: bool },
}

/// What it found.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "docs/json.md has them")]
pub struct Finding {
    pub check: String,
    pub state: String,
    pub seen: String,
    pub costs: Option<String>,
    pub mend: Option<String>,
}

impl Said {
    /// Runs a command that is, or ends as, `dbcc doctor --json`.
    ///
    /// # Errors
    /// It does not print what it should.
    pub fn of(command: Command) -> Result<Self> {
        let finished = run(command)?;
        ensure!(finished.stderr().is_empty(), "{}", finished.stderr());
        let mut findings = BTreeMap::new();
        let mut verdict = None;
        for line in finished.stdout().lines() {
            match serde_json::from_str(line).with_context(|| format!("not as documented: {line}"))? {
                Record::Finding(finding) => {
                    ensure!((finding.state == "ok") == finding.mend.is_none(), "a remedy for nothing, or none: {line}");
                    findings.insert(finding.check.clone(), finding);
                }
                Record::Verdict { runs, compiles } => verdict = Some((runs, compiles)),
            }
        }
        Ok(Self { findings, verdict: verdict.context("no verdict")?, code: finished.code() })
    }

    fn find(&self, check: &str) -> Option<&Finding> {
        self.findings.get(check)
    }

    /// The state of a check; empty where there is no such check.
    pub fn state(&self, check: &str) -> &str {
        self.find(check).map_or("", |finding| &finding.state)
    }

    /// What was seen.
    pub fn seen(&self, check: &str) -> &str {
        self.find(check).map_or("", |finding| &finding.seen)
    }

    /// What the lack costs.
    pub fn costs(&self, check: &str) -> &str {
        self.find(check).and_then(|finding| finding.costs.as_deref()).unwrap_or_default()
    }

    /// How to mend it.
    pub fn mend(&self, check: &str) -> &str {
        self.find(check).and_then(|finding| finding.mend.as_deref()).unwrap_or_default()
    }
}

/// `dbcc doctor --json`.
///
/// # Errors
/// dbcc is not there.
pub fn command() -> Result<Command> {
    let mut command = dbcc::command()?;
    command.args(["doctor", "--json"]);
    Ok(command)
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(run(command)?.stdout())
}

/// Compares what it says of this machine with the kernel's files, with `bpftool feature probe` and with what dbcc then does.
///
/// # Errors
/// They differ.
pub fn agrees_with_others() -> Result<()> {
    let said = Said::of(command()?)?;
    let probed: Value = serde_json::from_str(&output("bpftool", &["--json", "feature", "probe"])?)?;
    let probed = |path: &str| probed.pointer(path);
    let has = |path: &str| probed(path).and_then(Value::as_bool).unwrap_or(false);
    let all = |types: &[&str]| types.iter().all(|name| has(&format!("/program_types/have_{name}_prog_type")));
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mounted = |kind: &str, place: &str| {
        let mut mounts = mounts.lines().map(|line| line.split(' ').skip(1).take(2).collect::<Vec<_>>());
        mounts.any(|mount| mount == [place, kind])
    };
    let pmu = |name: &str| Path::new("/sys/bus/event_source/devices").join(name).exists();
    let raw = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    for (check, is_there) in [
        ("load", has("/program_types/have_kprobe_prog_type")),
        ("jit", probed("/system_config/bpf_jit_enable").and_then(Value::as_i64).is_some_and(|on| on > 0)),
        ("btf", Path::new("/sys/kernel/btf/vmlinux").exists()),
        ("kprobe", pmu("kprobe")),
        ("fentry", has("/program_types/have_tracing_prog_type")),
        ("uprobe", pmu("uprobe")),
        ("raw_tracepoint", has("/program_types/have_raw_tracepoint_prog_type")),
        ("tracepoint", has("/program_types/have_tracepoint_prog_type")),
        ("ring_buffer", has("/map_types/have_ringbuf_map_type")),
        ("hardware_events", pmu("cpu")),
        ("usdt_semaphores", pmu("uprobe/format/ref_ctr_offset")),
        ("tracefs", mounted("tracefs", "/sys/kernel/tracing")),
        ("bpffs", mounted("bpf", "/sys/fs/bpf")),
        ("clang", Path::new("/usr/lib/llvm-19/bin/clang").exists()),
        ("lsm", has("/program_types/have_lsm_prog_type") && asks_programs()?),
        ("tp_btf", Path::new("/sys/kernel/btf/vmlinux").exists()),
        ("xdp", has("/program_types/have_xdp_prog_type")),
        ("tc", has("/program_types/have_sched_cls_prog_type") && sorts_packets()?),
        ("packet_socket", has("/program_types/have_socket_filter_prog_type")),
        ("flow_dissector", has("/program_types/have_flow_dissector_prog_type")),
        ("sk_lookup", has("/program_types/have_sk_lookup_prog_type")),
        ("cgroup", all(CGROUP)),
        ("socket_map", all(&["sk_skb", "sk_msg"])),
        ("verified_only", all(&["sched_act", "lwt_in", "lwt_out", "lwt_xmit", "lwt_seg6local", "sk_reuseport"])),
    ] {
        ensure!(
            (said.state(check) == "ok") == is_there,
            "{check}: {is_there} by others, {:?}",
            said.findings.get(check)
        );
    }
    let replaces = ["ok", "limited"].contains(&said.state("fmod_ret"));
    ensure!(replaces == has("/program_types/have_tracing_prog_type"), "{:?}", said.findings.get("fmod_ret"));
    ensure!(said.seen("version") == format!("Linux {}", raw("/proc/sys/kernel/osrelease")), "{}", said.seen("version"));
    let disabled = raw("/proc/sys/kernel/unprivileged_bpf_disabled");
    ensure!(said.seen("unprivileged_bpf_disabled").starts_with(&disabled), "{disabled}, {said:?}");
    let paranoid = raw("/proc/sys/kernel/perf_event_paranoid");
    ensure!(said.seen("perf_event_paranoid").starts_with(&format!("{paranoid};")), "{paranoid}, {said:?}");
    let printed = output("/usr/lib/llvm-19/bin/clang", &["--version"])?;
    let version = said.seen("clang").split(' ').next().unwrap_or_default();
    ensure!(printed.contains(&format!("clang version {version}")) && !version.is_empty(), "{version:?}: {printed}");
    lockdown(&said)?;
    nothing_is_left()?;
    traceable(&said, &mounts)?;

    // The verdict is kept: what it says that runs, runs.
    ensure!((said.code, said.verdict) == (Some(0), (true, true)), "{said:?}");
    let loaded = dbcc::run(["check", "--load", "execsnoop"])?;
    ensure!(loaded.code() == Some(0), "{}{}", loaded.stdout(), loaded.stderr());
    Ok(())
}

/// The types of programs that belong to cgroups, as bpftool names them.
const CGROUP: &[&str] =
    &["cgroup_skb", "cgroup_sock", "cgroup_sock_addr", "sock_ops", "cgroup_sockopt", "cgroup_device", "cgroup_sysctl"];

/// Whether programs are among the security modules that the kernel asks.
fn asks_programs() -> Result<bool> {
    let script =
        "mount -t securityfs none /sys/kernel/security 2> /dev/null; cat /sys/kernel/security/lsm 2> /dev/null";
    Ok(output("unshare", &["--mount", "sh", "-c", script])?.trim().split(',').any(|module| module == "bpf"))
}

/// Whether the kernel has what attaches classifiers: links (Linux 6.6), or modules for a queueing discipline and filters.
fn sorts_packets() -> Result<bool> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let modules = ["sch_ingress", "cls_bpf"].map(|name| Path::new("/sys/module").join(name).exists());
    Ok(version >= (6, 6) || modules == [true, true])
}

/// No cgroup of a doctor that has ended.
fn nothing_is_left() -> Result<()> {
    let script = "mount -t cgroup2 none /mnt && ls /mnt";
    let groups = output("unshare", &["--mount", "sh", "-c", script])?;
    let of_dead = groups.lines().filter(|name| {
        let pid = name.strip_prefix("dbcc-doctor-").and_then(|rest| rest.split('-').next());
        pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
    });
    let of_dead: Vec<_> = of_dead.collect();
    ensure!(of_dead.is_empty() && !groups.is_empty(), "cgroups that nobody takes away: {of_dead:?} of {groups:?}");
    Ok(())
}

/// The kernel's own words, by a mount that nobody else sees.
fn lockdown(said: &Said) -> Result<()> {
    let script =
        "mount -t securityfs none /sys/kernel/security 2> /dev/null; cat /sys/kernel/security/lockdown 2> /dev/null";
    let shown = output("unshare", &["--mount", "sh", "-c", script])?;
    let level = shown.split_once('[').and_then(|(_, behind)| behind.split_once(']')).map(|(level, _)| level);
    ensure!(said.seen("lockdown") == level.unwrap_or("this kernel has none"), "{shown:?}: {:?}", said.seen("lockdown"));
    Ok(())
}

fn traceable(said: &Said, mounts: &str) -> Result<()> {
    let Some(line) = mounts.lines().find(|line| line.contains(" tracefs ")) else { return Ok(()) };
    let place = line.split(' ').nth(1).unwrap_or_default();
    let seen = said.seen("traceable_functions");
    match fs::read_to_string(Path::new(place).join("available_filter_functions")) {
        Ok(list) => ensure!(seen.starts_with(&format!("{} functions", list.lines().count())), "{seen}"),
        Err(_) => ensure!(said.state("traceable_functions") == "limited", "{seen}"),
    }
    Ok(())
}
