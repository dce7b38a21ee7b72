//! One version of a probe, from what was compiled to what is attached.

use std::time::{Duration, Instant};

use super::{Failure, Prepared, explain_load};
use crate::attach;
use crate::bpf::Map;
use crate::bpf::btf::TypeId;
use crate::bpf::map::MapType;
use crate::config::RunSettings;
use crate::decode::{self, EventType, MapTypes, Types};
use crate::diag::Diagnostic;
use crate::directive::{Directives, Fill};
use crate::event::{self, Events};
use crate::facts::{Compiled, Facts, MapRole};
use crate::gate::Seating;
use crate::kernel::Kernel;
use crate::kernel::namespaces::{self, Namespace};
use crate::kind::{Early, Target};
use crate::load::{self, Loaded};
use crate::lookup::Lookup;
use crate::output::{AttachedProgram, Body, Scale, Steps};
use crate::resolve::{self, Plan, Planned};
use crate::session::{Iterators, Meaning, Table, Version};
use crate::source::Source;

mod tops;

/// On which terms a version is made.
pub(super) struct Terms<'t> {
    /// How the probe is run.
    pub(super) settings: &'t RunSettings,
    /// The text of this version.
    pub(super) source: &'t Source,
    /// What is put into its maps.
    pub(super) fills: Vec<Fill>,
    /// The maps of the running version that it goes on with.
    pub(super) carried: Vec<(String, Map)>,
    /// Whether all its places are new, so that it pays to open their events while it is loaded.
    pub(super) opens_early: bool,
    /// Its seats behind the switch, where there is one.
    pub(super) seating: Option<Seating<'t>>,
}

/// A version that is attached.
pub(super) struct Made {
    pub(super) version: Version,
    /// What is attached where.
    pub(super) programs: Vec<AttachedProgram>,
    /// Its maps.
    pub(super) maps: Vec<Map>,
    /// What the user should know.
    pub(super) notes: Vec<Body>,
    /// Warnings about where it is attached.
    pub(super) warnings: Vec<Diagnostic>,
    /// What it took.
    pub(super) steps: Steps,
    /// When attaching began.
    pub(super) attaching: Instant,
}

