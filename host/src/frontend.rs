//! The front half of the pipeline as one call, and as a process of its own.
//!
//! [`compile()`] goes from a probe's text to an object in this process. [`Worker`] does the same in a child, which is dbcc
//! itself running [`serve`]: libclang never enters a process that lives on, and what a hostile text may do to it — a
//! crash, a hang, all memory — is a message of the parent.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::bpf::btf::Btf;
use crate::child::{self, Limits, Running, start};
use crate::clang::{Library, LibraryError};
use crate::compile;
use crate::compile::exhausted::{ADDRESS_SPACE, PROCESSOR_TIME};
use crate::diag::Diagnostic;
use crate::elf;
use crate::facts::{CompileRequest, Compiled, Toolchain};
use crate::kernel::Kernel;
use crate::kernel::btf::{Function, Joined, enumerators, function, functions, members, slice, with_modules};
use crate::kernel::tracepoint::{Tracepoint, TracepointError};
use crate::kind;
use crate::lex::Lexed;
use crate::lint;
use crate::rewrite::{KernelFacts, rewrite};
use crate::template::{Host, KernelText, MAIN_FILE, Needs, Templated, TracepointName, prepare};

mod ended;
mod inputs;

pub use ended::CompileError;

/// What a worker may use. Debian's largest BCC tools compile within a second; the deadline is for a server so overloaded
/// that this takes a hundred times as long, which is when a probe is wanted most.
const LIMITS: Limits = Limits { time: Duration::from_secs(120), stdout: 256 << 20, stderr: 64 << 10 };

/// Stack of what follows a text down, in bytes: libclang's parser, the rewriter, clang. What is not used takes no memory;
/// clang itself bounds the depth of brackets, but not of operators, of which a few thousand take more than the usual 8 MB.
const STACK: u64 = 1 << 30;

/// The most bytes of a request: the largest source, and what JSON makes of it.
const MAX_REQUEST: u64 = 64 << 20;

/// The argument by which dbcc runs [`serve`].
const COMMAND: &str = "__frontend";

/// Compiles a probe in this process.
///
/// # Errors
/// Everything that is wrong with the probe, on the user's lines; or one message for what is wrong with this machine.
pub fn compile(request: &CompileRequest) -> Result<Compiled, Vec<Diagnostic>> {
    // What takes long and needs nothing of the probe goes on beside the rest.
    let loading = load(&request.toolchain.libclang);
    compile_with(request, &Kernel::new(), || joined(loading)).map_err(CompileError::diagnostics)
}

/// Loads libclang on a thread of its own.
fn load(libclang: &Path) -> JoinHandle<Result<Arc<Library>, LibraryError>> {
    let libclang = libclang.to_owned();
    std::thread::spawn(move || Library::load(&libclang))
}

