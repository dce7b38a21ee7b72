//! Stage 8: from attach points as written to targets that the kernel can be given. The only caller of symres.

use std::collections::HashMap;

use symres::{Binary, Pid, ProcessUsdt};

use crate::bpf::program::ProgramType;
use crate::diag::Diagnostic;
use crate::directive::{Attach, AttachPoint, Directives};
use crate::facts::{Facts, ProgramFact, RegisterReads};
use crate::kernel::{Kernel, security};
use crate::kind::{self, Context, Target, TargetSpec};
use crate::lookup::Lookup;
use crate::source::Span;

mod finder;
mod kernel;
mod places;
mod points;
mod reads;
mod site;
mod usdt;
mod user;
mod variants;

pub use finder::{Finder, UserFunction};
pub use points::{Found, Missing, Point, points};
use usdt::too_few_arguments;
use user::Written;

/// Where each program of a probe will be attached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The programs that will be attached, in the order of the source.
    pub programs: Vec<Planned>,
    /// What was chosen and why, for those who ask.
    pub notes: Vec<String>,
    /// What is not seen by what was chosen.
    pub warnings: Vec<Diagnostic>,
}

/// A program and its targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Index of the program in [`Facts::programs`].
    pub fact: usize,
    /// Where it will be attached; at least one.
    pub targets: Vec<Target>,
}

/// What the user says about targets beside their names.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The processes to trace; none means all.
    pub pids: &'a [u32],
    /// How many targets a pattern may stand for.
    pub most: usize,
    /// Whether user functions are probed at their first instruction, even where one behind it is cheaper.
    pub at_entry: bool,
    /// How binaries are looked into.
    pub lookup: &'a Lookup,
}

/// Finds the targets of all programs.
///
/// # Errors
/// One message for each program or attach point that has no target, with what is there instead.
///
/// `kernel` tells the names of functions and tracepoints for patterns.
pub fn resolve(
    facts: &Facts,
    directives: &Directives,
    asked: &Asked<'_>,
    kernel: &Kernel,
) -> Result<Plan, Vec<Diagnostic>> {
    let mut resolver = Resolver::new(asked, None, kernel);
    for attach in &directives.attaches {
        if !facts.programs.iter().any(|program| program.function == attach.function) {
            resolver.errors.push(unknown_function(attach, facts));
        }
    }
    let mut programs = Vec::new();
    for (fact, program) in facts.programs.iter().enumerate() {
        let targets = resolver.program(program, directives);
        if !targets.is_empty() {
            programs.push(Planned { fact, targets });
        }
    }
    if programs.is_empty() && resolver.errors.is_empty() {
        resolver.errors.push(Diagnostic::error("the probe has no function that is attached to anything", None).help(
            "name a function after its target, as in `int kprobe__tcp_sendmsg(struct pt_regs *ctx)`, write a line \
                 `//@ attach KIND:TARGET = FUNCTION`, or give --attach KIND:TARGET=FUNCTION",
        ));
    }
    let Resolver { notes, warnings, errors, .. } = resolver;
    if errors.is_empty() { Ok(Plan { programs, notes, warnings }) } else { Err(errors) }
}

fn unknown_function(attach: &Attach, facts: &Facts) -> Diagnostic {
    let names: Vec<&str> = facts.programs.iter().map(|program| program.function.as_str()).collect();
    let message = format!("the probe has no function `{}` to attach", attach.function);
    let diagnostic = Diagnostic::error(message, attach.span).of_argument(attach.function_argument());
    if names.is_empty() { diagnostic } else { diagnostic.help(format!("its functions are {}", names.join(", "))) }
}

struct Resolver<'a> {
    pids: &'a [u32],
    kernel: &'a Kernel,
    /// How many targets a pattern may stand for.
    most: usize,
    /// Whether user functions are probed at their first instruction.
    at_entry: bool,
    /// How binaries are looked into.
    lookup: &'a Lookup,
    /// The binary of attach points that name none, if it is not that of the processes.
    binary: Option<&'a str>,
    /// Binaries by process and name, opened once; a failure is said for each point that meets it.
    binaries: HashMap<(Option<u32>, Option<String>), Result<Binary, String>>,
    /// The USDT probes of processes, looked up once.
    processes: HashMap<u32, Result<ProcessUsdt, String>>,
    notes: Vec<String>,
    warnings: Vec<Diagnostic>,
    errors: Vec<Diagnostic>,
}

