//! An opened program or library, and the ways to name one.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::addr::{ByteSpan, FileOffset, Pid, Segment, VirtAddr};
use crate::answer::{Answer, Reason};
use crate::calls::{self, Call, Calls};
use crate::debug::{Consulted, DebugFiles, Options, Place, Reach};
use crate::dwarf::{Information, Named};
use crate::elf::{Elf, Machine};
use crate::error::Error;
use crate::file::Contents;
use crate::instead;
use crate::layout::{NamedType, TypeName, TypeNumber, Types};
use crate::lines::{self, Lines};
use crate::merge::DebugInformation;
use crate::pattern::{Pattern, PatternForm};
use crate::process;
use crate::search::{self, List};
use crate::signature::of_name;
use crate::site::{self, KernelVersion, Layout, Site};
use crate::source::{Kind, SOURCES, SymbolTable, Table};
use crate::usdt::{self, Usdt};

mod by_name;

use by_name::{library, on_path};

/// An ELF program or shared library, with its symbol tables.
#[derive(Debug)]
pub struct Binary {
    path: PathBuf,
    shown: PathBuf,
    notes: Vec<String>,
    /// This process has not loaded it.
    unmapped: Option<Pid>,
    files: DebugFiles,
    /// Read when a search needs them.
    ///
    /// They are others with what a server had, and others again when the debug files were set aside.
    tables: [OnceLock<Vec<(Table, SymbolTable)>>; 3],
    /// Made when a site is asked for.
    layout: OnceLock<Layout>,
    /// What [`Binary::calls`] knows of the functions.
    functions: OnceLock<calls::Functions>,
}

