//! `dbcc new`: what it writes compiles, loads, and reports the values that were passed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::client::Client;
use dbcc_tests::dbcc::{self, Attached, Records};
use dbcc_tests::postgres::Postgres;
use dbcc_tests::process::{self, Finished, Running};
use dbcc_tests::server::{Flavor, MARIADBD};
use dbcc_tests::{need, sites};
use serde_json::{Value, json};

fn case(name: &str) -> PathBuf {
    need::repository().join("tests/cases/new").join(name)
}

/// The program of `target.cc`.
fn target(folder: &Path) -> Result<PathBuf> {
    let program = folder.join("target");
    process::compile(&case("target.cc"), &program, ["-g"])?;
    Ok(program)
}

/// What `dbcc new probe …` writes.
fn text(places: &[String]) -> Result<String> {
    let finished = dbcc::run(["new", "probe", "-o", "-"].map(str::to_owned).iter().chain(places))?;
    ensure!(finished.code() == Some(0), "{}", finished.stderr());
    Ok(finished.stdout())
}

/// `--kind=target` for each target.
fn options(kind: &str, targets: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    targets.into_iter().map(|target| format!("--{kind}={}", target.as_ref())).collect()
}

/// Writes a probe, and checks that it compiles, that no lint finds anything and, with `load`, that the verifier takes it.
fn holds(places: &[String], load: bool, more: &[&str]) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("probe.c");
    let text = text(places)?;
    fs::write(&file, &text)?;
    let mut arguments = vec!["check", "--no-cache", "--deny", "all"];
    arguments.extend(load.then_some("--load"));
    arguments.extend(more);
    let finished = dbcc::run(arguments.iter().map(std::ffi::OsStr::new).chain([file.as_os_str()]))?;
    ensure!(finished.code() == Some(0), "{}{}", finished.stdout(), finished.stderr());
    Ok(text)
}

/// Every `stride`th of the names, so that there are `count`.
fn chosen(mut names: Vec<String>, count: usize) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    let stride = (names.len() / count).max(1);
    names.into_iter().step_by(stride).take(count).collect()
}

/// Compares what is written with a file of this repository; `binary` stands for the path of the binary there.
fn golden(name: &str, places: &[String], binary: Option<&Path>) -> Result<()> {
    let text = text(places)?;
    let text = match binary {
        Some(binary) => text.replace(&binary.display().to_string(), "BINARY"),
        None => text,
    };
    let file = case(name);
    if std::env::var_os("DBCC_WRITE_GOLDEN").is_some() {
        fs::write(&file, &text)?;
    }
    let expected = fs::read_to_string(&file)?;
    ensure!(
        text == expected,
        "{} (DBCC_WRITE_GOLDEN=1 writes it anew) is not what is written:\n{text}",
        file.display()
    );
    Ok(())
}

#[test]
fn probes_of_programs_are_written_as_they_were() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = target(folder.path())?;
    let both: Vec<String> =
        ["uprobe", "uretprobe"].map(|kind| format!("--{kind}={}:everything", program.display())).into();
    golden("uprobe.c", &both, Some(&program))?;
    golden("uretprobe.c", &options("uretprobe", [format!("{}:half", program.display())]), Some(&program))?;
    let program = sites::compile(folder.path(), "sites", &[])?;
    golden("usdt.c", &options("usdt", [format!("{}:sites:text", program.display())]), Some(&program))
}

#[test]
fn probes_of_the_kernel_are_written_as_they_were() -> Result<()> {
    need!(need::root());
    golden("kprobe.c", &options("kprobe", ["tcp_sendmsg"]), None)?;
    golden("kretprobe.c", &options("kretprobe", ["tcp_sendmsg"]), None)?;
    let both = [options("fentry", ["vfs_read"]), options("fexit", ["vfs_read"])].concat();
    golden("fentry_fexit.c", &both, None)?;
    golden("tracepoint.c", &options("tracepoint", ["sched:sched_process_exec"]), None)?;
    golden("rawtp.c", &options("rawtp", ["sched_process_exec"]), None)
}

/// Runs a probe until it has that many events, while `work` is done; each event's output and fields.
fn events(
    file: &Path,
    arguments: &[&str],
    count: usize,
    work: impl FnOnce() -> Result<()>,
) -> Result<Vec<(String, Value)>> {
    let count = count.to_string();
    let shown = file.display().to_string();
    let attached = Attached::start(["--count", &count].iter().chain(arguments).copied().chain([shown.as_str()]))?;
    work()?;
    let records: Records = attached.finish()?;
    let event = |record: &Value| Some((record["map"].as_str()?.to_owned(), record["fields"].clone()));
    records.of_kind("event").map(|record| event(record).with_context(|| record.to_string())).collect()
}

