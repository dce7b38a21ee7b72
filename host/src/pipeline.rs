//! The only place that names every stage: from settings to a running probe.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use crossbeam_channel::Receiver;

use crate::attach;
use crate::bpf::btf::TypeId;
use crate::bpf::map::{Map, MapType};
use crate::cache::{Cache, Key};
use crate::config::{CompileSettings, ConfigError, RunSettings};
use crate::decode::{self, MapTypes, Types};
use crate::diag::{self, Diagnostic};
use crate::directive::Directives;
use crate::event::{self, Events};
use crate::facts::{CompileRequest, Compiled, Facts, Features, MapRole};
use crate::frontend::Worker;
use crate::kernel::{Kernel, capability};
use crate::kind::Target;
use crate::lex::Lexed;
use crate::load::{self, LoadError, Loaded};
use crate::lookup::Lookup;
use crate::output::{AttachedProgram, Body, Output, Scale};
use crate::render;
use crate::resolve::{self, Plan, Planned};
use crate::session::{Endings, EventType, Iterators, Meaning, Session, Table};
use crate::source::{Source, Span};
use crate::toolchain::{self, Versions};
use crate::verifier;
use crate::watch::Watch;

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

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Unusable(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Quiet,
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
    for output in first.into_iter().chain(session) {
        renderer.record(&output, streams.out, streams.err)?;
    }
    Ok(())
}

