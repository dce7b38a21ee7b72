//! Writes expressions as `c++filt` does: with brackets around every operand that is not a plain name.

use super::super::node::{Id, Node, RefQual};
use super::{Done, Printer, Unsound};

impl<'a> Printer<'_, 'a> {
    /// An operand, in brackets unless it is a name.
    pub(super) fn operand(&mut self, id: Id) -> Done {
        let plain = match self.node(id)? {
            Node::Name(_) | Node::Braced(..) | Node::FunctionParam(_) | Node::Local(..) => true,
            Node::Nested(_, name) => !matches!(self.node(name)?, Node::Template(..)),
            _ => false,
        };
        if !plain {
            self.text("(");
        }
        self.print(id)?;
        if !plain {
            self.text(")");
        }
        Ok(())
    }

    pub(super) fn expression(&mut self, node: Node<'a>) -> Done {
        match node {
            Node::Literal(ty, value) => self.literal(ty, value)?,
            Node::FunctionParam(None) => self.text("this"),
            Node::FunctionParam(Some(index)) => {
                self.text("{parm#");
                self.number(index + 1);
                self.text("}");
            }
            Node::Prefix(text, operand) => {
                self.text(text);
                match self.node(operand)? {
                    // Of the address of a function, its parameters are not shown.
                    Node::Encoding(encoding)
                        if text == "&"
                            && encoding.quals.is_empty()
                            && encoding.reference == RefQual::None
                            && matches!(self.node(encoding.name)?, Node::Nested(..)) =>
                    {
                        self.operand(encoding.name)?;
                    }
                    _ if text.ends_with("requires ") || text.ends_with("typename ") => self.print(operand)?,
                    _ => self.operand(operand)?,
                }
            }
            Node::Postfix(operand, text) => {
                self.operand(operand)?;
                self.text(text);
            }
            Node::Enclosed(text, operand) => {
                self.text(text);
                self.text("(");
                self.print(operand)?;
                self.text(")");
            }
            Node::Binary(text, left, right) => {
                // So that `>` does not end a list of template arguments.
                let wrapped = text == ">";
                if wrapped {
                    self.text("(");
                }
                self.operand(left)?;
                self.text(text);
                self.operand(right)?;
                if wrapped {
                    self.text(")");
                }
            }
            Node::Subscript(left, right) => {
                self.operand(left)?;
                self.text("[");
                self.print(right)?;
                self.text("]");
            }
            Node::Call(function, args) => {
                match self.node(function)? {
                    Node::Encoding(encoding) => self.operand(encoding.name)?,
                    _ => self.operand(function)?,
                }
                self.text("(");
                self.comma_separated(args)?;
                self.text(")");
            }
            Node::Cast(ty, operand) => {
                self.text("(");
                self.print(ty)?;
                self.text(")");
                self.operand(operand)?;
            }
            Node::CastList(ty, args) => {
                self.text("(");
                self.print(ty)?;
                self.text(")(");
                self.comma_separated(args)?;
                self.text(")");
            }
            Node::NamedCast(text, ty, operand) => {
                self.text(text);
                self.text("<");
                self.print(ty)?;
                self.text(">(");
                self.print(operand)?;
                self.text(")");
            }
            Node::Conditional(condition, then, otherwise) => {
                self.operand(condition)?;
                self.text("?");
                self.operand(then)?;
                self.text(" : ");
                self.operand(otherwise)?;
            }
            Node::Braced(ty, items) => {
                if let Some(ty) = ty {
                    self.print(ty)?;
                }
                self.text("{");
                self.comma_separated(items)?;
                self.text("}");
            }
            Node::Designated(first, last, value) => {
                match last {
                    None => {
                        self.text(".");
                        self.print(first)?;
                    }
                    Some(last) => {
                        self.text("[");
                        self.print(first)?;
                        if last != first {
                            self.text(" ... ");
                            self.print(last)?;
                        }
                        self.text("]");
                    }
                }
                if !matches!(self.node(value)?, Node::Designated(..)) {
                    self.text("=");
                }
                self.print(value)?;
            }
            Node::Fold(text, left, first, second) => self.fold(text, left, first, second)?,
            Node::New { word, placement, ty, init } => {
                self.text(word);
                self.text(" ");
                if placement.len > 0 {
                    self.text("(");
                    self.comma_separated(placement)?;
                    self.text(") ");
                }
                self.print(ty)?;
                if let Some(init) = init {
                    self.text("(");
                    self.comma_separated(init)?;
                    self.text(")");
                }
            }
            Node::PackLength(pack) => self.pack_length(pack)?,
            Node::ArgsLength(list) => {
                let mut count = 0;
                for id in self.items(list)? {
                    count += match self.node(*id)? {
                        Node::ArgPack(list) => self.items(list)?.len(),
                        Node::Expansion(pattern) => self.length(pattern)?.unwrap_or(1),
                        _ => 1,
                    };
                }
                self.number(count);
            }
            Node::Global(inner) => {
                self.text("::");
                self.print(inner)?;
            }
            Node::Requires(params, requirements) => {
                self.text("requires");
                if params.len > 0 {
                    self.text(" (");
                    self.comma_separated(params)?;
                    self.text(")");
                }
                self.text(" {");
                for requirement in self.items(requirements)? {
                    self.text(" ");
                    self.print(*requirement)?;
                    self.text(";");
                }
                self.text(" }");
            }
            Node::Requirement(expression, noexcept, constraint) => {
                let braces = noexcept || constraint.is_some();
                self.text(if braces { "{" } else { "" });
                self.print(expression)?;
                self.text(if braces { "}" } else { "" });
                self.text(if noexcept { " noexcept" } else { "" });
                if let Some(constraint) = constraint {
                    self.text(" -> ");
                    self.print(constraint)?;
                }
            }
            _ => return Err(Unsound),
        }
        Ok(())
    }

    fn fold(&mut self, text: &str, left: bool, first: Id, second: Option<Id>) -> Done {
        self.text("(");
        match second {
            None if left => {
                self.text("...");
                self.text(text);
                self.operand(first)?;
            }
            None => {
                self.operand(first)?;
                self.text(text);
                self.text("...");
            }
            Some(second) => {
                self.operand(first)?;
                self.text(text);
                self.text("...");
                self.text(text);
                self.operand(second)?;
            }
        }
        self.text(")");
        Ok(())
    }

    /// How many elements a template parameter pack has; none where it is none.
    fn length(&self, id: Id) -> Result<Option<usize>, Unsound> {
        Ok(self.pack(id)?.map(|list| self.items(list)).transpose()?.map(<[Id]>::len))
    }

    fn pack_length(&mut self, pack: Id) -> Done {
        match self.length(pack)? {
            Some(len) => self.number(len),
            None => {
                self.text("sizeof...(");
                self.print(pack)?;
                self.text(")");
            }
        }
        Ok(())
    }

    fn literal(&mut self, ty: Id, value: &str) -> Done {
        let (sign, digits) = match value.strip_prefix('n') {
            Some(digits) => ("-", digits),
            None => ("", value),
        };
        let suffix = match self.node(ty)? {
            Node::Builtin("int") => Some(""),
            Node::Builtin("unsigned int") => Some("u"),
            Node::Builtin("long") => Some("l"),
            Node::Builtin("unsigned long") => Some("ul"),
            Node::Builtin("long long") => Some("ll"),
            Node::Builtin("unsigned long long") => Some("ull"),
            Node::Builtin("decltype(nullptr)") => {
                self.text("nullptr");
                return Ok(());
            }
            Node::Builtin("bool") if value == "0" || value == "1" => {
                self.text(if value == "0" { "false" } else { "true" });
                return Ok(());
            }
            _ => None,
        };
        let float = matches!(self.node(ty)?, Node::Builtin("float" | "double" | "long double" | "__float128"));
        if suffix.is_none() {
            self.text("(");
            self.print(ty)?;
            self.text(")");
        }
        self.text(sign);
        if float {
            self.text("[");
        }
        self.text(digits);
        if float {
            self.text("]");
        }
        self.text(suffix.unwrap_or_default());
        Ok(())
    }
}
