//! Running a program to its end, with bounds on its time and on what it writes.

use std::io::{Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

/// The groups of the programs that run: whoever ends this process has to end them too.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Lets this process end with its parent, and what it started with it.
///
/// # Errors
/// When there is no thread to wait for the parent's end, or no signal that tells it.
pub fn end_with_parent() -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM])?;
    std::thread::Builder::new().name("parent".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
            // One that has ended just now is not reaped before it is taken off, so its number is nobody else's.
            for group in groups.iter() {
                kill_process_group(*group, Signal::KILL).ok();
            }
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    })?;
    set_parent_process_death_signal(Some(Signal::TERM))?;
    Ok(())
}

/// What a program may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time from start to end.
    pub time: Duration,
    /// Bytes on its standard output.
    pub stdout: u64,
    /// Bytes on its standard error; what is more is dropped.
    pub stderr: u64,
}

/// What a program did.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error, up to the limit.
    pub stderr: Vec<u8>,
}

/// Why a program was not run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChildError {
    /// It could not be started.
    #[error("cannot run `{program}`: {error}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// It ran too long and was killed.
    #[error("`{program}` was killed: it did not end within {} seconds", time.as_secs())]
    Time {
        /// The program.
        program: String,
        /// Its limit.
        time: Duration,
    },
    /// It wrote too much and was killed.
    #[error("`{program}` was killed: it wrote more than {limit} bytes")]
    Output {
        /// The program.
        program: String,
        /// Its limit.
        limit: u64,
    },
}

/// What the threads that serve the program's pipes report.
enum Report {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    TooMuch,
}

/// A program that was started and waits for its input. Dropping it kills it, with all of its group.
#[derive(Debug)]
#[must_use = "dropping it kills the program"]
pub struct Running {
    child: Option<Child>,
    program: String,
}

/// Starts a program in a process group of its own. It can begin with what needs no input meanwhile.
///
/// # Errors
/// When it cannot be started.
pub fn start(command: &mut Command) -> Result<Running, ChildError> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    match command.spawn() {
        Ok(child) => {
            GROUPS.lock().unwrap_or_else(PoisonError::into_inner).push(Pid::from_child(&child));
            Ok(Running { child: Some(child), program })
        }
        Err(error) => Err(ChildError::Start { program, error }),
    }
}

/// Runs a program, gives it `input` and collects its output. When a limit is exceeded, its whole group is killed.
///
/// # Errors
/// When it cannot be started or exceeds a limit.
pub fn run(command: &mut Command, input: Vec<u8>, limits: Limits) -> Result<Finished, ChildError> {
    start(command)?.finish(input, limits)
}

impl Running {
    /// Gives the program its input and collects its output. Its time counts from now.
    ///
    /// # Errors
    /// When it exceeds a limit.
    pub fn finish(mut self, input: Vec<u8>, limits: Limits) -> Result<Finished, ChildError> {
        let program = std::mem::take(&mut self.program);
        match self.child.take() {
            Some(child) => finish(child, program, input, limits),
            None => Err(ChildError::Start { program, error: std::io::ErrorKind::NotFound.into() }),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.as_mut().map(kill);
    }
}

fn finish(mut child: Child, program: String, input: Vec<u8>, limits: Limits) -> Result<Finished, ChildError> {
    let deadline = Instant::now() + limits.time;
    let (sender, reports) = channel();
    // The threads end when the program's ends of the pipes are closed, at the latest when its group is killed.
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading its input has its reasons; its status tells them.
        std::thread::spawn(move || stdin.write_all(&input).ok());
    }
    if let Some(stdout) = child.stdout.take() {
        read(stdout, limits.stdout, true, sender.clone(), Report::Stdout);
    }
    if let Some(stderr) = child.stderr.take() {
        read(stderr, limits.stderr, false, sender, Report::Stderr);
    }
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let failure = loop {
        match reports.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Report::Stdout(bytes)) => stdout = bytes,
            Ok(Report::Stderr(bytes)) => stderr = bytes,
            Ok(Report::TooMuch) => break Some(ChildError::Output { program: program.clone(), limit: limits.stdout }),
            Err(RecvTimeoutError::Timeout) => {
                break Some(ChildError::Time { program: program.clone(), time: limits.time });
            }
            // Both pipes are at their end: the program ended, or is about to.
            Err(RecvTimeoutError::Disconnected) => break None,
        }
    };
    if let Some(failure) = failure {
        kill(&mut child);
        return Err(failure);
    }
    match wait(&mut child, deadline) {
        Some(Ok(status)) => Ok(Finished { status, stdout, stderr }),
        Some(Err(error)) => Err(ChildError::Start { program, error }),
        None => {
            kill(&mut child);
            Err(ChildError::Time { program, time: limits.time })
        }
    }
}

