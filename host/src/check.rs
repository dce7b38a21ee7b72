//! `dbcc check`: everything short of attaching, for each file and each program.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::CheckArgs;
use crate::config::CompileSettings;
use crate::diag::{self, Diagnostic, Located, Severity};
use crate::directive::Directives;
use crate::facts::{Compiled, Features, Finding, Form, ProgramFact};
use crate::input::Input;
use crate::kernel::{Kernel, capability};
use crate::kind::{self, Target, TargetSpec};
use crate::lint::{self, Levels};
use crate::load::{self, Loaded};
use crate::pipeline::{self, Failure, Prepared};
use crate::render::object_line;
use crate::resolve::Point;
use crate::source::Source;

mod points;

use points::Targets;

/// What was found out about one file.
#[derive(Debug, Default)]
struct Report {
    /// Whether there was no text at all.
    unread: bool,
    compiled: bool,
    /// None where loading was not asked for, or there was nothing to load.
    loaded: Option<bool>,
    programs: Vec<Checked>,
    /// What lints found and nobody allows.
    lints: Vec<Finding>,
    /// What attach points stand for, where that was asked.
    points: Option<Vec<Point>>,
    diagnostics: Vec<Diagnostic>,
    /// Failures that have no place in the text.
    failures: Vec<String>,
    /// The text that clang compiled.
    text: Option<String>,
}

/// What was found out about one program.
#[derive(Debug, Serialize)]
struct Checked {
    function: String,
    /// The kind that it was loaded as, or that it is.
    #[serde(rename = "as")]
    kind: String,
    loaded: Option<bool>,
    /// What it has on the stack with the functions that it calls, in bytes.
    stack: u64,
    /// Why this kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
}

/// The JSON form of a report.
#[derive(Serialize)]
struct Json<'a> {
    kind: &'static str,
    file: &'a str,
    compiled: bool,
    loaded: Option<bool>,
    programs: &'a [Checked],
    messages: Vec<Located<'a>>,
    lints: Vec<LintJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attach_points: Option<Vec<points::Json<'a>>>,
    failures: &'a [String],
}

/// The JSON form of what a lint found.
#[derive(Serialize)]
struct LintJson<'a> {
    lint: &'a str,
    #[serde(flatten)]
    message: Located<'a>,
}

/// Checks files and writes a report for each, or explains a lint. Says whether all files compiled and, where asked, loaded,
/// and no lint that is denied found anything.
///
/// # Errors
/// When there is no compiler or no lint of a name that is given, a file cannot be read, or output cannot be written.
pub fn run(args: &CheckArgs, settings: &CompileSettings, colour: bool, out: &mut dyn Write) -> Result<bool, Failure> {
    let unusable = |why: String| Failure::Unusable(anyhow::anyhow!(why));
    if let Some(name) = args.explain.as_deref() {
        let text = if name.is_empty() { lint::list() } else { lint::explain(name).map_err(unusable)? };
        out.write_all(text.as_bytes())?;
        return Ok(true);
    }
    let levels = Levels::new(&args.allow, &args.deny).map_err(unusable)?;
    let targets = Targets::new(args)?;
    let kernel = Kernel::new();
    // Who may not load programs cannot try what the kernel offers; the text is then checked for a kernel with everything.
    let permitted = capability::missing().is_empty();
    let features = || settings.limit(if permitted { kernel.features() } else { Features::ALL });
    let mut all_good = true;
    let mut unread = 0_usize;
    for file in &args.files {
        let input = match Input::read(file) {
            Ok(input) => input,
            Err(error) => {
                let report = Report { unread: true, failures: vec![error.to_string()], ..Report::default() };
                unread += 1;
                let none = Source::from_text(file, "");
                write(&report, &Input::Text(none.clone()), &none, args, colour, out)?;
                continue;
            }
        };
        let asked = Asked { settings, load: args.load, levels: &levels, targets: targets.as_ref() };
        let (report, source) = check(&input, &asked, &kernel, &features)?;
        all_good &= report.is_good();
        write(&report, &input, &source, args, colour, out)?;
    }
    match (unread, args.files.len()) {
        (0, _) => Ok(all_good),
        (_, 1) => Err(unusable("the file was not read".to_owned())),
        (unread, all) => Err(unusable(format!("{unread} of {all} files were not read"))),
    }
}

/// What is asked about each file.
struct Asked<'a> {
    settings: &'a CompileSettings,
    load: bool,
    levels: &'a Levels,
    targets: Option<&'a Targets>,
}

