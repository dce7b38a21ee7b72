//! Reads types (5.1.5).

use super::super::node::{FunctionType, Id, Node, RefQual};
use super::Parser;

/// Types of one letter.
const BUILTIN: &[(u8, &str)] = &[
    (b'v', "void"),
    (b'w', "wchar_t"),
    (b'b', "bool"),
    (b'c', "char"),
    (b'a', "signed char"),
    (b'h', "unsigned char"),
    (b's', "short"),
    (b't', "unsigned short"),
    (b'i', "int"),
    (b'j', "unsigned int"),
    (b'l', "long"),
    (b'm', "unsigned long"),
    (b'x', "long long"),
    (b'y', "unsigned long long"),
    (b'n', "__int128"),
    (b'o', "unsigned __int128"),
    (b'f', "float"),
    (b'd', "double"),
    (b'e', "long double"),
    (b'g', "__float128"),
    (b'z', "..."),
];

/// Types of two letters, the first of which is `D`.
const BUILTIN_D: &[(u8, &str)] = &[
    (b'd', "decimal64"),
    (b'e', "decimal128"),
    (b'f', "decimal32"),
    (b'h', "half"),
    (b'i', "char32_t"),
    (b's', "char16_t"),
    (b'u', "char8_t"),
    (b'a', "auto"),
    (b'c', "decltype(auto)"),
    (b'n', "decltype(nullptr)"),
];

impl<'a> Parser<'a> {
    pub(super) fn ty(&mut self) -> Option<Id> {
        self.nested(Self::ty_inside)
    }

    fn ty_inside(&mut self) -> Option<Id> {
        let first = self.peek();
        if let Some((_, text)) = BUILTIN.iter().find(|(letter, _)| *letter == first) {
            self.at += 1;
            return self.make(Node::Builtin(text));
        }
        let ty = match first {
            b'r' | b'V' | b'K' => {
                let quals = self.rest().bytes().take_while(|b| matches!(b, b'r' | b'V' | b'K')).count();
                let behind = (self.peek_at(quals), self.peek_at(quals + 1));
                if matches!(behind, (b'F', _) | (b'D', b'o' | b'O' | b'w' | b'x')) {
                    self.function_type()?
                } else {
                    self.qualified_type()?
                }
            }
            b'U' => self.qualified_type()?,
            b'u' => {
                self.at += 1;
                let name = self.identifier()?;
                let name = self.make(Node::Builtin(name))?;
                if self.peek() == b'I' {
                    let args = self.template_args()?;
                    self.make(Node::Template(name, args))?
                } else {
                    name
                }
            }
            b'D' => match self.type_in_d()? {
                (ty, true) => ty,
                (ty, false) => return Some(ty),
            },
            b'F' => self.function_type()?,
            b'A' => self.array_type()?,
            b'M' => {
                self.at += 1;
                let class = self.ty()?;
                let member = self.ty()?;
                self.make(Node::MemberPointer(class, member))?
            }
            b'T' => {
                let elaborated = match self.peek_at(1) {
                    b's' => Some("struct "),
                    b'u' => Some("union "),
                    b'e' => Some("enum "),
                    _ => None,
                };
                if let Some(word) = elaborated {
                    self.at += 2;
                    let name = self.name(None)?;
                    self.make(Node::Elaborated(word, name))?
                } else {
                    let param = self.template_param()?;
                    if self.may_have_args && self.peek() == b'I' {
                        self.subs.push(param);
                        let args = self.template_args()?;
                        self.make(Node::Template(param, args))?
                    } else {
                        param
                    }
                }
            }
            b'P' => {
                self.at += 1;
                let to = self.ty()?;
                self.make(Node::Pointer(to))?
            }
            b'R' | b'O' => {
                self.at += 1;
                let to = self.ty()?;
                self.make(Node::Reference(to, if first == b'R' { RefQual::Lvalue } else { RefQual::Rvalue }))?
            }
            b'C' | b'G' => {
                self.at += 1;
                let of = self.ty()?;
                self.make(Node::Suffixed(of, if first == b'C' { " _Complex" } else { " _Imaginary" }))?
            }
            b'S' if self.peek_at(1) != b't' => {
                let substitution = self.substitution()?;
                if matches!(self.node(substitution), Some(Node::ModulePart(..))) {
                    let name = self.unqualified_name(None, None, Some(substitution))?;
                    self.args_of(name)?
                } else if self.may_have_args && self.peek() == b'I' {
                    let args = self.template_args()?;
                    self.make(Node::Template(substitution, args))?
                } else {
                    return Some(substitution);
                }
            }
            _ => self.name(None)?,
        };
        self.subs.push(ty);
        Some(ty)
    }

