//! From libclang's AST to the [`Tree`].

use std::collections::HashMap;

use super::tree::{Decl, DeclId, DeclKind, Expansion, Function, FunctionId, Member, Node, NodeId, NodeKind, Tree};
use crate::clang::{BinaryOp, Cursor, CursorKind, Storage, TypeKind, UnaryOp, Unit};
use crate::source::Span;

/// How deeply expressions and statements may nest; clang itself stops at 256 brackets, but chains of operators nest
/// without brackets.
const MAX_DEPTH: usize = 500;

/// The most nodes that are looked at.
const MAX_NODES: usize = 400_000;

/// Reads everything that the user's `text` declares at file scope.
pub(super) fn lower<'u>(unit: &'u Unit, text: &str) -> Tree<'u> {
    let mut lowerer = Lowerer { text, tree: Tree::default(), decls: HashMap::new(), prototypes: Vec::new() };
    for cursor in unit.root().children() {
        lowerer.top(cursor);
    }
    for (name, span, name_span) in std::mem::take(&mut lowerer.prototypes) {
        match lowerer.tree.functions.iter_mut().find(|function| function.name == name) {
            Some(function) => function.prototypes.push((span, name_span)),
            None => {
                lowerer.tree.declared.entry(name).or_insert(name_span.unwrap_or(span));
            }
        }
    }
    lowerer.tree.expansions.sort_by_key(|expansion| (expansion.span.start, std::cmp::Reverse(expansion.span.end)));
    lowerer.tree
}

struct Lowerer<'u, 't> {
    text: &'t str,
    tree: Tree<'u>,
    decls: HashMap<Cursor<'u>, DeclId>,
    /// Declarations of functions that are no definitions: name, place, place of the name.
    prototypes: Vec<(String, Span, Option<Span>)>,
}

