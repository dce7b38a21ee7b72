//! Executables and libraries of running processes, as `/proc` shows them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
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
    let link = fs::read_link(&exe).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if !Path::new(&format!("/proc/{pid}")).exists() => {
            Error::NoProcess { pid, why: "it does not exist, or has ended" }
        }
        io::ErrorKind::NotFound => Error::NoProcess { pid, why: "it is a kernel thread or a zombie" },
        _ => Error::Io { doing: "find out what runs as", path: exe.clone(), error },
    })?;
    Ok(best_path(pid, exe, link, "runs"))
}

/// The shortest way to a file that stays valid longest: its own path if that leads to the same file here, its path in
/// the process's root, or `last` (an entry in `/proc/PID`, which always leads there).
fn best_path(pid: Pid, last: PathBuf, link: PathBuf, verb: &str) -> Executable {
    let (shown, gone) = match link.as_os_str().as_bytes().strip_suffix(DELETED) {
        Some(path) if !link.exists() => (PathBuf::from(OsStr::from_bytes(path)), true),
        _ => (link.clone(), false),
    };
    let mut notes = Vec::new();
    if gone && shown.as_os_str().as_bytes().starts_with(MEMFD) {
        notes.push(format!("`{}`, which process {pid} {verb}, is a file in memory only (memfd)", shown.display()));
    } else if gone {
        notes.push(format!(
            "`{}`, which process {pid} {verb}, was deleted or replaced on disk since; this is the copy in use",
            shown.display()
        ));
    }
    let wanted = identity(&last);
    let in_root = in_root(pid, &shown);
    let path = [shown.clone(), in_root]
        .into_iter()
        .find(|path| !gone && wanted.is_some() && identity(path) == wanted)
        .unwrap_or(last);
    Executable { path, shown, root: foreign_root(pid), notes }
}

/// What `/proc` puts behind the path of a file that has none any more.
const DELETED: &[u8] = b" (deleted)";
/// How `/proc` shows the name of a file made by `memfd_create`.
const MEMFD: &[u8] = b"/memfd:";

/// Which file it is, whatever its path: device and inode.
pub(crate) fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The path as one that leads to the process's own files.
fn in_root(pid: Pid, path: &Path) -> PathBuf {
    Path::new(&format!("/proc/{pid}/root")).join(path.strip_prefix("/").unwrap_or(path))
}

/// The root folder of a process that sees other files than we do: in a container, or after `chroot`.
fn foreign_root(pid: Pid) -> Option<PathBuf> {
    let root = PathBuf::from(format!("/proc/{pid}/root"));
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
        let Some(identity) = identity(&executable.path) else { continue };
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
    let Some(own) = identity(path) else { return Vec::new() };
    let (found, _) = named(name);
    found
        .into_iter()
        .filter(|(_, e)| identity(&e.path).is_some_and(|other| other != own))
        .map(|(pid, e)| describe(&[pid], &e.shown))
        .collect()
}

fn describe(pids: &[Pid], shown: &Path) -> String {
    let list: Vec<String> = pids.iter().take(5).map(Pid::to_string).collect();
    let more = if pids.len() > list.len() { ", …" } else { "" };
    let plural = if pids.len() > 1 { "processes" } else { "process" };
    format!("{plural} {}{more} (`{}`)", list.join(", "), shown.display())
}

/// A file that a process has mapped as code: by its path (anything with a `/`), as the process or we see it, or as the name
/// of a library.
pub(crate) fn mapped(pid: Pid, name: &str) -> Result<Option<Executable>, Error> {
    let mut files = mapped_files(pid)?.into_iter();
    if name.contains('/') {
        let wanted = Path::new(name);
        let here = identity(wanted);
        return Ok(files.find(|file| file.shown == wanted || here.is_some() && identity(&file.path) == here));
    }
    let found = files.find(|file| {
        let path = file.shown.to_string_lossy();
        let file = path.rsplit('/').next().unwrap_or_default();
        file == name || is_library_name(file, name)
    });
    Ok(found)
}

/// The file at a path that the process could load, but has not: as it sees it, or else as we do.
pub(crate) fn unmapped(pid: Pid, path: &Path) -> Option<Executable> {
    let root = foreign_root(pid);
    let inside = root.is_some().then(|| in_root(pid, path)).filter(|inside| inside.exists());
    let root = root.filter(|_| inside.is_some());
    let found = inside.unwrap_or_else(|| path.to_owned());
    found.exists().then(|| Executable { path: found, shown: path.to_owned(), root, notes: Vec::new() })
}

/// Whether a process sees the same files as we do.
pub(crate) fn shares_root(pid: Pid) -> bool {
    foreign_root(pid).is_none()
}

/// The files that a process runs or has mapped as code, each once, the executable first.
pub(crate) fn all_files(pid: Pid) -> Result<Vec<Executable>, Error> {
    // First the executable: its error says more of a process that is not there.
    let mut files = vec![executable(pid)?];
    let mut seen: BTreeSet<(u64, u64)> = files.iter().filter_map(|file| identity(&file.path)).collect();
    for file in mapped_files(pid)? {
        if identity(&file.path).is_none_or(|identity| seen.insert(identity)) {
            files.push(file);
        }
    }
    Ok(files)
}