fn joined(loading: JoinHandle<Result<Arc<Library>, LibraryError>>) -> Result<Arc<Library>, LibraryError> {
    loading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Compiles a probe. `loaded` waits for libclang, and what it gives is held as long as it is needed.
fn compile_with<L>(
    request: &CompileRequest,
    kernel: &Kernel,
    loaded: impl FnOnce() -> Result<L, LibraryError>,
) -> Result<Compiled, CompileError> {
    let fatal = |message: String| vec![Diagnostic::error(message, None)];
    let began = SystemTime::now();
    let templated = prepare(request).map_err(|error| fatal(error.to_string()))?;
    let compiler = compile::begin(request, &templated);

    let Laid { missing, mut warnings, joined } = lay_out(request, &templated, kernel)?;
    let btf = kernel.btf().map_err(|error| fatal(error.to_string()))?;
    let explain = |messages| as_named(without_tracepoints(messages, &missing), &templated, &request.source.name);
    // Rewriting loads libclang again, which then is there.
    let loaded = loaded()?;
    let all = joined.as_ref().map_or(btf, |joined| &joined.btf);
    let facts = BtfFacts::new(btf, all, request);
    let rewritten = rewrite(request, &templated, &facts, &lint::look).map_err(explain)?;
    let object = compiler.compile(request, &templated, &rewritten).map_err(explain)?;
    drop(loaded);
    let contents = elf::read(&object.elf).map_err(|error| fatal(error.to_string()))?;
    contents.check(&rewritten.facts, &request.source)?;
    let modules = joined.map(|joined| joined.inputs).unwrap_or_default();
    let inputs = inputs::of(&request.source.text, &object.files, modules, began);

    let stacks = contents.stacks(&object.frames);
    let mut lints = rewritten.lints;
    lints.extend(lint::weigh(&stacks, &rewritten.facts));
    rename(lints.iter_mut().map(|finding| &mut finding.diagnostic), &templated, &request.source.name);
    warnings.extend(rewritten.warnings);
    warnings.extend(object.warnings);
    let mut once: Vec<Diagnostic> = Vec::new();
    // They are kept, and shown for a file of the same text that is called otherwise.
    for warning in as_named(warnings, &templated, "this probe") {
        // Both compilers warn of what rewriting left as it was.
        if !once.iter().any(|known| known.span == warning.span && known.message == warning.message) {
            once.push(warning);
        }
    }
    Ok(Compiled {
        elf: object.elf,
        text: rewritten.text,
        file: MAIN_FILE.to_owned(),
        line_map: rewritten.line_map,
        facts: rewritten.facts,
        warnings: once,
        inputs,
        lints,
        stacks,
    })
}

/// What laying out the include tree told.
struct Laid {
    /// Tracepoints that the kernel does not have, with the reason.
    missing: Vec<(TracepointName, String)>,
    warnings: Vec<Diagnostic>,
    /// The kernel's types with those of modules, where some of theirs are named.
    joined: Option<Joined>,
}

/// Asks the kernel for what a probe needs around it, and lays it out.
fn lay_out(request: &CompileRequest, templated: &Templated, kernel: &Kernel) -> Result<Laid, Vec<Diagnostic>> {
    let fatal = |message: String| vec![Diagnostic::error(message, None)];
    let mut needs = Needs::of(request)?;
    let btf = kernel.btf().map_err(|error| fatal(error.to_string()))?;
    let Tracepoints { found: tracepoints, missing, pointees, warnings } =
        tracepoints(&needs, &request.without_tracepoints, kernel);
    // `args->page->flags`: the struct that a field points to may be named nowhere else.
    let used = pointees.into_iter().filter(|(field, _)| needs.names.members.contains(field));
    let tags: Vec<String> = used.map(|(_, tag)| tag).collect();
    needs.names.tags.extend(tags);
    let mut types = slice(btf, &needs.names).map_err(|error| fatal(error.to_string()))?;
    let joined = if types.missing.is_empty() { None } else { with_modules(btf, &types.missing) };
    if let Some(joined) = &joined {
        types = slice(&joined.btf, &needs.names).map_err(|error| fatal(error.to_string()))?;
    }
    let types = types.text;
    let host = Host::running().map_err(fatal)?;
    templated
        .fill(request, &needs, &KernelText { types, tracepoints }, &host)
        .map_err(|error| fatal(error.to_string()))?;
    Ok(Laid { missing, warnings, joined })
}

/// The files that are made for a probe, in the order in which they are included, and then its own text.
const MADE: [&str; 4] = ["dbcc/host.h", "dbcc/kernel_types.h", "dbcc/tracepoints.h", "dbcc/probe.h"];

/// The text of a probe with what is put around it, before anything of it is rewritten.
///
/// # Errors
/// As for [`compile()`].
pub fn templated(request: &CompileRequest) -> Result<String, Vec<Diagnostic>> {
    let fatal = |message: String| vec![Diagnostic::error(message, None)];
    let templated = prepare(request).map_err(|error| fatal(error.to_string()))?;
    lay_out(request, &templated, &Kernel::new())?;
    let mut text = String::new();
    for name in MADE {
        let path = templated.root.path().join(name);
        let made = std::fs::read_to_string(&path).map_err(|error| fatal(format!("{}: {error}", path.display())))?;
        if !made.trim().is_empty() {
            text.push_str(&format!("/* {name} */\n{}\n\n", made.trim_end()));
        }
    }
    text.push_str(&format!("/* {} */\n{}", request.source.name, request.source.text));
    Ok(text)
}

/// What became of the tracepoints that a probe names.
#[derive(Default)]
struct Tracepoints {
    /// Those that the kernel has, with their records.
    found: Vec<(TracepointName, String)>,
    /// The others, with the reason. That is no error yet: the probe may ask whether they are there.
    missing: Vec<(TracepointName, String)>,
    /// Their fields that are pointers to structs, and the tags of these.
    pointees: Vec<(String, String)>,
    /// What could not be found out.
    warnings: Vec<Diagnostic>,
}

fn tracepoints(needs: &Needs, without: &[String], kernel: &Kernel) -> Tracepoints {
    let mut all = Tracepoints::default();
    if needs.tracepoints.is_empty() {
        return all;
    }
    let tracefs = match kernel.tracefs() {
        Ok(tracefs) => tracefs,
        Err(error) => {
            let message = format!("cannot read which tracepoints the kernel has: {error}");
            all.warnings.push(Diagnostic::warning(message, None));
            return all;
        }
    };
    for name in &needs.tracepoints {
        let text = format!("{}:{}", name.category, name.name);
        if without.contains(&text) {
            all.missing.push((name.clone(), format!("tracepoint {text} is taken for missing")));
            continue;
        }
        match Tracepoint::read(tracefs, &name.category, &name.name) {
            Ok(tracepoint) => {
                all.found.push((name.clone(), tracepoint.c_struct()));
                all.pointees.extend(tracepoint.pointees().map(|(field, tag)| (field.to_owned(), tag.to_owned())));
            }
            Err(error @ (TracepointError::Missing { .. } | TracepointError::Name { .. })) => {
                all.missing.push((name.clone(), error.to_string()));
            }
            Err(error) => all.warnings.push(Diagnostic::warning(error.to_string(), None)),
        }
    }
    all
}

/// The messages, with one for each tracepoint that is missing instead of those about its struct.
fn without_tracepoints(messages: Vec<Diagnostic>, missing: &[(TracepointName, String)]) -> Vec<Diagnostic> {
    let mut out: Vec<Diagnostic> = Vec::new();
    for message in messages {
        let about = missing.iter().find(|(name, _)| {
            message.message.contains(&format!("tracepoint__{}__{}", name.category, name.name))
                || message.message.contains(&format!("tracepoint `{}:{}`", name.category, name.name))
        });
        let Some((name, reason)) = about else {
            out.push(message);
            continue;
        };
        if !out.iter().any(|known| known.message == *reason) {
            let ask =
                format!("`#ifdef DBCC_HAVE_TRACEPOINT__{}__{}` lets a probe do without it", name.category, name.name);
            out.push(Diagnostic::error(reason.as_str(), message.span).help(ask));
        }
    }
    out
}

/// The messages with a name for the probe instead of its path in the private folder.
fn as_named(mut messages: Vec<Diagnostic>, templated: &Templated, name: &str) -> Vec<Diagnostic> {
    rename(&mut messages, templated, name);
    messages
}

fn rename<'m>(messages: impl IntoIterator<Item = &'m mut Diagnostic>, templated: &Templated, name: &str) {
    let main = templated.main_file().display().to_string();
    let folder = format!("{}/", templated.root.path().display());
    let rename = |text: &mut String| {
        if text.contains(&folder) {
            *text = text.replace(&main, name).replace(&folder, "");
        }
    };
    for message in messages {
        rename(&mut message.message);
        message.labels.iter_mut().map(|(_, text)| text).for_each(&rename);
        message.notes.iter_mut().chain(&mut message.help).for_each(&rename);
    }
}

