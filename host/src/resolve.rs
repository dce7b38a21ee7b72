//! Stage 8: from attach points as written to targets that the kernel can be given. The only caller of symres.

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr as _;

use symres::{Answer, Binary, Pattern, Pid, ProcessUsdt, Role, UsdtProbe, UsdtReason};

use crate::diag::Diagnostic;
use crate::directive::{Attach, AttachPoint, Directives};
use crate::facts::{Facts, ProgramFact};
use crate::kernel::{Kernel, names};
use crate::kind::{self, NamePattern, Target, TargetSpec};
use crate::source::Span;

/// Where each program of a probe will be attached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The programs that will be attached, in the order of the source.
    pub programs: Vec<Planned>,
    /// What was chosen and why, for those who ask.
    pub notes: Vec<String>,
}

/// A program and its targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Index of the program in [`Facts::programs`].
    pub fact: usize,
    /// Where it will be attached; at least one.
    pub targets: Vec<Target>,
}

/// Finds the targets of all programs.
///
/// # Errors
/// One message for each program or attach point that has no target, with what is there instead.
///
/// A pattern may stand for as many as `most` targets; `kernel` tells the names of functions and tracepoints for it.
pub fn resolve(
    facts: &Facts,
    directives: &Directives,
    pids: &[u32],
    kernel: &Kernel,
    most: usize,
) -> Result<Plan, Vec<Diagnostic>> {
    let (binaries, processes, notes, errors) = Default::default();
    let mut resolver = Resolver { pids, kernel, most, binaries, processes, notes, errors };
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
    if resolver.errors.is_empty() { Ok(Plan { programs, notes: resolver.notes }) } else { Err(resolver.errors) }
}

fn unknown_function(attach: &Attach, facts: &Facts) -> Diagnostic {
    let names: Vec<&str> = facts.programs.iter().map(|program| program.function.as_str()).collect();
    let message = format!("the probe has no function `{}` to attach", attach.function);
    let diagnostic = Diagnostic::error(message, attach.span);
    if names.is_empty() { diagnostic } else { diagnostic.help(format!("its functions are {}", names.join(", "))) }
}

struct Resolver<'a> {
    pids: &'a [u32],
    kernel: &'a Kernel,
    /// How many targets a pattern may stand for.
    most: usize,
    /// Binaries by process and name, opened once; a failure is said for each point that meets it.
    binaries: HashMap<(Option<u32>, Option<String>), Result<Binary, String>>,
    /// The USDT probes of processes, looked up once.
    processes: HashMap<u32, Result<ProcessUsdt, String>>,
    notes: Vec<String>,
    errors: Vec<Diagnostic>,
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