/// Writes a probe of these places into a folder.
fn written(folder: &Path, places: &[String]) -> Result<PathBuf> {
    let file = folder.join("probe.c");
    fs::write(&file, text(places)?)?;
    Ok(file)
}

#[test]
fn a_program_is_seen_to_pass_what_it_passes() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let program = target(folder.path())?;
    let named = |kind: &str, name: &str| format!("--{kind}={}:{name}", program.display());
    let file = written(
        folder.path(),
        &[
            named("uprobe", "everything"),
            named("uretprobe", "everything"),
            named("uprobe", "Session::run(char const*, Mode)"),
            named("uprobe", "half"),
        ],
    )?;
    let mut running = Running::start_ready(Command::new(&program))?;
    let pid = running.pid().to_string();
    let seen = events(&file, &["--pid", &pid], 3, || {
        running.tell("select 'a text'")?;
        running.wait_for("its end", |line| line.text.starts_with("done").then_some(()))
    })?;
    let of = |name: &str| {
        let found = seen.iter().find(|(output, _)| output == name);
        found.map(|(_, fields)| fields.clone()).with_context(|| format!("no {name}: {seen:?}"))
    };
    let run = of("run_events")?;
    assert_eq!((&run["text"], &run["mode"]), (&json!("select 'a text'"), &json!(2)));
    let all = of("everything_events")?;
    let expected = [
        ("letter", json!(-5)),
        ("low", json!(-300)),
        ("wide", json!(4_000_000_000_u64)),
        ("yes", json!(true)),
        ("text", json!("select 'a text'")),
        ("on_stack", json!(1)),
        ("text_on_stack", json!("second")),
        ("ret", json!(-5 - 300 + 4_000_000_000_i64 + 1000 + 1 + 15 + 1 + 6 + 2 + 1 + 4)),
        ("args_pid", Value::Null),
    ];
    for (name, value) in expected {
        assert_eq!(all[name], value, "{name}: {all}");
    }
    assert!(all["elapsed_ns"].as_u64().is_some_and(|time| time > 0), "{all}");
    // Two numbers of 4 bytes in one register.
    assert_eq!(of("half_events")?["pair"], json!(3 + (0xffff_fffc_u64 << 32)));
    Ok(())
}

#[test]
fn mysql_is_seen_to_get_the_statements_of_its_client() -> Result<()> {
    need!(need::root());
    let server = need!(Flavor::Mysql56.installed()).start()?;
    let folder = tempfile::tempdir()?;
    // The process tells the binary.
    let file = folder.path().join("probe.c");
    let pid = server.pid().to_string();
    let mut arguments = vec!["new", "probe", "--pid", &pid, "-o"];
    let path = file.display().to_string();
    arguments.extend([&path, "--uprobe=dispatch_command", "--uretprobe=dispatch_command"]);
    let finished = dbcc::run(&arguments)?;
    ensure!(finished.code() == Some(0), "{}", finished.stderr());
    let said = format!("wrote {path}; run it: dbcc --pid {pid} {path}\n");
    assert_eq!(finished.stdout(), said);
    let mut client = Client::connect(server.port)?;
    let statements = ["select 'one'", "select 'two', 2"];
    let seen = events(&file, &["--pid", &pid], statements.len(), || {
        statements.iter().try_for_each(|statement| client.query(statement).map(drop))
    })?;
    let fields = |name: &str| seen.iter().map(|(_, fields)| fields[name].clone()).collect::<Vec<_>>();
    assert_eq!(fields("packet"), statements.map(|statement| json!(statement)));
    assert_eq!(fields("packet_length"), statements.map(|statement| json!(statement.len())));
    assert_eq!(fields("command"), [json!(3), json!(3)], "COM_QUERY");
    assert_eq!(fields("ret"), [json!(false), json!(false)]);
    assert!(fields("elapsed_ns").iter().all(|time| time.as_u64().is_some_and(|time| time > 0)), "{seen:?}");
    client.close()?;
    Ok(())
}