fn check(
    input: &Input,
    asked: &Asked<'_>,
    kernel: &Kernel,
    features: &dyn Fn() -> Features,
) -> Result<(Report, Source), Failure> {
    let Asked { settings, load, levels, .. } = *asked;
    let Prepared { source, compiled, directives, .. } = match pipeline::prepare(input, settings, kernel, features) {
        Ok(prepared) => prepared,
        Err(Failure::Probe { diagnostics, source }) => {
            return Ok((Report { diagnostics, ..Report::default() }, source));
        }
        // Of several objects, one that cannot be used does not hide the others.
        Err(Failure::Unusable(error)) if matches!(input, Input::Object(_)) => {
            let report = Report { failures: vec![format!("{error:#}")], ..Report::default() };
            return Ok((report, Source::from_text(input.name(), "")));
        }
        Err(failure) => return Err(failure),
    };
    let programs = compiled.facts.programs.iter().map(|fact| Checked {
        function: fact.function.clone(),
        kind: fact.kind.clone(),
        loaded: None,
        stack: stack(fact, &compiled),
        why: String::new(),
    });
    let mut report = Report {
        compiled: true,
        programs: programs.collect(),
        lints: levels.shown(&compiled.lints, &directives.allows, &source),
        diagnostics: compiled.warnings.iter().cloned().chain(lint::allows(&directives.allows)).collect(),
        points: asked.targets.map(|targets| targets.points(&compiled.facts, &directives, kernel)),
        text: Some(compiled.text.clone()),
        ..Report::default()
    };
    if load {
        let loading = load::Settings {
            attach_as: settings.attach_as,
            without_fentry: settings.lacks("fentry"),
            without_kprobe: settings.lacks("kprobe"),
            buffers: directives.buffers.clone(),
            ..Default::default()
        };
        let targets: Vec<Vec<Target>> = compiled.facts.programs.iter().map(|fact| targets(fact, &directives)).collect();
        report.load(&source, &compiled, &targets, &loading, kernel, settings.verbose);
    }
    Ok((report, source))
}

/// What a program has on the stack with the functions that it calls, in that of its forms that has most.
fn stack(program: &ProgramFact, compiled: &Compiled) -> u64 {
    let of = |form: &Form| compiled.stacks.iter().find(|stack| stack.function == form.program).map(|stack| stack.total);
    program.forms.iter().filter_map(of).max().unwrap_or(0)
}

impl Report {
    /// Whether nothing is wrong that decides the exit code.
    fn is_good(&self) -> bool {
        let denied = self.lints.iter().any(|finding| finding.diagnostic.severity == Severity::Error);
        let found = self.points.as_deref().is_none_or(points::all_found);
        self.compiled && self.loaded != Some(false) && !denied && found
    }

    /// Loads all programs at once and, where that fails, one by one, so that one mistake does not hide another.
    fn load(
        &mut self,
        source: &Source,
        compiled: &Compiled,
        targets: &[Vec<Target>],
        loading: &load::Settings,
        kernel: &Kernel,
        verbose: bool,
    ) {
        let wanted = |index: usize| (index, targets.get(index).map(Vec::as_slice).unwrap_or_default());
        if let Ok(loaded) = load::load(compiled, (0..targets.len()).map(wanted), kernel, loading) {
            for checked in &mut self.programs {
                checked.is_loaded(&loaded);
            }
            // Without a program, nothing was verified: a claim that it loads would mean nothing.
            self.loaded = (!targets.is_empty()).then_some(true);
            return;
        }
        self.loaded = Some(true);
        for index in 0..targets.len() {
            let Some(checked) = self.programs.get_mut(index) else { continue };
            match load::load(compiled, [wanted(index)], kernel, loading) {
                Ok(loaded) => checked.is_loaded(&loaded),
                Err(error) => {
                    checked.loaded = Some(false);
                    self.loaded = Some(false);
                    match pipeline::explain_load(error, source, compiled, verbose) {
                        Failure::Probe { diagnostics, .. } => self.diagnostics.extend(diagnostics),
                        Failure::Run(error) | Failure::Unusable(error) => self.failures.push(format!("{error:#}")),
                        Failure::Quiet => {}
                    }
                }
            }
        }
        if targets.is_empty() {
            // Without a program, the maps are all there is to load.
            if let Err(error) = load::load(compiled, [], kernel, loading) {
                self.loaded = Some(false);
                self.failures.push(error.to_string());
            }
        }
    }
}

