//! `dbcc dump`: what a probe became, stage by stage, with the lines that it came from.

use std::io::Write;

use crate::bpf::OpenObject;
use crate::check;
use crate::cli::{DumpArgs, Stage};
use crate::config::CompileSettings;
use crate::directive::Directives;
use crate::elf::{self, FunctionCode, Section};
use crate::facts::{Compiled, ProgramFact};
use crate::frontend;
use crate::input::Input;
use crate::kernel::{Kernel, capability};
use crate::kind::Target;
use crate::load::{self, Loaded};
use crate::pipeline::{self, Failure, Prepared};
use crate::source::Source;
use crate::toolchain;

mod json;
mod kernel;
mod listing;
mod machine;
mod names;
mod overview;
mod text;
mod verified;

use listing::{Line, Listing};
use overview::Overview;

/// What is dumped.
struct Dump<'d> {
    source: &'d Source,
    compiled: &'d Compiled,
    directives: &'d Directives,
    sections: &'d [Section],
    code: &'d [FunctionCode],
    /// The program that alone is shown.
    only: Option<&'d str>,
}

/// Shows what a probe became. Says whether all that was asked for could be shown; what could not is said on `err`.
///
/// # Errors
/// When the probe is wrong or cannot be loaded where that is needed, there is no program of the name that is given, or output
/// cannot be written.
pub fn run(
    args: &DumpArgs,
    settings: &CompileSettings,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<bool, Failure> {
    let input = Input::read(&args.file)?;
    let kernel = Kernel::new();
    let permitted = capability::missing().is_empty();
    let features = || settings.limit(if permitted { kernel.features() } else { crate::facts::Features::ALL });
    if args.stage == [Stage::Templated] {
        return templated(&input, settings, features(), args, out).map(|()| true);
    }
    let Prepared { source, compiled, directives, .. } = pipeline::prepare(&input, settings, &kernel, features)?;
    let unusable = |error: elf::ElfError| Failure::Unusable(anyhow::Error::from(error).context(args.file.clone()));
    let (sections, code) = elf::code(&compiled.elf).map_err(unusable)?;
    let dump = Dump {
        source: &source,
        compiled: &compiled,
        directives: &directives,
        sections: &sections,
        code: &code,
        only: args.program.as_deref(),
    };
    dump.check_name()?;
    let stages: &[Stage] = if args.stage.is_empty() { &[Stage::Object] } else { &args.stage };
    let needs_kernel = |stage: &Stage| matches!(stage, Stage::Xlated | Stage::Jited);
    let loaded = match stages.iter().any(needs_kernel) {
        true => Some(dump.load(&kernel, settings)?),
        false => None,
    };
    let mut complete = true;
    if args.stage.is_empty() {
        // Who may not load sees the rest.
        let measured = dump.load(&kernel, settings);
        let why = measured.as_ref().err().map(reason);
        let overview = Overview::new(&dump, measured.as_ref().ok().map(Loaded::object), why)?;
        match args.json {
            true => json::overview(&overview, out)?,
            false => text::overview(&overview, out)?,
        }
    }
    for stage in stages {
        let listings = match (stage, &loaded) {
            (Stage::Templated, _) => {
                templated(&input, settings, settings.limit(kernel.features()), args, out)?;
                continue;
            }
            (Stage::Rewritten, _) => {
                write_text(Stage::Rewritten, dump.rewritten(&input)?, args, out)?;
                continue;
            }
            (Stage::Object, _) | (_, None) => dump.object(&kernel),
            (Stage::Xlated, Some(loaded)) => kernel::xlated(&dump, loaded)?,
            (Stage::Jited, Some(loaded)) => kernel::jited(&dump, loaded)?,
        };
        for listing in listings {
            let listing = match listing {
                Ok(listing) => listing,
                Err(why) => {
                    complete = false;
                    writeln!(err, "dbcc: {why}")?;
                    continue;
                }
            };
            match args.json {
                true => json::listing(&listing, out)?,
                false => text::listing(&listing, out)?,
            }
        }
    }
    out.flush()?;
    Ok(complete)
}

/// Why a probe was not loaded, in one line.
fn reason(failure: &Failure) -> String {
    match failure {
        Failure::Quiet => String::new(),
        Failure::Probe { diagnostics, .. } => {
            diagnostics.iter().map(|one| one.message.as_str()).collect::<Vec<_>>().join("; ")
        }
        Failure::Run(error) | Failure::Unusable(error) => format!("{error:#}"),
    }
}

/// Shows the text with what is put around it.
fn templated(
    input: &Input,
    settings: &CompileSettings,
    features: crate::facts::Features,
    args: &DumpArgs,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Input::Text(source) = input else {
        return Err(Failure::Unusable(anyhow::anyhow!(
            "`{}` is compiled already: there is no text to put anything around",
            input.name()
        )));
    };
    let directives = pipeline::directives(source, settings)?;
    let toolchain = toolchain::find_with(&()).map_err(|error| Failure::Unusable(error.into()))?;
    let request = pipeline::request(source, &directives, settings, features, toolchain);
    let text =
        frontend::templated(&request).map_err(|diagnostics| Failure::Probe { source: source.clone(), diagnostics })?;
    write_text(Stage::Templated, &text, args, out)?;
    Ok(())
}

fn write_text(stage: Stage, text: &str, args: &DumpArgs, out: &mut dyn Write) -> std::io::Result<()> {
    match args.json {
        true => json::text(stage, text, out),
        false => writeln!(out, "{}", text.trim_end()),
    }
}

impl Dump<'_> {
    /// That there is a program of the name that is given.
    fn check_name(&self) -> Result<(), Failure> {
        let Some(only) = self.only else { return Ok(()) };
        let of_source = self.compiled.facts.programs.iter().map(|fact| fact.function.as_str());
        let of_object = self.code.iter().map(|function| function.name.as_str());
        let mut names: Vec<&str> = of_source.chain(of_object).collect();
        if names.contains(&only) {
            return Ok(());
        }
        names.sort_unstable();
        names.dedup();
        Err(Failure::Unusable(anyhow::anyhow!("there is no program `{only}`; there are {}", names.join(", "))))
    }

    /// Whether a program of the object is to be shown: by its own name, or that of the function that it was made of.
    fn shows(&self, program: &str) -> bool {
        self.only.is_none_or(|only| {
            let made_of =
                |fact: &ProgramFact| fact.function == only && fact.forms.iter().any(|form| form.program == program);
            only == program || self.compiled.facts.programs.iter().any(made_of)
        })
    }

    fn rewritten(&self, input: &Input) -> Result<&str, Failure> {
        match (self.compiled.text.is_empty(), input) {
            (true, Input::Object(object)) => Err(Failure::Unusable(anyhow::anyhow!(
                "`{}` holds no text: it was compiled elsewhere, without its lines",
                object.name
            ))),
            _ => Ok(&self.compiled.text),
        }
    }

    /// Loads all programs, or the one that is asked for, and has the verifier tell what its work was.
    fn load(&self, kernel: &Kernel, settings: &CompileSettings) -> Result<Loaded, Failure> {
        let loading = load::Settings {
            attach_as: settings.attach_as,
            without_fentry: settings.lacks("fentry"),
            without_kprobe: settings.lacks("kprobe"),
            measured: true,
            ..Default::default()
        };
        let facts = self.compiled.facts.programs.iter().enumerate();
        let wanted: Vec<(usize, Vec<Target>)> = facts
            .filter(|(_, fact)| {
                fact.forms.iter().any(|form| self.shows(&form.program))
                    || self.only.is_some_and(|only| only == fact.function)
            })
            .map(|(index, fact)| (index, check::targets(fact, self.directives)))
            .collect();
        let wanted = wanted.iter().map(|(index, targets)| (*index, targets.as_slice()));
        load::load(self.compiled, wanted, kernel, &loading)
            .map_err(|error| pipeline::explain_load(error, self.source, self.compiled, settings.verbose))
    }

    /// The instructions of the object.
    fn object(&self, kernel: &Kernel) -> Vec<Result<Listing, String>> {
        let helpers = names::Helpers::of(kernel);
        let shown = self.code.iter().filter(|function| self.shows(&function.name));
        shown.map(|function| Ok(listing::of_object(self, function, &helpers))).collect()
    }

    /// A line with the user's own words and file: what clang was told is rewritten.
    fn line(&self, file: &str, line: u32, words: &str) -> Line {
        let name = file.rsplit('/').next().unwrap_or_default();
        let lines = u32::try_from(self.source.text.lines().count()).unwrap_or(u32::MAX);
        // An object of others has the words of some lines alone.
        let own = (name == self.compiled.file && (1..=lines).contains(&line)).then(|| self.source.line(line));
        match own.filter(|own| !own.is_empty()) {
            Some(own) => Line { file: self.source.name.clone(), line, words: own.trim().to_owned() },
            None => Line { file: file.to_owned(), line, words: words.trim().to_owned() },
        }
    }
}

/// The map declarations of an object, in libbpf's hands.
fn definitions(elf: &[u8]) -> Result<Vec<(String, crate::bpf::map::Definition)>, Failure> {
    let open = OpenObject::open(elf).map_err(|error| Failure::Unusable(error.into()))?;
    Ok(open.definitions())
}
