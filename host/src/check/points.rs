//! What attach points stand for on this machine, as `dbcc check` shows it.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use crate::cli::CheckArgs;
use crate::config::{ConfigError, check_pids};
use crate::directive::Directives;
use crate::facts::Facts;
use crate::kernel::Kernel;
use crate::kind::{Target, UserPlaceKind};
use crate::lookup::Lookup;
use crate::resolve::{self, Point};

/// How many places or functions of one target are listed.
const MOST: usize = 20;

/// Where attach points are looked up.
pub(super) struct Targets {
    pids: Vec<u32>,
    binary: Option<String>,
    debug_dirs: Vec<PathBuf>,
    keep: bool,
}

impl Targets {
    /// Takes what the arguments say of targets; none where they are not asked for.
    pub(super) fn new(args: &CheckArgs) -> Result<Option<Self>, ConfigError> {
        let asked = args.targets || !args.pid.is_empty() || args.binary.is_some();
        let pids = check_pids(&args.pid)?;
        let (binary, debug_dirs) = (args.binary.clone(), args.debug_dir.clone());
        Ok(asked.then_some(Self { pids, binary, debug_dirs, keep: !args.compile.no_cache }))
    }

    /// Looks up all attach points of a probe.
    pub(super) fn points(&self, facts: &Facts, directives: &Directives, kernel: &Kernel) -> Vec<Point> {
        let lookup = Lookup::new(&self.debug_dirs, self.keep);
        let asked = resolve::Asked { pids: &self.pids, most: usize::MAX, at_entry: false, lookup: &lookup };
        resolve::points(facts, directives, &asked, self.binary.as_deref(), kernel)
    }
}

/// Whether each program that has attach points has a target.
pub(super) fn all_found(points: &[Point]) -> bool {
    let functions: BTreeSet<&str> = points.iter().map(|point| point.function.as_str()).collect();
    functions.iter().all(|function| points.iter().any(|point| point.function == *function && point.is_taken))
}

/// The JSON form of an attach point.
#[derive(Serialize)]
pub(super) struct Json<'a> {
    function: &'a str,
    point: &'a str,
    /// Whether a run attaches the function there.
    taken: bool,
    targets: Vec<TargetJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

/// The JSON form of a target.
#[derive(Serialize)]
struct TargetJson {
    target: String,
    /// How many places it has.
    places: usize,
    /// How many of them are copies in other functions.
    inlined: usize,
}

/// An attach point as data.
pub(super) fn json(point: &Point) -> Json<'_> {
    let (targets, missing, warnings, notes, help) = match &point.outcome {
        Ok(found) => {
            let targets = found.targets.iter().map(|target| {
                let (places, inlined) = counts(target);
                TargetJson { target: target.to_string(), places, inlined }
            });
            (targets.collect(), None, found.warnings.as_slice(), found.notes.as_slice(), None)
        }
        Err(missing) => {
            let no_warnings: &[String] = &[];
            (Vec::new(), Some(missing.message.as_str()), no_warnings, missing.notes.as_slice(), missing.help.as_deref())
        }
    };
    Json {
        function: &point.function,
        point: &point.written,
        taken: point.is_taken,
        targets,
        missing,
        warnings,
        notes,
        help,
    }
}

/// How many places a target has, and how many of them are inlined copies.
fn counts(target: &Target) -> (usize, usize) {
    match target {
        Target::UserFunction { places, .. } => {
            (places.len(), places.iter().filter(|place| matches!(place.kind, UserPlaceKind::Inlined { .. })).count())
        }
        Target::UserFunctions { functions, .. } => (functions.len(), 0),
        Target::KernelFunctions { names, .. } => (names.len(), 0),
        Target::Usdt { sites, .. } => (sites.len(), 0),
        _ => (1, 0),
    }
}

/// Writes the attach points of a program under it.
pub(super) fn write(points: &[Point], function: &str, verbose: bool, out: &mut dyn Write) -> io::Result<()> {
    for point in points.iter().filter(|point| point.function == function) {
        let Point { written, is_taken, outcome, .. } = point;
        match outcome {
            Ok(found) => {
                let rest = if *is_taken { "" } else { "  (not taken: an alternative before it is there)" };
                for target in &found.targets {
                    writeln!(out, "    {written} -> {target}{rest}")?;
                    each(target, out)?;
                }
                for warning in &found.warnings {
                    writeln!(out, "      warning: {warning}")?;
                }
                for note in found.notes.iter().filter(|_| verbose) {
                    writeln!(out, "      note: {note}")?;
                }
            }
            Err(missing) => {
                writeln!(out, "    {written} -> nothing: {}", missing.message)?;
                for note in &missing.notes {
                    writeln!(out, "      note: {note}")?;
                }
                if let Some(help) = &missing.help {
                    writeln!(out, "      help: {help}")?;
                }
            }
        }
    }
    Ok(())
}

/// Lists the parts of a target that has several.
fn each(target: &Target, out: &mut dyn Write) -> io::Result<()> {
    let parts: Vec<String> = match target {
        Target::UserFunction { places, .. } if places.len() > 1 => places.iter().map(ToString::to_string).collect(),
        Target::UserFunctions { functions, .. } => {
            functions.iter().map(|(name, offset)| format!("{name} +{offset:#x}")).collect()
        }
        Target::KernelFunctions { names, .. } => names.clone(),
        _ => Vec::new(),
    };
    for part in parts.iter().take(MOST) {
        writeln!(out, "      {part}")?;
    }
    match parts.len().saturating_sub(MOST) {
        0 => Ok(()),
        more => writeln!(out, "      and {more} more"),
    }
}
