//! What a mangled name is made of.

/// A node by its place in the arena. Names share their parts, so nodes form a graph; it has no cycles, but template
/// parameters may lead back to where they are used, so whoever walks it counts the depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(pub(super) u32);

/// A list of nodes, by its place in the arena of lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    pub(super) start: u32,
    pub(super) len: u32,
}

/// `const`, `volatile`, `restrict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quals {
    pub(super) is_const: bool,
    pub(super) is_volatile: bool,
    pub(super) is_restrict: bool,
}

impl Quals {
    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// `&` or `&&` behind the parameters of a method, or before what a reference refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RefQual {
    #[default]
    None,
    Lvalue,
    Rvalue,
}

/// A function with its parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoding {
    pub(super) name: Id,
    /// Of templates only.
    pub(super) returns: Option<Id>,
    pub(super) params: List,
    pub(super) quals: Quals,
    pub(super) reference: RefQual,
    /// What the trailing requires-clause asks.
    pub(super) requires: Option<Id>,
}

/// The type of a function.
#[derive(Clone, Copy, Debug)]
pub(super) struct FunctionType {
    pub(super) returns: Id,
    pub(super) params: List,
    pub(super) quals: Quals,
    pub(super) reference: RefQual,
    pub(super) exceptions: Exceptions,
}

/// What a function type says of exceptions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Exceptions {
    Unsaid,
    Noexcept,
    NoexceptIf(Id),
    Throw(List),
}

/// A part of a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Node<'a> {
    // Names.
    Name(&'a str),
    /// A name that is no identifier of the source: a type of the language, `auto:1`.
    Builtin(&'a str),
    /// `$T0`: the template parameter of a generic lambda.
    LambdaParam(&'static str, usize),
    Nested(Id, Id),
    Local(Id, Id),
    DefaultArg(Id, usize, Id),
    /// `std::string`, as short as the mangling has it; with the name of the class in full.
    Abbreviated(&'static str, &'static str),
    Template(Id, Id),
    TemplateArgs(List),
    /// The arguments for a parameter pack.
    ArgPack(List),
    Expansion(Id),
    /// A template parameter by its index, and as the name has it. What it stands for depends on where it is
    /// written: the same part of a name may be shared by a function and a lambda in it.
    TemplateParam(usize, &'a str),
    Constructor(Id),
    Destructor(Id),
    AbiTag(Id, &'a str),
    /// `name@module`.
    InModule(Id, Id),
    /// `a.b` or `a:b` of a module's name.
    ModulePart(Option<Id>, &'a str, bool),
    Friend(Id, Id),
    Operator(&'static str),
    VendorOperator(&'a str),
    LiteralOperator(&'a str),
    Conversion(Id),
    /// Template parameters, parameters, number from 0.
    Lambda(List, List, usize),
    TemplateParamDecl(&'static str, Id),
    NonTypeParamDecl(Id, Id),
    Unnamed(usize),
    Binding(List),
    Special(&'static str, Id),
    ReferenceTemporary(Id, usize),
    ConstructionVtable(Id, Id),
    Encoding(Encoding),
    // Types.
    Qualified(Id, Quals),
    VendorQualified(Id, &'a str, Option<Id>),
    Pointer(Id),
    Reference(Id, RefQual),
    Suffixed(Id, &'static str),
    MemberPointer(Id, Id),
    Array(Id, Option<Id>),
    Function(FunctionType),
    Vector(Id, Option<Id>),
    Decltype(Id),
    BitInt(bool, Id),
    Elaborated(&'static str, Id),
    Constrained(Id, &'static str),
    // Expressions.
    Literal(Id, &'a str),
    Text(&'a str),
    FunctionParam(Option<usize>),
    Prefix(&'static str, Id),
    Postfix(Id, &'static str),
    /// Always with brackets: `sizeof (T)`.
    Enclosed(&'static str, Id),
    Binary(&'static str, Id, Id),
    Subscript(Id, Id),
    Call(Id, List),
    Cast(Id, Id),
    CastList(Id, List),
    NamedCast(&'static str, Id, Id),
    Conditional(Id, Id, Id),
    Braced(Option<Id>, List),
    Designated(Id, Option<Id>, Id),
    Fold(&'static str, bool, Id, Option<Id>),
    New {
        word: &'static str,
        placement: List,
        ty: Id,
        init: Option<List>,
    },
    PackLength(Id),
    ArgsLength(List),
    Global(Id),
    Requires(List, List),
    Requirement(Id, bool, Option<Id>),
}
