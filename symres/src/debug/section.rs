//! Sections as their producer wrote them, whether the file has them plain or compressed.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};

use goblin::elf::compression_header::{ELFCOMPRESS_ZLIB, ELFCOMPRESS_ZSTD};
use goblin::elf::section_header::SHF_COMPRESSED;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::elf::{Elf, Section};
use crate::error::Error;
use crate::file::Contents;

/// What a compressed section holds, or why it cannot be known.
pub(crate) type Unpacked = Result<Contents, String>;

/// Size of the header of a compressed section (`Elf64_Chdr`).
const CHDR: u64 = 24;
/// Size of the header of a `.zdebug_` section: `ZLIB`, and the size as eight bytes, the highest first.
const ZDEBUG: u64 = 12;
/// The most that one section unpacks to.
const MAX_UNPACKED: u64 = 2 << 30;
/// Debug information shrinks to a third or a tenth; a section that claims to have shrunk by more than this factor, and
/// by so many bytes that it matters, was made to fill its reader's memory.
const MAX_RATIO: u64 = 64;
/// What unpacks to less than this is unpacked whatever its factor.
const SMALL: u64 = 1 << 20;
/// What all sections of a file may claim to unpack to: several of them may share the same compressed bytes.
const MAX_TOTAL_RATIO: u64 = 64;
/// How far back Zstandard data may refer: the most that the `zstd` tool uses without being told to (`--ultra -22`).
const MAX_WINDOW: u64 = 128 << 20;
/// How much compressed data is read at once.
const PIECE: usize = 256 << 10;

/// The bytes of a section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SectionData<'a> {
    name: &'a str,
    contents: &'a Contents,
    offset: u64,
    len: u64,
}

impl<'a> SectionData<'a> {
    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// `len` bytes from `at`.
    ///
    /// # Errors
    ///
    /// When there are fewer, or when the file can no longer be read.
    pub(crate) fn get(&self, at: u64, len: u64) -> Result<Cow<'a, [u8]>, Error> {
        let at = self.checked(at, len)?;
        self.contents.get(at, len, &self.describe())
    }

    /// All of them.
    ///
    /// # Errors
    ///
    /// When they are too many to be held, or when the file can no longer be read.
    pub(crate) fn all(&self) -> Result<Cow<'a, [u8]>, Error> {
        self.get(0, self.len)
    }

    /// The bytes where they are, if they are in memory.
    pub(crate) fn in_memory(&self) -> Option<&'a [u8]> {
        self.contents.in_memory(self.offset, usize::try_from(self.len).ok()?)
    }

    /// Where in `contents` the section's byte `at` is, when `len` bytes are there.
    fn checked(&self, at: u64, len: u64) -> Result<u64, Error> {
        let inside = at.checked_add(len).is_some_and(|end| end <= self.len);
        inside.then(|| self.offset.checked_add(at)).flatten().ok_or_else(|| {
            self.contents.damaged(format!(
                "{} ends at {:#x}, and {len} bytes at {at:#x} were referred to",
                self.describe(),
                self.len
            ))
        })
    }

    fn describe(&self) -> String {
        format!("section `{}`", self.name)
    }
}

