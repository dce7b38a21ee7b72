//! Writes types. As declarators have it in C, a type has a part in front of what it is the type of, and one behind.

use super::super::node::{Exceptions, FunctionType, Id, Node, Quals, RefQual};
use super::{Done, MAX_DEPTH, Printer, Resolved, Unsound};

/// What stands behind the name that has a type.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Behind {
    pub(super) something: bool,
    array: bool,
    function: bool,
}

impl<'a> Printer<'_, 'a> {
    pub(super) fn behind(&mut self, id: Id) -> Result<Behind, Unsound> {
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

    pub(super) fn left(&mut self, id: Id) -> Done {
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

    pub(super) fn right(&mut self, id: Id) -> Done {
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

    pub(super) fn quals(&mut self, quals: Quals) {
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

    pub(super) fn reference(&mut self, reference: RefQual) {
        self.text(match reference {
            RefQual::None => "",
            RefQual::Lvalue => " &",
            RefQual::Rvalue => " &&",
        });
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
}
