//! Waiting for things outside the probe: the end of a traced process, the reader of standard output going away.
//!
//! Processes are watched by pidfd, so that an id that is used again for another process is never taken for the first.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::pipe;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// What happened outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// The process with this id ended.
    Exited(u32),
    /// Nobody reads standard output any more.
    ReaderGone,
}

/// A thread that waits; it ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    happenings: Receiver<Happening>,
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts to watch the processes `pids`, and whether `output` still has a reader where it is a pipe or a socket.
    ///
    /// # Errors
    /// When a process cannot be watched: it ended already, or the kernel is older than 5.3.
    pub fn start(pids: &[u32], output: Option<BorrowedFd<'_>>) -> std::io::Result<Self> {
        let mut processes = Vec::new();
        for pid in pids {
            let id = i32::try_from(*pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
            processes.push((*pid, pidfd_open(id, PidfdFlags::empty())?));
        }
        let output = output.map(|fd| fd.try_clone_to_owned()).transpose()?;
        let (stopped, stop) = pipe()?;
        let (send, happenings) = unbounded();
        let thread =
            std::thread::Builder::new().name("watch".into()).spawn(move || wait(processes, output, &stopped, &send))?;
        Ok(Self { happenings, stop: Some(stop), thread: Some(thread) })
    }

    /// What happens, as it happens.
    pub fn happenings(&self) -> &Receiver<Happening> {
        &self.happenings
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Closing the writing end wakes the thread.
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn wait(mut processes: Vec<(u32, OwnedFd)>, mut output: Option<OwnedFd>, stopped: &OwnedFd, send: &Sender<Happening>) {
    loop {
        // A pidfd is readable once the process has ended; a pipe without readers reports an error unasked.
        let mut fds = vec![PollFd::new(stopped, PollFlags::empty())];
        fds.extend(processes.iter().map(|(_, fd)| PollFd::new(fd, PollFlags::IN)));
        fds.extend(output.iter().map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::empty())));
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        let happened: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut happened = happened.into_iter();
        if happened.next().unwrap_or(true) {
            return;
        }
        processes.retain(|(pid, _)| {
            let ended = happened.next().unwrap_or(false);
            if ended {
                let _ = send.send(Happening::Exited(*pid));
            }
            !ended
        });
        if output.is_some() && happened.next().unwrap_or(false) {
            let _ = send.send(Happening::ReaderGone);
            output = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn the_end_of_a_process_is_noticed() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let watch = Watch::start(&[child.id()], None).unwrap();
        assert!(watch.happenings().try_recv().is_err());
        drop(child.stdin.take());
        assert_eq!(watch.happenings().recv_timeout(SOON), Ok(Happening::Exited(child.id())));
        child.wait().unwrap();
        assert!(Watch::start(&[child.id()], None).is_err());
    }

    #[test]
    fn a_pipe_without_reader_is_noticed() {
        let (reader, writer) = pipe().unwrap();
        let watch = Watch::start(&[], Some(writer.as_fd())).unwrap();
        assert!(watch.happenings().try_recv().is_err());
        drop(reader);
        assert_eq!(watch.happenings().recv_timeout(SOON), Ok(Happening::ReaderGone));
    }
}
