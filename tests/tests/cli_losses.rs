//! Nothing is lost silently: what was delivered and what is reported as lost add up to what happened.

use anyhow::Result;
use dbcc_tests::dbcc::{self, Attached};
use dbcc_tests::process::Signal;
use dbcc_tests::senders::Senders;
use dbcc_tests::{need, process};

/// A stopped reader, and more events than the buffers hold.
#[test]
fn events_and_lost_events_add_up() -> Result<()> {
    const SENDS: u64 = 200_000;
    need!(need::root());
    need!(need::tracepoint("sock:sock_send_length"));
    let mut senders = Senders::start(0)?;
    let dbcc = Attached::start(["--pid", &senders.pid().to_string(), &dbcc::case("each_send.c")])?;
    process::signal_process(dbcc.pid(), Signal::STOP)?;
    senders.send(SENDS, 10)?;
    process::signal_process(dbcc.pid(), Signal::CONT)?;
    let records = dbcc.interrupt()?;
    let (events, lost) = (records.of_kind("event").count() as u64, records.lost("events"));
    assert!(lost > 0, "all {events} events were delivered: the test does not test what it should");
    assert_eq!(events + lost, SENDS);
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
