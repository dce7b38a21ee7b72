//! Nodes of the AST.

use std::panic::{AssertUnwindSafe, catch_unwind};

use clang_sys::{CXChildVisitResult, CXClientData, CXCursor};

use super::types::Type;
use super::unit::Unit;
use crate::source::Span;

/// A node of the AST or of the preprocessing record; it borrows the unit that it is of.
#[derive(Clone, Copy)]
pub struct Cursor<'u> {
    unit: &'u Unit,
    raw: CXCursor,
}

/// The kinds of nodes that rewriting tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are libclang's names")]
pub enum CursorKind {
    StructDecl,
    UnionDecl,
    EnumDecl,
    FieldDecl,
    EnumConstantDecl,
    FunctionDecl,
    VarDecl,
    ParmDecl,
    TypedefDecl,
    TypeRef,
    MemberRef,
    UnexposedExpr,
    DeclRefExpr,
    MemberRefExpr,
    CallExpr,
    IntegerLiteral,
    FloatingLiteral,
    StringLiteral,
    CharacterLiteral,
    ParenExpr,
    UnaryOperator,
    ArraySubscriptExpr,
    BinaryOperator,
    CompoundAssignOperator,
    ConditionalOperator,
    CStyleCastExpr,
    CompoundLiteralExpr,
    InitListExpr,
    StmtExpr,
    /// `sizeof`, `_Alignof` and the like.
    UnaryExpr,
    CompoundStmt,
    DeclStmt,
    ReturnStmt,
    AnnotateAttr,
    /// An attribute that libclang does not name, such as `section` or `preserve_access_index`.
    OtherAttr,
    MacroDefinition,
    MacroExpansion,
    InclusionDirective,
    /// Any other statement.
    OtherStmt,
    /// Anything else.
    Other,
}

/// Storage class as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// None is written.
    None,
    /// `static`.
    Static,
    /// `extern`.
    Extern,
    /// Any other.
    Other,
}

/// Binary operators that rewriting tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `=`
    Assign,
    /// `,`
    Comma,
    /// Comparisons, `&&` and `||`.
    Logical,
    /// `>>`
    ShiftRight,
    /// Any other.
    Other,
}

/// Unary operators that rewriting tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOp {
    /// `&`
    AddressOf,
    /// `*`
    Deref,
    /// `++` and `--`, before or behind.
    Step,
    /// Any other.
    Other,
}

impl<'u> Cursor<'u> {
    pub(super) fn new(unit: &'u Unit, raw: CXCursor) -> Self {
        Self { unit, raw }
    }

    /// What libclang knows it by.
    pub(super) fn raw(self) -> CXCursor {
        self.raw
    }

    /// None for the null cursor.
    pub(super) fn some(self) -> Option<Self> {
        // SAFETY: it only compares the number that it is given; the null cursor is of an invalid kind.
        let invalid = unsafe { (self.unit.library().api.clang_isInvalid)(self.raw.kind) != 0 };
        (!invalid).then_some(self)
    }

