//! Sections of debug information, read page by page where and as far as they are needed.
//!
//! A search looks at a few units of a section of 40 MB or of several GB. [`SectionReader`] is what `gimli` reads them
//! through: it fetches a page with `pread` when its bytes are first asked for and keeps it as long as the [`Section`].
//! What is in memory already (a section that was compressed) is read where it is.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use gimli::{ReaderOffsetId, RunTimeEndian};

use crate::elf::{self, Elf};
use crate::error::Error;
use crate::file::Contents;

/// Bytes that are read at once. A unit of C++ has some ten to a hundred thousand.
const PAGE: usize = 64 << 10;
/// Strings end before they are about so long: each of a hundred thousand entries may refer to one whose end has to be found.
const MAX_STRING: usize = 64 << 10;

/// A section of a file, or bytes in its place.
pub(crate) struct Section<'f> {
    source: Source<'f>,
    len: usize,
    endian: RunTimeEndian,
    pages: Vec<OnceLock<Box<[u8]>>>,
    /// Memory for pages that are yet to be read.
    spare: Mutex<Vec<Box<[u8]>>>,
}

#[derive(Clone, Copy)]
enum Source<'f> {
    /// A file, and where the section begins in it.
    File(&'f Contents, u64),
    /// A compressed section, which is unpacked when its bytes are first asked for.
    Packed(&'f Elf, &'f elf::Section),
    Memory(&'f [u8]),
}

impl fmt::Debug for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Section({} bytes)", self.len)
    }
}

impl<'f> Section<'f> {
    /// A section that does not exist.
    pub(crate) fn empty(endian: RunTimeEndian) -> Self {
        Self { source: Source::Memory(&[]), len: 0, endian, pages: Vec::new(), spare: Mutex::default() }
    }

    /// The bytes of the section in memory.
    pub(crate) fn in_memory(bytes: &'f [u8], endian: RunTimeEndian) -> Self {
        Self { source: Source::Memory(bytes), len: bytes.len(), endian, pages: Vec::new(), spare: Mutex::default() }
    }

    /// A section of a file.
    ///
    /// # Errors
    ///
    /// When it is not inside of the file, or packed in an unknown way.
    pub(crate) fn of(elf: &'f Elf, section: &'f elf::Section, endian: RunTimeEndian) -> Result<Self, Error> {
        if !section.is_packed() {
            return Self::in_file(&elf.contents, section.offset, section.size, endian);
        }
        let len = elf.unpacked_len(section)?;
        let len =
            usize::try_from(len).map_err(|_| elf.contents.damaged("its debug information does not fit in memory"))?;
        Ok(Self { source: Source::Packed(elf, section), len, endian, pages: Vec::new(), spare: Mutex::default() })
    }

    /// `len` bytes at `offset` of a file.
    fn in_file(contents: &'f Contents, offset: u64, len: u64, endian: RunTimeEndian) -> Result<Self, Error> {
        let size =
            usize::try_from(len).ok().filter(|_| offset.checked_add(len).is_some_and(|end| end <= contents.len()));
        let len = size.ok_or_else(|| {
            contents
                .damaged(format!("debug information ({len} bytes at {offset:#x}) reaches behind the end of the file"))
        })?;
        if let Some(bytes) = contents.in_memory(offset, len) {
            return Ok(Self::in_memory(bytes, endian));
        }
        let pages = (0..len.div_ceil(PAGE)).map(|_| OnceLock::new()).collect();
        Ok(Self { source: Source::File(contents, offset), len, endian, pages, spare: Mutex::default() })
    }

    /// The same bytes with no page read yet: what is read through it is forgotten with it.
    pub(crate) fn fresh(&self) -> Self {
        let pages = (0..self.pages.len()).map(|_| OnceLock::new()).collect();
        Self { source: self.source, len: self.len, endian: self.endian, pages, spare: Mutex::default() }
    }

    /// Forgets the pages that were read, and keeps their memory for others: the system hands out memory page by page, which takes
    /// longer than filling it.
    pub(crate) fn forget(&mut self) {
        let spare = self.spare.get_mut().unwrap_or_else(PoisonError::into_inner);
        spare.extend(self.pages.iter_mut().filter_map(OnceLock::take).filter(|page| page.len() == PAGE));
    }

    /// Reads the page of this index.
    fn page(&self, index: usize) -> Result<Box<[u8]>, gimli::Error> {
        let start = index.saturating_mul(PAGE);
        let len = PAGE.min(self.len.saturating_sub(start));
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut page = spare.filter(|page| page.len() == len).unwrap_or_else(|| vec![0; len].into_boxed_slice());
        self.fill(start, &mut page)?;
        Ok(page)
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Its byte order.
    pub(crate) fn endian(&self) -> RunTimeEndian {
        self.endian
    }

    /// The whole of it, for `gimli`.
    pub(crate) fn reader(&self) -> SectionReader<'_> {
        SectionReader { chunk: &[], at: 0, end: self.len, section: self }
    }