/// The files that a process has mapped as code, its executable among them, each once, in the order of their addresses.
pub(crate) fn mapped_files(pid: Pid) -> Result<Vec<Executable>, Error> {
    let text = maps(pid)?;
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    for mapping in Mapping::all(&text) {
        let is_new = mapping.code && files.len() < MAX_FILES && seen.insert(mapping.key());
        if !is_new {
            continue;
        }
        files.push(mapped_file(pid, &mapping));
    }
    Ok(files)
}

/// What a process has mapped, as the kernel writes it.
pub(crate) fn maps(pid: Pid) -> Result<Vec<u8>, Error> {
    let maps = PathBuf::from(format!("/proc/{pid}/maps"));
    fs::read(&maps).map_err(|error| Error::Io { doing: "read", path: maps, error })
}

/// The file of a mapping.
pub(crate) fn mapped_file(pid: Pid, mapping: &Mapping<'_>) -> Executable {
    let path = unescaped(mapping.path);
    // There, unlike in `maps`, addresses are not filled up with zeroes to eight digits.
    let (start, end) = mapping.range.split_once('-').unwrap_or((mapping.range, ""));
    let [start, end] = [start, end].map(|addr| addr.trim_start_matches('0'));
    let last = PathBuf::from(format!("/proc/{pid}/map_files/{start}-{end}"));
    let mut found = best_path(pid, last.clone(), path.clone(), "has loaded");
    // `map_files` needs CAP_CHECKPOINT_RESTORE; without it the file cannot be compared, only found by name.
    if found.path == last && fs::metadata(&last).is_err() {
        let by_name = in_root(pid, &path);
        if let Ok(metadata) = fs::metadata(&by_name) {
            found.path = by_name;
            if metadata.ino() != mapping.inode {
                found.notes.push(format!(
                    "`{}` may be another file than the one that process {pid} has loaded from there: only root can \
                     look at that one",
                    path.display()
                ));
            }
        }
    }
    found
}

/// A line of `/proc/PID/maps`: `START-END PERMS OFFSET DEV INODE PATH`, see proc_pid_maps(5).
#[derive(Clone, Debug)]
pub(crate) struct Mapping<'a> {
    range: &'a str,
    pub(crate) code: bool,
    /// Where its first byte is in the file.
    pub(crate) offset: u64,
    /// Device and inode as they are written there.
    file: (&'a [u8], &'a [u8]),
    inode: u64,
    path: &'a [u8],
}

/// What tells the files of mappings apart: a file that was replaced may be mapped beside the one that has its path now.
pub(crate) type FileKey<'a> = (&'a [u8], &'a [u8], &'a [u8]);

impl<'a> Mapping<'a> {
    /// All of a process's mappings of files.
    pub(crate) fn all(maps: &'a [u8]) -> impl Iterator<Item = Self> {
        maps.split(|&byte| byte == b'\n').filter_map(Self::parse)
    }

    pub(crate) fn key(&self) -> FileKey<'a> {
        (self.file.0, self.file.1, self.path)
    }

    /// The addresses in the process.
    pub(crate) fn addresses(&self) -> Option<std::ops::Range<u64>> {
        let (start, end) = self.range.split_once('-')?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        Some(hex(start)?..hex(end)?)
    }

    /// None where no file is mapped.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.splitn(6, |&byte| byte == b' ');
        let (range, perms) = (std::str::from_utf8(fields.next()?).ok()?, fields.next()?);
        let offset = u64::from_str_radix(std::str::from_utf8(fields.next()?).ok()?, 16).ok()?;
        let (device, inode, path) = (fields.next()?, fields.next()?, fields.next()?.trim_ascii_start());
        let number = std::str::from_utf8(inode).ok()?.parse().ok()?;
        path.starts_with(b"/").then_some(Self {
            range,
            code: perms.contains(&b'x'),
            offset,
            file: (device, inode),
            inode: number,
            path,
        })
    }
}

/// The path: a line break in it is written as `\012`, and nothing else is.
fn unescaped(path: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, behind)) = rest.split_first() {
        let (byte, behind) = match rest.strip_prefix(br"\012") {
            Some(behind) => (b'\n', behind),
            None => (byte, behind),
        };
        plain.push(byte);
        rest = behind;
    }
    PathBuf::from(OsStr::from_bytes(&plain))
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
    fn lines_of_maps() {
        let line = b"7f0000-7f1000 r-xp 00001000 fe:01 42                         /usr/lib/lib a.so (deleted)";
        let mapping = Mapping::parse(line).unwrap();
        assert_eq!((mapping.range, mapping.code, mapping.inode), ("7f0000-7f1000", true, 42));
        assert_eq!(mapping.path, b"/usr/lib/lib a.so (deleted)");
        for other in [&b""[..], b"7f0000-7f1000 r-xp 00000000 00:00 0 ", b"1-2 r-xp 0 00:00 0   [vdso]", b"1-2 r-xp"] {
            assert!(Mapping::parse(other).is_none());
        }
        assert_eq!(unescaped(br"/a\012b\01"), Path::new("/a\nb\\01"));
    }

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
