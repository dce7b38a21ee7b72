//! Reads expressions (5.1.6): values among template arguments, `decltype`, `noexcept`, constraints.

use super::super::node::{Id, List, Node};
use super::Parser;

/// How the operands of an operator follow it.
#[derive(Clone, Copy)]
enum Shape {
    Binary,
    Prefix,
    /// With `_` behind it in front of its operand, else behind.
    Step,
    /// `sizeof (T)`, `typeid (x)`: of an expression.
    OfValue,
    OfType,
    NamedCast,
}

/// Operators of expressions. Where the same code names a function too, the text is the same.
const OPERATORS: &[(&str, Shape, &str)] = &[
    ("aN", Shape::Binary, "&="),
    ("aS", Shape::Binary, "="),
    ("aa", Shape::Binary, "&&"),
    ("ad", Shape::Prefix, "&"),
    ("an", Shape::Binary, "&"),
    ("at", Shape::OfType, "alignof "),
    ("aw", Shape::Prefix, "co_await "),
    ("az", Shape::OfValue, "alignof "),
    ("cc", Shape::NamedCast, "const_cast"),
    ("cm", Shape::Binary, ","),
    ("co", Shape::Prefix, "~"),
    ("dV", Shape::Binary, "/="),
    ("da", Shape::Prefix, "delete[] "),
    ("dc", Shape::NamedCast, "dynamic_cast"),
    ("de", Shape::Prefix, "*"),
    ("dl", Shape::Prefix, "delete "),
    ("ds", Shape::Binary, ".*"),
    ("dt", Shape::Binary, "."),
    ("dv", Shape::Binary, "/"),
    ("eO", Shape::Binary, "^="),
    ("eo", Shape::Binary, "^"),
    ("eq", Shape::Binary, "=="),
    ("ge", Shape::Binary, ">="),
    ("gt", Shape::Binary, ">"),
    ("lS", Shape::Binary, "<<="),
    ("le", Shape::Binary, "<="),
    ("ls", Shape::Binary, "<<"),
    ("lt", Shape::Binary, "<"),
    ("mI", Shape::Binary, "-="),
    ("mL", Shape::Binary, "*="),
    ("mi", Shape::Binary, "-"),
    ("ml", Shape::Binary, "*"),
    ("mm", Shape::Step, "--"),
    ("ne", Shape::Binary, "!="),
    ("ng", Shape::Prefix, "-"),
    ("nt", Shape::Prefix, "!"),
    ("oR", Shape::Binary, "|="),
    ("oo", Shape::Binary, "||"),
    ("or", Shape::Binary, "|"),
    ("pL", Shape::Binary, "+="),
    ("pl", Shape::Binary, "+"),
    ("pm", Shape::Binary, "->*"),
    ("pp", Shape::Step, "++"),
    ("ps", Shape::Prefix, "+"),
    ("pt", Shape::Binary, "->"),
    ("rM", Shape::Binary, "%="),
    ("rS", Shape::Binary, ">>="),
    ("rc", Shape::NamedCast, "reinterpret_cast"),
    ("rm", Shape::Binary, "%"),
    ("rs", Shape::Binary, ">>"),
    ("sc", Shape::NamedCast, "static_cast"),
    ("ss", Shape::Binary, "<=>"),
    ("st", Shape::OfType, "sizeof "),
    ("sz", Shape::OfValue, "sizeof "),
    ("te", Shape::OfValue, "typeid "),
    ("ti", Shape::OfType, "typeid "),
];