/// What rewriting asks of the kernel, answered by its BTF.
struct BtfFacts<'k> {
    kernel: &'k Btf,
    /// With the modules that the probe names types of.
    all: &'k Btf,
    /// The functions that the probe is attached to: found in one pass over a hundred thousand types, and asked for again
    /// and again.
    targets: BTreeMap<String, Option<Function>>,
}

impl<'k> BtfFacts<'k> {
    fn new(kernel: &'k Btf, all: &'k Btf, request: &CompileRequest) -> Self {
        let told = request.functions.iter().map(|function| function.target.clone());
        let lexed = Lexed::new(&request.source.text);
        let named = lexed.identifiers().into_iter().filter_map(|name| kind::by_function(&name));
        let names: BTreeSet<String> = told.chain(named.map(|(_, target)| target)).collect();
        let asked: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut found = if asked.is_empty() { BTreeMap::new() } else { functions(kernel, &asked) };
        let targets = names.into_iter().map(|name| (found.remove(&name), name));
        let targets = targets.map(|(function, name)| (name, function)).collect();
        Self { kernel, all, targets }
    }
}

impl KernelFacts for BtfFacts<'_> {
    fn arity(&self, name: &str) -> Option<u32> {
        let found = self.targets.get(name).cloned().unwrap_or_else(|| function(self.kernel, name));
        let found = found.filter(|found| !found.variadic)?;
        // A struct by value takes two places, and what does not fit the registers lies on the stack.
        let registers = if cfg!(target_arch = "aarch64") { 8 } else { 6 };
        let plain = found.parameters.len() <= registers && found.parameters.iter().all(|one| one.places == 1);
        u32::try_from(found.parameters.len()).ok().filter(|_| plain)
    }

    fn members(&self, record: &str) -> Vec<String> {
        members(self.all, untagged(record))
    }

    fn has_function(&self, name: &str) -> bool {
        function(self.all, name).is_some()
    }

    fn enumerators(&self) -> Vec<String> {
        enumerators(self.all)
    }

    fn has_type(&self, name: &str) -> bool {
        let tagged = untagged(name) != name;
        let wanted = self.all.find_name(untagged(name));
        wanted.is_some_and(|wanted| {
            let named = self.all.types().filter(|found| found.name_offset() == wanted);
            named.into_iter().any(|found| {
                use crate::bpf::btf::Kind;
                match found.kind() {
                    Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 => tagged,
                    Kind::Typedef => !tagged,
                    _ => false,
                }
            })
        })
    }
}