    /// Its kind.
    pub fn kind(self) -> CursorKind {
        use CursorKind as K;
        match self.raw.kind {
            clang_sys::CXCursor_StructDecl => K::StructDecl,
            clang_sys::CXCursor_UnionDecl => K::UnionDecl,
            clang_sys::CXCursor_EnumDecl => K::EnumDecl,
            clang_sys::CXCursor_FieldDecl => K::FieldDecl,
            clang_sys::CXCursor_EnumConstantDecl => K::EnumConstantDecl,
            clang_sys::CXCursor_FunctionDecl => K::FunctionDecl,
            clang_sys::CXCursor_VarDecl => K::VarDecl,
            clang_sys::CXCursor_ParmDecl => K::ParmDecl,
            clang_sys::CXCursor_TypedefDecl => K::TypedefDecl,
            clang_sys::CXCursor_TypeRef => K::TypeRef,
            clang_sys::CXCursor_MemberRef => K::MemberRef,
            clang_sys::CXCursor_UnexposedExpr => K::UnexposedExpr,
            clang_sys::CXCursor_DeclRefExpr => K::DeclRefExpr,
            clang_sys::CXCursor_MemberRefExpr => K::MemberRefExpr,
            clang_sys::CXCursor_CallExpr => K::CallExpr,
            clang_sys::CXCursor_IntegerLiteral => K::IntegerLiteral,
            clang_sys::CXCursor_FloatingLiteral => K::FloatingLiteral,
            clang_sys::CXCursor_StringLiteral => K::StringLiteral,
            clang_sys::CXCursor_CharacterLiteral => K::CharacterLiteral,
            clang_sys::CXCursor_ParenExpr => K::ParenExpr,
            clang_sys::CXCursor_UnaryOperator => K::UnaryOperator,
            clang_sys::CXCursor_ArraySubscriptExpr => K::ArraySubscriptExpr,
            clang_sys::CXCursor_BinaryOperator => K::BinaryOperator,
            clang_sys::CXCursor_CompoundAssignOperator => K::CompoundAssignOperator,
            clang_sys::CXCursor_ConditionalOperator => K::ConditionalOperator,
            clang_sys::CXCursor_CStyleCastExpr => K::CStyleCastExpr,
            clang_sys::CXCursor_CompoundLiteralExpr => K::CompoundLiteralExpr,
            clang_sys::CXCursor_InitListExpr => K::InitListExpr,
            clang_sys::CXCursor_StmtExpr => K::StmtExpr,
            clang_sys::CXCursor_UnaryExpr => K::UnaryExpr,
            clang_sys::CXCursor_CompoundStmt => K::CompoundStmt,
            clang_sys::CXCursor_DeclStmt => K::DeclStmt,
            clang_sys::CXCursor_ReturnStmt => K::ReturnStmt,
            clang_sys::CXCursor_AnnotateAttr => K::AnnotateAttr,
            clang_sys::CXCursor_MacroDefinition => K::MacroDefinition,
            clang_sys::CXCursor_MacroExpansion => K::MacroExpansion,
            clang_sys::CXCursor_InclusionDirective => K::InclusionDirective,
            kind => {
                let api = &self.unit.library().api;
                // SAFETY: these two only compare the number that they are given.
                let (attribute, statement) =
                    unsafe { ((api.clang_isAttribute)(kind) != 0, (api.clang_isStatement)(kind) != 0) };
                if attribute {
                    K::OtherAttr
                } else if statement {
                    K::OtherStmt
                } else {
                    K::Other
                }
            }
        }
    }

    /// The name of a declaration or of what an expression refers to; the text of an annotation.
    pub fn spelling(self) -> String {
        let library = self.unit.library();
        // SAFETY: the cursor is one of the unit that `self` borrows.
        library.string(unsafe { (library.api.clang_getCursorSpelling)(self.raw) })
    }

    /// Its children in the order of libclang, which is that of the source but for a few kinds.
    pub fn children(self) -> Vec<Self> {
        let mut children: Vec<CXCursor> = Vec::new();
        let data: CXClientData = (&raw mut children).cast();
        // SAFETY: `collect` gets `data` back unchanged while this call runs, during which `children` is not otherwise
        // used; it does not unwind.
        unsafe { (self.unit.library().api.clang_visitChildren)(self.raw, collect, data) };
        children.into_iter().map(|raw| Self { unit: self.unit, raw }).collect()
    }

    /// Its extent in the main file, if both ends are there. See [`Unit`] on macros: what a macro's body gave has the
    /// place of the macro's use.
    pub fn span(self) -> Option<Span> {
        // SAFETY: as in `spelling`.
        self.unit.span(unsafe { (self.unit.library().api.clang_getCursorExtent)(self.raw) })
    }

    /// Its text as it is written, in whatever file.
    pub fn text(self) -> Option<String> {
        // SAFETY: as in `spelling`.
        self.unit.text(unsafe { (self.unit.library().api.clang_getCursorExtent)(self.raw) })
    }

    /// The offset in the main file of its place: of a declaration, its name.
    pub fn offset(self) -> Option<u32> {
        // SAFETY: as in `spelling`.
        self.unit.main_offset(unsafe { (self.unit.library().api.clang_getCursorLocation)(self.raw) })
    }

