//! From an object file to what compiling its text would have given.

use anyhow::Context as _;

use super::{Failure, Prepared, directives};
use crate::built::{Built, BuiltError, Chosen, offered};
use crate::config::CompileSettings;
use crate::directive::{Attach, Directives, parse_attach};
use crate::facts::{Compiled, Features, ProgramFact, TRACE_PIPE};
use crate::foreign;
use crate::input::ObjectFile;
use crate::kernel::Kernel;
use crate::kind;

/// Takes an object as it is: no compiler is looked for.
///
/// # Errors
/// When it is damaged, cannot be used on this kernel, or is asked for what only compiling could do.
pub(super) fn prepare(
    object: &ObjectFile,
    settings: &CompileSettings,
    kernel: &Kernel,
    features: impl FnOnce() -> Features,
) -> Result<Prepared, Failure> {
    let unusable = |error: anyhow::Error| Failure::Unusable(error.context(format!("cannot use {}", object.name)));
    if let Some((name, _)) = settings.defines.iter().find(|(name, _)| name != TRACE_PIPE) {
        let message = format!("-D {name} has no effect on what is compiled already: give it to `dbcc build`");
        return Err(unusable(anyhow::anyhow!(message)));
    }
    let built = Built::from_bytes(&object.bytes).map_err(|error: BuiltError| unusable(error.into()))?;
    let Some(built) = built else {
        let (source, mut compiled) = foreign::read(object).map_err(|error| unusable(error.into()))?;
        let directives = Directives { attaches: settings.attaches.clone(), ..Directives::default() };
        for attach in &directives.attaches {
            fit(attach, &mut compiled).map_err(unusable)?;
        }
        for fact in compiled.facts.programs.iter_mut().filter(|fact| fact.kind.is_empty()) {
            let others = settings.others.unwrap_or_default();
            others.clone_into(&mut fact.kind);
            fact.forms.iter_mut().for_each(|form| others.clone_into(&mut form.kind));
        }
        let notes = vec!["an object that dbcc did not build: its sections say what its programs are".to_owned()];
        return Ok(Prepared { source, directives, compiled, notes });
    };
    let source = built.source.clone();
    let mut given = CompileSettings::default();
    for text in &built.attaches {
        let attach = parse_attach(text).map_err(anyhow::Error::msg).context("a target in it is wrong");
        given.attaches.push(attach.map_err(unusable)?);
    }
    let mut directives = directives(&source, &given)?;
    directives.override_with(settings.attaches.clone());
    let offered = offered(&built.asked, features(), kernel);
    let made = format!("built by dbcc {} on Linux {}", built.dbcc, built.release);
    let Chosen { mut compiled, is_exact, of } = built.choose(&offered, kernel).map_err(|reasons| {
        let message = format!("{made}, and this kernel differs: {}", reasons.join("; "));
        unusable(anyhow::anyhow!("{message}; build it again, on this kernel or on one like it"))
    })?;
    for attach in &settings.attaches {
        fit(attach, &mut compiled).map_err(unusable)?;
    }
    let mut notes = vec![made];
    if of > 1 {
        notes.push(format!("chosen from {of} variants, for what this kernel offers"));
    }
    if !is_exact {
        notes.push("this kernel offers more of what the text asks for than it was compiled for".to_owned());
    }
    Ok(Prepared { source, directives, compiled, notes })
}

/// That a function can be attached as the command line says: what kind of program it is was decided when it was compiled.
fn fit(attach: &Attach, compiled: &mut Compiled) -> anyhow::Result<()> {
    let Some(point) = attach.alternatives.first() else { return Ok(()) };
    let asked = kind::by_name(&point.kind).with_context(|| format!("no kind of attach point is `{}`", point.kind))?;
    // One that is not there is said with the names of those that are.
    for fact in compiled.facts.programs.iter_mut().filter(|fact| fact.function == attach.function) {
        let ProgramFact { kind, forms, .. } = fact;
        if kind.is_empty() {
            // Its section says nothing.
            kind.clone_from(&point.kind);
            forms.iter_mut().for_each(|form| form.kind.clone_from(&point.kind));
        }
        let known = forms.iter().filter_map(|form| kind::by_name(&form.kind));
        let fits = known
            .into_iter()
            .any(|known| known.program_type() == asked.program_type() && known.context() == asked.context());
        anyhow::ensure!(
            fits,
            "`{}` was compiled as a {kind}, and cannot be attached as a {}: give --attach to `dbcc build`",
            attach.function,
            point.kind
        );
    }
    Ok(())
}
