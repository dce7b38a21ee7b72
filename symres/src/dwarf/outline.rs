//! All functions that the debug information has code of, with no more than a list of them needs: which names, where their bodies
//! begin, and how often they were inlined. It is kept between runs, so that a list does not read the debug information each time.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::code::code_of;
use super::describe::{Described, Names, Place};
use super::gather::EntryId;
use super::load::{Loaded, View};
use super::signature::{Language, language_of};
use super::tree::{Kind, Node};
use super::wanted::Wanted;
use crate::answer::SourceLine;
use crate::pattern::Pattern;

/// What the debug information has, with texts of type `S`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
pub(crate) struct Outline<S> {
    /// Units that could not be read whole. An outline without them is not kept.
    #[serde(skip)]
    pub(super) damaged: usize,
    /// What is the same function of the source stands side by side.
    pub(crate) functions: Vec<Outlined<S>>,
}

/// A function of the source.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
pub(crate) struct Outlined<S> {
    /// The one before it is the same function with another linkage name, as of constructors.
    pub(crate) like_last: bool,
    /// As [`Described::scopes`].
    scopes: Vec<S>,
    name: S,
    pub(crate) linkage: Option<S>,
    /// As people read it.
    pub(crate) shown: S,
    /// By address.
    pub(crate) bodies: Vec<Body>,
    /// By unit.
    pub(crate) copies: Vec<Copies>,
    /// One of its entries, where [`Outlined::shown`] lacks the parameters.
    #[serde(skip)]
    entry: Option<EntryId>,
}

/// An out-of-line body.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Body {
    pub(crate) addr: u64,
    /// The index of the unit that describes it.
    pub(crate) unit: u32,
}

/// The inlined copies in the code of a unit.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Copies {
    pub(crate) unit: u32,
    pub(crate) count: u32,
}

impl Outline<String> {
    pub(super) fn borrowed(&self) -> Outline<&str> {
        Outline { damaged: self.damaged, functions: self.functions.iter().map(Outlined::borrowed).collect() }
    }
}

impl<S: AsRef<str>> Outline<S> {
    /// Leaves the functions that a pattern means. `wanted` is what the pattern asks of names.
    pub(super) fn retain(&mut self, pattern: &Pattern, wanted: &Wanted) {
        // Whether one that is the same function as the next was left.
        let mut has_like = false;
        self.functions.retain_mut(|function| {
            has_like &= function.like_last;
            let fits = function.fits(pattern, wanted);
            if fits {
                function.like_last = has_like;
                has_like = true;
            }
            fits
        });
    }

    /// The units with code of the functions that a pattern means.
    pub(super) fn units(&self, pattern: &Pattern, wanted: &Wanted) -> HashSet<u32> {
        let mut units = HashSet::new();
        for function in self.functions.iter().filter(|function| function.fits(pattern, wanted)) {
            units.extend(function.bodies.iter().map(|body| body.unit));
            units.extend(function.copies.iter().map(|copies| copies.unit));
        }
        units
    }
}

impl<S: AsRef<str>> Outlined<S> {
    fn fits(&self, pattern: &Pattern, wanted: &Wanted) -> bool {
        let linkage = self.linkage.as_ref().map(S::as_ref);
        let mut names = std::iter::once(self.name.as_ref()).chain(linkage);
        if pattern.is_everything() || !names.any(|name| wanted.fits(name.as_bytes())) {
            return pattern.is_everything();
        }
        let scopes: Vec<&str> = self.scopes.iter().map(S::as_ref).collect();
        Names { scopes: &scopes, name: self.name.as_ref(), linkage, shown: self.shown.as_ref() }.fit(pattern)
    }
}

impl Outlined<String> {
    fn borrowed(&self) -> Outlined<&str> {
        Outlined {
            like_last: self.like_last,
            scopes: self.scopes.iter().map(String::as_str).collect(),
            name: &self.name,
            linkage: self.linkage.as_deref(),
            shown: &self.shown,
            bodies: self.bodies.clone(),
            copies: self.copies.clone(),
            entry: self.entry,
        }
    }
}

/// What one unit has.
#[derive(Debug, Default)]
pub(super) struct OfUnit {
    functions: Vec<(Arc<Described>, Starts)>,
    damaged: bool,
}

/// Where code of a function begins.
#[derive(Debug)]
struct Starts {
    /// The first entry with code, where the names of functions may have parameters.
    entry: Option<EntryId>,
    bodies: Vec<u64>,
    copies: Vec<u64>,
}