    /// Its type.
    pub fn ty(self) -> Type<'u> {
        // SAFETY: as in `spelling`.
        Type::new(self.unit, unsafe { (self.unit.library().api.clang_getCursorType)(self.raw) })
    }

    /// The declaration that an expression refers to.
    pub fn referenced(self) -> Option<Self> {
        // SAFETY: as in `spelling`.
        let raw = unsafe { (self.unit.library().api.clang_getCursorReferenced)(self.raw) };
        Self { raw, ..self }.some()
    }

    /// The definition of what is declared or referred to.
    pub fn definition(self) -> Option<Self> {
        // SAFETY: as in `spelling`.
        let raw = unsafe { (self.unit.library().api.clang_getCursorDefinition)(self.raw) };
        Self { raw, ..self }.some()
    }

    /// The declaration that this one is a member of.
    pub fn parent(self) -> Option<Self> {
        // SAFETY: as in `spelling`.
        let raw = unsafe { (self.unit.library().api.clang_getCursorSemanticParent)(self.raw) };
        Self { raw, ..self }.some()
    }

    /// The first declaration of the same thing: what identifies it.
    #[must_use]
    pub fn canonical(self) -> Self {
        // SAFETY: as in `spelling`.
        Self { raw: unsafe { (self.unit.library().api.clang_getCanonicalCursor)(self.raw) }, ..self }
    }

    /// Whether a declaration is a definition.
    pub fn is_definition(self) -> bool {
        // SAFETY: as in `spelling`.
        unsafe { (self.unit.library().api.clang_isCursorDefinition)(self.raw) != 0 }
    }

    /// Whether a field is a bit field.
    pub fn is_bit_field(self) -> bool {
        // SAFETY: as in `spelling`.
        unsafe { (self.unit.library().api.clang_Cursor_isBitField)(self.raw) != 0 }
    }

    /// Where a field starts, in bits from the start of its struct; none for other declarations.
    pub fn bit_offset(self) -> Option<u64> {
        // SAFETY: as in `spelling`.
        u64::try_from(unsafe { (self.unit.library().api.clang_Cursor_getOffsetOfField)(self.raw) }).ok()
    }

    /// How many bits a bit field has; none for other declarations.
    pub fn bit_width(self) -> Option<u64> {
        // SAFETY: as in `spelling`.
        u64::try_from(unsafe { (self.unit.library().api.clang_getFieldDeclBitWidth)(self.raw) }).ok()
    }

    /// Whether a struct or union has no name.
    pub fn is_anonymous(self) -> bool {
        // SAFETY: as in `spelling`.
        unsafe { (self.unit.library().api.clang_Cursor_isAnonymous)(self.raw) != 0 }
    }

    /// Whether a function takes any number of arguments.
    pub fn is_variadic(self) -> bool {
        // SAFETY: as in `spelling`.
        unsafe { (self.unit.library().api.clang_Cursor_isVariadic)(self.raw) != 0 }
    }

    /// Whether a function is declared `inline`.
    pub fn is_inline(self) -> bool {
        // SAFETY: as in `spelling`.
        unsafe { (self.unit.library().api.clang_Cursor_isFunctionInlined)(self.raw) != 0 }
    }

    /// Storage class of a declaration.
    pub fn storage(self) -> Storage {
        // SAFETY: as in `spelling`.
        match unsafe { (self.unit.library().api.clang_Cursor_getStorageClass)(self.raw) } {
            clang_sys::CX_SC_None => Storage::None,
            clang_sys::CX_SC_Static => Storage::Static,
            clang_sys::CX_SC_Extern => Storage::Extern,
            _ => Storage::Other,
        }
    }

    /// The initialiser of a variable.
    pub fn initializer(self) -> Option<Self> {
        // SAFETY: as in `spelling`.
        let raw = unsafe { (self.unit.library().api.clang_Cursor_getVarDeclInitializer)(self.raw) };
        Self { raw, ..self }.some()
    }

    /// The arguments of a call, or the parameters of a function.
    pub fn arguments(self) -> Vec<Self> {
        let api = &self.unit.library().api;
        // SAFETY: as in `spelling`; the indices are below the number that libclang states.
        unsafe {
            let count = u32::try_from((api.clang_Cursor_getNumArguments)(self.raw)).unwrap_or(0);
            (0..count)
                .filter_map(|index| Self { raw: (api.clang_Cursor_getArgument)(self.raw, index), ..self }.some())
                .collect()
        }
    }

    /// The operator of a binary expression.
    pub fn binary_op(self) -> BinaryOp {
        // SAFETY: as in `spelling`.
        match unsafe { (self.unit.library().api.clang_getCursorBinaryOperatorKind)(self.raw) } {
            clang_sys::CXBinaryOperator_Add => BinaryOp::Add,
            clang_sys::CXBinaryOperator_Sub => BinaryOp::Sub,
            clang_sys::CXBinaryOperator_Assign => BinaryOp::Assign,
            clang_sys::CXBinaryOperator_Comma => BinaryOp::Comma,
            clang_sys::CXBinaryOperator_Cmp..=clang_sys::CXBinaryOperator_NE
            | clang_sys::CXBinaryOperator_LAnd
            | clang_sys::CXBinaryOperator_LOr => BinaryOp::Logical,
            clang_sys::CXBinaryOperator_Shr => BinaryOp::ShiftRight,
            _ => BinaryOp::Other,
        }
    }

    /// The operator of a unary expression.
    pub fn unary_op(self) -> UnaryOp {
        // SAFETY: as in `spelling`.
        match unsafe { (self.unit.library().api.clang_getCursorUnaryOperatorKind)(self.raw) } {
            clang_sys::CXUnaryOperator_AddrOf => UnaryOp::AddressOf,
            clang_sys::CXUnaryOperator_Deref => UnaryOp::Deref,
            clang_sys::CXUnaryOperator_PostInc..=clang_sys::CXUnaryOperator_PreDec => UnaryOp::Step,
            _ => UnaryOp::Other,
        }
    }

    /// The bytes of a string literal, escapes resolved, adjacent literals joined; none for other nodes.
    pub fn string_value(self) -> Option<Vec<u8>> {
        if self.kind() != CursorKind::StringLiteral {
            return None;
        }
        unescape(&self.spelling())
    }
}

