//! The functions of a unit that a search wants, with where their code is.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use gimli::constants;

use super::code::{Code, code_of};
use super::describe::{Described, Place, file_number};
use super::load::{Loaded, View};
use super::tree::{Kind, Node, Origin, Tree};
use crate::answer::Caller;
use crate::pattern::Pattern;

/// See `describe.rs`.
const MAX_CHAIN: usize = 16;
/// Inlined copies nest some thirty deep.
const MAX_CALLERS: usize = 256;

/// Entries in other units, by their offsets in their sections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Elsewhere {
    pub(crate) far: HashSet<usize>,
    pub(crate) alt: HashSet<usize>,
}

impl Elsewhere {
    pub(crate) fn is_empty(&self) -> bool {
        self.far.is_empty() && self.alt.is_empty()
    }
}

/// Where an entry is, so that it can be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EntryId {
    /// Index of its unit among those of the main file, or of that unit's skeleton.
    pub(crate) unit: usize,
    /// The unit is in another file (split DWARF).
    pub(crate) split: bool,
    /// In its unit.
    pub(crate) offset: usize,
}

/// A place where code of a function is.
#[derive(Clone, Debug)]
pub(crate) struct Occurrence {
    pub(crate) function: Arc<Described>,
    pub(crate) code: Code,
    /// For an inlined copy: into whom, innermost first.
    pub(crate) callers: Option<Vec<Caller>>,
    pub(crate) entry: EntryId,
    /// The offset of the entry of the body that the code is in.
    pub(crate) outer: usize,
}

/// What a unit has of what a search wants.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) occurrences: Vec<Occurrence>,
    /// Functions that fit and have no code here: declared, or never used as such.
    pub(crate) without_code: Vec<Arc<Described>>,
    /// Entries that could not be read.
    pub(crate) damaged: usize,
}

/// The nodes that stand for functions with a wanted name, their own or that of what they refer to.
pub(crate) fn wanted(tree: &Tree, start: usize, elsewhere: &Elsewhere) -> Vec<usize> {
    if elsewhere.is_empty() && !tree.iter().any(|(_, node)| node.wanted) {
        return Vec::new();
    }
    let is_elsewhere = |node: &Node| match node.origin {
        Origin::Far(offset) => elsewhere.far.contains(&offset),
        Origin::Alt(offset) => elsewhere.alt.contains(&offset),
        Origin::None | Origin::Here(_) => false,
    };
    let by_itself = |(index, node): (usize, &Node)| {
        let wanted = node.wanted || is_elsewhere(node) || elsewhere.far.contains(&(start + node.offset));
        wanted.then_some(index)
    };
    // What refers to something wanted is wanted too, which others may refer to in turn.
    let mut all: Vec<usize> = tree.iter().filter_map(by_itself).collect();
    let offset_of = |index: &usize| tree.get(*index).map(|node| node.offset);
    let mut new: Vec<usize> = all.iter().filter_map(offset_of).collect();
    for _ in 1..MAX_CHAIN {
        let refers = |node: &Node| matches!(node.origin, Origin::Here(offset) if new.binary_search(&offset).is_ok());
        let found: Vec<usize> = tree.iter().filter(|(_, node)| refers(node)).map(|(index, _)| index).collect();
        new = found.iter().filter_map(offset_of).collect();
        all.extend(found);
        if new.is_empty() {
            break;
        }
    }
    all.sort_unstable();
    all.dedup();
    all.retain(|index| tree.get(*index).is_some_and(|node| node.kind != Kind::Scope));
    all
}

/// The same, where it is not known which entries of other units are wanted: each is looked at.
pub(crate) fn wanted_anywhere<'s>(view: &View<'s>, home: &Rc<Loaded<'s>>) -> Vec<usize> {
    let is_wanted = |index: usize| {
        let mut current = Some(Place::new(view, home, index));
        for _ in 0..MAX_CHAIN {
            let Some(place) = current else { return false };
            if place.node().is_some_and(|node| node.wanted) {
                return true;
            }
            current = place.origin();
        }
        false
    };
    let functions = home.tree.iter().filter(|(_, node)| node.kind != Kind::Scope);
    functions.map(|(index, _)| index).filter(|index| is_wanted(*index)).collect()
}

