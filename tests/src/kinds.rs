//! What programs of many kinds count, compared with what was done: on this machine, and in guests.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::net::UdpSocket;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::dbcc::{Attached, Records};
use crate::need;
use crate::process::run;

/// A probe of these tests, as an argument.
pub fn case(name: &str) -> String {
    need::repository().join("tests/cases/kinds").join(name).display().to_string()
}

/// The last values of a map from numbers to numbers.
///
/// # Errors
/// The map was never shown, or holds something else.
pub fn numbers(records: &Records, map: &str) -> Result<BTreeMap<u64, u64>> {
    let entries = records.last_map(map)?;
    let number = |value: &serde_json::Value| value.as_u64().with_context(|| format!("no number: {value}"));
    entries.iter().map(|entry| Ok((number(&entry["key"])?, number(&entry["value"])?))).collect()
}

/// Packets of the loopback interface are counted by xdp, tc and a packet socket.
///
/// # Errors
/// They are not, or something stays attached.
pub fn packets_are_seen() -> Result<()> {
    const PACKETS: u64 = 137;
    need!(need::root());
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    let address = receiver.local_addr()?;
    let port = format!("PORT={}", address.port());
    let places = ["xdp:lo:generic=driver", "tc:lo:ingress=incoming", "tc:lo:egress=outgoing", "socket:lo=raw"]
        .map(|place| ["--attach", place]);
    let file = case("packets.c");
    let dbcc = Attached::start(["-D", &port, &file].into_iter().chain(places.into_iter().flatten()))?;
    send_packets(&receiver, PACKETS)?;
    let records = dbcc.interrupt()?;
    let expected = BTreeMap::from([(1, PACKETS), (2, PACKETS), (3, PACKETS), (4, 2 * PACKETS)]);
    let counted = numbers(&records, "packets")?;
    ensure!(counted == expected, "counted {counted:?}");
    let mut bpftool = Command::new("bpftool");
    bpftool.args(["net", "show", "dev", "lo"]);
    let left = run(bpftool)?.stdout();
    ensure!(!left.contains("dbcc") && !left.contains("incoming") && !left.contains("generic id"), "{left}");
    Ok(())
}

/// Calls of a system call are counted by every kind of tracepoint, by their arguments.
///
/// # Errors
/// They are not.
pub fn calls_are_seen() -> Result<()> {
    const CALLS: u64 = 211;
    need!(need::root());
    need!(need::tracepoint("raw_syscalls:sys_enter"));
    let (pid, number) = (format!("PID={}", std::process::id()), format!("NUMBER={}", system_call_of_getppid()));
    let file = case("calls.c");
    let dbcc = Attached::start([
        "-D",
        &pid,
        "-D",
        &number,
        "--attach",
        "raw_tracepoint:sys_enter=by_hand",
        "--attach",
        "tp_btf:sys_enter=typed",
        &file,
    ])?;
    for _ in 0..CALLS {
        let _ = std::os::unix::process::parent_id();
    }
    let records = dbcc.interrupt()?;
    let expected: BTreeMap<u64, u64> = (1..=4).map(|key| (key, CALLS)).collect();
    let counted = numbers(&records, "calls")?;
    ensure!(counted == expected, "counted {counted:?}");
    Ok(())
}

/// The number of getppid(2), which nothing else in the processes of these tests calls.
pub(crate) fn system_call_of_getppid() -> u32 {
    if cfg!(target_arch = "aarch64") { 173 } else { 110 }
}

/// Sends packets to a socket of this machine and receives them.
pub(crate) fn send_packets(receiver: &UdpSocket, count: u64) -> Result<()> {
    let sender = UdpSocket::bind("127.0.0.1:0")?;
    for _ in 0..count {
        sender.send_to(b"counted", receiver.local_addr()?)?;
        // It has passed all programs when it is received.
        receiver.recv(&mut [0; 16])?;
    }
    Ok(())
}

/// The root of the cgroups.
pub(crate) fn cgroup_root() -> Result<String, need::Skip> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mut root = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (_, place, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "cgroup2").then(|| place.to_owned())
    });
    root.next_back().ok_or_else(|| need::Skip::optional("no cgroup2 file system is mounted"))
}

