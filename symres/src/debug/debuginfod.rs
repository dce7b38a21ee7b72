//! Debug files from debuginfod servers: `SERVER/buildid/ID/debuginfo`, the protocol of elfutils.
//!
//! Nothing but the build ID is sent. Redirects are followed, as elfutils' own client does, but only a few, and never from
//! https to http: what comes back is used only if it is an ELF file with that build ID, so where it came from matters
//! less than what it is.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::Agent;

use super::build_id::{MIN_ID, hex, same};
use super::options::{Doing, Progress, Step};
use super::place::Candidate;
use super::{DebugFiles, DebugSource, Finder, Log, Outcome, Reach, Wanted};
use crate::elf::Elf;
use crate::file::Contents;

/// More servers than this are not asked.
const MAX_SERVERS: usize = 16;
/// How often a server may send us elsewhere.
const MAX_REDIRECTS: u32 = 5;
/// A server that sends less than this in the time that it has to answer is too slow, whatever it sends.
const LEAST: u64 = 100 << 10;
/// Files that were kept and not read for so long are removed when another one comes.
const MAX_UNUSED: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// More files than this are not looked at for their age.
const MAX_KEPT: usize = 10_000;
/// How much is copied at once.
const PIECE: usize = 64 << 10;

/// The debuginfod servers to ask, and how.
///
/// What no server has, and which servers do not answer, is remembered as long as this or a clone of it lives, and not asked
/// again.
#[derive(Clone, Debug)]
pub struct Debuginfod {
    /// Addresses that begin with `http://` or `https://`, asked in this order.
    pub servers: Vec<String>,
    /// Where downloaded files are kept: as `ID/debuginfo`, which other clients of debuginfod share. Those that were not read
    /// for a week are removed when another one comes.
    pub cache_dir: PathBuf,
    /// How long a server may take to answer, and then to send each further 100 kB.
    pub timeout: Duration,
    /// How long a download may take in all.
    pub max_time: Duration,
    /// Larger files are not downloaded, in bytes.
    pub max_size: u64,
    state: Arc<Mutex<State>>,
}

/// What the servers have said.
#[derive(Debug, Default)]
struct State {
    /// Servers without an answer.
    down: BTreeSet<String>,
    /// Addresses of files that are not there.
    missing: BTreeSet<String>,
}

impl Debuginfod {
    /// Asks these servers, five seconds long each, and a download may take two minutes and have 2 GiB.
    pub fn new(servers: Vec<String>, cache_dir: PathBuf) -> Self {
        Self {
            servers,
            cache_dir,
            timeout: Duration::from_secs(5),
            max_time: Duration::from_secs(120),
            max_size: 2 << 30,
            state: Arc::default(),
        }
    }

