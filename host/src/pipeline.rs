//! The only place that names every stage: from settings to a running probe.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use crossbeam_channel::Receiver;

use crate::bpf::memory;
use crate::cache::{Cache, Key};
use crate::config::{CompileSettings, ConfigError, RunSettings};
use crate::diag::{self, Diagnostic};
use crate::directive::Directives;
use crate::facts::{CompileRequest, Compiled, Features, FunctionKind, Toolchain};
use crate::frontend::{CompileError, Worker};
use crate::gate::Gates;
use crate::input::{Input, InputError};
use crate::kernel::{Kernel, capability};
use crate::lex::Lexed;
use crate::lint::Levels;
use crate::load::LoadError;
use crate::output::{Body, Output};
use crate::render;
use crate::session::{Endings, Session};
use crate::source::{Source, Span};
use crate::toolchain::{self, Versions};
use crate::verifier;
use crate::watch::Watch;

mod follow;
mod object;
mod version;

use follow::Running;
use version::Terms;

/// Why something could not be done; which of these decides the exit code.
#[derive(Debug)]
pub enum Failure {
    /// The reader of the output is gone: nothing is to be said.
    Quiet,
    /// The probe's text is at fault.
    Probe {
        /// The text.
        source: Source,
        /// All messages about it.
        diagnostics: Vec<Diagnostic>,
    },
    /// The probe is understood and cannot run here.
    Run(anyhow::Error),
    /// The command line or this machine is at fault: no such process, no clang, no permission.
    Unusable(anyhow::Error),
}