impl<'a> Parser<'a> {
    pub(super) fn expression(&mut self) -> Option<Id> {
        self.nested(|this| {
            let global = this.eat("gs");
            let operator = OPERATORS.iter().find(|(code, ..)| this.rest().starts_with(code)).copied();
            if let Some((code, shape, text)) = operator {
                this.at += code.len();
                let expression = this.operation(shape, text)?;
                return if global { this.make(Node::Global(expression)) } else { Some(expression) };
            }
            match (this.peek(), this.peek_at(1)) {
                (b'L', _) => this.literal(),
                (b'T', _) => this.template_param(),
                (b'f', b'p') => this.function_param(),
                (b'f', b'L') if this.peek_at(2).is_ascii_digit() => this.function_param(),
                (b'f', b'l' | b'r' | b'L' | b'R') => this.fold(),
                (b'n', b'w' | b'a') => {
                    let word = if this.peek_at(1) == b'w' { "new" } else { "new[]" };
                    let new = this.new_expression(word)?;
                    if global { this.make(Node::Global(new)) } else { Some(new) }
                }
                (b's', b'r') => this.unresolved(global),
                (b'r', b'q' | b'Q') => this.requires(),
                _ => this.other_expression(global),
            }
        })
    }

    fn operation(&mut self, shape: Shape, text: &'static str) -> Option<Id> {
        match shape {
            Shape::Binary => {
                let left = self.expression()?;
                let right = self.expression()?;
                self.make(Node::Binary(text, left, right))
            }
            Shape::Prefix => {
                let operand = self.expression()?;
                self.make(Node::Prefix(text, operand))
            }
            Shape::Step => {
                let prefix = self.eat("_");
                let operand = self.expression()?;
                self.make(if prefix { Node::Prefix(text, operand) } else { Node::Postfix(operand, text) })
            }
            Shape::OfValue => {
                let operand = self.expression()?;
                self.make(Node::Prefix(text, operand))
            }
            Shape::OfType => {
                let ty = self.ty()?;
                self.make(Node::Enclosed(text, ty))
            }
            Shape::NamedCast => {
                let ty = self.ty()?;
                let operand = self.expression()?;
                self.make(Node::NamedCast(text, ty, operand))
            }
        }
    }

    /// Expressions up to `E`.
    fn expressions(&mut self) -> Option<List> {
        let mut items = Vec::new();
        while !self.eat("E") {
            items.push(self.expression()?);
        }
        self.list(&items)
    }

    fn other_expression(&mut self, global: bool) -> Option<Id> {
        if self.eat("cl") || self.eat("cp") {
            let function = self.expression()?;
            let args = self.expressions()?;
            return self.make(Node::Call(function, args));
        }
        if self.eat("cv") {
            let may_have_args = std::mem::replace(&mut self.may_have_args, false);
            let ty = self.ty();
            self.may_have_args = may_have_args;
            let ty = ty?;
            if self.eat("_") {
                let args = self.expressions()?;
                return self.make(Node::CastList(ty, args));
            }
            let operand = self.expression()?;
            return self.make(Node::Cast(ty, operand));
        }
        if self.eat("ix") {
            let left = self.expression()?;
            let right = self.expression()?;
            return self.make(Node::Subscript(left, right));
        }
        if self.eat("qu") {
            let condition = self.expression()?;
            let then = self.expression()?;
            let otherwise = self.expression()?;
            return self.make(Node::Conditional(condition, then, otherwise));
        }
        if self.eat("il") {
            let items = self.braced_items()?;
            return self.make(Node::Braced(None, items));
        }
        if self.eat("tl") {
            let ty = self.ty()?;
            let items = self.braced_items()?;
            return self.make(Node::Braced(Some(ty), items));
        }
        if self.eat("nx") {
            let operand = self.expression()?;
            return self.make(Node::Enclosed("noexcept ", operand));
        }
        if self.eat("sp") {
            let pattern = self.expression()?;
            return self.make(Node::Expansion(pattern));
        }
        if self.eat("sZ") {
            let pack = self.expression()?;
            return self.make(Node::PackLength(pack));
        }
        if self.eat("sP") {
            let mut args = Vec::new();
            while !self.eat("E") {
                args.push(self.template_arg()?);
            }
            let args = self.list(&args)?;
            return self.make(Node::ArgsLength(args));
        }
        if self.eat("tw") {
            let operand = self.expression()?;
            return self.make(Node::Prefix("throw ", operand));
        }
        if self.eat("tr") {
            return self.make(Node::Text("throw"));
        }
        if self.eat("so") {
            return self.subobject();
        }
        if self.eat("u") {
            let name = self.identifier()?;
            let name = self.make(Node::Name(name))?;
            let mut args = Vec::new();
            while !self.eat("E") {
                args.push(self.template_arg()?);
            }
            let args = self.list(&args)?;
            return self.make(Node::Call(name, args));
        }
        self.unresolved(global)
    }