impl Checked {
    fn is_loaded(&mut self, loaded: &Loaded) {
        self.loaded = Some(true);
        if let Some(program) = loaded.programs().iter().find(|program| program.function == self.function) {
            if let Some(kind) = program.kind {
                kind.name().clone_into(&mut self.kind);
            }
            self.why.clone_from(&program.why);
        }
    }
}

/// The target that a directive or the program's name or section gives, as far as the verifier needs it: what the kernel's
/// types describe is looked up there, everything else is found when it is attached.
pub fn targets(fact: &ProgramFact, directives: &Directives) -> Vec<Target> {
    let given = directives.attaches.iter().find(|attach| attach.function == fact.function);
    let given = given.and_then(|attach| attach.alternatives.first());
    let (kind, target) = match (given, &fact.target) {
        (Some(point), _) => (&point.kind, &point.target),
        (None, Some(target)) => (&fact.kind, target),
        (None, None) => return Vec::new(),
    };
    let spec = kind::by_name(kind).and_then(|kind| kind.parse_target(target).ok());
    match spec.and_then(TargetSpec::found) {
        Some(target @ (Target::KernelFunction { .. } | Target::RawTracepoint { .. } | Target::Iterator { .. })) => {
            vec![target]
        }
        _ => Vec::new(),
    }
}

fn write(
    report: &Report,
    input: &Input,
    source: &Source,
    args: &CheckArgs,
    colour: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    if args.json {
        let json = Json {
            kind: "check",
            file: input.name(),
            compiled: report.compiled,
            loaded: report.loaded,
            programs: &report.programs,
            messages: report.diagnostics.iter().map(|diagnostic| Located::new(diagnostic, source)).collect(),
            lints: report.lints.iter().map(|finding| lint_json(finding, source)).collect(),
            attach_points: report.points.as_ref().map(|points| points.iter().map(points::json).collect()),
            failures: &report.failures,
        };
        return object_line(out, &json);
    }
    if let Some(text) = report.text.as_deref().filter(|_| args.show_c) {
        writeln!(out, "{text}")?;
    }
    let lints = report.lints.iter().map(named);
    let messages: Vec<Diagnostic> = report.diagnostics.iter().cloned().chain(lints).collect();
    out.write_all(diag::render_all(&messages, source, colour).as_bytes())?;
    for failure in &report.failures {
        writeln!(out, "{}: {failure}", input.name())?;
    }
    let verdict = match (input, report.compiled, report.loaded) {
        _ if report.unread => "cannot be read",
        (Input::Text(_), false, _) => "does not compile",
        (Input::Text(_), true, None) => "compiles",
        (Input::Text(_), true, Some(true)) => "compiles and loads",
        (Input::Text(_), true, Some(false)) => "compiles, does not load",
        (Input::Object(_), false, _) => "cannot be used here",
        (Input::Object(_), true, None) => "can be used here",
        (Input::Object(_), true, Some(true)) => "loads",
        (Input::Object(_), true, Some(false)) => "does not load",
    };
    let lints = match report.lints.len() {
        0 => String::new(),
        1 => ", 1 lint".to_owned(),
        count => format!(", {count} lints"),
    };
    writeln!(out, "{}: {verdict}{lints}", input.name())?;
    let width = report.programs.iter().map(|program| program.function.len()).max().unwrap_or(0);
    for Checked { function, kind, loaded, stack, why } in &report.programs {
        let loaded = match loaded {
            None => "",
            Some(true) => "  loaded",
            Some(false) => "  not loaded",
        };
        let kind = if kind.is_empty() { "not attached to anything" } else { kind };
        let why = if args.compile.verbose && !why.is_empty() { format!("  ({why})") } else { String::new() };
        let stack = if *stack > 0 { format!("  {stack} bytes of stack") } else { String::new() };
        writeln!(out, "  {function:width$}  {kind}{loaded}{stack}{why}")?;
        points::write(report.points.as_deref().unwrap_or_default(), function, args.compile.verbose, out)?;
    }
    Ok(())
}

/// A finding as a message that names its lint.
fn named(finding: &Finding) -> Diagnostic {
    let lint = &finding.lint;
    finding.diagnostic.clone().note(format!("this is `{lint}`: see `dbcc check --explain {lint}`"))
}

fn lint_json<'a>(finding: &'a Finding, source: &'a Source) -> LintJson<'a> {
    LintJson { lint: &finding.lint, message: Located::new(&finding.diagnostic, source) }
}
