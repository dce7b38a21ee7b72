//! Entries of the debug information (DIEs), and the references between them.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::ControlFlow;
use std::rc::Rc;

use gimli::{
    AttributeValue, DebugInfoOffset, DebugTypeSignature, DebuggingInformationEntry, DwAt, DwLang, Dwarf, Reader, Unit,
    UnitOffset,
};

use super::frame::Frames;
use crate::elf::Machine;

/// A parsed entry.
pub(in crate::dwarf) type Entry<R> = DebuggingInformationEntry<R>;

/// How many entries are read for one description. A signature of MySQL takes some hundred; types of templates of templates
/// refer to so many others that hostile ones would never end.
const BUDGET: u32 = 400_000;
/// How many entries are read for all descriptions together: some, and more in a large file. The whole of MySQL takes a
/// tenth of this.
const TOTAL_BUDGET: u64 = 1_000_000;
const BUDGET_PER_BYTE: u64 = 2;
/// Longer names are cut.
const MAX_NAME: usize = 8 << 10;
/// A concrete function refers to its abstract one, which refers to its declaration; no chain is longer than that by much.
const MAX_CHAIN: usize = 8;

/// A unit, and what was found out about it.
pub(crate) struct DebugUnit<R: Reader<Offset = usize>> {
    pub(crate) dwarf: Rc<Dwarf<R>>,
    pub(crate) unit: Rc<Unit<R>>,
    facts: OnceCell<Facts>,
    pub(super) scopes: RefCell<super::scope::Known>,
}

#[derive(Clone, Copy)]
struct Facts {
    language: Language,
    llvm: bool,
    simple_names: bool,
    tells_defaulted: bool,
}

/// What a function's unit says of the types in it. They may be in units that do not say it themselves: type units and partial
/// units name no compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dwarf) struct Dialect {
    pub(in crate::dwarf) language: Language,
    /// A member function that is not said to be `= default` is not.
    pub(in crate::dwarf) tells_defaulted: bool,
    /// The compiler is LLVM or unknown.
    pub(in crate::dwarf) llvm: bool,
}

/// As far as the language matters for types and calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dwarf) enum Language {
    C,
    Cpp,
    Rust,
    Other,
}

impl<R: Reader<Offset = usize>> DebugUnit<R> {
    pub(crate) fn new(dwarf: Rc<Dwarf<R>>, unit: Rc<Unit<R>>) -> Self {
        Self { dwarf, unit, facts: OnceCell::new(), scopes: RefCell::default() }
    }

    fn facts(&self) -> Facts {
        *self.facts.get_or_init(|| {
            let Ok(root) = self.unit.entry(self.unit.root_offset()) else {
                return Facts { language: Language::Other, llvm: true, simple_names: false, tells_defaulted: false };
            };
            let language = match root.attr_value(gimli::DW_AT_language) {
                Some(AttributeValue::Language(language)) => language_of(language),
                _ => Language::Other,
            };
            let producer = root.attr_value(gimli::DW_AT_producer).and_then(|value| self.string(value));
            let producer = producer.unwrap_or_default();
            // GCC says `GNU C++14 12.2.0 …`; everything else with such names (clang, rustc, icx) is LLVM.
            let version = producer.strip_prefix("GNU ").and_then(gcc_version);
            let llvm = !producer.starts_with("GNU ");
            let strict = self.unit.encoding().version < 5 && producer.contains("-gstrict-dwarf");
            Facts {
                language,
                llvm,
                // The option is in the producer only on request; without arguments in the names of templates there is no
                // other sign, so that LLVM's are looked at more closely.
                simple_names: llvm && language == Language::Cpp,
                // GCC 4.4 was the first with `= default`, GCC 7 the first to say `DW_AT_defaulted`, which is of DWARF 5.
                tells_defaulted: version.is_some_and(|version| version < (4, 4) || version >= (7, 0) && !strict),
            }
        })
    }

    pub(in crate::dwarf) fn dialect(&self) -> Dialect {
        let Facts { language, tells_defaulted, llvm, .. } = self.facts();
        Dialect { language, tells_defaulted, llvm }
    }

    /// The names of templates may lack their arguments (`-gsimple-template-names`).
    pub(in crate::dwarf) fn simple_names(&self) -> bool {
        self.facts().simple_names
    }

    /// In bytes.
    pub(in crate::dwarf) fn address_size(&self) -> u64 {
        u64::from(self.unit.encoding().address_size)
    }

