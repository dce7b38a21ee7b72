//! From addresses in a running process to those of its files, and back.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use crate::addr::{LoadBias, Pid, RuntimeAddr, Segment, VirtAddr};
use crate::binary::Binary;
use crate::debug::Options;
use crate::error::Error;
use crate::process::{self, FileKey, Mapping, mapped_file, maps};

/// More segments with code, and more mappings of one file, than any linker or loader makes.
const MAX_SEGMENTS: usize = 64;
const MAX_MAPPINGS: usize = 1024;
/// So many different biases are tried; a file is loaded once, or as often as there are namespaces of `dlmopen`.
const MAX_BIASES: usize = 256;

/// A part of a file in a process's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mapped {
    addresses: Range<u64>,
    offset: u64,
}

impl Mapped {
    fn of(mapping: &Mapping<'_>) -> Option<Self> {
        Some(Self { addresses: mapping.addresses()?, offset: mapping.offset })
    }

    /// Where in the file the byte at `addr` is.
    fn file_offset(&self, addr: u64) -> Option<u64> {
        if !self.addresses.contains(&addr) {
            return None;
        }
        addr.checked_sub(self.addresses.start)?.checked_add(self.offset)
    }
}

impl Binary {
    /// What was added to the addresses of this file when the process loaded it: none when it has not loaded its code, several
    /// when it has done so more than once (`dlmopen`).
    ///
    /// # Errors
    ///
    /// When the process is not there, or may not be looked into.
    pub fn load_biases(&self, pid: Pid) -> Result<Vec<LoadBias>, Error> {
        let text = maps(pid)?;
        // Whether the mappings of a file, as the kernel names it, are those of this one.
        let mut known: BTreeMap<FileKey<'_>, bool> = BTreeMap::new();
        let mut mapped = Vec::new();
        for mapping in Mapping::all(&text).filter(|mapping| mapping.code) {
            let same = known.entry(mapping.key()).or_insert_with(|| self.is_at(&mapped_file(pid, &mapping).path));
            if *same && mapped.len() < MAX_MAPPINGS {
                mapped.extend(Mapped::of(&mapping));
            }
        }
        Ok(biases(self.segments(), &mapped))
    }

    /// The address in this file of the code at `addr` in the process: none when the process has something else there.
    ///
    /// # Errors
    ///
    /// As [`Binary::load_biases`].
    pub fn virt_addr(&self, pid: Pid, addr: RuntimeAddr) -> Result<Option<VirtAddr>, Error> {
        let biases = self.load_biases(pid)?;
        let text = maps(pid)?;
        let here = code_at(&text, addr).filter(|mapping| self.is_at(&mapped_file(pid, mapping).path));
        let offset = here.as_ref().and_then(Mapped::of).and_then(|mapped| mapped.file_offset(addr.0));
        let Some(offset) = offset else { return Ok(None) };
        let mut addresses = biases.into_iter().map(|bias| bias.virt(addr));
        Ok(addresses.find(|virt| self.file_offset(*virt).is_some_and(|found| found.0 == offset)))
    }

    /// Opens the file that a process has mapped as code at `addr`, and says which of its addresses that is: none where no file
    /// is mapped so.
    ///
    /// # Errors
    ///
    /// When the process is not there or may not be looked into, and when the file cannot be read.
    pub fn at_address(pid: Pid, addr: RuntimeAddr, options: &Options) -> Result<Option<(Self, VirtAddr)>, Error> {
        let text = maps(pid)?;
        let Some(mapping) = code_at(&text, addr) else { return Ok(None) };
        let binary = Self::of_executable(mapped_file(pid, &mapping), options)?;
        let virt = binary.virt_addr(pid, addr)?;
        Ok(virt.map(|virt| (binary, virt)))
    }

    fn is_at(&self, path: &Path) -> bool {
        path == self.path() || process::identity(path).is_some_and(|id| Some(id) == process::identity(self.path()))
    }
}

/// The mapping of a file's code at `addr`.
fn code_at(maps: &[u8], addr: RuntimeAddr) -> Option<Mapping<'_>> {
    Mapping::all(maps)
        .filter(|mapping| mapping.code)
        .find(|mapping| mapping.addresses().is_some_and(|range| range.contains(&addr.0)))
}

