//! An opened program or library, and the ways to name one.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::addr::{FileOffset, Pid, VirtAddr};
use crate::answer::Answer;
use crate::elf::{Elf, Machine};
use crate::error::Error;
use crate::file::Contents;
use crate::pattern::Pattern;
use crate::process;
use crate::search;
use crate::source::{SOURCES, SymbolTable, Table};
use crate::usdt::{self, Usdt};

/// An ELF program or shared library, with its symbol tables.
#[derive(Debug)]
pub struct Binary {
    path: PathBuf,
    shown: PathBuf,
    notes: Vec<String>,
    elf: Elf,
    tables: Vec<(Table, SymbolTable)>,
}

impl Binary {
    /// Opens the file at `path`.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is not a 64-bit ELF program or library, or is damaged.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_as(path, path)
    }

    /// Finds the binary that a person means by `name`: a path (anything with a `/`), else a process id, else a program on
    /// PATH or in an `sbin` folder, else the executable of the processes of that name, else a shared library (`libc.so.6`, or `c`
    /// for short).
    ///
    /// # Errors
    ///
    /// When there is none, when processes of that name run different executables, or when it cannot be read.
    pub fn find(name: &str) -> Result<Self, Error> {
        if name.contains('/') {
            return Self::open(Path::new(name));
        }
        if let Ok(pid) = name.parse() {
            return Self::of_pid(Pid(pid));
        }
        let mut script = None;
        if let Some(path) = on_path(name) {
            match Self::open(&path) {
                Ok(mut binary) => {
                    binary.note_others(name);
                    return Ok(binary);
                }
                // A wrapper on PATH; the process that it started may have the same name.
                Err(error @ Error::Script { .. }) => script = Some(error),
                Err(error) => return Err(error),
            }
        }
        match process::executable_named(name)? {
            Some(found) => Self::of_executable(found),
            None => match (script, library(name)?) {
                (Some(script), _) => Err(script),
                (None, Some(path)) => Self::open(&path),
                (None, None) => Err(Error::NotFound(name.to_owned())),
            },
        }
    }

    /// Opens the executable of a process, also when it is in another mount namespace or was deleted since.
    ///
    /// # Errors
    ///
    /// When there is no such process, when it has no executable (kernel thread) or that cannot be read.
    pub fn of_pid(pid: Pid) -> Result<Self, Error> {
        Self::of_executable(process::executable(pid)?)
    }

    /// Opens what `name` means inside a process: its executable, or a library that it has loaded (`libc.so.6`, `c`), as
    /// the process sees it.
    ///
    /// # Errors
    ///
    /// As [`Binary::of_pid`], and when the process has nothing of that name.
    pub fn in_process(pid: Pid, name: &str) -> Result<Self, Error> {
        let executable = process::executable(pid)?;
        if process::is_named(pid, &executable.shown, name) {
            return Self::of_executable(executable);
        }
        match process::mapped(pid, name)? {
            Some(found) => Self::of_executable(found),
            None => Err(Error::NotInProcess { pid, executable: executable.shown, name: name.to_owned() }),
        }
    }

    /// Reads an ELF image from memory: for tests and fuzzing.
    ///
    /// # Errors
    ///
    /// As [`Binary::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        Self::new(Contents::from_bytes(bytes), PathBuf::from("<memory>"), PathBuf::from("<memory>"))
    }

    /// The path to open and to attach to, valid in the caller's mount namespace; may lead through `/proc/PID`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path to show to people: as its own process sees it.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// What a person should know about how the binary was found, such as another program of the same name that runs.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The functions that match.
    ///
    /// # Errors
    ///
    /// When the file can no longer be read or is damaged. That nothing matches is no error but an [`Answer`] with a
    /// reason.
    pub fn functions(&self, pattern: &Pattern) -> Result<Answer, Error> {
        search::functions(&self.elf, &self.tables, pattern)
    }

    /// The USDT probes; none where the file has no notes of them.
    ///
    /// # Errors
    ///
    /// When the file can no longer be read, or its notes are damaged.
    pub fn usdt(&self) -> Result<Usdt, Error> {
        usdt::read(&self.elf)
    }

    /// The build ID (`NT_GNU_BUILD_ID`), if it has one.
    pub fn build_id(&self) -> Option<Vec<u8>> {
        self.elf.build_id()
    }

    /// The instruction set.
    pub fn machine(&self) -> Machine {
        self.elf.machine
    }

    /// Where in the file the code at `addr` is: none outside of the executable segments. See
    /// [`Segment::file_offset`](crate::Segment::file_offset) for the formula.
    pub fn file_offset(&self, addr: VirtAddr) -> Option<FileOffset> {
        self.elf.code_offset(addr)
    }

    fn open_as(path: &Path, shown: &Path) -> Result<Self, Error> {
        Self::new(Contents::open(path, shown)?, path.to_owned(), shown.to_owned())
    }

    fn of_executable(found: process::Executable) -> Result<Self, Error> {
        let mut binary = Self::open_as(&found.path, &found.shown)?;
        binary.notes = found.notes;
        Ok(binary)
    }

    fn new(contents: Contents, path: PathBuf, shown: PathBuf) -> Result<Self, Error> {
        let elf = Elf::parse(contents)?;
        let mut tables = Vec::new();
        for source in SOURCES {
            if let Some(table) = source.read(&elf)? {
                tables.push((source.table(), table));
            }
        }
        Ok(Self { path, shown, notes: Vec::new(), elf, tables })
    }

    fn note_others(&mut self, name: &str) {
        for other in process::others_named(name, &self.path) {
            self.notes.push(format!(
                "this is `{}` from PATH; {other} also has that name and runs another file",
                self.path.display()
            ));
        }
    }
}