impl<'u> Lowerer<'u, '_> {
    fn top(&mut self, cursor: Cursor<'u>) {
        let kind = cursor.kind();
        if !matches!(kind, CursorKind::MacroExpansion | CursorKind::FunctionDecl | CursorKind::VarDecl) {
            return;
        }
        let Some(span) = cursor.span() else { return };
        match kind {
            CursorKind::MacroExpansion => {
                self.tree.expansions.push(Expansion { name: cursor.spelling(), span, cursor })
            }
            CursorKind::FunctionDecl => self.function(cursor, span),
            _ => {
                let decl = self.declare(cursor, DeclKind::Global);
                self.initializer(decl, cursor, None, 0);
            }
        }
    }

    fn function(&mut self, cursor: Cursor<'u>, span: Span) {
        let name = cursor.spelling();
        let name_span = self.name_span(cursor, &name);
        let children = cursor.children();
        let annotations = annotations(&children);
        let body = children.into_iter().rfind(|child| child.kind() == CursorKind::CompoundStmt);
        let Some(body) = body.filter(|_| cursor.is_definition()) else {
            self.prototypes.push((name, span, name_span));
            return;
        };
        let id = FunctionId::new(self.tree.functions.len());
        let parameters = cursor
            .arguments()
            .into_iter()
            .enumerate()
            .map(|(number, parameter)| self.declare(parameter, DeclKind::Parameter(id, number)))
            .collect();
        let start = self.tree.nodes.len();
        let body = self.node(body, None, 0);
        self.tree.functions.push(Function {
            name,
            span,
            name_span,
            prototypes: Vec::new(),
            is_static: cursor.storage() == Storage::Static,
            is_variadic: cursor.is_variadic(),
            annotations,
            parameters,
            result: cursor.ty().result(),
            body,
            nodes: start..self.tree.nodes.len(),
        });
    }

    fn declare(&mut self, cursor: Cursor<'u>, kind: DeclKind) -> DeclId {
        let canonical = cursor.canonical();
        if let Some(id) = self.decls.get(&canonical) {
            return *id;
        }
        let name = cursor.spelling();
        let id = DeclId::new(self.tree.decls.len());
        let name_span = self.name_span(cursor, &name);
        let children = cursor.children();
        self.tree.decls.push(Decl {
            name,
            kind,
            ty: cursor.ty(),
            annotations: annotations(&children),
            span: cursor.span(),
            name_span,
            init: None,
            cursor,
        });
        self.decls.insert(canonical, id);
        id
    }

    fn initializer(
        &mut self,
        decl: DeclId,
        cursor: Cursor<'u>,
        parent: Option<NodeId>,
        depth: usize,
    ) -> Option<NodeId> {
        let init = cursor.initializer()?;
        let node = self.node(init, parent, depth);
        if let Some(decl) = self.tree.decls.get_mut(decl.index()) {
            decl.init = Some(node);
        }
        Some(node)
    }

    /// Adds a node and what is below it.
    fn node(&mut self, cursor: Cursor<'u>, parent: Option<NodeId>, depth: usize) -> NodeId {
        let id = NodeId::new(self.tree.nodes.len());
        let too_deep = depth >= MAX_DEPTH || self.tree.nodes.len() >= MAX_NODES;
        self.tree.nodes.push(Node {
            kind: NodeKind::TooDeep,
            span: cursor.span(),
            ty: cursor.ty(),
            kids: Vec::new(),
            parent,
        });
        if too_deep {
            return id;
        }
        let (kind, parts) = self.shape(cursor);
        let mut kids = Vec::with_capacity(parts.len());
        if let NodeKind::Declare(decl) = kind {
            kids.extend(self.initializer(decl, cursor, Some(id), depth + 1));
        }
        for part in parts {
            kids.push(self.node(part, Some(id), depth + 1));
        }
        if let Some(node) = self.tree.nodes.get_mut(id.index()) {
            node.kind = kind;
            node.kids = kids;
        }
        id
    }

    /// Where the name of a declaration stands; none where a macro made it.
    fn name_span(&self, cursor: Cursor<'_>, name: &str) -> Option<Span> {
        let start = cursor.offset()?;
        let span = Span::new(start, start.saturating_add(u32::try_from(name.len()).ok()?));
        (self.text.get(span.range()) == Some(name)).then_some(span)
    }

    /// What a cursor is, and the cursors of its parts.
    fn shape(&mut self, cursor: Cursor<'u>) -> (NodeKind, Vec<Cursor<'u>>) {
        use CursorKind as K;
        let parts = || cursor.children().into_iter().filter(|child| is_part(child.kind())).collect::<Vec<_>>();
        // What stands before an operand is the type in a cast or a compound literal, as in (typeof(x))y.
        let last = || parts().pop().into_iter().collect::<Vec<_>>();
        match cursor.kind() {
            K::DeclRefExpr => match cursor.referenced() {
                Some(decl) if matches!(decl.kind(), K::VarDecl | K::ParmDecl) => {
                    // What is not known yet is of a header, or global and used in its own initialiser.
                    (NodeKind::Variable(self.declare(decl, DeclKind::Global)), Vec::new())
                }
                Some(decl) if decl.kind() == K::EnumConstantDecl => (NodeKind::Constant, Vec::new()),
                _ => (NodeKind::Name(cursor.spelling()), Vec::new()),
            },
            K::MemberRefExpr => {
                let parts = parts();
                let arrow = parts.first().is_some_and(|base| base.ty().kind() == TypeKind::Pointer);
                let field = cursor.referenced();
                let record = field.and_then(Cursor::parent);
                let name = field.map(Cursor::spelling).unwrap_or_default();
                let base = parts.first().map(|base| base.ty());
                let whole = base.and_then(|base| if arrow { base.canonical().pointee() } else { Some(base) });
                let member = Member {
                    // What has no name is found by the field itself.
                    offset: whole.and_then(|whole| whole.offset_of(&name)).or(field.and_then(Cursor::bit_offset)),
                    name,
                    arrow,
                    bit_field: field.is_some_and(Cursor::is_bit_field),
                    record: record.map(|record| record.ty().unqualified().spelling()).unwrap_or_default(),
                    of_kernel: record.is_some_and(|record| record.span().is_none()),
                    width: field.and_then(Cursor::bit_width),
                };
                (NodeKind::Member(member), parts.into_iter().take(1).collect())
            }
            K::CallExpr => (NodeKind::Call, parts()),
            K::IntegerLiteral | K::FloatingLiteral | K::CharacterLiteral => (NodeKind::Constant, Vec::new()),
            K::StringLiteral => (NodeKind::Text(cursor.string_value().unwrap_or_default()), Vec::new()),
            K::ParenExpr => (NodeKind::Paren, last()),
            K::UnaryOperator => match cursor.unary_op() {
                UnaryOp::AddressOf => (NodeKind::AddressOf, last()),
                UnaryOp::Deref => (NodeKind::Deref, last()),
                UnaryOp::Step => (NodeKind::Step, last()),
                UnaryOp::Other => (NodeKind::Unary, last()),
            },
            K::ArraySubscriptExpr => {
                let mut parts = parts();
                // `0[p]` is `p[0]`.
                if parts.first().is_some_and(|first| first.ty().kind() == TypeKind::Integer) {
                    parts.reverse();
                }
                (NodeKind::Index, parts)
            }
            K::BinaryOperator => match cursor.binary_op() {
                BinaryOp::Add | BinaryOp::Sub => (NodeKind::Arithmetic, parts()),
                BinaryOp::Assign => (NodeKind::Assign { compound: false }, parts()),
                BinaryOp::Comma => (NodeKind::Comma, parts()),
                BinaryOp::Logical => (NodeKind::Logical, parts()),
                BinaryOp::ShiftRight => (NodeKind::ShiftRight, parts()),
                BinaryOp::Other => (NodeKind::Binary, parts()),
            },
            K::CompoundAssignOperator => (NodeKind::Assign { compound: true }, parts()),
            K::ConditionalOperator => (NodeKind::Conditional, parts()),
            K::CStyleCastExpr => (NodeKind::Cast, last()),
            K::CompoundLiteralExpr => (NodeKind::List, last()),
            K::InitListExpr => (NodeKind::List, parts()),
            K::StmtExpr => {
                let statements = last().into_iter().flat_map(Cursor::children).collect();
                (NodeKind::Block, statements)
            }
            K::UnaryExpr => (NodeKind::Unevaluated, Vec::new()),
            K::UnexposedExpr => {
                let children = cursor.children();
                let designated =
                    children.iter().find(|child| child.kind() == K::MemberRef).map(|child| child.spelling());
                let parts = parts();
                match (designated, parts.len()) {
                    (Some(name), 1) => (NodeKind::Designated(name), parts),
                    (None, 1) => (NodeKind::Implicit, parts),
                    _ => (NodeKind::List, parts),
                }
            }
            K::VarDecl => (NodeKind::Declare(self.declare(cursor, DeclKind::Local)), Vec::new()),
            K::ReturnStmt => (NodeKind::Return, parts()),
            _ => (NodeKind::Statement, parts()),
        }
    }
}

/// Whether a child is an expression, a statement or the declaration of a variable, and not a type, an attribute or a
/// field of a type.
fn is_part(kind: CursorKind) -> bool {
    use CursorKind as K;
    !matches!(
        kind,
        K::StructDecl
            | K::UnionDecl
            | K::EnumDecl
            | K::FieldDecl
            | K::EnumConstantDecl
            | K::FunctionDecl
            | K::ParmDecl
            | K::TypedefDecl
            | K::TypeRef
            | K::MemberRef
            | K::AnnotateAttr
            | K::OtherAttr
    )
}

/// What the `annotate` attributes among the children of a declaration say.
fn annotations(children: &[Cursor<'_>]) -> Vec<String> {
    let attributes = children.iter().filter(|child| child.kind() == CursorKind::AnnotateAttr);
    attributes.map(|attribute| attribute.spelling()).collect()
}