impl Binary {
    /// Opens the file at `path`.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is not a 64-bit ELF program or library, or is damaged.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, &Options::default())
    }

    /// As [`Binary::open`], with a say in where debug information is looked for.
    ///
    /// # Errors
    ///
    /// As [`Binary::open`].
    pub fn open_with(path: &Path, options: &Options) -> Result<Self, Error> {
        Self::new(Contents::open(path, path)?, path.to_owned(), Place::new(path, None), options)
    }

    /// Finds the binary that a person means by `name`: a path (anything with a `/`), else a process id, else a program on
    /// PATH or in an `sbin` folder, else the executable of the processes of that name, else a shared library (`libc.so.6`, or `c`
    /// for short).
    ///
    /// # Errors
    ///
    /// When there is none, when processes of that name run different executables, or when it cannot be read.
    pub fn find(name: &str) -> Result<Self, Error> {
        Self::find_with(name, &Options::default())
    }

    /// As [`Binary::find`], with a say in where debug information is looked for.
    ///
    /// # Errors
    ///
    /// As [`Binary::find`].
    pub fn find_with(name: &str, options: &Options) -> Result<Self, Error> {
        if name.contains('/') {
            return Self::open_with(Path::new(name), options);
        }
        if let Ok(pid) = name.parse() {
            return Self::of_pid_with(Pid(pid), options);
        }
        let mut script = None;
        if let Some(path) = on_path(name) {
            match Self::open_with(&path, options) {
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
            Some(found) => Self::of_executable(found, options),
            None => match (script, library(name)?) {
                (Some(script), _) => Err(script),
                (None, Some(path)) => Self::open_with(&path, options),
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
        Self::of_pid_with(pid, &Options::default())
    }

    /// As [`Binary::of_pid`], with a say in where debug information is looked for.
    ///
    /// # Errors
    ///
    /// As [`Binary::of_pid`].
    pub fn of_pid_with(pid: Pid, options: &Options) -> Result<Self, Error> {
        Self::of_executable(process::executable(pid)?, options)
    }

    /// Opens what `name` means inside a process: its executable, or a library that it has loaded (`libc.so.6`, `c`), as
    /// the process sees it; or the file at a path (anything with a `/`) that it runs or has loaded.
    ///
    /// A file that is there, but which the process has not loaded, is opened too: its answers say so
    /// ([`Reason::NotMapped`]) and have all matches as near misses, for no probe on them would fire.
    ///
    /// # Errors
    ///
    /// As [`Binary::of_pid`], and when the process has nothing of that name.
    pub fn in_process(pid: Pid, name: &str) -> Result<Self, Error> {
        Self::in_process_with(pid, name, &Options::default())
    }

    /// As [`Binary::in_process`], with a say in where debug information is looked for.
    ///
    /// # Errors
    ///
    /// As [`Binary::in_process`].
    pub fn in_process_with(pid: Pid, name: &str, options: &Options) -> Result<Self, Error> {
        let executable = process::executable(pid)?;
        if process::is_named(pid, &executable.shown, name) {
            return Self::of_executable(executable, options);
        }
        if let Some(found) = process::mapped(pid, name)? {
            return Self::of_executable(found, options);
        }
        let path = match name.contains('/') {
            true => Some(PathBuf::from(name)),
            false if process::shares_root(pid) => library(name).ok().flatten(),
            false => None,
        };
        match path.and_then(|path| process::unmapped(pid, &path)) {
            Some(found) => Ok(Self { unmapped: Some(pid), ..Self::of_executable(found, options)? }),
            None => Err(Error::NotInProcess { pid, executable: executable.shown, name: name.to_owned() }),
        }
    }

    /// Opens all that a process runs and has loaded: its executable first, then its libraries, each file once.
    ///
    /// # Errors
    ///
    /// As [`Binary::of_pid`]. A library that cannot be read is no error, but listed.
    pub fn all_of_process(pid: Pid, options: &Options) -> Result<ProcessBinaries, Error> {
        let mut all = ProcessBinaries { binaries: Vec::new(), unreadable: Vec::new() };
        for file in process::all_files(pid)? {
            match Self::of_executable(file, options) {
                Ok(binary) => all.binaries.push(binary),
                Err(error) => all.unreadable.push(error),
            }
        }
        Ok(all)
    }

    /// Reads an ELF image from memory: for tests and fuzzing.
    ///
    /// # Errors
    ///
    /// As [`Binary::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        let options = Options::default();
        Self::new(Contents::from_bytes(bytes), PathBuf::from("<memory>"), Place::nowhere(), &options)
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

    /// The files that were looked for so far because they may tell more about the binary, in this order: its separate debug
    /// file and what that refers to. Only what a search needs is looked for.
    pub fn consulted(&self) -> Vec<Consulted> {
        self.files.consulted()
    }

    /// Looks for all files with debug information now, on servers too when the options name any. A search does so by
    /// itself, as far as it needs.
    pub fn debug_info(&self) -> Option<DebugInfo> {
        let path = |elf: &Elf| elf.contents.path().to_owned();
        let dwarf = self.files.dwarf(Reach::Network)?;
        Some(DebugInfo {
            main: path(dwarf.main()),
            supplementary: dwarf.supplementary().map(path),
            package: dwarf.package().map(path),
        })
    }

    /// The functions that match.
    ///
    /// # Errors
    ///
    /// When the file can no longer be read or is damaged. That nothing matches is no error but an [`Answer`] with a
    /// reason.
    pub fn functions(&self, pattern: &Pattern) -> Result<Answer, Error> {
        let mut answer = self.answer(pattern, true)?;
        for function in answer.matches.iter_mut().chain(&mut answer.near) {
            of_name::complete(function, self.machine());
        }
        Ok(answer)
    }

    /// The functions that match, without their signatures and where their arguments are: of thousands these take most of the
    /// time.
    ///
    /// # Errors
    ///
    /// As [`Binary::functions`].
    pub fn functions_in_brief(&self, pattern: &Pattern) -> Result<Answer, Error> {
        self.answer(pattern, false)
    }

    fn answer(&self, pattern: &Pattern, detailed: bool) -> Result<Answer, Error> {
        let mut answer = self.search(pattern, detailed)?;
        if let Some(pid) = self.unmapped {
            answer.set_aside(Reason::NotMapped { pid });
        }
        // Names are missing that a file has which is there, but may not be used.
        let exported = match answer.reason {
            Some(Reason::Stripped { exported, .. }) => Some(exported),
            Some(Reason::NoSymbols) => Some(0),
            _ => None,
        };
        if let (Some(exported), Some((file, why))) = (exported, self.files.refused()) {
            answer.reason = Some(Reason::DebugFileRefused { exported, file, why });
        }
        if answer.matches.is_empty() && answer.instead.is_empty() {
            match instead::of_answer(&answer, self.tables(Reach::Disk)?, |place| self.calls(place)) {
                Ok(instead) => answer.instead = instead,
                Err(error) => answer.notes.push(format!("who calls it is not known: {error}")),
            }
        }
        Ok(answer)
    }

    /// The functions that match, without what a list does not show: as [`Binary::functions`] finds them, and faster. The debug
    /// information is read once for all lists, where [`Options::index_dir`] says that something is kept. It is empty where
    /// nothing matches, and for patterns of addresses, lines and the procedure linkage table; why, `functions` tells.
    ///
    /// # Errors
    ///
    /// As [`Binary::functions`].
    pub fn list(&self, pattern: &Pattern) -> Result<List, Error> {
        let by_name = matches!(pattern.form(), PatternForm::Name | PatternForm::Symbol | PatternForm::Regex);
        if self.unmapped.is_some() || !by_name {
            return Ok(List::default());
        }
        let files = self.files.dwarf(Reach::Disk);
        search::list(self.files.binary(), self.tables(Reach::Disk)?, pattern, files.as_ref())
    }

    fn search(&self, pattern: &Pattern, detailed: bool) -> Result<Answer, Error> {
        match self.search_all(pattern, detailed) {
            // The binary is what was asked for; a debug file is only of help.
            Err(error) if self.files.set_aside(&error) => self.search_all(pattern, detailed),
            other => other,
        }
    }

    fn search_all(&self, pattern: &Pattern, detailed: bool) -> Result<Answer, Error> {
        let answer = self.search_within(pattern, Reach::Disk, detailed)?;
        // A server is asked only where what is here has no answer.
        if answer.reason.is_none() || !self.files.can_reach_further() {
            return Ok(answer);
        }
        self.search_within(pattern, Reach::Network, detailed)
    }

    fn search_within(&self, pattern: &Pattern, reach: Reach, detailed: bool) -> Result<Answer, Error> {
        let elf = self.files.binary();
        let tables = self.tables(reach)?;
        let files = self.files.dwarf(reach);
        if let PatternForm::Line { line, .. } = pattern.form() {
            return lines::of_line(elf, tables, files.as_ref(), pattern, line);
        }
        let mut answer = search::functions(elf, tables, pattern, &DebugInformation { elf, tables, files, detailed })?;
        if let Some(files) = &files {
            lines::annotate(files, &mut answer);
        }
        Ok(answer)
    }

    /// The types whose names fit, each once, sorted; none where there is no debug information.
    ///
    /// # Errors
    ///
    /// When the debug information is not inside of its file.
    pub fn type_names(&self, name: &TypeName) -> Result<Option<TypeNames>, Error> {
        let Some(files) = self.files.dwarf(Reach::Network) else { return Ok(None) };
        let damaged = |error| files.main().contents.damaged(format!("its debug information: {error}"));
        let Named { all, cut } = Information::open(&files)?.type_names(name).map_err(damaged)?;
        Ok(Some(TypeNames { all, cut }))
    }

    /// Finds the definitions of a type and shows them to `then`: those with just that name or, if there is none, those in
    /// scopes that were not named, and instances of a template. None where there is no definition.
    ///
    /// # Errors
    ///
    /// When the debug information is not inside of its file.
    pub fn with_types<T>(
        &self,
        name: &TypeName,
        then: impl FnOnce(&dyn Types, &[TypeNumber]) -> T,
    ) -> Result<Option<T>, Error> {
        let Some(files) = self.files.dwarf(Reach::Network) else { return Ok(None) };
        Information::open(&files)?.with_types(self.files.binary(), name, then)
    }

    /// Opens the debug information once for the lines of any number of functions.
    ///
    /// # Errors
    ///
    /// When the debug information is not inside of its file.
    pub fn lines(&self) -> Result<Lines<'_>, Error> {
        let information = self.files.dwarf(Reach::Disk).map(|files| Information::open(&files)).transpose()?;
        Ok(Lines::new(self.files.binary(), information))
    }

    /// The USDT probes; none where the file has no notes of them.
    ///
    /// # Errors
    ///
    /// When the file can no longer be read, or its notes are damaged.
    pub fn usdt(&self) -> Result<Usdt, Error> {
        usdt::read(self.files.binary())
    }

    /// The build ID (`NT_GNU_BUILD_ID`), if it has one.
    pub fn build_id(&self) -> Option<Vec<u8>> {
        self.files.binary().build_id()
    }

    /// The instruction set.
    pub fn machine(&self) -> Machine {
        self.files.binary().machine
    }

    /// Shows the functions that the symbol tables name, as they stand there: not demangled, in no order, and once for each
    /// table that has them.
    ///
    /// # Errors
    ///
    /// As [`Binary::functions`].
    pub fn each_symbol(&self, mut look: impl FnMut(&FunctionSymbol<'_>)) -> Result<(), Error> {
        for (table, symbols) in self.tables(Reach::Disk)? {
            let names = symbols.names("")?;
            symbols.each_named::<()>(&names, |symbol| {
                if symbol.kind.is_function() && self.file_offset(symbol.addr).is_some() {
                    look(&FunctionSymbol {
                        table: *table,
                        name: symbol.name,
                        addr: symbol.addr,
                        size: symbol.size,
                        is_label: symbol.kind == Kind::Label,
                    });
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(())
    }

    /// The parts of the file that are mapped into memory (`PT_LOAD`).
    pub fn segments(&self) -> &[Segment] {
        &self.files.binary().segments
    }

    /// Where in the file the code at `addr` is: none outside of the executable segments. See
    /// [`Segment::file_offset`](crate::Segment::file_offset) for the formula.
    pub fn file_offset(&self, addr: VirtAddr) -> Option<FileOffset> {
        self.files.binary().code_offset(addr)
    }

    /// The direct calls and tail calls of the function whose body `place` is, and those to it.
    ///
    /// # Errors
    ///
    /// When the file can no longer be read, or its tables are damaged.
    pub fn calls(&self, place: &crate::Place) -> Result<Calls, Error> {
        let (elf, tables) = (self.files.binary(), self.tables(Reach::Disk)?);
        let functions = once(&self.functions, || calls::Functions::read(elf, tables))?;
        calls::of_place(elf, tables, functions, place)
    }

    /// The direct calls and tail calls of the function whose body `place` is, without those to it: these are found without
    /// reading more code than its own.
    ///
    /// # Errors
    ///
    /// As [`Binary::calls`].
    pub fn callees(&self, place: &crate::Place) -> Result<Vec<Call>, Error> {
        let (elf, tables) = (self.files.binary(), self.tables(Reach::Disk)?);
        let functions = once(&self.functions, || calls::Functions::read(elf, tables))?;
        calls::from_place(elf, tables, functions, place)
    }

    /// The cheapest instruction to probe in place of the first one of a place, and whether the place can be probed at all.
    /// It holds on `kernel` and all newer ones.
    ///
    /// # Errors
    ///
    /// When the file can no longer be read, or its symbol tables are damaged.
    pub fn site(&self, place: &crate::Place, kernel: KernelVersion) -> Result<Site, Error> {
        let layout = once(&self.layout, || Layout::of(self.tables(Reach::Disk)?))?;
        site::of_place(self.files.binary(), layout, place, kernel)
    }

    pub(crate) fn of_executable(found: process::Executable, options: &Options) -> Result<Self, Error> {
        let contents = Contents::open(&found.path, &found.shown)?;
        let mut binary = Self::new(contents, found.path, Place::new(&found.shown, found.root), options)?;
        binary.notes = found.notes;
        Ok(binary)
    }

    fn new(contents: Contents, path: PathBuf, place: Place, options: &Options) -> Result<Self, Error> {
        let elf = Elf::parse(contents)?;
        let shown = place.shown.clone();
        Ok(Self {
            path,
            shown,
            notes: Vec::new(),
            unmapped: None,
            files: DebugFiles::new(elf, place, options.clone()),
            tables: Default::default(),
            layout: OnceLock::new(),
            functions: OnceLock::new(),
        })
    }

    /// The symbol tables, the most complete first.
    fn tables(&self, reach: Reach) -> Result<&[(Table, SymbolTable)], Error> {
        // Without new symbols from a server those that are here stay.
        let here = reach == Reach::Disk || self.files.symbols(Reach::Disk).is_some();
        let [of_disk, of_network, of_binary] = &self.tables;
        let kept = if self.files.is_set_aside() {
            of_binary
        } else if here || self.files.symbols(reach).is_none() {
            of_disk
        } else {
            of_network
        };
        if let Some(tables) = kept.get() {
            return Ok(tables);
        }
        let mut tables = Vec::new();
        for source in SOURCES {
            if let Some(table) = source.read(&self.files, reach)? {
                tables.push((source.table(), table));
            }
        }
        Ok(kept.get_or_init(|| tables))
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

/// What is made when it is first wanted, and kept.
fn once<T>(kept: &OnceLock<T>, make: impl FnOnce() -> Result<T, Error>) -> Result<&T, Error> {
    match kept.get() {
        Some(known) => Ok(known),
        None => make().map(|made| kept.get_or_init(|| made)),
    }
}

/// What a search for the names of types finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeNames {
    /// Each once, sorted by name.
    pub all: Vec<NamedType>,
    /// Whether there are more than can be told.
    pub cut: bool,
}

/// The files with the code of a process.
#[derive(Debug)]
pub struct ProcessBinaries {
    /// The executable first, if it can be read; then libraries in the order of their addresses.
    pub binaries: Vec<Binary>,
    /// Why others cannot be read. Not everything that is mapped as code is an ELF file.
    pub unreadable: Vec<Error>,
}

/// Where the debug information of a binary is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugInfo {
    /// The file with the DWARF of the program: the binary itself, or its separate debug file.
    pub main: PathBuf,
    /// What that shares with other files, moved to another file by `dwz`.
    pub supplementary: Option<PathBuf>,
    /// The package with its split units (`.dwp`).
    pub package: Option<PathBuf>,
}

/// A function as a symbol table has it.
#[derive(Clone, Copy, Debug)]
pub struct FunctionSymbol<'a> {
    /// Which table.
    pub table: Table,
    /// The symbol, with its version if that stands there.
    pub name: &'a str,
    /// Where its code begins.
    pub addr: VirtAddr,
    /// Of its code; 0 where nothing tells it.
    pub size: ByteSpan,
    /// The symbol has no type: a label of an assembler source, which need not be a function.
    pub is_label: bool,
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