/// The first of several patterns that a binary has.
#[derive(Debug)]
#[must_use]
pub struct First {
    /// Which pattern was found (its index) and what it matches; none when no pattern matches anything.
    pub found: Option<(usize, Answer)>,
    /// Why each of the earlier patterns was not found, in order: answers with a reason.
    pub missed: Vec<Answer>,
}

/// Tries alternatives in order.
///
/// # Errors
///
/// As [`Binary::functions`].
pub fn first_of(binary: &Binary, patterns: &[Pattern]) -> Result<First, Error> {
    let mut missed = Vec::new();
    for (index, pattern) in patterns.iter().enumerate() {
        let answer = binary.functions(pattern)?;
        if answer.reason.is_none() {
            return Ok(First { found: Some((index, answer)), missed });
        }
        missed.push(answer);
    }
    Ok(First { found: None, missed })
}

/// Where servers are though a user's PATH often has none of them.
const SBIN: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .chain(SBIN.iter().map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0))
}

/// Where the dynamic linker looks: the folders of its configuration, then its defaults.
fn library_dirs() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    let mut configs = vec![PathBuf::from("/etc/ld.so.conf")];
    if let Ok(entries) = std::fs::read_dir("/etc/ld.so.conf.d") {
        let mut more: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
        more.sort();
        configs.extend(more.into_iter().filter(|p| p.extension() == Some(OsStr::new("conf"))));
    }
    for config in configs {
        let text = std::fs::read_to_string(config).unwrap_or_default();
        dirs.extend(text.lines().map(str::trim).filter(|l| l.starts_with('/')).map(PathBuf::from));
    }
    dirs.extend(["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"].map(PathBuf::from));
    dirs
}

/// A shared library by its file name, or by what follows `lib` in it.
fn library(name: &str) -> Result<Option<PathBuf>, Error> {
    let dirs = library_dirs();
    if let Some(path) = dirs.iter().map(|dir| dir.join(name)).find(|path| path.is_file()) {
        return Ok(Some(path));
    }
    let mut found: Vec<(PathBuf, PathBuf)> = Vec::new();
    for dir in &dirs {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let file = entry.file_name();
            if file.to_str().is_some_and(|file| process::is_library_name(file, name))
                && let Ok(real) = entry.path().canonicalize()
                && !found.iter().any(|(_, other)| *other == real)
            {
                found.push((entry.path(), real));
            }
        }
    }
    match found.as_slice() {
        [] => Ok(None),
        [(path, _)] => Ok(Some(path.clone())),
        several => Err(Error::SeveralLibraries {
            name: name.to_owned(),
            candidates: several.iter().map(|(path, _)| path.display().to_string()).collect(),
        }),
    }
}
