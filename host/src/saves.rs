//! Saves of a probe file and of the files that it includes, as they happen.
//!
//! Editors save in many ways: they write the file in place, rename another one over it, remove and create it, or change
//! where a link leads. So the folders are watched, with all folders that a link on the way leads through, and what counts
//! is the text: one that is the same as before is no save. inotify is used as rustix has it, which dbcc has already; a
//! crate for all systems would add a thread and its own idea of what a save is.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;

use crate::include;
use crate::lex::Lexed;
use crate::source::Source;

/// Links that are followed on the way to a file; as many as the kernel follows.
const MAX_LINKS: usize = 40;

/// What is asked of a folder. Writing to a file counts when it is closed.
const WATCHED: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// A new text of a probe.
#[derive(Debug)]
pub struct Save {
    /// The text.
    pub source: Source,
    /// When it was saved.
    pub at: Instant,
}

/// Watches a probe file and what it includes.
#[derive(Debug)]
pub struct Saves {
    inotify: OwnedFd,
    /// Readable when nobody waits for saves any more.
    stopped: OwnedFd,
    path: PathBuf,
    /// The text that was seen last.
    seen: Source,
    /// The names that matter in each folder, by the kernel's number for it.
    watched: HashMap<i32, (PathBuf, Vec<OsString>)>,
    /// When this last began to wait.
    since: SystemTime,
}

impl Saves {
    /// Begins to watch the file `path`, whose text was `seen`. `stopped` is the reading end of a pipe whose closing ends
    /// the wait.
    ///
    /// # Errors
    /// The system's, when it has no more watches.
    pub fn new(path: &Path, seen: Source, stopped: OwnedFd) -> io::Result<Self> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let (path, watched, since) = (path.to_owned(), HashMap::new(), SystemTime::now());
        let mut saves = Self { inotify, stopped, path, seen, watched, since };
        saves.watch_all()?;
        Ok(saves)
    }

    /// Waits for a save. None when nobody waits any more.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&mut self) -> io::Result<Option<Save>> {
        loop {
            // Before the first wait, a save that came before the folders were watched is found here.
            if let Some(save) = self.changed() {
                return Ok(Some(save));
            }
            self.since = SystemTime::now();
            loop {
                let mut fds = [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(&self.stopped, PollFlags::IN)];
                match poll(&mut fds, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
                let [_, stopped] = &fds;
                if !stopped.revents().is_empty() {
                    return Ok(None);
                }
                if self.read()? {
                    break;
                }
            }
            self.watch_all()?;
        }
    }

    /// A save that came since the last one, without waiting.
    ///
    /// # Errors
    /// The system's.
    pub fn newer(&mut self) -> io::Result<Option<Save>> {
        let mut fds = [PollFd::new(&self.inotify, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if matches!(poll(&mut fds, Some(&now)), Ok(1..)) && self.read()? {
            self.watch_all()?;
            return Ok(self.changed());
        }
        Ok(None)
    }

    /// The text, if it is another one than was seen last. A file that is gone or empty is being saved.
    fn changed(&mut self) -> Option<Save> {
        let source = include::read(&self.path).ok()?;
        if source == self.seen || source.text.trim().is_empty() {
            return None;
        }
        self.seen = source.clone();
        // The files that matter may be others now; a folder that cannot be watched is tried again at the next save.
        let _ = self.watch_all();
        Some(Save { source, at: self.saved_at() })
    }

    /// When the last of the files changed, if that was after the last wait began; else now.
    fn saved_at(&self) -> Instant {
        let time = |path: &PathBuf| {
            let found = fs::metadata(path).ok()?;
            let (seconds, part) = (u64::try_from(found.ctime()).ok()?, u64::try_from(found.ctime_nsec()).ok()?);
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds) + Duration::from_nanos(part))
        };
        let newest = self.files().iter().filter_map(time).max();
        let age = newest.filter(|newest| *newest >= self.since).and_then(|newest| newest.elapsed().ok());
        let now = Instant::now();
        now.checked_sub(age.unwrap_or_default()).unwrap_or(now)
    }

    /// The probe, the files that it includes, and those that it would include if they were there.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.path.clone()];
        files.extend(self.seen.parts.iter().map(|part| PathBuf::from(&part.file)));
        let quoted = Lexed::new(&self.seen.text).includes().into_iter().filter(|include| include.quoted);
        files.extend(quoted.filter_map(|include| Some(self.seen.dir.as_ref()?.join(include.name))));
        files.sort();
        files.dedup();
        files
    }

    fn watch_all(&mut self) -> io::Result<()> {
        let mut wanted: HashMap<i32, (PathBuf, Vec<OsString>)> = HashMap::new();
        for file in self.files() {
            for (folder, name) in ways(&std::path::absolute(&file)?) {
                let number = match add_watch(&self.inotify, &folder, WATCHED) {
                    Ok(number) => number,
                    // It went away just now; the folder that it was in is watched too.
                    Err(Errno::NOENT | Errno::NOTDIR) => continue,
                    Err(error) => {
                        let message = format!("cannot watch the folder `{}`: {error}", folder.display());
                        return Err(io::Error::new(io::Error::from(error).kind(), message));
                    }
                };
                wanted.entry(number).or_insert_with(|| (folder, Vec::new())).1.push(name);
            }
        }
        self.watched = wanted;
        Ok(())
    }

    /// Reads what happened. Says whether it may be a save.
    fn read(&mut self) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(self.inotify.as_fd(), &mut buffer);
        let mut matters = false;
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(matters),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let happened = event.events();
            let gone = ReadFlags::QUEUE_OVERFLOW | ReadFlags::IGNORED | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF;
            if happened.intersects(gone) {
                matters = true;
                continue;
            }
            let Some((folder, names)) = self.watched.get(&event.wd()) else { continue };
            let name = OsString::from_vec(event.file_name().map(|name| name.to_bytes().to_vec()).unwrap_or_default());
            if !names.contains(&name) {
                continue;
            }
            // A file that was just created is empty, and its text comes when it is closed; a link is whole.
            let whole = || {
                let found = fs::symlink_metadata(folder.join(&name));
                found.is_ok_and(|found| !found.is_file() || found.nlink() > 1)
            };
            matters |= !happened.contains(ReadFlags::CREATE) || whole();
        }
    }
}

/// The folders that decide which file a path leads to, each with the name in it that does: the file's own, and those of
/// the links on the way. Where a folder is missing, the one that it would be in.
fn ways(path: &Path) -> Vec<(PathBuf, OsString)> {
    let mut ways = Vec::new();
    let mut path = path.to_owned();
    'links: for _ in 0..MAX_LINKS {
        let mut at = PathBuf::new();
        let mut parts = path.components();
        while let Some(part) = parts.next() {
            let Component::Normal(name) = part else {
                at.push(part);
                continue;
            };
            let next = at.join(name);
            let last = parts.as_path().as_os_str().is_empty();
            match fs::symlink_metadata(&next) {
                Ok(found) if found.is_symlink() => {
                    ways.push((at.clone(), name.to_owned()));
                    let Ok(to) = fs::read_link(&next) else { return ways };
                    path = at.join(to).join(parts.as_path());
                    continue 'links;
                }
                Ok(_) if !last => at = next,
                _ => {
                    ways.push((at, name.to_owned()));
                    return ways;
                }
            }
        }
        return ways;
    }
    ways
}

#[cfg(test)]
mod tests;
