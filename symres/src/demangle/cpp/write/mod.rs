//! Writes a name as `c++filt` does.

mod expr;
mod name;
mod types;

use super::node::{Id, List, Node};
use super::read::Parser;
use crate::demangle::most_text;

/// Names nest some ten levels deep.
const MAX_DEPTH: usize = 400;
/// Nodes to visit for each byte of the symbol: parts may be shared, so that a short name could ask for more than time
/// allows. Real names come to 23 at most.
const VISITS_PER_BYTE: usize = 64;

/// The name cannot be written within the limits, or it is unsound.
pub(super) struct Unsound;

type Done = Result<(), Unsound>;

pub(super) struct Printer<'p, 'a> {
    parser: &'p Parser<'a>,
    pub(super) out: String,
    depth: usize,
    /// How many more nodes may be visited.
    visits: usize,
    most_text: usize,
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

impl<'p, 'a> Printer<'p, 'a> {
    pub(super) fn new(parser: &'p Parser<'a>) -> Self {
        Self {
            parser,
            out: String::new(),
            depth: 0,
            visits: 1000 + VISITS_PER_BYTE * parser.text.len(),
            most_text: most_text(parser.text),
            frames: Vec::new(),
            frame: None,
            element: None,
        }
    }

    fn visit(&mut self) -> Done {
        self.visits = self.visits.checked_sub(1).ok_or(Unsound)?;
        Ok(())
    }

    fn node(&self, id: Id) -> Result<Node<'a>, Unsound> {
        self.parser.node(id).ok_or(Unsound)
    }

    fn items(&self, list: List) -> Result<&'p [Id], Unsound> {
        let start = usize::try_from(list.start).map_err(|_| Unsound)?;
        let len = usize::try_from(list.len).map_err(|_| Unsound)?;
        self.parser.lists.get(start..start + len).ok_or(Unsound)
    }

    fn nested<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Unsound>) -> Result<T, Unsound> {
        self.visit()?;
        if self.depth >= MAX_DEPTH || self.out.len() > self.most_text {
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

    fn text(&mut self, text: &str) {
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
            self.visit()?;
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
    fn pack(&self, id: Id) -> Result<Option<List>, Unsound> {
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

    /// Without what is empty, as packs may be.
    fn comma_separated(&mut self, list: List) -> Done {
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

    fn number(&mut self, number: usize) {
        self.out.push_str(&number.to_string());
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
}