    pub(in crate::dwarf) fn string(&self, value: AttributeValue<R>) -> Option<String> {
        let mut reader = self.dwarf.attr_string(&self.unit, value).ok()?;
        if reader.len() > MAX_NAME {
            reader.truncate(MAX_NAME).ok()?;
        }
        Some(reader.to_string_lossy().ok()?.into_owned())
    }
}

/// `C++ 4.1.2 20080704 (Red Hat 4.1.2-48)` -> 4.1
fn gcc_version(producer: &str) -> Option<(u32, u32)> {
    let version = producer.split(' ').nth(1)?;
    let (major, rest) = version.split_once('.')?;
    Some((major.parse().ok()?, rest.split('.').next()?.parse().ok()?))
}

pub(in crate::dwarf) fn language_of(language: DwLang) -> Language {
    match language {
        gimli::DW_LANG_C
        | gimli::DW_LANG_C89
        | gimli::DW_LANG_C99
        | gimli::DW_LANG_C11
        | gimli::DW_LANG_C17
        // C23
        | DwLang(0x3e)
        | gimli::DW_LANG_ObjC => Language::C,
        gimli::DW_LANG_C_plus_plus
        | gimli::DW_LANG_C_plus_plus_03
        | gimli::DW_LANG_C_plus_plus_11
        | gimli::DW_LANG_C_plus_plus_14
        | gimli::DW_LANG_C_plus_plus_17
        | gimli::DW_LANG_C_plus_plus_20
        // C++23
        | DwLang(0x3a)
        | gimli::DW_LANG_ObjC_plus_plus => Language::Cpp,
        gimli::DW_LANG_Rust => Language::Rust,
        _ => Language::Other,
    }
}

/// An entry by its place.
pub(crate) struct Die<R: Reader<Offset = usize>> {
    pub(crate) unit: Rc<DebugUnit<R>>,
    pub(crate) offset: UnitOffset,
}

impl<R: Reader<Offset = usize>> Clone for Die<R> {
    fn clone(&self) -> Self {
        Self { unit: Rc::clone(&self.unit), offset: self.offset }
    }
}

impl<R: Reader<Offset = usize>> Die<R> {
    pub(in crate::dwarf) fn sibling(&self, offset: UnitOffset) -> Self {
        Self { unit: Rc::clone(&self.unit), offset }
    }

    /// The same entry of the same unit. Each caller of [`describe`](super::describe) makes one [`DebugUnit`] of a unit, but two
    /// of them may read the same one.
    pub(in crate::dwarf) fn same(&self, other: &Self) -> bool {
        let (one, two) = (&self.unit.unit.header, &other.unit.unit.header);
        self.offset == other.offset
            && one.offset() == two.offset()
            && one.section() == two.section()
            && (Rc::ptr_eq(&self.unit.dwarf, &other.unit.dwarf) || Rc::ptr_eq(&self.unit.unit, &other.unit.unit))
    }
}

/// An entry that was read, and its place.
pub(in crate::dwarf) type Found<R> = (Die<R>, Entry<R>);

/// A reference that leaves its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// `DW_FORM_ref_addr`: an offset in the `.debug_info` of the same file.
    Info(DebugInfoOffset<usize>),
    /// `DW_FORM_ref_sup4`, `DW_FORM_GNU_ref_alt`: an offset in the `.debug_info` of the supplementary file.
    Supplementary(DebugInfoOffset<usize>),
    /// `DW_FORM_ref_sig8`: the type of a type unit.
    Type(DebugTypeSignature),
}

/// Knows the other units of the program.
pub(crate) trait Reach<R: Reader<Offset = usize>> {
    /// The entry that a unit refers to. It should give the same [`DebugUnit`] again for the same unit.
    fn die(&self, from: &DebugUnit<R>, reference: Reference) -> Option<Die<R>>;

    /// The frame descriptions of the file that holds the code. Asked only where a place depends on them.
    fn frames(&self) -> Option<&Frames<R>>;
}

/// What descriptions may reach, and how much of it.
pub(crate) struct Context<'a, R: Reader<Offset = usize>> {
    pub(in crate::dwarf) reach: &'a dyn Reach<R>,
    pub(in crate::dwarf) machine: Machine,
    total: Cell<u64>,
    left: Cell<u32>,
}

