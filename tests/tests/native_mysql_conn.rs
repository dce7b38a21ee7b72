//! New connections of real servers, by uprobes.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use dbcc_tests::dbcc::Records;
use dbcc_tests::load::Load;
use dbcc_tests::process::Finished;
use dbcc_tests::scenario::{nothing_lost, observe};
use dbcc_tests::server::{Flavor, Server};
use dbcc_tests::{dbcc, need};
use serde_json::Value;

const THOUSAND: Load = Load { threads: 16, connections: 1000, queries: 0 };

fn number(event: &Value, field: &str) -> Option<u64> {
    event.get("fields")?.get(field)?.as_u64()
}

fn check_events(records: &Records, server: &Server, process: &str, thread: &str) -> Result<()> {
    nothing_lost(records)?;
    let events: Vec<_> = records.of_kind("event").collect();
    assert_eq!(events.len(), 1000);
    let field = |name: &str| events.iter().map(|event| number(event, name)).collect::<BTreeSet<_>>();
    assert_eq!(field(process), BTreeSet::from([Some(u64::from(server.pid()))]));
    // Connections are served by threads other than the first.
    assert!(!field(thread).contains(&Some(u64::from(server.pid()))));
    assert!(!field(thread).contains(&None));
    Ok(())
}

fn shipped_probe(server: &Server) -> Result<Records> {
    let (records, done) = observe(server, &dbcc::probe("mysql_conn.c"), &[], THOUSAND)?;
    assert_eq!(done.connections, 1000);
    check_events(&records, server, "pid", "tid")?;
    Ok(records)
}

/// Where the only program is attached, behind the path of the server.
fn target(records: &Records) -> Result<String> {
    let attached = records.of_kind("attached").next().context("nothing is attached")?;
    let target = attached.pointer("/programs/0/target").and_then(Value::as_str).context("no target")?;
    Ok(target.rsplit_once('/').map_or(target, |(_, name)| name).to_owned())
}

/// `check_connection` is static there, and inlined into its only caller.
#[test]
fn a_thousand_connections_to_mysql56_are_a_thousand_events() -> Result<()> {
    need!(need::root());
    let server = need!(Flavor::Mysql56.installed()).start()?;
    let records = shipped_probe(&server)?;
    assert_eq!(target(&records)?, "mysqld:check_connection(THD*) (inlined into login_connection(THD*)) +0x2c37d3");
    Ok(())
}

/// Stripped: only exported functions have names.
#[test]
fn a_thousand_connections_to_mariadb_are_a_thousand_events() -> Result<()> {
    need!(need::root());
    let server = need!(Flavor::MariaDb.installed()).start()?;
    let records = shipped_probe(&server)?;
    assert!(target(&records)?.starts_with("mariadbd:login_connection(THD*) +0x"), "{}", target(&records)?);
    Ok(())
}

/// The process's binary is found through `/proc/PID/root`: under its own path there is nothing here.
fn in_a_mount_namespace(flavor: Flavor) -> Result<()> {
    need!(need::root());
    let server = need!(flavor.installed()).start_hidden()?;
    shipped_probe(&server)?;
    Ok(())
}

#[test]
fn a_mysql56_in_another_mount_namespace_is_traced() -> Result<()> {
    in_a_mount_namespace(Flavor::Mysql56)
}

#[test]
fn a_mariadb_in_another_mount_namespace_is_traced() -> Result<()> {
    in_a_mount_namespace(Flavor::MariaDb)
}

/// The published program, unedited, with its attach point on the command line.
fn published_program(flavor: Flavor, function: &str) -> Result<()> {
    need!(need::root());
    let probe = need!(need::acceptance("mysql_conn.bcc.c"));
    let server = need!(flavor.installed()).start()?;
    let attach = format!("uprobe:{}:{function}=do_check_connection", server.binary().display());
    let (records, _) = observe(&server, &probe, &["--attach", &attach], THOUSAND)?;
    check_events(&records, &server, "tgid", "pid")?;
    for event in records.of_kind("event") {
        assert_eq!(event.get("map"), Some(&Value::from("events")));
        // 40 bytes hold the whole text.
        assert_eq!(event.pointer("/fields/info"), Some(&Value::from("hello world,create a new connection")));
        assert!(number(event, "ts").is_some_and(|ts| ts > 0));
    }
    Ok(())
}

