//! Nothing is lost silently: what was delivered and what is reported as lost add up to what happened.

use std::fs;

use anyhow::Result;
use dbcc_tests::dbcc::{self, Attached};
use dbcc_tests::need;
use dbcc_tests::senders::Senders;

/// A stopped reader, and more events than the buffers hold.
#[test]
fn events_and_lost_events_add_up() -> Result<()> {
    const SENDS: u64 = 200_000;
    need!(need::root());
    need!(need::tracepoint("sock:sock_send_length"));
    let mut senders = Senders::start(0)?;
    let dbcc = Attached::start(["--pid", &senders.pid().to_string(), &dbcc::case("each_send.c")])?;
    dbcc.pause()?;
    senders.send(SENDS, 10)?;
    dbcc.resume()?;
    let records = dbcc.interrupt()?;
    let (events, lost) = (records.of_kind("event").count() as u64, records.lost("events"));
    assert!(lost > 0, "all {events} events were delivered: the test does not test what it should");
    assert_eq!(events + lost, SENDS);
    Ok(())
}

/// Runs a probe and sends so much while dbcc is stopped. The sender lives on, so that it is not what ends dbcc.
fn attached_over(sends: u64, probe: &str, options: &[&str]) -> Result<(Attached, Senders)> {
    let mut senders = Senders::start(0)?;
    let pid = senders.pid().to_string();
    let dbcc = Attached::start([options, &["--pid", &pid, probe]].concat())?;
    dbcc.pause()?;
    senders.send(sends, 10)?;
    dbcc.resume()?;
    Ok((dbcc, senders))
}

/// So many records of at most 32 bytes are 320 KiB: more than the 64 pages that a perf buffer has by itself.
const SOME: u64 = 10_000;

/// How many events of [`SOME`] are lost; what is found and what is lost are all.
fn lost_of_some(probe: &str, options: &[&str]) -> Result<u64> {
    let (dbcc, _senders) = attached_over(SOME, probe, options)?;
    let records = dbcc.interrupt()?;
    let (events, lost) = (records.of_kind("event").count() as u64, records.lost("events"));
    assert_eq!(events + lost, SOME, "{options:?}");
    Ok(lost)
}

#[test]
fn a_ring_buffer_is_as_large_as_is_said() -> Result<()> {
    need!(need::root());
    need!(need::tracepoint("sock:sock_send_length"));
    let probe = dbcc::case("each_send.c");
    // A record has a head of 8 bytes, the time and 8 bytes of data.
    assert!(lost_of_some(&probe, &["--buffer", "4K"])? >= SOME - 4096 / 24);
    assert_eq!(lost_of_some(&probe, &["--buffer", "1M"])?, 0);

    let folder = tempfile::tempdir()?;
    let small = folder.path().join("small.c");
    fs::write(&small, format!("//@ buffer sends 4K\n{}", fs::read_to_string(&probe)?))?;
    let small = small.display().to_string();
    assert!(
        lost_of_some(&small, &["--buffer", "1M"])? > 0,
        "the directive is about this map, and the option about all"
    );
    Ok(())
}

#[test]
fn a_perf_buffer_is_as_large_as_is_said() -> Result<()> {
    need!(need::root());
    need!(need::tracepoint("sock:sock_send_length"));
    let probe = dbcc::case("each_send.c");
    // Each CPU on which the sender runs has room for 128 of them.
    assert!(lost_of_some(&probe, &["--without", "ringbuf", "--buffer", "1pages"])? > SOME / 2);
    assert_eq!(lost_of_some(&probe, &["--without", "ringbuf", "--buffer", "128pages"])?, 0);
    Ok(())
}

#[test]
fn losses_are_errors_where_that_is_wanted() -> Result<()> {
    need!(need::root());
    need!(need::tracepoint("sock:sock_send_length"));
    let probe = dbcc::case("each_send.c");
    assert_eq!(lost_of_some(&probe, &["--strict", "--buffer", "1M"])?, 0);
    let (dbcc, _senders) = attached_over(SOME, &probe, &["--strict", "--buffer", "4K"])?;
    let records = dbcc.interrupt_failing()?;
    let lost = records.lost("events");
    let message = format!("dbcc: lost {lost} events of `sends`, which --strict makes an error");
    assert!(lost > 0 && records.stderr.lines().any(|line| line == message), "{lost}: {}", records.stderr);
    assert_eq!(records.of_kind("event").count() as u64 + lost, SOME);
    Ok(())
}

#[test]
fn updates_of_a_full_map_are_counted() -> Result<()> {
    need!(need::root());
    need!(need::tracepoint("sock:sock_send_length"));
    let mut senders = Senders::start(0)?;
    let arguments = ["--interval", "1h", "--pid", &senders.pid().to_string(), &dbcc::case("small_map.c")];
    let dbcc = Attached::start(arguments)?;
    for size in 1..=5 {
        senders.send(10, size)?;
    }
    let records = dbcc.interrupt()?;
    let kept: u64 = records.last_map("sizes")?.iter().filter_map(|row| row.get("value")?.as_u64()).sum();
    assert_eq!(kept, 20);
    assert_eq!(records.lost("updates"), 30, "{}", records.text());
    Ok(())
}
