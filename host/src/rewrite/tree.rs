//! The probe's functions as a tree of its own: what rules and analyses need of libclang's AST, bounded and checked.

use std::collections::HashMap;

use crate::clang::{Cursor, Type, TypeKind};
use crate::source::Span;

/// Index of a node in [`Tree::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

/// Index of a declaration in [`Tree::decls`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeclId(u32);

/// Index of a function in [`Tree::functions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(u32);

/// Gives each index type its conversions; an index that does not fit is one behind the end of every vector.
macro_rules! index {
    ($($name:ident),+) => { $(
        impl $name {
            /// The id of the element at `index`.
            pub fn new(index: usize) -> Self {
                Self(u32::try_from(index).unwrap_or(u32::MAX))
            }

            /// The index into the vector.
            pub fn index(self) -> usize {
                usize::try_from(self.0).unwrap_or(usize::MAX)
            }
        }
    )+ };
}

index!(NodeId, DeclId, FunctionId);

/// What a node is. Children stand in [`Node::kids`] in the order that is given here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A variable or parameter.
    Variable(DeclId),
    /// The name of a function, or of anything else that is not a variable.
    Name(String),
    /// A string literal: its bytes.
    Text(Vec<u8>),
    /// A number, a character, an enumerator.
    Constant,
    /// `base.name` or `base->name`.
    Member(Member),
    /// `base[index]`: base, index.
    Index,
    /// `*p`
    Deref,
    /// `&x`
    AddressOf,
    /// `x++` and the like.
    Step,
    /// Any other unary operator.
    Unary,
    /// `+` and `-`: left, right.
    Arithmetic,
    /// Comparisons and logic: left, right.
    Logical,
    /// `>>`: left, right.
    ShiftRight,
    /// Any other binary operator: left, right.
    Binary,
    /// `=` and, if `compound`, `+=` and the like: left, right.
    Assign {
        /// Whether the old value is read too.
        compound: bool,
    },
    /// `,`: left, right.
    Comma,
    /// `c ? a : b`: c, a, b.
    Conditional,
    /// An explicit cast.
    Cast,
    /// Something that adds only an implicit conversion.
    Implicit,
    /// `(x)`
    Paren,
    /// A call: the called expression, then the arguments.
    Call,
    /// `({ … })`: the statements; the last is the value.
    Block,
    /// An initialiser list, or an expression that libclang does not name: its parts.
    List,
    /// `.name = value` in an initialiser list: the value.
    Designated(String),
    /// `sizeof` and the like: nothing is evaluated.
    Unevaluated,
    /// The declaration of a variable: its initialiser, if it has one.
    Declare(DeclId),
    /// `return`: the value, if there is one.
    Return,
    /// Any other statement: its parts.
    Statement,
    /// What is nested too deeply to be looked at.
    TooDeep,
}

/// A member access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The member's name; empty for the anonymous struct or union on the way to a member.
    pub name: String,
    /// Whether it is `->`.
    pub arrow: bool,
    /// Whether it is a bit field.
    pub bit_field: bool,
    /// Name of the struct or union as C writes it (`struct sock`); of an anonymous one, some text.
    pub record: String,
    /// Whether a header declares the struct or union: the slice of the kernel's types.
    pub of_kernel: bool,
    /// Where it is in what stands before it, in bits.
    pub offset: Option<u64>,
    /// How wide a bit field is, in bits.
    pub width: Option<u64>,
}

/// A node.
#[derive(Debug)]
pub struct Node<'u> {
    /// What it is.
    pub kind: NodeKind,
    /// Where it stands, if both ends are in the user's text; macros are where they are used.
    pub span: Option<Span>,
    /// Its type; of statements, an invalid one.
    pub ty: Type<'u>,
    /// Its children.
    pub kids: Vec<NodeId>,
    /// The node that holds it.
    pub parent: Option<NodeId>,
}

/// What a declaration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclKind {
    /// The parameter of that number of a function.
    Parameter(FunctionId, usize),
    /// A variable inside a function.
    Local,
    /// A variable at file scope.
    Global,
}

/// A variable or parameter.
#[derive(Debug)]
pub struct Decl<'u> {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: DeclKind,
    /// Its type.
    pub ty: Type<'u>,
    /// What its `annotate` attributes say.
    pub annotations: Vec<String>,
    /// Where it stands as a whole.
    pub span: Option<Span>,
    /// Where its name stands.
    pub name_span: Option<Span>,
    /// Its initialiser.
    pub init: Option<NodeId>,
    /// The cursor, for what is not copied.
    pub cursor: Cursor<'u>,
}

/// A function that the user's text defines.
#[derive(Debug)]
pub struct Function<'u> {
    /// Its name.
    pub name: String,
    /// Where its definition stands as a whole.
    pub span: Span,
    /// Where its name stands; none where a macro made it.
    pub name_span: Option<Span>,
    /// Where its other declarations stand: whole, and name.
    pub prototypes: Vec<(Span, Option<Span>)>,
    /// Whether it is `static`.
    pub is_static: bool,
    /// Whether it takes any number of arguments.
    pub is_variadic: bool,
    /// What `annotate` attributes say, those of all its declarations.
    pub annotations: Vec<String>,
    /// Its parameters.
    pub parameters: Vec<DeclId>,
    /// What it returns.
    pub result: Option<Type<'u>>,
    /// Its statements.
    pub body: NodeId,
    /// Its nodes are those of this range of indices.
    pub nodes: std::ops::Range<usize>,
}

