//! Types of the AST.

use clang_sys::CXType;

use super::cursor::Cursor;
use super::unit::Unit;

/// A type; it borrows the unit that it is of.
#[derive(Clone, Copy)]
pub struct Type<'u> {
    unit: &'u Unit,
    raw: CXType,
}

/// The shapes of types that rewriting tells apart; typedefs and qualifiers are looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeKind {
    /// `void`.
    Void,
    /// An integer, `bool`, `char` or an enumeration.
    Integer,
    /// A pointer.
    Pointer,
    /// An array of any kind.
    Array,
    /// A struct or union.
    Record,
    /// A function.
    Function,
    /// Anything else, such as a floating point number.
    Other,
}

impl<'u> Type<'u> {
    pub(super) fn new(unit: &'u Unit, raw: CXType) -> Self {
        Self { unit, raw }
    }

    /// As clang writes it: `struct sock *`.
    pub fn spelling(self) -> String {
        let library = self.unit.library();
        // SAFETY: the type is one of the unit that `self` borrows; libclang allows the invalid type.
        library.string(unsafe { (library.api.clang_getTypeSpelling)(self.raw) })
    }

    /// Its shape.
    pub fn kind(self) -> TypeKind {
        match self.canonical().raw.kind {
            clang_sys::CXType_Void => TypeKind::Void,
            clang_sys::CXType_Bool..=clang_sys::CXType_Int128 | clang_sys::CXType_Enum => TypeKind::Integer,
            clang_sys::CXType_Pointer => TypeKind::Pointer,
            clang_sys::CXType_ConstantArray | clang_sys::CXType_IncompleteArray | clang_sys::CXType_VariableArray => {
                TypeKind::Array
            }
            clang_sys::CXType_Record => TypeKind::Record,
            clang_sys::CXType_FunctionProto | clang_sys::CXType_FunctionNoProto => TypeKind::Function,
            _ => TypeKind::Other,
        }
    }

    /// Whether it is a `char` of any signedness.
    pub fn is_char(self) -> bool {
        matches!(
            self.canonical().raw.kind,
            clang_sys::CXType_Char_U | clang_sys::CXType_Char_S | clang_sys::CXType_UChar | clang_sys::CXType_SChar
        )
    }

    /// What a pointer points to; none for other types.
    pub fn pointee(self) -> Option<Self> {
        // SAFETY: as in `spelling`.
        let raw = unsafe { (self.unit.library().api.clang_getPointeeType)(self.raw) };
        self.valid(raw)
    }

    /// The elements of an array; none for other types.
    pub fn element(self) -> Option<Self> {
        // SAFETY: as in `spelling`.
        let raw = unsafe { (self.unit.library().api.clang_getArrayElementType)(self.canonical().raw) };
        self.valid(raw)
    }

    /// The number of elements of an array whose length is constant.
    pub fn array_length(self) -> Option<u64> {
        // SAFETY: as in `spelling`.
        let length = unsafe { (self.unit.library().api.clang_getArraySize)(self.canonical().raw) };
        u64::try_from(length).ok()
    }

    /// What a function returns; none for other types.
    pub fn result(self) -> Option<Self> {
        // SAFETY: as in `spelling`.
        let raw = unsafe { (self.unit.library().api.clang_getResultType)(self.raw) };
        self.valid(raw)
    }

    /// Its size in bytes; none where it is incomplete.
    pub fn size(self) -> Option<u64> {
        // SAFETY: as in `spelling`.
        u64::try_from(unsafe { (self.unit.library().api.clang_Type_getSizeOf)(self.raw) }).ok()
    }

    /// Where the field of that name is in a struct or union, in bits; anonymous members are looked through.
    pub fn offset_of(self, field: &str) -> Option<u64> {
        let field = std::ffi::CString::new(field).ok()?;
        let ty = self.canonical().raw;
        // SAFETY: as in `spelling`; the name is a C string that lives during the call.
        u64::try_from(unsafe { (self.unit.library().api.clang_Type_getOffsetOf)(ty, field.as_ptr()) }).ok()
    }

    /// The type without typedefs.
    #[must_use]
    pub fn canonical(self) -> Self {
        // SAFETY: as in `spelling`.
        Self { raw: unsafe { (self.unit.library().api.clang_getCanonicalType)(self.raw) }, ..self }
    }

    /// The type without its outermost `const` and `volatile`.
    #[must_use]
    pub fn unqualified(self) -> Self {
        // SAFETY: as in `spelling`.
        Self { raw: unsafe { (self.unit.library().api.clang_getUnqualifiedType)(self.raw) }, ..self }
    }

    /// Where its struct, union, enum or typedef is declared; none for other types.
    pub fn declaration(self) -> Option<Cursor<'u>> {
        // SAFETY: as in `spelling`.
        let raw = unsafe { (self.unit.library().api.clang_getTypeDeclaration)(self.raw) };
        Cursor::new(self.unit, raw).some()
    }

    /// The type that a typedef stands for; none for other types.
    pub fn underlying(self) -> Option<Self> {
        let declaration = self.declaration()?;
        // SAFETY: as in `spelling`.
        let raw = unsafe { (self.unit.library().api.clang_getTypedefDeclUnderlyingType)(declaration.raw()) };
        self.valid(raw)
    }

    fn valid(self, raw: CXType) -> Option<Self> {
        (raw.kind != clang_sys::CXType_Invalid).then_some(Self { raw, ..self })
    }
}

impl std::fmt::Debug for Type<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Type({})", self.spelling())
    }
}
