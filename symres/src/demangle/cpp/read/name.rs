//! Reads names (5.1.3 to 5.1.7), and substitutions.

use super::super::node::{Id, Node, RefQual};
use super::{NameState, Parser};

/// How operators are mangled when they are functions, and how an expression has them.
pub(super) struct Operator {
    pub(super) code: &'static str,
    /// Behind the word `operator`.
    pub(super) text: &'static str,
}

/// Operators that may be functions. Those of more letters than two have a blank in front.
pub(super) const OPERATORS: &[Operator] = &[
    Operator { code: "aN", text: "&=" },
    Operator { code: "aS", text: "=" },
    Operator { code: "aa", text: "&&" },
    Operator { code: "ad", text: "&" },
    Operator { code: "an", text: "&" },
    Operator { code: "aw", text: " co_await" },
    Operator { code: "cl", text: "()" },
    Operator { code: "cm", text: "," },
    Operator { code: "co", text: "~" },
    Operator { code: "dV", text: "/=" },
    Operator { code: "da", text: " delete[]" },
    Operator { code: "de", text: "*" },
    Operator { code: "dl", text: " delete" },
    Operator { code: "dv", text: "/" },
    Operator { code: "eO", text: "^=" },
    Operator { code: "eo", text: "^" },
    Operator { code: "eq", text: "==" },
    Operator { code: "ge", text: ">=" },
    Operator { code: "gt", text: ">" },
    Operator { code: "ix", text: "[]" },
    Operator { code: "lS", text: "<<=" },
    Operator { code: "le", text: "<=" },
    Operator { code: "ls", text: "<<" },
    Operator { code: "lt", text: "<" },
    Operator { code: "mI", text: "-=" },
    Operator { code: "mL", text: "*=" },
    Operator { code: "mi", text: "-" },
    Operator { code: "ml", text: "*" },
    Operator { code: "mm", text: "--" },
    Operator { code: "na", text: " new[]" },
    Operator { code: "ne", text: "!=" },
    Operator { code: "ng", text: "-" },
    Operator { code: "nt", text: "!" },
    Operator { code: "nw", text: " new" },
    Operator { code: "oR", text: "|=" },
    Operator { code: "oo", text: "||" },
    Operator { code: "or", text: "|" },
    Operator { code: "pL", text: "+=" },
    Operator { code: "pl", text: "+" },
    Operator { code: "pm", text: "->*" },
    Operator { code: "pp", text: "++" },
    Operator { code: "ps", text: "+" },
    Operator { code: "pt", text: "->" },
    Operator { code: "qu", text: "?" },
    Operator { code: "rM", text: "%=" },
    Operator { code: "rS", text: ">>=" },
    Operator { code: "rm", text: "%" },
    Operator { code: "rs", text: ">>" },
    Operator { code: "ss", text: "<=>" },
];

impl<'a> Parser<'a> {
    pub(super) fn name(&mut self, mut state: Option<&mut NameState>) -> Option<Id> {
        self.nested(|this| {
            match this.peek() {
                b'N' => return this.nested_name(state),
                b'Z' => return this.local_name(state),
                _ => {}
            }
            let (name, substituted) = if this.peek() == b'S' && this.peek_at(1) != b't' {
                this.substitution_or_module(state.as_deref_mut())?
            } else {
                (this.unscoped_name(state.as_deref_mut())?, false)
            };
            if this.peek() == b'I' {
                if !substituted {
                    this.subs.push(name);
                }
                let args = this.template_args()?;
                if let Some(state) = state {
                    state.ends_with_args = true;
                }
                return this.make(Node::Template(name, args));
            }
            // A substitution alone stands for a type or a template, not a whole name.
            (!substituted).then_some(name)
        })
    }

    /// What begins with `S` and is not in `std`; whether it was a substitution.
    fn substitution_or_module(&mut self, state: Option<&mut NameState>) -> Option<(Id, bool)> {
        let id = self.substitution()?;
        if matches!(self.node(id), Some(Node::ModulePart(..))) {
            let name = self.unqualified_name(state, None, Some(id))?;
            return Some((name, false));
        }
        Some((id, true))
    }

