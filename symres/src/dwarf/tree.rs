//! The functions of one unit: where their entries are, what they are nested in and what they refer to.

use gimli::{Attribute, AttributeValue, constants};

use super::sections::{Dwarf, Reader, Unit};
use super::values::Values;
use super::wanted::Wanted;

/// What an entry is to a search for functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A namespace, a class, a module: its name goes before those of the functions in it.
    Scope,
    /// A function: declared, defined, or a body.
    Function,
    /// A copy of one in the code of another.
    Inlined,
}

/// The entry that tells what an entry does not tell itself (`DW_AT_specification`, `DW_AT_abstract_origin`; for namespaces
/// `DW_AT_extension`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    None,
    /// At this offset in the same unit.
    Here(usize),
    /// At this offset in the section.
    Far(usize),
    /// At this offset in the section of the supplementary file.
    Alt(usize),
}

/// One entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    /// In its unit.
    pub(crate) offset: usize,
    /// Index of the node that it is nested in.
    parent: u32,
    pub(crate) kind: Kind,
    /// Its own name is one that is wanted.
    pub(crate) wanted: bool,
    /// It says where its code is.
    pub(crate) has_code: bool,
    pub(crate) origin: Origin,
}

const NO_PARENT: u32 = u32::MAX;

/// The entries of a unit that matter, in the order of their offsets.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// The unit breaks off, or has something that cannot be read.
    pub(crate) damaged: bool,
}

/// Which names are wanted, and the offsets of the strings that fit, where they are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameTest<'a> {
    pub(crate) wanted: &'a Wanted,
    /// In `.debug_str`.
    pub(crate) strings: Option<&'a Values>,
}

impl NameTest<'_> {
    pub(crate) fn fits<'s>(
        &self,
        dwarf: &Dwarf<'s>,
        unit: &Unit<'s>,
        value: AttributeValue<Reader<'s>>,
    ) -> gimli::Result<bool> {
        let offset = match value {
            AttributeValue::DebugStrRef(offset) => Some(offset.0),
            AttributeValue::DebugStrOffsetsIndex(index) => Some(dwarf.string_offset(unit, index)?.0),
            _ => None,
        };
        if let (Some(strings), Some(offset)) = (self.strings, offset) {
            return Ok(u32::try_from(offset).is_ok_and(|offset| strings.contains(offset)));
        }
        if *self.wanted == Wanted::Any {
            return Ok(true);
        }
        let name = dwarf.attr_string(unit, value)?;
        Ok(self.wanted.fits(&gimli::Reader::to_slice(&name)?))
    }
}

impl Tree {
    /// Reads the unit. What cannot be read ends it: entries are found only behind those before them.
    pub(crate) fn of<'s>(dwarf: &Dwarf<'s>, unit: &Unit<'s>, test: NameTest<'_>) -> Self {
        let mut tree = Self::default();
        tree.damaged = tree.read(dwarf, unit, test).is_err();
        tree
    }

    fn read<'s>(&mut self, dwarf: &Dwarf<'s>, unit: &Unit<'s>, test: NameTest<'_>) -> gimli::Result<()> {
        let mut entries = unit.entries_raw(None)?;
        // The innermost node around the next entry, for each level of nesting.
        let mut around: Vec<u32> = Vec::new();
        while !entries.is_empty() {
            let offset = entries.next_offset().0;
            let Some(abbreviation) = entries.read_abbreviation()? else {
                around.pop();
                if around.is_empty() {
                    // The root is closed; what follows is padding.
                    return Ok(());
                }
                continue;
            };
            let mut parent = around.last().copied().unwrap_or(NO_PARENT);
            let kind = match abbreviation.tag() {
                constants::DW_TAG_namespace
                | constants::DW_TAG_class_type
                | constants::DW_TAG_structure_type
                | constants::DW_TAG_union_type
                | constants::DW_TAG_enumeration_type
                | constants::DW_TAG_interface_type
                | constants::DW_TAG_module => Some(Kind::Scope),
                constants::DW_TAG_subprogram => Some(Kind::Function),
                constants::DW_TAG_inlined_subroutine => Some(Kind::Inlined),
                _ => None,
            };
            match kind {
                None => entries.skip_attributes(abbreviation.attributes())?,
                // It has nothing in it that has a name. A declaration may be of a class that is defined elsewhere.
                Some(Kind::Scope) if !abbreviation.has_children() && !is_declaration(abbreviation) => {
                    entries.skip_attributes(abbreviation.attributes())?;
                }
                Some(kind) => {
                    let mut node = Node { offset, parent, kind, wanted: false, has_code: false, origin: Origin::None };
                    for specification in abbreviation.attributes() {
                        let attribute = entries.read_attribute(*specification)?;
                        node.note(dwarf, unit, &attribute, test)?;
                    }
                    parent = self.push(node);
                }
            }
            if abbreviation.has_children() {
                around.push(parent);
            } else if around.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn push(&mut self, node: Node) -> u32 {
        // An entry takes at least one byte, and no unit in memory has so many.
        let index = u32::try_from(self.nodes.len()).unwrap_or(NO_PARENT);
        self.nodes.push(node);
        index
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes.iter().enumerate()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index)
    }

    /// The entry at this offset in the unit.
    pub(crate) fn at(&self, offset: usize) -> Option<usize> {
        self.nodes.binary_search_by_key(&offset, |node| node.offset).ok()
    }

    /// The node that a node is nested in; its index is smaller.
    pub(crate) fn parent(&self, index: usize) -> Option<usize> {
        let parent = self.nodes.get(index)?.parent as usize;
        (parent < index).then_some(parent)
    }
}

/// Entries of this form say that they only declare something.
fn is_declaration(abbreviation: &gimli::Abbreviation) -> bool {
    abbreviation.attributes().iter().any(|specification| specification.name() == constants::DW_AT_declaration)
}

impl Node {
    fn note<'s>(
        &mut self,
        dwarf: &Dwarf<'s>,
        unit: &Unit<'s>,
        attribute: &Attribute<Reader<'s>>,
        test: NameTest<'_>,
    ) -> gimli::Result<()> {
        match attribute.name() {
            constants::DW_AT_name | constants::DW_AT_linkage_name | constants::DW_AT_MIPS_linkage_name
                if self.kind == Kind::Function && !self.wanted =>
            {
                // A string that cannot be read is no name; the rest of the unit can.
                self.wanted = test.fits(dwarf, unit, attribute.value()).unwrap_or(false);
            }
            constants::DW_AT_abstract_origin | constants::DW_AT_specification | constants::DW_AT_extension => {
                self.origin = match attribute.value() {
                    AttributeValue::UnitRef(offset) => Origin::Here(offset.0),
                    AttributeValue::DebugInfoRef(offset) => Origin::Far(offset.0),
                    AttributeValue::DebugInfoRefSup(offset) => Origin::Alt(offset.0),
                    _ => self.origin,
                };
            }
            constants::DW_AT_low_pc | constants::DW_AT_ranges | constants::DW_AT_entry_pc => self.has_code = true,
            _ => {}
        }
        Ok(())
    }
}
