//! Writes a name as `c++filt` does.
//!
//! As declarators have it in C, a type has a part in front of what it is the type of, and one behind.

use super::node::{Encoding, Exceptions, FunctionType, Id, List, Node, Quals, RefQual};
use super::parse::Parser;
use crate::demangle::MAX_DEMANGLED;
use crate::name::split;

/// Names nest some ten levels deep.
const MAX_DEPTH: usize = 400;
/// Nodes to visit: parts may be shared, so that a short name could ask for more than time allows.
const MAX_VISITS: usize = 200_000;

/// The name cannot be written within the limits, or it is unsound.
pub(super) struct Unsound;

pub(super) type Done = Result<(), Unsound>;

pub(super) struct Printer<'p, 'a> {
    parser: &'p Parser<'a>,
    pub(super) out: String,
    depth: usize,
    visits: usize,
    /// What template parameters stand for in what is being written, and in what that is part of.
    frames: Vec<Frame>,
    /// The frame that counts; none outside of templates.
    frame: Option<usize>,
    /// Which element of the packs in the expansion that is being written, and how many they have; none outside of one, or
    /// where no pack was met yet.
    element: Option<(usize, usize)>,
}

/// A function template's arguments, or the parameters of a generic lambda.
#[derive(Clone, Copy)]
struct Frame {
    args: List,
    lambda: bool,
    outer: Option<usize>,
}

/// What a node comes down to: through template parameters and packs.
enum Resolved<'a> {
    /// This, where these template parameters count.
    Node(Id, Node<'a>, Option<usize>),
    /// `auto:1`
    Auto(usize),
    /// An empty pack.
    Nothing,
}

/// What stands behind the name that has a type.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Behind {
    something: bool,
    array: bool,
    function: bool,
}

impl<'p, 'a> Printer<'p, 'a> {
    pub(super) fn new(parser: &'p Parser<'a>) -> Self {
        Self { parser, out: String::new(), depth: 0, visits: 0, frames: Vec::new(), frame: None, element: None }
    }

