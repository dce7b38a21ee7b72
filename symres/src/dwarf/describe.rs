//! What an entry and those that it refers to tell about a function.

use std::rc::Rc;
use std::sync::Arc;

use gimli::{AttributeValue, DebuggingInformationEntry, Reader as _, UnitOffset, constants};

use super::load::{Loaded, View};
use super::sections::Reader;
use super::tree::{Kind, Node, Origin};
use crate::answer::SourceLine;
use crate::demangle;
use crate::pattern::{NameParts, Pattern};

/// A body refers to its abstract instance, and that to its declaration; with link-time optimisation each of them may stand in
/// another unit. A longer chain is a circle.
const MAX_CHAIN: usize = 16;
/// Classes in functions in classes: deeper nesting is cut, as is that of a circle.
const MAX_SCOPES: usize = 64;

/// A function of the source.
#[derive(Debug, Default)]
pub(crate) struct Described {
    /// Namespaces, classes and functions around it, outermost first; empty text for an anonymous namespace.
    pub(crate) scopes: Vec<String>,
    /// `DW_AT_name`; empty where it has none.
    pub(crate) name: String,
    /// `DW_AT_linkage_name`.
    pub(crate) linkage: Option<String>,
    /// Where it is defined, or declared where no definition is known.
    pub(crate) declared: Option<SourceLine>,
    /// Only declared: another file defines it.
    pub(crate) only_declared: bool,
    /// As people read it.
    pub(crate) shown: String,
}

impl Described {
    /// By its scopes and name: `ns::Class::method`.
    pub(crate) fn qualified(&self) -> String {
        self.with_names(|names| names.parts().display())
    }

    /// The pattern means it.
    pub(crate) fn fits(&self, pattern: &Pattern) -> bool {
        self.with_names(|names| names.fit(pattern))
    }

    fn with_names<T>(&self, then: impl FnOnce(&Names<'_>) -> T) -> T {
        let scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        let linkage = self.linkage.as_deref();
        then(&Names { scopes: &scopes, name: &self.name, linkage, shown: &self.shown })
    }
}

/// What a function of the source is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    /// As [`Described::scopes`].
    pub(crate) scopes: &'a [&'a str],
    pub(crate) name: &'a str,
    pub(crate) linkage: Option<&'a str>,
    /// As people read it.
    pub(crate) shown: &'a str,
}

impl Names<'_> {
    /// The pattern means it.
    pub(crate) fn fit(&self, pattern: &Pattern) -> bool {
        let by_linkage = |linkage| match pattern.is_regex() {
            // It was demangled before.
            true => pattern.matches_displayed(self.shown),
            false => pattern.matches_linkage_name(linkage),
        };
        if self.linkage.is_some_and(by_linkage) {
            return true;
        }
        // A mangled name says its parameters, which the parts do not.
        let overload = self.linkage.and_then(|linkage| pattern.is_overload(linkage));
        overload.unwrap_or_else(|| pattern.matches_parts(&self.parts()))
    }

    fn parts(&self) -> NameParts<'_> {
        NameParts { scopes: self.scopes, name: self.name, parameters: None, qualifiers: None }
    }
}

/// An entry of a unit, by its node.
#[derive(Clone, Debug)]
pub(crate) struct Place<'v, 's> {
    pub(crate) view: &'v View<'s>,
    pub(crate) home: Rc<Loaded<'s>>,
    pub(crate) index: usize,
}

impl<'v, 's> Place<'v, 's> {
    pub(crate) fn new(view: &'v View<'s>, home: &Rc<Loaded<'s>>, index: usize) -> Self {
        Self { view, home: Rc::clone(home), index }
    }

    pub(crate) fn node(&self) -> Option<Node> {
        self.home.tree.get(self.index).copied()
    }