/// Packets of the sockets of a cgroup are counted.
///
/// # Errors
/// They are not.
pub fn packets_of_a_cgroup_are_seen() -> Result<()> {
    const PACKETS: u64 = 41;
    need!(need::root());
    let root = need!(cgroup_root());
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    let port = format!("PORT={}", receiver.local_addr()?.port());
    let attach = [("ingress", "incoming"), ("egress", "outgoing")];
    let file = case("cgroup.c");
    let attach = attach.map(|(hook, function)| format!("cgroup_skb:{root}:{hook}={function}"));
    let attach = attach.iter().flat_map(|attach| ["--attach", attach.as_str()]);
    let dbcc = Attached::start(["-D", port.as_str(), file.as_str()].into_iter().chain(attach))?;
    send_packets(&receiver, PACKETS)?;
    let counted = numbers(&dbcc.interrupt()?, "packets")?;
    ensure!(counted == BTreeMap::from([(1, PACKETS), (2, PACKETS)]), "counted {counted:?}");
    Ok(())
}

/// Makes and removes folders, the first with a mode that nobody else uses.
pub(crate) fn make_folders(count: u64) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let mut refused = 0;
    for number in 0..count {
        let path = folder.path().join(number.to_string());
        match DirBuilder::new().mode(0o751).create(&path) {
            Ok(()) => fs::remove_dir(&path)?,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => refused += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(refused)
}

/// Runs one of the guest's probes while folders are made and removed: what it counted, and how many were refused.
fn folders(file: &str, arguments: &[&str], count: u64) -> Result<(BTreeMap<u64, u64>, u64, Records)> {
    let (pid, file) = (format!("PID={}", std::process::id()), case(file));
    let dbcc = Attached::start(["-D", &pid, &file].into_iter().chain(arguments.iter().copied()))?;
    let refused = make_folders(count)?;
    let records = dbcc.interrupt()?;
    let counted = numbers(&records, "calls")?;
    Ok((counted, refused, records))
}

/// Functions of the kernel that fit a pattern are counted, whichever of them cannot be probed.
///
/// # Errors
/// They are not.
pub fn functions_of_a_pattern_are_counted() -> Result<()> {
    const FOLDERS: u64 = 60;
    for kind in ["kprobe", "kretprobe"] {
        let attach = format!("{kind}:/^__(x64|arm64)_sys_(mkdir|rmdir)$/=on_call");
        let (counted, _, records) = folders("own_calls.c", &["--attach", &attach], FOLDERS)?;
        // The folder around them is made too.
        let counted = counted.get(&1).copied().unwrap_or_default();
        ensure!((2 * FOLDERS..2 * FOLDERS + 4).contains(&counted), "{kind}: {counted} calls\n{}", records.text());
    }
    // One function that cannot be probed does not keep the others from it.
    let (_, _, records) = folders("own_calls.c", &["-v", "--attach", "kprobe:vfs_*=on_call"], 1)?;
    let attached = records.of_kind("attached").next().map(ToString::to_string).unwrap_or_default();
    ensure!(attached.contains("vfs_*") && attached.contains("functions"), "{attached}");
    Ok(())
}

/// The arguments of a system call are those of its caller, however it is attached.
///
/// # Errors
/// They are not.
pub fn arguments_of_system_calls_are_bound() -> Result<()> {
    const FOLDERS: u64 = 35;
    for attach_as in ["kprobe", "fentry"] {
        let (counted, _, records) = folders("system_call.c", &["--attach-as", attach_as], FOLDERS)?;
        let expected = BTreeMap::from([(1, FOLDERS), (2, FOLDERS)]);
        ensure!(counted == expected, "{attach_as}: {counted:?}\n{}", records.text());
    }
    Ok(())
}

/// The probes that decide and that this kernel runs.
pub(crate) fn deciding() -> Result<&'static [&'static str]> {
    if !Path::new("/sys/kernel/security/lsm").exists() {
        let mut mount = Command::new("mount");
        mount.args(["-t", "securityfs", "securityfs", "/sys/kernel/security"]);
        run(mount)?;
    }
    let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    if modules.split(',').any(|module| module.trim() == "bpf") {
        return Ok(&["lsm.c", "fmod_ret.c"]);
    }
    println!("  lsm is not tried: the kernel asks {modules:?}");
    Ok(&["fmod_ret.c"])
}

/// A program of a security module's hook, and one that replaces a return value, decide.
///
/// # Errors
/// They do not.
pub fn decisions_are_made() -> Result<()> {
    const FOLDERS: u64 = 12;
    for file in deciding()? {
        let (counted, refused, records) = folders(file, &[], FOLDERS)?;
        ensure!(refused == FOLDERS, "{file}: {refused} refused\n{}", records.text());
        ensure!(counted == BTreeMap::from([(1, FOLDERS)]), "{file}: {counted:?}");
        ensure!(make_folders(1)? == 0, "{file} decides after its end");
    }
    Ok(())
}
