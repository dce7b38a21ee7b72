//! The functions of one unit: where their entries are, what they are nested in and what they refer to.

use gimli::{Abbreviation, Attribute, AttributeValue, Reader as _, UnitOffset, constants};

use super::sections::{Dwarf, Reader, Unit};
use super::shape::{Read, Shape, Shapes, Text, is_code, is_declaration, is_name, is_origin};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// For each so many bytes of a unit memory is set aside for an entry, and for so many entries at most.
const LIKELY: usize = 32;
const MOST_LIKELY: usize = 1 << 16;

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
        let likely = unit.header.length_including_self() / LIKELY;
        let mut tree = Self { nodes: Vec::with_capacity(likely.min(MOST_LIKELY)), damaged: false };
        tree.damaged = tree.read(dwarf, unit, test, true).is_err();
        tree
    }

    /// Without `quickly`, each entry is read by `gimli`, which finds the same.
    fn read<'s>(&mut self, dwarf: &Dwarf<'s>, unit: &Unit<'s>, test: NameTest<'_>, quickly: bool) -> gimli::Result<()> {
        let header = &unit.header;
        let mut input = header.range_from(header.root_offset()..)?;
        let mut shapes = Shapes::new(&unit.abbreviations, unit.encoding(), input.endian());
        // The innermost node around the next entry, for each level of nesting.
        let mut around: Vec<u32> = Vec::new();
        while !input.is_empty() {
            let offset = header.length_including_self() - input.len();
            let quick = match quickly {
                true => Entry::quick(&mut input, offset, &mut shapes, dwarf, unit, test)?,
                false => None,
            };
            let entry = match quick {
                Some(entry) => entry,
                None => Entry::read(&mut input, UnitOffset(offset), dwarf, unit, test)?,
            };
            let mut parent = around.last().copied().unwrap_or(NO_PARENT);
            let has_children = match entry {
                Entry::End => {
                    around.pop();
                    if around.is_empty() {
                        // The root is closed; what follows is padding.
                        return Ok(());
                    }
                    continue;
                }
                Entry::Passed { has_children } => has_children,
                Entry::Told { told: Told { kind, wanted, has_code, origin }, has_children } => {
                    parent = self.push(Node { offset, parent, kind, wanted, has_code, origin });
                    has_children
                }
            };
            if has_children {
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

/// What an entry tells of itself.
#[derive(Debug)]
struct Told {
    kind: Kind,
    wanted: bool,
    has_code: bool,
    origin: Origin,
}

/// What was read at a place.
#[derive(Debug)]
enum Entry {
    /// The end of what is nested in an entry.
    End,
    /// Nothing that matters.
    Passed {
        has_children: bool,
    },
    Told {
        told: Told,
        has_children: bool,
    },
}

impl Entry {
    /// Reads the next entry, which is at this offset, if it is of a usual shape.
    fn quick<'s>(
        input: &mut Reader<'s>,
        offset: usize,
        shapes: &mut Shapes<'_>,
        dwarf: &Dwarf<'s>,
        unit: &Unit<'s>,
        test: NameTest<'_>,
    ) -> gimli::Result<Option<Self>> {
        let mut wanted = false;
        let fits = |text: Text<'_>| match text {
            _ if wanted => {}
            Text::At(offset) => {
                wanted = test.fits(dwarf, unit, AttributeValue::DebugStrRef(offset)).unwrap_or(false);
            }
            Text::Here(name) => wanted = test.wanted.fits(name),
        };
        let Some((read, mut len)) = shapes.read(input.ahead()?, fits) else { return Ok(None) };
        let entry = match read {
            Read::End => Entry::End,
            Read::Entry { shape: Shape { kind: None, has_children, .. }, .. } => {
                Entry::Passed { has_children: *has_children }
            }
            Read::Entry { shape: Shape { kind: Some(kind), has_children, has_code, .. }, origin, next } => {
                let told = Told { kind: *kind, wanted, has_code: *has_code, origin };
                // Only what is farther on can be next.
                let beyond = next.and_then(|next| next.checked_sub(offset)).filter(|beyond| *beyond > len);
                len = beyond.unwrap_or(len);
                Entry::Told { told, has_children: *has_children && beyond.is_none() }
            }
        };
        input.skip(len)?;
        Ok(Some(entry))
    }

    /// Reads the next entry, which is at this offset, whatever its shape.
    fn read<'s>(
        input: &mut Reader<'s>,
        offset: UnitOffset<usize>,
        dwarf: &Dwarf<'s>,
        unit: &Unit<'s>,
        test: NameTest<'_>,
    ) -> gimli::Result<Self> {
        let mut entries = unit.entries_raw(Some(offset))?;
        let entry = match entries.read_abbreviation()? {
            None => Entry::End,
            Some(abbreviation) => {
                let has_children = abbreviation.has_children();
                match Kind::of(abbreviation) {
                    None => {
                        entries.skip_attributes(abbreviation.attributes())?;
                        Entry::Passed { has_children }
                    }
                    Some(kind) => {
                        let mut told = Told { kind, wanted: false, has_code: false, origin: Origin::None };
                        for specification in abbreviation.attributes() {
                            let attribute = entries.read_attribute(*specification)?;
                            told.note(dwarf, unit, &attribute, test);
                        }
                        Entry::Told { told, has_children }
                    }
                }
            }
        };
        input.skip(entries.next_offset().0.saturating_sub(offset.0))?;
        Ok(entry)
    }
}

