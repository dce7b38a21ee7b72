//! Executables and libraries of running processes, as `/proc` shows them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::addr::Pid;
use crate::error::Error;

/// The most files of one process that are looked at.
const MAX_FILES: usize = 4096;

/// A file that a process runs or maps.
#[derive(Debug)]
pub(crate) struct Executable {
    /// Valid here.
    pub(crate) path: PathBuf,
    /// As the process knows it.
    pub(crate) shown: PathBuf,
    /// The process's root folder, when it is not ours.
    pub(crate) root: Option<PathBuf>,
    pub(crate) notes: Vec<String>,
}

/// The executable of a process.
pub(crate) fn executable(pid: Pid) -> Result<Executable, Error> {
    let exe = PathBuf::from(format!("/proc/{pid}/exe"));
    let link = fs::read_link(&exe).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound if !Path::new(&format!("/proc/{pid}")).exists() => {
            Error::NoProcess { pid, why: "it does not exist, or has ended" }
        }
        io::ErrorKind::NotFound => Error::NoProcess { pid, why: "it is a kernel thread or a zombie" },
        _ => Error::Io { doing: "find out what runs as", path: exe.clone(), source },
    })?;
    Ok(best_path(pid, exe, link, "runs"))
}

/// The shortest way to a file that stays valid longest: its own path if that leads to the same file here, its path in
/// the process's root, or `last` (an entry in `/proc/PID`, which always leads there).
fn best_path(pid: Pid, last: PathBuf, link: PathBuf, verb: &str) -> Executable {
    let text = link.to_string_lossy();
    let (shown, deleted) = match text.strip_suffix(" (deleted)") {
        Some(path) if !link.exists() => (PathBuf::from(path), true),
        _ => (link.clone(), false),
    };
    let mut notes = Vec::new();
    if deleted {
        notes.push(format!(
            "`{}`, which process {pid} {verb}, was deleted or replaced on disk since; this is the copy in use",
            shown.display()
        ));
    }
    let identity = |path: &Path| fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
    let wanted = identity(&last);
    let in_root = PathBuf::from(format!("/proc/{pid}/root{}", shown.display()));
    let path = [shown.clone(), in_root]
        .into_iter()
        .find(|path| !deleted && wanted.is_some() && identity(path) == wanted)
        .unwrap_or(last);
    Executable { path, shown, root: foreign_root(pid), notes }
}

/// The root folder of a process that sees other files than we do: in a container, or after `chroot`.
fn foreign_root(pid: Pid) -> Option<PathBuf> {
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let identity = |path: &Path| fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let theirs = identity(&root)?;
    // A mount namespace of its own may begin with the same root folder and have other files mounted below it.
    let same = identity(Path::new("/")) == Some(theirs) && namespace(&pid.to_string()) == namespace("self");
    (!same).then_some(root)
}

/// Whether people would call the process `name`: by its executable's file name, or by what it was started as
/// (`mysqld` is a link to `mariadbd` on Debian). Its `comm` does not count: that of a script is the script's name, while
/// what runs is a shell.
pub(crate) fn is_named(pid: Pid, executable: &Path, name: &str) -> bool {
    executable.file_name().is_some_and(|file| file == name) || started_as(pid, name)
}

fn started_as(pid: Pid, name: &str) -> bool {
    // Read as far as argv[0] can reasonably go.
    let mut start = [0; 4096];
    let read = fs::File::open(format!("/proc/{pid}/cmdline"))
        .and_then(|mut f| io::Read::read(&mut f, &mut start))
        .unwrap_or(0);
    let argv0 = start.get(..read).unwrap_or_default().split(|&b| b == 0).next().unwrap_or_default();
    argv0.rsplit(|&b| b == b'/').next() == Some(name.as_bytes())
}

fn pids() -> Vec<Pid> {
    let mut pids: Vec<Pid> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid))
        .collect();
    pids.sort_unstable();
    pids
}

/// The processes that people would call `name`, by what they run, and the error of the last one that could not be
/// looked into.
fn named(name: &str) -> (Vec<(Pid, Executable)>, Option<Error>) {
    let mut found = Vec::new();
    let mut refused = None;
    for pid in pids() {
        match executable(pid) {
            Ok(executable) if is_named(pid, &executable.shown, name) => found.push((pid, executable)),
            Ok(_) | Err(Error::NoProcess { .. }) => {}
            Err(error) => {
                if started_as(pid, name) {
                    refused = Some(error);
                }
            }
        }
    }
    (found, refused)
}

