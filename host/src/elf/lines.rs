//! `.BTF.ext`: which line each instruction came from (Documentation/bpf/btf.rst, "The .BTF.ext section").

use super::{ElfError, string};
use crate::bpf::btf::Btf;
use crate::source::LineColumn;

/// `struct btf_ext_header` up to and with the place of the line records.
const HEADER: usize = 24;
const MAGIC: u16 = 0xeb9f;
/// `struct bpf_line_info`: offset, file, text of the line, line and column.
const RECORD: u32 = 16;
/// The most bytes of a record; the format allows it to grow.
const MAX_RECORD: u32 = 256;

/// Where instructions from an offset on came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// In bytes from the start of the section.
    pub(super) offset: u64,
    /// The file.
    pub(super) file: String,
    /// Line and column.
    pub(super) at: LineColumn,
}

/// The lines of each section, in the order of offsets. No section: no lines.
pub(super) fn read(bytes: &[u8], btf: &Btf) -> Result<Vec<(String, Vec<Line>)>, ElfError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    parse(bytes, btf).ok_or_else(|| ElfError::Damaged("its .BTF.ext is cut short".into()))
}

fn parse(bytes: &[u8], btf: &Btf) -> Option<Vec<(String, Vec<Line>)>> {
    let magic = u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?);
    let header = usize::try_from(word(bytes, 4)?).ok()?;
    if magic != MAGIC || header < HEADER {
        return None;
    }
    let start = header.checked_add(usize::try_from(word(bytes, 16)?).ok()?)?;
    let length = usize::try_from(word(bytes, 20)?).ok()?;
    let info = bytes.get(start..start.checked_add(length)?)?;
    let mut found = Vec::new();
    if info.is_empty() {
        return Some(found);
    }
    let size = word(info, 0)?;
    if !(RECORD..=MAX_RECORD).contains(&size) {
        return None;
    }
    let size = usize::try_from(size).ok()?;
    let mut rest = info.get(4..)?;
    while !rest.is_empty() {
        let (section, count) = (word(rest, 0)?, usize::try_from(word(rest, 4)?).ok()?);
        let records = rest.get(8..)?.get(..count.checked_mul(size)?)?;
        rest = rest.get(8 + records.len()..)?;
        let mut lines: Vec<Line> = records.chunks_exact(size).filter_map(|record| line(record, btf)).collect();
        lines.sort_by_key(|line| line.offset);
        found.push((string(btf, section), lines));
    }
    Some(found)
}

fn line(record: &[u8], btf: &Btf) -> Option<Line> {
    let at = word(record, 12)?;
    Some(Line {
        offset: word(record, 0)?.into(),
        file: string(btf, word(record, 4)?),
        // BPF_LINE_INFO_LINE_NUM and BPF_LINE_INFO_LINE_COL (include/uapi/linux/bpf.h).
        at: LineColumn { line: at >> 10, column: at & 0x3ff },
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
