//! The harness itself: what it takes for the truth must be true.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use dbcc_tests::client::Client;
use dbcc_tests::load::Load;
use dbcc_tests::need;
use dbcc_tests::senders::Senders;
use dbcc_tests::server::{Flavor, status};

/// What the client counts on its sockets is what the server says that it sent and received.
fn client_and_server_count_the_same(flavor: Flavor) -> Result<()> {
    let server = need!(flavor.installed()).start()?;
    let mut observer = Client::connect(server.port)?;

    // The figure that a statement answers with includes its own request and not its own answer.
    let before_sent = observer.traffic();
    let sent = status(&mut observer, "Bytes_sent")?;
    let received = status(&mut observer, "Bytes_received")?;
    let before_load = observer.traffic();

    let done = Load { threads: 8, connections: 40, queries: 9 }.run(server.port)?;
    assert_eq!((done.connections, done.queries), (40, 360));

    let sent = status(&mut observer, "Bytes_sent")? - sent;
    let received = status(&mut observer, "Bytes_received")? - received;
    let after_load = observer.traffic();
    assert_eq!(sent, done.traffic.received + before_load.received - before_sent.received);
    assert_eq!(received, done.traffic.sent + after_load.sent - before_load.sent);
    Ok(())
}

#[test]
fn client_and_mysql56_count_the_same() -> Result<()> {
    client_and_server_count_the_same(Flavor::Mysql56)
}

#[test]
fn client_and_mariadb_count_the_same() -> Result<()> {
    client_and_server_count_the_same(Flavor::MariaDb)
}

#[test]
fn client_and_mysql97_count_the_same() -> Result<()> {
    client_and_server_count_the_same(Flavor::Mysql97)
}

#[test]
fn mysql97_runs_as_its_own_binary() -> Result<()> {
    let installed = need!(Flavor::Mysql97.installed());
    let server = installed.start()?;
    let exe = fs::read_link(format!("/proc/{}/exe", server.pid()))?;
    assert_eq!(exe, server.binary().canonicalize()?);
    Ok(())
}

/// The path that the kernel gives for the process leads to nothing outside of its namespace, and to it through its root.
#[test]
fn a_hidden_server_has_its_binary_in_its_own_namespace_only() -> Result<()> {
    need!(need::root());
    let server = need!(Flavor::Mysql56.installed()).start_hidden()?;
    let process = PathBuf::from(format!("/proc/{}", server.pid()));
    let binary = fs::read_link(process.join("exe"))?;
    assert!(!binary.exists(), "{} is visible", binary.display());
    assert!(process.join("root").join(binary.strip_prefix("/")?).exists());
    Ok(())
}

#[test]
fn senders_send_while_their_threads_are_blocked() -> Result<()> {
    let mut senders = Senders::start(20)?;
    senders.send(3, 1000)?;
    senders.block()?;
    senders.send(100, 1000)?;
    // Every thread but the first and the receiver sleeps in the kernel's tcp_sendmsg, as far as it says.
    let tasks = fs::read_dir(format!("/proc/{}/task", senders.pid()))?;
    let sleeping = tasks.filter(|task| {
        let call = task.as_ref().ok().and_then(|task| fs::read_to_string(task.path().join("syscall")).ok());
        call.is_some_and(|call| call.starts_with("44 "))
    });
    assert_eq!(sleeping.count(), 20);
    Ok(())
}