/// Compiles a probe, or takes it from the cache. What the kernel offers is asked while the compiler gets ready.
///
/// # Errors
/// When the text is wrong, or there is no compiler.
pub fn prepare(
    source: &Source,
    settings: &CompileSettings,
    features: impl FnOnce() -> Features,
) -> Result<Prepared, Failure> {
    let probe = |diagnostics| Failure::Probe { source: source.clone(), diagnostics };
    let lexed = Lexed::new(&source.text);
    let lines = lexed.directives();
    let lines: Vec<(Span, &str)> = lines.iter().map(|line| (line.span, line.text.as_str())).collect();
    let mut directives = Directives::parse(&lines).map_err(probe)?;
    directives.override_with(settings.attaches.clone());
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
    let request = CompileRequest {
        source: source.clone(),
        functions: directives.function_kinds(),
        tail_calls: directives.tail_calls(),
        defines: settings.defines.clone(),
        features: features(),
        toolchain,
    };
    let kept = cache.as_ref().and_then(|cache| Some((cache, Key::of(&request)?)));
    if let Some(compiled) = kept.as_ref().and_then(|(cache, key)| cache.get(key)) {
        notes.push("compiled before: taken from the cache".to_owned());
        return Ok(Prepared { directives, compiled, notes });
    }
    let ready = ready.unwrap_or_else(|| worker.begin(&request.toolchain));
    let compiled = ready.and_then(|ready| ready.run(&request)).map_err(probe)?;
    if let Some(Err(error)) = kept.map(|(cache, key)| cache.put(&key, &request, &compiled)) {
        notes.push(format!("not kept for the next run: {error}"));
    }
    Ok(Prepared { directives, compiled, notes })
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
    let source = &settings.source;
    let probe = |diagnostics| Failure::Probe { source: source.clone(), diagnostics };
    let missing = capability::missing();
    if !missing.is_empty() {
        let missing = missing.join(" and ");
        return Err(Failure::Unusable(anyhow::anyhow!(
            "no permission to trace: this process lacks {missing}; run it as root"
        )));
    }
    let kernel = Kernel::new();
    let features = || settings.compile.limit(kernel.features());
    let Prepared { directives, compiled, mut notes } = prepare(source, &settings.compile, features)?;
    let facts = &compiled.facts;
    streams.err.write_all(diag::render_all(&compiled.warnings, source, streams.colour).as_bytes())?;
    let watch = Watch::start(&settings.pids, streams.out_fd)
        .context("cannot watch the traced processes")
        .map_err(Failure::Unusable)?;
    let lookup = Lookup::new(&settings.debug_dirs, settings.compile.use_cache);
    notes.extend(lookup.notes().iter().cloned());
    let (pids, most, at_entry) = (&settings.pids, settings.max_targets, settings.at_entry);
    let asked = resolve::Asked { pids, most, at_entry, lookup: &lookup };
    let Plan { programs, notes: chosen, warnings } =
        resolve::resolve(facts, &directives, &asked, &kernel).map_err(probe)?;
    drop(lookup);
    notes.extend(chosen);
    streams.err.write_all(diag::render_all(&warnings, source, streams.colour).as_bytes())?;

    let planned = programs.iter().map(|program| (program.fact, program.targets.as_slice()));
    let early = load::open_early(facts, planned.clone());
    let wanted = planned.chain(tails(facts, &directives, &programs).into_iter().map(|fact| (fact, [].as_slice())));
    let loading = load::Settings {
        pids: settings.pids.clone(),
        attach_as: settings.compile.attach_as,
        without_fentry: settings.compile.lacks("fentry"),
        without_kprobe: settings.compile.lacks("kprobe"),
        shares_maps: true,
        fills: directives.fills.clone(),
    };
    let loaded = load::load(&compiled, wanted, &kernel, &loading)
        .map_err(|error| explain_load(error, source, &compiled, settings.compile.verbose))?;
    let (tables, meaning) = meaning(&loaded, &compiled, &directives).map_err(Failure::Run)?;
    let events =
        Events::start(&loaded, facts, event::Settings::default()).map_err(|error| Failure::Run(error.into()))?;
    let filters = loaded.filters();
    let mut attached =
        attach::attach_early(loaded, &kernel, &settings.pids, &early).map_err(|error| Failure::Run(error.into()))?;
    events.watch(attached.take_counters());
    let iterators = Iterators {
        all: attached.take_iterators(),
        again: settings.interval.or(directives.interval).is_some(),
        alone: attached.programs().iter().all(|program| program.kind == "iter"),
    };

    let mut first: Vec<Body> = Vec::new();
    if settings.compile.verbose {
        first.extend(notes.into_iter().map(|message| Body::Note { message }));
    }
    let kernel_wide = programs.iter().flat_map(|program| &program.targets).any(|target| {
        !matches!(
            target,
            Target::UserFunction { .. } | Target::UserFunctions { .. } | Target::Usdt { .. } | Target::PerfEvent(_)
        )
    });
    if !settings.pids.is_empty() && !filters && kernel_wide {
        let message =
            "the probe does not use FILTER_PID, so --pid does not limit what it sees in the kernel".to_owned();
        first.push(Body::Note { message });
    }
    if !settings.pids.is_empty() && filters && !in_first_pid_namespace() {
        let message = "dbcc runs in a PID namespace of its own, and FILTER_PID compares with the ids of the host: it may \
                       let nothing through; run dbcc on the host, or in a container with the host's PID namespace";
        first.push(Body::Note { message: message.to_owned() });
    }
    first.push(Body::Attached { programs: attached.programs().iter().map(shown).collect() });
    let first = first.into_iter().map(|body| Output { time: SystemTime::now(), body }).collect();
    let endings =
        Endings { duration: settings.duration, count: settings.count, stop, watch, pids: settings.pids.clone() };
    let interval = settings.interval.or(directives.interval).unwrap_or(DEFAULT_INTERVAL);
    Ok((Session::new(attached, events, tables, iterators, meaning, endings, interval), first))
}

/// The programs that are attached to nothing and that others run by tail calls: indexes into [`Facts::programs`].
fn tails(facts: &Facts, directives: &Directives, planned: &[Planned]) -> Vec<usize> {
    let calls = directives.tail_calls();
    let is_tail = |function: &str| calls.iter().any(|call| call.function == function);
    let facts = facts.programs.iter().enumerate();
    let facts = facts.filter(|(index, fact)| is_tail(&fact.function) && planned.iter().all(|one| one.fact != *index));
    facts.map(|(index, _)| index).collect()
}

