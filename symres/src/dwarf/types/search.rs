//! The named types of one unit.

use std::collections::HashMap;

use gimli::{Attribute, AttributeValue, DwTag, Reader as _, UnitOffset, constants};

use crate::dwarf::budget::Budget;
use crate::dwarf::sections::{Dwarf, Reader, Unit};
use crate::dwarf::tree::NameTest;
use crate::layout::TypeKind;

/// Scopes nest a few levels deep.
const MAX_DEPTH: usize = 128;

/// Where the unit of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Home {
    /// `.debug_info` of the main file.
    Info,
    /// `.debug_types` of the main file.
    Types,
    /// `.debug_info` of the supplementary file.
    Supplementary,
}

/// A type that has a wanted name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeEntry {
    pub(crate) home: Home,
    /// Of its unit in the section.
    pub(crate) start: usize,
    /// In its unit.
    pub(crate) offset: usize,
    pub(crate) kind: TypeKind,
    /// With its scopes.
    pub(crate) name: String,
    pub(crate) size: Option<u64>,
    pub(crate) only_declared: bool,
    /// What tells two types of one name apart: the line of the definition, and how many fields and base classes it has.
    pub(crate) line: Option<u64>,
    pub(crate) fields: usize,
}

fn kind_of(tag: DwTag) -> Option<TypeKind> {
    Some(match tag {
        constants::DW_TAG_structure_type | constants::DW_TAG_interface_type => TypeKind::Struct,
        constants::DW_TAG_class_type => TypeKind::Class,
        constants::DW_TAG_union_type => TypeKind::Union,
        constants::DW_TAG_enumeration_type => TypeKind::Enum,
        constants::DW_TAG_typedef | constants::DW_TAG_template_alias => TypeKind::Typedef,
        _ => return None,
    })
}

/// What an entry is nested in.
struct Scope<'s> {
    /// None for what has no part in names.
    name: Option<Name<'s>>,
    /// Index among what was found, of a type that is wanted.
    found: Option<usize>,
}

enum Name<'s> {
    Anonymous,
    Value(AttributeValue<Reader<'s>>),
    /// That of the declaration, with its scopes.
    Whole(String),
}

/// The types of a unit whose name is wanted, in the order of their entries. What cannot be read ends it.
pub(crate) fn types_of<'s>(
    dwarf: &Dwarf<'s>,
    unit: &Unit<'s>,
    home: Home,
    test: NameTest<'_>,
    budget: &Budget,
) -> Vec<TypeEntry> {
    let mut walk = Walk { dwarf, unit, home, test, budget, found: Vec::new(), declared: HashMap::new() };
    // What was found before the damage is sound.
    let _ = walk.read();
    walk.found
}

struct Walk<'a, 's> {
    dwarf: &'a Dwarf<'s>,
    unit: &'a Unit<'s>,
    home: Home,
    test: NameTest<'a>,
    budget: &'a Budget,
    found: Vec<TypeEntry>,
    /// Names of wanted declarations, by their offsets: a definition may stand elsewhere and refer to them.
    declared: HashMap<usize, String>,
}

/// The attributes of an entry that matter.
#[derive(Default)]
struct Noted<'s> {
    name: Option<AttributeValue<Reader<'s>>>,
    size: Option<u64>,
    line: Option<u64>,
    declaration: bool,
    signature: bool,
    specification: Option<UnitOffset>,
}

impl<'s> Noted<'s> {
    fn note(&mut self, attribute: &Attribute<Reader<'s>>) {
        match attribute.name() {
            constants::DW_AT_name => self.name = Some(attribute.value()),
            constants::DW_AT_byte_size => self.size = attribute.udata_value(),
            constants::DW_AT_decl_line => self.line = attribute.udata_value(),
            constants::DW_AT_declaration => self.declaration = true,
            constants::DW_AT_signature => self.signature = true,
            constants::DW_AT_specification | constants::DW_AT_extension => {
                if let AttributeValue::UnitRef(offset) = attribute.value() {
                    self.specification = Some(offset);
                }
            }
            _ => {}
        }
    }
}