impl Kind {
    /// Of the entries of an abbreviation: none where they do not matter.
    pub(super) fn of(abbreviation: &Abbreviation) -> Option<Self> {
        match abbreviation.tag() {
            constants::DW_TAG_namespace
            | constants::DW_TAG_class_type
            | constants::DW_TAG_structure_type
            | constants::DW_TAG_union_type
            | constants::DW_TAG_enumeration_type
            | constants::DW_TAG_interface_type
            | constants::DW_TAG_module => {
                // What has nothing in it has nothing in it that has a name. A declaration may be of a class that is defined
                // elsewhere.
                (abbreviation.has_children() || is_declaration(abbreviation)).then_some(Kind::Scope)
            }
            constants::DW_TAG_subprogram => Some(Kind::Function),
            constants::DW_TAG_inlined_subroutine => Some(Kind::Inlined),
            _ => None,
        }
    }
}

impl Told {
    fn note<'s>(&mut self, dwarf: &Dwarf<'s>, unit: &Unit<'s>, attribute: &Attribute<Reader<'s>>, test: NameTest<'_>) {
        let (name, value) = (attribute.name(), attribute.value());
        self.has_code |= is_code(name);
        if is_name(name) && self.kind == Kind::Function && !self.wanted {
            // A string that cannot be read is no name; the rest of the unit can.
            self.wanted = test.fits(dwarf, unit, value).unwrap_or(false);
        } else if is_origin(name) {
            self.origin = match value {
                AttributeValue::UnitRef(offset) => Origin::Here(offset.0),
                AttributeValue::DebugInfoRef(offset) => Origin::Far(offset.0),
                AttributeValue::DebugInfoRefSup(offset) => Origin::Alt(offset.0),
                _ => self.origin,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use gimli::DwarfFileType;

    use super::*;
    use crate::dwarf::budget::Budget;
    use crate::dwarf::load::{abbreviations, open};
    use crate::dwarf::sections::Sections;
    use crate::elf::Elf;
    use crate::file::Contents;

    /// How many nodes the units of a file have, how many of them are wanted, and how many entries were read quickly.
    fn compare(path: &Path, wanted: &Wanted) -> (usize, usize, usize) {
        let elf = Elf::parse(Contents::open(path, path).unwrap()).unwrap();
        let sections = Sections::of(&elf, DwarfFileType::Main).unwrap();
        let dwarf = sections.dwarf();
        let strings = wanted.offsets(sections.get(gimli::SectionId::DebugStr)).unwrap();
        let mut counts = (0, 0, 0);
        for strings in [strings.as_ref(), None] {
            let mut headers = dwarf.units();
            while let Some(header) = headers.next().unwrap() {
                let budget = Budget::new(1 << 30);
                let (unit, _) = open(&dwarf, header, abbreviations(&dwarf, &header, &budget).unwrap()).unwrap();
                let test = NameTest { wanted, strings };
                let (mut quick, mut slow) = (Tree::default(), Tree::default());
                quick.read(&dwarf, &unit, test, true).unwrap();
                slow.read(&dwarf, &unit, test, false).unwrap();
                assert_eq!(quick.nodes, slow.nodes, "{} {wanted:?}", path.display());
                counts.0 += quick.nodes.len();
                counts.1 += quick.nodes.iter().filter(|node| node.wanted).count();
                counts.2 += read_quickly(&dwarf, &unit, test);
            }
        }
        counts
    }

    fn read_quickly<'s>(dwarf: &Dwarf<'s>, unit: &Unit<'s>, test: NameTest<'_>) -> usize {
        let mut input = unit.header.range_from(unit.header.root_offset()..).unwrap();
        let mut shapes = Shapes::new(&unit.abbreviations, unit.encoding(), input.endian());
        let mut count = 0;
        while !input.is_empty() {
            let offset = unit.header.length_including_self() - input.len();
            match Entry::quick(&mut input, offset, &mut shapes, dwarf, unit, test).unwrap() {
                Some(_) => count += 1,
                None => drop(Entry::read(&mut input, UnitOffset(offset), dwarf, unit, test).unwrap()),
            }
        }
        count
    }

    #[test]
    fn what_is_read_quickly_is_what_is_read_slowly() {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/inlined.cc");
        let builds: &[(&str, &[&str])] = &[
            ("g++", &["-gdwarf-2"]),
            ("g++", &["-gdwarf-3"]),
            ("g++", &["-gdwarf-4"]),
            ("g++", &["-gdwarf-5"]),
            ("g++", &["-gdwarf-5", "-gdwarf64"]),
            ("g++", &["-gdwarf-4", "-fdebug-types-section"]),
            ("clang++", &["-gdwarf-4"]),
            ("clang++", &["-gdwarf-5"]),
        ];
        for (compiler, flags) in builds {
            let object = folder.path().join("object.so");
            let mut command = Command::new(compiler);
            command.args(["-O2", "-w", "-shared", "-fPIC", "-o"]).arg(&object).args(*flags).arg(&source);
            let Ok(status) = command.status() else { continue };
            assert!(status.success(), "{command:?}");
            for wanted in [Wanted::Any, Wanted::Part("e".into()), Wanted::Words(vec!["leaf".into(), "mix".into()])] {
                let (nodes, fitting, quick) = compare(&object, &wanted);
                assert!(nodes > 20 && fitting > 0 && quick > nodes / 2, "{command:?}: {nodes} {fitting} {quick}");
            }
        }
    }
}
