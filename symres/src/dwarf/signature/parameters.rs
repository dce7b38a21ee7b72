//! The parameters of a function, from all of its entries: the declaration, the abstract one, and a copy of it.

use std::ops::ControlFlow;

use gimli::Reader;

use super::die::{Context, Dialect, Die, Entry, Found, Language, flag};
use super::types;
use crate::signature::Type;

/// More parameters are not looked at. C++ asks compilers to support 256.
const MAX_PARAMETERS: usize = 512;

/// A function as it is declared.
pub(super) struct Declaration<R: Reader<Offset = usize>> {
    pub(super) formals: Vec<Formal<R>>,
    pub(super) returns: Type,
    /// The entry of what it returns; none is `void`.
    pub(super) return_type: Option<Die<R>>,
    pub(super) variadic: bool,
    /// Its entries: the given one first, then what that is a copy or the definition of.
    pub(super) chain: Vec<Found<R>>,
    pub(super) dialect: Dialect,
    /// The given entry is the code of the function, here or inlined, and lists the parameters that are left there.
    pub(super) concrete: bool,
}

/// One parameter.
pub(super) struct Formal<R: Reader<Offset = usize>> {
    pub(super) name: Option<String>,
    pub(super) ty: Type,
    pub(super) type_die: Option<Die<R>>,
    pub(super) artificial: bool,
    /// It is not of the source: whether a constructor is for a whole object (`__in_chrg`), and how it finds its virtual bases
    /// (`__vtt_parm`).
    pub(super) hidden: bool,
    /// It is hidden, and the code does not get it.
    pub(super) not_passed: bool,
    /// Its entries: that of the copy first, where it has one.
    pub(super) dies: Vec<Found<R>>,
    /// The copy has no entry for it.
    pub(super) missing: bool,
}

/// Reads the parameters, through abstract origin and specification.
pub(super) fn declaration<R: Reader<Offset = usize>>(context: &Context<'_, R>, function: &Die<R>) -> Declaration<R> {
    let chain = context.chain(function);
    let dialects = || chain.iter().map(|(die, _)| die.unit.dialect());
    let dialect = dialects().find(|dialect| dialect.language != Language::Other).or_else(|| dialects().next());
    let dialect = dialect.unwrap_or(Dialect { language: Language::Other, tells_defaulted: false, llvm: true });
    let language = dialect.language;
    let lists: Vec<(Vec<Die<R>>, bool)> = chain.iter().map(|(die, _)| children(context, die)).collect();

    // A copy lists what is left of the abstract function's parameters. A definition has all of them, with their names;
    // a declaration may have them without.
    let concrete = chain.first().is_some_and(|(_, entry)| has_code(entry));
    let copy = concrete && chain.first().is_some_and(|(_, entry)| entry.has_attr(gimli::DW_AT_abstract_origin));
    let listed = |skip: usize| lists.iter().skip(skip).position(|(list, _)| !list.is_empty()).map(|at| at + skip);
    let whole = listed(usize::from(copy)).or_else(|| listed(0));
    let (mut formals, variadic) = match whole.and_then(|at| lists.get(at)) {
        Some((list, variadic)) => (list.clone(), *variadic),
        None => (Vec::new(), lists.iter().any(|(_, variadic)| *variadic)),
    };
    let copies: &[Die<R>] = match lists.first() {
        Some((list, _)) if copy && whole != Some(0) => list,
        _ => &[],
    };
    let copies: Vec<Vec<Found<R>>> = copies.iter().map(|die| context.chain(die)).collect();
    // A parameter of the copy that the abstract function does not know: kept, behind the others.
    let strange =
        |chain: &&Vec<Found<R>>| !chain.iter().skip(1).any(|(die, _)| formals.iter().any(|formal| formal.same(die)));
    let strange: Vec<Die<R>> = copies.iter().filter(strange).filter_map(|c| Some(c.first()?.0.clone())).collect();
    if formals.is_empty() {
        formals = strange;
    }

    let in_copy = copy && !copies.is_empty();
    let formals = formals.iter().take(MAX_PARAMETERS).map(|die| formal(context, die, &copies, in_copy, language));
    let formals = formals.collect();
    let return_type = chain.iter().find_map(|(die, entry)| context.follow(die, entry, gimli::DW_AT_type));
    let returns = types::describe(context, return_type.as_ref(), language);
    Declaration { formals, returns, return_type, variadic, chain, dialect, concrete }
}

/// It is not only a declaration or an abstract function.
fn has_code<R: Reader<Offset = usize>>(entry: &Entry<R>) -> bool {
    entry.tag() == gimli::DW_TAG_inlined_subroutine
        || entry.has_attr(gimli::DW_AT_low_pc)
        || entry.has_attr(gimli::DW_AT_ranges)
}

/// The parameters that an entry lists, and whether more may follow.
fn children<R: Reader<Offset = usize>>(context: &Context<'_, R>, die: &Die<R>) -> (Vec<Die<R>>, bool) {
    let mut list = Vec::new();
    let mut variadic = false;
    let mut packs = Vec::new();
    context.children(die, |child, entry| {
        match entry.tag() {
            gimli::DW_TAG_formal_parameter => list.push(child.clone()),
            gimli::DW_TAG_unspecified_parameters => variadic = true,
            // Its place in the list is kept by the number of those before it.
            gimli::DW_TAG_GNU_formal_parameter_pack => packs.push((list.len(), child.clone())),
            _ => {}
        }
        if list.len() < MAX_PARAMETERS && packs.len() < MAX_PARAMETERS {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    for (at, pack) in packs.into_iter().rev() {
        let mut inside = Vec::new();
        context.children(&pack, |child, entry| {
            if entry.tag() == gimli::DW_TAG_formal_parameter {
                inside.push(child.clone());
            }
            if inside.len() < MAX_PARAMETERS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if list.len() + inside.len() <= MAX_PARAMETERS {
            list.splice(at..at, inside);
        }
    }
    (list, variadic)
}

fn formal<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    copies: &[Vec<Found<R>>],
    in_copy: bool,
    language: Language,
) -> Formal<R> {
    let copy = copies.iter().find(|chain| chain.iter().skip(1).any(|(origin, _)| origin.same(die)));
    let dies = copy.cloned().unwrap_or_else(|| context.chain(die));
    let name = dies.iter().find_map(|(die, entry)| context.text(die, entry, gimli::DW_AT_name));
    let type_die = dies.iter().find_map(|(die, entry)| context.follow(die, entry, gimli::DW_AT_type));
    let type_die = types::unqualified(context, type_die.as_ref());
    let artificial = dies.iter().any(|(_, entry)| flag(entry, gimli::DW_AT_artificial));
    let missing = in_copy && copy.is_none();
    let in_charge = artificial && name.as_deref() == Some("__in_chrg");
    let hidden = in_charge || artificial && name.as_deref() == Some("__vtt_parm");
    // The copies of a constructor for the whole object and for a base are without the first; only the rare one that serves
    // as both gets it.
    let placed = || dies.first().is_some_and(|(_, entry)| entry.has_attr(gimli::DW_AT_location));
    let not_passed = hidden && (missing || in_charge && !placed());
    // A parameter without a type is damaged: `void` would be wrong.
    let ty = match &type_die {
        Some(_) => types::describe(context, type_die.as_ref(), language),
        None => Type { text: "...".to_owned(), size: None, class: crate::signature::TypeClass::Unknown },
    };
    Formal { name, ty, type_die, artificial, hidden, not_passed, dies, missing }
}
