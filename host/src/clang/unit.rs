//! A parsed text.

use std::ffi::{CString, c_int, c_uint, c_ulong};
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use clang_sys::{CXFile, CXIndex, CXSourceLocation, CXSourceRange, CXTranslationUnit, CXUnsavedFile};

use super::cursor::Cursor;
use super::diagnostic::{self, Message, Place};
use super::library::Library;
use crate::source::Span;

/// Why libclang gave no AST at all. What is wrong *in* the text is in [`Unit::messages`].
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// A name or an argument cannot be handed to C.
    #[error("`{0}` holds a NUL byte")]
    Nul(String),
    /// The text is too long.
    #[error("a text of {0} bytes is too long for libclang")]
    TooLong(usize),
    /// libclang gave up.
    #[error("libclang failed to parse `{name}`: {reason}")]
    Failed {
        /// The name of the main file.
        name: String,
        /// What its error code says.
        reason: &'static str,
    },
}

/// A parsed text: the owner of cursors and types.
pub struct Unit {
    library: Arc<Library>,
    index: CXIndex,
    unit: CXTranslationUnit,
    main: CXFile,
}

impl Unit {
    /// Parses `text` as the content of the file `path`, whether or not that exists, with clang's `arguments`.
    ///
    /// # Errors
    /// When libclang makes no AST, not even a broken one.
    pub fn parse(library: &Arc<Library>, path: &Path, text: &str, arguments: &[String]) -> Result<Self, ParseError> {
        let name = path.to_string_lossy().into_owned();
        let c_name = CString::new(name.as_bytes()).map_err(|_| ParseError::Nul(name.clone()))?;
        let mut owned = Vec::with_capacity(arguments.len());
        for argument in arguments {
            owned.push(CString::new(argument.as_str()).map_err(|_| ParseError::Nul(argument.clone()))?);
        }
        let pointers: Vec<_> = owned.iter().map(|argument| argument.as_ptr()).collect();
        let count = c_int::try_from(pointers.len()).map_err(|_| ParseError::TooLong(pointers.len()))?;
        let length = c_ulong::try_from(text.len()).map_err(|_| ParseError::TooLong(text.len()))?;
        let mut unsaved = CXUnsavedFile { Filename: c_name.as_ptr(), Contents: text.as_ptr().cast(), Length: length };
        let flags = clang_sys::CXTranslationUnit_DetailedPreprocessingRecord | clang_sys::CXTranslationUnit_KeepGoing;

        let api = &library.api;
        let mut unit: CXTranslationUnit = ptr::null_mut();
        // SAFETY: all pointers are valid for the call, with the lengths given; libclang copies the text. The index is
        // disposed by `Drop` or on the error path below.
        let (index, code) = unsafe {
            let index = (api.clang_createIndex)(0, 0);
            let code = (api.clang_parseTranslationUnit2)(
                index,
                c_name.as_ptr(),
                pointers.as_ptr(),
                count,
                &raw mut unsaved,
                1,
                flags,
                &raw mut unit,
            );
            (index, code)
        };
        if code != clang_sys::CXError_Success || unit.is_null() {
            // SAFETY: the index was made above and no unit refers to it.
            unsafe { (api.clang_disposeIndex)(index) };
            let reason = match code {
                clang_sys::CXError_Crashed => "it crashed",
                clang_sys::CXError_InvalidArguments => "its arguments are invalid",
                _ => "it does not say why",
            };
            return Err(ParseError::Failed { name, reason });
        }
        // SAFETY: the unit is valid, and the name is a C string.
        let main = unsafe { (api.clang_getFile)(unit, c_name.as_ptr()) };
        Ok(Self { library: Arc::clone(library), index, unit, main })
    }

