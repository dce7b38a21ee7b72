//! `dbcc trace`: the kernel's trace pipe, where `bpf_printk` and `bpf_trace_printk` of programs write that nobody of dbcc listens to.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

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
mod losses;

use line::{Line, NO_NAME};
use losses::{Losses, Told};

/// How often it is looked whether the run is to end, while nothing is traced.
const TICK: Duration = Duration::from_millis(50);
/// The file of tracefs with the size of the buffers.
const SIZE: &str = "buffer_size_kb";
/// Bytes of a read that leave nothing behind: the kernel gives up to a page of lines at once.
const FEW: usize = 2048;
/// How long lines are left to gather where there were few: a program that prints at every system call prints at those of
/// dbcc too, and each line that is shown would cause others at once.
const REST: Duration = Duration::from_millis(10);
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
    for note in obstacles(tracefs).into_iter().chain(expand(tracefs)) {
        writeln!(err, "dbcc: {note}")?;
    }
    let mut lines = Lines { pipe, bytes: Vec::new() };
    let to = Told { out, err, json: args.json, chosen: filter.chooses() };
    let mut view = View { filter, to, losses: Losses::default(), shown: 0, nameless: 0 };
    view.follow(&mut lines, stop, reader)?;
    Ok(view.end()?)
}

/// What is shown of the pipe, and what is known of the rest.
struct View<'a> {
    filter: Filter<'a>,
    to: Told<'a>,
    losses: Losses,
    shown: u64,
    /// Lines of which `--comm` could not tell whose they are.
    nameless: u64,
}

impl View<'_> {
    /// Shows lines until something ends it.
    fn follow(&mut self, lines: &mut Lines, stop: &Receiver<String>, reader: BorrowedFd<'_>) -> io::Result<()> {
        let most = self.filter.args.count.unwrap_or(u64::MAX);
        while stop.try_recv().is_err() && wait(&lines.pipe, reader)? {
            let length = lines.read()?;
            // A message may have line ends: what follows one that is not a line of its own belongs to it, and goes where it goes.
            let mut shows = true;
            while let Some(bytes) = lines.next() {
                self.line(&readable(&bytes), &mut shows)?;
                if self.shown >= most {
                    return Ok(());
                }
            }
            self.losses.tell(Instant::now(), &mut self.to)?;
            self.to.out.flush()?;
            if length < FEW {
                std::thread::sleep(REST);
            }
        }
        Ok(())
    }

    /// Shows one line, if it is one of those that are asked for; `shows` says whether the last one was.
    fn line(&mut self, text: &str, shows: &mut bool) -> io::Result<()> {
        let args = self.filter.args;
        let Some(mut line) = Line::parse(text) else {
            let part = !text.is_empty() && *shows;
            return if part { show(text, None, args, self.to.out) } else { Ok(()) };
        };
        let found;
        match &mut line {
            Line::Lost { events } => {
                self.losses.add(*events);
                return Ok(());
            }
            Line::Traced { comm, tid, .. } if *comm == NO_NAME && !args.comm.is_empty() => {
                // It has one as long as it lives.
                match std::fs::read_to_string(format!("/proc/{tid}/comm")) {
                    Ok(name) => {
                        found = name;
                        *comm = found.trim_end_matches('\n');
                    }
                    Err(_) => self.no_name()?,
                }
            }
            Line::Traced { .. } => {}
        }
        self.losses.read();
        *shows = self.filter.takes(&line);
        if *shows {
            show(text, Some(&line), args, self.to.out)?;
            self.shown += 1;
        }
        Ok(())
    }

    fn no_name(&mut self) -> io::Result<()> {
        self.nameless += 1;
        if self.nameless > 1 {
            return Ok(());
        }
        writeln!(
            self.to.err,
            "dbcc: the kernel has no name for some threads (`{NO_NAME}`), which --comm leaves out: saved_cmdlines_size in \
             tracefs is the number of names that it keeps"
        )
    }

    /// Tells what was lost and left out in all.
    fn end(&mut self) -> io::Result<()> {
        self.losses.end(&mut self.to)?;
        if self.nameless > 0 {
            writeln!(self.to.err, "dbcc: {} lines were left out, as their threads have no name", self.nameless)?;
        }
        self.to.out.flush()
    }
}

/// What keeps lines from coming, as far as it can be told.
fn obstacles(tracefs: &Tracefs) -> Vec<String> {
    let mut notes = Vec::new();
    if tracefs.read("tracing_on").is_ok_and(|on| on.trim() == "0") {
        notes.push("tracing is switched off, so nothing will come: write 1 to tracing_on in tracefs".to_owned());
    }
    notes
}

/// Gives the buffers the size that the kernel has for them once they are used. Until then they have two pages for each CPU,
/// some eighty lines, and programs of BPF that print do not count as use (kernel/trace/trace.c: `tracing_update_buffers`).
fn expand(tracefs: &Tracefs) -> Option<String> {
    let size = tracefs.read(SIZE).ok()?;
    let (now, wanted) = line::unexpanded(&size)?;
    Some(match tracefs.write_append(SIZE, wanted) {
        Ok(()) => format!(
            "the kernel's trace buffers had {now} kB for each CPU, and now have {wanted}, as at any use of them"
        ),
        Err(error) => {
            format!("the kernel's trace buffers have {now} kB for each CPU only, so lines may be lost: {error}")
        }
    })
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
    /// Reads what is there; how many bytes that were.
    fn read(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 << 10];
        match self.pipe.read(&mut chunk) {
            Ok(length) => {
                self.bytes.extend_from_slice(chunk.get(..length).unwrap_or_default());
                Ok(length)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
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

    /// Whether only some lines are asked for.
    fn chooses(&self) -> bool {
        let TraceArgs { pid, comm, text, regex, .. } = self.args;
        !pid.is_empty() || !comm.is_empty() || text.is_some() || regex.is_some()
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn a_thread_without_a_name_is_asked_for_it_and_counted_when_it_is_gone() {
        let own = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
        let link = std::fs::read_link("/proc/thread-self").unwrap();
        let tid = link.file_name().unwrap().to_str().unwrap();
        let Some(Command::Trace(args)) = Cli::parse_from(["dbcc", "trace", "--comm", own.trim_end()]).command else {
            panic!("another command");
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let filter = Filter::new(&args).unwrap();
        let to = Told { out: &mut out, err: &mut err, json: false, chosen: filter.chooses() };
        let mut view = View { filter, to, losses: Losses::default(), shown: 0, nameless: 0 };
        for tid in [tid, "4194305", "4194305"] {
            view.line(&format!("  <...>-{tid}  [000] d..31 1.5: bpf_trace_printk: of {tid}"), &mut true).unwrap();
        }
        view.end().unwrap();
        let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
        assert!(
            out.contains(own.trim_end()) && out.ends_with(&format!("of {tid}\n")) && out.lines().count() == 1,
            "{out}"
        );
        assert_eq!(err.lines().count(), 2, "{err}");
        assert!(err.ends_with("dbcc: 2 lines were left out, as their threads have no name\n"), "{err}");
    }
}