impl Elf {
    /// The bytes of the section of that name, unpacked; for `.debug_…` also those of the older form `.zdebug_…`. None where
    /// the file has no such section, or none of its bytes.
    ///
    /// # Errors
    ///
    /// When it is damaged, packed in an unknown way, or unpacks to more than anyone can mean.
    pub(crate) fn section_data(&self, name: &str) -> Result<Option<SectionData<'_>>, Error> {
        self.section_or_older(name).map(|section| self.data_of(section)).transpose()
    }

    /// The section of that name, or of its older form (see [`Elf::section_data`]), with bytes in the file.
    pub(crate) fn section_or_older(&self, name: &str) -> Option<&Section> {
        let older = name.strip_prefix(".debug_").map(|rest| format!(".zdebug_{rest}"));
        let named = |wanted: &str| self.sections.iter().find(|s| s.in_file && s.name == wanted);
        named(name).or_else(|| named(older.as_deref()?))
    }

    /// How many bytes a section has unpacked, as it says.
    ///
    /// # Errors
    ///
    /// When its header is damaged.
    pub(crate) fn unpacked_len(&self, section: &Section) -> Result<u64, Error> {
        if !section.is_packed() {
            return Ok(section.size);
        }
        let header = header(self, section);
        header
            .map(|header| header.unpacked)
            .map_err(|why| self.contents.damaged(format!("section `{}`: {why}", section.name)))
    }

    /// Whether [`Elf::section_data`] would find something, without unpacking it.
    pub(crate) fn has_section(&self, name: &str) -> bool {
        let older = name.strip_prefix(".debug_");
        self.sections.iter().any(|s| {
            s.in_file && s.size > 0 && (s.name == name || older.is_some() && s.name.strip_prefix(".zdebug_") == older)
        })
    }

    /// The bytes of a section, unpacked.
    ///
    /// # Errors
    ///
    /// As [`Elf::section_data`].
    pub(crate) fn data_of<'a>(&'a self, section: &'a Section) -> Result<SectionData<'a>, Error> {
        let name = section.name.as_str();
        if !section.is_packed() {
            let (offset, len) = (section.offset, if section.in_file { section.size } else { 0 });
            if offset.checked_add(len).is_none_or(|end| end > self.contents.len()) {
                return Err(self.contents.damaged(format!(
                    "section `{name}` ({len} bytes at {offset:#x}) reaches behind the end of the file ({} bytes)",
                    self.contents.len()
                )));
            }
            return Ok(SectionData { name, contents: &self.contents, offset, len });
        }
        match section.unpacked.get_or_init(|| unpack(self, section)) {
            Ok(contents) => Ok(SectionData { name, contents, offset: 0, len: contents.len() }),
            Err(why) => Err(self.contents.damaged(format!("section `{name}`: {why}"))),
        }
    }
}

impl Section {
    /// It is compressed.
    pub(crate) fn is_packed(&self) -> bool {
        self.in_file && (self.flags & u64::from(SHF_COMPRESSED) != 0 || self.name.starts_with(".zdebug_"))
    }
}

/// How a section is packed, and the size that it says it has.
struct Header {
    kind: u32,
    unpacked: u64,
    /// Where its compressed bytes begin in the file, and how many there are.
    offset: u64,
    packed: u64,
}

/// Layouts: gABI, "Section Compression"; for `.zdebug_` the documentation of binutils and of elfutils.
fn header(elf: &Elf, section: &Section) -> Result<Header, String> {
    let size = if section.flags & u64::from(SHF_COMPRESSED) != 0 { CHDR } else { ZDEBUG };
    let packed = section.size.checked_sub(size).ok_or("it is too short for the header of compressed data")?;
    let bytes = elf.contents.read(section.offset, size, "its header").map_err(|e| e.to_string())?;
    let word = |at: usize, len: usize, little: bool| -> u64 {
        let part = bytes.get(at..).and_then(|rest| rest.get(..len)).unwrap_or_default();
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        if little { part.iter().rev().fold(0, add) } else { part.iter().fold(0, add) }
    };
    let offset = section.offset + size;
    if size == ZDEBUG {
        if !bytes.starts_with(b"ZLIB") {
            return Err("it does not begin with `ZLIB`".to_owned());
        }
        return Ok(Header { kind: ELFCOMPRESS_ZLIB, unpacked: word(4, 8, false), offset, packed });
    }
    let little = elf.ctx.is_little_endian();
    let kind = u32::try_from(word(0, 4, little)).unwrap_or_default();
    Ok(Header { kind, unpacked: word(8, 8, little), offset, packed })
}

