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
    functions: HashMap<Function, Code>,
    damaged: usize,
}

/// A function of the source by one of its linkage names.
#[derive(Debug)]
struct Function(Arc<Described>);

/// Where code of a function is.
#[derive(Debug, Default)]
struct Code {
    entry: Option<EntryId>,
    /// By whether it is an inlined copy, and its address: the unit that describes it. The same code may be described in several:
    /// the first one counts.
    places: BTreeMap<(bool, u64), u32>,
}

impl Function {
    /// What makes two of them the same function of the source, as in [`crate::merge`].
    fn source(&self) -> (&[String], &str, Option<&SourceLine>) {
        (&self.0.scopes, &self.0.name, self.0.declared.as_ref())
    }

    fn key(&self) -> impl Ord + Hash {
        (self.source(), self.0.linkage.as_deref())
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Making {
    /// Adds what the unit of this index has. `is_code` tells whether there is code at an address: copies that the linker left out
    /// are still described.
    pub(super) fn add(&mut self, unit: usize, part: OfUnit, is_code: impl Fn(u64) -> bool) {
        self.damaged += usize::from(part.damaged);
        let Ok(unit) = u32::try_from(unit) else { return };
        for (function, starts) in part.functions {
            let bodies = starts.bodies.into_iter().map(|addr| (false, addr));
            let places = bodies.chain(starts.copies.into_iter().map(|addr| (true, addr)));
            let mut places = places.filter(|(_, addr)| is_code(*addr)).peekable();
            if places.peek().is_none() {
                continue;
            }
            let code = self.functions.entry(Function(function)).or_default();
            // The first one, so that it does not depend on which thread was faster.
            code.entry = code.entry.into_iter().chain(starts.entry).min();
            for place in places {
                code.places.entry(place).and_modify(|known| *known = unit.min(*known)).or_insert(unit);
            }
        }
    }

    /// The outline, in order of names.
    pub(super) fn finish(self) -> Outline<String> {
        let mut all: Vec<(Function, Code)> = self.functions.into_iter().collect();
        all.sort_by(|(one, _), (other, _)| one.key().cmp(&other.key()));
        let mut outline = Outline { damaged: self.damaged, functions: Vec::with_capacity(all.len()) };
        for group in all.chunk_by(|(one, _), (other, _)| one.source() == other.source()) {
            // Constructors share the code that is described for each of them.
            let mut seen = HashSet::new();
            let mut is_new = |place: &(bool, u64)| group.len() == 1 || seen.insert(*place);
            let mut like_last = false;
            for (function, code) in group {
                let places = code.places.iter().filter(|(place, _)| is_new(place));
                let outlined = Outlined::new(&function.0, like_last, code.entry, places);
                if !outlined.bodies.is_empty() || !outlined.copies.is_empty() {
                    outline.functions.push(outlined);
                    like_last = true;
                }
            }
        }
        outline
    }
}

impl Outlined<String> {
    /// `places` are in the order of [`Code::places`].
    fn new<'p>(
        function: &Described,
        like_last: bool,
        entry: Option<EntryId>,
        places: impl Iterator<Item = (&'p (bool, u64), &'p u32)>,
    ) -> Self {
        let (mut bodies, mut copies) = (Vec::new(), BTreeMap::<u32, u32>::new());
        for ((is_copy, addr), unit) in places {
            if *is_copy {
                let count = copies.entry(*unit).or_default();
                *count = count.saturating_add(1);
            } else {
                bodies.push(Body { addr: *addr, unit: *unit });
            }
        }
        Self {
            like_last,
            scopes: function.scopes.clone(),
            name: function.name.clone(),
            linkage: function.linkage.clone(),
            shown: function.shown.clone(),
            bodies,
            copies: copies.into_iter().map(|(unit, count)| Copies { unit, count }).collect(),
            entry,
        }
    }

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