/// A type's name without `struct`, `union` or `enum`.
fn untagged(name: &str) -> &str {
    ["struct ", "union ", "enum "].iter().find_map(|tag| name.strip_prefix(tag)).unwrap_or(name).trim()
}

/// A child process that compiles.
#[derive(Debug, Clone)]
pub struct Worker {
    program: PathBuf,
    limits: Limits,
}

/// A child that waits for its request. Dropping it ends it.
#[derive(Debug)]
#[must_use = "dropping it ends the child"]
pub struct Ready {
    running: Running,
    folder: tempfile::TempDir,
    limits: Limits,
}

/// What a worker answers, but for the object itself, which follows as it is.
#[derive(Serialize, Deserialize)]
enum Answer {
    Compiled(Box<Compiled>),
    Failed(Vec<Diagnostic>),
    Unusable(String),
}

impl Worker {
    /// This program, run once more. For dbcc itself; a program that uses the library calls [`compile()`], or names a dbcc
    /// by [`Worker::of`].
    ///
    /// # Errors
    /// When `/proc` does not say which program this is.
    pub fn of_this_program() -> io::Result<Self> {
        // The link is followed by the child before it becomes another program, so an upgrade meanwhile does no harm.
        let program = PathBuf::from("/proc/self/exe");
        std::fs::read_link(&program).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot find the program of this process: {error}"))
        })?;
        Ok(Self::of(&program))
    }

    /// The dbcc at a path.
    pub fn of(program: &Path) -> Self {
        Self { program: program.into(), limits: LIMITS }
    }

    /// Starts the child, which loads what it will need while its request is made up.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn begin(&self, toolchain: &Toolchain) -> Result<Ready, CompileError> {
        // The child's files lie in a folder of the parent's, so that they go even if the child cannot remove them.
        let folder = tempfile::Builder::new().prefix("dbcc-").tempdir();
        let folder = folder.map_err(|error| {
            let place = std::env::temp_dir();
            let place = place.display();
            CompileError::Machine(format!("cannot make a folder in {place}: {error}; TMPDIR names another place"))
        })?;
        let mut command = Command::new(&self.program);
        command.arg(COMMAND).arg(&toolchain.libclang).env("TMPDIR", folder.path());
        // libclang would parse on a thread of its own, which has a small stack.
        command.env("LIBCLANG_NOTHREADS", "1");
        for variable in compile::VARIABLES {
            command.env_remove(variable);
        }
        // A compiler's heap in large pages where the kernel has them: a fifth of all page faults less.
        command.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
        let running = start(&mut command).map_err(ended::stopped)?;
        Ok(Ready { running, folder, limits: self.limits })
    }

    /// Compiles a probe in a child.
    ///
    /// # Errors
    /// As [`compile()`]; and one message for a child that crashed, ran too long or took too much memory.
    pub fn run(&self, request: &CompileRequest) -> Result<Compiled, CompileError> {
        self.begin(&request.toolchain)?.run(request)
    }
}