/// The bytes that clang's own spelling of a string literal (`StringLiteral::outputString`) stands for: every byte that
/// is not printable is a one-letter escape or three octal digits.
fn unescape(literal: &str) -> Option<Vec<u8>> {
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            first @ b'0'..=b'3' => {
                let (second, third) = (rest.next()?, rest.next()?);
                let digits = [first, second, third].map(|digit| u32::from(digit.wrapping_sub(b'0')));
                u8::try_from(digits.iter().fold(0, |value, digit| value * 8 + digit)).ok()?
            }
            other => other,
        });
    }
    Some(bytes)
}

impl PartialEq for Cursor<'_> {
    fn eq(&self, other: &Self) -> bool {
        // SAFETY: comparing is allowed for every pair of cursors.
        unsafe { (self.unit.library().api.clang_equalCursors)(self.raw, other.raw) != 0 }
    }
}

impl Eq for Cursor<'_> {}

impl std::hash::Hash for Cursor<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        // SAFETY: hashing is allowed for every cursor; equal cursors have equal hashes.
        unsafe { (self.unit.library().api.clang_hashCursor)(self.raw) }.hash(state);
    }
}

impl std::fmt::Debug for Cursor<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}({})", self.kind(), self.spelling())
    }
}

/// Appends each child to the `Vec<CXCursor>` that `data` points to.
extern "C" fn collect(cursor: CXCursor, _parent: CXCursor, data: CXClientData) -> CXChildVisitResult {
    // Only running out of memory could unwind here, and then the children so far must do.
    let pushed = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `children` passes a pointer to its vector, which lives until the visit is over.
        unsafe { (*data.cast::<Vec<CXCursor>>()).push(cursor) };
    }));
    if pushed.is_ok() { clang_sys::CXChildVisit_Continue } else { clang_sys::CXChildVisit_Break }
}
