//! bench FOLDER [ROUNDS [PROGRAM FUNCTION MAP]]: dbcc against BCC and bpftrace, see `ci/bench`.
//!
//! The program sends an event for each connection to MySQL 5.6.24, which gets connections all the time. What is measured
//! is the time from starting a tool until it says that it is attached, and until its first event, which waits for a
//! connection too. Memory is that of the tool with all its child processes.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use dbcc_tests::client::Client;
use dbcc_tests::dbcc;
use dbcc_tests::process::{Running, Signal};
use dbcc_tests::server::Flavor;

const SYMBOL: &str = "_Z16login_connectionP3THD";

/// One way to run the program.
struct Contender {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    /// What a line contains when the program is attached. bpftrace says so just before it attaches.
    attached: &'static str,
    /// What the line of an event contains.
    event: &'static str,
    /// Folder for what the tool keeps from run to run.
    cache: PathBuf,
    /// Whether nothing is kept.
    cold: bool,
}

impl Contender {
    fn start(&self) -> Result<Running> {
        if self.cold && self.cache.exists() {
            fs::remove_dir_all(&self.cache).context("cannot empty the cache")?;
        }
        fs::create_dir_all(&self.cache).context("cannot make the cache's folder")?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env("XDG_CACHE_HOME", &self.cache);
        Running::start(command)
    }
}

#[derive(Default)]
struct Measured {
    attached_ms: Vec<f64>,
    event_ms: Vec<f64>,
    steady_kib: Vec<f64>,
    peak_kib: Vec<f64>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let folder = PathBuf::from(arguments.first().context("usage: bench FOLDER [ROUNDS [PROGRAM FUNCTION MAP]]")?);
    let rounds: usize = arguments.get(1).map_or(Ok(11), |rounds| rounds.parse()).context("ROUNDS")?;
    let default = folder.join("connections.c").display().to_string();
    let program = match arguments.get(2..).unwrap_or_default() {
        [] => [default, "on_connection".to_owned(), "connections".to_owned()],
        [program, function, map] => [program.clone(), function.clone(), map.clone()],
        _ => return Err(anyhow!("PROGRAM, FUNCTION and MAP belong together")),
    };
    let installed = Flavor::Mysql56.installed().map_err(|skip| anyhow!("{skip:?}"))?;
    let server = installed.start()?;
    let load = ConnectionLoad::start(server.port);
    let caches = tempfile::tempdir()?;
    print_setting(&program, rounds);
    for pid in [None, Some(server.pid())] {
        let contenders = contenders(&folder, server.binary(), &program, caches.path(), pid)?;
        let measured = measure(&contenders, rounds)?;
        println!("\n{}:\n", if pid.is_none() { "In all processes" } else { "In the server's process alone (`--pid`)" });
        report(rounds, &contenders, &measured)?;
    }
    load.stop()
}

/// Starts all of them so many times.
fn measure(contenders: &[Contender], rounds: usize) -> Result<BTreeMap<&'static str, Measured>> {
    let mut measured: BTreeMap<&str, Measured> = BTreeMap::new();
    // Interleaved, so that what else the machine does meets all alike. The first round warms the page cache.
    for round in 0..=rounds {
        for contender in contenders {
            let (attached, event, steady) = start_time(contender).with_context(|| contender.name.to_owned())?;
            let peak = peak_memory(contender).with_context(|| contender.name.to_owned())?;
            if round > 0 {
                let all = measured.entry(contender.name).or_default();
                all.attached_ms.push(attached);
                all.event_ms.push(event);
                all.steady_kib.push(steady);
                all.peak_kib.push(peak);
            }
        }
        eprintln!("bench: round {round} of {rounds}");
    }
    Ok(measured)
}

