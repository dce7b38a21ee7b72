//! The shared library and the functions that are used of it.

use std::ffi::{CStr, c_char, c_int, c_longlong, c_uint};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clang_sys::{
    CX_StorageClass, CXBinaryOperatorKind, CXClientData, CXCursor, CXCursorKind, CXCursorVisitor, CXDiagnostic,
    CXDiagnosticSet, CXDiagnosticSeverity, CXErrorCode, CXFile, CXIndex, CXSourceLocation, CXSourceRange, CXString,
    CXTranslationUnit, CXTranslationUnit_Flags, CXType, CXUnaryOperatorKind, CXUnsavedFile,
};

/// Why libclang could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The dynamic linker refused it.
    #[error("failed to load libclang `{path}` (DBCC_LIBCLANG names another): {error}")]
    Load {
        /// The path as configured.
        path: PathBuf,
        /// What the dynamic linker said.
        error: libloading::Error,
    },
    /// It lacks a function.
    #[error("libclang `{path}` has no function `{function}`; version 17 or newer is needed")]
    TooOld {
        /// The path as configured.
        path: PathBuf,
        /// The name of the function.
        function: &'static str,
    },
}

/// Declares [`Api`]: a pointer to each function, all of them present.
macro_rules! api {
    ($(fn $name:ident($($argument:ty),* $(,)?) $(-> $result:ty)?;)+) => {
        /// Pointers to the functions of one loaded libclang.
        #[allow(non_snake_case, reason = "they are libclang's names")]
        pub(super) struct Api {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)+
        }

        impl Api {
            fn load(library: &libloading::Library) -> Result<Self, &'static str> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the symbol is a function of libclang's C API, and `agrees` makes the compiler check
                        // that the type given to it here is the one that clang_sys states for it.
                        let symbol = unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) };
                        *symbol.map_err(|_| stringify!($name))?
                    },)+
                })
            }

            /// Never called: it compiles only if each signature above is the one of clang_sys.
            #[allow(dead_code, reason = "it is a check at compile time")]
            fn agrees(&self, functions: &mut clang_sys::Functions) {
                $(functions.$name = Some(self.$name);)+
            }
        }
    };
}