    pub(super) fn unscoped_name(&mut self, state: Option<&mut NameState>) -> Option<Id> {
        if self.eat("St") {
            let std = self.make(Node::Name("std"))?;
            return self.unqualified_name(state, Some(std), None);
        }
        self.unqualified_name(state, None, None)
    }

    pub(super) fn module(&mut self) -> Option<Id> {
        let found = self.module_after(None)?;
        found.filter(|id| matches!(self.node(*id), Some(Node::ModulePart(..))))
    }

    /// `W name`, `WP name`, any number of them, behind a module that a substitution gave.
    fn module_after(&mut self, mut module: Option<Id>) -> Option<Option<Id>> {
        while self.eat("W") {
            let partition = self.eat("P");
            let name = self.identifier()?;
            let part = self.make(Node::ModulePart(module, name, partition))?;
            self.subs.push(part);
            module = Some(part);
        }
        Some(module)
    }

    pub(super) fn unqualified_name(
        &mut self,
        state: Option<&mut NameState>,
        scope: Option<Id>,
        module: Option<Id>,
    ) -> Option<Id> {
        let module = self.module_after(module)?;
        let friend = scope.is_some() && self.eat("F");
        self.eat("L");
        let name = match self.peek() {
            b'0'..=b'9' => {
                let name = self.identifier()?;
                let anonymous = name
                    .strip_prefix("_GLOBAL_")
                    .is_some_and(|n| n.starts_with(['.', '_', '$']) && n.get(1..).is_some_and(|n| n.starts_with('N')));
                self.make(Node::Name(if anonymous { "(anonymous namespace)" } else { name }))?
            }
            b'D' if self.peek_at(1) == b'C' => {
                self.at += 2;
                let mut names = Vec::new();
                while !self.eat("E") {
                    let name = self.identifier()?;
                    names.push(self.make(Node::Name(name))?);
                }
                let names = self.list(&names)?;
                self.make(Node::Binding(names))?
            }
            b'C' | b'D' => self.constructor(state, scope?)?,
            b'U' => self.unnamed_type()?,
            _ => self.operator_name(state)?,
        };
        let name = match module {
            Some(module) => self.make(Node::InModule(name, module))?,
            None => name,
        };
        let name = self.abi_tags(name)?;
        match scope {
            Some(scope) if friend => self.make(Node::Friend(scope, name)),
            Some(scope) => self.make(Node::Nested(scope, name)),
            None => Some(name),
        }
    }

    fn abi_tags(&mut self, mut name: Id) -> Option<Id> {
        while self.eat("B") {
            let tag = self.identifier()?;
            name = self.make(Node::AbiTag(name, tag))?;
        }
        Some(name)
    }

    fn constructor(&mut self, state: Option<&mut NameState>, scope: Id) -> Option<Id> {
        if let Some(state) = state {
            state.returns_nothing = true;
        }
        if self.eat("C") {
            let inherited = self.eat("I");
            matches!(self.peek(), b'1'..=b'5').then_some(())?;
            self.at += 1;
            if inherited {
                self.ty()?;
            }
            return self.make(Node::Constructor(scope));
        }
        self.expect("D")?;
        matches!(self.peek(), b'0' | b'1' | b'2' | b'4' | b'5').then_some(())?;
        self.at += 1;
        self.make(Node::Destructor(scope))
    }

    pub(super) fn operator_name(&mut self, state: Option<&mut NameState>) -> Option<Id> {
        if self.eat("cv") {
            // Arguments behind it are those of the conversion.
            let may_have_args = std::mem::replace(&mut self.may_have_args, false);
            let ty = self.ty();
            self.may_have_args = may_have_args;
            if let Some(state) = state {
                state.returns_nothing = true;
            }
            return self.make(Node::Conversion(ty?));
        }
        if self.eat("li") {
            let name = self.identifier()?;
            return self.make(Node::LiteralOperator(name));
        }
        if self.peek() == b'v' && self.peek_at(1).is_ascii_digit() {
            self.at += 2;
            let name = self.identifier()?;
            return self.make(Node::VendorOperator(name));
        }
        let operator = OPERATORS.iter().find(|operator| self.rest().starts_with(operator.code))?;
        self.at += operator.code.len();
        self.make(Node::Operator(operator.text))
    }

