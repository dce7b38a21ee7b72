//! Writes names, and functions with their parameters.

use super::super::node::{Encoding, Id, List, Node};
use super::{Done, MAX_DEPTH, Printer, Resolved, Unsound};
use crate::name::split;

impl<'a> Printer<'_, 'a> {
    pub(super) fn encoding(&mut self, encoding: &Encoding) -> Done {
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
    pub(in super::super) fn parameters(&mut self, encoding: &Encoding) -> Result<(Vec<String>, String), Unsound> {
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

    /// What has no part behind a name.
    pub(super) fn whole(&mut self, node: Node<'a>) -> Done {
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
