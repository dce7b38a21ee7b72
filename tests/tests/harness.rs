//! The harness itself: what it takes for the truth must be true.

use anyhow::Result;
use dbcc_tests::client::Client;
use dbcc_tests::load::Load;
use dbcc_tests::need;
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

    let done = Load { threads: 8, connections: 5, queries: 9 }.run(server.port)?;
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
