//! What to probe in place of a function that is not there: those that call what is left of it, or that it calls.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::addr::VirtAddr;
use crate::answer::{Answer, Function, NEAR_LIMIT, Neighbour, PlaceKind, Reason, Relation, Role};
use crate::calls::{Call, Calls};
use crate::error::Error;
use crate::source::{SymbolTable, Table};

/// The calls of so many places are read.
const MAX_PLACES: usize = 8;

/// What of `answer`, which has no match, is left in the code: pieces of the function, its entries of the procedure linkage
/// table, or the function itself where such an entry was asked for.
fn left(answer: &Answer) -> impl Iterator<Item = &Function> {
    let wanted: &[Role] = match answer.reason {
        Some(Reason::OnlyPieces) => &[Role::Piece],
        Some(Reason::Imported) => &[Role::Plt],
        Some(Reason::NoPlt) => &[Role::Whole, Role::Copy],
        _ => &[],
    };
    answer.near.iter().filter(|function| wanted.contains(&function.role))
}

/// The functions around what is left; `calls` reads those of a place.
///
/// # Errors
///
/// When the code or a symbol table cannot be read.
pub(crate) fn of_answer(
    answer: &Answer,
    tables: &[(Table, SymbolTable)],
    calls: impl Fn(&crate::Place) -> Result<Calls, Error>,
) -> Result<Vec<Neighbour>, Error> {
    let own: BTreeSet<VirtAddr> = left(answer).flat_map(|f| &f.places).map(|place| place.addr).collect();
    let mut found = Vec::new();
    for function in left(answer) {
        for place in function.places.iter().filter(|place| !matches!(place.kind, PlaceKind::Inlined(_))) {
            let Calls { callers, callees, .. } = calls(place)?;
            let neighbour = |relation| {
                move |call: Call| {
                    let name = call.name?;
                    let of = function.mangled.clone();
                    Some(Neighbour { name, addr: Some(call.addr), exported: false, relation, of })
                }
            };
            found.extend(callers.into_iter().filter_map(neighbour(Relation::Caller)));
            // The entries of the linkage table only go on to the function that is not here.
            let callees = callees.into_iter().filter(|_| place.kind == PlaceKind::Body);
            found.extend(callees.filter_map(neighbour(Relation::Callee)));
            if own.len() > MAX_PLACES && found.len() >= NEAR_LIMIT {
                break;
            }
        }
    }
    found.retain(|neighbour| neighbour.addr.is_none_or(|addr| !own.contains(&addr)));
    mark_exported(&mut found, tables)?;
    Ok(best(found))
}

/// Into which functions one was inlined everywhere.
pub(crate) fn holders(function: &Function) -> impl Iterator<Item = Neighbour> {
    function.inlined().filter_map(|(_, inlined)| {
        let (relation, of) = (Relation::InlinedInto, function.name.clone());
        let name = inlined.callers.last()?.name.clone();
        Some(Neighbour { name, addr: None, exported: false, relation, of })
    })
}

/// The best of them, each once.
pub(crate) fn best(mut found: Vec<Neighbour>) -> Vec<Neighbour> {
    found.sort_by(|a, b| {
        let key = |n: &Neighbour| (!n.exported, n.relation, n.addr);
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    found.dedup_by(|a, b| (a.relation, a.addr, &a.name) == (b.relation, b.addr, &b.name));
    found.truncate(NEAR_LIMIT);
    found
}

fn mark_exported(found: &mut [Neighbour], tables: &[(Table, SymbolTable)]) -> Result<(), Error> {
    let wanted: BTreeSet<VirtAddr> = found.iter().filter_map(|neighbour| neighbour.addr).collect();
    let mut exported = BTreeSet::new();
    for (_, symbols) in tables.iter().filter(|(table, _)| *table == Table::Dynsym) {
        symbols.each_entry::<()>(|entry| {
            if entry.kind.is_function() && wanted.contains(&entry.addr) {
                exported.insert(entry.addr);
            }
            ControlFlow::Continue(())
        })?;
    }
    for neighbour in found {
        neighbour.exported = neighbour.addr.is_some_and(|addr| exported.contains(&addr));
    }
    Ok(())
}
