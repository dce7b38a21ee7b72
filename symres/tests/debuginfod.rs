//! Debug files from servers: a small one of our own, on loopback.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use symres::{Binary, DebugSource, Debuginfod, Doing, Options, Outcome, Progress};

use common::{compile, output, search};

/// What the server does with a request for a path.
type Answer = Box<dyn Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send>;

/// A server that answers one connection after the other, and keeps what it was asked for.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(answer: impl Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", listener.local_addr()?);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (list, answer): (_, Answer) = (Arc::clone(&asked), Box::new(answer));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { break };
                let mut reader = BufReader::new(&stream);
                let mut request = String::new();
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|len| len > 2) {
                    if request.is_empty() {
                        request.clone_from(&line);
                    }
                    line.clear();
                }
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                if path == "/end" {
                    break;
                }
                list.lock().unwrap().push(path.clone());
                // The client may have gone: that is its test's matter.
                let _ = answer(&path, &mut stream);
            }
        });
        Ok(Self { address, asked, thread: Some(thread) })
    }

    /// Serves the file under the build ID, and nothing else.
    fn of(id: &str, file: &Path) -> Result<Self> {
        let (path, bytes) = (format!("/buildid/{id}/debuginfo"), fs::read(file)?);
        Self::start(
            move |asked, stream| if asked == path { send(stream, &bytes) } else { status(stream, "404 Not Found") },
        )
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let connected = TcpStream::connect(self.address.trim_start_matches("http://"));
        if connected.and_then(|mut stream| stream.write_all(b"GET /end HTTP/1.1\r\n\r\n")).is_ok() {
            let _ = self.thread.take().unwrap().join();
        }
    }
}

fn send(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len())?;
    stream.write_all(bytes)
}

fn status(stream: &mut TcpStream, status: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn with(mut servers: Debuginfod, change: impl FnOnce(&mut Debuginfod)) -> Debuginfod {
    change(&mut servers);
    servers
}

/// A stripped program and its debug file.
struct Parts {
    folder: tempfile::TempDir,
    id: String,
    debug: PathBuf,
    stripped: PathBuf,
}

impl Parts {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let whole = compile(folder.path(), "whole", &["-DWITH_LIBC", "-g", "-Wl,--build-id", "-rdynamic"])?;
        let (debug, stripped) = (folder.path().join("debug"), folder.path().join("stripped"));
        output(Command::new("objcopy").arg("--only-keep-debug").args([&whole, &debug]))?;
        output(Command::new("objcopy").arg("--strip-all").args([&whole, &stripped]))?;
        let text = output(Command::new("readelf").arg("-n").arg(&whole))?;
        let id = text.lines().find_map(|line| line.trim().strip_prefix("Build ID: ")).context("no build ID")?;
        Ok(Self { id: id.to_owned(), folder, debug, stripped })
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn asks(&self, servers: &[&str]) -> Debuginfod {
        let servers = servers.iter().map(|server| (*server).to_owned()).collect();
        // Long enough for a loaded machine where an answer is expected.
        with(Debuginfod::new(servers, self.cache()), |s| s.timeout = Duration::from_secs(60))
    }

    fn open(&self, servers: &Debuginfod) -> Result<Binary> {
        let options = Options { debuginfod: Some(servers.clone()), ..Options::default() };
        Ok(Binary::open_with(&self.stripped, &options)?)
    }

    /// Nothing is found, nothing is kept, and this is said of the server.
    #[track_caller]
    fn check_refused(&self, servers: &Debuginfod, why: &str) {
        let binary = self.open(servers).unwrap();
        assert!(search(&binary, "::check_connection(THD*)").unwrap().matches.is_empty());
        let consulted = binary.consulted();
        let said = consulted.iter().find(|c| c.source == DebugSource::Debuginfod).unwrap();
        match &said.outcome {
            Outcome::Refused(said) => assert!(said.contains(why), "{said}"),
            other => panic!("{other:?}"),
        }
        let kept = self.cache().join(&self.id);
        let left = fs::read_dir(kept).into_iter().flatten().flatten().count();
        assert_eq!(left, 0, "a file was left");
    }
}

#[test]
fn a_debug_file_is_downloaded_once() -> Result<()> {
    let parts = Parts::new()?;
    let server = Server::of(&parts.id, &parts.debug)?;
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&steps);
    let progress = Progress::new(move |step| {
        assert_eq!(step.doing, Doing::Downloading);
        seen.lock().unwrap().push((step.done, step.total));
    });
    let servers = parts.asks(&[&format!("{}/", server.address)]);
    let options = Options { debuginfod: Some(servers), progress: Some(progress), ..Options::default() };
    let binary = Binary::open_with(&parts.stripped, &options)?;
    assert_eq!(search(&binary, "::check_connection(THD*)")?.matches.len(), 1, "{:?}", binary.consulted());
    let kept = parts.cache().join(&parts.id).join("debuginfo");
    assert_eq!(fs::read(&kept)?, fs::read(&parts.debug)?);
    assert_eq!(binary.debug_info().unwrap().main, kept);
    let size = fs::metadata(&kept)?.len();
    assert_eq!(steps.lock().unwrap().last(), Some(&(size, Some(size))));
    // The next one finds it kept.
    let again = parts.open(&parts.asks(&[&server.address]))?;
    assert_eq!(search(&again, "::check_connection(THD*)")?.matches.len(), 1);
    assert_eq!(server.asked(), [format!("/buildid/{}/debuginfo", parts.id)]);
    Ok(())
}

