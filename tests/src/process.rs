//! Running programs under a deadline: lines of output as they come, signals, the end.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// How long a test waits for something that normally takes well under a second before it gives up. In a guest, whose
/// processor is emulated, it is longer, and `DBCC_PATIENCE` says so many seconds where that is not enough. No verdict
/// depends on it: it only ends tests that would hang.
pub fn patience() -> Duration {
    let told = std::env::var("DBCC_PATIENCE").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(told.unwrap_or(if crate::need::in_guest() { 240 } else { 60 }))
}

/// Calls `condition` until it gives a value.
///
/// # Errors
/// It did not within [`patience`], or it failed.
pub fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + patience();
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if Instant::now() > deadline {
            bail!("gave up waiting for {what} after {:?}", patience());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Which of a program's outputs a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line of output, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it came from.
    pub stream: Stream,
    /// What it says; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// What a program printed, and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its lines, in the order in which they were read.
    pub lines: Vec<Line>,
}

impl Finished {
    /// Its exit code; `None` when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it, if one did.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// What it printed on standard output.
    pub fn stdout(&self) -> String {
        self.text(Stream::Stdout)
    }

    /// What it printed on standard error.
    pub fn stderr(&self) -> String {
        self.text(Stream::Stderr)
    }

    fn text(&self, stream: Stream) -> String {
        let lines = self.lines.iter().filter(|line| line.stream == stream);
        lines.flat_map(|line| [line.text.as_str(), "\n"]).collect()
    }
}

/// A program that runs, or has just ended. Dropping it kills it and waits for it.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    incoming: Receiver<Line>,
    lines: Vec<Line>,
}

impl Running {
    /// Starts `command` with its output captured and nothing to read.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start(command: Command) -> Result<Self> {
        Self::start_with(command, Stdio::null())
    }

    /// Starts `command` with its output captured; it reads what it is [told](Self::tell).
    ///
    /// # Errors
    /// It could not be started.
    pub fn start_listening(command: Command) -> Result<Self> {
        Self::start_with(command, Stdio::piped())
    }

    /// Like [`start_listening`](Self::start_listening), and waits until it prints `ready`.
    ///
    /// # Errors
    /// It does not start, or ends before.
    pub fn start_ready(command: Command) -> Result<Self> {
        let mut running = Self::start_listening(command)?;
        running.wait_for("ready", |line| (line.text == "ready").then_some(()))?;
        Ok(running)
    }

    fn start_with(mut command: Command, input: Stdio) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let input = child.stdin.take();
        let (sender, incoming) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            forward(stdout, Stream::Stdout, sender.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            forward(stderr, Stream::Stderr, sender);
        }
        Ok(Self { name, child, input, incoming, lines: Vec::new() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    /// It was not started [listening](Self::start_listening), or does not read any more.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().with_context(|| format!("{} does not listen", self.name))?;
        input.write_all(format!("{line}\n").as_bytes()).with_context(|| format!("cannot tell {} {line:?}", self.name))
    }

    /// Ends its standard input.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It has been waited for, or has another owner now.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        signal_process(self.pid(), signal)
    }

    /// Waits for a line that `wanted` gives a value for. Lines read before count too.
    ///
    /// # Errors
    /// The output ended, or [`patience`] did; the message holds what was printed.
    pub fn wait_for<T>(&mut self, what: &str, mut wanted: impl FnMut(&Line) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + patience();
        if let Some(found) = self.lines.iter().find_map(&mut wanted) {
            return Ok(found);
        }
        loop {
            match self.incoming.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = wanted(&line);
                    self.lines.push(line);
                    if let Some(found) = found {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{}: gave up waiting for {what}\n{}", self.name, self.printed())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{}: its output ended before {what}\n{}", self.name, self.printed())
                }
            }
        }
    }

    /// What `wanted` gives for a line that has come so far.
    pub fn seen<T>(&mut self, wanted: impl FnMut(&Line) -> Option<T>) -> Option<T> {
        self.lines.extend(self.incoming.try_iter());
        self.lines.iter().find_map(wanted)
    }

    /// Whether it has not ended yet.
    ///
    /// # Errors
    /// The system does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It did not end within [`patience`]; it is killed then.
    pub fn finish(mut self) -> Result<Finished> {
        let deadline = Instant::now() + patience();
        // The output ends with the process, unless something that it started has kept it open, which is an error too.
        loop {
            match self.incoming.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("{} did not end\n{}", self.name, self.printed()),
            }
        }
        let status = wait_until("the end of a process", || Ok(self.child.try_wait()?))?;
        Ok(Finished { status, lines: std::mem::take(&mut self.lines) })
    }

    /// The last lines of its output.
    fn printed(&self) -> String {
        const SHOWN: usize = 60;
        let left_out = self.lines.len().saturating_sub(SHOWN);
        let lines = self.lines.iter().skip(left_out).map(|line| match line.stream {
            Stream::Stdout => format!("  | {}\n", line.text),
            Stream::Stderr => format!("  ! {}\n", line.text),
        });
        let before = if left_out > 0 { format!(", behind {left_out} more lines") } else { String::new() };
        format!("what it printed (| standard output, ! standard error{before}):\n{}", lines.collect::<String>())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where the process has been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process.
///
/// # Errors
/// There is no such process, or it may not be signalled.
pub fn signal_process(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).with_context(|| format!("{pid} is no process id"))?;
    kill_process(pid, signal).with_context(|| format!("cannot send {signal:?} to process {}", pid.as_raw_nonzero()))
}

