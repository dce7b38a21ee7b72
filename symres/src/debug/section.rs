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

    /// What they are a part of, and where they begin in it.
    pub(crate) fn origin(&self) -> (&'a Contents, u64) {
        (self.contents, self.offset)
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
        let older = name.strip_prefix(".debug_").map(|rest| format!(".zdebug_{rest}"));
        let named = |wanted: &str| self.sections.iter().find(|s| s.in_file && s.name == wanted);
        match named(name).or_else(|| named(older.as_deref()?)) {
            Some(section) => self.data_of(section).map(Some),
            None => Ok(None),
        }
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
        if !is_packed(section) {
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

fn is_packed(section: &Section) -> bool {
    section.in_file && (section.flags & u64::from(SHF_COMPRESSED) != 0 || section.name.starts_with(".zdebug_"))
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
    let headers = elf.sections.iter().filter(|s| is_packed(s)).filter_map(|s| header(elf, s).ok());
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
