//! `dbcc trace`: the kernel's trace pipe, where `bpf_printk` and `bpf_trace_printk` of programs write that nobody of dbcc listens to.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::Receiver;
use regex_lite::Regex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use crate::cli::TraceArgs;
use crate::escape::{harmless, readable};
use crate::kernel::Kernel;
use crate::kernel::tracefs::Tracefs;
use crate::pipeline::Failure;

mod line;

use line::Line;

/// How often it is looked whether the run is to end, while nothing is traced.
const TICK: Duration = Duration::from_millis(50);
/// The longest line that is kept; the kernel's have at most some thousand bytes.
const MOST_LINE: usize = 64 << 10;

/// Shows lines of the trace pipe until something ends it.
///
/// # Errors
/// When there is no trace pipe that this process may read, or output cannot be written.
pub fn run(
    args: &TraceArgs,
    stop: &Receiver<String>,
    out: &mut dyn Write,
    err: &mut dyn Write,
    reader: BorrowedFd<'_>,
) -> Result<(), Failure> {
    let filter = Filter::new(args)?;
    let kernel = Kernel::new();
    let tracefs = kernel
        .tracefs()
        .map_err(|error| Failure::Unusable(anyhow::anyhow!("{error}; `dbcc doctor` says how to mend it")))?;
    let pipe = tracefs
        .open_pipe()
        .map_err(|error| Failure::Unusable(anyhow::anyhow!("{error}; `dbcc doctor` says what is in the way")))?;
    for note in obstacles(tracefs) {
        writeln!(err, "dbcc: {note}")?;
    }
    let mut shown = 0_u64;
    let mut lines = Lines { pipe, bytes: Vec::new() };
    while stop.try_recv().is_err() {
        if !wait(&lines.pipe, reader)? {
            return Ok(());
        }
        let any = lines.read()?;
        // A message may have line ends: what follows one that is not a line of its own belongs to it, and goes where it goes.
        let mut shows = true;
        while let Some(bytes) = lines.next() {
            let text = readable(&bytes);
            match Line::parse(&text) {
                Some(Line::Lost { cpu, events }) => {
                    writeln!(err, "dbcc: the kernel lost {events} lines of CPU {cpu}: nobody read them in time")?;
                    continue;
                }
                Some(line) => {
                    shows = filter.takes(&line);
                    if shows {
                        show(&text, Some(&line), args, out)?;
                        shown += 1;
                    }
                }
                None if text.is_empty() => {}
                None if shows => show(&text, None, args, out)?,
                None => {}
            }
            if args.count.is_some_and(|count| shown >= count) {
                out.flush()?;
                return Ok(());
            }
        }
        if any {
            out.flush()?;
        }
    }
    Ok(())
}

/// What keeps lines from coming, as far as it can be told.
fn obstacles(tracefs: &Tracefs) -> Vec<String> {
    let mut notes = Vec::new();
    if tracefs.read("tracing_on").is_ok_and(|on| on.trim() == "0") {
        notes.push("tracing is switched off, so nothing will come: write 1 to tracing_on in tracefs".to_owned());
    }
    notes
}

/// Waits until there is something to read, or for a tick; false when the reader of the output is gone.
fn wait(pipe: &File, reader: BorrowedFd<'_>) -> io::Result<bool> {
    let tick = Timespec::try_from(TICK).map_err(io::Error::other)?;
    // No event is asked for of the output: that its other end is closed is told all the same.
    let mut both = [PollFd::new(pipe, PollFlags::IN), PollFd::from_borrowed_fd(reader, PollFlags::empty())];
    match poll(&mut both, Some(&tick)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let [_, output] = &both;
    Ok(!output.revents().intersects(PollFlags::ERR | PollFlags::HUP))
}

/// The pipe, taken apart at line ends.
struct Lines {
    pipe: File,
    bytes: Vec<u8>,
}

impl Lines {
    /// Reads what is there; whether anything was.
    fn read(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 16 << 10];
        match self.pipe.read(&mut chunk) {
            Ok(length) => {
                self.bytes.extend_from_slice(chunk.get(..length).unwrap_or_default());
                Ok(length > 0)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The next whole line, without its end.
    fn next(&mut self) -> Option<Vec<u8>> {
        let end = match self.bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => end,
            None if self.bytes.len() > MOST_LINE => self.bytes.len() - 1,
            None => return None,
        };
        let rest = self.bytes.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.bytes, rest);
        line.truncate(end);
        Some(line)
    }
}

fn show(text: &str, line: Option<&Line<'_>>, args: &TraceArgs, out: &mut dyn Write) -> io::Result<()> {
    match line {
        Some(Line::Traced { comm, tid, cpu, seconds, event, message }) if args.json => {
            let line = json!({"kind": "trace", "seconds": seconds, "cpu": cpu, "tid": tid, "comm": comm,
                "event": event, "message": message});
            writeln!(out, "{line}")
        }
        None if args.json => writeln!(out, "{}", json!({"kind": "continued", "message": text})),
        Some(Line::Traced { comm, tid, cpu, seconds, event, message }) if !args.raw => {
            let event = match *event {
                "bpf_trace_printk" => String::new(),
                other => format!("{}: ", harmless(other)),
            };
            writeln!(out, "{seconds:>14}  {cpu:>3}  {:15}  {tid:>7}  {event}{}", harmless(comm), harmless(message))
        }
        _ => writeln!(out, "{}", harmless(text)),
    }
}

/// Which lines are shown.
struct Filter<'a> {
    args: &'a TraceArgs,
    regex: Option<Regex>,
}

impl<'a> Filter<'a> {
    fn new(args: &'a TraceArgs) -> Result<Self, Failure> {
        crate::config::check_pids(&args.pid)?;
        let regex = args.regex.as_deref().map(Regex::new).transpose();
        Ok(Self { args, regex: regex.context("--regex").map_err(Failure::Unusable)? })
    }

    fn takes(&self, line: &Line<'_>) -> bool {
        let Line::Traced { comm, tid, message, .. } = line else { return true };
        // The kernel tells the thread; it is one of the process's as long as it lives.
        let is_of = |pid: &u32| pid == tid || std::path::Path::new(&format!("/proc/{pid}/task/{tid}")).exists();
        let TraceArgs { pid, comm: comms, text, .. } = self.args;
        (pid.is_empty() || pid.iter().any(is_of))
            && (comms.is_empty() || comms.iter().any(|wanted| wanted == comm))
            && text.as_ref().is_none_or(|text| message.contains(text.as_str()))
            && self.regex.as_ref().is_none_or(|regex| regex.is_match(message))
    }
}