    /// `so TYPE EXPRESSION [offset] {_ union selector} [p] E`: an object inside of another one.
    fn subobject(&mut self) -> Option<Id> {
        let ty = self.ty()?;
        let object = self.expression()?;
        self.eat("n");
        self.digits();
        while self.eat("_") {
            self.digits();
        }
        self.eat("p");
        self.expect("E")?;
        let list = self.list(&[object])?;
        self.make(Node::CastList(ty, list))
    }

    fn braced_items(&mut self) -> Option<List> {
        let mut items = Vec::new();
        while !self.eat("E") {
            items.push(self.braced()?);
        }
        self.list(&items)
    }

    fn braced(&mut self) -> Option<Id> {
        self.nested(|this| {
            if this.eat("di") {
                let field = this.identifier()?;
                let field = this.make(Node::Name(field))?;
                let value = this.braced()?;
                return this.make(Node::Designated(field, None, value));
            }
            if this.eat("dx") {
                let index = this.expression()?;
                let value = this.braced()?;
                return this.make(Node::Designated(index, Some(index), value));
            }
            if this.eat("dX") {
                let first = this.expression()?;
                let last = this.expression()?;
                let value = this.braced()?;
                return this.make(Node::Designated(first, Some(last), value));
            }
            this.expression()
        })
    }

    fn new_expression(&mut self, word: &'static str) -> Option<Id> {
        self.at += 2;
        let mut placement = Vec::new();
        while !self.eat("_") {
            placement.push(self.expression()?);
        }
        let placement = self.list(&placement)?;
        let ty = self.ty()?;
        let init = if self.eat("pi") {
            Some(self.expressions()?)
        } else {
            self.expect("E")?;
            None
        };
        self.make(Node::New { word, placement, ty, init })
    }

    fn function_param(&mut self) -> Option<Id> {
        if self.eat("fpT") {
            return self.make(Node::FunctionParam(None));
        }
        if self.eat("fL") {
            self.digits()?;
            self.expect("p")?;
        } else {
            self.expect("fp")?;
        }
        self.quals();
        let index = self.index()?;
        self.make(Node::FunctionParam(Some(index)))
    }

    fn fold(&mut self) -> Option<Id> {
        let kind = self.peek_at(1);
        self.at += 2;
        let (code, _, text) = OPERATORS.iter().find(|(code, ..)| self.rest().starts_with(code))?;
        self.at += code.len();
        let first = self.expression()?;
        let second = if matches!(kind, b'L' | b'R') { Some(self.expression()?) } else { None };
        self.make(Node::Fold(text, matches!(kind, b'l' | b'L'), first, second))
    }

    pub(super) fn literal(&mut self) -> Option<Id> {
        self.expect("L")?;
        if self.eat("_Z") || self.eat("Z") {
            let encoding = self.encoding(true)?;
            self.expect("E")?;
            return Some(encoding);
        }
        if self.peek() == b'U' && self.peek_at(1) == b'l' {
            let lambda = self.name(None)?;
            self.expect("E")?;
            return Some(lambda);
        }
        let ty = self.ty()?;
        let rest = self.rest();
        let len = rest.bytes().take_while(|b| b.is_ascii_digit() || b.is_ascii_lowercase() || *b == b'_').count();
        let value = rest.get(..len)?;
        self.at += len;
        self.expect("E")?;
        self.make(Node::Literal(ty, value))
    }

