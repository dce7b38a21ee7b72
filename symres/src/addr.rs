//! Numbers that must not mix: addresses in a program's image, offsets in its file, lengths, process ids.

use std::fmt;

/// A virtual address as the ELF file states it, before any load bias is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtAddr(pub u64);

/// A byte offset from the start of the ELF file: what the kernel wants to know for a uprobe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileOffset(pub u64);

/// An address in the memory of a running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuntimeAddr(pub u64);

/// What the loader added to the addresses of a file to get those in the process: 0 for a program that is not
/// position-independent. It is added modulo 2⁶⁴, for a file that is linked to a high address may be loaded to a lower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoadBias(pub u64);

impl LoadBias {
    /// Where in the process the byte at `addr` is.
    pub fn runtime(self, addr: VirtAddr) -> RuntimeAddr {
        RuntimeAddr(addr.0.wrapping_add(self.0))
    }

    /// The address in the file of the byte at `addr` in the process.
    pub fn virt(self, addr: RuntimeAddr) -> VirtAddr {
        VirtAddr(addr.0.wrapping_sub(self.0))
    }
}

/// A length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSpan(pub u64);

/// A process id as the reader's own PID namespace counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub u32);

/// A part of the file that is mapped into memory: the fields of one `PT_LOAD` program header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// `p_vaddr`: where it is mapped.
    pub vaddr: VirtAddr,
    /// `p_offset`: where its bytes are in the file.
    pub offset: FileOffset,
    /// `p_filesz`: how many of its bytes come from the file. What lies behind is zeroes and has no offset.
    pub filesz: ByteSpan,
    /// `p_flags & PF_X`.
    pub executable: bool,
}

impl Segment {
    /// Where in the file the byte at `addr` is.
    ///
    /// `offset = addr - p_vaddr + p_offset`, for addresses with `p_vaddr <= addr < p_vaddr + p_filesz`; none for all
    /// others and where the sum does not fit. The formula is the same for `ET_EXEC` and `ET_DYN`: both number
    /// `st_value` and `p_vaddr` from the same origin, and the load bias of `ET_DYN` cancels out. It is the inverse of
    /// what the kernel does when it places a uprobe (`offset_to_vaddr` in `kernel/events/uprobes.c`).
    pub fn file_offset(&self, addr: VirtAddr) -> Option<FileOffset> {
        let into = addr.0.checked_sub(self.vaddr.0)?;
        if into >= self.filesz.0 {
            return None;
        }
        into.checked_add(self.offset.0).map(FileOffset)
    }
}

impl fmt::Display for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for RuntimeAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for LoadBias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for FileOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for ByteSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(vaddr: u64, offset: u64, filesz: u64) -> Segment {
        Segment { vaddr: VirtAddr(vaddr), offset: FileOffset(offset), filesz: ByteSpan(filesz), executable: true }
    }

    #[test]
    fn offset_is_relative_to_the_segment() {
        let text = segment(0x40_1000, 0x1000, 0x500);
        assert_eq!(text.file_offset(VirtAddr(0x40_1000)), Some(FileOffset(0x1000)));
        assert_eq!(text.file_offset(VirtAddr(0x40_14ff)), Some(FileOffset(0x14ff)));
        assert_eq!(text.file_offset(VirtAddr(0x40_1500)), None, "behind the bytes of the file");
        assert_eq!(text.file_offset(VirtAddr(0x40_0fff)), None, "before the segment");
    }

    #[test]
    fn sums_that_overflow_have_no_offset() {
        assert_eq!(segment(0, u64::MAX, 2).file_offset(VirtAddr(1)), None);
        assert_eq!(segment(u64::MAX, 0, u64::MAX).file_offset(VirtAddr(u64::MAX)), Some(FileOffset(0)));
    }
}
