//! The records of `.BTF.ext`, section by section (Documentation/bpf/btf.rst, "The .BTF.ext section").

/// Where the header says where the records of lines are (`struct btf_ext_header`).
pub(super) const LINES: usize = 16;
/// Where it says where the CO-RE relocations are.
pub(super) const RELOCATIONS: usize = 24;

const MAGIC: u16 = 0xeb9f;
/// The most bytes of a record; the format allows it to grow.
const MAX_RECORD: u32 = 256;

/// Records of one section: where its name is among the strings, and the records.
pub(super) type Section<'b> = (u32, Vec<&'b [u8]>);

/// The records whose place stands at `field` of the header, each of at least `least` bytes. None where they are cut short;
/// empty where the header is of a version that has none.
pub(super) fn records(bytes: &[u8], field: usize, least: u32) -> Option<Vec<Section<'_>>> {
    let magic = u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?);
    let header = usize::try_from(word(bytes, 4)?).ok()?;
    if magic != MAGIC || header < LINES + 8 {
        return None;
    }
    let mut found = Vec::new();
    if header < field + 8 {
        return Some(found);
    }
    let start = header.checked_add(usize::try_from(word(bytes, field)?).ok()?)?;
    let length = usize::try_from(word(bytes, field + 4)?).ok()?;
    let info = bytes.get(start..start.checked_add(length)?)?;
    if info.is_empty() {
        return Some(found);
    }
    let size = word(info, 0)?;
    if !(least..=MAX_RECORD).contains(&size) {
        return None;
    }
    let size = usize::try_from(size).ok()?;
    let mut rest = info.get(4..)?;
    while !rest.is_empty() {
        let (section, count) = (word(rest, 0)?, usize::try_from(word(rest, 4)?).ok()?);
        let records = rest.get(8..)?.get(..count.checked_mul(size)?)?;
        rest = rest.get(8 + records.len()..)?;
        found.push((section, records.chunks_exact(size).collect()));
    }
    Some(found)
}

/// The 32-bit number at an offset.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
