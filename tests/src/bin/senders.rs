//! senders THREADS: a process that sends known numbers of bytes over TCP when it is told to, with many threads that can
//! be stuck in `send` meanwhile. For probes that count bytes, and for probes on the returns of `tcp_sendmsg`.
//!
//! It has its THREADS from the start, idle. It obeys lines on standard input and answers each with a line: `more COUNT`
//! makes more of them, and answers `more`;
//! `block` lets every thread send into a connection that nobody reads, and answers `blocked` when all of them sleep in
//! the system call; `send COUNT SIZE` makes COUNT sends of SIZE bytes, and answers `sent BYTES`, with the total of all
//! commands, when as much has been received by another thread of the process. The first line that it prints is `ready`.
//! It ends with its input.

use std::fs;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// More than the buffers of both ends together can grow to (`tcp_wmem`, `tcp_rmem`: some 10 MB).
const ENDLESS: usize = 64 << 20;

struct Sleeper {
    thread: i32,
    start: Sender<()>,
    // The end that never reads: closing it would wake the sender.
    _peer: TcpStream,
}

fn main() -> Result<()> {
    let count: usize = std::env::args().nth(1).context("usage: senders THREADS")?.parse()?;
    let mut sleepers = (0..count).map(|_| sleeper()).collect::<Result<Vec<_>>>()?;
    let (mut sender, receiver) = connection()?;
    let (say_received, received) = mpsc::channel();
    thread::spawn(move || drain(receiver, &say_received));
    let (mut sent_bytes, mut received_bytes) = (0, 0);
    answer("ready")?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        match *words.as_slice() {
            ["more", count] => {
                for _ in 0..count.parse::<u32>()? {
                    sleepers.push(sleeper()?);
                }
                answer("more")?;
            }
            ["block"] => {
                for sleeper in &sleepers {
                    sleeper.start.send(()).context("a thread has ended")?;
                }
                for sleeper in &sleepers {
                    wait_until_in_send(sleeper.thread)?;
                }
                answer("blocked")?;
            }
            ["send", count, size] => {
                let message = vec![b'x'; size.parse()?];
                for _ in 0..count.parse::<u32>()? {
                    // `write`, not `write_all`: one system call each, whose return value must be the size.
                    ensure!(sender.write(&message)? == message.len(), "a send was cut short");
                    sent_bytes += message.len();
                }
                while received_bytes < sent_bytes {
                    received_bytes += received.recv().context("the receiver has ended")?;
                }
                answer(&format!("sent {sent_bytes}"))?;
            }
            _ => bail!("unknown command {line:?}"),
        }
    }
    // Their peers stay open until the process ends: a thread that wakes up would complain.
    std::mem::forget(sleepers);
    Ok(())
}

fn answer(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

fn connection() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let sender = TcpStream::connect(listener.local_addr()?)?;
    Ok((sender, listener.accept()?.0))
}

/// A thread that, when it is told to, sends until nothing goes any more.
fn sleeper() -> Result<Sleeper> {
    let (mut sender, peer) = connection()?;
    rustix::net::sockopt::set_socket_send_buffer_size(&sender, 4096)?;
    rustix::net::sockopt::set_socket_recv_buffer_size(&peer, 4096)?;
    let (start, started) = mpsc::channel();
    let (say_id, id) = mpsc::channel();
    thread::spawn(move || {
        let known = say_id.send(rustix::thread::gettid().as_raw_nonzero().get());
        if known.is_ok() && started.recv().is_ok() {
            // Zeros are never written to: they cost no memory, however many threads have them.
            let outcome = sender.write(&vec![0; ENDLESS]);
            // Standard error is read by the test, which then fails: this thread was to stay blocked.
            eprintln!("senders: a blocked send returned: {outcome:?}");
        }
    });
    Ok(Sleeper { thread: id.recv()?, start, _peer: peer })
}

/// Waits until a thread of this process sleeps in `sendto`.
fn wait_until_in_send(thread: i32) -> Result<()> {
    /// Number of the system call on x86_64, with which `/proc/…/syscall` begins while a thread sleeps in it.
    const SENDTO: &str = "44 ";
    let deadline = Instant::now() + Duration::from_secs(120);
    while !fs::read_to_string(format!("/proc/self/task/{thread}/syscall"))?.starts_with(SENDTO) {
        ensure!(Instant::now() < deadline, "thread {thread} does not block in send");
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Receives until the end, and says after each system call how much it was.
fn drain(mut receiver: TcpStream, received: &Sender<usize>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = receiver.read(&mut buffer) {
        if received.send(length).is_err() {
            break;
        }
    }
}
