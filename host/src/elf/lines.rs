//! `.BTF.ext`: which line each instruction came from (Documentation/bpf/btf.rst, "The .BTF.ext section").

use super::ext::{self, word};
use super::{ElfError, string};
use crate::bpf::btf::Btf;
use crate::source::LineColumn;

/// `struct bpf_line_info`: offset, file, text of the line, line and column.
const RECORD: u32 = 16;

/// Where instructions from an offset on came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// In bytes from the start of the section.
    pub(super) offset: u64,
    /// The file.
    pub(super) file: String,
    /// Line and column.
    pub(super) at: LineColumn,
    /// The words of that line.
    pub(super) text: String,
}

/// The lines of each section, in the order of offsets. No section: no lines.
pub(super) fn read(bytes: &[u8], btf: &Btf) -> Result<Vec<(String, Vec<Line>)>, ElfError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    parse(bytes, btf).ok_or_else(|| ElfError::Damaged("its .BTF.ext is cut short".into()))
}

fn parse(bytes: &[u8], btf: &Btf) -> Option<Vec<(String, Vec<Line>)>> {
    let sections = ext::records(bytes, ext::LINES, RECORD)?;
    let lines = sections.into_iter().map(|(section, records)| {
        let mut lines: Vec<Line> = records.into_iter().filter_map(|record| line(record, btf)).collect();
        lines.sort_by_key(|line| line.offset);
        (string(btf, section), lines)
    });
    Some(lines.collect())
}

fn line(record: &[u8], btf: &Btf) -> Option<Line> {
    let at = word(record, 12)?;
    Some(Line {
        offset: word(record, 0)?.into(),
        file: string(btf, word(record, 4)?),
        text: string(btf, word(record, 8)?),
        // BPF_LINE_INFO_LINE_NUM and BPF_LINE_INFO_LINE_COL (include/uapi/linux/bpf.h).
        at: LineColumn { line: at >> 10, column: at & 0x3ff },
    })
}