/// The one executable that all processes of that name run.
pub(crate) fn executable_named(name: &str) -> Result<Option<Executable>, Error> {
    let (found, refused) = named(name);
    let mut different: Vec<(Vec<Pid>, (u64, u64), Executable)> = Vec::new();
    for (pid, executable) in found {
        let Ok(metadata) = fs::metadata(&executable.path) else { continue };
        let identity = (metadata.dev(), metadata.ino());
        match different.iter_mut().find(|(_, other, _)| *other == identity) {
            Some((pids, ..)) => pids.push(pid),
            None => different.push((vec![pid], identity, executable)),
        }
    }
    if different.len() > 1 {
        let candidates = different.iter().map(|(pids, _, e)| describe(pids, &e.shown)).collect();
        return Err(Error::Ambiguous { name: name.to_owned(), candidates });
    }
    match (different.pop(), refused) {
        (Some((_, _, executable)), _) => Ok(Some(executable)),
        (None, Some(error)) => Err(error),
        (None, None) => Ok(None),
    }
}

/// Running programs of that name that are another file than `path`.
pub(crate) fn others_named(name: &str, path: &Path) -> Vec<String> {
    let Ok(own) = fs::metadata(path).map(|m| (m.dev(), m.ino())) else { return Vec::new() };
    let (found, _) = named(name);
    found
        .into_iter()
        .filter(|(_, e)| fs::metadata(&e.path).is_ok_and(|m| (m.dev(), m.ino()) != own))
        .map(|(pid, e)| describe(&[pid], &e.shown))
        .collect()
}

fn describe(pids: &[Pid], shown: &Path) -> String {
    let list: Vec<String> = pids.iter().take(5).map(Pid::to_string).collect();
    let more = if pids.len() > list.len() { ", …" } else { "" };
    let plural = if pids.len() > 1 { "processes" } else { "process" };
    format!("{plural} {}{more} (`{}`)", list.join(", "), shown.display())
}

/// A library that a process has mapped as code.
pub(crate) fn mapped(pid: Pid, name: &str) -> Result<Option<Executable>, Error> {
    let mut files = mapped_files(pid)?.into_iter();
    let found = files.find(|file| {
        let path = file.shown.to_string_lossy();
        let file = path.rsplit('/').next().unwrap_or_default();
        file == name || is_library_name(file, name)
    });
    Ok(found)
}

/// The files that a process has mapped as code, its executable among them, each once, in the order of their addresses.
pub(crate) fn mapped_files(pid: Pid) -> Result<Vec<Executable>, Error> {
    let maps = PathBuf::from(format!("/proc/{pid}/maps"));
    let text = fs::read(&maps).map_err(|source| Error::Io { doing: "read", path: maps, source })?;
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    for line in String::from_utf8_lossy(&text).lines() {
        // START-END PERMS OFFSET DEV INODE PATH, see proc_pid_maps(5).
        let mut fields = line.splitn(6, ' ');
        let (Some(range), Some(perms)) = (fields.next(), fields.next()) else { continue };
        let path = fields.nth(3).unwrap_or_default().trim_start();
        if !perms.contains('x') || !path.starts_with('/') || files.len() >= MAX_FILES || !seen.insert(path) {
            continue;
        }
        let last = PathBuf::from(format!("/proc/{pid}/map_files/{range}"));
        let found = best_path(pid, last.clone(), PathBuf::from(path), "has loaded");
        // `map_files` needs CAP_CHECKPOINT_RESTORE; without it the file cannot be compared, only found by name.
        let in_root = PathBuf::from(format!("/proc/{pid}/root{path}"));
        let by_name = found.path == last && fs::metadata(&last).is_err() && in_root.exists();
        files.push(if by_name { Executable { path: in_root, ..found } } else { found });
    }
    Ok(files)
}

/// `libNAME.so.1` for NAME, `libc.so.6` for `libc` and `c`.
pub(crate) fn is_library_name(file: &str, name: &str) -> bool {
    let stem = file.strip_prefix("lib").unwrap_or(file);
    [file, stem].iter().any(|text| {
        text.strip_prefix(name).is_some_and(|rest| {
            rest.strip_prefix(".so.").is_some_and(|version| {
                version.starts_with(|c: char| c.is_ascii_digit())
                    && version.chars().all(|c| c.is_ascii_digit() || c == '.')
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_names() {
        let check = |file, name, expect| assert_eq!(is_library_name(file, name), expect, "{file} {name}");
        check("libc.so.6", "c", true);
        check("libc.so.6", "libc", true);
        check("libstdc++.so.6.0.30", "stdc++", true);
        check("libcap.so.2", "c", false);
        check("libc.so", "c", false);
        check("libfoo.so.1.py", "foo", false);
    }
}