    /// All attributes of the entry.
    pub(crate) fn entry(&self) -> gimli::Result<DebuggingInformationEntry<Reader<'s>>> {
        let node = self.node().ok_or(gimli::Error::NoEntryAtGivenOffset(0))?;
        self.home.unit.entry(UnitOffset(node.offset))
    }

    fn at(&self, index: usize) -> Self {
        Self { view: self.view, home: Rc::clone(&self.home), index }
    }

    /// What it is nested in.
    pub(crate) fn parent(&self) -> Option<Self> {
        self.home.tree.parent(self.index).map(|index| self.at(index))
    }

    /// The function that holds its code, or the inlined copy of one: what an inlined copy was inlined into.
    pub(crate) fn around(&self) -> Option<Self> {
        let mut index = self.index;
        loop {
            index = self.home.tree.parent(index)?;
            if self.home.tree.get(index)?.kind != Kind::Scope {
                return Some(self.at(index));
            }
        }
    }

    /// The entry that tells what this one does not.
    pub(crate) fn origin(&self) -> Option<Self> {
        let far = |view: &'v View<'s>, offset: usize| {
            let home = view.load(view.units.index_at(offset)?).ok()?;
            let index = home.tree.at(offset.checked_sub(home.start)?)?;
            Some(Self { view, home, index })
        };
        match self.node()?.origin {
            Origin::None => None,
            Origin::Here(offset) => Some(self.at(self.home.tree.at(offset)?)),
            Origin::Far(offset) => far(self.view, offset),
            Origin::Alt(offset) => far(self.view.alt.as_deref()?, offset),
        }
    }

    /// A text that an attribute holds.
    pub(crate) fn text(&self, value: AttributeValue<Reader<'s>>) -> Option<String> {
        let text = self.view.dwarf.attr_string(&self.home.unit, value).ok()?;
        self.view.budget.spend(text.len()).ok()?;
        Some(text.to_string_lossy().ok()?.into_owned())
    }

    /// The source file of this number and the line.
    pub(crate) fn source_line(&self, file: Option<u64>, line: Option<u64>) -> Option<SourceLine> {
        let line = u32::try_from(line?).ok().filter(|line| *line > 0)?;
        let file = self.home.file(self.view, file?)?;
        self.view.budget.spend(file.len()).ok()?;
        Some(SourceLine { file, line })
    }

    /// Describes the function that the entry stands for.
    pub(crate) fn describe(&self) -> gimli::Result<Arc<Described>> {
        self.describe_within(MAX_SCOPES)
    }

    fn describe_within(&self, depth: usize) -> gimli::Result<Arc<Described>> {
        let node = self.node().ok_or(gimli::Error::NoEntryAtGivenOffset(0))?;
        // An inlined copy is described by its origin alone: what is around it are its callers.
        if node.kind == Kind::Inlined {
            return match self.origin() {
                Some(origin) if depth > 0 => origin.describe_within(depth - 1),
                _ => Ok(Arc::default()),
            };
        }
        let key = self.home.start + node.offset;
        if let Some(known) = self.view.described.borrow().get(&key) {
            return Ok(Arc::clone(known));
        }
        self.view.budget.spend(size_of::<Described>())?;
        let described = Arc::new(self.read(depth)?);
        self.view.described.borrow_mut().insert(key, Arc::clone(&described));
        Ok(described)
    }

    fn read(&self, depth: usize) -> gimli::Result<Described> {
        let mut found = Described { only_declared: true, ..Described::default() };
        let mut name = None;
        // The file's number counts in its own unit, so it goes with its entry.
        let (mut file, mut line) = (None, None);
        let mut current = self.clone();
        for _ in 0..MAX_CHAIN {
            let entry = current.entry()?;
            let mut declaration = false;
            for attribute in entry.attrs() {
                let value = attribute.value();
                match attribute.name() {
                    constants::DW_AT_name if name.is_none() => name = current.text(value),
                    constants::DW_AT_linkage_name | constants::DW_AT_MIPS_linkage_name if found.linkage.is_none() => {
                        found.linkage = current.text(value).filter(|text| !text.is_empty());
                    }
                    constants::DW_AT_decl_file if file.is_none() => {
                        file = file_number(&value).map(|number| (current.clone(), number));
                    }
                    constants::DW_AT_decl_line if line.is_none() => line = value.udata_value(),
                    constants::DW_AT_declaration => declaration = true,
                    _ => {}
                }
            }
            found.only_declared &= declaration;
            match current.origin() {
                Some(origin) => current = origin,
                None => break,
            }
        }
        found.declared = file.and_then(|(place, number)| place.source_line(Some(number), line));
        found.name = name.unwrap_or_default();
        found.scopes = current.scopes(depth);
        found.shown = match &found.linkage {
            Some(linkage) => demangle(linkage),
            None => found.qualified(),
        };
        self.view.budget.spend(found.shown.len())?;
        Ok(found)
    }

    /// The names of what it is nested in, outermost first.
    fn scopes(&self, depth: usize) -> Vec<String> {
        let mut names = Vec::new();
        let mut current = self.clone();
        for _ in 0..depth {
            let Some(parent) = current.parent() else { break };
            match parent.node().map(|node| node.kind) {
                Some(Kind::Scope) => {
                    // `class Outer::Inner { … }` is nested where it was declared.
                    current = parent.declaration();
                    names.extend(current.own_name());
                }
                Some(Kind::Function | Kind::Inlined) => {
                    let Ok(function) = parent.describe_within(depth.saturating_sub(names.len() + 1) / 2) else { break };
                    names.push(function.name.clone());
                    names.extend(function.scopes.iter().rev().cloned());
                    break;
                }
                None => break,
            }
        }
        names.reverse();
        names
    }

    /// The last entry of the chain of origins.
    fn declaration(&self) -> Self {
        let mut current = self.clone();
        for _ in 0..MAX_CHAIN {
            match current.origin() {
                Some(origin) => current = origin,
                None => break,
            }
        }
        current
    }

    /// The name of a scope: empty text for an anonymous namespace, none for another that has no name.
    fn own_name(&self) -> Option<String> {
        let entry = self.entry().ok()?;
        let name = entry.attr_value(constants::DW_AT_name).and_then(|value| self.text(value));
        match name {
            // GCC before version 5, and old versions of clang.
            Some(name) if name == "<unnamed>" || name == "(anonymous namespace)" || name.starts_with("_GLOBAL__N_") => {
                Some(String::new())
            }
            Some(name) if !name.is_empty() => Some(name),
            _ => (entry.tag() == constants::DW_TAG_namespace).then(String::new),
        }
    }
}

/// The number of a source file (`DW_AT_decl_file`, `DW_AT_call_file`).
pub(crate) fn file_number(value: &AttributeValue<Reader<'_>>) -> Option<u64> {
    match value {
        AttributeValue::FileIndex(number) => Some(*number),
        value => value.udata_value(),
    }
}
