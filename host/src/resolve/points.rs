//! Every attach point of a probe with what it stands for here, for `dbcc check`: also those that are not taken, and those
//! that have no target.

use super::{Asked, Miss, Resolver, too_few_arguments};
use crate::bpf::program::ProgramType;
use crate::diag::nearest;
use crate::directive::{AttachPoint, Directives};
use crate::facts::{Facts, ProgramFact};
use crate::kernel::{Kernel, names};
use crate::kind::{self, Target};
use crate::prototype::KernelPrototypes;
use crate::source::Span;

/// An attach point of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// The function of the probe.
    pub function: String,
    /// The point as it is written.
    pub written: String,
    /// Whether a run attaches the function there: it is the first alternative that has a target.
    pub is_taken: bool,
    /// What it stands for.
    pub outcome: Result<Found, Missing>,
}

/// What an attach point stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The targets.
    pub targets: Vec<Target>,
    /// What is not seen there.
    pub warnings: Vec<String>,
    /// What was chosen and why.
    pub notes: Vec<String>,
}

/// Why an attach point stands for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is missing.
    pub message: String,
    /// Reasons, and names that are like it.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
}

/// Looks up every attach point. `binary` is that of points that name none.
pub fn points(
    facts: &Facts,
    directives: &Directives,
    asked: &Asked<'_>,
    binary: Option<&str>,
    kernel: &Kernel,
) -> Vec<Point> {
    let mut resolver = Resolver::new(asked, binary, kernel);
    let mut points = Vec::new();
    for program in &facts.programs {
        for (alternatives, span) in alternatives(program, directives) {
            let mut taken = false;
            for point in alternatives {
                let outcome = resolver.look_up(program, &point, span);
                let is_taken = outcome.is_ok() && !taken;
                taken |= is_taken;
                points.push(Point { function: program.function.clone(), written: point.text(), is_taken, outcome });
            }
        }
    }
    points
}

/// The attach points of a program: for each directive its alternatives.
fn alternatives(program: &ProgramFact, directives: &Directives) -> Vec<(Vec<AttachPoint>, Span)> {
    let given = directives.attaches.iter().filter(|attach| attach.function == program.function);
    let given: Vec<_> =
        given.map(|attach| (attach.alternatives.clone(), attach.span.unwrap_or(program.span))).collect();
    match &program.target {
        Some(target) if given.is_empty() => {
            let point = AttachPoint { kind: program.kind.clone(), target: target.clone() };
            vec![(vec![point], program.span)]
        }
        _ => given,
    }
}

impl Resolver<'_> {
    fn look_up(&mut self, program: &ProgramFact, point: &AttachPoint, span: Span) -> Result<Found, Missing> {
        let found = self.point(program, point, span);
        let warnings = std::mem::take(&mut self.warnings).into_iter().map(|warning| warning.message).collect();
        let notes = std::mem::take(&mut self.notes);
        let kind = kind::by_name(&point.kind).map(|kind| kind.program_type());
        let targets = found.and_then(|targets| self.check_kernel(targets, kind == Some(ProgramType::Lsm)))?;
        match targets.iter().find_map(|target| too_few_arguments(program, target, span)) {
            Some(few) => Err(Missing { message: few.message, notes: few.notes, help: few.help.into_iter().next() }),
            None => Ok(Found { targets, warnings, notes }),
        }
    }

    /// That the kernel has what is named of it. A run leaves that to the kernel; where it does not tell its names, so does
    /// this.
    fn check_kernel(&self, targets: Vec<Target>, are_hooks: bool) -> Result<Vec<Target>, Miss> {
        for target in &targets {
            match target {
                Target::KernelFunction { name, .. } if are_hooks => self.check_hook(name)?,
                Target::KernelFunction { name, .. } => self.check_function(name)?,
                Target::Tracepoint { category, name } => self.check_tracepoint(category, name)?,
                _ => {}
            }
        }
        Ok(targets)
    }

    pub(super) fn check_function(&self, name: &str) -> Result<(), Miss> {
        let Ok(found) = names::functions(self.kernel, &|other| other == name) else { return Ok(()) };
        if !found.names.is_empty() {
            return Ok(());
        }
        if found.left_out > 0 {
            let mut miss = Miss::new(format!("the kernel's function `{name}` cannot be probed by its name"));
            miss.notes.push("the kernel does not trace it, or several functions have the name".to_owned());
            return Err(miss);
        }
        let mut miss = Miss::new(format!("the kernel has no function `{name}`"));
        let all = names::functions(self.kernel, &|_| true).map(|all| all.names).unwrap_or_default();
        miss.near(name, &all);
        Err(miss)
    }

    fn check_hook(&self, name: &str) -> Result<(), Miss> {
        let Ok(types) = self.kernel.btf() else { return Ok(()) };
        let prototypes = KernelPrototypes::new(types);
        let all: Vec<String> = prototypes.hooks().map(|hook| String::from_utf8_lossy(hook).into_owned()).collect();
        if all.iter().any(|hook| hook == name) {
            return Ok(());
        }
        let mut miss = Miss::new(format!("the kernel's security modules have no hook `{name}`"));
        miss.near(name, &all);
        Err(miss)
    }

    pub(super) fn check_tracepoint(&self, category: &str, name: &str) -> Result<(), Miss> {
        let Ok(all) = names::tracepoints(self.kernel, &|_, _| true) else { return Ok(()) };
        if all.iter().any(|known| (known.0.as_str(), known.1.as_str()) == (category, name)) {
            return Ok(());
        }
        let wanted = format!("{category}:{name}");
        let mut miss = Miss::new(format!("the kernel has no tracepoint `{wanted}`"));
        let all: Vec<String> = all.into_iter().map(|(category, name)| format!("{category}:{name}")).collect();
        miss.near(&wanted, &all);
        Err(miss)
    }
}

impl Miss {
    /// Adds the name that is most like one that is not there.
    fn near(&mut self, name: &str, all: &[String]) {
        if let Some(near) = nearest(name, all.iter().map(String::as_str)) {
            self.notes.push(format!("a name like it: {near}"));
        }
    }
}

impl From<Miss> for Missing {
    fn from(miss: Miss) -> Self {
        Self { message: miss.message, notes: miss.notes, help: miss.help }
    }
}