#[test]
fn what_is_known_here_is_not_asked_for() -> Result<()> {
    let parts = Parts::new()?;
    let server = Server::of(&parts.id, &parts.debug)?;
    let binary = parts.open(&parts.asks(&[&server.address]))?;
    assert_eq!(search(&binary, "plain_c")?.matches.len(), 1);
    assert_eq!(server.asked(), [] as [&str; 0]);
    // Nor is a server asked that nobody named.
    let binary = Binary::open(&parts.stripped)?;
    assert!(search(&binary, "::check_connection(THD*)")?.matches.is_empty());
    assert_eq!(server.asked(), [] as [&str; 0]);
    Ok(())
}

#[test]
fn a_file_that_no_server_has_is_asked_for_once() -> Result<()> {
    let parts = Parts::new()?;
    let server = Server::of("none", &parts.debug)?;
    let servers = parts.asks(&[&server.address]);
    for _ in 0..2 {
        let binary = parts.open(&servers)?;
        assert!(search(&binary, "::check_connection(THD*)")?.matches.is_empty());
        let consulted = binary.consulted();
        let said = consulted.iter().find(|c| c.source == DebugSource::Debuginfod).unwrap();
        assert_eq!(said.outcome, Outcome::Missing);
        assert_eq!(said.file, Path::new(&format!("{}/buildid/{}/debuginfo", server.address, parts.id)));
    }
    assert_eq!(server.asked().len(), 1);
    // Not remembered on the disk: another run asks again, when the server may have it.
    search(&parts.open(&parts.asks(&[&server.address]))?, "::check_connection(THD*)")?;
    assert_eq!(server.asked().len(), 2);
    Ok(())
}