/// The tools, tracing all processes of a binary or one of them.
fn contenders(
    folder: &Path,
    binary: &Path,
    program: &[String; 3],
    caches: &Path,
    pid: Option<u32>,
) -> Result<Vec<Contender>> {
    let [file, function, map] = program;
    let path = binary.display();
    let attach = format!("uprobe:{path}:login_connection={function}");
    let pid = pid.map(|pid| pid.to_string());
    let options = |option: &str| pid.iter().flat_map(|pid| [option.to_owned(), pid.clone()]).collect::<Vec<_>>();
    let dbcc = |name, cold| {
        Ok::<_, anyhow::Error>(Contender {
            name,
            program: dbcc::binary()?,
            arguments: [options("--pid"), ["--json", "--attach", &attach, file].map(str::to_owned).to_vec()].concat(),
            attached: r#""kind":"attached""#,
            event: r#""kind":"event""#,
            cache: caches.join(name),
            cold,
        })
    };
    let script = format!("uprobe:{path}:{SYMBOL} {{ printf(\"event %d %d %lu %s\\n\", pid, tid, nsecs, comm); }}");
    Ok(vec![
        dbcc("dbcc, cold", true)?,
        dbcc("dbcc, warm", false)?,
        Contender {
            name: "BCC",
            program: folder.join("bcc-host"),
            arguments: [file, &path.to_string(), SYMBOL, function, map]
                .into_iter()
                .map(str::to_owned)
                .chain(pid.clone())
                .collect(),
            attached: "attached",
            event: "event ",
            cache: caches.join("BCC"),
            cold: true,
        },
        Contender {
            name: "bpftrace",
            program: PathBuf::from("bpftrace"),
            arguments: [options("-p"), ["-B", "line", "-e", &script].map(str::to_owned).to_vec()].concat(),
            attached: "Attaching",
            event: "event ",
            cache: caches.join("bpftrace"),
            cold: true,
        },
    ])
}

/// Milliseconds from start to "attached" and to the first event, and the memory in KiB that is in use when things have settled.
fn start_time(contender: &Contender) -> Result<(f64, f64, f64)> {
    // What the kernel keeps ready for the events of single processes it keeps for a second (kernel/events/core.c:
    // perf_sched_delayed): each is to start as the only tool.
    thread::sleep(Duration::from_millis(1500));
    let start = Instant::now();
    let mut running = contender.start()?;
    let mut until = |what: &str, text: &str| -> Result<f64> {
        running.wait_for(what, |line| line.text.contains(text).then_some(()))?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    let attached = until("to be attached", contender.attached)?;
    let event = until("an event", contender.event)?;
    // Buffers are faulted in by the first events.
    thread::sleep(Duration::from_millis(500));
    let steady = tree(running.pid()).iter().map(|pid| memory(*pid, "VmRSS:")).sum();
    end(running)?;
    Ok((attached, event, steady))
}

/// The largest memory in KiB that all processes of the tool had together. Its own run: looking takes time.
fn peak_memory(contender: &Contender) -> Result<f64> {
    let mut running = contender.start()?;
    let pid = running.pid();
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut peak: f64 = 0.0;
            while !stop.load(Ordering::Relaxed) {
                peak = peak.max(tree(pid).iter().map(|pid| memory(*pid, "VmRSS:")).sum());
                thread::sleep(Duration::from_millis(1));
            }
            // Between two looks the first process may have had more.
            peak.max(memory(pid, "VmHWM:"))
        }
    });
    let seen = running.wait_for("an event", |line| line.text.contains(contender.event).then_some(()));
    stop.store(true, Ordering::Relaxed);
    let peak = watcher.join().map_err(|_| anyhow!("the watcher panicked"))?;
    seen?;
    end(running)?;
    Ok(peak)
}

fn end(running: Running) -> Result<()> {
    running.signal(Signal::INT)?;
    running.finish()?;
    Ok(())
}

/// A process and all that descend from it.
fn tree(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let children: Vec<u32> = threads
            .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
            .flat_map(|children| children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
            .collect();
        all.extend(children);
        next += 1;
    }
    all
}

/// A line of `/proc/PID/status`, in KiB; nothing where the process has ended.
fn memory(pid: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.split_whitespace().next()?.parse().ok());
    value.unwrap_or(0.0)
}

