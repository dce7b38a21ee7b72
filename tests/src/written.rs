//! What probes of the kernel's functions report that `dbcc new` wrote, compared with what this process did.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::dbcc::{self, Attached, Records};

/// So many bytes are sent, and received, and written: each number once.
const SIZES: [usize; 4] = [1, 37, 1000, 4001];
/// So much is asked of a file when it is read, and so many bytes it has.
const ASKED: usize = 12_345;
const HAS: usize = 777;

/// A thread as its events name it.
struct Own {
    pid: Value,
    tid: Value,
    comm: Value,
}

impl Own {
    fn thread() -> Result<Self> {
        let thread = fs::read_link("/proc/thread-self")?;
        let tid: u32 = thread.file_name().and_then(|name| name.to_str()).context("no thread")?.parse()?;
        let comm = fs::read_to_string("/proc/thread-self/comm")?;
        Ok(Self { pid: json!(std::process::id()), tid: json!(tid), comm: json!(comm.trim_end()) })
    }

    fn did(&self, fields: &Value) -> bool {
        (&fields["pid"], &fields["tid"], &fields["comm"]) == (&self.pid, &self.tid, &self.comm)
    }
}

/// Sends, receives and writes each size, and then reads the file: the last event is that of the read.
fn work(folder: &Path) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    let mut file = File::create(folder.join("written"))?;
    let mut buffer = vec![0_u8; ASKED];
    for size in SIZES {
        sender.write_all(buffer.get(..size).context("too long")?)?;
        let received = receiver.read(&mut buffer)?;
        ensure!(received == size, "{received} bytes of {size} were received at once");
        ensure!(file.write(buffer.get(..size).context("too long")?)? == size, "{size} bytes were not written at once");
    }
    let path = folder.join("read");
    fs::write(&path, vec![b'x'; HAS])?;
    let count = File::open(path)?.read(&mut buffer)?;
    ensure!(count == HAS, "{count} bytes were read");
    Ok(())
}

/// Has a probe of these places written, runs it while this thread works, and gives what it said.
fn seen(places: &[&str], options: &[&str]) -> Result<Records> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("probe.c").display().to_string();
    let finished = dbcc::run(["new", "probe", "-o", &file].iter().chain(places))?;
    ensure!(finished.code() == Some(0), "{}", finished.stderr());
    let pid = std::process::id().to_string();
    let mut dbcc = Attached::start(["--pid", &pid, &file].iter().chain(options))?;
    work(folder.path())?;
    let is_last = |record: &Value| record.pointer("/fields/count").is_some_and(|count| *count == json!(ASKED));
    dbcc.wait_for("the read of a file", |record| is_last(record).then_some(()))?;
    dbcc.interrupt()
}

/// A field of each of this thread's events in an output.
fn values(records: &Records, own: &Own, output: &str, field: &str) -> Vec<u64> {
    let events = records.of_kind("event").filter(|record| record["map"] == json!(output));
    let fields = events.map(|event| &event["fields"]).filter(|fields| own.did(fields));
    fields.filter_map(|fields| fields[field].as_u64()).collect()
}

fn expect(records: &Records, own: &Own, output: &str, field: &str, expected: &[usize]) -> Result<()> {
    let mut values = values(records, own, output, field);
    // This thread reads and writes other files too.
    if output.starts_with("vfs_") {
        values.retain(|value| expected.iter().any(|expected| *value == *expected as u64));
    }
    let expected: Vec<u64> = expected.iter().map(|size| *size as u64).collect();
    ensure!(values == expected, "{output}.{field}: {values:?}, not {expected:?}\n{}", records.text());
    Ok(())
}

fn expect_kinds(records: &Records, expected: &[&str]) -> Result<()> {
    let mut kinds: Vec<String> = records.attach_kinds().into_iter().map(|(_, kind)| kind).collect();
    kinds.sort();
    ensure!(kinds == expected, "attached as {kinds:?}, expected {expected:?}");
    Ok(())
}

/// Entries, returns, and both as one event, by kprobes and by fentry and fexit: process, thread, command, a number among the
/// arguments and what is returned are those of this thread.
///
/// # Errors
/// They are not.
pub fn kernel_functions_tell_the_truth() -> Result<()> {
    let own = Own::thread()?;
    let places = ["--kprobe=tcp_sendmsg", "--kretprobe=tcp_recvmsg", "--fexit=vfs_write", "--fexit=vfs_read"];
    let records = seen(&places, &["--attach-as", "kprobe"])?;
    expect_kinds(&records, &["fexit", "fexit", "kprobe", "kretprobe"])?;
    expect(&records, &own, "tcp_sendmsg_events", "size", &SIZES)?;
    expect(&records, &own, "tcp_recvmsg_events", "ret", &SIZES)?;
    expect(&records, &own, "vfs_write_events", "count", &SIZES)?;
    expect(&records, &own, "vfs_write_events", "ret", &SIZES)?;
    expect(&records, &own, "vfs_read_events", "ret", &[HAS])?;

    let places = ["--kprobe=tcp_sendmsg", "--kretprobe=tcp_sendmsg", "--fentry=vfs_read", "--fexit=vfs_read"];
    let records = seen(&places, &[])?;
    expect_kinds(&records, &["fentry", "fentry", "fexit", "fexit"])?;
    for field in ["size", "ret"] {
        expect(&records, &own, "tcp_sendmsg_events", field, &SIZES)?;
    }
    expect(&records, &own, "vfs_read_events", "count", &[ASKED])?;
    expect(&records, &own, "vfs_read_events", "ret", &[HAS])?;
    for output in ["tcp_sendmsg_events", "vfs_read_events"] {
        let times = values(&records, &own, output, "elapsed_ns");
        ensure!(!times.is_empty() && times.iter().all(|time| *time > 0), "{output}: {times:?}");
    }
    Ok(())
}