api! {
    fn clang_createIndex(c_int, c_int) -> CXIndex;
    fn clang_disposeIndex(CXIndex);
    fn clang_parseTranslationUnit2(CXIndex, *const c_char, *const *const c_char, c_int, *mut CXUnsavedFile, c_uint,
        CXTranslationUnit_Flags, *mut CXTranslationUnit) -> CXErrorCode;
    fn clang_disposeTranslationUnit(CXTranslationUnit);
    fn clang_getTranslationUnitCursor(CXTranslationUnit) -> CXCursor;
    fn clang_getFile(CXTranslationUnit, *const c_char) -> CXFile;
    fn clang_File_isEqual(CXFile, CXFile) -> c_int;
    fn clang_getFileName(CXFile) -> CXString;
    fn clang_getFileContents(CXTranslationUnit, CXFile, *mut usize) -> *const c_char;
    fn clang_getCString(CXString) -> *const c_char;
    fn clang_disposeString(CXString);
    fn clang_getNumDiagnostics(CXTranslationUnit) -> c_uint;
    fn clang_getDiagnostic(CXTranslationUnit, c_uint) -> CXDiagnostic;
    fn clang_disposeDiagnostic(CXDiagnostic);
    fn clang_getChildDiagnostics(CXDiagnostic) -> CXDiagnosticSet;
    fn clang_getNumDiagnosticsInSet(CXDiagnosticSet) -> c_uint;
    fn clang_getDiagnosticInSet(CXDiagnosticSet, c_uint) -> CXDiagnostic;
    fn clang_getDiagnosticSeverity(CXDiagnostic) -> CXDiagnosticSeverity;
    fn clang_getDiagnosticSpelling(CXDiagnostic) -> CXString;
    fn clang_getDiagnosticOption(CXDiagnostic, *mut CXString) -> CXString;
    fn clang_getDiagnosticLocation(CXDiagnostic) -> CXSourceLocation;
    fn clang_getDiagnosticNumRanges(CXDiagnostic) -> c_uint;
    fn clang_getDiagnosticRange(CXDiagnostic, c_uint) -> CXSourceRange;
    fn clang_getDiagnosticNumFixIts(CXDiagnostic) -> c_uint;
    fn clang_getDiagnosticFixIt(CXDiagnostic, c_uint, *mut CXSourceRange) -> CXString;
    fn clang_getFileLocation(CXSourceLocation, *mut CXFile, *mut c_uint, *mut c_uint, *mut c_uint);
    fn clang_getRangeStart(CXSourceRange) -> CXSourceLocation;
    fn clang_getRangeEnd(CXSourceRange) -> CXSourceLocation;
    fn clang_visitChildren(CXCursor, CXCursorVisitor, CXClientData) -> c_uint;
    fn clang_getCursorKind(CXCursor) -> CXCursorKind;
    fn clang_getCursorSpelling(CXCursor) -> CXString;
    fn clang_getCursorExtent(CXCursor) -> CXSourceRange;
    fn clang_getCursorLocation(CXCursor) -> CXSourceLocation;
    fn clang_getCursorReferenced(CXCursor) -> CXCursor;
    fn clang_getCanonicalCursor(CXCursor) -> CXCursor;
    fn clang_isInvalid(CXCursorKind) -> c_uint;
    fn clang_isStatement(CXCursorKind) -> c_uint;
    fn clang_isAttribute(CXCursorKind) -> c_uint;
    fn clang_equalCursors(CXCursor, CXCursor) -> c_uint;
    fn clang_hashCursor(CXCursor) -> c_uint;
    fn clang_getCursorType(CXCursor) -> CXType;
    fn clang_Cursor_isBitField(CXCursor) -> c_uint;
    fn clang_Cursor_getOffsetOfField(CXCursor) -> c_longlong;
    fn clang_getFieldDeclBitWidth(CXCursor) -> c_int;
    fn clang_getTypedefDeclUnderlyingType(CXCursor) -> CXType;
    fn clang_Cursor_isAnonymous(CXCursor) -> c_uint;
    fn clang_Cursor_isVariadic(CXCursor) -> c_uint;
    fn clang_Cursor_getStorageClass(CXCursor) -> CX_StorageClass;
    fn clang_Cursor_isFunctionInlined(CXCursor) -> c_uint;
    fn clang_Cursor_getVarDeclInitializer(CXCursor) -> CXCursor;
    fn clang_Cursor_getNumArguments(CXCursor) -> c_int;
    fn clang_Cursor_getArgument(CXCursor, c_uint) -> CXCursor;
    fn clang_isCursorDefinition(CXCursor) -> c_uint;
    fn clang_getCursorDefinition(CXCursor) -> CXCursor;
    fn clang_getCursorSemanticParent(CXCursor) -> CXCursor;
    fn clang_getCursorBinaryOperatorKind(CXCursor) -> CXBinaryOperatorKind;
    fn clang_getCursorUnaryOperatorKind(CXCursor) -> CXUnaryOperatorKind;
    fn clang_getTypeSpelling(CXType) -> CXString;
    fn clang_getCanonicalType(CXType) -> CXType;
    fn clang_getUnqualifiedType(CXType) -> CXType;
    fn clang_getPointeeType(CXType) -> CXType;
    fn clang_getArrayElementType(CXType) -> CXType;
    fn clang_getArraySize(CXType) -> c_longlong;
    fn clang_getTypeDeclaration(CXType) -> CXCursor;
    fn clang_getResultType(CXType) -> CXType;
    fn clang_Type_getSizeOf(CXType) -> c_longlong;
    fn clang_Type_getOffsetOf(CXType, *const c_char) -> c_longlong;
}

/// A loaded libclang.
pub struct Library {
    pub(super) api: Api,
    path: PathBuf,
    /// Never closed: LLVM registers handlers that run at the end of threads and of the process.
    _handle: ManuallyDrop<libloading::Library>,
}

impl Library {
    /// Loads the libclang at `path`, which is used as it is.
    ///
    /// # Errors
    /// When it cannot be loaded, or is older than version 17.
    pub fn load(path: &Path) -> Result<Arc<Self>, LibraryError> {
        // SAFETY: loading runs the library's initialisers; it is the libclang that the toolchain names, which has no
        // preconditions on being loaded.
        let handle = unsafe { libloading::Library::new(path) }
            .map_err(|error| LibraryError::Load { path: path.to_owned(), error })?;
        let handle = ManuallyDrop::new(handle);
        let api = Api::load(&handle).map_err(|function| LibraryError::TooOld { path: path.to_owned(), function })?;
        Ok(Arc::new(Self { api, path: path.to_owned(), _handle: handle }))
    }

    /// The path that it was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Copies a string of libclang's and disposes it; a null string is empty.
    pub(super) fn string(&self, string: CXString) -> String {
        // SAFETY: `string` was just returned by libclang and is disposed once, here, after its bytes are copied.
        unsafe {
            let bytes = (self.api.clang_getCString)(string);
            let copy =
                if bytes.is_null() { String::new() } else { CStr::from_ptr(bytes).to_string_lossy().into_owned() };
            (self.api.clang_disposeString)(string);
            copy
        }
    }
}

impl std::fmt::Debug for Library {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Library").field("path", &self.path).finish_non_exhaustive()
    }
}