/// Opens and closes connections all the time, a few hundred a second.
struct ConnectionLoad {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl ConnectionLoad {
    fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                while !stop.load(Ordering::Relaxed) {
                    Client::connect(port)?.close()?;
                    thread::sleep(Duration::from_millis(2));
                }
                Ok(())
            }
        });
        Self { stop, thread }
    }

    fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the load panicked"))?
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle.saturating_sub(1)), sorted.get(middle)) {
        (Some(low), Some(high)) if sorted.len().is_multiple_of(2) => (low + high) / 2.0,
        (_, Some(middle)) => *middle,
        _ => f64::NAN,
    }
}

/// What all tables have in common.
fn print_setting(program: &[String; 3], rounds: usize) {
    let [file, ..] = program;
    let name = Path::new(file).file_name().unwrap_or_default().display();
    println!("Machine: {}.", machine());
    println!("Versions: {}.", versions());
    println!("{}", headers());
    println!("Program: `{name}`, a uprobe on `login_connection` of MySQL 5.6.24; {rounds} rounds, medians.");
}

fn report(rounds: usize, contenders: &[Contender], measured: &BTreeMap<&str, Measured>) -> Result<()> {
    let of = |name: &str| measured.get(name).with_context(|| format!("{name} was not measured"));
    println!(
        "| | start to attached | of BCC's | to first event | of BCC's | memory then | of BCC's | peak memory | of BCC's |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    let bcc = of("BCC")?;
    for contender in contenders {
        let this = of(contender.name)?;
        ensure!(this.event_ms.len() == rounds, "{} was not measured in every round", contender.name);
        let cell = |own: &[f64], bcc: &[f64], scale: f64, unit: &str| {
            let (own, bcc) = (median(own), median(bcc));
            format!("{:.0} {unit} | {:.1} %", own / scale, 100.0 * own / bcc)
        };
        println!(
            "| {} | {} | {} | {} | {} |",
            contender.name,
            cell(&this.attached_ms, &bcc.attached_ms, 1.0, "ms"),
            cell(&this.event_ms, &bcc.event_ms, 1.0, "ms"),
            cell(&this.steady_kib, &bcc.steady_kib, 1024.0, "MB"),
            cell(&this.peak_kib, &bcc.peak_kib, 1024.0, "MB"),
        );
    }
    println!("\nStart to attached of single rounds, in ms:\n");
    for contender in contenders {
        let times: Vec<_> = of(contender.name)?.attached_ms.iter().map(|time| format!("{time:.0}")).collect();
        println!("- {}: {}", contender.name, times.join(", "));
    }
    Ok(())
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned())).unwrap_or_default()
    };
    let memory: u64 = field(&read("/proc/meminfo"), "MemTotal").replace(" kB", "").parse().unwrap_or(0);
    let processors = thread::available_parallelism().map_or(0, Into::into);
    let model = field(&read("/proc/cpuinfo"), "model name");
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{processors} × {model}, {} GB, Linux {}", memory >> 20, kernel.trim())
}

/// BCC compiles against kernel headers, and may have to do with those of another kernel.
fn headers() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let build = Path::new("/lib/modules").join(kernel.trim()).join("build");
    let headers = fs::canonicalize(build).unwrap_or_default();
    let name = headers.file_name().unwrap_or_default().display().to_string();
    let note = if name.contains(kernel.trim()) {
        ""
    } else {
        " (another kernel's: BCC reads fields at wrong offsets then; only time and memory are compared)"
    };
    format!("Kernel headers for BCC: {name}{note}.")
}

fn versions() -> String {
    let packages = ["python3-bpfcc", "bpftrace", "clang-19"].map(|package| {
        let query = Command::new("dpkg-query").args(["-W", "-f", "${Package} ${Version}", package]).output();
        query.map_or_else(|_| package.to_owned(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    let dbcc = dbcc::run(["--version"]).map(|finished| finished.stdout().trim().to_owned());
    format!("{}, {}", dbcc.unwrap_or_default(), packages.join(", "))
}