/// Whether process ids mean here what they mean to `bpf_get_current_pid_tgid`. The first PID namespace has a fixed number
/// (`PROC_PID_INIT_INO` of include/linux/proc_ns.h); where it cannot be read, nothing is claimed.
fn in_first_pid_namespace() -> bool {
    let own = std::fs::read_link("/proc/self/ns/pid");
    own.map_or(true, |own| own.as_os_str() == "pid:[4026531836]")
}

/// How often maps are printed if nobody says.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

fn shown(program: &attach::AttachedProgram) -> AttachedProgram {
    AttachedProgram {
        function: program.function.clone(),
        kind: program.kind.to_owned(),
        target: program.target.clone(),
        why: program.why.clone(),
    }
}

/// Which maps are printed and what events mean, from what rewriting said and, for maps that it does not know (those of
/// libbpf-style text), from their types.
fn meaning(loaded: &Loaded, compiled: &Compiled, directives: &Directives) -> anyhow::Result<(Vec<Table>, Meaning)> {
    let types = Types::from_elf(&compiled.elf)?;
    let mut tables = Vec::new();
    let mut meaning = Meaning { prints: compiled.facts.prints.clone(), ..Meaning::default() };
    for map in loaded.maps() {
        let name = map.name().to_string();
        let fact = compiled.facts.maps.iter().find(|fact| fact.name == name);
        let directive = directives.maps.iter().find(|directive| directive.map == name);
        let role = match fact {
            Some(fact) => fact.role.clone(),
            None => role_of(map),
        };
        match role {
            MapRole::PerfEvents(kinds) | MapRole::RingEvents(kinds) => {
                let kinds = kinds.iter().filter_map(|kind| event_type(&types, kind)).collect();
                meaning.events.insert(name, kinds);
            }
            role @ (MapRole::Table | MapRole::Histogram) => {
                // A directive without columns hides the map.
                if directive.is_some_and(|directive| directive.layout.is_none()) {
                    continue;
                }
                let columns = directive.and_then(|directive| directive.layout.clone());
                let of = |id: Option<TypeId>, size: usize| match id {
                    Some(id) => types.layout(id),
                    // Queues and stacks have no keys.
                    None if size == 0 => decode::Layout::nothing(),
                    None => decode::Layout::opaque(u64::try_from(size).unwrap_or(u64::MAX)),
                };
                let MapTypes { key, value } = types.map(&name).unwrap_or_default();
                let (key, value) = (of(key, map.key_size()), of(value, map.value_size()));
                let histogram = (role == MapRole::Histogram).then_some(Scale::Log2);
                let mut table = Table::new(map.clone(), key, value);
                (table.histogram, table.columns) = (histogram, columns);
                tables.push(table);
            }
            MapRole::Stacks | MapRole::Other => {}
        }
    }
    Ok((tables, meaning))
}

/// A kind of event by the name of its type, or by that of a variable of its type.
fn event_type(types: &Types, name: &str) -> Option<EventType> {
    let (id, name) = match types.find(name) {
        Some(id) => (id, name.to_owned()),
        None => types.of_variable(name).map(|id| (id, types.name_of(id)))?,
    };
    let bare = name.strip_prefix("struct ").unwrap_or(&name);
    Some(EventType { name: bare.to_owned(), layout: types.layout(id) })
}

/// What a map is for by its type in the kernel. Maps of global data, and dbcc's own, are nobody's to see.
fn role_of(map: &Map) -> MapRole {
    // libbpf's own: where the arguments of USDT probes are.
    let usdt = map.name().starts_with("__bpf_usdt_");
    let own = usdt || map.name().starts_with("dbcc_") || map.name().contains('.');
    match map.map_type() {
        MapType::Hash | MapType::Array if !own => MapRole::Table,
        MapType::PerfEventArray if !own => MapRole::PerfEvents(Vec::new()),
        MapType::RingBuffer if !own => MapRole::RingEvents(Vec::new()),
        MapType::StackTrace => MapRole::Stacks,
        _ => MapRole::Other,
    }
}
