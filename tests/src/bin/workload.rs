//! workload FOLDER: does known things when it is told to, for tools that report them.
//!
//! It obeys lines on standard input, each the name of a deed, and answers `done DEED`. What a deed does is the same every time;
//! files are made in FOLDER. The first line that it prints is `ready`. It ends with its input.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, getpid, kill_process, test_kill_process};

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).context("usage: workload FOLDER")?);
    answer("ready")?;
    for line in io::stdin().lock().lines() {
        let deed = line?;
        match deed.as_str() {
            "files" => files(&folder)?,
            "spawn" => spawn()?,
            "kill" => kill()?,
            "tcp" => tcp()?,
            "sleep" => (0..20).for_each(|_| thread::sleep(Duration::from_millis(5))),
            "resolve" => resolve()?,
            "threads" => threads()?,
            "malloc" => malloc(),
            "sync" => (0..3).for_each(|_| rustix::fs::sync()),
            "spin" => spin(),
            _ => bail!("unknown deed {deed:?}"),
        }
        answer(&format!("done {deed}"))?;
    }
    Ok(())
}

fn answer(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Five files: written, read, looked at and removed; five that are not there.
fn files(folder: &Path) -> Result<()> {
    for number in 0..5 {
        let (path, missing) = (folder.join(format!("file-{number}")), folder.join(format!("missing-{number}")));
        let size = 1000 * (number + 1);
        File::create(&path)?.write_all(&vec![b'x'; size])?;
        ensure!(fs::metadata(&path)?.len() == size as u64, "the file is shorter than what was written");
        let mut buffer = vec![0; size];
        File::open(&path)?.read_exact(&mut buffer)?;
        ensure!(fs::metadata(&missing).is_err() && File::open(&missing).is_err(), "{} is there", missing.display());
        fs::remove_file(&path)?;
    }
    Ok(())
}

/// Five programs that end well, one that does not, one that is killed, one that is not there.
fn spawn() -> Result<()> {
    for number in 0..5 {
        let status = Command::new("/bin/true").args(["argument", &number.to_string()]).status()?;
        ensure!(status.success(), "true ended with {status}");
    }
    Command::new("/bin/sh").args(["-c", "exit 3"]).status()?;
    Command::new("/bin/sh").args(["-c", "kill -9 $$"]).status()?;
    ensure!(Command::new("/nonexistent/program").status().is_err(), "a program that is not there was started");
    Ok(())
}

/// Signals that change nothing: three that are ignored, four that only ask, two to a process that cannot exist.
fn kill() -> Result<()> {
    for _ in 0..3 {
        kill_process(getpid(), Signal::WINCH)?;
    }
    for _ in 0..4 {
        test_kill_process(getpid())?;
    }
    let nobody = Pid::from_raw(i32::MAX).context("not a process id")?;
    for _ in 0..2 {
        ensure!(kill_process(nobody, Signal::WINCH).is_err(), "a process with the largest id exists");
    }
    Ok(())
}

/// Three connections, one by IPv6: 10,000 bytes there, 3,000 back; the client closes first. And one that is refused.
fn tcp() -> Result<()> {
    for address in [
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
    ] {
        let listener = TcpListener::bind(address)?;
        let place = listener.local_addr()?;
        let mut client = TcpStream::connect(place)?;
        let (mut server, _) = listener.accept()?;
        drop(listener);
        exchange(&mut client, &mut server, 10_000)?;
        exchange(&mut server, &mut client, 3000)?;
        thread::sleep(Duration::from_millis(20));
        drop(client);
        ensure!(server.read(&mut [0])? == 0, "the connection did not end");
        drop(server);
        ensure!(TcpStream::connect(place).is_err(), "a closed port takes connections");
    }
    Ok(())
}

/// One write, and as many reads as it takes.
fn exchange(from: &mut TcpStream, to: &mut TcpStream, size: usize) -> Result<()> {
    ensure!(from.write(&vec![b'x'; size])? == size, "a send was cut short");
    Ok(to.read_exact(&mut vec![0; size])?)
}

fn resolve() -> Result<()> {
    for port in 1..=5 {
        ensure!(("localhost", port).to_socket_addrs()?.next().is_some(), "localhost has no address");
    }
    Ok(())
}

fn threads() -> Result<()> {
    for _ in 0..6 {
        let thread = thread::spawn(|| thread::sleep(Duration::from_millis(1)));
        ensure!(thread.join().is_ok(), "a thread panicked");
    }
    Ok(())
}

/// Sixteen pieces of memory, of which half stay.
fn malloc() {
    for number in 0..16 {
        let piece = black_box(vec![1_u8; 10_000 + number * 100]);
        if number % 2 == 0 {
            std::mem::forget(piece);
        }
    }
}

/// Some tenths of a second in one loop of one long instruction.
fn spin() {
    for _ in 0..5_000_000 {
        std::hint::spin_loop();
    }
}