#[test]
fn the_published_mysql_conn_runs_on_mysql56() -> Result<()> {
    published_program(Flavor::Mysql56, "check_connection")
}

/// As its author had to do it with BCC.
#[test]
fn the_published_mysql_conn_runs_on_the_caller_too() -> Result<()> {
    published_program(Flavor::Mysql56, "login_connection")
}

#[test]
fn the_published_mysql_conn_runs_on_mariadb() -> Result<()> {
    published_program(Flavor::MariaDb, "login_connection")
}

/// Runs a probe of these words on a MySQL 5.6.24, with its attach point.
fn run_text(server: &Server, text: &str, attach: &str) -> Result<Finished> {
    let folder = tempfile::tempdir()?;
    let probe = folder.path().join("probe.c");
    std::fs::write(&probe, text)?;
    let (pid, probe) = (server.pid().to_string(), probe.display().to_string());
    dbcc::run(["--pid", &pid, "--duration", "100ms", "--attach", attach, &probe])
}

/// The debug information does not say where `thd` is at the first instruction of the copy; in rdi it is not.
#[test]
fn a_program_that_reads_arguments_is_not_attached_where_they_are_elsewhere() -> Result<()> {
    need!(need::root());
    let server = need!(Flavor::Mysql56.installed()).start()?;
    let text = "BPF_HASH(seen, u64, u64);
        int on_check(struct pt_regs *ctx, void *thd) { u64 key = (u64)thd; seen.increment(key); return 0; }";
    let finished = run_text(&server, text, "uprobe:check_connection=on_check")?;
    assert_eq!(finished.code(), Some(1), "{}", finished.stdout());
    let said = finished.stderr();
    for part in
        ["`check_connection`", "is inlined everywhere (1 copy)", "`thd` is optimised out", "`login_connection(THD*)`"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    Ok(())
}

#[test]
fn an_inlined_function_has_no_return_and_the_caller_is_named() -> Result<()> {
    need!(need::root());
    let server = need!(Flavor::Mysql56.installed()).start()?;
    let text = "int on_return(struct pt_regs *ctx) { return 0; }";
    let finished = run_text(&server, text, "uretprobe:check_connection=on_return")?;
    assert_eq!(finished.code(), Some(1), "{}", finished.stdout());
    let said = finished.stderr();
    for part in
        ["an inlined copy has no return", "use a uretprobe on what it is inlined into: `login_connection(THD*)`"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    Ok(())
}

/// An address and an offset lead to the same instruction as the name, and a line to its first one.
#[test]
fn an_instruction_is_named_in_several_ways() -> Result<()> {
    need!(need::root());
    let server = need!(Flavor::Mysql56.installed()).start()?;
    let text = "int on_hit(struct pt_regs *ctx) { return 0; }";
    for name in ["0x6c37d3", "login_connection+0x33"] {
        let finished = run_text(&server, text, &format!("uprobe:{name}=on_hit"))?;
        assert_eq!(finished.code(), Some(0), "{name}: {}", finished.stderr());
        assert!(finished.stderr().contains("+0x2c37d3"), "{name}: {}", finished.stderr());
    }
    // No instruction begins with that line of the copy; the next line has one.
    let finished = run_text(&server, text, "uprobe:sql_connect.cc:504=on_hit")?;
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    assert!(finished.stderr().contains("sql_connect.cc:504 +0x2c37e2"), "{}", finished.stderr());
    let finished = run_text(&server, text, "uprobe:login_connection+0x34=on_hit")?;
    assert_eq!(finished.code(), Some(1));
    assert!(finished.stderr().contains("inside of an instruction"), "{}", finished.stderr());
    Ok(())
}