    fn args_of(&mut self, name: Id) -> Option<Id> {
        if self.peek() != b'I' {
            return Some(name);
        }
        self.subs.push(name);
        let args = self.template_args()?;
        self.make(Node::Template(name, args))
    }

    /// What begins with `D`, and whether it may be substituted.
    fn type_in_d(&mut self) -> Option<(Id, bool)> {
        let second = self.peek_at(1);
        if let Some((_, text)) = BUILTIN_D.iter().find(|(letter, _)| *letter == second) {
            self.at += 2;
            return Some((self.make(Node::Builtin(text))?, false));
        }
        match second {
            b'F' => {
                self.at += 2;
                if self.eat("16b") {
                    return Some((self.make(Node::Builtin("std::bfloat16_t"))?, false));
                }
                let text = match (self.count()?, self.peek()) {
                    (16, _) => "_Float16",
                    (32, b'x') => "_Float32x",
                    (32, _) => "_Float32",
                    (64, b'x') => "_Float64x",
                    (64, _) => "_Float64",
                    (128, b'x') => "_Float128x",
                    (128, _) => "_Float128",
                    _ => return None,
                };
                if !self.eat("_") {
                    self.expect("x")?;
                }
                Some((self.make(Node::Builtin(text))?, false))
            }
            b'B' | b'U' => {
                self.at += 2;
                let width = if self.peek().is_ascii_digit() {
                    let digits = self.digits()?;
                    self.make(Node::Text(digits))?
                } else {
                    self.expression()?
                };
                self.expect("_")?;
                Some((self.make(Node::BitInt(second == b'B', width))?, false))
            }
            b'k' | b'K' => {
                self.at += 2;
                let concept = self.name(None)?;
                Some((
                    self.make(Node::Constrained(concept, if second == b'k' { " auto" } else { " decltype(auto)" }))?,
                    true,
                ))
            }
            b't' | b'T' => Some((self.decltype()?, true)),
            b'v' => {
                self.at += 2;
                let dimension = self.dimension()?;
                if self.eat("p") {
                    return Some((self.make(Node::Builtin("__vector __pixel"))?, true));
                }
                let of = self.ty()?;
                Some((self.make(Node::Vector(of, dimension))?, true))
            }
            b'p' => {
                self.at += 2;
                let pattern = self.ty()?;
                Some((self.make(Node::Expansion(pattern))?, true))
            }
            b'o' | b'O' | b'w' | b'x' => Some((self.function_type()?, true)),
            _ => None,
        }
    }

    fn qualified_type(&mut self) -> Option<Id> {
        if self.eat("U") {
            let name = self.identifier()?;
            let args = if self.peek() == b'I' { Some(self.template_args()?) } else { None };
            let of = self.nested(Self::qualified_type)?;
            return self.make(Node::VendorQualified(of, name, args));
        }
        let quals = self.quals();
        let of = self.ty()?;
        if quals.is_empty() { Some(of) } else { self.make(Node::Qualified(of, quals)) }
    }

    fn function_type(&mut self) -> Option<Id> {
        let quals = self.quals();
        let exceptions = self.exceptions()?;
        self.eat("Dx");
        self.expect("F")?;
        // `extern "C"`
        self.eat("Y");
        let returns = self.ty()?;
        let mut params = Vec::new();
        let mut reference = RefQual::None;
        loop {
            if self.eat("E") {
                break;
            }
            if self.eat("v") {
                continue;
            }
            if self.eat("RE") {
                reference = RefQual::Lvalue;
                break;
            }
            if self.eat("OE") {
                reference = RefQual::Rvalue;
                break;
            }
            params.push(self.ty()?);
        }
        let params = self.list(&params)?;
        self.make(Node::Function(FunctionType { returns, params, quals, reference, exceptions }))
    }

    fn array_type(&mut self) -> Option<Id> {
        self.expect("A")?;
        let dimension = self.dimension()?;
        let of = self.ty()?;
        self.make(Node::Array(of, dimension))
    }

    /// How many elements an array or a vector has, and the `_` behind it: a number, an expression, or nothing.
    fn dimension(&mut self) -> Option<Option<Id>> {
        let dimension = if self.peek().is_ascii_digit() {
            let digits = self.digits()?;
            Some(self.make(Node::Text(digits))?)
        } else if self.peek() == b'_' {
            None
        } else {
            Some(self.expression()?)
        };
        self.expect("_")?;
        Some(dimension)
    }

    pub(super) fn decltype(&mut self) -> Option<Id> {
        self.eat("Dt").then_some(()).or_else(|| self.expect("DT"))?;
        let expression = self.expression()?;
        self.expect("E")?;
        self.make(Node::Decltype(expression))
    }
}