#[test]
fn servers_are_asked_in_order() -> Result<()> {
    let parts = Parts::new()?;
    let first = Server::of("none", &parts.debug)?;
    let second = Server::of(&parts.id, &parts.debug)?;
    let third = Server::of(&parts.id, &parts.debug)?;
    // One that nobody listens at: the port was just given back.
    let closed = format!("http://{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?);
    let servers = parts.asks(&[&closed, &first.address, "ftp://127.0.0.1", &second.address, &third.address]);
    let binary = parts.open(&servers)?;
    assert_eq!(search(&binary, "::check_connection(THD*)")?.matches.len(), 1);
    assert_eq!((first.asked().len(), second.asked().len(), third.asked().len()), (1, 1, 0));
    let consulted = binary.consulted();
    let of = |address: &str| {
        let found = consulted.iter().find(|c| c.file.starts_with(address) && c.source == DebugSource::Debuginfod);
        found.map(|c| c.outcome.clone())
    };
    assert!(matches!(of(&closed), Some(Outcome::Refused(_))), "{consulted:?}");
    assert_eq!(of(&first.address), Some(Outcome::Missing));
    assert!(matches!(of("ftp://127.0.0.1"), Some(Outcome::Refused(_))), "{consulted:?}");
    Ok(())
}

#[test]
fn a_file_of_another_build_is_thrown_away() -> Result<()> {
    let parts = Parts::new()?;
    let other = Parts::new()?;
    let source = other.folder.path().join("other");
    output(Command::new("objcopy").arg("--only-keep-debug").arg("/bin/cat").arg(&source))?;
    let server = Server::of(&parts.id, &source)?;
    parts.check_refused(&parts.asks(&[&server.address]), "it does not match: build ID ");
    Ok(())
}

#[test]
fn a_transfer_that_ends_early_is_thrown_away() -> Result<()> {
    let parts = Parts::new()?;
    let bytes = fs::read(&parts.debug)?;
    let whole = bytes.len();
    let server = Server::start(move |_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {whole}\r\nConnection: close\r\n\r\n")?;
        stream.write_all(&bytes[..whole / 2])
    })?;
    parts.check_refused(&parts.asks(&[&server.address]), "too early");
    // One that does not say how much there is.
    let bytes = fs::read(&parts.debug)?;
    let server = Server::start(move |_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
        stream.write_all(&bytes[..whole / 2])
    })?;
    parts.check_refused(&parts.asks(&[&server.address]), "cut off");
    Ok(())
}

#[test]
fn a_server_that_does_not_answer_is_given_up() -> Result<()> {
    let parts = Parts::new()?;
    // It waits until the test is over.
    let (end, over) = mpsc::channel::<()>();
    let server = Server::start(move |_, _| {
        let _ = over.recv();
        Ok(())
    })?;
    let servers = with(parts.asks(&[&server.address]), |s| s.timeout = Duration::from_millis(300));
    parts.check_refused(&servers, "did not answer in time");
    parts.check_refused(&servers, "did not answer before");
    drop(end);
    assert_eq!(server.asked().len(), 1);
    Ok(())
}

#[test]
fn a_server_that_sends_too_slowly_is_given_up() -> Result<()> {
    let parts = Parts::new()?;
    // A byte, and another one, as long as the other side listens.
    let server = Server::start(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\nConnection: close\r\n\r\n")?;
        loop {
            stream.write_all(b"x")?;
            stream.flush()?;
            std::thread::sleep(Duration::from_millis(20));
        }
    })?;
    let servers = with(parts.asks(&[&server.address]), |s| s.timeout = Duration::from_millis(500));
    parts.check_refused(&servers, "too slow");
    let servers = with(parts.asks(&[&server.address]), |s| s.max_time = Duration::from_millis(500));
    parts.check_refused(&servers, "did not answer in time");
    Ok(())
}

#[test]
fn a_file_that_is_too_large_is_refused() -> Result<()> {
    let parts = Parts::new()?;
    let size = fs::metadata(&parts.debug)?.len();
    let server = Server::of(&parts.id, &parts.debug)?;
    let servers = with(parts.asks(&[&server.address]), |s| s.max_size = size - 1);
    parts.check_refused(&servers, &format!("{size} bytes are more than the limit of {}", size - 1));
    // One that does not say how much there is.
    let bytes = fs::read(&parts.debug)?;
    let server = Server::start(move |_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
        stream.write_all(&bytes)
    })?;
    let servers = with(parts.asks(&[&server.address]), |s| s.max_size = size - 1);
    parts.check_refused(&servers, "more than the limit");
    Ok(())
}