impl<'s> Walk<'_, 's> {
    fn read(&mut self) -> gimli::Result<()> {
        let mut entries = self.unit.entries_raw(None)?;
        let mut scopes: Vec<Scope<'s>> = Vec::new();
        while !entries.is_empty() {
            let offset = entries.next_offset();
            let Some(abbreviation) = entries.read_abbreviation()? else {
                scopes.pop();
                if scopes.is_empty() {
                    return Ok(());
                }
                continue;
            };
            let tag = abbreviation.tag();
            let kind = kind_of(tag);
            let mut scope = Scope { name: None, found: None };
            let names_things = kind.is_some()
                || abbreviation.has_children()
                    && matches!(
                        tag,
                        constants::DW_TAG_namespace | constants::DW_TAG_module | constants::DW_TAG_subprogram
                    );
            if names_things {
                let mut noted = Noted::default();
                for specification in abbreviation.attributes() {
                    noted.note(&entries.read_attribute(*specification)?);
                }
                scope.found = kind.and_then(|kind| self.keep(kind, offset, &noted, &scopes));
                let known = noted.specification.and_then(|offset| self.declared.get(&offset.0)).cloned();
                scope.name = match (known, noted.name) {
                    (Some(name), _) => Some(Name::Whole(name)),
                    (None, Some(value)) => Some(Name::Value(value)),
                    (None, None) if tag == constants::DW_TAG_namespace => Some(Name::Anonymous),
                    (None, None) => None,
                };
            } else {
                entries.skip_attributes(abbreviation.attributes())?;
                if matches!(tag, constants::DW_TAG_member | constants::DW_TAG_inheritance)
                    && let Some(index) = scopes.last().and_then(|scope| scope.found)
                    && let Some(found) = self.found.get_mut(index)
                {
                    found.fields += 1;
                }
            }
            if abbreviation.has_children() {
                if scopes.len() >= MAX_DEPTH {
                    return Err(gimli::Error::TooManyIterations);
                }
                scopes.push(scope);
            } else if scopes.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Keeps a type that is wanted: its index among those.
    fn keep(&mut self, kind: TypeKind, offset: UnitOffset, noted: &Noted<'s>, scopes: &[Scope<'s>]) -> Option<usize> {
        let declared = noted.specification.and_then(|offset| self.declared.get(&offset.0)).cloned();
        let name = match (declared, noted.name) {
            (Some(name), _) => name,
            (None, Some(value)) if self.test.fits(self.dwarf, self.unit, value).unwrap_or(false) => {
                self.qualified(value, scopes)?
            }
            _ => return None,
        };
        if noted.declaration {
            self.declared.insert(offset.0, name.clone());
        }
        self.found.push(TypeEntry {
            home: self.home,
            start: self.unit.header.offset().0,
            offset: offset.0,
            kind,
            name,
            size: noted.size,
            only_declared: noted.declaration || noted.signature,
            line: noted.line,
            fields: 0,
        });
        self.found.len().checked_sub(1)
    }

    fn qualified(&self, own: AttributeValue<Reader<'s>>, scopes: &[Scope<'s>]) -> Option<String> {
        let mut text = String::new();
        for scope in scopes {
            match &scope.name {
                None => continue,
                Some(Name::Anonymous) => text.push_str("(anonymous namespace)"),
                Some(Name::Value(value)) => text.push_str(&self.text(*value)?),
                Some(Name::Whole(name)) => name.clone_into(&mut text),
            }
            text.push_str("::");
        }
        text.push_str(&self.text(own)?);
        Some(text)
    }

    fn text(&self, value: AttributeValue<Reader<'s>>) -> Option<String> {
        let text = self.dwarf.attr_string(self.unit, value).ok()?;
        self.budget.spend(text.len()).ok()?;
        Some(text.to_string_lossy().ok()?.into_owned())
    }
}
