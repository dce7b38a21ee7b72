//! Inputs that are lists of sections: what a fuzzer changes is their content, and the ELF file around them stays sound, so that
//! what reads the sections is reached each time.

use std::io::{Read as _, Write as _};

/// The content of a section, or what stands in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which row of [`ROWS`] it is; [`PATTERN`] for a function's name to look for, [`NEXT_FILE`] where the next file begins.
    pub kind: u8,
    /// How it is stored: [`COMPRESSED`], [`DEFLATE`], [`ZSTD`], [`XZ`], [`CRC`].
    pub flags: u8,
    /// Its bytes before they are compressed.
    pub bytes: Vec<u8>,
}

/// [`Part::kind`] of a pattern.
pub const PATTERN: u8 = 0xff;
/// [`Part::kind`] between the sections of two files.
pub const NEXT_FILE: u8 = 0xfe;

/// The bytes are a compressed section already, with its header: `SHF_COMPRESSED`.
pub const COMPRESSED: u8 = 1;
/// The section is compressed by zlib when the file is made.
pub const DEFLATE: u8 = 2;
/// The section is compressed by zstd when the file is made.
pub const ZSTD: u8 = 4;
/// The bytes are stored as an xz stream (`.gnu_debugdata`).
pub const XZ: u8 = 8;
/// The last four bytes are the CRC-32 of the second file (`.gnu_debuglink`).
pub const CRC: u8 = 16;

/// Where the file is mapped: all of it, so that every offset has an address.
pub const BASE: u64 = 0x40_0000;
/// Where `.text` begins, in the file and behind [`BASE`].
const TEXT: usize = 0x1000;

/// How a section is described in its header.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    kind: u32,
    /// It is loaded, so it has an address.
    alloc: bool,
    entry_size: u64,
    link: Option<&'static str>,
}

const fn row(name: &'static str, kind: u32, alloc: bool, entry_size: u64, link: Option<&'static str>) -> Row {
    Row { name, kind, alloc, entry_size, link }
}

const fn debug(name: &'static str) -> Row {
    row(name, 1, false, 0, None)
}

/// The sections that symres reads. New ones belong at the end: seeds and findings know them by their number.
pub const ROWS: &[Row] = &[
    row(".text", 1, true, 0, None),
    row(".symtab", 2, false, 24, Some(".strtab")),
    row(".strtab", 3, false, 0, None),
    row(".dynsym", 11, true, 24, Some(".dynstr")),
    row(".dynstr", 3, true, 0, None),
    row(".gnu.version", 0x6fff_ffff, true, 2, Some(".dynsym")),
    row(".gnu.version_r", 0x6fff_fffe, true, 0, Some(".dynstr")),
    row(".gnu.version_d", 0x6fff_fffd, true, 0, Some(".dynstr")),
    row(".dynamic", 6, true, 16, Some(".dynstr")),
    row(".rela.plt", 4, true, 24, Some(".dynsym")),
    row(".rela.dyn", 4, true, 24, Some(".dynsym")),
    row(".plt", 1, true, 16, None),
    row(".plt.sec", 1, true, 16, None),
    row(".plt.got", 1, true, 16, None),
    row(".got", 1, true, 8, None),
    row(".note.gnu.build-id", 7, true, 0, None),
    row(".note.stapsdt", 7, false, 0, None),
    row(".stapsdt.base", 1, true, 0, None),
    row(".gnu_debuglink", 1, false, 0, None),
    row(".gnu_debugaltlink", 1, false, 0, None),
    row(".gnu_debugdata", 1, false, 0, None),
    row(".eh_frame", 1, true, 0, None),
    debug(".debug_info"),
    debug(".debug_abbrev"),
    debug(".debug_str"),
    debug(".debug_line"),
    debug(".debug_line_str"),
    debug(".debug_ranges"),
    debug(".debug_rnglists"),
    debug(".debug_loc"),
    debug(".debug_loclists"),
    debug(".debug_addr"),
    debug(".debug_str_offsets"),
    debug(".debug_aranges"),
    debug(".debug_types"),
    debug(".debug_names"),
    debug(".debug_macro"),
    debug(".debug_cu_index"),
    debug(".debug_tu_index"),
    debug(".debug_info.dwo"),
    debug(".debug_abbrev.dwo"),
    debug(".debug_str.dwo"),
    debug(".debug_line.dwo"),
    debug(".debug_rnglists.dwo"),
    debug(".debug_loclists.dwo"),
    debug(".debug_loc.dwo"),
    debug(".debug_str_offsets.dwo"),
    debug(".debug_types.dwo"),
    debug(".zdebug_info"),
    debug(".zdebug_abbrev"),
    debug(".zdebug_str"),
    debug(".zdebug_line"),
    debug(".debug_sup"),
    debug(".gdb_index"),
    // Behind the others, whose places in the table inputs name.
    row(".eh_frame_hdr", 1, true, 0, None),
];

