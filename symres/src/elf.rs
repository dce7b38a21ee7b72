//! The headers of an ELF file: segments, sections, build ID. Tables are read by their sources.

use goblin::container::{Container, Ctx};
use goblin::elf::header::{
    EI_CLASS, EI_DATA, ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFDATA2MSB, ELFMAG, ET_CORE, ET_DYN, ET_EXEC, ET_REL,
    Header,
};
use goblin::elf::program_header::{PF_X, PT_LOAD, PT_NOTE, ProgramHeader};
use goblin::elf::section_header::{SHT_NOBITS, SHT_NOTE, SectionHeader};

use std::sync::{Arc, OnceLock};

use crate::addr::{ByteSpan, FileOffset, Segment, VirtAddr};
use crate::debug::section::Unpacked;
use crate::error::Error;
use crate::file::Contents;

/// Size of the ELF64 file header (`Elf64_Ehdr`).
const EHDR: u64 = 64;
/// Size of an ELF64 program header (`Elf64_Phdr`).
const PHDR: u64 = 56;
/// Size of an ELF64 section header (`Elf64_Shdr`).
const SHDR: u64 = 64;
/// `e_phnum` when the number does not fit (gABI: `PN_XNUM`); the number is then in `sh_info` of section 0.
const PN_XNUM: u64 = 0xffff;
/// More headers than this are taken as damage; `-ffunction-sections` objects have some ten thousand.
const MAX_HEADERS: u64 = 1 << 20;
/// Notes are small; what is longer is not searched for a build ID.
const MAX_NOTES: u64 = 1 << 16;
/// So many parts of a file may hold notes; programs have two or three.
const MAX_NOTE_PARTS: usize = 64;
/// The names of all sections together.
const MAX_SECTION_NAMES: u64 = 16 << 20;
/// `n_type` of the note that holds the build ID (`NT_GNU_BUILD_ID`).
const NT_GNU_BUILD_ID: u32 = 3;

/// The instruction set of a binary: `e_machine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Machine(pub u16);

impl Machine {
    /// `EM_X86_64`
    pub const X86_64: Machine = Machine(62);
    /// `EM_AARCH64`
    pub const AARCH64: Machine = Machine(183);
}

/// A section of the file.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    /// `sh_addr`: 0 where it is not loaded.
    pub(crate) addr: u64,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// `sh_link`: for a symbol table the index of its string table.
    pub(crate) link: usize,
    /// It has bytes in the file.
    pub(crate) in_file: bool,
    /// What it holds when it is compressed, once it was asked for.
    pub(crate) unpacked: OnceLock<Unpacked>,
}

/// What a file is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Its code can be probed: a program or a library.
    Code,
    /// It tells about another file. Segments and code may be missing (`objcopy --only-keep-debug` keeps the headers of both
    /// without the bytes), and it may be an object file (`.dwo`).
    Debug,
}

/// An opened ELF file with its headers.
#[derive(Debug)]
pub(crate) struct Elf {
    /// Shared with the tables in it, which are read again by each search.
    pub(crate) contents: Arc<Contents>,
    pub(crate) ctx: Ctx,
    pub(crate) machine: Machine,
    pub(crate) segments: Vec<Segment>,
    pub(crate) sections: Vec<Section>,
    /// Offset and length of what holds notes, what is most to be relied on first.
    notes: Vec<(u64, u64)>,
}

impl Elf {
    /// Reads and checks the headers.
    ///
    /// # Errors
    ///
    /// When the file is not a 64-bit ELF program or shared library, or when its headers are damaged.
    pub(crate) fn parse(contents: Contents) -> Result<Self, Error> {
        Self::parse_for(contents, Purpose::Code)
    }

    /// Reads and checks the headers of a file that holds symbols or debug information of another one.
    ///
    /// # Errors
    ///
    /// When the file is not a 64-bit ELF file, or when its headers are damaged.
    pub(crate) fn parse_debug(contents: Contents) -> Result<Self, Error> {
        Self::parse_for(contents, Purpose::Debug)
    }

    fn parse_for(contents: Contents, purpose: Purpose) -> Result<Self, Error> {
        let (header, ctx) = parse_header(&contents, purpose)?;
        let (sections, first) = parse_sections(&contents, &header, ctx)?;
        let mut phnum = u64::from(header.e_phnum);
        if phnum == PN_XNUM
            && let Some(first) = &first
        {
            phnum = u64::from(first.sh_info);
        }
        let headers = match purpose {
            Purpose::Debug if header.e_phoff == 0 || phnum == 0 => Vec::new(),
            _ => parse_segments(&contents, &header, phnum, ctx)?,
        };
        let segments = headers
            .iter()
            .filter(|h| h.p_type == PT_LOAD)
            .map(|h| Segment {
                vaddr: VirtAddr(h.p_vaddr),
                offset: FileOffset(h.p_offset),
                filesz: ByteSpan(h.p_filesz),
                executable: h.p_flags & PF_X != 0,
            })
            .collect();
        let in_segments = headers.iter().filter(|h| h.p_type == PT_NOTE).map(|h| (h.p_offset, h.p_filesz));
        let in_sections = sections.iter().filter(|s| s.kind == SHT_NOTE).map(|s| (s.offset, s.size));
        // Of a file with debug information only, the segments are those of the file that it was taken from.
        let notes = match purpose {
            Purpose::Code => in_segments.chain(in_sections).collect(),
            Purpose::Debug => in_sections.chain(in_segments).collect(),
        };
        Ok(Self { contents: Arc::new(contents), ctx, machine: Machine(header.e_machine), segments, sections, notes })
    }