/// What a target is looked up for.
struct Wanted {
    /// Where the attach point is written, or the program.
    span: Span,
    /// Whether it is attached to returns.
    returns: bool,
    /// What the program reads of the registers.
    reads: RegisterReads,
    /// How the instruction is chosen.
    sites: site::Sites,
}

/// Why an attach point has no target: a message, and what to do.
struct Miss {
    message: String,
    notes: Vec<String>,
    help: Option<String>,
}

impl Miss {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), notes: Vec::new(), help: None }
    }
}

impl<'a> Resolver<'a> {
    fn new(asked: &Asked<'a>, binary: Option<&'a str>, kernel: &'a Kernel) -> Self {
        let Asked { pids, most, at_entry, lookup } = *asked;
        let (binaries, processes, notes, warnings, errors) = Default::default();
        Self { pids, kernel, most, at_entry, lookup, binary, binaries, processes, notes, warnings, errors }
    }

    fn program(&mut self, program: &ProgramFact, directives: &Directives) -> Vec<Target> {
        let given: Vec<&Attach> =
            directives.attaches.iter().filter(|attach| attach.function == program.function).collect();
        if given.is_empty() {
            // A function that is a helper of nobody is no error: the rewriter warned about it.
            let Some(target) = &program.target else { return Vec::new() };
            let point = AttachPoint { kind: program.kind.clone(), target: target.clone() };
            return self.first(program, &[point], program.span);
        }
        if let Some(error) = of_several_kinds(program, &given) {
            self.errors.push(error);
            return Vec::new();
        }
        let mut targets = Vec::new();
        for attach in given {
            let span = attach.span.unwrap_or(program.span);
            let before = (self.errors.len(), self.warnings.len());
            let found = self.first(program, &attach.alternatives, span);
            self.errors.extend(found.iter().filter_map(|target| too_few_arguments(program, target, span)));
            targets.extend(found);
            let errors = self.errors.iter_mut().skip(before.0);
            for message in errors.chain(self.warnings.iter_mut().skip(before.1)) {
                message.set_argument(attach.points_argument());
            }
        }
        targets
    }

    /// The targets of the first alternative that has some.
    fn first(&mut self, program: &ProgramFact, alternatives: &[AttachPoint], span: Span) -> Vec<Target> {
        let function = &program.function;
        let mut misses = Vec::new();
        for point in alternatives {
            match self.point(program, point, span) {
                Ok(targets) => {
                    if alternatives.len() > 1 {
                        let before: Vec<&str> = misses.iter().map(|miss: &Miss| miss.message.as_str()).collect();
                        let why = if before.is_empty() { String::new() } else { format!(": {}", before.join("; ")) };
                        self.notes.push(format!("{function} goes to {}{why}", point.text()));
                    }
                    return targets;
                }
                Err(miss) => misses.push(miss),
            }
        }
        let mut messages = misses.iter().map(|miss| miss.message.clone());
        let diagnostic = match alternatives {
            [_] => Diagnostic::error(messages.next().unwrap_or_default(), span),
            _ => {
                let message = format!("none of the {} attach points of `{function}` is there", alternatives.len());
                messages.fold(Diagnostic::error(message, span), Diagnostic::note)
            }
        };
        let diagnostic = misses.iter().flat_map(|miss| miss.notes.iter().cloned()).fold(diagnostic, Diagnostic::note);
        let mut helps: Vec<String> = misses.into_iter().filter_map(|miss| miss.help).collect();
        helps.dedup();
        self.errors.push(helps.into_iter().fold(diagnostic, Diagnostic::help));
        Vec::new()
    }

    /// Adds warnings about what a target does not see.
    fn warn(&mut self, warnings: Vec<String>, wanted: &Wanted) {
        self.warnings.extend(warnings.into_iter().map(|warning| Diagnostic::warning(warning, wanted.span)));
    }