impl OfUnit {
    /// Reads the unit of this index, which is `unit` or its split unit.
    pub(super) fn read(view: &View<'_>, index: usize, unit: usize) -> Self {
        let Ok(home) = view.load(index) else { return Self { damaged: true, ..Self::default() } };
        let mut this = Self { damaged: home.tree.damaged, ..Self::default() };
        let mut known: HashMap<*const Described, usize> = HashMap::new();
        let is_c = language(&home) == Some(Language::C);
        for (index, node) in home.tree.iter().filter(|(_, node)| node.has_code) {
            let Node { kind, offset, .. } = *node;
            match start(view, &home, index, kind) {
                Ok(Some((function, addr))) => {
                    let index = *known.entry(Arc::as_ptr(&function)).or_insert_with(|| {
                        let entry = EntryId { unit, split: view.skeleton.is_some(), offset };
                        let entry = Some(entry).filter(|_| !is_c && function.linkage.is_none());
                        this.functions.push((function, Starts { entry, bodies: Vec::new(), copies: Vec::new() }));
                        this.functions.len() - 1
                    });
                    let Some((_, starts)) = this.functions.get_mut(index) else { continue };
                    if kind == Kind::Inlined { &mut starts.copies } else { &mut starts.bodies }.push(addr);
                }
                Ok(None) => {}
                Err(_) => this.damaged = true,
            }
        }
        this
    }
}

/// What a unit is written in.
fn language(home: &Loaded<'_>) -> Option<Language> {
    let root = home.unit.entry(home.unit.header.root_offset()).ok()?;
    match root.attr_value(gimli::DW_AT_language)? {
        gimli::AttributeValue::Language(language) => Some(language_of(language)),
        _ => None,
    }
}

/// The function of a node with code, and where that begins; none for what has no name.
fn start<'s>(
    view: &View<'s>,
    home: &Rc<Loaded<'s>>,
    node: usize,
    kind: Kind,
) -> gimli::Result<Option<(Arc<Described>, u64)>> {
    if kind == Kind::Scope {
        return Ok(None);
    }
    let place = Place::new(view, home, node);
    let function = place.describe()?;
    if function.name.is_empty() && function.linkage.is_none() {
        return Ok(None);
    }
    let code = code_of(view, home, &place.entry()?)?;
    Ok(code.map(|code| (function, code.entry)))
}

/// What makes two functions of the debug information the same one, as in [`crate::merge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Identity<'a> {
    scopes: &'a [String],
    name: &'a str,
    declared: Option<&'a SourceLine>,
}

impl Outline<String> {
    /// Puts the parts of units together, which come in order with their indices. `is_code` tells whether there is code at an
    /// address: copies that the linker left out are still described.
    pub(super) fn of(parts: &[(usize, OfUnit)], is_code: impl Fn(u64) -> bool) -> Self {
        let mut outline = Self::default();
        let mut identities: HashMap<Identity<'_>, usize> = HashMap::new();
        // By identity: each linkage name with the function that has it first.
        let mut groups: Vec<Vec<(&Described, Outlined<String>)>> = Vec::new();
        let mut seen = HashSet::new();
        for (unit, part) in parts {
            let Ok(unit) = u32::try_from(*unit) else { continue };
            outline.damaged += usize::from(part.damaged);
            for (function, starts) in &part.functions {
                let identity =
                    Identity { scopes: &function.scopes, name: &function.name, declared: function.declared.as_ref() };
                let group = *identities.entry(identity).or_insert_with(|| {
                    groups.push(Vec::new());
                    groups.len() - 1
                });
                // The same code may be described in several units.
                let mut new = |addr: &&u64, copy: bool| is_code(**addr) && seen.insert((group, copy, **addr));
                let bodies: Vec<u64> = starts.bodies.iter().filter(|addr| new(addr, false)).copied().collect();
                let copies = starts.copies.iter().filter(|addr| new(addr, true)).count();
                if bodies.is_empty() && copies == 0 {
                    continue;
                }
                let Some(outlined) = groups.get_mut(group).map(|group| of_linkage(group, function)) else { continue };
                outlined.entry = outlined.entry.or(starts.entry);
                outlined.bodies.extend(bodies.into_iter().map(|addr| Body { addr, unit }));
                if let Some(count) = u32::try_from(copies).ok().filter(|count| *count > 0) {
                    outlined.copies.push(Copies { unit, count });
                }
            }
        }
        for group in groups {
            for (index, (_, mut function)) in group.into_iter().enumerate() {
                function.like_last = index > 0;
                function.bodies.sort_unstable_by_key(|body| body.addr);
                outline.functions.push(function);
            }
        }
        outline
    }

    /// The entries of the functions whose names lack parameters, each with what is called so.
    pub(super) fn without_parameters(&mut self) -> Vec<(EntryId, &mut String)> {
        let functions = self.functions.iter_mut();
        functions.filter_map(|function| Some((function.entry.take()?, &mut function.shown))).collect()
    }
}

/// The function of a group with this linkage name.
fn of_linkage<'g, 'd>(
    group: &'g mut Vec<(&'d Described, Outlined<String>)>,
    function: &'d Described,
) -> &'g mut Outlined<String> {
    let index = match group.iter().position(|(known, _)| known.linkage == function.linkage) {
        Some(index) => index,
        None => {
            let outlined = Outlined {
                like_last: false,
                scopes: function.scopes.clone(),
                name: function.name.clone(),
                linkage: function.linkage.clone(),
                shown: function.shown.clone(),
                bodies: Vec::new(),
                copies: Vec::new(),
                entry: None,
            };
            group.push((function, outlined));
            group.len() - 1
        }
    };
    #[allow(clippy::indexing_slicing, reason = "the index is of an entry that was just found or added")]
    &mut group[index].1
}
