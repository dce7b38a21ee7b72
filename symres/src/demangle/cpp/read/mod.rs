//! Reads a mangled name (Itanium C++ ABI, 5.1): the tools, and encodings.

mod expr;
mod name;
mod template;
mod types;

use super::node::{Encoding, Exceptions, Id, List, Node, Quals, RefQual};

/// Names nest some ten levels deep.
const MAX_DEPTH: usize = 160;
/// Parts of one name; those of the longest real ones are some thousands.
const MAX_NODES: usize = 1 << 16;

/// What reading a name found out about it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NameState {
    /// A constructor, a destructor or a conversion: its encoding has no return type.
    pub(super) returns_nothing: bool,
    pub(super) ends_with_args: bool,
    pub(super) quals: Quals,
    pub(super) reference: RefQual,
}

/// Reads one name. Every function gives none where the name is unsound.
pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) lists: Vec<Id>,
    /// What `S_`, `S0_`, … stand for.
    pub(super) subs: Vec<Id>,
    /// A template parameter may be followed by template arguments of its own.
    pub(super) may_have_args: bool,
    /// Template parameters of the lambdas so far, by kind.
    pub(super) invented: [usize; 3],
    depth: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            nodes: Vec::new(),
            lists: Vec::new(),
            subs: Vec::new(),
            may_have_args: true,
            invented: [0; 3],
            depth: 0,
        }
    }

    /// Reads the whole text.
    pub(super) fn whole(&mut self) -> Option<Id> {
        self.expect("_Z")?;
        let id = self.encoding(true)?;
        (self.at == self.text.len()).then_some(id)
    }

    /// The function that `whole` gave, or the one that a thunk goes on to.
    fn function_id(&self, whole: Id) -> Option<Id> {
        match self.node(whole)? {
            Node::Encoding(_) => Some(whole),
            Node::Special(_, of) => matches!(self.node(of)?, Node::Encoding(_)).then_some(of),
            _ => None,
        }
    }

    pub(super) fn function(&self, whole: Id) -> Option<Encoding> {
        match self.node(self.function_id(whole)?)? {
            Node::Encoding(encoding) => Some(encoding),
            _ => None,
        }
    }

    /// Forgets what that function returns, and what it asks of its template arguments.
    pub(super) fn keep_name_and_parameters(&mut self, whole: Id) {
        let at = self.function_id(whole).and_then(|id| usize::try_from(id.0).ok());
        if let Some(Node::Encoding(encoding)) = at.and_then(|at| self.nodes.get_mut(at)) {
            encoding.returns = None;
            encoding.requires = None;
        }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> u8 {
        self.peek_at(0)
    }

    /// 0 behind the end.
    pub(super) fn peek_at(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    pub(super) fn expect(&mut self, token: &str) -> Option<()> {
        self.eat(token).then_some(())
    }

    pub(super) fn make(&mut self, node: Node<'a>) -> Option<Id> {
        let id = Id(u32::try_from(self.nodes.len()).ok()?);
        (self.nodes.len() < MAX_NODES).then(|| {
            self.nodes.push(node);
            id
        })
    }

    pub(super) fn list(&mut self, items: &[Id]) -> Option<List> {
        let start = u32::try_from(self.lists.len()).ok()?;
        (self.lists.len() + items.len() < MAX_NODES).then_some(())?;
        self.lists.extend_from_slice(items);
        Some(List { start, len: u32::try_from(items.len()).ok()? })
    }

    pub(super) fn node(&self, id: Id) -> Option<Node<'a>> {
        self.nodes.get(usize::try_from(id.0).ok()?).copied()
    }

    /// One level deeper.
    pub(super) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        (self.depth < MAX_DEPTH).then_some(())?;
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Digits, at least one.
    pub(super) fn digits(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let len = rest.bytes().take_while(u8::is_ascii_digit).count();
        self.at += len;
        rest.get(..len).filter(|digits| !digits.is_empty())
    }

    pub(super) fn count(&mut self) -> Option<usize> {
        self.digits()?.parse().ok()
    }

    /// `_` for 0, `0_` for 1, …
    pub(super) fn index(&mut self) -> Option<usize> {
        if self.eat("_") {
            return Some(0);
        }
        let index = self.count()?.checked_add(1)?;
        self.expect("_")?;
        Some(index)
    }

    /// The same in base 36.
    pub(super) fn sequence(&mut self) -> Option<usize> {
        if self.eat("_") {
            return Some(0);
        }
        let rest = self.rest();
        let len = rest.bytes().take_while(|b| b.is_ascii_digit() || b.is_ascii_uppercase()).count();
        let index = usize::from_str_radix(rest.get(..len)?, 36).ok()?.checked_add(1)?;
        self.at += len;
        self.expect("_")?;
        Some(index)
    }

    /// An identifier behind its length.
    pub(super) fn identifier(&mut self) -> Option<&'a str> {
        let len = self.count()?;
        let end = self.at.checked_add(len)?;
        let name = self.text.get(self.at..end)?;
        self.at = end;
        (len > 0).then_some(name)
    }

    /// A function with its parameters, or the name of an object. Only the outermost one's return type is kept.
    pub(super) fn encoding(&mut self, outermost: bool) -> Option<Id> {
        self.nested(|this| this.encoding_inside(outermost))
    }

    fn encoding_inside(&mut self, outermost: bool) -> Option<Id> {
        if matches!(self.peek(), b'T' | b'G') {
            return self.special();
        }
        let mut state = NameState::default();
        let name = self.name(Some(&mut state))?;
        if self.at_end_of_encoding() {
            return Some(name);
        }
        if self.eat("Ua9enable_ifI") {
            while !self.eat("E") {
                self.template_arg()?;
            }
        }
        let mut returns = None;
        if !state.returns_nothing && state.ends_with_args {
            returns = Some(self.ty()?);
        }
        let mut params = Vec::new();
        if !self.eat("v") {
            loop {
                params.push(self.ty()?);
                if self.at_end_of_encoding() || self.peek() == b'Q' {
                    break;
                }
            }
        }
        let requires = if self.eat("Q") { Some(self.expression()?) } else { None };
        let params = self.list(&params)?;
        self.make(Node::Encoding(Encoding {
            name,
            returns: returns.filter(|_| outermost),
            params,
            quals: state.quals,
            reference: state.reference,
            requires,
        }))
    }

    fn at_end_of_encoding(&self) -> bool {
        matches!(self.peek(), 0 | b'E' | b'.' | b'_')
    }

    /// Virtual tables, thunks and what else compilers make.
    fn special(&mut self) -> Option<Id> {
        const OF_TYPES: &[(&str, &str)] = &[
            ("TV", "vtable for "),
            ("TT", "VTT for "),
            ("TI", "typeinfo for "),
            ("TS", "typeinfo name for "),
            ("TF", "typeinfo fn for "),
        ];
        const OF_NAMES: &[(&str, &str)] =
            &[("TH", "TLS init function for "), ("TW", "TLS wrapper function for "), ("GV", "guard variable for ")];
        const OF_ENCODINGS: &[(&str, &str)] =
            &[("GTt", "transaction clone for "), ("GTn", "non-transaction clone for "), ("GA", "hidden alias for ")];
        for (code, text) in OF_TYPES {
            if self.eat(code) {
                let ty = self.ty()?;
                return self.make(Node::Special(text, ty));
            }
        }
        for (code, text) in OF_NAMES {
            if self.eat(code) {
                let name = self.name(None)?;
                return self.make(Node::Special(text, name));
            }
        }
        for (code, text) in OF_ENCODINGS {
            if self.eat(code) {
                let encoding = self.encoding(true)?;
                return self.make(Node::Special(text, encoding));
            }
        }
        if self.eat("TA") {
            let arg = self.template_arg()?;
            return self.make(Node::Special("template parameter object for ", arg));
        }
        if self.eat("TC") {
            let of = self.ty()?;
            self.signed()?;
            self.expect("_")?;
            let inside = self.ty()?;
            return self.make(Node::ConstructionVtable(inside, of));
        }
        if self.eat("GR") {
            let name = self.name(None)?;
            let index = if self.rest().is_empty() { 0 } else { self.sequence()? };
            return self.make(Node::ReferenceTemporary(name, index));
        }
        if self.eat("GI") {
            let module = self.module()?;
            return self.make(Node::Special("initializer for module ", module));
        }
        let text = match (self.peek(), self.peek_at(1)) {
            (b'T', b'h') => "non-virtual thunk to ",
            (b'T', b'v') => "virtual thunk to ",
            (b'T', b'c') => "covariant return thunk to ",
            _ => return None,
        };
        if self.eat("Tc") {
            self.call_offset()?;
        } else {
            self.at += 1;
        }
        self.call_offset()?;
        let encoding = self.encoding(true)?;
        self.make(Node::Special(text, encoding))
    }

    fn call_offset(&mut self) -> Option<()> {
        if self.eat("v") {
            self.signed()?;
            self.expect("_")?;
        } else {
            self.expect("h")?;
        }
        self.signed()?;
        self.expect("_")
    }

    fn signed(&mut self) -> Option<()> {
        self.eat("n");
        self.digits().map(|_| ())
    }

    pub(super) fn quals(&mut self) -> Quals {
        let is_restrict = self.eat("r");
        let is_volatile = self.eat("V");
        let is_const = self.eat("K");
        Quals { is_const, is_volatile, is_restrict }
    }

    pub(super) fn exceptions(&mut self) -> Option<Exceptions> {
        if self.eat("Do") {
            return Some(Exceptions::Noexcept);
        }
        if self.eat("DO") {
            let condition = self.expression()?;
            self.expect("E")?;
            return Some(Exceptions::NoexceptIf(condition));
        }
        if self.eat("Dw") {
            let mut types = Vec::new();
            while !self.eat("E") {
                types.push(self.ty()?);
            }
            return Some(Exceptions::Throw(self.list(&types)?));
        }
        Some(Exceptions::Unsaid)
    }
}