/// Collects what comes out of a pipe, on a thread of its own. More than `limit` bytes are an error where the output is
/// `wanted` whole, else they are dropped.
fn read(
    mut pipe: impl Read + Send + 'static,
    limit: u64,
    wanted: bool,
    sender: Sender<Report>,
    report: fn(Vec<u8>) -> Report,
) {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.by_ref().take(limit).read_to_end(&mut bytes);
        let more = read.is_ok() && matches!(pipe.read(&mut [0]), Ok(1));
        if more && !wanted {
            std::io::copy(&mut pipe, &mut std::io::sink()).ok();
        }
        // The other side is gone only when the run has failed already.
        sender.send(if more && wanted { Report::TooMuch } else { report(bytes) }).ok();
    });
}

/// Waits for a program that closed its pipes; none at the deadline.
fn wait(child: &mut Child, deadline: Instant) -> Option<std::io::Result<ExitStatus>> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{PidfdFlags, pidfd_open};
    let pid = Pid::from_child(child);
    // The process is not reaped before `child.wait`, so its id is its own.
    if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).ok();
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        if poll(&mut fds, left.as_ref()) == Ok(0) {
            return None;
        }
    }
    Some(reap(child))
}

/// Takes a program off the list of those that run, and then its number from it.
fn reap(child: &mut Child) -> std::io::Result<ExitStatus> {
    let group = Pid::from_child(child);
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != group);
    child.wait()
}

/// Kills a program and all that it started in its group, and reaps it.
fn kill(child: &mut Child) {
    let group = Pid::from_child(child);
    // It may have ended just now; then there is nothing to kill, and it is reaped all the same.
    kill_process_group(group, Signal::KILL).ok();
    reap(child).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { time: Duration::from_secs(60), stdout: 1 << 20, stderr: 64 };

    fn shell(script: &str, limits: Limits) -> Result<Finished, ChildError> {
        run(Command::new("sh").arg("-c").arg(script), b"input\n".repeat(100_000), limits)
    }

    #[test]
    fn input_goes_in_and_output_comes_out() {
        let finished = shell("wc -c; echo failed >&2; exit 3", LIMITS).unwrap();
        assert_eq!(String::from_utf8(finished.stdout).unwrap().trim(), "600000");
        assert_eq!(finished.stderr, b"failed\n");
        assert_eq!(finished.status.code(), Some(3));
    }

    #[test]
    fn a_program_that_does_not_read_is_no_failure() {
        let finished = shell("exec 0<&-; echo done", LIMITS).unwrap();
        assert_eq!(finished.stdout, b"done\n");
    }

    #[test]
    fn too_much_error_output_is_cut_and_too_much_output_fails() {
        let finished = shell("yes | head -c 100000 >&2", LIMITS).unwrap();
        assert_eq!(finished.stderr.len(), 64);
        let error = shell("yes | head -c 2000000", LIMITS).unwrap_err().to_string();
        assert_eq!(error, "`sh` was killed: it wrote more than 1048576 bytes");
    }

    #[test]
    fn endless_output_and_endless_runs_are_killed() {
        let soon = Limits { time: Duration::from_millis(300), ..LIMITS };
        for script in ["yes", "yes >&2", "sleep 1000 & wait", "exec >&- 2>&-; exec sleep 1000"] {
            let error = shell(script, soon).unwrap_err();
            assert!(matches!(error, ChildError::Time { .. } | ChildError::Output { .. }), "{script}: {error}");
        }
    }

    #[test]
    fn a_program_that_gets_no_input_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let alive = dir.path().join("alive");
        // The program holds the write end of a FIFO open as long as it lives.
        rustix::fs::mkfifoat(rustix::fs::CWD, &alive, rustix::fs::Mode::RWXU).unwrap();
        let script = format!("exec 3>{}; cat >/dev/null", alive.display());
        let running = start(Command::new("sh").arg("-c").arg(script)).unwrap();
        let mut reader = std::fs::File::open(&alive).unwrap();
        drop(running);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(&mut Command::new("/nonexistent/clang"), Vec::new(), LIMITS).unwrap_err().to_string();
        assert!(error.starts_with("cannot run `/nonexistent/clang`: No such file"), "{error}");
    }
}
