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
pub mod prints;
pub mod programs;

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
    &events::Events,
    &prints::Prints,
    &dereference::Dereference,
    &functions::Functions,
    &programs::Programs,
    &license::License,
];

/// The message for a construct that must be edited and stands in a macro's body.
pub(super) fn in_macro(span: Span, what: &str) -> Diagnostic {
    Diagnostic::error(format!("{what} stands in the body of a macro"), span)
        .help("write it without the macro, or make the macro a `static` function")
}