/// Which functions are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// Those that have code.
    Code,
    /// Those that have none: declarations, and what was inlined.
    NoCode,
}

/// Reads what `pattern` means among the wanted nodes of a unit.
pub(crate) fn gather<'s>(
    view: &View<'s>,
    home: &Rc<Loaded<'s>>,
    unit: usize,
    wanted: &[usize],
    pattern: &Pattern,
    of: Of,
) -> Gathered {
    let mut gathered = Gathered { damaged: usize::from(home.tree.damaged), ..Gathered::default() };
    // Most copies are of the same few functions.
    let mut last: Option<(Arc<Described>, bool)> = None;
    for index in wanted {
        let place = Place::new(view, home, *index);
        // Each unit declares what its headers declare.
        if place.node().is_none_or(|node| node.has_code != (of == Of::Code)) {
            continue;
        }
        let Ok(function) = place.describe() else {
            gathered.damaged += 1;
            continue;
        };
        let fits = match &last {
            Some((known, fits)) if Arc::ptr_eq(known, &function) => *fits,
            _ => function.fits(pattern),
        };
        last = Some((Arc::clone(&function), fits));
        if fits {
            match occurrence(&place, unit, function) {
                Ok(Found::Code(occurrence)) => gathered.occurrences.push(*occurrence),
                Ok(Found::NoCode(function)) => gathered.without_code.push(function),
                Err(_) => gathered.damaged += 1,
            }
        }
    }
    gathered
}

enum Found {
    Code(Box<Occurrence>),
    NoCode(Arc<Described>),
}

fn occurrence(place: &Place<'_, '_>, unit: usize, function: Arc<Described>) -> gimli::Result<Found> {
    let Some(node) = place.node().filter(|node| node.has_code) else { return Ok(Found::NoCode(function)) };
    let entry = place.entry()?;
    let Some(code) = code_of(place.view, &place.home, &entry)? else { return Ok(Found::NoCode(function)) };
    let callers = if node.kind == Kind::Inlined { Some(callers(place)?) } else { None };
    let outer = outer(place).map_or(node.offset, |node| node.offset);
    place.view.budget.spend(size_of::<Occurrence>())?;
    let entry = EntryId { unit, split: place.view.skeleton.is_some(), offset: node.offset };
    Ok(Found::Code(Box::new(Occurrence { function, code, callers, entry, outer })))
}

/// The body that the code of a place is in.
fn outer(place: &Place<'_, '_>) -> Option<Node> {
    let mut current = place.clone();
    // Parents have smaller indices, so this ends.
    while current.node()?.kind != Kind::Function {
        current = current.around()?;
    }
    current.node()
}

/// Into whom an inlined copy was inlined, innermost first.
pub(crate) fn callers(copy: &Place<'_, '_>) -> gimli::Result<Vec<Caller>> {
    let mut callers = Vec::new();
    let mut current = copy.clone();
    while let Some(around) = current.around() {
        let entry = current.entry()?;
        let number = |name| entry.attr_value(name);
        let file = number(constants::DW_AT_call_file).as_ref().and_then(file_number);
        let line = number(constants::DW_AT_call_line).and_then(|value| value.udata_value());
        let function = around.describe()?;
        current.view.budget.spend(size_of::<Caller>() + function.shown.len())?;
        callers.push(Caller { name: function.shown.clone(), line: current.source_line(file, line) });
        current = around;
        if callers.len() == MAX_CALLERS || current.node().is_none_or(|node| node.kind == Kind::Function) {
            break;
        }
    }
    Ok(callers)
}
