//! Which form of a program is loaded.

use super::{LoadError, Settings};
use crate::bpf::program::ProgramType;
use crate::config::AttachAs;
use crate::facts::{Form, ProgramFact};
use crate::kernel::{Kernel, functions};
use crate::kind::{self, Target};

/// The form that was chosen, and why.
#[derive(Debug)]
pub(super) struct Choice<'f> {
    pub(super) form: &'f Form,
    pub(super) why: String,
}

/// Chooses the first form that the kernel takes, which a trial tells.
pub(super) fn choose<'f>(
    fact: &'f ProgramFact,
    targets: &[Target],
    kernel: &Kernel,
    settings: &Settings,
) -> Result<Choice<'f>, LoadError> {
    let no = |why: String| LoadError::Form { function: fact.function.clone(), why };
    let (better, other): (Vec<&Form>, Vec<&Form>) = fact.forms.iter().partition(|form| is_traced(form).is_some());
    // A function that the user made fentry or fexit has nothing to fall back on: it is loaded as it is.
    let asked = better.iter().any(|form| form.kind == fact.kind);
    let alternatives = !better.is_empty() && !other.is_empty();
    let kernel_function = kind::by_name(&fact.kind).is_some_and(|kind| kind.better().is_some());
    if settings.attach_as == Some(AttachAs::Fentry) && better.is_empty() && kernel_function {
        let why = fact.registers_because.as_deref().unwrap_or("it has no such form");
        return Err(no(format!("--attach-as fentry was given, and {why}")));
    }
    if settings.attach_as == Some(AttachAs::Kprobe) && alternatives {
        let form = other.first().ok_or_else(|| no("it has no form".into()))?;
        return Ok(Choice { form, why: format!("{}: --attach-as kprobe", form.kind) });
    }
    let mut refused = String::new();
    if let Some(first) = better.first() {
        match try_traced(&better, first, fact, targets, kernel, settings) {
            Ok(form) if settings.attach_as == Some(AttachAs::Fentry) => {
                return Ok(Choice { form, why: format!("{}: --attach-as fentry", form.kind) });
            }
            Ok(form) => return Ok(Choice { form, why: format!("{}: the kernel accepted a trial attach", form.kind) }),
            Err(why) if settings.attach_as == Some(AttachAs::Fentry) || asked || !alternatives => return Err(no(why)),
            Err(why) => refused = format!("{}: no {}, since {why}", fact.kind, first.kind),
        }
    }
    let form = other.first().ok_or_else(|| no("it has no form".into()))?;
    if settings.without_kprobe && kernel_function {
        let refused = if refused.is_empty() { refused } else { format!("{refused}; ") };
        return Err(no(format!("{refused}--without kprobe was given")));
    }
    let why = match &fact.registers_because {
        Some(because) if !alternatives && kernel_function => format!("{}: {because}", form.kind),
        _ => refused,
    };
    Ok(Choice { form, why })
}

/// Whether a form is fentry or fexit: if so, whether it is the return.
fn is_traced(form: &Form) -> Option<bool> {
    match kind::by_name(&form.kind)?.program_type() {
        ProgramType::Fentry => Some(false),
        ProgramType::Fexit => Some(true),
        _ => None,
    }
}

/// Tries fentry or fexit: the first of the forms, which differ in how many arguments they count on, that fits the
/// function, or the reason why there is none.
fn try_traced<'f>(
    forms: &[&'f Form],
    first: &Form,
    fact: &ProgramFact,
    targets: &[Target],
    kernel: &Kernel,
    settings: &Settings,
) -> Result<&'f Form, String> {
    if settings.without_fentry {
        return Err("--without fentry was given".to_owned());
    }
    let name = match targets {
        [] => fact.target.as_deref().ok_or("no function is known for it")?,
        [Target::KernelFunction { name, offset: 0 }] => name,
        [Target::KernelFunction { .. }] => {
            return Err("it only serves whole functions, and there is an offset".to_owned());
        }
        [_] => return Err("the target is no kernel function".to_owned()),
        several => return Err(format!("one program serves one function, and there are {}", several.len())),
    };
    // A module's function is not in the kernel's own types, so that there is nothing to try.
    if name.contains(':') {
        return forms.first().copied().ok_or_else(|| "it has no form".to_owned());
    }
    let returns = is_traced(first).unwrap_or(false);
    let function = functions::try_fentry(kernel, name, returns).map_err(|why| why.to_string())?;
    // A struct that is passed in two registers takes two places; a form that counts on another layout reads wrong
    // arguments, and a wrong return value behind them.
    let places: u32 = function.parameters.iter().map(|parameter| parameter.places).sum();
    let fits = |form: &&&Form| form.arguments.is_none_or(|arguments| arguments == places);
    forms.iter().find(fits).copied().ok_or_else(|| {
        let counted: Vec<String> = forms.iter().filter_map(|form| Some(form.arguments?.to_string())).collect();
        format!(
            "the probe was compiled for {} arguments, and `{name}` of this kernel has {places}",
            counted.join(" or ")
        )
    })
}