    /// The bytes where they are, if they are in memory or have to be.
    ///
    /// # Errors
    ///
    /// When they cannot be unpacked.
    pub(crate) fn memory(&self) -> gimli::Result<Option<&'f [u8]>> {
        match self.source {
            Source::Memory(bytes) => Ok(Some(bytes)),
            Source::File(..) => Ok(None),
            Source::Packed(elf, section) => match elf.data_of(section).map(|data| data.in_memory()) {
                Ok(Some(bytes)) if bytes.len() == self.len => Ok(Some(bytes)),
                _ => Err(gimli::Error::Io),
            },
        }
    }

    /// Copies the bytes from `at` on, without keeping them.
    ///
    /// # Errors
    ///
    /// When they reach behind the end, or the file cannot be read.
    pub(crate) fn fill(&self, at: usize, into: &mut [u8]) -> Result<(), gimli::Error> {
        let end = at.checked_add(into.len()).filter(|end| *end <= self.len);
        let end = end.ok_or(gimli::Error::OffsetOutOfBounds(at as u64))?;
        if let Some(bytes) = self.memory()? {
            let bytes = bytes.get(at..end).ok_or(gimli::Error::OffsetOutOfBounds(at as u64))?;
            into.copy_from_slice(bytes);
            return Ok(());
        }
        let Source::File(contents, offset) = self.source else { return Err(gimli::Error::Io) };
        contents.fill(offset + at as u64, into, "debug information").map_err(|_| gimli::Error::Io)
    }

    /// What is in memory in one piece from `at` on, at least one byte: none at the end and behind it.
    fn chunk(&self, at: usize) -> Result<Option<&[u8]>, gimli::Error> {
        if at >= self.len {
            return Ok(None);
        }
        if !matches!(self.source, Source::File(..)) {
            return Ok(self.memory()?.and_then(|bytes| bytes.get(at..)));
        }
        let index = at / PAGE;
        let Some(page) = self.pages.get(index) else { return Ok(None) };
        let bytes = match page.get() {
            Some(bytes) => bytes,
            None => {
                let read = self.page(index)?;
                // Another thread may have read the same page meanwhile: the bytes are the same.
                page.get_or_init(|| read)
            }
        };
        Ok(bytes.get(at % PAGE..).filter(|rest| !rest.is_empty()))
    }
}

/// A position in a section, and how far to read.
#[derive(Clone, Copy)]
pub(crate) struct SectionReader<'s> {
    /// What is in memory in one piece at the position, no further than `end`. May be empty before the end.
    chunk: &'s [u8],
    at: usize,
    end: usize,
    section: &'s Section<'s>,
}

impl fmt::Debug for SectionReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SectionReader({:#x}..{:#x})", self.at, self.end)
    }
}

impl<'s> SectionReader<'s> {
    fn eof(&self) -> gimli::Error {
        gimli::Error::UnexpectedEof(ReaderOffsetId(self.at as u64))
    }

    /// What is in memory in one piece at the position: one byte at least.
    ///
    /// # Errors
    ///
    /// At the end.
    #[inline]
    pub(super) fn ahead(&mut self) -> gimli::Result<&'s [u8]> {
        if self.chunk.is_empty() {
            self.refill()?;
        }
        Ok(self.chunk)
    }

    /// Fetches the bytes at the position.
    #[cold]
    fn refill(&mut self) -> gimli::Result<()> {
        let left = self.end.saturating_sub(self.at);
        let chunk = self.section.chunk(self.at)?.ok_or_else(|| self.eof())?;
        self.chunk = chunk.get(..left).unwrap_or(chunk);
        if self.chunk.is_empty() { Err(self.eof()) } else { Ok(()) }
    }

    /// Reads over the end of what is in memory in one piece.
    #[cold]
    fn read_across(&mut self, mut buf: &mut [u8]) -> gimli::Result<()> {
        if buf.len() > self.end - self.at {
            return Err(self.eof());
        }
        while !buf.is_empty() {
            if self.chunk.is_empty() {
                self.refill()?;
            }
            let count = buf.len().min(self.chunk.len());
            let (now, later) = buf.split_at_mut(count);
            let (from, rest) = self.chunk.split_at(count);
            now.copy_from_slice(from);
            self.chunk = rest;
            self.at += count;
            buf = later;
        }
        Ok(())
    }
}

