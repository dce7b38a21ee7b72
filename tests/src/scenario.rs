//! What is tried natively and in a guest alike: a server, a load, a probe, and what it must have seen.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::dbcc::{Attached, Records};
use crate::load::{Done, Load};
use crate::server::Server;

/// Runs a probe on `server` while `load` runs, and gives what it printed and what was done.
///
/// # Errors
/// The probe cannot be attached, or the load fails.
pub fn observe(server: &Server, probe: &Path, arguments: &[&str], load: Load) -> Result<(Records, Done)> {
    let (pid, probe) = (server.pid().to_string(), probe.display().to_string());
    let dbcc = Attached::start(["--pid", &pid].iter().chain(arguments).chain([&probe.as_str()]))?;
    let done = load.run(server.port)?;
    Ok((dbcc.interrupt()?, done))
}

/// The bytes that a probe in the manner of netio counted for a process: the last content of its map, for one `type`.
///
/// # Errors
/// The map was not shown, or has a row of another process.
pub fn counted(records: &Records, map: &str, process: u32, kind: impl Into<Value>) -> Result<u64> {
    let (rows, kind) = (records.last_map(map)?, kind.into());
    let of_process = |row: &&Value| row.pointer("/key/pid") == Some(&Value::from(process));
    ensure!(rows.iter().all(|row| of_process(&row)), "rows of other processes: {rows:?}");
    let of_kind = rows.iter().filter(|row| row.pointer("/key/type") == Some(&kind));
    Ok(of_kind.filter_map(|row| row.get("value")?.as_u64()).sum())
}

/// Checks that `probes/netio.c` counts the server's bytes exactly: what the client sent and received on its sockets.
///
/// # Errors
/// It does not, or something was lost.
pub fn netio_is_exact(server: &Server, probe: &Path, arguments: &[&str]) -> Result<Records> {
    let load = Load { threads: 16, connections: 64, queries: 6 };
    let (records, done) = observe(server, probe, arguments, load)?;
    let sent = counted(&records, "netio", server.pid(), "sendMsg")?;
    let received = counted(&records, "netio", server.pid(), "recvMsg")?;
    let truth = (done.traffic.received, done.traffic.sent);
    ensure!((sent, received) == truth, "counted (sent, received) {:?}, truth {truth:?}", (sent, received));
    nothing_lost(&records)?;
    Ok(records)
}

/// Checks that no record says that something was lost.
///
/// # Errors
/// One does.
pub fn nothing_lost(records: &Records) -> Result<()> {
    for record in records.of_kind("lost") {
        ensure!(record.get("count") == Some(&Value::from(0)), "something was lost: {record}");
    }
    Ok(())
}