    /// Where in the file the code at `addr` is: none outside of the executable segments.
    pub(crate) fn code_offset(&self, addr: VirtAddr) -> Option<FileOffset> {
        self.segments
            .iter()
            .filter(|s| s.executable)
            .find_map(|s| s.file_offset(addr))
            .filter(|offset| offset.0 < self.contents.len())
    }

    /// The first section of that name.
    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }

    /// The bytes of a section.
    pub(crate) fn section_bytes(&self, section: &Section) -> Result<Vec<u8>, Error> {
        if !section.in_file {
            return Ok(Vec::new());
        }
        self.contents.read(section.offset, section.size, &format!("section `{}`", section.name))
    }

    /// The build ID, from the notes.
    pub(crate) fn build_id(&self) -> Option<Vec<u8>> {
        self.notes.iter().filter(|(_, len)| *len <= MAX_NOTES).take(MAX_NOTE_PARTS).find_map(|&(offset, len)| {
            let bytes = self.contents.read(offset, len, "notes").ok()?;
            let mut notes = notes(&bytes, self.ctx.is_little_endian()).flatten();
            let build_id = notes.find(|note| note.kind == NT_GNU_BUILD_ID && note.name == b"GNU\0");
            build_id.map(|note| note.descriptor.to_vec())
        })
    }

    /// The file that `.gnu_debuglink` names as the one with the symbols that were stripped from this one.
    pub(crate) fn debug_link(&self) -> Option<String> {
        let section = self.section(".gnu_debuglink").filter(|s| s.size <= MAX_NOTES)?;
        let bytes = self.section_bytes(section).ok()?;
        let name = bytes.split(|&b| b == 0).next()?;
        Some(String::from_utf8_lossy(name).into_owned()).filter(|name| !name.is_empty())
    }
}

fn parse_header(contents: &Contents, purpose: Purpose) -> Result<(Header, Ctx), Error> {
    let start = contents.read_up_to(0, EHDR, "the ELF header")?;
    let path = || contents.path().to_owned();
    if start.starts_with(b"#!") {
        let line = start.get(2..).unwrap_or_default().split(|&b| b == b'\n').next().unwrap_or_default();
        let interpreter = String::from_utf8_lossy(line).trim().to_owned();
        return Err(Error::Script { path: path(), interpreter });
    }
    if !start.starts_with(ELFMAG) {
        return Err(Error::NotElf(path()));
    }
    let unsupported = |what, help| Error::Unsupported { path: path(), what, help };
    match start.get(EI_CLASS).copied() {
        Some(ELFCLASS64) => {}
        Some(ELFCLASS32) => {
            return Err(unsupported("a 32-bit program", "only 64-bit programs can be probed"));
        }
        _ => return Err(contents.damaged("unknown class in its header")),
    }
    let little = match start.get(EI_DATA).copied() {
        Some(ELFDATA2LSB) => true,
        Some(ELFDATA2MSB) => false,
        _ => return Err(contents.damaged("unknown byte order in its header")),
    };
    let header = goblin::elf::Elf::parse_header(&start).map_err(|e| contents.damaged(format!("its header: {e}")))?;
    match header.e_type {
        ET_EXEC | ET_DYN => {}
        ET_REL if purpose == Purpose::Debug => {}
        ET_REL => {
            return Err(unsupported(
                "an object file that is not linked yet",
                "name the program or the library that it became part of",
            ));
        }
        ET_CORE => return Err(unsupported("a core dump", "name the program that dumped it")),
        _ => return Err(contents.damaged(format!("unknown type {} in its header", header.e_type))),
    }
    let endian = if little { goblin::container::Endian::Little } else { goblin::container::Endian::Big };
    Ok((header, Ctx::new(Container::Big, endian)))
}

