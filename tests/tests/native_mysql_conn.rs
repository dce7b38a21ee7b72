//! New connections of real servers, by uprobes.

use std::collections::BTreeSet;

use anyhow::Result;
use dbcc_tests::dbcc::Records;
use dbcc_tests::load::Load;
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

#[test]
fn a_thousand_connections_to_mysql56_are_a_thousand_events() -> Result<()> {
    need!(need::root());
    let server = need!(Flavor::Mysql56.installed()).start()?;
    shipped_probe(&server)?;
    Ok(())
}

#[test]
fn a_thousand_connections_to_mariadb_are_a_thousand_events() -> Result<()> {
    need!(need::root());
    let server = need!(Flavor::MariaDb.installed()).start()?;
    shipped_probe(&server)?;
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
fn published_program(flavor: Flavor) -> Result<()> {
    need!(need::root());
    let probe = need!(need::acceptance("mysql_conn.bcc.c"));
    let server = need!(flavor.installed()).start()?;
    let attach = format!("uprobe:{}:login_connection=do_check_connection", server.binary().display());
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
    published_program(Flavor::Mysql56)
}

#[test]
fn the_published_mysql_conn_runs_on_mariadb() -> Result<()> {
    published_program(Flavor::MariaDb)
}