#[test]
fn redirects_are_followed_a_few_times() -> Result<()> {
    let parts = Parts::new()?;
    let last = Server::of(&parts.id, &parts.debug)?;
    let to = last.address.clone();
    let first = Server::start(move |path, stream| {
        write!(stream, "HTTP/1.1 302 Found\r\nLocation: {to}{path}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    })?;
    let binary = parts.open(&parts.asks(&[&first.address]))?;
    assert_eq!(search(&binary, "::check_connection(THD*)")?.matches.len(), 1, "{:?}", binary.consulted());
    let parts = Parts::new()?;
    let circle = Server::start(|path, stream| {
        write!(stream, "HTTP/1.1 302 Found\r\nLocation: {path}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    })?;
    parts.check_refused(&parts.asks(&[&circle.address]), "redirects");
    assert_eq!(circle.asked().len(), 6);
    Ok(())
}

#[test]
fn files_that_are_not_used_any_more_are_removed() -> Result<()> {
    let parts = Parts::new()?;
    let server = Server::of(&parts.id, &parts.debug)?;
    let day = Duration::from_secs(24 * 60 * 60);
    let [old, recent, shared] = ["01".repeat(20), "02".repeat(20), "03".repeat(20)].map(|id| parts.cache().join(id));
    for (folder, days) in [(&old, 8), (&recent, 6), (&shared, 8)] {
        fs::create_dir_all(folder)?;
        let file = fs::File::create(folder.join("debuginfo"))?;
        file.set_times(fs::FileTimes::new().set_accessed(std::time::SystemTime::now() - day * days))?;
    }
    fs::write(shared.join("executable"), "of another client")?;
    let binary = parts.open(&parts.asks(&[&server.address]))?;
    assert_eq!(search(&binary, "::check_connection(THD*)")?.matches.len(), 1);
    assert!(!old.exists() && recent.join("debuginfo").exists());
    assert!(!shared.join("debuginfo").exists() && shared.join("executable").exists());
    Ok(())
}

/// A client that remembers on the disk what is not there leaves an empty file.
#[test]
fn a_kept_file_that_is_damaged_is_replaced() -> Result<()> {
    let parts = Parts::new()?;
    let server = Server::of(&parts.id, &parts.debug)?;
    let kept = parts.cache().join(&parts.id).join("debuginfo");
    fs::create_dir_all(kept.parent().unwrap())?;
    fs::write(&kept, "")?;
    let binary = parts.open(&parts.asks(&[&server.address]))?;
    assert_eq!(search(&binary, "::check_connection(THD*)")?.matches.len(), 1, "{:?}", binary.consulted());
    assert_eq!(fs::read(&kept)?, fs::read(&parts.debug)?);
    Ok(())
}

#[test]
fn what_several_files_share_comes_from_the_server_too() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let programs: Vec<PathBuf> = [("one", "-O1"), ("two", "-O2")]
        .iter()
        .map(|(name, level)| compile(folder.path(), name, &["-DWITH_LIBC", "-g", "-Wl,--build-id", level]))
        .collect::<Result<_>>()?;
    let common = folder.path().join("common");
    output(Command::new("dwz").arg("-m").arg(&common).args(&programs))?;
    let text = output(Command::new("readelf").arg("-n").arg(&common))?;
    let id = text.lines().find_map(|line| line.trim().strip_prefix("Build ID: ")).context("no build ID")?;
    let server = Server::of(id, &common)?;
    fs::remove_file(&common)?;
    let cache = folder.path().join("cache");
    let options = Options {
        debuginfod: Some(Debuginfod::new(vec![server.address.clone()], cache.clone())),
        ..Options::default()
    };
    let found = Binary::open_with(&programs[0], &options)?.debug_info().unwrap();
    assert_eq!((found.main, found.supplementary), (programs[0].clone(), Some(cache.join(id).join("debuginfo"))));
    Ok(())
}
