//! How the entries of a unit lie in its bytes, worked out once for each abbreviation.
//!
//! Most entries are of no use to a search for functions and only have to be passed over, and there are a million of them in a
//! server. So what `gimli` decides for each attribute of each entry is decided here for each abbreviation: how many bytes can be
//! passed over, and where what matters stands. Only the usual forms are known here, and only what lies in memory in one piece
//! is read; for all else [`Shapes::read`] has no answer, and `gimli` is to be asked.

use std::ops::Range;

use gimli::{
    Abbreviation, Abbreviations, AttributeSpecification, DebugStrOffset, Encoding, Endianity as _, Format,
    RunTimeEndian, constants,
};

use super::tree::{Kind, Origin};

/// Larger codes are those of other tables: compilers count from 1.
const MAX_CODE: usize = 4096;
/// The end of a longer text is not looked for here.
const MAX_TEXT: usize = 512;

/// A part of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// So many bytes of no interest.
    Pass(usize),
    /// Up to the next NUL.
    PassText,
    /// A length of so many bytes, and as many bytes as that says.
    PassBlock(usize),
    /// A length in LEB128, and as many bytes as that says.
    PassCounted,
    /// A number in LEB128.
    PassNumber,
    /// A name in `.debug_str`, by its offset in four bytes.
    Name,
    /// A name that stands here.
    NameHere,
    /// The entry that tells more, by its offset in the unit in four bytes.
    Origin,
    /// The entry behind all that is nested in this one, by its offset in the unit in four bytes.
    Sibling,
}

/// How the entries of an abbreviation look.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// None for what is not looked at.
    pub(super) kind: Option<Kind>,
    pub(super) has_children: bool,
    /// Its entries say where their code is.
    pub(super) has_code: bool,
    steps: Range<usize>,
}

/// A name as it stands in an entry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    /// Where it is in `.debug_str`.
    At(DebugStrOffset<usize>),
    Here(&'a [u8]),
}

/// What stands at a place.
#[derive(Debug)]
pub(super) enum Read<'a> {
    /// The end of what is nested in an entry.
    End,
    Entry {
        shape: &'a Shape,
        origin: Origin,
        /// The offset in the unit of the next entry that matters, where nothing that is nested in this one does.
        next: Option<usize>,
    },
}

#[derive(Clone, Debug)]
enum Known {
    NotYet,
    Shape(Shape),
    /// Its entries are read otherwise.
    Unusual,
}

/// The shapes of a unit.
#[derive(Debug)]
pub(super) struct Shapes<'u> {
    abbreviations: &'u Abbreviations,
    encoding: Encoding,
    endian: RunTimeEndian,
    /// By code.
    known: Vec<Known>,
    steps: Vec<Step>,
}

impl<'u> Shapes<'u> {
    pub(super) fn new(abbreviations: &'u Abbreviations, encoding: Encoding, endian: RunTimeEndian) -> Self {
        Self { abbreviations, encoding, endian, known: Vec::new(), steps: Vec::new() }
    }