impl gimli::Reader for SectionReader<'_> {
    type Endian = RunTimeEndian;
    type Offset = usize;

    #[inline]
    fn endian(&self) -> RunTimeEndian {
        self.section.endian
    }

    #[inline]
    fn len(&self) -> usize {
        self.end - self.at
    }

    fn empty(&mut self) {
        self.at = self.end;
        self.chunk = &[];
    }

    #[inline]
    fn truncate(&mut self, len: usize) -> gimli::Result<()> {
        if len > self.end - self.at {
            return Err(self.eof());
        }
        self.end = self.at + len;
        self.chunk = self.chunk.get(..len).unwrap_or(self.chunk);
        Ok(())
    }

    #[inline]
    fn offset_from(&self, base: &Self) -> usize {
        self.at.saturating_sub(base.at)
    }

    fn offset_id(&self) -> ReaderOffsetId {
        ReaderOffsetId(self.at as u64)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        usize::try_from(id.0).ok()?.checked_sub(self.at).filter(|into| *into <= self.end - self.at)
    }

    fn find(&self, byte: u8) -> gimli::Result<usize> {
        if let Some(found) = memchr::memchr(byte, self.chunk.get(..MAX_STRING).unwrap_or(self.chunk)) {
            return Ok(found);
        }
        let mut ahead = *self;
        let mut passed = 0;
        while passed < MAX_STRING {
            let part = ahead.chunk.get(..MAX_STRING).unwrap_or(ahead.chunk);
            if let Some(found) = memchr::memchr(byte, part) {
                return Ok(passed + found);
            }
            passed += part.len();
            ahead.at += part.len();
            ahead.refill()?;
        }
        Err(self.eof())
    }

    #[inline]
    fn skip(&mut self, len: usize) -> gimli::Result<()> {
        if let Some(rest) = self.chunk.get(len..) {
            self.chunk = rest;
        } else if len <= self.end - self.at {
            self.chunk = &[];
        } else {
            return Err(self.eof());
        }
        self.at += len;
        Ok(())
    }

    #[inline]
    fn split(&mut self, len: usize) -> gimli::Result<Self> {
        let mut first = *self;
        first.truncate(len)?;
        self.skip(len)?;
        Ok(first)
    }

    fn to_slice(&self) -> gimli::Result<Cow<'_, [u8]>> {
        let len = self.end - self.at;
        if self.chunk.len() == len {
            return Ok(Cow::Borrowed(self.chunk));
        }
        let mut bytes = vec![0; len];
        let mut all = *self;
        all.read_across(&mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    fn to_string(&self) -> gimli::Result<Cow<'_, str>> {
        match self.to_slice()? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| gimli::Error::BadUtf8),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| gimli::Error::BadUtf8),
        }
    }

    fn to_string_lossy(&self) -> gimli::Result<Cow<'_, str>> {
        Ok(match self.to_slice()? {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        })
    }

    #[inline]
    fn read_slice(&mut self, buf: &mut [u8]) -> gimli::Result<()> {
        match self.chunk.split_at_checked(buf.len()) {
            Some((from, rest)) => {
                buf.copy_from_slice(from);
                self.chunk = rest;
                self.at += buf.len();
                Ok(())
            }
            None => self.read_across(buf),
        }
    }
}

#[cfg(test)]
mod tests {
    use gimli::Reader;

    use super::*;

    /// A file of so many bytes, none of them 0.
    fn file(len: usize) -> (tempfile::NamedTempFile, Contents) {
        let bytes: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap() | 1).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let contents = Contents::open(file.path(), file.path()).unwrap();
        (file, contents)
    }

    fn in_file(contents: &Contents, offset: u64) -> Section<'_> {
        Section::in_file(contents, offset, contents.len() - offset, RunTimeEndian::Little).unwrap()
    }

    #[test]
    fn pages_join_without_a_seam() {
        let (_file, contents) = file(3 * PAGE + 10);
        let all = contents.read(0, contents.len(), "all").unwrap();
        let section = in_file(&contents, 5);
        let mut reader = section.reader();
        reader.skip(PAGE - 3).unwrap();
        let expect = &all[5 + PAGE - 3..];
        assert_eq!(reader.read_u64().unwrap(), u64::from_le_bytes(expect[..8].try_into().unwrap()));
        let part = reader.split(PAGE + 100).unwrap();
        assert_eq!(part.to_slice().unwrap(), &expect[8..8 + PAGE + 100]);
        assert_eq!(reader.to_slice().unwrap(), &expect[8 + PAGE + 100..]);
        assert_eq!(reader.offset_from(&section.reader()), 2 * PAGE + 105);
    }

    #[test]
    fn nothing_is_read_that_is_not_asked_for() {
        let (_file, contents) = file(4 * PAGE);
        let section = in_file(&contents, 0);
        let mut reader = section.reader();
        reader.skip(2 * PAGE + 1).unwrap();
        reader.read_u8().unwrap();
        let read: Vec<bool> = section.pages.iter().map(|page| page.get().is_some()).collect();
        assert_eq!(read, [false, false, true, false]);
    }

    #[test]
    fn ends_are_kept() {
        let (_file, contents) = file(PAGE + 4);
        let section = in_file(&contents, 0);
        let mut reader = section.reader();
        assert!(reader.truncate(PAGE + 5).is_err());
        reader.truncate(PAGE + 2).unwrap();
        assert!(reader.find(0).is_err(), "no byte is 0");
        reader.skip(PAGE).unwrap();
        assert!(reader.read_u32().is_err());
        assert!(reader.skip(3).is_err());
        reader.read_u16().unwrap();
        assert!(reader.is_empty() && reader.read_u8().is_err());
        assert!(Section::in_file(&contents, 1, contents.len(), RunTimeEndian::Little).is_err());
    }
}
