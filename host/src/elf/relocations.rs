//! What CO-RE relocates in an object (`struct bpf_core_relo` of include/uapi/linux/bpf.h).

use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader as _, SectionHeader as _};

use super::ext::{self, word};
use super::{ElfError, string};
use crate::bpf::btf::{Btf, TypeId};

/// `struct bpf_core_relo`: offset, type, way to the field, kind.
const RECORD: u32 = 16;

/// One relocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relocation {
    /// What is put into the instruction.
    pub kind: RelocationKind,
    /// The type, in the object's BTF, that the way starts at.
    pub root: TypeId,
    /// The way to the field: indexes of members and elements, as in `0:1:2`.
    pub access: String,
    /// Whether the instruction is a load, whose size libbpf relocates too.
    pub is_load: bool,
}

/// What a relocation puts into the instruction, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelocationKind {
    /// The offset of a field in bytes.
    Offset,
    /// The size of a field, or how its bits are shifted.
    Size,
    /// Anything else.
    Other,
}

/// The relocations of an object, and its types.
///
/// # Errors
/// As for [`super::read`].
pub fn relocations(elf: &[u8]) -> Result<(Btf, Vec<Relocation>), ElfError> {
    let damaged = |error: object::read::Error| ElfError::Damaged(error.to_string());
    let header = FileHeader64::<Endianness>::parse(elf).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let sections = header.sections(endian, elf).map_err(damaged)?;
    let data = |name: &[u8]| {
        let (_, section) = sections.section_by_name(endian, name)?;
        section.data(endian, elf).ok()
    };
    let btf = Btf::parse(data(b".BTF").ok_or(ElfError::NoBtf)?.to_vec());
    let btf = btf.map_err(|error| ElfError::Damaged(error.to_string()))?;
    let Some(bytes) = data(b".BTF.ext").filter(|bytes| !bytes.is_empty()) else { return Ok((btf, Vec::new())) };
    let records = ext::records(bytes, ext::RELOCATIONS, RECORD);
    let records = records.ok_or_else(|| ElfError::Damaged("its .BTF.ext is cut short".into()))?;
    let mut found = Vec::new();
    for (section, records) in records {
        let code = data(string(&btf, section).as_bytes()).unwrap_or_default();
        found.extend(records.into_iter().filter_map(|record| relocation(record, code, &btf)));
    }
    Ok((btf, found))
}

fn relocation(record: &[u8], code: &[u8], btf: &Btf) -> Option<Relocation> {
    /// The class of loads from memory (`BPF_LDX`).
    const LOAD: u8 = 1;
    let at = usize::try_from(word(record, 0)?).ok()?;
    let kind = match word(record, 12)? {
        0 => RelocationKind::Offset,
        1 | 4 | 5 => RelocationKind::Size,
        _ => RelocationKind::Other,
    };
    let is_load = code.get(at).is_some_and(|code| code & 7 == LOAD);
    Some(Relocation { kind, root: TypeId(word(record, 4)?), access: string(btf, word(record, 8)?), is_load })
}
