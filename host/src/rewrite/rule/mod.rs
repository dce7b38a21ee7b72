//! The constructs of BCC's dialect: one file each, one row each in [`RULES`].

use crate::diag::Diagnostic;
use crate::source::Span;

use super::{Output, Probe};

pub mod dereference;
pub mod events;
pub mod functions;
pub mod license;
pub mod maps;
pub mod methods;
pub mod packets;
pub mod prints;
pub mod programs;
pub mod tail_calls;
pub mod usdt;

#[cfg(test)]
mod tests;

/// A construct and what becomes of it.
pub trait Rule: Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// What a probe writes, what becomes of it, and how that differs from BCC, if it does. A sentence or more.
    fn documentation(&self) -> &'static str;

    /// A probe that shows it, for the documentation and for the tests.
    fn example(&self) -> &'static str;

    /// Makes the edits, and says what is wrong.
    fn apply(&self, probe: &Probe<'_, '_>, output: &mut Output);
}

/// The rows, in the order in which they run; edits are disjoint, so that the order matters only for what is appended.
pub static RULES: &[&dyn Rule] = &[
    &maps::Maps,
    &methods::Methods,
    &tail_calls::TailCalls,
    &events::Events,
    &prints::Prints,
    &packets::Packets,
    &dereference::Dereference,
    &functions::Functions,
    &programs::Programs,
    &usdt::Usdt,
    &license::License,
];

/// Why a rule cannot do its work at a place.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The probe is wrong.
    Message(Box<Diagnostic>),
    /// What must be edited is not in the text: the body of a macro gives it. The macro's use will be written out.
    InMacro(Span, &'static str),
}

impl From<Diagnostic> for Refusal {
    fn from(message: Diagnostic) -> Self {
        Self::Message(Box::new(message))
    }
}

impl Output {
    /// Notes why a rule cannot do its work.
    fn refuse(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Message(message) => self.messages.push(*message),
            Refusal::InMacro(span, what) => self.in_macros.push((span, what)),
        }
    }
}