/// The biases with which `mapped`, which are all of one file and executable, are its `segments`.
///
/// The loader maps each segment so that `start - offset = bias + p_vaddr - p_offset` (`elf_map` in the kernel's
/// `fs/binfmt_elf.c`, `_dl_map_segments` in glibc). A page of the file that two segments share is mapped for each of them, and
/// then one mapping alone does not tell which it is; the right bias is the one with which all segments with code are there.
fn biases(segments: &[Segment], mapped: &[Mapped]) -> Vec<LoadBias> {
    let code: Vec<&Segment> = segments.iter().filter(|s| s.executable && s.filesz.0 > 0).take(MAX_SEGMENTS).collect();
    let bias = |segment: &Segment, part: &Mapped| {
        let into_file = part.addresses.start.wrapping_sub(part.offset);
        into_file.wrapping_sub(segment.vaddr.0.wrapping_sub(segment.offset.0))
    };
    let overlap = |segment: &Segment, part: &Mapped| {
        let len = part.addresses.end.saturating_sub(part.addresses.start);
        part.offset < segment.offset.0.saturating_add(segment.filesz.0)
            && segment.offset.0 < part.offset.saturating_add(len)
    };
    let mut score: BTreeMap<u64, usize> = BTreeMap::new();
    for part in mapped {
        for segment in code.iter().filter(|segment| overlap(segment, part)) {
            if score.len() < MAX_BIASES {
                score.entry(bias(segment, part)).or_default();
            }
        }
    }
    for (bias, score) in &mut score {
        // The first byte of each segment is where this bias has it.
        let is_there = |segment: &&&Segment| {
            let start = segment.vaddr.0.wrapping_add(*bias);
            mapped.iter().any(|part| part.file_offset(start) == Some(segment.offset.0))
        };
        *score = code.iter().filter(is_there).count();
    }
    // Of a program that moved parts of its code to other memory some segments are not there any more.
    let best = score.values().copied().max().unwrap_or_default();
    score.into_iter().filter(|(_, count)| *count == best).map(|(bias, _)| LoadBias(bias)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{ByteSpan, FileOffset};

    fn code(vaddr: u64, offset: u64, filesz: u64) -> Segment {
        Segment { vaddr: VirtAddr(vaddr), offset: FileOffset(offset), filesz: ByteSpan(filesz), executable: true }
    }

    fn mapped(start: u64, end: u64, offset: u64) -> Mapped {
        Mapped { addresses: start..end, offset }
    }

    #[test]
    fn the_bias_is_what_was_added() {
        let check = |segments: &[Segment], parts: &[Mapped], expect: &[u64]| {
            assert_eq!(biases(segments, parts), expect.iter().map(|bias| LoadBias(*bias)).collect::<Vec<_>>());
        };
        check(
            &[code(0x1000, 0x1000, 0x800)],
            &[mapped(0x5555_0000_1000, 0x5555_0000_2000, 0x1000)],
            &[0x5555_0000_0000],
        );
        // Not position-independent; the segment begins inside of a page.
        check(&[code(0x40_16d0, 0x6d0, 0x200)], &[mapped(0x40_1000, 0x40_2000, 0)], &[0]);
        // Linked to a higher address than it is loaded to.
        let high = 0x7fff_0000_1000;
        check(
            &[code(high, 0x1000, 0x800)],
            &[mapped(0x1_1000, 0x1_2000, 0x1000)],
            &[0x1_0000_u64.wrapping_sub(high - 0x1000)],
        );
        // Two segments in one page of the file: each mapping could be either.
        let both = [code(0x1000, 0x1000, 0x400), code(0x3400, 0x1400, 0x400)];
        check(&both, &[mapped(0x7_1000, 0x7_2000, 0x1000), mapped(0x7_3000, 0x7_4000, 0x1000)], &[0x7_0000]);
        // Loaded twice.
        let twice = [mapped(0x1_1000, 0x1_2000, 0x1000), mapped(0x9_1000, 0x9_2000, 0x1000)];
        check(&[code(0x1000, 0x1000, 0x800)], &twice, &[0x1_0000, 0x9_0000]);
        check(&[code(0x1000, 0x1000, 0x800)], &[], &[]);
        check(&[], &twice, &[]);
    }
}