impl Ready {
    /// Compiles a probe.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn run(self, request: &CompileRequest) -> Result<Compiled, CompileError> {
        let request = serde_json::to_vec(request)
            .map_err(|error| vec![Diagnostic::error(format!("cannot pass on the probe: {error}"), None)])?;
        let Self { running, folder, limits } = self;
        let finished = running.finish(request, limits).map_err(ended::stopped)?;
        drop(folder);
        let answer = answer(&finished.stdout).filter(|_| finished.status.success());
        if let Some((Answer::Compiled(mut compiled), elf)) = answer {
            compiled.elf = elf.to_vec();
            return Ok(*compiled);
        }
        if let Some(exhausted) = ended::exhausted_by(&finished) {
            return Err(vec![exhausted].into());
        }
        match answer {
            Some((Answer::Failed(messages), _)) => Err(messages.into()),
            Some((Answer::Unusable(why), _)) => Err(CompileError::Machine(why)),
            _ => Err(vec![ended::unanswered(&finished)].into()),
        }
    }
}

/// The two parts of an answer: its length in 8 bytes, JSON, the object.
fn answer(bytes: &[u8]) -> Option<(Answer, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (json, elf) = rest.split_at_checked(length)?;
    Some((serde_json::from_slice(json).ok()?, elf))
}

/// The child's side: reads a request, writes the answer. Meanwhile it loads libclang and the kernel's types, which every
/// probe needs.
///
/// # Errors
/// When the request cannot be read or the answer cannot be written.
pub fn serve(libclang: &Path, input: impl Read + Send + 'static, output: &mut dyn Write) -> io::Result<()> {
    restrict();
    let loading = load(libclang);
    let work = move || -> io::Result<Result<Compiled, CompileError>> {
        let kernel = Kernel::new();
        // If it has none, compiling says so.
        kernel.btf().ok();
        let mut request = Vec::new();
        input.take(MAX_REQUEST).read_to_end(&mut request)?;
        let request: CompileRequest = serde_json::from_slice(&request)?;
        // This process ends when it has answered; unloading the library would take longer than that.
        Ok(compile_with(&request, &kernel, || joined(loading).map(std::mem::forget)))
    };
    let deep = std::thread::Builder::new().stack_size(usize::try_from(STACK).unwrap_or(usize::MAX));
    let no_room =
        |error| io::Error::other(format!("out of memory: no room for a stack of {} MB: {error}", STACK >> 20));
    let compiled = deep.spawn(work).map_err(no_room)?.join();
    let (answer, elf) = match compiled.unwrap_or_else(|panic| std::panic::resume_unwind(panic))? {
        Ok(mut compiled) => {
            let elf = std::mem::take(&mut compiled.elf);
            (Answer::Compiled(Box::new(compiled)), elf)
        }
        Err(CompileError::Probe(messages)) => (Answer::Failed(messages), Vec::new()),
        Err(CompileError::Machine(why)) => (Answer::Unusable(why), Vec::new()),
    };
    let json = serde_json::to_vec(&answer)?;
    output.write_all(&u64::try_from(json.len()).unwrap_or(u64::MAX).to_le_bytes())?;
    output.write_all(&json)?;
    output.write_all(&elf)?;
    output.flush()
}

/// Bounds this process. A bound that the system does not take is no reason not to compile: the parent watches the time.
fn restrict() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    child::end_with_parent().ok();
    // SIGXCPU tells more than SIGKILL, with which the kernel answers to the greater limit.
    let limits = [
        (Resource::As, ADDRESS_SPACE, ADDRESS_SPACE),
        (Resource::Cpu, PROCESSOR_TIME, PROCESSOR_TIME + 1),
        (Resource::Core, 0, 0),
        (Resource::Stack, STACK, STACK),
    ];
    for (resource, current, most) in limits {
        let maximum = getrlimit(resource).maximum;
        let within = |limit: u64| Some(maximum.map_or(limit, |maximum| maximum.min(limit)));
        setrlimit(resource, Rlimit { current: within(current), maximum: within(most) }).ok();
    }
}

#[cfg(test)]
mod tests;