/// Stripped: only the mangled name tells what it takes.
#[test]
fn mariadb_is_seen_to_parse_the_statements_of_its_client() -> Result<()> {
    need!(need::root());
    let server = need!(Flavor::MariaDb.installed()).start()?;
    let folder = tempfile::tempdir()?;
    let file = written(folder.path(), &[format!("--uprobe={MARIADBD}:mysql_parse")])?;
    let mut client = Client::connect(server.port)?;
    let pid = server.pid().to_string();
    let seen = events(&file, &["--pid", &pid], 1, || client.query("select 'three'").map(drop))?;
    let (_, fields) = seen.first().context("no event")?;
    assert_eq!((&fields["arg2"], &fields["arg3"]), (&json!("select 'three'"), &json!(14)));
    client.close()?;
    Ok(())
}

#[test]
fn postgres_is_seen_to_run_the_statements_that_it_reads() -> Result<()> {
    need!(need::root());
    let binary = need!(Postgres::installed());
    let folder = tempfile::tempdir()?;
    let places = options("usdt", [format!("{}:postgresql:query__start", binary.display())]);
    let file = written(folder.path(), &places)?;
    let postgres = Postgres::new(binary)?;
    let seen = events(&file, &[], 2, || postgres.run(&["select 42 as answer", "select 'two'"]))?;
    let texts: Vec<&Value> = seen.iter().map(|(_, fields)| &fields["arg1_text"]).collect();
    assert_eq!(texts, [&json!("select 42 as answer\n"), &json!("select 'two'\n")]);
    Ok(())
}

/// The names of the kernel's functions that can be probed by name: all where it does not tell those that it traces.
fn kernel_functions() -> Result<Vec<String>> {
    let traced = in_tracefs("available_filter_functions").unwrap_or_default();
    let symbols = fs::read_to_string("/proc/kallsyms")?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in symbols.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        // `__pfx_F` is what is in front of the function F.
        if let [_, "t" | "T", name] = words.as_slice()
            && !name.contains('.')
            && !name.starts_with("__pfx_")
        {
            *counts.entry(name).or_default() += 1;
        }
    }
    let traced: Vec<&str> = traced.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let is_traced = |name: &str| traced.is_empty() || traced.binary_search(&name).is_ok();
    Ok(counts
        .into_iter()
        .filter(|(name, count)| *count == 1 && is_traced(name))
        .map(|(name, _)| name.to_owned())
        .collect())
}

/// A file of tracefs, which need not be mounted.
fn in_tracefs(file: &str) -> Result<String> {
    let script = r#"mount -t tracefs none "$1" && cat "$1/$2""#;
    let folder = tempfile::tempdir()?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(folder.path()).arg(file);
    let finished: Finished = process::run(command)?;
    ensure!(finished.code() == Some(0), "{}", finished.stderr());
    Ok(finished.stdout())
}

#[test]
fn two_hundred_functions_of_the_kernel_compile() -> Result<()> {
    need!(need::root());
    let names = chosen(kernel_functions()?, 200);
    assert_eq!(names.len(), 200);
    let text = holds(&options("kprobe", names), false, &[])?;
    let known = text.lines().filter(|line| line.starts_with("int kprobe__") && line.contains(", ")).count();
    assert!(known > 100, "only {known} have arguments");
    Ok(())
}

#[test]
fn two_hundred_tracepoints_load() -> Result<()> {
    need!(need::root());
    let names = chosen(in_tracefs("available_events")?.lines().map(str::to_owned).collect(), 200);
    assert_eq!(names.len(), 200);
    let calls: Vec<&str> = ["sched_switch", "sys_enter", "block_rq_issue", "tcp_probe", "sched_process_fork"].into();
    holds(&[options("tracepoint", names), options("rawtp", calls)].concat(), true, &[]).map(drop)
}

/// Functions of a binary whose symbols stand for one function each, by `nm`.
fn functions(binary: &Path, table: &[&str]) -> Result<Vec<String>> {
    let mut command = Command::new("nm");
    command.args(["--defined-only"]).args(table).arg(binary);
    let listing = process::run(command)?.stdout();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in listing.lines() {
        if let [_, "T" | "t", name] = line.split_whitespace().collect::<Vec<_>>().as_slice() {
            let name = name.split('@').next().unwrap_or_default();
            if !name.contains('.') {
                *counts.entry(name.to_owned()).or_default() += 1;
            }
        }
    }
    Ok(counts.into_iter().filter(|(_, count)| *count == 1).map(|(name, _)| name).collect())
}

fn functions_load(binary: &Path, table: &[&str], count: usize) -> Result<()> {
    let names = chosen(functions(binary, table)?, count);
    assert_eq!(names.len(), count, "{}", binary.display());
    let places = options("uprobe", names.iter().map(|name| format!("{}:{name}", binary.display())));
    let text = holds(&places, true, &["--targets"])?;
    assert!(!text.contains(":_Z"), "names stay readable:\n{text}");
    Ok(())
}