    fn nested_name(&mut self, mut state: Option<&mut NameState>) -> Option<Id> {
        self.expect("N")?;
        // An explicit object parameter: there is no `this`.
        self.eat("H");
        let quals = self.quals();
        let reference = if self.eat("O") {
            RefQual::Rvalue
        } else if self.eat("R") {
            RefQual::Lvalue
        } else {
            RefQual::None
        };
        if let Some(state) = state.as_deref_mut() {
            (state.quals, state.reference) = (quals, reference);
        }
        let mut so_far: Option<Id> = None;
        while !self.eat("E") {
            if let Some(state) = state.as_deref_mut() {
                state.ends_with_args = false;
            }
            let next = match (self.peek(), self.peek_at(1)) {
                (b'T', _) if so_far.is_none() => self.template_param()?,
                (b'I', _) => {
                    let name = so_far?;
                    if matches!(self.node(name), Some(Node::Template(..))) {
                        return None;
                    }
                    let args = self.template_args()?;
                    if let Some(state) = state.as_deref_mut() {
                        state.ends_with_args = true;
                    }
                    self.make(Node::Template(name, args))?
                }
                (b'D', b't' | b'T') if so_far.is_none() => self.decltype()?,
                (b'S', second) if so_far.is_none() => {
                    if second == b't' {
                        self.at += 2;
                        so_far = Some(self.make(Node::Name("std"))?);
                        continue;
                    }
                    let substitution = self.substitution()?;
                    if !matches!(self.node(substitution), Some(Node::ModulePart(..))) {
                        so_far = Some(substitution);
                        continue;
                    }
                    self.unqualified_name(state.as_deref_mut(), None, Some(substitution))?
                }
                // A module inside of a namespace.
                (b'S', b'0'..=b'9' | b'A'..=b'Z' | b'_') => {
                    let module = self.substitution()?;
                    matches!(self.node(module), Some(Node::ModulePart(..))).then_some(())?;
                    self.unqualified_name(state.as_deref_mut(), so_far, Some(module))?
                }
                _ => self.unqualified_name(state.as_deref_mut(), so_far, None)?,
            };
            self.subs.push(next);
            so_far = Some(next);
            // A lambda in the initializer of a member.
            self.eat("M");
        }
        // The whole name is pushed by whoever uses it as a type.
        if so_far.is_some() && so_far == self.subs.last().copied() {
            self.subs.pop();
        }
        so_far
    }

    fn local_name(&mut self, state: Option<&mut NameState>) -> Option<Id> {
        self.expect("Z")?;
        let function = self.encoding(false)?;
        self.expect("E")?;
        if self.eat("s") {
            self.discriminator();
            let text = self.make(Node::Name("string literal"))?;
            return self.make(Node::Local(function, text));
        }
        if self.eat("d") {
            let index = self.index()?;
            let entity = self.name(state)?;
            return self.make(Node::DefaultArg(function, index, entity));
        }
        let entity = self.name(state)?;
        self.discriminator();
        self.make(Node::Local(function, entity))
    }

    /// Tells apart what has the same name in one function; it is not shown.
    fn discriminator(&mut self) {
        let begin = self.at;
        if self.eat("__") {
            if self.digits().is_none() || !self.eat("_") {
                self.at = begin;
            }
        } else if self.eat("_") {
            if self.peek().is_ascii_digit() {
                self.at += 1;
            } else {
                self.at = begin;
            }
        } else if self.peek().is_ascii_digit() && self.rest().bytes().all(|b| b.is_ascii_digit()) {
            self.at = self.text.len();
        }
    }

    pub(super) fn substitution(&mut self) -> Option<Id> {
        self.expect("S")?;
        let (short, class) = match self.peek() {
            b'a' => ("std::allocator", "allocator"),
            b'b' => ("std::basic_string", "basic_string"),
            b's' => ("std::string", "basic_string"),
            b'i' => ("std::istream", "basic_istream"),
            b'o' => ("std::ostream", "basic_ostream"),
            b'd' => ("std::iostream", "basic_iostream"),
            _ => {
                let index = self.sequence()?;
                return self.subs.get(index).copied();
            }
        };
        self.at += 1;
        let name = self.make(Node::Abbreviated(short, class))?;
        let tagged = self.abi_tags(name)?;
        if tagged != name {
            self.subs.push(tagged);
        }
        Some(tagged)
    }
}