/// A macro that is used in the user's text.
#[derive(Debug, Clone)]
pub struct Expansion<'u> {
    /// Its name.
    pub name: String,
    /// Where it is used, arguments included.
    pub span: Span,
    /// The use; it refers to the definition.
    pub cursor: Cursor<'u>,
}

/// All functions and global variables of the user's text.
#[derive(Debug, Default)]
pub struct Tree<'u> {
    /// The nodes; a parent stands before its children.
    pub nodes: Vec<Node<'u>>,
    /// The variables and parameters.
    pub decls: Vec<Decl<'u>>,
    /// The functions, in the order of the text.
    pub functions: Vec<Function<'u>>,
    /// Names of functions that are only declared.
    pub declared: HashMap<String, Span>,
    /// Uses of macros in the text.
    pub expansions: Vec<Expansion<'u>>,
}

impl<'u> Tree<'u> {
    /// The node of an id.
    pub fn node(&self, id: NodeId) -> Option<&Node<'u>> {
        self.nodes.get(id.index())
    }

    /// What the node is.
    pub fn kind(&self, id: NodeId) -> Option<&NodeKind> {
        self.node(id).map(|node| &node.kind)
    }

    /// The child of that number.
    pub fn kid(&self, id: NodeId, number: usize) -> Option<NodeId> {
        self.node(id)?.kids.get(number).copied()
    }

    /// Where the node stands.
    pub fn span(&self, id: NodeId) -> Option<Span> {
        self.node(id)?.span
    }

    /// The declaration of an id.
    pub fn decl(&self, id: DeclId) -> Option<&Decl<'u>> {
        self.decls.get(id.index())
    }

    /// The function of an id.
    pub fn function(&self, id: FunctionId) -> Option<&Function<'u>> {
        self.functions.get(id.index())
    }

    /// The functions and their ids.
    pub fn functions(&self) -> impl Iterator<Item = (FunctionId, &Function<'u>)> {
        self.functions.iter().enumerate().map(|(index, function)| (FunctionId::new(index), function))
    }

    /// The function of a name.
    pub fn function_named(&self, name: &str) -> Option<FunctionId> {
        self.functions.iter().position(|function| function.name == name).map(FunctionId::new)
    }

    /// All nodes and their ids, parents first.
    pub fn all(&self) -> impl Iterator<Item = (NodeId, &Node<'u>)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId::new(index), node))
    }

    /// The nodes of a function and their ids, parents first.
    pub fn nodes_of(&self, function: FunctionId) -> impl Iterator<Item = (NodeId, &Node<'u>)> {
        let range = self.function(function).map_or(0..0, |function| function.nodes.clone());
        let start = range.start;
        self.nodes
            .get(range)
            .unwrap_or_default()
            .iter()
            .enumerate()
            .map(move |(index, node)| (NodeId::new(start + index), node))
    }

    /// The function that a node is in.
    pub fn function_of(&self, node: NodeId) -> Option<FunctionId> {
        self.functions.iter().position(|function| function.nodes.contains(&node.index())).map(FunctionId::new)
    }

    /// The node without parentheses and implicit conversions.
    pub fn bare(&self, id: NodeId) -> NodeId {
        let mut at = id;
        while let Some(NodeKind::Implicit | NodeKind::Paren) = self.kind(at) {
            match self.kid(at, 0) {
                Some(kid) => at = kid,
                None => break,
            }
        }
        at
    }

    /// The node without parentheses, conversions and casts.
    pub fn bare_of_casts(&self, id: NodeId) -> NodeId {
        let mut at = id;
        while let Some(NodeKind::Implicit | NodeKind::Paren | NodeKind::Cast) = self.kind(at) {
            match self.kid(at, 0) {
                Some(kid) => at = kid,
                None => break,
            }
        }
        at
    }

    /// The variable that an expression is, parentheses and conversions aside.
    pub fn variable(&self, id: NodeId) -> Option<DeclId> {
        match self.kind(self.bare(id))? {
            NodeKind::Variable(decl) => Some(*decl),
            _ => None,
        }
    }

    /// The pointer that an lvalue is found through; none where it is part of a variable.
    pub fn pointer_to(&self, lvalue: NodeId) -> Option<NodeId> {
        let mut at = lvalue;
        loop {
            at = self.bare(at);
            let base = self.kid(at, 0)?;
            match self.kind(at)? {
                NodeKind::Member(member) if member.arrow => return Some(base),
                NodeKind::Member(_) => at = base,
                NodeKind::Index => {
                    let array = self.bare(base);
                    if self.node(array)?.ty.kind() != TypeKind::Array {
                        return Some(base);
                    }
                    at = array;
                }
                NodeKind::Deref => return Some(base),
                _ => return None,
            }
        }
    }

    /// The name of the function that a call calls directly.
    pub fn callee(&self, call: NodeId) -> Option<&str> {
        if self.kind(call)? != &NodeKind::Call {
            return None;
        }
        let called = self.bare(self.kid(call, 0)?);
        match self.kind(called)? {
            NodeKind::Name(name) => Some(name),
            // Helpers are constant pointers to functions in libbpf's headers.
            NodeKind::Variable(decl) => Some(self.decl(*decl)?.name.as_str()),
            _ => None,
        }
    }

    /// The arguments of a call.
    pub fn arguments(&self, call: NodeId) -> &[NodeId] {
        self.node(call).and_then(|node| node.kids.get(1..)).unwrap_or_default()
    }
}