/// The parts that an input consists of: a byte of kind, one of flags, four with the length (little-endian), the bytes; the
/// last part may be cut off. Never fails, since a fuzzer changes the bytes as it likes.
pub fn decode(mut input: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some(([kind, flags, len @ ..], rest)) = input.split_first_chunk::<6>() {
        let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX).min(rest.len());
        let (bytes, behind) = rest.split_at(len);
        parts.push(Part { kind: *kind, flags: *flags, bytes: bytes.to_vec() });
        input = behind;
    }
    parts
}

/// The opposite of [`decode`].
pub fn encode(parts: &[Part]) -> Vec<u8> {
    let mut input = Vec::new();
    for part in parts {
        input.extend([part.kind, part.flags]);
        input.extend(u32::try_from(part.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        input.extend(&part.bytes);
    }
    input
}

/// The number of a section in [`ROWS`].
pub fn kind_of(name: &str) -> Option<u8> {
    ROWS.iter().position(|row| row.name == name).and_then(|at| u8::try_from(at).ok())
}

/// The text of the input's own pattern, if it has one.
pub fn pattern(parts: &[Part]) -> Option<String> {
    let part = parts.iter().find(|part| part.kind == PATTERN)?;
    Some(String::from_utf8_lossy(&part.bytes).into_owned())
}

/// The files of an input, in their order: a first one, and those that it may refer to.
pub fn files(parts: &[Part]) -> Vec<Vec<u8>> {
    let mut files = parts.split(|part| part.kind == NEXT_FILE);
    let mut first = files.next().unwrap_or_default().to_vec();
    let others: Vec<Vec<u8>> = files.take(4).map(elf).collect();
    let crc = others.first().map(|debug| crc32fast::hash(debug).to_le_bytes());
    for part in &mut first {
        if let (true, Some((end, crc))) = (part.flags & CRC != 0, part.bytes.last_chunk_mut::<4>().zip(crc)) {
            *end = crc;
        }
    }
    [elf(&first)].into_iter().chain(others).collect()
}

/// An x86-64 program with these sections (those of a known kind), one segment over all of it, and one for each section of
/// notes.
pub fn elf(parts: &[Part]) -> Vec<u8> {
    let mut sections: Vec<(&Row, &Part)> =
        parts.iter().filter_map(|part| Some((ROWS.get(usize::from(part.kind))?, part))).take(200).collect();
    // `.text` first, where the debug information of the seeds says that it is.
    sections.sort_by_key(|(row, _)| row.name != ".text");
    let notes = sections.iter().filter(|(row, _)| row.kind == 7).count();
    let headers = 64 + 56 * (1 + notes);
    let mut file = vec![0; headers.max(TEXT)];
    let mut names = vec![0];
    let mut table = vec![[0_u8; 64]];
    let mut segments = Vec::new();
    for (row, part) in &sections {
        file.resize(file.len().next_multiple_of(16), 0);
        let offset = file.len() as u64;
        let (stored, compressed) = store(part);
        file.extend(&stored);
        let link =
            row.link.and_then(|link| sections.iter().position(|(row, _)| row.name == link)).map_or(0, |at| at + 1);
        let addr = if row.alloc { BASE + offset } else { 0 };
        let flags = if row.alloc { 2 } else { 0 } | if compressed { 0x800 } else { 0 };
        let size = stored.len() as u64;
        table.push(section(names.len(), row.kind, flags, [addr, offset, size], link, row.entry_size));
        names.extend(row.name.as_bytes());
        names.push(0);
        if row.kind == 7 {
            segments.push(segment(4, 4, offset, size));
        }
    }
    let offset = file.len() as u64;
    let size = names.len() as u64 + 10;
    table.push(section(names.len(), 3, 0, [0, offset, size], 0, 0));
    names.extend(b".shstrtab\0");
    file.extend(&names);
    file.resize(file.len().next_multiple_of(16), 0);
    let sections_at = file.len() as u64;
    file.extend(table.as_flattened());
    segments.insert(0, segment(1, 5, 0, file.len() as u64));
    let header = file_header(sections_at, segments.len(), table.len());
    let start: Vec<u8> = header.into_iter().chain(segments.into_iter().flatten()).collect();
    for (to, from) in file.iter_mut().zip(start) {
        *to = from;
    }
    file
}

/// The bytes of a section as they are in the file, and whether its header says that they are compressed.
fn store(part: &Part) -> (Vec<u8>, bool) {
    // Elf64_Chdr: ch_type, ch_reserved, ch_size, ch_addralign.
    let chdr = |kind: u32| -> Vec<u8> {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend([0; 4]);
        bytes.extend((part.bytes.len() as u64).to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        bytes
    };
    if part.flags & DEFLATE != 0 {
        let mut stored = chdr(1);
        stored.extend(deflate(&part.bytes));
        (stored, true)
    } else if part.flags & ZSTD != 0 {
        let mut stored = chdr(2);
        let level = ruzstd::encoding::CompressionLevel::Uncompressed;
        stored.extend(ruzstd::encoding::compress_to_vec(part.bytes.as_slice(), level));
        (stored, true)
    } else if part.flags & XZ != 0 {
        (xz(&part.bytes), false)
    } else {
        (part.bytes.clone(), part.flags & COMPRESSED != 0)
    }
}

/// A zlib stream.
pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut encoder = flate2::read::ZlibEncoder::new(bytes, flate2::Compression::fast());
    // Reading from memory into memory does not fail; were it to, the stream would be cut off, which is an input too.
    let _ = encoder.read_to_end(&mut stream);
    stream
}

/// An xz stream.
pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut from = bytes;
    // As above.
    let _ = lzma_rs::xz_compress(&mut from, &mut stream);
    stream
}

fn file_header(sections_at: u64, segments: usize, sections: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    let short = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_le_bytes();
    let mut put = |field: &[u8]| {
        // A vector takes whatever is written to it.
        let _ = bytes.write_all(field);
    };
    put(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    put(&3_u16.to_le_bytes()); // ET_DYN
    put(&62_u16.to_le_bytes()); // EM_X86_64
    put(&1_u32.to_le_bytes());
    put(&(BASE + TEXT as u64).to_le_bytes());
    put(&64_u64.to_le_bytes());
    put(&sections_at.to_le_bytes());
    put(&[0; 4]);
    for field in [64, 56, segments, 64, sections, sections.saturating_sub(1)] {
        put(&short(field));
    }
    bytes
}

fn segment(kind: u32, flags: u32, offset: u64, size: u64) -> Vec<u8> {
    let mut bytes = [kind.to_le_bytes(), flags.to_le_bytes()].concat();
    for field in [offset, BASE + offset, BASE + offset, size, size, 1] {
        bytes.extend(field.to_le_bytes());
    }
    bytes
}

fn section(name: usize, kind: u32, flags: u64, place: [u64; 3], link: usize, entry_size: u64) -> [u8; 64] {
    let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = [word(name), kind.to_le_bytes()].concat();
    bytes.extend(flags.to_le_bytes());
    bytes.extend(place.iter().flat_map(|field| field.to_le_bytes()));
    bytes.extend([word(link), word(0)].concat());
    bytes.extend([1, entry_size].iter().flat_map(|field| field.to_le_bytes()));
    let mut header = [0; 64];
    for (to, from) in header.iter_mut().zip(bytes) {
        *to = from;
    }
    header
}