impl Failure {
    /// Of a text that was not compiled.
    pub(crate) fn of(error: CompileError, source: &Source) -> Self {
        match error {
            CompileError::Probe(diagnostics) => Self::Probe { source: source.clone(), diagnostics },
            CompileError::Machine(why) => Self::Unusable(anyhow::anyhow!(why)),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Unusable(error.into())
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        Self::Unusable(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Quiet,
            // Whatever else is written to says where itself.
            io::ErrorKind::StorageFull => Self::Run(anyhow::Error::from(error).context("cannot write the output")),
            _ => Self::Run(error.into()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<io::Error>() {
            Ok(error) => error.into(),
            Err(error) => Self::Run(error),
        }
    }
}

/// Where output goes.
pub struct Streams<'a> {
    /// Records.
    pub out: &'a mut dyn Write,
    /// Messages for people.
    pub err: &'a mut dyn Write,
    /// The descriptor behind `out`, to notice that its reader is gone.
    pub out_fd: Option<BorrowedFd<'a>>,
    /// Whether messages are coloured.
    pub colour: bool,
}

/// A compiled probe and what its directives say.
#[derive(Debug)]
pub struct Prepared {
    /// The text; of an object, the one that it was made of, as far as it is known.
    pub source: Source,
    /// Directives of the file and the command line.
    pub directives: Directives,
    /// What the front half made.
    pub compiled: Compiled,
    /// What happened on the way, for those who ask.
    pub notes: Vec<String>,
}

/// Runs a probe until something ends it.
///
/// # Errors
/// When the probe is wrong, when this machine cannot run it, or when output cannot be written.
pub fn run(settings: &RunSettings, stop: Receiver<String>, streams: &mut Streams<'_>) -> Result<(), Failure> {
    let rendering = render::Settings { verbose: settings.compile.verbose, ..render::Settings::default() };
    let renderer = render::with_settings(settings.format, rendering);
    let mut renderer = renderer.context("no output format of that name").map_err(Failure::Unusable)?;
    let (session, first) = start(settings, stop, streams)?;
    for output in first {
        renderer.record(&output, streams.out, streams.err)?;
    }
    memory::give_back();
    let mut lost = Vec::new();
    for output in session {
        renderer.record(&output, streams.out, streams.err)?;
        if let Body::Lost { what, from, count, total: true, .. } = &output.body
            && *count > 0
        {
            let of = if from.is_empty() { String::new() } else { format!(" of `{from}`") };
            lost.push(format!("{count} {what}{of}"));
        }
    }
    if settings.strict && !lost.is_empty() {
        let lost = lost.join(", ");
        return Err(Failure::Run(anyhow::anyhow!("lost {lost}, which --strict makes an error")));
    }
    Ok(())
}

/// Compiles a probe, or takes it from the cache; or takes an object as it is. What the kernel offers is asked while the
/// compiler gets ready.
///
/// # Errors
/// When the text is wrong, there is no compiler, or the object cannot be used here.
pub fn prepare(
    input: &Input,
    settings: &CompileSettings,
    kernel: &Kernel,
    features: impl FnOnce() -> Features,
) -> Result<Prepared, Failure> {
    match input {
        Input::Text(source) => compile(source, settings, features),
        Input::Object(object) => object::prepare(object, settings, kernel, features),
    }
}

/// What the `//@` lines of a text and `--attach` say.
///
/// # Errors
/// Every line that is wrong.
pub fn directives(source: &Source, settings: &CompileSettings) -> Result<Directives, Failure> {
    let lexed = Lexed::new(&source.text);
    let lines = lexed.directives();
    let lines: Vec<(Span, &str)> = lines.iter().map(|line| (line.span, line.text.as_str())).collect();
    let probe = |diagnostics| Failure::Probe { source: source.clone(), diagnostics };
    let mut directives = Directives::parse(&lines).map_err(probe)?;
    directives.override_with(settings.attaches.clone());
    Ok(directives)
}

/// What is asked of the compiler.
pub fn request(
    source: &Source,
    directives: &Directives,
    settings: &CompileSettings,
    features: Features,
    toolchain: Toolchain,
) -> CompileRequest {
    let others = settings.others.map(|kind| FunctionKind {
        function: FunctionKind::OTHERS.to_owned(),
        kind: kind.to_owned(),
        target: String::new(),
    });
    CompileRequest {
        source: source.clone(),
        functions: directives.function_kinds().into_iter().chain(others).collect(),
        tail_calls: directives.tail_calls(),
        defines: settings.defines.clone(),
        features,
        without_tracepoints: Vec::new(),
        toolchain,
    }
}

fn compile(
    source: &Source,
    settings: &CompileSettings,
    features: impl FnOnce() -> Features,
) -> Result<Prepared, Failure> {
    let directives = directives(source, settings)?;
    let worker = Worker::of_this_program().map_err(|error| Failure::Unusable(error.into()))?;
    let mut notes = Vec::new();
    let cache = match settings.use_cache.then(Cache::open) {
        Some(Ok(cache)) => Some(cache),
        Some(Err(error)) => {
            notes.push(format!("nothing is kept for the next run: {error}"));
            None
        }
        None => None,
    };
    let versions = cache.as_ref().map_or(&() as &dyn Versions, |cache| cache);
    let toolchain = toolchain::find_with(versions).map_err(|error| Failure::Unusable(error.into()))?;
    let known = cache.as_ref().is_some_and(|cache| cache.knows(source));
    let ready = (!known).then(|| worker.begin(&toolchain));
    let request = request(source, &directives, settings, features(), toolchain);
    let source = source.clone();
    let kept = cache.as_ref().and_then(|cache| Some((cache, Key::of(&request)?)));
    if let Some(compiled) = kept.as_ref().and_then(|(cache, key)| cache.get(key)) {
        notes.push("compiled before: taken from the cache".to_owned());
        return Ok(Prepared { source, directives, compiled, notes });
    }
    let ready = ready.unwrap_or_else(|| worker.begin(&request.toolchain));
    let compiled = ready.and_then(|ready| ready.run(&request)).map_err(|error| Failure::of(error, &source))?;
    if let Some(Err(error)) = kept.map(|(cache, key)| cache.put(&key, &request, &compiled)) {
        notes.push(format!("not kept for the next run: {error}"));
    }
    Ok(Prepared { source, directives, compiled, notes })
}

/// Says why a probe was not loaded: on the user's line where the verifier refused it.
pub fn explain_load(error: LoadError, source: &Source, compiled: &Compiled, verbose: bool) -> Failure {
    match &error {
        LoadError::Rejected { function, program, log, .. } => {
            let diagnostic = verifier::explain(function, program, log, compiled, source);
            let diagnostic = if verbose {
                diagnostic.note(format!("the verifier's log:\n{log}"))
            } else {
                diagnostic.help("-v shows the verifier's log")
            };
            Failure::Probe { source: source.clone(), diagnostics: vec![diagnostic] }
        }
        LoadError::Text { span, message, help } => {
            let diagnostic = Diagnostic::error(message.clone(), *span);
            let diagnostic = if help.is_empty() { diagnostic } else { diagnostic.help(help.clone()) };
            Failure::Probe { source: source.clone(), diagnostics: vec![diagnostic] }
        }
        LoadError::Permission { .. } | LoadError::NoBtf(_) => Failure::Unusable(error.into()),
        _ => Failure::Run(anyhow::Error::from(error).context(format!("cannot load {}", source.name))),
    }
}

/// Compiles, loads and attaches a probe. Returns it with the records that come before its own.
fn start(
    settings: &RunSettings,
    stop: Receiver<String>,
    streams: &mut Streams<'_>,
) -> Result<(Session, Vec<Output>), Failure> {
    let missing = capability::missing();
    if !missing.is_empty() {
        let missing = missing.join(" and ");
        return Err(Failure::Unusable(anyhow::anyhow!(
            "no permission to trace: this process lacks {missing}; run it as root"
        )));
    }
    let kernel = Kernel::new();
    let features = || settings.compile.limit(kernel.features());
    let mut prepared = prepare(&settings.input, &settings.compile, &kernel, features)?;
    let source = &prepared.source;
    let lints = Levels::default().shown(&prepared.compiled.lints, &prepared.directives.allows, source);
    if !lints.is_empty() {
        prepared.notes.push(format!("lints that found something: {}; `dbcc check` shows what", lints.len()));
    }
    let warnings = &prepared.compiled.warnings;
    streams.err.write_all(diag::render_all(warnings, source, streams.colour).as_bytes())?;
    let watch = Watch::start(&settings.pids, streams.out_fd)
        .context("cannot watch the traced processes")
        .map_err(Failure::Unusable)?;
    let gates = settings.follows.as_ref().map(|_| Gates::new().map(Arc::new)).transpose();
    let gates = gates.map_err(|error| Failure::Run(error.into()))?;
    let terms = Terms {
        settings,
        source,
        fills: prepared.directives.fills.clone(),
        carried: Vec::new(),
        opens_early: true,
        seating: gates.as_ref().map(|gates| gates.seat_first()),
    };
    let made = version::make(&prepared, &kernel, terms)?;
    streams.err.write_all(diag::render_all(&made.warnings, source, streams.colour).as_bytes())?;
    let mut first = made.notes;
    first.push(Body::Attached { programs: made.programs.clone() });
    let first = first.into_iter().map(|body| Output { time: SystemTime::now(), body }).collect();
    let endings =
        Endings { duration: settings.duration, count: settings.count, stop, watch, pids: settings.pids.clone() };
    let following = match gates.zip(settings.follows.as_deref()) {
        Some((gates, path)) => {
            let running = Running { prepared, maps: made.maps, programs: made.programs };
            let started = follow::start(path, settings, running, kernel, gates, streams.colour);
            let started = started.with_context(|| format!("cannot follow `{}`", path.display()));
            Some(started.map_err(Failure::Run)?)
        }
        None => None,
    };
    Ok((Session::new(made.version, endings, following), first))
}
