//! Network bytes of real servers on this machine's own kernel.

use anyhow::Result;
use dbcc_tests::scenario::netio_is_exact;
use dbcc_tests::server::Flavor;
use dbcc_tests::{dbcc, need};

fn by_tracepoints(flavor: Flavor) -> Result<()> {
    need!(need::root());
    need!(need::tracepoint("sock:sock_send_length"));
    need!(need::tracepoint("sock:sock_recv_length"));
    let server = need!(flavor.installed()).start()?;
    let probe = dbcc::probe("netio.c");
    // Where the kernel has the better way too, the tracepoints must still be right.
    let records = netio_is_exact(&server, &probe, &["--without", "fentry", "--without", "kprobe"])?;
    let kinds: Vec<_> = records.attach_kinds().into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, ["tracepoint", "tracepoint"]);
    Ok(())
}

#[test]
fn netio_counts_the_bytes_of_mysql56_by_tracepoints() -> Result<()> {
    by_tracepoints(Flavor::Mysql56)
}

#[test]
fn netio_counts_the_bytes_of_mariadb_by_tracepoints() -> Result<()> {
    by_tracepoints(Flavor::MariaDb)
}