/// The sections, and the raw header of section 0, which holds numbers that were too large for the file header.
fn parse_sections(
    contents: &Contents,
    header: &Header,
    ctx: Ctx,
) -> Result<(Vec<Section>, Option<SectionHeader>), Error> {
    if header.e_shoff == 0 {
        return Ok((Vec::new(), None));
    }
    if u64::from(header.e_shentsize) != SHDR {
        return Err(contents.damaged(format!("section headers of {} bytes", header.e_shentsize)));
    }
    let parse = |bytes: &[u8], count| {
        SectionHeader::parse_from(bytes, 0, count, ctx)
            .map_err(|e| contents.damaged(format!("its section headers: {e}")))
    };
    let first = parse(&contents.read(header.e_shoff, SHDR, "section header 0")?, 1)?.into_iter().next();
    let Some(first) = first else { return Ok((Vec::new(), None)) };
    let count = match u64::from(header.e_shnum) {
        0 => first.sh_size,
        n => n,
    };
    if count > MAX_HEADERS {
        return Err(contents.damaged(format!("{count} section headers")));
    }
    if count == 0 {
        return Ok((Vec::new(), Some(first)));
    }
    let bytes = contents.read(header.e_shoff, count * SHDR, "the section headers")?;
    let headers = parse(&bytes, usize::try_from(count).unwrap_or(usize::MAX))?;
    // SHN_XINDEX: the number is in section 0.
    let names_index = match header.e_shstrndx {
        0xffff => first.sh_link as usize,
        n => usize::from(n),
    };
    let names = match headers.get(names_index) {
        Some(s) if names_index != 0 && s.sh_size <= MAX_SECTION_NAMES && s.sh_type != SHT_NOBITS => {
            contents.read(s.sh_offset, s.sh_size, "the names of the sections")?
        }
        _ => Vec::new(),
    };
    let sections = headers
        .iter()
        .map(|s| Section {
            name: name_at(&names, s.sh_name),
            kind: s.sh_type,
            flags: s.sh_flags,
            addr: s.sh_addr,
            offset: s.sh_offset,
            size: s.sh_size,
            link: s.sh_link as usize,
            in_file: s.sh_type != SHT_NOBITS,
            unpacked: OnceLock::new(),
        })
        .collect();
    Ok((sections, Some(first)))
}

/// Section names are short; a longer one is cut, so that overlapping names cannot add up to much memory.
fn name_at(names: &[u8], at: usize) -> String {
    let rest = names.get(at..).unwrap_or_default();
    let rest = rest.get(..128).unwrap_or(rest);
    String::from_utf8_lossy(rest.split(|&b| b == 0).next().unwrap_or_default()).into_owned()
}

fn parse_segments(contents: &Contents, header: &Header, count: u64, ctx: Ctx) -> Result<Vec<ProgramHeader>, Error> {
    if header.e_phoff == 0 || count == 0 {
        return Err(contents.damaged("it has no program headers"));
    }
    if u64::from(header.e_phentsize) != PHDR || count > MAX_HEADERS {
        return Err(contents.damaged(format!("{count} program headers of {} bytes", header.e_phentsize)));
    }
    let bytes = contents.read(header.e_phoff, count * PHDR, "the program headers")?;
    ProgramHeader::parse(&bytes, 0, usize::try_from(count).unwrap_or(usize::MAX), ctx)
        .map_err(|e| contents.damaged(format!("its program headers: {e}")))
}

/// A note.
#[derive(Debug)]
pub(crate) struct Note<'a> {
    /// Its owner, with the NUL.
    pub(crate) name: &'a [u8],
    pub(crate) kind: u32,
    pub(crate) descriptor: &'a [u8],
}

/// The notes in a section or segment; none in place of one that is cut off, which is the last. Layout (gABI, "Note
/// Section"): three words (name size, descriptor size, type), the name, the descriptor, both padded to four bytes, as GNU
/// tools write them in 64-bit files too.
pub(crate) fn notes(mut bytes: &[u8], little: bool) -> impl Iterator<Item = Option<Note<'_>>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let note = first_note(bytes, little);
        bytes = note.as_ref().map(|(_, rest)| *rest).unwrap_or_default();
        Some(note.map(|(note, _)| note))
    })
}

fn first_note(bytes: &[u8], little: bool) -> Option<(Note<'_>, &[u8])> {
    let word = |at: usize| -> Option<u32> {
        let raw: [u8; 4] = bytes.get(at..)?.get(..4)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(raw) } else { u32::from_be_bytes(raw) })
    };
    let name_len = word(0)? as usize;
    let desc_len = word(4)? as usize;
    let kind = word(8)?;
    let desc_at = name_len.checked_next_multiple_of(4)?.checked_add(12)?;
    let name = bytes.get(12..)?.get(..name_len)?;
    let descriptor = bytes.get(desc_at..)?.get(..desc_len)?;
    let end = desc_at.checked_add(desc_len.checked_next_multiple_of(4)?)?;
    // The padding behind the last one may be missing.
    Some((Note { name, kind, descriptor }, bytes.get(end..).unwrap_or_default()))
}
