//! Objects that `dbcc build` makes: a BPF object that any libbpf can load, and in a section of its own what dbcc knows of
//! the probe.
//!
//! The object holds what was compiled for the kernel that it was built on, and further variants where the text asks what
//! the kernel offers (`#ifdef DBCC_HAVE_KPROBE`). [`Built::choose`] takes the one that fits the running kernel. What a
//! variant takes from the kernel that it was built on and CO-RE does not relocate is told by its [`Ties`], and is compared
//! before anything is loaded.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::elf;
use crate::facts::{Compiled, Facts};
use crate::kernel::Kernel;
use crate::source::{Source, Span};

mod container;
mod layout;
mod offers;
mod section;
mod ties;

pub use container::BuiltError;
pub use offers::{asked, assuming, offered};
pub use ties::Ties;

/// The most programs, and the most maps, of a probe: far more than the kernel would take.
const MAX_FACTS: usize = 1 << 14;

/// The largest number of a line.
const MAX_LINE: u32 = 1 << 24;

/// What `dbcc build` made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Built {
    /// Version of the dbcc that made it.
    pub dbcc: String,
    /// Release of the kernel that it was made on.
    pub release: String,
    /// The probe's text, with its directives.
    pub source: Source,
    /// `--attach` at the time, each as it was written.
    pub attaches: Vec<String>,
    /// What the text asks of the kernel: names of macros, `DBCC_HAVE_KPROBE`.
    pub asked: BTreeSet<String>,
    /// The objects, best first; libbpf sees the first.
    pub variants: Vec<Variant>,
}

/// One way in which the probe was compiled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Variant {
    /// Sets of what kernels offer that give just this object: of what the text asks for, the names that are defined.
    pub offers: Vec<BTreeSet<String>>,
    /// The object, and what rewriting promised of it.
    pub compiled: Compiled,
    /// Sections of programs that only dbcc loads, since another program in the object does the same on every kernel.
    pub hidden: Vec<String>,
    /// What it takes from the kernel that it was built on.
    pub ties: Ties,
}

impl Built {
    /// Writes the object file.
    ///
    /// # Errors
    /// When an object of a variant cannot be taken apart, or all are too large.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BuiltError> {
        container::write(self)
    }

    /// Reads an object file; none where it is one that dbcc did not make.
    ///
    /// # Errors
    /// When it is damaged, was made by a newer dbcc, or does not hold what it says.
    pub fn from_bytes(bytes: &[u8]) -> Result<Option<Self>, BuiltError> {
        let Some(built) = container::read(bytes)? else { return Ok(None) };
        if !built.is_sound() {
            return Err(BuiltError::Damaged("what it says of the probe is not about its text".to_owned()));
        }
        for Variant { compiled, .. } in &built.variants {
            let contents = elf::read(&compiled.elf).map_err(|error| BuiltError::Damaged(error.to_string()))?;
            contents.check(&compiled.facts, &built.source).map_err(|wrong| {
                let messages: Vec<String> = wrong.into_iter().map(|one| one.message).collect();
                BuiltError::Damaged(messages.join("; "))
            })?;
        }
        Ok(Some(built))
    }

    /// Whether all places are in the text, and nothing is more than a probe can have.
    fn is_sound(&self) -> bool {
        let text = &self.source.text;
        let at = |offset: u32| usize::try_from(offset).is_ok_and(|offset| text.is_char_boundary(offset));
        let inside = |span: &Span| span.start <= span.end && at(span.start) && at(span.end);
        let starts: Vec<u32> = self.source.parts.iter().map(|part| part.start).collect();
        let lines = self.source.parts.iter().all(|part| part.line <= MAX_LINE);
        let all = |facts: &Facts| {
            let programs = facts.programs.iter().map(|program| &program.span);
            let maps = facts.maps.iter().map(|map| &map.span);
            let few = facts.programs.len().max(facts.maps.len()) <= MAX_FACTS;
            few && programs.chain(maps).chain(facts.prints.iter().map(|print| &print.span)).all(inside)
        };
        lines
            && starts.is_sorted()
            && starts.iter().all(|start| at(*start))
            && self.variants.iter().all(|variant| all(&variant.compiled.facts))
    }

    /// Takes the variant for the running kernel. `offered` are the names among [`Built::asked`] that this kernel has.
    ///
    /// A variant that was compiled for just these comes first; then one that was compiled for fewer, which is what the
    /// text does without the others.
    ///
    /// # Errors
    /// Why none can be used here: for each variant, all that is not as it was where it was built.
    pub fn choose(self, offered: &BTreeSet<String>, kernel: &Kernel) -> Result<Chosen, Vec<String>> {
        let exact = |variant: &Variant| variant.offers.contains(offered);
        let fewer = |variant: &Variant| variant.offers.iter().any(|offers| offers.is_subset(offered));
        let count = self.variants.len();
        let (best, rest): (Vec<Variant>, Vec<Variant>) = self.variants.into_iter().partition(exact);
        let rest = rest.into_iter().filter(fewer);
        let mut reasons = Vec::new();
        let candidates = best.into_iter().map(|variant| (variant, true)).chain(rest.map(|variant| (variant, false)));
        for (variant, is_exact) in candidates {
            let unmet = variant.ties.unmet(kernel, &variant.compiled.elf);
            if unmet.is_empty() {
                return Ok(Chosen { compiled: variant.compiled, is_exact, of: count });
            }
            reasons.extend(unmet.into_iter().filter(|reason| !reasons.contains(reason)).collect::<Vec<_>>());
        }
        if reasons.is_empty() {
            reasons.push(format!(
                "the probe asks what the kernel offers, and was not compiled for one that has {}",
                list(offered)
            ));
        }
        Err(reasons)
    }
}

/// The variant that was chosen.
#[derive(Debug)]
pub struct Chosen {
    /// The object and its facts.
    pub compiled: Compiled,
    /// Whether it was compiled for a kernel that offers just what this one does.
    pub is_exact: bool,
    /// How many variants there were.
    pub of: usize,
}

fn list(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return "none of what it asks for".to_owned();
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("only {}", names.join(", "))
}

#[cfg(test)]
mod tests;
