//! Where the program keeps values: variables, fields of its structs, maps.

use std::collections::HashMap;

use super::super::tree::{DeclId, FunctionId, NodeId, NodeKind, Tree};
use super::Origin;

/// A place of the program's own that keeps values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Cell {
    /// A variable; of an array, all its elements; of a map, its values.
    Variable(DeclId),
    /// A field: the name of the struct, and its own.
    Field(String, String),
    /// The arguments in the context of a program.
    Context(FunctionId),
}

/// Number of a cell.
pub(super) type CellId = u32;

/// What a value points to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Value {
    /// The memories.
    pub(super) origin: Origin,
    /// The places of the program's own, in order.
    cells: Vec<CellId>,
}

/// How many places one value may point to; what points to more may point to anything.
const MAX_CELLS: usize = 24;

impl Value {
    /// Something in these memories.
    pub(super) fn of(origin: Origin) -> Self {
        Self { origin, cells: Vec::new() }
    }

    /// A place of the program's own.
    pub(super) fn cell(cell: Option<CellId>) -> Self {
        Self { origin: Origin::OWN, cells: cell.into_iter().collect() }
    }

    /// The places of the program's own that it points to.
    pub(super) fn cells(&self) -> &[CellId] {
        &self.cells
    }

    /// Whether nothing is known of it.
    pub(super) fn is_unknown(&self) -> bool {
        self.origin == Origin::UNKNOWN
    }

    /// The other value where nothing is known of this one.
    pub(super) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if self.is_unknown() { other() } else { self }
    }

    /// Either value.
    #[must_use]
    pub(super) fn or(mut self, other: &Self) -> Self {
        self.add(other);
        self
    }

    /// Adds another; whether that changed it.
    pub(super) fn add(&mut self, other: &Self) -> bool {
        let before = (self.origin, self.cells.len());
        self.origin = self.origin.or(other.origin);
        for cell in &other.cells {
            if let Err(at) = self.cells.binary_search(cell) {
                if self.cells.len() >= MAX_CELLS {
                    self.origin = Origin::ANY;
                    break;
                }
                self.cells.insert(at, *cell);
            }
        }
        before != (self.origin, self.cells.len())
    }
}

/// All places and what they keep.
#[derive(Debug, Default)]
pub(super) struct Cells {
    ids: HashMap<Cell, CellId>,
    contents: Vec<Value>,
    /// For each node that is a member: its field.
    of_members: HashMap<NodeId, CellId>,
}

impl Cells {
    /// The places that a tree names.
    pub(super) fn of(tree: &Tree<'_>) -> Self {
        let mut cells = Self::default();
        for index in 0..tree.decls.len() {
            cells.id(Cell::Variable(DeclId::new(index)));
        }
        for (function, _) in tree.functions() {
            cells.id(Cell::Context(function));
        }
        for (id, node) in tree.all() {
            if let NodeKind::Member(member) = &node.kind {
                let cell = cells.id(Cell::Field(member.record.clone(), member.name.clone()));
                cells.of_members.insert(id, cell);
            }
        }
        cells
    }

    /// The number of a place; a new one where it is not known yet.
    pub(super) fn id(&mut self, cell: Cell) -> CellId {
        let next = CellId::try_from(self.contents.len()).unwrap_or(CellId::MAX);
        let id = *self.ids.entry(cell).or_insert(next);
        if id == next {
            self.contents.push(Value::default());
        }
        id
    }

    /// The number of a place that is known.
    pub(super) fn find(&self, cell: &Cell) -> Option<CellId> {
        self.ids.get(cell).copied()
    }

    /// The variable that a place is; none of fields and contexts. [`Self::of`] numbers the variables first, in their order.
    pub(super) fn variable(&self, cell: CellId) -> Option<DeclId> {
        let decl = DeclId::new(usize::try_from(cell).ok()?);
        (self.find(&Cell::Variable(decl)) == Some(cell)).then_some(decl)
    }

    /// The field that a node is.
    pub(super) fn of_member(&self, node: NodeId) -> Option<CellId> {
        self.of_members.get(&node).copied()
    }

    /// What a place keeps.
    pub(super) fn contents(&self, cell: CellId) -> Option<&Value> {
        self.contents.get(usize::try_from(cell).ok()?)
    }

    /// What all of some places keep.
    pub(super) fn all(&self, cells: &[CellId]) -> Value {
        cells.iter().filter_map(|cell| self.contents(*cell)).fold(Value::default(), |all, one| all.or(one))
    }

    /// Adds to what a place keeps; whether that changed it.
    pub(super) fn add(&mut self, cell: CellId, value: &Value) -> bool {
        let contents = usize::try_from(cell).ok().and_then(|cell| self.contents.get_mut(cell));
        contents.is_some_and(|contents| contents.add(value))
    }
}
