//! All functions that the debug information has code of, with no more than a list of them needs: which names, where their bodies
//! begin, and how often they were inlined. It is kept between runs, so that a list does not read the debug information each time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};
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

/// An outline that is being made of one unit after the other, in any order: what they share is kept once.
#[derive(Debug, Default)]
pub(super) struct Making {
    groups: HashMap<Source, Group>,
    damaged: usize,
}

/// What makes two functions of the debug information the same one, as in [`crate::merge`]: scopes, name, and where it is declared.
#[derive(Debug)]
struct Source(Arc<Described>);

impl Source {
    fn parts(&self) -> (&[String], &str, Option<&SourceLine>) {
        (&self.0.scopes, &self.0.name, self.0.declared.as_ref())
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Source {}

impl Hash for Source {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

/// The same function of the source.
#[derive(Debug, Default)]
struct Group {
    of_linkage: Vec<OfLinkage>,
    /// By whether it is an inlined copy, and its address: the unit that describes it, and the index of what it belongs to. The same
    /// code may be described in several units: the first one counts.
    code: BTreeMap<(bool, u64), (u32, usize)>,
}

/// What has one linkage name.
#[derive(Debug)]
struct OfLinkage {
    linkage: Option<String>,
    shown: String,
    entry: Option<EntryId>,
}

impl Group {
    /// The index of what has this function's linkage name.
    fn linkage_of(&mut self, function: &Described) -> usize {
        let known = self.of_linkage.iter().position(|of| of.linkage == function.linkage);
        known.unwrap_or_else(|| {
            let (linkage, shown) = (function.linkage.clone(), function.shown.clone());
            self.of_linkage.push(OfLinkage { linkage, shown, entry: None });
            self.of_linkage.len() - 1
        })
    }

    /// The functions, in order of their linkage names.
    fn outlined(self, source: &Described) -> Vec<Outlined<String>> {
        let like = |of: OfLinkage| Outlined {
            like_last: false,
            scopes: source.scopes.clone(),
            name: source.name.clone(),
            linkage: of.linkage,
            shown: of.shown,
            bodies: Vec::new(),
            copies: Vec::new(),
            entry: of.entry,
        };
        let mut functions: Vec<Outlined<String>> = self.of_linkage.into_iter().map(like).collect();
        let mut copies: BTreeMap<(usize, u32), u32> = BTreeMap::new();
        for ((is_copy, addr), (unit, linkage)) in self.code {
            if is_copy {
                let count = copies.entry((linkage, unit)).or_default();
                *count = count.saturating_add(1);
            } else if let Some(function) = functions.get_mut(linkage) {
                function.bodies.push(Body { addr, unit });
            }
        }
        for ((linkage, unit), count) in copies {
            if let Some(function) = functions.get_mut(linkage) {
                function.copies.push(Copies { unit, count });
            }
        }
        functions.retain(|function| !function.bodies.is_empty() || !function.copies.is_empty());
        functions.sort_by(|one, other| one.linkage.cmp(&other.linkage));
        functions.iter_mut().skip(1).for_each(|function| function.like_last = true);
        functions
    }
}

impl Making {
    /// Adds what the unit of this index has. `is_code` tells whether there is code at an address: copies that the linker left out
    /// are still described.
    pub(super) fn add(&mut self, unit: usize, part: OfUnit, is_code: impl Fn(u64) -> bool) {
        self.damaged += usize::from(part.damaged);
        let Ok(unit) = u32::try_from(unit) else { return };
        for (function, starts) in part.functions {
            let code = starts.bodies.into_iter().map(|addr| (false, addr));
            let code = code.chain(starts.copies.into_iter().map(|addr| (true, addr)));
            let mut code = code.filter(|(_, addr)| is_code(*addr)).peekable();
            if code.peek().is_none() {
                continue;
            }
            let group = self.groups.entry(Source(Arc::clone(&function))).or_default();
            let linkage = group.linkage_of(&function);
            if let Some(of_linkage) = group.of_linkage.get_mut(linkage) {
                // The first one, so that it does not depend on which thread was faster.
                of_linkage.entry = of_linkage.entry.into_iter().chain(starts.entry).min();
            }
            for place in code {
                let known = group.code.entry(place).or_insert((unit, linkage));
                if unit < known.0 {
                    *known = (unit, linkage);
                }
            }
        }
    }

    /// The outline, in order of names.
    pub(super) fn finish(self) -> Outline<String> {
        let mut groups: Vec<(Source, Group)> = self.groups.into_iter().collect();
        groups.sort_by(|(one, _), (other, _)| one.parts().cmp(&other.parts()));
        let functions = groups.into_iter().flat_map(|(source, group)| group.outlined(&source.0)).collect();
        Outline { damaged: self.damaged, functions }
    }
}

impl Outline<String> {
    pub(super) fn borrowed(&self) -> Outline<&str> {
        Outline { damaged: self.damaged, functions: self.functions.iter().map(Outlined::borrowed).collect() }
    }

    /// The entries of the functions whose names lack parameters, each with what is called so.
    pub(super) fn without_parameters(&mut self) -> Vec<(EntryId, &mut String)> {
        let functions = self.functions.iter_mut();
        functions.filter_map(|function| Some((function.entry.take()?, &mut function.shown))).collect()
    }
}