impl<'a, R: Reader<Offset = usize>> Context<'a, R> {
    /// For all descriptions of one search. `bytes` is the size of the debug information: the work is bounded by it.
    pub(crate) fn new(reach: &'a dyn Reach<R>, machine: Machine, bytes: u64) -> Self {
        let total = bytes.saturating_mul(BUDGET_PER_BYTE).saturating_add(TOTAL_BUDGET);
        Self { reach, machine, total: Cell::new(total), left: Cell::new(0) }
    }

    /// Begins another description.
    pub(in crate::dwarf) fn begin(&self) {
        let granted = u32::try_from(self.total.get()).unwrap_or(u32::MAX).min(BUDGET);
        self.left.set(granted);
    }

    /// None when too much was read.
    pub(in crate::dwarf) fn spend(&self, steps: u32) -> Option<()> {
        let left = self.left.get().checked_sub(steps)?;
        self.left.set(left);
        self.total.set(self.total.get().saturating_sub(u64::from(steps)));
        Some(())
    }

    pub(in crate::dwarf) fn entry(&self, die: &Die<R>) -> Option<Entry<R>> {
        self.spend(1)?;
        die.unit.unit.entry(die.offset).ok()
    }

    /// The entry that an attribute of an entry of `from` refers to.
    pub(in crate::dwarf) fn referred(&self, from: &Die<R>, value: AttributeValue<R>) -> Option<Die<R>> {
        match value {
            AttributeValue::UnitRef(offset) => Some(from.sibling(offset)),
            AttributeValue::DebugInfoRef(offset) => match offset.to_unit_offset(&from.unit.unit.header) {
                Some(offset) => Some(from.sibling(offset)),
                None => self.reach.die(&from.unit, Reference::Info(offset)),
            },
            AttributeValue::DebugInfoRefSup(offset) => self.reach.die(&from.unit, Reference::Supplementary(offset)),
            AttributeValue::DebugTypesRef(signature) => self.reach.die(&from.unit, Reference::Type(signature)),
            _ => None,
        }
    }

    pub(in crate::dwarf) fn follow(&self, from: &Die<R>, entry: &Entry<R>, at: DwAt) -> Option<Die<R>> {
        self.referred(from, entry.attr_value(at)?)
    }

    pub(in crate::dwarf) fn text(&self, die: &Die<R>, entry: &Entry<R>, at: DwAt) -> Option<String> {
        die.unit.string(entry.attr_value(at)?).filter(|text| !text.is_empty())
    }

    /// The entry, what it is a copy of (`DW_AT_abstract_origin`), and what it completes (`DW_AT_specification`).
    pub(in crate::dwarf) fn chain(&self, die: &Die<R>) -> Vec<Found<R>> {
        let mut chain = Vec::new();
        let mut next = Some(die.clone());
        while let Some(die) = next.take()
            && chain.len() < MAX_CHAIN
            && let Some(entry) = self.entry(&die)
        {
            next = self
                .follow(&die, &entry, gimli::DW_AT_abstract_origin)
                .or_else(|| self.follow(&die, &entry, gimli::DW_AT_specification));
            chain.push((die, entry));
        }
        chain
    }

    /// Calls `visit` for the children, until it breaks.
    pub(in crate::dwarf) fn children(
        &self,
        die: &Die<R>,
        mut visit: impl FnMut(&Die<R>, &Entry<R>) -> ControlFlow<()>,
    ) {
        let unit = &die.unit.unit;
        let Ok(mut tree) = unit.entries_tree(Some(die.offset)) else { return };
        let Ok(root) = tree.root() else { return };
        let mut children = root.children();
        while self.spend(1).is_some()
            && let Ok(Some(child)) = children.next()
        {
            let entry = child.entry();
            if visit(&die.sibling(entry.offset()), entry).is_break() {
                return;
            }
        }
    }
}

/// An attribute that is a number, or absent.
pub(in crate::dwarf) fn number<R: Reader<Offset = usize>>(entry: &Entry<R>, at: DwAt) -> Option<u64> {
    let attribute = entry.attr(at)?;
    attribute.udata_value().or_else(|| attribute.sdata_value().and_then(|value| u64::try_from(value).ok()))
}

pub(in crate::dwarf) fn flag<R: Reader<Offset = usize>>(entry: &Entry<R>, at: DwAt) -> bool {
    matches!(entry.attr_value(at), Some(AttributeValue::Flag(true)))
}
