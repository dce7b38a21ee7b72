//! From addresses to the functions and lines that they belong to.

use std::rc::Rc;
use std::sync::Arc;

use gimli::{UnitOffset, constants};

use super::code::{Code, code_of};
use super::describe::{Described, Place, file_number};
use super::load::{Loaded, View};
use super::tree::Kind;
use super::units::Units;
use crate::answer::{Caller, SourceLine};

/// Inlined copies nest some thirty deep.
const MAX_CHAIN: usize = 256;
/// Ranges of addresses in `.debug_aranges`.
const MAX_RANGES: usize = 1 << 22;

/// The functions of a unit by their addresses.
pub(super) struct Map<'v, 's> {
    view: &'v View<'s>,
    home: Rc<Loaded<'s>>,
    /// Bodies and inlined copies by their nodes, what holds another before that.
    codes: Vec<(usize, Code)>,
}

/// What is at an address.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    /// The function whose body it is in.
    pub(crate) function: Arc<Described>,
    /// That body.
    pub(crate) body: Code,
    /// The copies of others that it is in, innermost first: their names, and where they are called.
    pub(crate) inlined: Vec<Caller>,
    /// Where the entry of the innermost of them, or of the body, is in the section: the same for all addresses of one copy.
    pub(crate) innermost: usize,
    /// The line that it belongs to.
    pub(crate) line: Option<SourceLine>,
}

impl<'v, 's> Map<'v, 's> {
    pub(super) fn new(view: &'v View<'s>, home: &Rc<Loaded<'s>>) -> Self {
        let mut codes = Vec::new();
        for (index, node) in home.tree.iter().filter(|(_, node)| node.has_code && node.kind != Kind::Scope) {
            let entry = home.unit.entry(UnitOffset(node.offset));
            if let Ok(Some(code)) = entry.and_then(|entry| code_of(view, home, &entry)) {
                codes.push((index, code));
            }
        }
        Self { view, home: Rc::clone(home), codes }
    }

    /// The innermost function or copy at `addr`.
    pub(super) fn innermost(&self, addr: u64) -> Option<usize> {
        self.codes.iter().rev().find(|(_, code)| code.contains(addr)).map(|(index, _)| *index)
    }

    /// The node of the body (or of the inlined copy) of a function that is entered at `addr`, with its code. Copies of several
    /// functions may be entered at one instruction.
    pub(super) fn entered_at(
        &self,
        addr: u64,
        inlined: bool,
        is_it: impl Fn(&Described) -> bool,
    ) -> Option<(usize, &Code)> {
        let kind = if inlined { Kind::Inlined } else { Kind::Function };
        let is_entered = |index: usize| {
            self.home.tree.get(index).is_some_and(|node| node.kind == kind)
                && Place::new(self.view, &self.home, index).describe().is_ok_and(|function| is_it(&function))
        };
        let entered = self.codes.iter().find(|(index, code)| code.entry == addr && is_entered(*index));
        entered.map(|(index, code)| (*index, code))
    }

    /// What is at `addr`; its line is not told yet.
    pub(super) fn at(&self, addr: u64) -> Option<Located> {
        let index = self.innermost(addr)?;
        let mut current = Place::new(self.view, &self.home, index);
        let innermost = self.home.start + current.node()?.offset;
        let mut inlined = Vec::new();
        while current.node()?.kind == Kind::Inlined && inlined.len() < MAX_CHAIN {
            let entry = current.entry().ok()?;
            let file = entry.attr_value(constants::DW_AT_call_file).as_ref().and_then(file_number);
            let line = entry.attr_value(constants::DW_AT_call_line).and_then(|value| value.udata_value());
            let name = current.describe().ok()?.shown.clone();
            inlined.push(Caller { name, line: current.source_line(file, line) });
            current = current.around()?;
        }
        let body = self.codes.iter().find(|(index, _)| *index == current.index).map(|(_, code)| code.clone())?;
        Some(Located { function: current.describe().ok()?, body, inlined, innermost, line: None })
    }
}

/// The units with code at `addr`: by the table of address ranges, else by what the units say themselves. Compilers do not
/// write that table for all units.
pub(super) fn units_at(view: &View<'_>, units: &Units, addr: u64) -> Vec<usize> {
    let mut found = Vec::new();
    let mut headers = view.dwarf.debug_aranges.headers();
    let mut count = 0;
    while let Ok(Some(header)) = headers.next() {
        let mut entries = header.entries();
        while let Ok(Some(entry)) = entries.next()
            && count < MAX_RANGES
        {
            count += 1;
            if (entry.address()..entry.address().saturating_add(entry.length())).contains(&addr) {
                found.extend(units.index_at(header.debug_info_offset().0));
            }
        }
    }
    if found.is_empty() {
        found.extend((0..units.len()).filter(|index| covers(view, *index, addr).unwrap_or(false)));
    }
    found.dedup();
    found
}

/// Whether a unit says that it has code at `addr`.
fn covers(view: &View<'_>, index: usize, addr: u64) -> Option<bool> {
    let home = view.load_root(index)?;
    let root = home.unit.entry(home.unit.root_offset()).ok()?;
    Some(code_of(view, &home, &root).ok()??.contains(addr))
}
