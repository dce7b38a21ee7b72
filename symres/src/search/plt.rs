//! Entries of the procedure linkage table by the functions that they lead to.

use super::build::{Aliases, Code, aliases_of, shown};
use crate::addr::VirtAddr;
use crate::answer::{Alias, Answer, Function, PlaceKind, Reason, Role};
use crate::demangle::RawName;
use crate::elf::Elf;
use crate::error::Error;
use crate::pattern::Pattern;
use crate::plt::{Entry, Target, covers, entries};
use crate::source::{Kind, SymbolTable, Table};

/// The entries for the functions that `pattern` names. What is not there has the reason of `answer`, which is that to
/// `pattern` itself.
pub(crate) fn of_functions(
    elf: &Elf,
    tables: &[(Table, SymbolTable)],
    pattern: &Pattern,
    answer: Answer,
) -> Result<Answer, Error> {
    let matches = find(elf, tables, |symbol| pattern.matches_linkage_name(symbol))?;
    if !matches.is_empty() {
        return Ok(Answer { matches, near: Vec::new(), more_near: false, reason: None, ..answer });
    }
    let reason = answer.reason.or(Some(Reason::NoPlt));
    let mut near = answer.matches;
    near.truncate(crate::answer::NEAR_LIMIT);
    near.extend(answer.near);
    let more_near = answer.more_near || near.len() > crate::answer::NEAR_LIMIT;
    near.truncate(crate::answer::NEAR_LIMIT);
    Ok(Answer { matches: Vec::new(), near, more_near, reason, ..answer })
}

/// The entries for the functions with the symbols that `is_wanted` says yes to, those of one function as its places.
pub(super) fn find(
    elf: &Elf,
    tables: &[(Table, SymbolTable)],
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Function>, Error> {
    let entries = entries(elf)?;
    let names = names_of_resolvers(elf, tables, &entries)?;
    let mut wanted: Vec<(String, Entry)> = Vec::new();
    for entry in entries {
        let name = symbols(&entry, &names).find(|symbol| is_wanted(symbol)).map(str::to_owned);
        wanted.extend(name.map(|name| (name, entry)));
    }
    wanted.sort_by(|(name_a, a), (name_b, b)| (name_a, a.addr).cmp(&(name_b, b.addr)));
    let mut code = Code::new(elf);
    let mut functions: Vec<Function> = Vec::new();
    for (name, entry) in wanted {
        let function = function(&mut code, &entry, &name, &names)?;
        match functions.last_mut().filter(|last| last.mangled == function.mangled) {
            Some(last) => last.places.extend(function.places),
            None => functions.push(function),
        }
    }
    Ok(functions)
}

/// The entry that holds the instruction at `addr`.
pub(super) fn at(elf: &Elf, tables: &[(Table, SymbolTable)], addr: VirtAddr) -> Result<Option<Function>, Error> {
    if !covers(elf, addr) {
        return Ok(None);
    }
    let holds = |entry: &Entry| addr.0.checked_sub(entry.addr.0).is_some_and(|into| into < entry.size.0);
    let Some(entry) = entries(elf)?.into_iter().find(holds) else { return Ok(None) };
    let names = names_of_resolvers(elf, tables, std::slice::from_ref(&entry))?;
    let name = symbols(&entry, &names).next().map(str::to_owned);
    name.map(|name| function(&mut Code::new(elf), &entry, &name, &names)).transpose()
}

/// The symbols at the resolvers that entries lead to.
fn names_of_resolvers(elf: &Elf, tables: &[(Table, SymbolTable)], entries: &[Entry]) -> Result<Aliases, Error> {
    let tables: Vec<_> = tables.iter().map(|(table, symbols)| (*table, symbols)).collect();
    let resolvers = entries.iter().filter_map(|entry| match entry.target {
        Target::Resolver(addr) => Some(addr),
        Target::Symbol(_) => None,
    });
    aliases_of(elf, &tables, resolvers, |kind| kind == Kind::Ifunc)
}

/// The symbols of what an entry leads to.
fn symbols<'a>(entry: &'a Entry, names: &'a Aliases) -> impl Iterator<Item = &'a str> {
    let (symbol, resolver) = match &entry.target {
        Target::Symbol(symbol) => (Some(symbol.as_str()), None),
        Target::Resolver(addr) => (None, names.get(addr)),
    };
    symbol.into_iter().chain(resolver.into_iter().flatten().map(String::as_str))
}

fn function(code: &mut Code<'_>, entry: &Entry, name: &str, names: &Aliases) -> Result<Function, Error> {
    let at_plt = |name: &str| format!("{name}@plt");
    let alias = |name: &str| Alias { name: at_plt(&shown(RawName::new(name))), mangled: at_plt(name) };
    let Alias { name: shown, mangled } = alias(name);
    Ok(Function {
        name: shown,
        mangled,
        tables: vec![Table::Plt],
        role: Role::Plt,
        aliases: symbols(entry, names).filter(|other| *other != name).map(alias).collect(),
        signature: None,
        declared: None,
        places: vec![code.place(entry.addr, entry.size, PlaceKind::Plt)?],
    })
}