/// Resolves, loads and attaches what was compiled.
pub(super) fn make(prepared: &Prepared, kernel: &Kernel, terms: Terms<'_>) -> Result<Made, Failure> {
    let Prepared { directives, compiled, notes, .. } = prepared;
    let Terms { settings, source, fills, carried, opens_early, seating } = terms;
    let facts = &compiled.facts;
    let began = Instant::now();
    if opens_early {
        load::expect_events(facts, &settings.pids);
    }
    let lookup = Lookup::new(&settings.debug_dirs, settings.compile.use_cache);
    let mut notes: Vec<String> = notes.iter().chain(lookup.notes()).cloned().collect();
    let (pids, most, at_entry) = (&settings.pids, settings.max_targets, settings.at_entry);
    let asked = resolve::Asked { pids, most, at_entry, lookup: &lookup };
    let Plan { programs, notes: chosen, warnings } = resolve::resolve(facts, directives, &asked, kernel)
        .map_err(|diagnostics| Failure::Probe { source: source.clone(), diagnostics })?;
    drop(lookup);
    notes.extend(chosen);

    let loading = Instant::now();
    let has_usdt =
        programs.iter().flat_map(|program| &program.targets).any(|target| matches!(target, Target::Usdt { .. }));
    let usdt = seating.as_ref().filter(|_| has_usdt).map(Seating::usdt).transpose();
    let usdt = usdt.map_err(|error| Failure::Run(error.into()))?.flatten();
    let planned = programs.iter().map(|program| (program.fact, program.targets.as_slice()));
    let early = if opens_early { load::open_early(facts, planned.clone()) } else { Early::default() };
    let wanted = planned.chain(tails(facts, directives, &programs).into_iter().map(|fact| (fact, [].as_slice())));
    let how = load::Settings {
        measured: false,
        pids: settings.pids.clone(),
        attach_as: settings.compile.attach_as,
        without_fentry: settings.compile.lacks("fentry"),
        without_kprobe: settings.compile.lacks("kprobe"),
        shares_maps: true,
        carried,
        fills,
        usdt,
        buffer: settings.buffer,
        buffers: directives.buffers.clone(),
    };
    let loaded = load::load(compiled, wanted, kernel, &how)
        .map_err(|error| explain_load(error, source, compiled, settings.compile.verbose))?;
    let (mut tables, meaning) = meaning(&loaded, compiled, directives).map_err(Failure::Run)?;
    tops::set(&mut tables, &directives.tops)
        .map_err(|message| Failure::Probe { source: source.clone(), diagnostics: vec![message] })?;
    let reading = event::Settings { buffer: settings.buffer, buffers: directives.buffers.clone() };
    let events = Events::start(&loaded, facts, reading).map_err(|error| Failure::Run(error.into()))?;
    let (filters, maps) = (loaded.filters(), loaded.maps().to_vec());

    let attaching = Instant::now();
    let mut attached = attach::attach_version(loaded, kernel, &settings.pids, &early, seating)
        .map_err(|error| Failure::Run(error.into()))?;
    events.watch(attached.take_counters());
    let steps = Steps {
        compile: Duration::ZERO,
        resolve: loading.duration_since(began),
        load: attaching.duration_since(loading),
        attach: attaching.elapsed(),
    };
    let iterators = Iterators {
        all: attached.take_iterators(),
        again: settings.interval.or(directives.interval).is_some(),
        alone: attached.programs().iter().all(|program| program.kind == "iter"),
    };
    let programs_shown = attached.programs().iter().map(shown).collect();
    let interval = settings.interval.or(directives.interval).unwrap_or(DEFAULT_INTERVAL);
    let version = Version { attached, events: Some(events), tables, iterators, meaning, interval };
    let mut said = cautions(&programs, settings, filters);
    if settings.compile.verbose {
        said.splice(0..0, notes.into_iter().map(|message| Body::Note { message }));
    }
    Ok(Made { version, programs: programs_shown, maps, notes: said, warnings, steps, attaching })
}

/// What is to be known about `--pid`.
fn cautions(programs: &[Planned], settings: &RunSettings, filters: bool) -> Vec<Body> {
    let mut cautions = Vec::new();
    let kernel_wide = programs.iter().flat_map(|program| &program.targets).any(|target| {
        !matches!(
            target,
            Target::UserFunction { .. } | Target::UserFunctions { .. } | Target::Usdt { .. } | Target::PerfEvent(_)
        )
    });
    if !settings.pids.is_empty() && !filters && kernel_wide {
        let message =
            "the probe does not use FILTER_PID, so --pid does not limit what it sees in the kernel".to_owned();
        cautions.push(Body::Note { message });
    }
    if !settings.pids.is_empty() && filters && !namespaces::is_first(Namespace::Pid) {
        let message = "dbcc runs in a PID namespace of its own, and FILTER_PID compares with the ids of the host: it may \
                       let nothing through; run dbcc on the host, or in a container with the host's PID namespace";
        cautions.push(Body::Note { message: message.to_owned() });
    }
    cautions
}

/// The programs that are attached to nothing and that others run by tail calls: indexes into [`Facts::programs`].
fn tails(facts: &Facts, directives: &Directives, planned: &[Planned]) -> Vec<usize> {
    let calls = directives.tail_calls();
    let is_tail = |function: &str| calls.iter().any(|call| call.function == function);
    let facts = facts.programs.iter().enumerate();
    let facts = facts.filter(|(index, fact)| is_tail(&fact.function) && planned.iter().all(|one| one.fact != *index));
    facts.map(|(index, _)| index).collect()
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
    Some(EventType::new(bare.to_owned(), types.layout(id)))
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
