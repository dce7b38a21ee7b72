//! Reads template parameters and arguments (5.1.5.9), and lambdas and other types without a name (5.1.8).

use super::super::node::{Id, Node};
use super::Parser;

impl<'a> Parser<'a> {
    pub(super) fn unnamed_type(&mut self) -> Option<Id> {
        if self.eat("Ut") {
            let index = self.index()?;
            return self.make(Node::Unnamed(index));
        }
        if self.eat("Ub") {
            self.eat("_");
            if self.peek() != b'_' {
                self.digits();
            }
            self.eat("_");
            return self.make(Node::Name("'block-literal'"));
        }
        self.expect("Ul")?;
        self.nested(Self::lambda)
    }

    fn lambda(&mut self) -> Option<Id> {
        let outer = std::mem::take(&mut self.invented);
        let mut declared = Vec::new();
        while self.peek() == b'T' && matches!(self.peek_at(1), b'y' | b'p' | b't' | b'n' | b'k') {
            declared.push(self.template_param_declaration()?);
        }
        if self.eat("Q") {
            self.expression()?;
        }
        let mut types = Vec::new();
        if self.eat("v") {
            self.expect("E")?;
        } else {
            while !self.eat("E") {
                if self.eat("Q") {
                    self.expression()?;
                    self.expect("E")?;
                    break;
                }
                types.push(self.ty()?);
            }
        }
        self.invented = outer;
        let index = self.index()?;
        let (declared, types) = (self.list(&declared)?, self.list(&types)?);
        self.make(Node::Lambda(declared, types, index))
    }

    pub(super) fn template_param_declaration(&mut self) -> Option<Id> {
        self.nested(|this| {
            if this.eat("Ty") {
                let name = this.invent(0, "$T")?;
                return this.make(Node::TemplateParamDecl("typename ", name));
            }
            if this.eat("Tk") {
                this.name(None)?;
                let name = this.invent(0, "$T")?;
                return this.make(Node::TemplateParamDecl("typename ", name));
            }
            if this.eat("Tn") {
                let name = this.invent(1, "$N")?;
                let ty = this.ty()?;
                return this.make(Node::NonTypeParamDecl(ty, name));
            }
            if this.eat("Tt") {
                let name = this.invent(2, "$TT")?;
                while !this.eat("E") {
                    this.template_param_declaration()?;
                }
                return this.make(Node::TemplateParamDecl("template<> typename ", name));
            }
            this.expect("Tp")?;
            let declaration = this.template_param_declaration()?;
            this.make(Node::Suffixed(declaration, "..."))
        })
    }

    fn invent(&mut self, kind: usize, text: &'static str) -> Option<Id> {
        let count = self.invented.get_mut(kind)?;
        let index = *count;
        *count += 1;
        self.make(Node::LambdaParam(text, index))
    }

    pub(super) fn template_param(&mut self) -> Option<Id> {
        self.expect("T")?;
        let begin = self.at - 1;
        // The level: a lambda's own parameters, which only lambdas have.
        if self.eat("L") {
            self.count()?;
            self.expect("_")?;
        }
        let index = self.index()?;
        self.make(Node::TemplateParam(index, self.text.get(begin..self.at)?))
    }

    pub(super) fn template_args(&mut self) -> Option<Id> {
        let may_have_args = std::mem::replace(&mut self.may_have_args, true);
        let args = self.template_args_inside();
        self.may_have_args = may_have_args;
        args
    }

    fn template_args_inside(&mut self) -> Option<Id> {
        self.expect("I")?;
        let mut args = Vec::new();
        while !self.eat("E") {
            // The constraint of the template, which is not shown.
            if self.eat("Q") {
                self.expression()?;
                self.expect("E")?;
                break;
            }
            args.push(self.template_arg()?);
        }
        let args = self.list(&args)?;
        self.make(Node::TemplateArgs(args))
    }

    pub(super) fn template_arg(&mut self) -> Option<Id> {
        self.nested(|this| match (this.peek(), this.peek_at(1)) {
            (b'X', _) => {
                this.at += 1;
                let value = this.expression()?;
                this.expect("E")?;
                Some(value)
            }
            (b'J', _) => {
                this.at += 1;
                let mut args = Vec::new();
                while !this.eat("E") {
                    args.push(this.template_arg()?);
                }
                let args = this.list(&args)?;
                this.make(Node::ArgPack(args))
            }
            (b'L', _) => this.literal(),
            // The declaration of the parameter, where the argument alone would be ambiguous.
            (b'T', b'y' | b'p' | b't' | b'n' | b'k') => {
                this.template_param_declaration()?;
                this.template_arg()
            }
            _ => this.ty(),
        })
    }
}