fn unpack(elf: &Elf, section: &Section) -> Unpacked {
    let this = header(elf, section)?;
    if this.unpacked > MAX_UNPACKED {
        return Err(format!("it says to hold {} bytes, which is beyond the limit of {MAX_UNPACKED}", this.unpacked));
    }
    if this.unpacked > SMALL && this.unpacked / MAX_RATIO > this.packed {
        return Err(format!("it says to hold {} bytes packed in {}", this.unpacked, this.packed));
    }
    let headers = elf.sections.iter().filter(|s| s.is_packed()).filter_map(|s| header(elf, s).ok());
    let total = headers.fold(0_u64, |sum, h| sum.saturating_add(h.unpacked));
    if total > SMALL && total / MAX_TOTAL_RATIO > elf.contents.len() {
        return Err(format!("with the other sections it says to hold {total} bytes"));
    }
    let packed = Window { contents: &elf.contents, at: this.offset, left: this.packed };
    let packed = BufReader::with_capacity(PIECE, packed);
    let bytes = match this.kind {
        ELFCOMPRESS_ZLIB => read_exactly(flate2::bufread::ZlibDecoder::new(packed), this.unpacked)?,
        ELFCOMPRESS_ZSTD => read_exactly(Frames { packed: Some(packed), current: None }, this.unpacked)?,
        other => return Err(format!("it is compressed in an unknown way ({other})")),
    };
    Ok(Contents::part_in_memory(bytes, elf.contents.path().to_owned()))
}

/// All that `unpacker` gives, which must be `len` bytes. What it really gives is counted, whatever was said.
fn read_exactly(unpacker: impl Read, len: u64) -> Result<Vec<u8>, String> {
    let size = usize::try_from(len).map_err(|_| format!("{len} bytes do not fit in memory"))?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| format!("{len} bytes do not fit in memory"))?;
    unpacker.take(len + 1).read_to_end(&mut bytes).map_err(|e| format!("its compressed data: {e}"))?;
    if bytes.len() != size {
        let found = if bytes.len() > size { "more".to_owned() } else { bytes.len().to_string() };
        return Err(format!("it says to hold {len} bytes and holds {found}"));
    }
    Ok(bytes)
}

/// A part of a file as a stream.
pub(super) struct Window<'a> {
    pub(super) contents: &'a Contents,
    pub(super) at: u64,
    pub(super) left: u64,
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..len).unwrap_or_default();
        self.contents.fill(self.at, part, "compressed data").map_err(io::Error::other)?;
        self.at += len as u64;
        self.left -= len as u64;
        Ok(len)
    }
}

/// Zstandard data: one frame behind another.
struct Frames<'a> {
    packed: Option<Packed<'a>>,
    current: Option<Frame<'a>>,
}

type Packed<'a> = BufReader<Window<'a>>;
type Frame<'a> = StreamingDecoder<Packed<'a>, FrameDecoder>;

