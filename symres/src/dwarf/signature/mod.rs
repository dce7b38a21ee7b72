//! What the debug information says of one function: its parameters, their types, what it returns, and where all of them are.
//!
//! The caller finds the entries (DIEs) and the units; [`describe`] reads from there. It never fails: what is damaged or
//! missing becomes `Unknown`, and the work is bounded by [`Context`].

mod abi;
mod die;
mod expression;
mod frame;
mod layout;
mod location;
mod operation;
mod parameters;
mod scope;
pub(super) mod spelling;
mod trivial;
pub(super) mod types;

pub(crate) use abi::{Plain, plain_places};

pub(super) use die::{Context, DebugUnit, Die, Entry, Language, Reach, Reference, flag, language_of, number};

pub(crate) use frame::{Frames, indexed};

use gimli::Reader;

use crate::location::{Argument, Location};
use crate::signature::{Origin, Parameter, Signature};

/// An instruction at which the arguments are wanted.
pub(crate) struct Site<'a, R: Reader<Offset = usize>> {
    /// The concrete out-of-line function that holds the instruction: its frame is the one on the stack. It is the described
    /// function itself, or the one into which that is inlined.
    pub(crate) outer: &'a Die<R>,
    /// The address of the instruction, as the debug information has it.
    pub(crate) pc: u64,
    /// What is there.
    pub(crate) kind: SiteKind,
}

/// What is at a [`Site`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SiteKind {
    /// The first instruction of the described function's body: no instruction of it has changed a register yet.
    Entry {
        /// The body is a copy that the compiler made for some callers (`.isra.0`, `.constprop.0`), or a piece: it does not
        /// get its arguments as the source has them.
        copy: bool,
    },
    /// Any other instruction: the first of an inlined copy, one inside.
    Inside,
}

/// What [`describe`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) signature: Signature,
    /// One for each parameter of the signature; empty when no site was given.
    pub(crate) arguments: Vec<Argument>,
    /// It is a function of C++, whose name has its parameters.
    is_cpp: bool,
}

impl Description {
    /// What the function's name ends with, where it has no linkage name.
    pub(crate) fn of_name(&self) -> String {
        if self.is_cpp { self.signature.of_cpp_name() } else { String::new() }
    }
}

/// Describes the function of a `DW_TAG_subprogram` (abstract, concrete or a declaration) or of a
/// `DW_TAG_inlined_subroutine`, and where its arguments are at a place in it.
pub(crate) fn describe<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    function: &Die<R>,
    site: Option<&Site<'_, R>>,
) -> Description {
    context.begin();
    let declared = parameters::declaration(context, function);
    let told = site.map(|site| location::told(context, &declared, site)).unwrap_or_default();
    let convention = abi::Convention::of(context, &declared, &told);
    let arguments = site.map_or_else(Vec::new, |site| {
        let all = location::arguments(&declared, &convention, site, told);
        declared.formals.iter().zip(all).filter(|(formal, _)| !formal.hidden).map(|(_, argument)| argument).collect()
    });
    let conventional = convention.arguments.iter().cloned().map(|location| match location {
        Location::Unknown | Location::OptimizedOut => None,
        known => Some(known),
    });
    let parameters = declared.formals.iter().zip(conventional.chain(std::iter::repeat(None)));
    let parameters = parameters.filter(|(formal, _)| !formal.hidden);
    let signature = Signature {
        parameters: parameters
            .map(|(formal, passed_in)| Parameter {
                name: formal.name.clone(),
                ty: formal.ty.clone(),
                artificial: formal.artificial,
                passed_in,
            })
            .collect(),
        returns: Some(declared.returns.clone()),
        returns_in: convention.returns_in.clone(),
        variadic: declared.variadic,
        origin: Origin::DebugInfo,
    };
    let is_cpp = declared.dialect.language == die::Language::Cpp;
    Description { signature, arguments, is_cpp }
}

#[cfg(test)]
mod tests;