#[test]
fn functions_of_mysql56_load() -> Result<()> {
    need!(need::root());
    functions_load(need!(Flavor::Mysql56.installed()).binary(), &[], 40)
}

#[test]
fn functions_of_stripped_servers_load() -> Result<()> {
    need!(need::root());
    functions_load(need!(Flavor::Mysql97.installed()).binary(), &["-D"], 24)?;
    functions_load(need!(Flavor::MariaDb.installed()).binary(), &["-D"], 24)?;
    functions_load(&need!(need::postgres()), &["-D"], 24)
}

#[test]
fn usdt_probes_of_python_and_postgres_load() -> Result<()> {
    need!(need::root());
    let python = "/usr/bin/python3.11";
    let mut places = Vec::new();
    if Path::new(python).exists() {
        let names =
            ["gc__start", "gc__done", "function__entry", "function__return", "line", "import__find__load__start"];
        places.extend(options("usdt", names.map(|name| format!("{python}:python:{name}"))));
    }
    let postgres = need!(need::postgres());
    let names = ["query__start", "transaction__start", "lock__wait__start", "buffer__read__start", "deadlock__found"];
    places.extend(options("usdt", names.map(|name| format!("{}:postgresql:{name}", postgres.display()))));
    holds(&places, true, &["--targets"]).map(drop)
}

/// What `dbcc new` refuses, with what it says.
fn refusal(arguments: &[&str]) -> Result<String> {
    let finished = dbcc::run(["new", "probe", "-o", "-"].iter().chain(arguments))?;
    ensure!(finished.code() == Some(2) && finished.stdout().is_empty(), "{arguments:?}: {}", finished.stdout());
    Ok(finished.stderr())
}

#[test]
fn a_name_that_is_none_or_several_is_refused() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let program = target(folder.path())?.display().to_string();
    let says = |arguments: &[&str], words: &[&str]| {
        let said = refusal(arguments)?;
        ensure!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
        Ok(())
    };
    says(&[], &["no place to probe is named"])?;
    says(
        &[&format!("--uprobe={program}:Session::run")],
        &["2 functions", "run(char const*, long) const", "Mode) const"],
    )?;
    says(&[&format!("--uprobe={program}:evrything")], &["no function `evrything`", "names like it: everything"])?;
    says(&["--uprobe=everything"], &["names no binary", "--pid"])?;
    says(&[&format!("--uprobe={program}:every*")], &["many places"])?;
    says(&["--kprobe=tcp_sendmesg"], &["no function `tcp_sendmesg`", "tcp_sendmsg"])?;
    says(&["--tracepoint=sched:sched_swich"], &["did you mean sched:sched_switch?"])?;
    says(&["--rawtp=sched_swich"], &["no tracepoint `sched_swich`", "sched_switch"])?;
    let program = sites::compile(folder.path(), "sites", &[])?.display().to_string();
    says(&[&format!("--usdt={program}:sites:txt")], &["no USDT probe `sites:txt`", "its providers are sites"])?;
    says(&["--kprobe=tcp_sendmsg", "--pid=4000000000"], &["no process has the id 4000000000"])
}

#[test]
fn a_file_that_is_there_is_not_written_over() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let new = |more: &[&str]| {
        let mut command = dbcc::command()?;
        command.current_dir(folder.path()).args(["new", "mine", "--kprobe=tcp_sendmsg"]).args(more);
        process::run(command)
    };
    let finished = new(&[])?;
    assert_eq!((finished.code(), finished.stdout().as_str()), (Some(0), "wrote mine.c; run it: dbcc mine.c\n"));
    fs::write(folder.path().join("mine.c"), "// mine\n")?;
    let finished = new(&[])?;
    assert_eq!(finished.code(), Some(2));
    assert!(finished.stderr().contains("`mine.c` is there already"), "{}", finished.stderr());
    assert_eq!(fs::read_to_string(folder.path().join("mine.c"))?, "// mine\n");
    assert_eq!(new(&["--force"])?.code(), Some(0));
    assert!(
        fs::read_to_string(folder.path().join("mine.c"))?.starts_with("// mine: each call of the kernel's tcp_sendmsg")
    );
    let mut command = dbcc::command()?;
    command.current_dir(folder.path()).args(["new", "../mine", "--kprobe=tcp_sendmsg"]);
    assert!(process::run(command)?.stderr().contains("no name for a probe"));
    Ok(())
}