    /// As the environment says, with the variables of elfutils: the servers in `DEBUGINFOD_URLS`, separated by spaces, and
    /// when there are any, `DEBUGINFOD_CACHE_PATH` (else `cache_dir`), `DEBUGINFOD_TIMEOUT` and `DEBUGINFOD_MAXTIME` in
    /// seconds, `DEBUGINFOD_MAXSIZE` in bytes. None: no server is to be asked.
    pub fn from_env(cache_dir: &Path) -> Option<Self> {
        Self::from_variables(cache_dir, |name| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned()))
    }

    fn from_variables(cache_dir: &Path, variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        // Between the addresses may stand how signatures are checked, which are for signed packages only.
        let servers: Vec<String> = set("DEBUGINFOD_URLS")?
            .split_whitespace()
            .filter(|word| !word.starts_with("ima:"))
            .map(str::to_owned)
            .collect();
        let number = |name: &str| set(name)?.trim().parse::<u64>().ok().filter(|number| *number > 0);
        let cache_dir = set("DEBUGINFOD_CACHE_PATH").map_or_else(|| cache_dir.to_owned(), PathBuf::from);
        let mut this = Self::new(servers, cache_dir);
        if this.servers.is_empty() {
            return None;
        }
        if let Some(seconds) = number("DEBUGINFOD_TIMEOUT") {
            this.timeout = Duration::from_secs(seconds);
        }
        if let Some(seconds) = number("DEBUGINFOD_MAXTIME") {
            this.max_time = Duration::from_secs(seconds);
        }
        if let Some(bytes) = number("DEBUGINFOD_MAXSIZE") {
            this.max_size = bytes;
        }
        Some(this)
    }

    /// The debug file of that build ID, from the cache or else from the first server that has it. Why it could not be had
    /// goes to the log.
    pub(super) fn fetch(&self, id: &[u8], progress: Option<&Progress>, log: &Log) -> Option<Candidate> {
        if id.len() < MIN_ID || id.len() > MAX_ID {
            return None;
        }
        let name = hex(id);
        let folder = self.cache_dir.join(&name);
        let place = folder.join("debuginfo");
        if is_right(&place, id).is_ok() {
            return Some(Candidate::new(None, place));
        }
        for server in self.servers.iter().take(MAX_SERVERS) {
            let address = format!("{}/buildid/{name}/debuginfo", server.trim_end_matches('/'));
            let shown = Path::new(&address);
            let outcome = if self.knows(|state| state.down.contains(server)) {
                Outcome::Refused("the server did not answer before".to_owned())
            } else if self.knows(|state| state.missing.contains(&address)) {
                Outcome::Missing
            } else {
                match self.download(server, &address, id, &folder, progress) {
                    Ok(()) => return Some(Candidate::new(None, place)),
                    Err(Failure::Missing) => {
                        self.learn(|state| state.missing.insert(address.clone()));
                        Outcome::Missing
                    }
                    Err(Failure::Down(why)) => {
                        self.learn(|state| state.down.insert(server.clone()));
                        Outcome::Refused(why)
                    }
                    Err(Failure::Useless(why)) => Outcome::Refused(why),
                }
            };
            log.add(DebugSource::Debuginfod, shown, outcome);
        }
        None
    }

    /// Removes what was kept and not read for a week, as elfutils' own client does.
    fn remove_unused(&self) {
        let entries = fs::read_dir(&self.cache_dir).into_iter().flatten().flatten().take(MAX_KEPT);
        for folder in entries.map(|entry| entry.path()) {
            let file = folder.join("debuginfo");
            let read = fs::symlink_metadata(&file).and_then(|metadata| metadata.accessed());
            if read.is_ok_and(|read| read.elapsed().is_ok_and(|age| age > MAX_UNUSED)) && fs::remove_file(&file).is_ok()
            {
                // Other clients keep more in it.
                let _ = fs::remove_dir(folder);
            }
        }
    }

    fn knows(&self, ask: impl Fn(&State) -> bool) -> bool {
        ask(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn learn(&self, tell: impl FnOnce(&mut State) -> bool) {
        tell(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Puts the file at `address` into `folder`, where it appears whole and checked or not at all.
    fn download(
        &self,
        server: &str,
        address: &str,
        id: &[u8],
        folder: &Path,
        progress: Option<&Progress>,
    ) -> Result<(), Failure> {
        let https = server.starts_with("https://");
        if !https && !server.starts_with("http://") {
            return Err(Failure::Down("the address of the server begins with neither http:// nor https://".to_owned()));
        }
        let agent: Agent = Agent::config_builder()
            .https_only(https)
            .max_redirects(MAX_REDIRECTS)
            .timeout_resolve(Some(self.timeout))
            .timeout_connect(Some(self.timeout))
            .timeout_recv_response(Some(self.timeout))
            .timeout_per_read(Some(self.timeout))
            .timeout_global(Some(self.max_time))
            .user_agent(concat!("dbcc/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let mut response = agent.get(address).call().map_err(Failure::from)?;
        let total = response.body().content_length();
        let too_large =
            |size: u64| Failure::Useless(format!("{size} bytes are more than the limit of {}", self.max_size));
        if let Some(total) = total.filter(|total| *total > self.max_size) {
            return Err(too_large(total));
        }
        self.remove_unused();
        let io =
            |error: std::io::Error| Failure::Useless(format!("it cannot be kept in {}: {error}", folder.display()));
        fs::create_dir_all(folder).map_err(io)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
        let mut body = response.body_mut().as_reader();
        let mut piece = vec![0; PIECE];
        let (mut done, mut since, mut counted) = (0_u64, Instant::now(), 0_u64);
        loop {
            let len = body.read(&mut piece).map_err(|error| Failure::from(ureq::Error::from(error)))?;
            if len == 0 {
                break;
            }
            done += len as u64;
            if done > self.max_size {
                return Err(too_large(done));
            }
            file.write_all(piece.get(..len).unwrap_or_default()).map_err(io)?;
            if done - counted >= LEAST {
                (since, counted) = (Instant::now(), done);
            } else if since.elapsed() > self.timeout {
                return Err(Failure::Down("the server is too slow".to_owned()));
            }
            if let Some(progress) = progress {
                progress.tell(&Step { doing: Doing::Downloading, subject: Path::new(address), done, total });
            }
        }
        file.flush().map_err(io)?;
        is_right(file.path(), id).map_err(Failure::Useless)?;
        file.persist(folder.join("debuginfo")).map_err(|error| io(error.error))?;
        Ok(())
    }
}

/// Build IDs have 8, 16 or 20 bytes; the option `--build-id=0x…` of linkers takes any.
const MAX_ID: usize = 64;

/// Whether the file is one of that build ID.
fn is_right(path: &Path, id: &[u8]) -> Result<(), String> {
    let contents = Contents::open(path, path).map_err(|error| error.to_string())?;
    let elf = Elf::parse_debug(contents).map_err(|_| "what came is no ELF file, or cut off".to_owned())?;
    same(Some(id), &elf)
}

/// Why a download gave nothing.
enum Failure {
    /// The server does not have it.
    Missing,
    /// The server need not be asked again.
    Down(String),
    /// What it sent is of no use.
    Useless(String),
}

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::StatusCode(404 | 410) => Failure::Missing,
            ureq::Error::StatusCode(code) => Failure::Useless(format!("the server answered with status {code}")),
            ureq::Error::Timeout(_) => Failure::Down("the server did not answer in time".to_owned()),
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => Failure::Down(error.to_string()),
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Failure::Useless("the server ended the transfer too early".to_owned())
            }
            ureq::Error::Io(error) => Failure::Down(error.to_string()),
            other => Failure::Useless(other.to_string()),
        }
    }
}

pub(super) struct Servers;

impl Finder for Servers {
    fn source(&self) -> DebugSource {
        DebugSource::Debuginfod
    }

    fn reach(&self) -> Reach {
        Reach::Network
    }

    fn candidates(&self, wanted: &Wanted, files: &DebugFiles) -> Vec<Candidate> {
        let (Some(servers), Some(id)) = (&files.options.debuginfod, &wanted.build_id) else { return Vec::new() };
        servers.fetch(id, files.options.progress.as_ref(), &files.log).into_iter().collect()
    }

    fn check(&self, wanted: &Wanted, found: &Elf) -> Result<(), String> {
        same(wanted.build_id.as_deref(), found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        let of = |list: &[(&str, &str)]| {
            let list: Vec<(String, String)> =
                list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Debuginfod::from_variables(Path::new("/cache"), |name| {
                list.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
            })
        };
        assert!(of(&[]).is_none());
        assert!(of(&[("DEBUGINFOD_URLS", " ")]).is_none());
        assert!(of(&[("DEBUGINFOD_URLS", "ima:enforcing")]).is_none());
        let two = of(&[("DEBUGINFOD_URLS", "https://a/ ima:ignore  http://b"), ("DEBUGINFOD_TIMEOUT", "2")]).unwrap();
        assert_eq!(two.servers, ["https://a/", "http://b"]);
        assert_eq!((two.timeout, two.cache_dir.as_path()), (Duration::from_secs(2), Path::new("/cache")));
        let other = of(&[
            ("DEBUGINFOD_URLS", "http://a"),
            ("DEBUGINFOD_CACHE_PATH", "/elsewhere"),
            ("DEBUGINFOD_MAXTIME", "0"),
            ("DEBUGINFOD_MAXSIZE", "1000"),
        ])
        .unwrap();
        assert_eq!((other.cache_dir.as_path(), other.max_size), (Path::new("/elsewhere"), 1000));
        assert_eq!(other.max_time, Debuginfod::new(Vec::new(), PathBuf::new()).max_time);
    }
}
