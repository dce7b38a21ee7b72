//! `dbcc check`: everything short of attaching, for each file and each program.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::CheckArgs;
use crate::config::CompileSettings;
use crate::diag::{self, Diagnostic, Located};
use crate::directive::Directives;
use crate::facts::{Compiled, Features, ProgramFact};
use crate::input::Input;
use crate::kernel::{Kernel, capability};
use crate::kind::{self, Target, TargetSpec};
use crate::load::{self, Loaded};
use crate::pipeline::{self, Failure, Prepared};
use crate::source::Source;

/// What was found out about one file.
#[derive(Debug, Default)]
struct Report {
    compiled: bool,
    /// None where loading was not asked for, or there was nothing to load.
    loaded: Option<bool>,
    programs: Vec<Checked>,
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
    failures: &'a [String],
}

/// Checks files and writes a report for each. Says whether all of them compiled and, where asked, loaded.
///
/// # Errors
/// When there is no compiler, or output cannot be written.
pub fn run(args: &CheckArgs, settings: &CompileSettings, colour: bool, out: &mut dyn Write) -> Result<bool, Failure> {
    let kernel = Kernel::new();
    // Who may not load programs cannot try what the kernel offers; the text is then checked for a kernel with everything.
    let everything = Features { kprobe: true, fentry: true, uprobe: true, tracepoint: true, ringbuf: true };
    let permitted = capability::missing().is_empty();
    let features = || settings.limit(if permitted { kernel.features() } else { everything });
    let mut all_good = true;
    for file in &args.files {
        let input = match Input::read(file) {
            Ok(input) => input,
            Err(error) => {
                let report = Report { failures: vec![error.to_string()], ..Report::default() };
                all_good = false;
                let none = Source::from_text(file, "");
                write(&report, &Input::Text(none.clone()), &none, args, colour, out)?;
                continue;
            }
        };
        let (report, source) = check(&input, settings, args.load, &kernel, &features)?;
        all_good &= report.compiled && report.loaded != Some(false);
        write(&report, &input, &source, args, colour, out)?;
    }
    Ok(all_good)
}

fn check(
    input: &Input,
    settings: &CompileSettings,
    load: bool,
    kernel: &Kernel,
    features: &dyn Fn() -> Features,
) -> Result<(Report, Source), Failure> {
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
        why: String::new(),
    });
    let mut report = Report {
        compiled: true,
        programs: programs.collect(),
        diagnostics: compiled.warnings.clone(),
        text: Some(compiled.text.clone()),
        ..Report::default()
    };
    if load {
        let loading = load::Settings {
            attach_as: settings.attach_as,
            without_fentry: settings.lacks("fentry"),
            without_kprobe: settings.lacks("kprobe"),
            ..Default::default()
        };
        let targets: Vec<Vec<Target>> = compiled.facts.programs.iter().map(|fact| targets(fact, &directives)).collect();
        report.load(&source, &compiled, &targets, &loading, kernel, settings.verbose);
    }
    Ok((report, source))
}

impl Report {
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
fn targets(fact: &ProgramFact, directives: &Directives) -> Vec<Target> {
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
            failures: &report.failures,
        };
        serde_json::to_writer(&mut *out, &json)?;
        return writeln!(out);
    }
    if let Some(text) = report.text.as_deref().filter(|_| args.show_c) {
        writeln!(out, "{text}")?;
    }
    out.write_all(diag::render_all(&report.diagnostics, source, colour).as_bytes())?;
    for failure in &report.failures {
        writeln!(out, "{}: {failure}", input.name())?;
    }
    let verdict = match (input, report.compiled, report.loaded) {
        (Input::Text(_), false, _) => "does not compile",
        (Input::Text(_), true, None) => "compiles",
        (Input::Text(_), true, Some(true)) => "compiles and loads",
        (Input::Text(_), true, Some(false)) => "compiles, does not load",
        (Input::Object(_), false, _) => "cannot be used here",
        (Input::Object(_), true, None) => "can be used here",
        (Input::Object(_), true, Some(true)) => "loads",
        (Input::Object(_), true, Some(false)) => "does not load",
    };
    writeln!(out, "{}: {verdict}", input.name())?;
    let width = report.programs.iter().map(|program| program.function.len()).max().unwrap_or(0);
    for Checked { function, kind, loaded, why } in &report.programs {
        let loaded = match loaded {
            None => "",
            Some(true) => "  loaded",
            Some(false) => "  not loaded",
        };
        let kind = if kind.is_empty() { "not attached to anything" } else { kind };
        let why = if args.compile.verbose && !why.is_empty() { format!("  ({why})") } else { String::new() };
        writeln!(out, "  {function:width$}  {kind}{loaded}{why}")?;
    }
    Ok(())
}
