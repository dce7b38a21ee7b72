//! Programs of many kinds that take turns under `dbcc --watch`: what all versions counted together, compared with what was
//! done meanwhile.

use std::collections::BTreeMap;
use std::net::UdpSocket;

use anyhow::{Result, ensure};

use crate::kinds::{cgroup_root, deciding, make_folders, numbers, send_packets, system_call_of_getppid};
use crate::need;
use crate::watch::{all_behind_the_switch, swapped_while};

/// How often each probe is exchanged.
const SWAPS: u64 = 2;

fn expect(counted: &BTreeMap<u64, u64>, expected: impl IntoIterator<Item = (u64, u64)>) -> Result<()> {
    let expected: BTreeMap<u64, u64> = expected.into_iter().collect();
    ensure!(*counted == expected, "counted {counted:?}, and it was {expected:?}");
    Ok(())
}

/// XDP and traffic control; a packet socket says that it cannot.
///
/// # Errors
/// A count is not exact.
pub fn packets_are_seen() -> Result<()> {
    need!(need::root());
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    let port = format!("PORT={}", receiver.local_addr()?.port());
    let places = ["xdp:lo:generic=driver", "tc:lo:ingress=incoming", "tc:lo:egress=outgoing"];
    let places = places.iter().flat_map(|place| ["--attach", *place]);
    let arguments: Vec<&str> = ["-D", port.as_str()].into_iter().chain(places).collect();
    let (sent, records) = swapped_while("packets.c", &arguments, SWAPS, move || send_packets(&receiver, 1))?;
    all_behind_the_switch(&records)?;
    expect(&numbers(&records, "packets")?, [(1, sent), (2, sent), (3, sent)])
}

/// A socket filter runs beside that of the version before, and this is said.
///
/// # Errors
/// It is not said.
pub fn what_cannot_take_turns_is_said() -> Result<()> {
    need!(need::root());
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    let port = format!("PORT={}", receiver.local_addr()?.port());
    let arguments = ["-D", port.as_str(), "--attach", "socket:lo=raw"];
    let (sent, records) = swapped_while("packets.c", &arguments, 1, move || send_packets(&receiver, 1))?;
    let swaps: Vec<_> = records.of_kind("swapped").filter_map(|swap| swap["beside"].as_array()).flatten().collect();
    let said = |beside: &&&serde_json::Value| beside["function"] == "raw" && beside["why"].as_str().is_some();
    ensure!(swaps.len() == 1 && swaps.iter().all(|beside| said(&beside)), "{swaps:?}");
    let counted = numbers(&records, "packets")?.get(&4).copied().unwrap_or_default();
    ensure!(counted >= 2 * sent, "{counted} of {sent} packets, which pass twice, by both versions for a moment");
    Ok(())
}

/// Programs of a cgroup.
///
/// # Errors
/// A count is not exact.
pub fn packets_of_a_cgroup_are_seen() -> Result<()> {
    need!(need::root());
    let root = need!(cgroup_root());
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    let port = format!("PORT={}", receiver.local_addr()?.port());
    let places = [("ingress", "incoming"), ("egress", "outgoing")];
    let places = places.map(|(hook, function)| format!("cgroup_skb:{root}:{hook}={function}"));
    let places = places.iter().flat_map(|place| ["--attach", place.as_str()]);
    let arguments: Vec<&str> = ["-D", port.as_str()].into_iter().chain(places).collect();
    let (sent, records) = swapped_while("cgroup.c", &arguments, SWAPS, move || send_packets(&receiver, 1))?;
    all_behind_the_switch(&records)?;
    expect(&numbers(&records, "packets")?, [(1, sent), (2, sent)])
}

/// Each kind of tracepoint.
///
/// # Errors
/// A count is not exact.
pub fn calls_are_seen() -> Result<()> {
    need!(need::root());
    need!(need::tracepoint("raw_syscalls:sys_enter"));
    let (pid, number) = (format!("PID={}", std::process::id()), format!("NUMBER={}", system_call_of_getppid()));
    let places = ["raw_tracepoint:sys_enter=by_hand", "tp_btf:sys_enter=typed"];
    let places = places.iter().flat_map(|place| ["--attach", *place]);
    let arguments: Vec<&str> = ["-D", pid.as_str(), "-D", number.as_str()].into_iter().chain(places).collect();
    let (calls, records) = swapped_while("calls.c", &arguments, SWAPS, || {
        let _ = std::os::unix::process::parent_id();
        Ok(())
    })?;
    all_behind_the_switch(&records)?;
    expect(&numbers(&records, "calls")?, (1..=4).map(|key| (key, calls)))
}

/// A perf event: a page is touched for the first time, again and again.
///
/// # Errors
/// Less is counted than was done.
pub fn faults_are_seen() -> Result<()> {
    const PAGES: usize = 64;
    const PAGE: usize = 4096;
    need!(need::root());
    let pid = std::process::id().to_string();
    let arguments = ["--attach", "perf_event:software:page-faults:1=on_fault", "--pid", pid.as_str()];
    let (_, records) = swapped_while("faults.c", &arguments, SWAPS, || {
        // So large a piece is mapped anew each time.
        let mut pages = vec![0_u8; PAGES * PAGE];
        pages.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
        std::hint::black_box(&pages);
        Ok(())
    })?;
    all_behind_the_switch(&records)?;
    let faults = numbers(&records, "faults")?.values().sum::<u64>();
    ensure!(faults > 0, "no fault was counted\n{}", records.text());
    Ok(())
}

/// Hooks of security modules and functions whose return value is replaced: no decision is left out.
///
/// # Errors
/// One was.
pub fn decisions_are_made() -> Result<()> {
    deciding()?.iter().try_for_each(|file| decisions_of(file))
}

fn decisions_of(file: &str) -> Result<()> {
    let pid = format!("PID={}", std::process::id());
    let (folders, records) = swapped_while(file, &["-D", &pid], SWAPS, || {
        ensure!(make_folders(1)? == 1, "a folder was made that no version may let be made");
        Ok(())
    })?;
    all_behind_the_switch(&records)?;
    expect(&numbers(&records, "calls")?, [(1, folders)])
}
