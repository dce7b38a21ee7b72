//! Stage 9: a compiled probe into the kernel: the form of each program is chosen, the filter is filled in, the verifier
//! has its say.

use std::fmt;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use crate::bpf::object::LoadFailure;
use crate::bpf::program::AttachType;
use crate::bpf::usdt::Specs;
use crate::bpf::{self, Map, Object, OpenObject};
use crate::config::AttachAs;
use crate::directive::{Buffer, BufferSize, Fill, With};
use crate::facts::{Compiled, Facts, ProgramFact};
use crate::kernel::{Kernel, capability};
use crate::kind::{self, Kind, Target};
use crate::source::Span;

mod buffer;
mod early;
mod fill;
mod form;
mod pin;

pub use early::{expect_events, open_early};

use form::Choice;

/// Name of the map that holds `struct dbcc_settings`.
const SETTINGS_MAP: &str = ".rodata.dbcc";

/// Names of the maps of libbpf's usdt.bpf.h: how arguments are read, by number, and that number by the address of the site,
/// for kernels without attach cookies.
const USDT_ARGUMENTS: &str = "__bpf_usdt_specs";
const USDT_SITES: &str = "__bpf_usdt_ip_to_spec_id";

/// The most processes that can be traced at once: as many as `struct dbcc_settings` has room for.
pub const MAX_PIDS: usize = 64;

/// How a probe is loaded.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Processes that `FILTER_PID` lets through; empty lets all through.
    pub pids: Vec<u32>,
    /// Forces the form of programs that have several.
    pub attach_as: Option<AttachAs>,
    /// Whether fentry and fexit are tried at all.
    pub without_fentry: bool,
    /// Whether kprobes and kretprobes are refused, as on a kernel that has none.
    pub without_kprobe: bool,
    /// Whether maps are shared with other programs as they are declared to be; else all are made anew, and nothing of
    /// them stays.
    pub shares_maps: bool,
    /// Maps of another version of the probe that are used in place of the object's own of that name.
    pub carried: Vec<(String, Map)>,
    /// What is put into maps when they are there.
    pub fills: Vec<Fill>,
    /// Where arguments of USDT probes are noted for several versions of the probe.
    pub usdt: Option<Arc<Specs>>,
    /// Whether the verifier tells what its work was: [`Object::measured`].
    pub measured: bool,
    /// How large the ring buffers of events are; none chooses by the machine.
    pub buffer: Option<BufferSize>,
    /// How large single ones are.
    pub buffers: Vec<Buffer>,
}

/// A loaded probe: programs are verified and maps exist; nothing runs yet.
#[derive(Debug)]
#[must_use = "dropping it unloads its programs"]
pub struct Loaded {
    object: Object,
    programs: Vec<LoadedProgram>,
    maps: Vec<Map>,
    filters: bool,
    usdt: Option<Arc<Specs>>,
}

/// A loaded program.
#[derive(Clone)]
pub struct LoadedProgram {
    /// The C function as the user named it.
    pub function: String,
    /// Name of the program in the object.
    pub program: String,
    /// The kind that was chosen; none for a program of libbpf's that is attached by its section.
    pub kind: Option<&'static dyn Kind>,
    /// Where it will be attached.
    pub targets: Vec<Target>,
    /// Why this kind was chosen; empty where there was no choice.
    pub why: String,
    /// Whether others run it, by tail calls, and it is attached to nothing.
    pub is_tail: bool,
    /// Whether one link will attach it to many functions, for which it is loaded in another way.
    pub many: bool,
}

/// Why a probe was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// This process may not load programs.
    #[error("{}", permission(missing, error))]
    Permission {
        /// The capabilities that it lacks; empty where it has them and the kernel refuses all the same.
        missing: Vec<&'static str>,
        /// What was refused.
        error: bpf::Error,
    },
    /// The kernel has no BTF, and the probe needs it.
    #[error("{0}")]
    NoBtf(String),
    /// The verifier refused a program.
    #[error("the kernel's verifier refuses `{function}`: {}", bpf::errno::describe(*errno))]
    Rejected {
        /// The C function as the user named it.
        function: String,
        /// Name of the program in the object.
        program: String,
        /// The error number.
        errno: i32,
        /// The verifier's log.
        log: String,
        /// Whether the log is longer than what is kept of it.
        truncated: bool,
    },
    /// A map was not created.
    #[error("the kernel does not create map `{map}`: {reason}")]
    Map {
        /// Its name.
        map: String,
        /// The kernel's words.
        reason: String,
    },
    /// What the probe says of its maps cannot be done here.
    #[error("{message}")]
    Text {
        /// Where it says so.
        span: Span,
        /// What is in the way.
        message: String,
        /// What to do.
        help: String,
    },
    /// A program has no form that may be used.
    #[error("`{function}` cannot be attached: {why}")]
    Form {
        /// The C function as the user named it.
        function: String,
        /// Why.
        why: String,
    },
    /// There is no room for so many processes.
    #[error("{0} processes are too many: at most {MAX_PIDS} can be traced at once")]
    Pids(usize),
    /// The object does not hold what rewriting promised.
    #[error("the object has no program `{0}`, which was promised")]
    Promise(String),
    /// Anything else.
    #[error(transparent)]
    Kernel(#[from] bpf::Error),
}