    /// The whole unit as a cursor; its children are the top-level declarations and, before them, the preprocessing
    /// record.
    pub fn root(&self) -> Cursor<'_> {
        // SAFETY: the unit is valid as long as `self`, which the cursor borrows.
        Cursor::new(self, unsafe { (self.library.api.clang_getTranslationUnitCursor)(self.unit) })
    }

    /// What libclang has to say about the text, in its order.
    pub fn messages(&self) -> Vec<Message> {
        diagnostic::collect(self, self.unit)
    }

    pub(super) fn library(&self) -> &Library {
        &self.library
    }

    /// Where a location is in files: the place of a token that a macro's body gave is the macro's use, the place of a
    /// macro's argument is where it is written.
    pub(super) fn place(&self, location: CXSourceLocation) -> Place {
        let mut file: CXFile = ptr::null_mut();
        let mut line: c_uint = 0;
        let mut offset: c_uint = 0;
        // SAFETY: the location is one of this unit; the out-parameters are valid for writing.
        unsafe {
            (self.library.api.clang_getFileLocation)(
                location,
                &raw mut file,
                &raw mut line,
                ptr::null_mut(),
                &raw mut offset,
            );
        }
        if file.is_null() {
            return Place::Nowhere;
        }
        if self.is_main(file) {
            return Place::Main(offset);
        }
        // SAFETY: `file` is a file of this unit.
        let name = self.library.string(unsafe { (self.library.api.clang_getFileName)(file) });
        Place::Other { file: name, line }
    }

    /// The span of a range in the main file, if both of its ends are there. Where macros turn the order of the ends
    /// around, it is what lies between them.
    pub(super) fn span(&self, range: CXSourceRange) -> Option<Span> {
        // SAFETY: the range is one of this unit.
        let (start, end) =
            unsafe { ((self.library.api.clang_getRangeStart)(range), (self.library.api.clang_getRangeEnd)(range)) };
        let start = self.main_offset(start)?;
        let end = self.main_offset(end)?;
        Some(Span::new(start.min(end), start.max(end)))
    }

    /// The text of a range, if both of its ends are in one file.
    pub(super) fn text(&self, range: CXSourceRange) -> Option<String> {
        let api = &self.library.api;
        // SAFETY: the range is one of this unit; the out-parameters are valid for writing, and null where allowed. The
        // contents of a file live as long as the unit, with the size given, and are copied here.
        unsafe {
            let at = |location| {
                let mut file: CXFile = ptr::null_mut();
                let mut offset: c_uint = 0;
                (api.clang_getFileLocation)(location, &raw mut file, ptr::null_mut(), ptr::null_mut(), &raw mut offset);
                (file, usize::try_from(offset).unwrap_or(usize::MAX))
            };
            let (file, start) = at((api.clang_getRangeStart)(range));
            let (other, end) = at((api.clang_getRangeEnd)(range));
            if file.is_null() || file != other {
                return None;
            }
            let mut size = 0usize;
            let bytes = (api.clang_getFileContents)(self.unit, file, &raw mut size);
            if bytes.is_null() {
                return None;
            }
            let contents = std::slice::from_raw_parts(bytes.cast::<u8>(), size);
            contents.get(start..end).map(|text| String::from_utf8_lossy(text).into_owned())
        }
    }

    /// The offset of a location in the main file.
    pub(super) fn main_offset(&self, location: CXSourceLocation) -> Option<u32> {
        let mut file: CXFile = ptr::null_mut();
        let mut offset: c_uint = 0;
        // SAFETY: the location is one of this unit; the out-parameters are valid for writing, and null where allowed.
        unsafe {
            (self.library.api.clang_getFileLocation)(
                location,
                &raw mut file,
                ptr::null_mut(),
                ptr::null_mut(),
                &raw mut offset,
            );
        }
        (!file.is_null() && self.is_main(file)).then_some(offset)
    }

    fn is_main(&self, file: CXFile) -> bool {
        // SAFETY: both are files of this unit, or null, which libclang allows.
        file == self.main || unsafe { (self.library.api.clang_File_isEqual)(file, self.main) != 0 }
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        // SAFETY: both were made by `parse`, are owned by `self` alone, and nothing that borrows `self` is left.
        unsafe {
            (self.library.api.clang_disposeTranslationUnit)(self.unit);
            (self.library.api.clang_disposeIndex)(self.index);
        }
    }
}
