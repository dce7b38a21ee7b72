//! USDT probes: of a named binary, or of a process with the libraries that it has loaded.

use std::path::PathBuf;

use symres::{Pid, UsdtArgument, UsdtPlace, UsdtProbe, UsdtReason};

use super::{Miss, Resolver, open};
use crate::bpf::usdt::{Argument, Place, Spec};
use crate::diag::Diagnostic;
use crate::facts::ProgramFact;
use crate::kind::{Target, UsdtSite};
use crate::source::Span;

/// A USDT probe, and the file that it is in.
pub(super) struct FoundUsdt {
    pub(super) open: PathBuf,
    pub(super) shown: String,
    pub(super) probe: UsdtProbe,
}

impl Resolver<'_> {
    pub(super) fn usdt(
        &mut self,
        pid: Option<u32>,
        binary: Option<&str>,
        provider: Option<&str>,
        name: &str,
    ) -> Result<Vec<Target>, Miss> {
        let found = self.find_usdt(pid, binary, provider, name)?;
        found.into_iter().map(|found| usdt_target(found, pid)).collect()
    }

    /// The probe in a binary; without one, in all files of a process that have it.
    pub(super) fn find_usdt(
        &mut self,
        pid: Option<u32>,
        binary: Option<&str>,
        provider: Option<&str>,
        name: &str,
    ) -> Result<Vec<FoundUsdt>, Miss> {
        let (pid, Some(binary)) = (pid, binary) else { return self.usdt_of_process(pid, provider, name) };
        let opened =
            self.binaries.entry((pid, Some(binary.to_owned()))).or_insert_with(|| open(pid, Some(binary), self.lookup));
        let opened = opened.as_ref().map_err(|error| Miss::new(error.clone()))?;
        let shown = opened.shown().display().to_string();
        let usdt = opened.usdt().map_err(|error| Miss::new(error.to_string()))?;
        let found = usdt.find(provider, name).map_err(|reason| no_usdt(&shown, provider, name, &reason))?;
        Ok(vec![FoundUsdt { open: opened.path().to_owned(), shown, probe: found.clone() }])
    }

    /// The probe in the executable of a process, or in the libraries that it has loaded.
    fn usdt_of_process(
        &mut self,
        pid: Option<u32>,
        provider: Option<&str>,
        name: &str,
    ) -> Result<Vec<FoundUsdt>, Miss> {
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
                let found = found.into_iter().map(|(file, probe)| FoundUsdt {
                    open: file.path.clone(),
                    shown: file.shown.display().to_string(),
                    probe: probe.clone(),
                });
                Ok(found.collect())
            }
            Err(reason) => {
                let shown = format!("process {number} (its executable and libraries: {} files)", process.searched);
                let mut miss = no_usdt(&shown, provider, name, &reason);
                miss.notes.extend(unreadable);
                Err(miss)
            }
        }
    }
}

fn usdt_target(found: FoundUsdt, pid: Option<u32>) -> Result<Target, Miss> {
    check(&found)?;
    let FoundUsdt { open, shown, probe } = found;
    Ok(Target::Usdt {
        open,
        shown,
        sites: probe.sites.iter().filter_map(site).collect(),
        forms: probe.argument_forms(),
        arguments: probe.argument_count(),
        semaphore: probe.has_semaphore(),
        provider: probe.provider,
        name: probe.name,
        pid,
    })
}

/// That a probe can be probed: libbpf refuses the whole of it for one site or argument that it does not understand; so it is
/// said here, with what it is.
pub(super) fn check(found: &FoundUsdt) -> Result<(), Miss> {
    let FoundUsdt { shown, probe, .. } = found;
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
    Ok(())
}

/// A site, unless the file has no code there.
fn site(site: &symres::UsdtSite) -> Option<UsdtSite> {
    let arguments = site.arguments();
    let arguments: Option<Vec<Argument<'_>>> = arguments.iter().map(argument).collect();
    let semaphore = site.semaphore_offset.map(|offset| offset.0);
    // A semaphore that cannot be counted up is left to libbpf to complain about.
    let spec = arguments.filter(|_| site.semaphore.is_some() == semaphore.is_some());
    let spec = spec.and_then(|arguments| Spec::new(&arguments));
    Some(UsdtSite { offset: site.offset?.0, semaphore, spec })
}

fn argument(argument: &UsdtArgument) -> Option<Argument<'_>> {
    let place = match &argument.place {
        UsdtPlace::Constant(value) => Place::Constant(*value),
        UsdtPlace::Register(name) => Place::Register(name),
        UsdtPlace::Memory { base: Some(base), index, offset, symbol: None } => {
            let index = index.as_ref().map(|(name, scale)| (name.as_str(), *scale));
            Place::Memory { base, index, offset: *offset }
        }
        _ => return None,
    };
    Some(Argument { size: argument.size?, signed: argument.signed, place })
}

/// The message for a USDT probe that has fewer arguments than the program reads.
pub(super) fn too_few_arguments(program: &ProgramFact, target: &Target, span: Span) -> Option<Diagnostic> {
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