/// Loads a compiled probe.
///
/// `wanted` are the programs to load: indexes into [`Facts::programs`] with their targets. A program without targets is
/// loaded to be verified, and cannot be attached unless its section says where.
///
/// # Errors
/// Why it was not loaded; nothing is left in the kernel.
pub fn load<'t>(
    compiled: &Compiled,
    wanted: impl IntoIterator<Item = (usize, &'t [Target])>,
    kernel: &Kernel,
    settings: &Settings,
) -> Result<Loaded, LoadError> {
    let mut programs = Vec::new();
    for (index, targets) in wanted {
        let Some(fact) = compiled.facts.programs.get(index) else { continue };
        let Choice { form, why } = form::choose(fact, targets, kernel, settings)?;
        programs.push(LoadedProgram {
            function: fact.function.clone(),
            program: form.program.clone(),
            kind: kind::by_name(&form.kind),
            targets: targets.to_vec(),
            why,
            many: by_one_link(targets, kernel).is_some(),
            is_tail: targets.is_empty()
                && settings.fills.iter().any(|fill| fill.with == With::Function(fact.function.clone())),
        });
    }
    for _ in 0..pin::ATTEMPTS {
        let mut object = OpenObject::open(&compiled.elf)?;
        let waiting = match settings.shares_maps {
            true => pin::reuse(&mut object, &compiled.facts)?,
            false => pin::Waiting::default(),
        };
        select(&mut object, &programs, &compiled.facts, kernel)?;
        if settings.measured {
            object.measure();
        }
        match &settings.usdt {
            Some(specs) if object.shape(USDT_ARGUMENTS).is_some() => object.reuse_map(USDT_ARGUMENTS, specs.as_fd())?,
            _ => object.grow_map(USDT_ARGUMENTS, usdt_forms(&programs))?,
        }
        object.grow_map(USDT_SITES, usdt_sites(&programs))?;
        buffer::size(&mut object, &compiled.facts, settings)?;
        for (name, map) in &settings.carried {
            object.reuse_map(name, map.as_fd())?;
        }
        let filters = object.set_initial_value(SETTINGS_MAP, &filter(&settings.pids)?)?;
        let object = object.load().map_err(|failure| explain(failure, &compiled.facts, kernel))?;
        if waiting.pin(&object)? {
            let maps = object.maps()?;
            fill::fill(&object, &programs, &maps, &settings.fills)?;
            return Ok(Loaded { object, programs, maps, filters, usdt: settings.usdt.clone() });
        }
    }
    Err(LoadError::Kernel(bpf::Error::new("share maps that others pin at the same time", libc::EAGAIN)))
}

impl Loaded {
    /// Its programs.
    pub fn programs(&self) -> &[LoadedProgram] {
        &self.programs
    }

    /// Its maps, those of global data included.
    pub fn maps(&self) -> &[Map] {
        &self.maps
    }

    /// The map of that name.
    pub fn map(&self, name: &str) -> Option<&Map> {
        self.maps.iter().find(|map| &**map.name() == name)
    }

    /// Whether the object has a filter for processes, so that [`Settings::pids`] had an effect.
    pub fn filters(&self) -> bool {
        self.filters
    }

    /// Where arguments of USDT probes are noted for several versions of the probe; none where libbpf does that.
    pub fn usdt(&self) -> Option<&Arc<Specs>> {
        self.usdt.as_ref()
    }

    /// The object in the kernel.
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }
}

impl fmt::Debug for LoadedProgram {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("LoadedProgram")
            .field("function", &self.function)
            .field("program", &self.program)
            .field("kind", &self.kind.map(Kind::name))
            .field("targets", &self.targets)
            .field("why", &self.why)
            .finish()
    }
}

/// Selects the chosen programs, and tells each what its section does not.
fn select(
    object: &mut OpenObject,
    programs: &[LoadedProgram],
    facts: &Facts,
    kernel: &Kernel,
) -> Result<(), LoadError> {
    let mut missing: Vec<&str> = programs.iter().map(|program| program.program.as_str()).collect();
    for mut open in object.programs() {
        let name = open.name();
        missing.retain(|missing| *missing != name);
        let Some(program) = programs.iter().find(|program| program.program == name) else {
            open.set_autoload(false)?;
            continue;
        };
        open.set_autoload(true)?;
        let Some(kind) = program.kind else { continue };
        if !open.has_type() {
            open.set_type(kind.program_type())?;
        }
        if let Some(hook) = by_one_link(&program.targets, kernel) {
            open.set_attach_type(hook)?;
        }
        if kind.program_type().has_typed_target()
            && let Some(function) = function_of(program, facts)
        {
            open.set_function(&function)?;
        }
    }
    match missing.first() {
        Some(name) => Err(LoadError::Promise((*name).to_owned())),
        None => Ok(()),
    }
}