impl Resolver<'_> {
    fn program(&mut self, program: &ProgramFact, directives: &Directives) -> Vec<Target> {
        let given: Vec<&Attach> =
            directives.attaches.iter().filter(|attach| attach.function == program.function).collect();
        if given.is_empty() {
            // A function that is a helper of nobody is no error: the rewriter warned about it.
            let Some(target) = &program.target else { return Vec::new() };
            let point = AttachPoint { kind: program.kind.clone(), target: target.clone() };
            return self.first(&program.function, &[point], program.span);
        }
        if let Some(error) = of_several_kinds(program, &given) {
            self.errors.push(error);
            return Vec::new();
        }
        let mut targets = Vec::new();
        for attach in given {
            let span = attach.span.unwrap_or(program.span);
            let found = self.first(&program.function, &attach.alternatives, span);
            self.errors.extend(found.iter().filter_map(|target| too_few_arguments(program, target, span)));
            targets.extend(found);
        }
        targets
    }

    /// The targets of the first alternative that has some.
    fn first(&mut self, function: &str, alternatives: &[AttachPoint], span: Span) -> Vec<Target> {
        let mut misses = Vec::new();
        for point in alternatives {
            match self.point(point) {
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

    fn point(&mut self, point: &AttachPoint) -> Result<Vec<Target>, Miss> {
        let Some(kind) = kind::by_name(&point.kind) else {
            return Err(Miss::new(format!("unknown kind of attach point `{}`", point.kind)));
        };
        match kind.parse_target(&point.target).map_err(|error| Miss::new(error.to_string()))? {
            TargetSpec::Usdt { binary, provider, name } => {
                let pids: Vec<Option<u32>> = match self.pids {
                    [] => vec![None],
                    pids => pids.iter().copied().map(Some).collect(),
                };
                let mut targets = Vec::new();
                for pid in pids {
                    targets.extend(self.usdt(pid, binary.as_deref(), provider.as_deref(), &name)?);
                }
                Ok(targets)
            }
            TargetSpec::UserFunction { binary, function, offset } => {
                if self.pids.is_empty() {
                    if binary.is_none() {
                        let mut miss = Miss::new(format!("`{}` names no binary, and there is no --pid", point.text()));
                        miss.help = Some(format!("give --pid N, or write {}:BINARY:{function}", point.kind));
                        return Err(miss);
                    }
                    return self.function(None, binary, &function, offset).map(|target| vec![target]);
                }
                let pids = self.pids;
                pids.iter().map(|pid| self.function(Some(*pid), binary.clone(), &function, offset)).collect()
            }
            TargetSpec::KernelFunctions { pattern } => self.kernel_functions(&pattern).map(|target| vec![target]),
            TargetSpec::Tracepoints { category, name } => self.tracepoints(&category, &name),
            TargetSpec::UserFunctions { binary, pattern } => {
                if self.pids.is_empty() && binary.is_none() {
                    let mut miss = Miss::new(format!("`{}` names no binary, and there is no --pid", point.text()));
                    miss.help = Some(format!("give --pid N, or write {}:BINARY:{}", point.kind, pattern.as_str()));
                    return Err(miss);
                }
                let pids: Vec<Option<u32>> = match self.pids {
                    [] => vec![None],
                    pids => pids.iter().copied().map(Some).collect(),
                };
                pids.into_iter().map(|pid| self.user_functions(pid, binary.clone(), &pattern)).collect()
            }
            spec => Ok(spec.found().into_iter().collect()),
        }
    }

    fn usdt(
        &mut self,
        pid: Option<u32>,
        binary: Option<&str>,
        provider: Option<&str>,
        name: &str,
    ) -> Result<Vec<Target>, Miss> {
        let (pid, Some(binary)) = (pid, binary) else { return self.usdt_of_process(pid, provider, name) };
        let opened = self.binaries.entry((pid, Some(binary.to_owned()))).or_insert_with(|| open(pid, Some(binary)));
        let opened = opened.as_ref().map_err(|error| Miss::new(error.clone()))?;
        let shown = opened.shown().display().to_string();
        let usdt = opened.usdt().map_err(|error| Miss::new(error.to_string()))?;
        let found = usdt.find(provider, name).map_err(|reason| no_usdt(&shown, provider, name, &reason))?;
        Ok(vec![usdt_target(opened.path(), shown, found, pid)?])
    }

    /// The probe in the executable of a process, or in the libraries that it has loaded.
    fn usdt_of_process(&mut self, pid: Option<u32>, provider: Option<&str>, name: &str) -> Result<Vec<Target>, Miss> {
        let Some(number) = pid else {
            let written = provider.map(|provider| format!("{provider}:")).unwrap_or_default();
            let mut miss = Miss::new(format!("`usdt:{written}{name}` names no binary, and there is no --pid"));
            let any = provider.map(|binary| format!(", or usdt:{binary}::{name} if `{binary}` is the binary"));
            let any = any.unwrap_or_default();
            miss.help = Some(format!("give --pid N, or write usdt:BINARY:{written}{name}{any}"));
            return Err(miss);
        };
        let process = self
            .processes
            .entry(number)
            .or_insert_with(|| symres::usdt_of_process(Pid(number)).map_err(|error| error.to_string()));
        let process = process.as_ref().map_err(|error| Miss::new(error.clone()))?;
        let unreadable = process.unreadable.iter().map(|error| format!("not searched: {error}"));
        match process.find(provider, name) {
            Ok(found) => {
                let targets = found
                    .into_iter()
                    .map(|(file, probe)| usdt_target(&file.path, file.shown.display().to_string(), probe, pid));
                targets.collect()
            }
            Err(reason) => {
                let shown = format!("process {number} (its executable and libraries: {} files)", process.searched);
                let mut miss = no_usdt(&shown, provider, name, &reason);
                miss.notes.extend(unreadable);
                Err(miss)
            }
        }
    }

    fn function(&mut self, pid: Option<u32>, binary: Option<String>, name: &str, offset: u64) -> Result<Target, Miss> {
        let binary = self.binaries.entry((pid, binary.clone())).or_insert_with(|| open(pid, binary.as_deref()));
        let binary = binary.as_ref().map_err(|error| Miss::new(error.clone()))?;
        let shown = binary.shown().display().to_string();
        let pattern = Pattern::from_str(name).map_err(|error| Miss::new(error.to_string()))?;
        let answer =
            binary.functions(&pattern).map_err(|error| Miss::new(format!("cannot read `{shown}`: {error}")))?;
        let found = match answer.matches.as_slice() {
            [] => return Err(not_found(name, &shown, &answer)),
            [one] => one,
            several => {
                let mut miss = Miss::new(format!("`{name}` is the name of {} functions of `{shown}`", several.len()));
                miss.notes = several.iter().take(MOST_NAMES).map(|function| function.name.clone()).collect();
                if several.len() > MOST_NAMES {
                    miss.notes.push(format!("and {} more", several.len() - MOST_NAMES));
                }
                miss.help = Some("write one of them with its classes and parameters".to_owned());
                return Err(miss);
            }
        };
        let Some(body) = found.body() else {
            return Err(Miss::new(format!("`{name}` of `{shown}` has no code of its own")));
        };
        if offset >= body.size.0.max(1) {
            let size = body.size.0;
            return Err(Miss::new(format!("`{name}` of `{shown}` has {size} bytes; +{offset} is behind its end")));
        }
        if let Some(caution) = found.role.caution() {
            self.notes.push(format!("{} of {shown}: {caution}", found.name));
        }
        let Some(place) = body.offset.0.checked_add(offset) else {
            return Err(Miss::new(format!("`{name}`+{offset} is behind the end of the file")));
        };
        Ok(Target::UserFunction {
            open: binary.path().to_owned(),
            shown,
            function: found.name.clone(),
            offset: place,
            pid,
        })
    }
}

/// Targets of patterns.
impl Resolver<'_> {
    fn kernel_functions(&mut self, pattern: &NamePattern) -> Result<Target, Miss> {
        let matcher = pattern.matcher().map_err(Miss::new)?;
        let found = names::functions(self.kernel, &|name| matcher.fits(name)).map_err(Miss::new)?;
        let text = pattern.as_str();
        self.check_count(text, found.names.len(), "functions of the kernel that can be probed")?;
        if found.left_out > 0 {
            self.notes.push(format!(
                "`{text}`: {} functions; {} more fit and are left out: the kernel does not trace them, or several have the name",
                found.names.len(),
                found.left_out
            ));
        }
        Ok(Target::KernelFunctions { pattern: text.to_owned(), names: found.names })
    }

    fn tracepoints(&mut self, category: &NamePattern, name: &NamePattern) -> Result<Vec<Target>, Miss> {
        let (categories, events) = (category.matcher().map_err(Miss::new)?, name.matcher().map_err(Miss::new)?);
        let found = names::tracepoints(self.kernel, &|category, name| categories.fits(category) && events.fits(name));
        let found = found.map_err(Miss::new)?;
        let text = format!("{}:{}", category.as_str(), name.as_str());
        self.check_count(&text, found.len(), "tracepoints")?;
        self.notes.push(format!("`{text}`: {} tracepoints", found.len()));
        Ok(found.into_iter().map(|(category, name)| Target::Tracepoint { category, name }).collect())
    }

    fn user_functions(
        &mut self,
        pid: Option<u32>,
        binary: Option<String>,
        pattern: &NamePattern,
    ) -> Result<Target, Miss> {
        let matcher = pattern.matcher().map_err(Miss::new)?;
        let opened = self.binaries.entry((pid, binary.clone())).or_insert_with(|| open(pid, binary.as_deref()));
        let opened = opened.as_ref().map_err(|error| Miss::new(error.clone()))?;
        let shown = opened.shown().display().to_string();
        let (open, text) = (opened.path().to_owned(), pattern.as_str());
        // symres knows what `*` means in the names of C++; a regular expression is for the whole name.
        let is_regex = text.starts_with('/');
        let asked =
            Pattern::from_str(if is_regex { "*" } else { text }).map_err(|error| Miss::new(error.to_string()))?;
        let answer = opened.functions(&asked).map_err(|error| Miss::new(format!("cannot read `{shown}`: {error}")))?;
        let fitting = answer.matches.iter().filter(|function| !is_regex || matcher.fits(&function.name));
        // The code that chooses a function runs once, and thunks jump to functions that are there themselves.
        let fitting = fitting.filter(|function| !matches!(function.role, Role::Resolver | Role::Thunk));
        let mut functions: Vec<(String, u64)> =
            fitting.filter_map(|function| Some((function.name.clone(), function.body()?.offset.0))).collect();
        functions.sort_unstable_by_key(|(_, offset)| *offset);
        functions.dedup_by_key(|(_, offset)| *offset);
        if functions.is_empty() && !is_regex {
            return Err(not_found(text, &shown, &answer));
        }
        self.check_count(text, functions.len(), &format!("functions of `{shown}`"))?;
        Ok(Target::UserFunctions { open, shown, pattern: text.to_owned(), functions, pid })
    }

    /// That a pattern stands for something, and for no more than it may.
    fn check_count(&self, pattern: &str, count: usize, what: &str) -> Result<(), Miss> {
        if count == 0 {
            return Err(Miss::new(format!("`{pattern}` fits no {what}")));
        }
        if count > self.most {
            let mut miss = Miss::new(format!("`{pattern}` fits {count} {what}, and may fit {} at most", self.most));
            miss.help = Some(format!("write a narrower pattern, or give --max-targets {count}"));
            return Err(miss);
        }
        Ok(())
    }
}

/// How many functions of one name are listed.
const MOST_NAMES: usize = 10;

fn open(pid: Option<u32>, binary: Option<&str>) -> Result<Binary, String> {
    let opened = match (pid, binary) {
        (Some(pid), None) => Binary::of_pid(Pid(pid)),
        (Some(pid), Some(name)) if !name.contains('/') => Binary::in_process(Pid(pid), name),
        (_, Some(name)) => Binary::find(name),
        (None, None) => return Err("no binary is named".to_owned()),
    };
    opened.map_err(|error| error.to_string())
}

fn not_found(name: &str, shown: &str, answer: &Answer) -> Miss {
    let mut miss = Miss::new(format!("`{shown}` has no function `{name}`"));
    if let Some(reason) = &answer.reason {
        miss.notes.push(reason.to_string());
        miss.help = Some(reason.advice().to_owned());
    }
    if !answer.near.is_empty() {
        let near: Vec<&str> = answer.near.iter().take(3).map(|function| function.name.as_str()).collect();
        miss.notes.push(format!("names like it: {}", near.join("; ")));
    }
    miss
}

fn usdt_target(open: &Path, shown: String, probe: &UsdtProbe, pid: Option<u32>) -> Result<Target, Miss> {
    // libbpf refuses the whole probe for one site or argument that it does not understand; so it is said here, with what it is.
    for site in &probe.sites {
        if site.offset.is_none() {
            let place = site.addr;
            return Err(Miss::new(format!("`{probe}` of `{shown}` has a site at {place}, where the file has no code")));
        }
        for (number, argument) in site.arguments().iter().enumerate() {
            if let Some(why) = argument.unreadable() {
                let (number, text) = (number + 1, &argument.text);
                let mut miss = Miss::new(format!("`{probe}` of `{shown}` cannot be probed"));
                miss.notes.push(format!("argument {number} at {} is `{text}`: {why}", site.addr));
                miss.help = Some("probe a function around it, with uprobe:BINARY:FUNCTION".to_owned());
                return Err(miss);
            }
        }
    }
    Ok(Target::Usdt {
        open: open.to_owned(),
        shown,
        provider: probe.provider.clone(),
        name: probe.name.clone(),
        sites: probe.sites.len(),
        forms: probe.argument_forms(),
        arguments: probe.argument_count(),
        semaphore: probe.has_semaphore(),
        pid,
    })
}

/// The message for a function that is attached as several kinds.
fn of_several_kinds(program: &ProgramFact, given: &[&Attach]) -> Option<Diagnostic> {
    let kinds: Vec<(&str, Option<Span>)> =
        given.iter().filter_map(|attach| Some((attach.alternatives.first()?.kind.as_str(), attach.span))).collect();
    let (first, _) = *kinds.first()?;
    let (other, span) = *kinds.iter().find(|(kind, _)| *kind != first)?;
    let function = &program.function;
    let message = format!("`{function}` is attached as {first} and as {other}; one function can only be of one kind");
    let help = format!("write a second function that calls `{function}`, and attach that");
    Some(Diagnostic::error(message, span.unwrap_or(program.span)).help(help))
}

/// The message for a USDT probe that has fewer arguments than the program reads.
fn too_few_arguments(program: &ProgramFact, target: &Target, span: Span) -> Option<Diagnostic> {
    let Target::Usdt { shown, provider, name, arguments, .. } = target else { return None };
    let wanted = program.forms.iter().filter_map(|form| form.arguments).max()?;
    let wanted = usize::try_from(wanted).ok().filter(|wanted| wanted > arguments)?;
    let function = &program.function;
    let message = format!("`{function}` reads argument {wanted}, and `{provider}:{name}` of `{shown}` has {arguments}");
    Some(Diagnostic::error(message, span).help("`dbcc symbols --usdt BINARY` shows the arguments of all its probes"))
}

fn no_usdt(shown: &str, provider: Option<&str>, name: &str, reason: &UsdtReason) -> Miss {
    let written = provider.map(|provider| format!("{provider}:")).unwrap_or_default();
    let mut miss = Miss::new(format!("`{shown}` has no USDT probe `{written}{name}`"));
    miss.notes.push(reason.to_string());
    if let UsdtReason::NotThere { near, .. } = reason
        && !near.is_empty()
    {
        miss.notes.push(format!("names like it: {}", near.join("; ")));
    }
    miss.help = Some(reason.advice().to_owned());
    miss
}