    fn point(&mut self, program: &ProgramFact, point: &AttachPoint, span: Span) -> Result<Vec<Target>, Miss> {
        let Some(kind) = kind::by_name(&point.kind) else {
            return Err(Miss::new(format!("unknown kind of attach point `{}`", point.kind)));
        };
        let returns = matches!(kind.context(), Context::Registers { returns: true, .. });
        let (at_entry, reads) = (self.at_entry, program.reads);
        let sites = site::Sites { at_entry, reads, returns, kernel: site::kernel_version() };
        let wanted = Wanted { span, returns, reads, sites };
        match kind.parse_target(&point.target).map_err(|error| Miss::new(error.to_string()))? {
            TargetSpec::Usdt { binary, provider, name } => {
                let binary = self.named(binary);
                let mut targets = Vec::new();
                for pid in self.each_pid() {
                    targets.extend(self.usdt(pid, binary.as_deref(), provider.as_deref(), &name)?);
                }
                Ok(targets)
            }
            TargetSpec::UserFunction { binary, function, offset } => {
                let binary = self.named(binary);
                self.check_binary(binary.as_deref(), point, &function)?;
                let written = Written { binary, function: &function, offset };
                self.each_pid().into_iter().map(|pid| self.function(pid, &written, &wanted)).collect()
            }
            TargetSpec::KernelFunctions { pattern } => self.kernel_functions(&pattern).map(|target| vec![target]),
            TargetSpec::Tracepoints { category, name } => self.tracepoints(&category, &name),
            TargetSpec::UserFunctions { binary, pattern } => {
                let binary = self.named(binary);
                self.check_binary(binary.as_deref(), point, pattern.as_str())?;
                let pids = self.each_pid().into_iter();
                pids.map(|pid| self.user_functions(pid, binary.clone(), &pattern, &wanted)).collect()
            }
            spec => {
                if kind.program_type() == ProgramType::Lsm {
                    let never = |why| format!("the kernel runs no program at `{}`: {why}", point.text());
                    self.warn(security::asks_no_programs().map(never).into_iter().collect(), &wanted);
                }
                Ok(spec.found().into_iter().collect())
            }
        }
    }

    /// The processes to trace; none stands for all.
    fn each_pid(&self) -> Vec<Option<u32>> {
        match self.pids {
            [] => vec![None],
            pids => pids.iter().copied().map(Some).collect(),
        }
    }

    /// The binary that a point names, or else that of points that name none.
    fn named(&self, binary: Option<String>) -> Option<String> {
        binary.or_else(|| self.binary.map(str::to_owned))
    }

    /// That it is known in which binary `function` is.
    fn check_binary(&self, binary: Option<&str>, point: &AttachPoint, function: &str) -> Result<(), Miss> {
        if binary.is_some() || !self.pids.is_empty() {
            return Ok(());
        }
        let mut miss = Miss::new(format!("`{}` names no binary, and there is no --pid", point.text()));
        miss.help = Some(format!("give --pid N, or write {}:BINARY:{function}", point.kind));
        Err(miss)
    }
}

/// That a pattern stands for something, and for no more than `most` of it.
fn check_count(pattern: &str, count: usize, most: usize, what: &str) -> Result<(), Miss> {
    if count == 0 {
        return Err(Miss::new(format!("`{pattern}` fits no {what}")));
    }
    if count > most {
        let mut miss = Miss::new(format!("`{pattern}` fits {count} {what}, and may fit {most} at most"));
        miss.help = Some(format!("write a narrower pattern, or give --max-targets {count}"));
        return Err(miss);
    }
    Ok(())
}

fn open(pid: Option<u32>, binary: Option<&str>, lookup: &Lookup) -> Result<Binary, String> {
    let options = lookup.options();
    let opened = match (pid, binary) {
        (Some(pid), None) => Binary::of_pid_with(Pid(pid), options),
        (Some(pid), Some(name)) if !name.contains('/') => Binary::in_process_with(Pid(pid), name, options),
        (_, Some(name)) => Binary::find_with(name, options),
        (None, None) => return Err("no binary is named".to_owned()),
    };
    opened.map_err(|error| error.to_string())
}

/// The message for a function that is attached as several kinds.
fn of_several_kinds(program: &ProgramFact, given: &[&Attach]) -> Option<Diagnostic> {
    let kind = |attach: &Attach| attach.alternatives.first().map(|point| point.kind.clone());
    let first = kind(given.first()?)?;
    let (attach, other) =
        given.iter().filter_map(|attach| Some((attach, kind(attach)?))).find(|(_, kind)| *kind != first)?;
    let function = &program.function;
    let message = format!("`{function}` is attached as {first} and as {other}; one function can only be of one kind");
    let help = format!("write a second function that calls `{function}`, and attach that");
    let error = Diagnostic::error(message, attach.span.unwrap_or(program.span)).help(help);
    Some(error.of_argument(attach.points_argument()))
}