/// How many entries USDT probes need for their arguments: one for each form, in each attachment.
fn usdt_forms(programs: &[LoadedProgram]) -> u32 {
    usdt(programs, |_, forms| forms)
}

/// How many entries USDT probes need for their sites.
fn usdt_sites(programs: &[LoadedProgram]) -> u32 {
    usdt(programs, |sites, _| sites)
}

fn usdt(programs: &[LoadedProgram], count: impl Fn(usize, usize) -> usize) -> u32 {
    let targets = programs.iter().flat_map(|program| &program.targets);
    let counts = targets.map(|target| match target {
        Target::Usdt { sites, forms, .. } => count(sites.len(), *forms),
        _ => 0,
    });
    u32::try_from(counts.fold(0, usize::saturating_add)).unwrap_or(u32::MAX)
}

/// The hook of one link to many functions, where the targets are many and the kernel has such links.
fn by_one_link(targets: &[Target], kernel: &Kernel) -> Option<AttachType> {
    match targets {
        [Target::KernelFunctions { .. }] => kernel.attaches_many().then_some(AttachType::TRACE_KPROBE_MULTI),
        // One program is loaded for links to many or for links to one, so that all its targets are attached the same way.
        targets => {
            let mut many = false;
            for target in targets {
                match target {
                    Target::UserFunctions { .. } => many = true,
                    Target::UserFunction { places, .. } => many |= places.len() > 1,
                    _ => return None,
                }
            }
            let of_process = targets.iter().any(|target| {
                matches!(target, Target::UserFunctions { pid: Some(_), .. } | Target::UserFunction { pid: Some(_), .. })
            });
            (many && kernel.attaches_many_of_a_file(of_process)).then_some(AttachType::TRACE_UPROBE_MULTI)
        }
    }
}

/// What of the kernel's types a program is verified against.
fn function_of(program: &LoadedProgram, facts: &Facts) -> Option<String> {
    use Target::{Iterator, KernelFunction, RawTracepoint};
    if let Some(KernelFunction { name, .. } | RawTracepoint { name } | Iterator { name, .. }) = program.targets.first()
    {
        return Some(name.clone());
    }
    facts.programs.iter().find(|fact| fact.function == program.function)?.target.clone()
}

/// The bytes of `struct dbcc_settings { __u32 filter_count; __u32 filter_pids[64]; }`.
fn filter(pids: &[u32]) -> Result<Vec<u8>, LoadError> {
    let count = u32::try_from(pids.len()).ok().filter(|_| pids.len() <= MAX_PIDS);
    let count = count.ok_or(LoadError::Pids(pids.len()))?;
    let unused = std::iter::repeat_n(0, MAX_PIDS - pids.len());
    Ok(std::iter::once(count).chain(pids.iter().copied()).chain(unused).flat_map(u32::to_ne_bytes).collect())
}

/// Sorts a failure of libbpf by what the user can do about it.
fn explain(failure: LoadFailure, facts: &Facts, kernel: &Kernel) -> LoadError {
    let LoadFailure { error, rejected } = failure;
    if let Some(rejected) = rejected {
        return LoadError::Rejected {
            function: function_name(&rejected.program, facts),
            program: rejected.program,
            errno: error.errno,
            log: rejected.log,
            truncated: rejected.truncated,
        };
    }
    if error.is_permission() {
        return LoadError::Permission { missing: capability::missing(), error };
    }
    // libbpf.c: bpf_object__create_maps, bpf_object_load_prog, bpf_object__load_vmlinux_btf.
    for line in error.said.lines() {
        if let Some((map, reason)) = quoted(line, "map '", "': failed to create: ") {
            return LoadError::Map { map: map.to_owned(), reason: reason.to_owned() };
        }
        if let Some((program, _)) = quoted(line, "prog '", "': BPF program load failed: ") {
            return LoadError::Rejected {
                function: function_name(program, facts),
                program: program.to_owned(),
                errno: error.errno,
                log: String::new(),
                truncated: false,
            };
        }
    }
    match kernel.btf() {
        Err(missing) if error.said.contains("kernel BTF") => LoadError::NoBtf(missing.to_string()),
        _ => LoadError::Kernel(error),
    }
}

/// `A` and `B` of `…before A between B`.
fn quoted<'l>(line: &'l str, before: &str, between: &str) -> Option<(&'l str, &'l str)> {
    line.split_once(before)?.1.split_once(between)
}

fn function_name(program: &str, facts: &Facts) -> String {
    let serves = |fact: &&ProgramFact| fact.forms.iter().any(|form| form.program == program);
    facts.programs.iter().find(serves).map_or_else(|| program.to_owned(), |fact| fact.function.clone())
}

fn permission(missing: &[&str], error: &bpf::Error) -> String {
    match missing {
        [] => format!(
            "{error}, though this process has the capabilities for it: a security module, seccomp or lockdown is in the way"
        ),
        missing => {
            format!("loading needs {}, which this process lacks: run it as root ({error})", missing.join(" and "))
        }
    }
}

#[cfg(test)]
mod tests;