/// Compiles a program in C, optimised.
///
/// # Errors
/// There is no gcc, or it refuses.
pub fn compile<A: AsRef<OsStr>>(source: &Path, program: &Path, flags: impl IntoIterator<Item = A>) -> Result<()> {
    let mut gcc = Command::new("gcc");
    gcc.arg("-O2").args(flags).arg("-o").arg(program).arg(source);
    let finished = run(gcc)?;
    ensure!(finished.code() == Some(0), "gcc refuses {}:\n{}", source.display(), finished.stderr());
    Ok(())
}

/// Runs a program to its end.
///
/// # Errors
/// It could not be started, or did not end within [`patience`].
pub fn run(command: Command) -> Result<Finished> {
    Running::start(command)?.finish()
}

/// Reads lines on a thread of its own, which ends with the stream.
fn forward(stream: impl Read + Send + 'static, which: Stream, sender: Sender<Line>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut bytes = Vec::new();
        while matches!(reader.read_until(b'\n', &mut bytes), Ok(1..)) {
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            bytes.clear();
            if sender.send(Line { stream: which, text }).is_err() {
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_streams_and_the_exit_code_come_back() {
        let finished = run(shell("echo out; echo err >&2; printf 'no end'; exit 3")).unwrap();
        assert_eq!(finished.code(), Some(3));
        assert_eq!(finished.stdout(), "out\nno end\n");
        assert_eq!(finished.stderr(), "err\n");
    }

    #[test]
    fn a_line_can_be_waited_for_and_answered_with_a_signal() {
        let mut running =
            Running::start(shell("trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done")).unwrap();
        running.wait_for("ready", |line| (line.text == "ready").then_some(())).unwrap();
        running.signal(Signal::TERM).unwrap();
        let finished = running.finish().unwrap();
        assert_eq!((finished.code(), finished.stdout().as_str()), (Some(5), "ready\nbye\n"));
    }

    #[test]
    fn an_end_before_the_awaited_line_is_an_error_that_shows_the_output() {
        let mut running = Running::start(shell("echo nothing of the kind")).unwrap();
        let error = running.wait_for("a miracle", |line| (line.text == "miracle").then_some(())).unwrap_err();
        assert!(error.to_string().contains("before a miracle"), "{error}");
        assert!(error.to_string().contains("| nothing of the kind"), "{error}");
    }

    #[test]
    fn dropping_ends_the_process() {
        let running = Running::start(shell("exec sleep 1000")).unwrap();
        let pid = running.pid();
        drop(running);
        assert!(signal_process(pid, Signal::TERM).is_err());
    }
}