    /// A name that depends on template parameters.
    fn unresolved(&mut self, global: bool) -> Option<Id> {
        if self.eat("srN") {
            let mut so_far = self.unresolved_type()?;
            so_far = self.with_args(so_far)?;
            while !self.eat("E") {
                let level = self.simple_id()?;
                so_far = self.make(Node::Nested(so_far, level))?;
            }
            let base = self.base_unresolved()?;
            return self.make(Node::Nested(so_far, base));
        }
        if !self.eat("sr") {
            let base = self.base_unresolved()?;
            return if global { self.make(Node::Global(base)) } else { Some(base) };
        }
        let scope = if self.peek().is_ascii_digit() {
            match self.levels() {
                Some(scope) if global => self.make(Node::Global(scope))?,
                Some(scope) => scope,
                // As GCC before 4.5 writes it: one name, and no `E`.
                None => self.ty()?,
            }
        } else {
            self.ty()?
        };
        let base = self.base_unresolved()?;
        self.make(Node::Nested(scope, base))
    }

    /// Names up to `E`. Where there is no `E`, nothing is read.
    fn levels(&mut self) -> Option<Id> {
        let begin = (self.at, self.subs.len());
        let levels = (|| {
            let mut so_far = self.simple_id()?;
            while !self.eat("E") {
                let level = self.simple_id()?;
                so_far = self.make(Node::Nested(so_far, level))?;
            }
            Some(so_far)
        })();
        if levels.is_none() {
            self.at = begin.0;
            self.subs.truncate(begin.1);
        }
        levels
    }

    fn unresolved_type(&mut self) -> Option<Id> {
        match self.peek() {
            b'T' => {
                let param = self.template_param()?;
                self.subs.push(param);
                Some(param)
            }
            b'D' => {
                let decltype = self.decltype()?;
                self.subs.push(decltype);
                Some(decltype)
            }
            b'S' if self.peek_at(1) != b't' => self.substitution(),
            _ => {
                let name = self.unscoped_name(None)?;
                self.subs.push(name);
                Some(name)
            }
        }
    }

    fn with_args(&mut self, name: Id) -> Option<Id> {
        if self.peek() != b'I' {
            return Some(name);
        }
        let args = self.template_args()?;
        self.make(Node::Template(name, args))
    }

    fn simple_id(&mut self) -> Option<Id> {
        let name = self.identifier()?;
        let name = self.make(Node::Name(name))?;
        self.with_args(name)
    }

    fn base_unresolved(&mut self) -> Option<Id> {
        if self.peek().is_ascii_digit() {
            return self.simple_id();
        }
        if self.eat("dn") {
            let of = if self.peek().is_ascii_digit() { self.simple_id()? } else { self.unresolved_type()? };
            return self.make(Node::Destructor(of));
        }
        self.eat("on");
        let operator = self.operator_name(None)?;
        self.with_args(operator)
    }

    /// `rq {requirement} E`, `rQ [parameters] _ {requirement} E`.
    fn requires(&mut self) -> Option<Id> {
        let with_params = self.eat("rQ");
        if !with_params {
            self.expect("rq")?;
        }
        let mut params = Vec::new();
        if with_params {
            while !self.eat("_") {
                params.push(self.ty()?);
            }
        }
        let mut requirements = Vec::new();
        loop {
            let requirement = match self.peek() {
                b'X' => {
                    self.at += 1;
                    let expression = self.expression()?;
                    let noexcept = self.eat("N");
                    let constraint = if self.eat("R") { Some(self.name(None)?) } else { None };
                    Node::Requirement(expression, noexcept, constraint)
                }
                b'T' => {
                    self.at += 1;
                    let ty = self.ty()?;
                    Node::Prefix("typename ", ty)
                }
                b'Q' => {
                    self.at += 1;
                    let constraint = self.expression()?;
                    Node::Prefix("requires ", constraint)
                }
                _ => break,
            };
            requirements.push(self.make(requirement)?);
        }
        self.expect("E")?;
        let (params, requirements) = (self.list(&params)?, self.list(&requirements)?);
        self.make(Node::Requires(params, requirements))
    }
}