    /// Reads the entry at the beginning of `bytes`, and shows its names to `name`: what it is, and its length. None where it
    /// does not end in `bytes`, or is not of a usual shape.
    pub(super) fn read(&mut self, bytes: &[u8], mut name: impl FnMut(Text<'_>)) -> Option<(Read<'_>, usize)> {
        let (code, mut at) = match *bytes {
            [0, ..] => return Some((Read::End, 1)),
            [code @ ..0x80, ..] => (usize::from(code), 1),
            [low, high @ ..0x80, ..] => (usize::from(low & 0x7f) | usize::from(high) << 7, 2),
            _ => return None,
        };
        self.learn(code);
        let Some(Known::Shape(shape)) = self.known.get(code) else { return None };
        let (mut origin, mut next) = (Origin::None, None);
        for step in self.steps.get(shape.steps.clone())? {
            match step {
                Step::Pass(len) => at += len,
                Step::PassText => at += text(bytes.get(at..)?)?.len() + 1,
                Step::PassBlock(size) => at = at.checked_add(size + self.number(bytes.get(at..)?, *size)?)?,
                Step::PassCounted => {
                    let (len, size) = leb128(bytes.get(at..)?)?;
                    at = at.checked_add(size)?.checked_add(len)?;
                }
                Step::PassNumber => at += bytes.get(at..)?.iter().position(|byte| *byte < 0x80)? + 1,
                Step::Name => {
                    name(Text::At(DebugStrOffset(self.number(bytes.get(at..)?, 4)?)));
                    at += 4;
                }
                Step::NameHere => {
                    let text = text(bytes.get(at..)?)?;
                    name(Text::Here(text));
                    at += text.len() + 1;
                }
                Step::Origin => {
                    origin = Origin::Here(self.number(bytes.get(at..)?, 4)?);
                    at += 4;
                }
                Step::Sibling => {
                    next = Some(self.number(bytes.get(at..)?, 4)?);
                    at += 4;
                }
            }
        }
        (at <= bytes.len()).then_some((Read::Entry { shape, origin, next }, at))
    }

    /// The number in the first `size` bytes.
    fn number(&self, bytes: &[u8], size: usize) -> Option<usize> {
        Some(match size {
            1 => usize::from(*bytes.first()?),
            2 => usize::from(self.endian.read_u16(bytes.get(..2)?)),
            _ => usize::try_from(self.endian.read_u32(bytes.get(..4)?)).ok()?,
        })
    }

    fn learn(&mut self, code: usize) {
        if code >= MAX_CODE || self.known.get(code).is_some_and(|known| !matches!(known, Known::NotYet)) {
            return;
        }
        if code >= self.known.len() {
            self.known.resize(code + 1, Known::NotYet);
        }
        let shape = self.shape(code).map_or(Known::Unusual, Known::Shape);
        if let Some(known) = self.known.get_mut(code) {
            *known = shape;
        }
    }

    fn shape(&mut self, code: usize) -> Option<Shape> {
        let abbreviation = self.abbreviations.get(u64::try_from(code).ok()?)?;
        let kind = Kind::of(abbreviation);
        let start = self.steps.len();
        let mut has_code = false;
        // What is only declared has parameters, and nothing in it that has code or declares more.
        let only_declares = kind == Some(Kind::Function) && is_declaration(abbreviation);
        for attribute in abbreviation.attributes() {
            has_code |= is_code(attribute.name());
            let step = match attribute.name() {
                constants::DW_AT_sibling if only_declares && attribute.form() == constants::DW_FORM_ref4 => {
                    Step::Sibling
                }
                _ => self.step(kind, attribute)?,
            };
            match (self.steps.get_mut(start..).and_then(<[Step]>::last_mut), step) {
                (Some(Step::Pass(before)), Step::Pass(len)) => *before += len,
                _ => self.steps.push(step),
            }
        }
        Some(Shape { kind, has_children: abbreviation.has_children(), has_code, steps: start..self.steps.len() })
    }

    fn step(&self, kind: Option<Kind>, attribute: &AttributeSpecification) -> Option<Step> {
        let form = attribute.form();
        if kind == Some(Kind::Function) && is_name(attribute.name()) {
            return match form {
                constants::DW_FORM_strp if self.encoding.format == Format::Dwarf32 => Some(Step::Name),
                constants::DW_FORM_string => Some(Step::NameHere),
                _ => None,
            };
        }
        if kind.is_some() && is_origin(attribute.name()) {
            return (form == constants::DW_FORM_ref4).then_some(Step::Origin);
        }
        Some(match form {
            constants::DW_FORM_string => Step::PassText,
            constants::DW_FORM_block1 => Step::PassBlock(1),
            constants::DW_FORM_block2 => Step::PassBlock(2),
            constants::DW_FORM_block4 => Step::PassBlock(4),
            constants::DW_FORM_block | constants::DW_FORM_exprloc => Step::PassCounted,
            constants::DW_FORM_udata
            | constants::DW_FORM_sdata
            | constants::DW_FORM_ref_udata
            | constants::DW_FORM_strx
            | constants::DW_FORM_addrx
            | constants::DW_FORM_loclistx
            | constants::DW_FORM_rnglistx => Step::PassNumber,
            form => Step::Pass(self.size(form)?),
        })
    }

    /// The bytes that a value of this form always takes (DWARF 5, 7.5.6).
    fn size(&self, form: constants::DwForm) -> Option<usize> {
        let word = usize::from(self.encoding.format.word_size());
        Some(match form {
            constants::DW_FORM_flag_present | constants::DW_FORM_implicit_const => 0,
            constants::DW_FORM_data1
            | constants::DW_FORM_flag
            | constants::DW_FORM_ref1
            | constants::DW_FORM_strx1
            | constants::DW_FORM_addrx1 => 1,
            constants::DW_FORM_data2
            | constants::DW_FORM_ref2
            | constants::DW_FORM_strx2
            | constants::DW_FORM_addrx2 => 2,
            constants::DW_FORM_data4
            | constants::DW_FORM_ref4
            | constants::DW_FORM_strx4
            | constants::DW_FORM_addrx4 => 4,
            constants::DW_FORM_data8 | constants::DW_FORM_ref8 | constants::DW_FORM_ref_sig8 => 8,
            constants::DW_FORM_data16 => 16,
            constants::DW_FORM_addr => usize::from(self.encoding.address_size),
            constants::DW_FORM_sec_offset | constants::DW_FORM_strp | constants::DW_FORM_line_strp => word,
            constants::DW_FORM_ref_addr if self.encoding.version > 2 => word,
            _ => return None,
        })
    }
}

/// Whether an attribute is the name of a function.
pub(super) fn is_name(name: constants::DwAt) -> bool {
    matches!(name, constants::DW_AT_name | constants::DW_AT_linkage_name | constants::DW_AT_MIPS_linkage_name)
}

/// Whether an attribute refers to the entry that tells more.
pub(super) fn is_origin(name: constants::DwAt) -> bool {
    matches!(name, constants::DW_AT_abstract_origin | constants::DW_AT_specification | constants::DW_AT_extension)
}

/// Entries of this form say that they only declare something.
pub(super) fn is_declaration(abbreviation: &Abbreviation) -> bool {
    abbreviation.attributes().iter().any(|specification| specification.name() == constants::DW_AT_declaration)
}

/// Whether an attribute says where code is.
pub(super) fn is_code(name: constants::DwAt) -> bool {
    matches!(name, constants::DW_AT_low_pc | constants::DW_AT_ranges | constants::DW_AT_entry_pc)
}

/// The text up to the first NUL.
fn text(bytes: &[u8]) -> Option<&[u8]> {
    let near = bytes.get(..MAX_TEXT).unwrap_or(bytes);
    near.get(..memchr::memchr(0, near)?)
}

/// A small number in LEB128, and how many bytes it takes.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes {
        [low @ ..0x80, ..] => Some((usize::from(low), 1)),
        [low, high @ ..0x80, ..] => Some((usize::from(low & 0x7f) | usize::from(high) << 7, 2)),
        _ => None,
    }
}