    pub(super) fn node(&self, id: Id) -> Result<Node<'a>, Unsound> {
        self.parser.node(id).ok_or(Unsound)
    }

    pub(super) fn items(&self, list: List) -> Result<&'p [Id], Unsound> {
        let start = usize::try_from(list.start).map_err(|_| Unsound)?;
        let len = usize::try_from(list.len).map_err(|_| Unsound)?;
        self.parser.lists.get(start..start + len).ok_or(Unsound)
    }

    fn nested<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Unsound>) -> Result<T, Unsound> {
        self.visits += 1;
        if self.depth >= MAX_DEPTH || self.visits > MAX_VISITS || self.out.len() > MAX_DEMANGLED {
            return Err(Unsound);
        }
        let frame = self.frame;
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        self.frame = frame;
        result
    }

    /// Writes something where these template parameters count.
    fn in_frame(&mut self, args: List, lambda: bool, work: impl FnOnce(&mut Self) -> Done) -> Done {
        let outer = self.frame;
        self.frames.push(Frame { args, lambda, outer });
        self.frame = Some(self.frames.len() - 1);
        let result = work(self);
        self.frames.pop();
        self.frame = outer;
        result
    }

    pub(super) fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    pub(super) fn print(&mut self, id: Id) -> Done {
        self.left(id)?;
        self.right(id)
    }

    /// The element of a pack that is to be written; none where there is none.
    fn in_pack(&mut self, list: List) -> Result<Option<Id>, Unsound> {
        let items = self.items(list)?;
        let (at, _) = *self.element.get_or_insert((0, items.len()));
        Ok(items.get(at).copied())
    }

    fn resolved(&mut self, id: Id) -> Result<Resolved<'a>, Unsound> {
        let (mut id, mut at) = (id, self.frame);
        for _ in 0..MAX_DEPTH {
            self.visits += 1;
            match self.node(id)? {
                Node::TemplateParam(index, _) => {
                    let frame = at.and_then(|at| self.frames.get(at)).copied();
                    let Some(frame) = frame else { return Ok(Resolved::Node(id, self.node(id)?, at)) };
                    match self.items(frame.args)?.get(index) {
                        Some(arg) => (id, at) = (*arg, frame.outer),
                        None if frame.lambda => return Ok(Resolved::Auto(index)),
                        None => return Ok(Resolved::Node(id, self.node(id)?, at)),
                    }
                    match self.node(id)? {
                        Node::ArgPack(list) => match self.in_pack(list)? {
                            Some(element) => id = element,
                            None => return Ok(Resolved::Nothing),
                        },
                        // Of a lambda's own: the name that it was given.
                        Node::TemplateParamDecl(_, name) | Node::NonTypeParamDecl(_, name) => id = name,
                        _ => {}
                    }
                }
                node => return Ok(Resolved::Node(id, node, at)),
            }
        }
        Err(Unsound)
    }

    /// The arguments of the pack that a template parameter stands for; none where it is no pack.
    pub(super) fn pack(&self, id: Id) -> Result<Option<List>, Unsound> {
        let Node::TemplateParam(index, _) = self.node(id)? else { return Ok(None) };
        let Some(frame) = self.frame.and_then(|at| self.frames.get(at)) else { return Ok(None) };
        Ok(match self.items(frame.args)?.get(index).map(|arg| self.node(*arg)).transpose()? {
            Some(Node::ArgPack(list)) => Some(list),
            _ => None,
        })
    }

    /// The same where only nodes are of interest; what follows is written where its template parameters count.
    fn entered(&mut self, id: Id) -> Result<Option<Node<'a>>, Unsound> {
        Ok(match self.resolved(id)? {
            Resolved::Node(_, node, frame) => {
                self.frame = frame;
                Some(node)
            }
            Resolved::Auto(_) | Resolved::Nothing => None,
        })
    }

    fn behind(&mut self, id: Id) -> Result<Behind, Unsound> {
        self.nested(|this| {
            let Some(node) = this.entered(id)? else { return Ok(Behind::default()) };
            Ok(match node {
                Node::Function(_) => Behind { something: true, array: false, function: true },
                Node::Array(..) => Behind { something: true, array: true, function: false },
                Node::Pointer(to) | Node::Reference(to, _) => {
                    Behind { something: this.behind(to)?.something, ..Behind::default() }
                }
                Node::MemberPointer(_, to) => Behind { something: this.behind(to)?.something, ..Behind::default() },
                Node::Qualified(of, _) | Node::VendorQualified(of, ..) => this.behind(of)?,
                _ => Behind::default(),
            })
        })
    }

    fn left(&mut self, id: Id) -> Done {
        self.nested(|this| {
            let node = match this.resolved(id)? {
                Resolved::Node(_, node, frame) => {
                    this.frame = frame;
                    node
                }
                Resolved::Auto(index) => {
                    this.text("auto:");
                    this.number(index + 1);
                    return Ok(());
                }
                Resolved::Nothing => return Ok(()),
            };
            match node {
                Node::Encoding(encoding) => this.encoding(&encoding),
                Node::Qualified(of, quals) => {
                    this.left(of)?;
                    this.quals(quals);
                    Ok(())
                }
                Node::VendorQualified(of, name, args) => {
                    this.left(of)?;
                    this.text(" ");
                    this.text(name);
                    args.map_or(Ok(()), |args| this.print(args))
                }
                Node::Pointer(to) => this.declarator(to, "*"),
                Node::Reference(to, kind) => {
                    // From here on where the innermost one's template parameters count.
                    let (to, kind) = this.collapsed(to, kind)?;
                    this.declarator(to, if kind == RefQual::Rvalue { "&&" } else { "&" })
                }
                Node::MemberPointer(class, to) => {
                    this.left(to)?;
                    let behind = this.behind(to)?;
                    if behind.array || behind.function {
                        if behind.array {
                            this.text(" ");
                        }
                        this.text("(");
                    } else {
                        this.text(" ");
                    }
                    this.print(class)?;
                    this.text("::*");
                    Ok(())
                }
                Node::Array(of, _) => this.left(of),
                Node::Function(function) => {
                    this.left(function.returns)?;
                    if !this.behind(function.returns)?.something {
                        this.text(" ");
                    }
                    Ok(())
                }
                _ => this.whole(node),
            }
        })
    }

    fn declarator(&mut self, to: Id, sign: &str) -> Done {
        self.left(to)?;
        let behind = self.behind(to)?;
        if behind.array {
            self.text(" ");
        }
        if behind.array || behind.function {
            self.text("(");
        }
        self.text(sign);
        Ok(())
    }

    /// `&` of `&&` is `&`.
    fn collapsed(&mut self, to: Id, kind: RefQual) -> Result<(Id, RefQual), Unsound> {
        let (mut to, mut kind) = (to, kind);
        for _ in 0..MAX_DEPTH {
            let frame = self.frame;
            match self.entered(to)? {
                Some(Node::Reference(inner, inner_kind)) => {
                    to = inner;
                    if inner_kind == RefQual::Lvalue {
                        kind = RefQual::Lvalue;
                    }
                }
                _ => {
                    self.frame = frame;
                    return Ok((to, kind));
                }
            }
        }
        Err(Unsound)
    }

    fn right(&mut self, id: Id) -> Done {
        self.nested(|this| {
            let Some(node) = this.entered(id)? else { return Ok(()) };
            match node {
                Node::Qualified(of, _) | Node::VendorQualified(of, ..) => this.right(of),
                Node::Pointer(to) | Node::MemberPointer(_, to) => this.closed(to),
                Node::Reference(to, kind) => {
                    let (to, _) = this.collapsed(to, kind)?;
                    this.closed(to)
                }
                Node::Array(of, dimension) => {
                    if !this.out.ends_with(']') {
                        this.text(" ");
                    }
                    this.text("[");
                    if let Some(dimension) = dimension {
                        this.print(dimension)?;
                    }
                    this.text("]");
                    this.right(of)
                }
                Node::Function(function) => this.function_right(&function),
                _ => Ok(()),
            }
        })
    }

    fn closed(&mut self, to: Id) -> Done {
        let behind = self.behind(to)?;
        if behind.array || behind.function {
            self.text(")");
        }
        self.right(to)
    }

    fn quals(&mut self, quals: Quals) {
        if quals.is_const {
            self.text(" const");
        }
        if quals.is_volatile {
            self.text(" volatile");
        }
        if quals.is_restrict {
            self.text(" restrict");
        }
    }

    fn reference(&mut self, reference: RefQual) {
        self.text(match reference {
            RefQual::None => "",
            RefQual::Lvalue => " &",
            RefQual::Rvalue => " &&",
        });
    }

    fn encoding(&mut self, encoding: &Encoding) -> Done {
        match self.args_at_end(encoding.name)? {
            Some(args) => self.in_frame(args, false, |this| this.encoding_inside(encoding)),
            None => self.encoding_inside(encoding),
        }
    }

    /// The template arguments that a name ends with: those of the function itself.
    fn args_at_end(&self, name: Id) -> Result<Option<List>, Unsound> {
        let mut id = name;
        for _ in 0..MAX_DEPTH {
            id = match self.node(id)? {
                Node::Template(_, args) => match self.node(args)? {
                    Node::TemplateArgs(args) => return Ok(Some(args)),
                    _ => return Ok(None),
                },
                Node::Nested(_, name) | Node::Local(_, name) | Node::Friend(_, name) | Node::DefaultArg(_, _, name) => {
                    name
                }
                _ => return Ok(None),
            };
        }
        Err(Unsound)
    }

    /// The types of the parameters, and the qualifiers behind them.
    pub(super) fn parameters(&mut self, encoding: &Encoding) -> Result<(Vec<String>, String), Unsound> {
        let mut types = Vec::new();
        let args = self.args_at_end(encoding.name)?.unwrap_or_default();
        self.in_frame(args, false, |this| {
            for id in this.items(encoding.params)? {
                this.out.clear();
                this.print(*id)?;
                // A pack that is expanded is several.
                types.extend(split(&this.out).into_iter().filter(|ty| !ty.is_empty()).map(str::to_owned));
            }
            Ok(())
        })?;
        self.out.clear();
        self.quals(encoding.quals);
        self.reference(encoding.reference);
        Ok((types, std::mem::take(&mut self.out)))
    }

    fn encoding_inside(&mut self, encoding: &Encoding) -> Done {
        if let Some(returns) = encoding.returns {
            self.left(returns)?;
            if !self.behind(returns)?.something {
                self.text(" ");
            }
        }
        self.print(encoding.name)?;
        self.text("(");
        self.comma_separated(encoding.params)?;
        self.text(")");
        if let Some(returns) = encoding.returns {
            self.right(returns)?;
        }
        self.quals(encoding.quals);
        self.reference(encoding.reference);
        if let Some(requires) = encoding.requires {
            self.text(" requires ");
            self.print(requires)?;
        }
        Ok(())
    }

    fn function_right(&mut self, function: &FunctionType) -> Done {
        self.text("(");
        self.comma_separated(function.params)?;
        self.text(")");
        self.right(function.returns)?;
        self.quals(function.quals);
        self.reference(function.reference);
        match function.exceptions {
            Exceptions::Unsaid => {}
            Exceptions::Noexcept => self.text(" noexcept"),
            Exceptions::NoexceptIf(condition) => {
                self.text(" noexcept(");
                self.print(condition)?;
                self.text(")");
            }
            Exceptions::Throw(types) => {
                self.text(" throw(");
                self.comma_separated(types)?;
                self.text(")");
            }
        }
        Ok(())
    }

    /// Without what is empty, as packs may be.
    pub(super) fn comma_separated(&mut self, list: List) -> Done {
        let mut first = true;
        for id in self.items(list)? {
            let before = self.out.len();
            if !first {
                self.text(", ");
            }
            let after = self.out.len();
            self.print(*id)?;
            if self.out.len() == after {
                self.out.truncate(before);
            } else {
                first = false;
            }
        }
        Ok(())
    }

    pub(super) fn number(&mut self, number: usize) {
        self.out.push_str(&number.to_string());
    }

    /// What has no part behind a name.
    fn whole(&mut self, node: Node<'a>) -> Done {
        match node {
            Node::Name(text) | Node::Builtin(text) | Node::Text(text) => self.text(text),
            Node::Abbreviated(short, _) => self.text(short),
            Node::LambdaParam(text, index) => {
                self.text(text);
                self.number(index);
            }
            Node::Nested(scope, name) | Node::Local(scope, name) => {
                self.print(scope)?;
                self.text("::");
                self.print(name)?;
            }
            Node::Friend(scope, name) => {
                self.print(scope)?;
                self.text("::friend ");
                self.print(name)?;
            }
            Node::DefaultArg(function, index, entity) => {
                self.print(function)?;
                self.text("::{default arg#");
                self.number(index + 1);
                self.text("}::");
                self.print(entity)?;
            }
            Node::Template(name, args) => {
                self.print(name)?;
                self.print(args)?;
            }
            Node::TemplateArgs(args) => {
                if self.out.ends_with('<') {
                    self.text(" ");
                }
                self.text("<");
                self.comma_separated(args)?;
                if self.out.ends_with('>') {
                    self.text(" ");
                }
                self.text(">");
            }
            Node::ArgPack(list) => self.comma_separated(list)?,
            Node::Expansion(pattern) => self.expansion(pattern)?,
            Node::Constructor(scope) => self.nested(|this| this.base_name(scope))?,
            Node::Destructor(scope) => {
                self.text("~");
                self.nested(|this| this.base_name(scope))?;
            }
            Node::AbiTag(name, tag) => {
                self.print(name)?;
                self.text("[abi:");
                self.text(tag);
                self.text("]");
            }
            Node::InModule(name, module) => {
                self.print(name)?;
                self.text("@");
                self.print(module)?;
            }
            Node::ModulePart(parent, name, partition) => {
                if let Some(parent) = parent {
                    self.print(parent)?;
                }
                if partition || parent.is_some() {
                    self.text(if partition { ":" } else { "." });
                }
                self.text(name);
            }
            Node::Operator(text) => {
                self.text("operator");
                self.text(text);
            }
            Node::VendorOperator(name) => {
                self.text("operator ");
                self.text(name);
            }
            Node::LiteralOperator(name) => {
                self.text("operator\"\" ");
                self.text(name);
            }
            Node::Conversion(ty) => {
                self.text("operator ");
                self.print(ty)?;
            }
            Node::Lambda(declared, params, index) => {
                self.text("{lambda");
                if declared.len > 0 {
                    self.text("<");
                    self.comma_separated(declared)?;
                    self.text(">");
                }
                self.text("(");
                self.in_frame(declared, true, |this| this.comma_separated(params))?;
                self.text(")#");
                self.number(index + 1);
                self.text("}");
            }
            Node::TemplateParamDecl(word, name) => {
                self.text(word);
                self.print(name)?;
            }
            Node::NonTypeParamDecl(ty, name) => {
                self.left(ty)?;
                self.text(" ");
                self.print(name)?;
                self.right(ty)?;
            }
            Node::Unnamed(index) => {
                self.text("{unnamed type#");
                self.number(index + 1);
                self.text("}");
            }
            Node::Binding(names) => {
                self.text("[");
                self.comma_separated(names)?;
                self.text("]");
            }
            Node::Special(text, of) => {
                self.text(text);
                self.print(of)?;
            }
            Node::ReferenceTemporary(name, index) => {
                self.text("reference temporary #");
                self.number(index);
                self.text(" for ");
                self.print(name)?;
            }
            Node::ConstructionVtable(of, inside) => {
                self.text("construction vtable for ");
                self.print(of)?;
                self.text("-in-");
                self.print(inside)?;
            }
            _ => return self.other(node),
        }
        Ok(())
    }

    fn expansion(&mut self, pattern: Id) -> Done {
        let outer = self.element.take();
        let begin = self.out.len();
        let result = (|| {
            self.print(pattern)?;
            match self.element {
                // No template parameter pack: one of the function's parameters.
                None => {
                    self.out.truncate(begin);
                    self.operand(pattern)?;
                    self.text("...");
                }
                Some((_, 0)) => self.out.truncate(begin),
                Some((_, len)) => {
                    for at in 1..len {
                        self.text(", ");
                        self.element = Some((at, len));
                        self.print(pattern)?;
                    }
                }
            }
            Ok(())
        })();
        self.element = outer;
        result
    }

    /// The last part of a name, without template arguments: what a constructor is called.
    fn base_name(&mut self, id: Id) -> Done {
        let mut id = id;
        for _ in 0..MAX_DEPTH {
            let Resolved::Node(resolved, node, frame) = self.resolved(id)? else { return Ok(()) };
            self.frame = frame;
            id = match node {
                Node::Nested(_, name) | Node::Local(_, name) | Node::Friend(_, name) => name,
                Node::Template(name, _) | Node::AbiTag(name, _) | Node::DefaultArg(_, _, name) => name,
                Node::InModule(name, _) => name,
                Node::Abbreviated(_, class) => {
                    self.text(class);
                    return Ok(());
                }
                _ => return self.print(resolved),
            };
        }
        Err(Unsound)
    }

    fn other(&mut self, node: Node<'a>) -> Done {
        match node {
            Node::Suffixed(of, suffix) => {
                self.print(of)?;
                self.text(suffix);
            }
            Node::Vector(of, dimension) => {
                self.print(of)?;
                self.text(" __vector(");
                if let Some(dimension) = dimension {
                    self.print(dimension)?;
                }
                self.text(")");
            }
            Node::Decltype(expression) => {
                self.text("decltype (");
                self.print(expression)?;
                self.text(")");
            }
            Node::BitInt(signed, width) => {
                self.text(if signed { "_BitInt(" } else { "unsigned _BitInt(" });
                self.print(width)?;
                self.text(")");
            }
            Node::Elaborated(word, name) => {
                self.text(word);
                self.print(name)?;
            }
            Node::Constrained(concept, word) => {
                self.print(concept)?;
                self.text(word);
            }
            // Of a template that is not in the name, as constraints have them.
            Node::TemplateParam(_, text) => self.text(text),
            _ => return self.expression(node),
        }
        Ok(())
    }
}