/// The input behind a frame, whose checksum must be right.
fn finish(frame: Frame<'_>) -> io::Result<Packed<'_>> {
    let (packed, decoder) = frame.into_parts();
    match (decoder.get_checksum_from_data(), decoder.get_calculated_checksum()) {
        (Some(said), Some(found)) if said != found => Err(io::Error::other("its checksum is wrong")),
        _ => Ok(packed),
    }
}

impl Read for Frames<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(decoder) = &mut self.current {
                let len = decoder.read(buffer)?;
                if len > 0 || buffer.is_empty() {
                    return Ok(len);
                }
                self.packed = self.current.take().map(finish).transpose()?;
            }
            // Each frame takes at least its header from the input, so this ends.
            let Some(mut packed) = self.packed.take() else { return Ok(0) };
            if packed.fill_buf()?.is_empty() {
                return Ok(0);
            }
            let decoder = StreamingDecoder::new_with_max_window_size(packed, MAX_WINDOW);
            self.current = Some(decoder.map_err(io::Error::other)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::sync::OnceLock;

    use super::*;

    fn run(command: &mut Command) {
        let out = command.output().unwrap();
        assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    }

    /// A library with debug information that is not compressed.
    fn library(folder: &Path) -> PathBuf {
        let path = folder.join("library.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/names.cc");
        run(Command::new("g++").args(["-shared", "-fPIC", "-g", "-gz=none", "-o"]).arg(&path).arg(source));
        path
    }

    fn parse(bytes: Vec<u8>) -> Elf {
        Elf::parse(Contents::from_bytes(bytes)).unwrap()
    }

    /// All debug sections, by the names that they have uncompressed.
    fn sections(elf: &Elf) -> Vec<(String, Vec<u8>)> {
        let names = elf.sections.iter().map(|s| s.name.replace(".zdebug_", ".debug_"));
        let mut list: Vec<(String, Vec<u8>)> = names
            .filter(|name| name.starts_with(".debug_"))
            .map(|name| {
                let data = elf.section_data(&name).unwrap().unwrap().all().unwrap().into_owned();
                (name, data)
            })
            .collect();
        list.sort();
        list
    }

    #[test]
    fn sections_are_as_objcopy_unpacks_them() {
        let folder = tempfile::tempdir().unwrap();
        let plain = library(folder.path());
        let expect: Vec<(String, Vec<u8>)> = sections(&parse(std::fs::read(&plain).unwrap()))
            .into_iter()
            .map(|(name, _)| {
                let dumped = folder.path().join("dumped");
                let dump = format!("{name}={}", dumped.display());
                run(Command::new("objcopy").args(["--dump-section", &dump]).arg(&plain).arg("/dev/null"));
                (name, std::fs::read(dumped).unwrap())
            })
            .collect();
        assert!(expect.len() > 5);
        assert_eq!(sections(&parse(std::fs::read(&plain).unwrap())), expect);
        let packed = folder.path().join("packed");
        for (tool, form) in [
            ("objcopy", "zlib-gabi"),
            ("objcopy", "zlib-gnu"),
            ("llvm-objcopy-19", "zlib"),
            ("llvm-objcopy-19", "zstd"),
        ] {
            run(Command::new(tool).arg(format!("--compress-debug-sections={form}")).args([&plain, &packed]));
            let elf = Elf::parse(Contents::open(&packed, &packed).unwrap()).unwrap();
            assert!(elf.sections.iter().filter(|s| s.is_packed()).count() > 3, "{form}");
            assert!(elf.has_section(".debug_info") && !elf.has_section(".debug_none"));
            assert_eq!(sections(&elf), expect, "{form}");
        }
    }

    /// The library with `contents` as its `.debug_info`, compressed in that way, and what that unpacks to.
    fn with(kind: u32, says: u64, packed: &[u8]) -> Result<Vec<u8>, String> {
        let mut section = kind.to_le_bytes().to_vec();
        section.extend([0; 4]);
        section.extend(says.to_le_bytes());
        section.extend(1_u64.to_le_bytes());
        section.extend(packed);
        unpacked(&[".debug_info"], &section)
    }

    /// Lets all sections of these names have the same contents, marked as compressed.
    fn unpacked(names: &[&str], contents: &[u8]) -> Result<Vec<u8>, String> {
        static LIBRARY: OnceLock<Vec<u8>> = OnceLock::new();
        let compile = || std::fs::read(library(tempfile::tempdir().unwrap().path())).unwrap();
        let mut bytes = LIBRARY.get_or_init(compile).clone();
        let indexes: Vec<usize> = {
            let elf = parse(bytes.clone());
            names.iter().map(|name| elf.sections.iter().position(|s| s.name == *name).unwrap()).collect()
        };
        let number = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let (at, table) = (bytes.len() as u64, usize::try_from(number(&bytes, 0x28)).unwrap());
        bytes.extend(contents);
        for index in indexes {
            // sh_flags, sh_offset and sh_size of Elf64_Shdr.
            let header = table + index * 64;
            for (field, value) in [(8, u64::from(SHF_COMPRESSED)), (24, at), (32, contents.len() as u64)] {
                bytes[header + field..header + field + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
        let elf = parse(bytes);
        let data = elf.section_data(names[0]).map_err(|error| error.to_string())?.unwrap();
        assert_eq!(data.get(data.len(), 1).unwrap_err().to_string().matches("referred to").count(), 1);
        Ok(data.all().unwrap().into_owned())
    }

    /// What a tool makes of bytes on its standard input.
    fn pipe(tool: &str, arguments: &[&str], bytes: &[u8]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("input");
        std::fs::write(&input, bytes).unwrap();
        let out = Command::new(tool).args(arguments).stdin(std::fs::File::open(input).unwrap()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        let mut stream = flate2::bufread::ZlibEncoder::new(bytes, flate2::Compression::best());
        stream.read_to_end(&mut packed).unwrap();
        packed
    }

    #[track_caller]
    fn check_refused(result: Result<Vec<u8>, String>, why: &str) {
        let said = result.expect_err("it was accepted");
        assert!(said.contains(why), "{said}");
    }

    #[test]
    fn several_frames_are_one_section() {
        let (one, two) = (b"one and ".repeat(3000), b"two".repeat(70_000));
        let frames = [pipe("zstd", &["-c", "-19"], &one), pipe("zstd", &["-c"], &two)].concat();
        let expect = [one, two].concat();
        assert_eq!(with(ELFCOMPRESS_ZSTD, expect.len() as u64, &frames).unwrap(), expect);
    }

    #[test]
    fn a_size_that_is_not_true() {
        let text = b"some text ".repeat(1000);
        let zstd = pipe("zstd", &["-c"], &text);
        for (kind, packed) in [(ELFCOMPRESS_ZLIB, zlib(&text)), (ELFCOMPRESS_ZSTD, zstd)] {
            assert_eq!(with(kind, 10_000, &packed).unwrap(), text);
            check_refused(with(kind, 10_001, &packed), "it says to hold 10001 bytes and holds 10000");
            check_refused(with(kind, 9_999, &packed), "it says to hold 9999 bytes and holds more");
            check_refused(with(kind, 0, &packed), "it says to hold 0 bytes and holds more");
            check_refused(with(kind, u64::MAX, &packed), "beyond the limit");
            check_refused(with(kind, 2 << 20, &packed), "it says to hold 2097152 bytes packed in");
            check_refused(with(kind, 10_000, &packed[..packed.len() / 2]), "`.debug_info`");
        }
    }

    #[test]
    fn data_that_is_damaged() {
        let text = b"some text ".repeat(1000);
        let mut zstd = pipe("zstd", &["-c", "--check"], &text);
        assert_eq!(with(ELFCOMPRESS_ZSTD, 10_000, &zstd).unwrap(), text);
        *zstd.last_mut().unwrap() ^= 1;
        check_refused(with(ELFCOMPRESS_ZSTD, 10_000, &zstd), "its checksum is wrong");
        check_refused(with(9, 10_000, &zlib(&text)), "it is compressed in an unknown way (9)");
        check_refused(with(ELFCOMPRESS_ZLIB, 10_000, &text), "its compressed data");
        check_refused(unpacked(&[".debug_info"], b"short"), "too short for the header");
        check_refused(with(ELFCOMPRESS_ZSTD, 10, b""), "it says to hold 10 bytes and holds 0");
    }

    /// One megabyte of compressed data may not fill memory by being many sections.
    #[test]
    fn sections_that_share_their_bytes() {
        let zeroes = vec![0; 1 << 20];
        let packed = zlib(&zeroes);
        assert!(packed.len() < 2000);
        let mut section = ELFCOMPRESS_ZLIB.to_le_bytes().to_vec();
        section.extend([0; 4]);
        section.extend(SMALL.to_le_bytes());
        section.extend(1_u64.to_le_bytes());
        section.extend(packed);
        assert_eq!(unpacked(&[".debug_info"], &section).unwrap(), zeroes);
        let names = [".debug_info", ".debug_str", ".debug_line", ".debug_abbrev", ".debug_aranges"];
        check_refused(unpacked(&names, &section), "with the other sections it says to hold 5242880 bytes");
    }
}
