//! How the events of a type are written: a list of places that is made once.

use super::layout::{Field, Layout, Shape};
use super::read::{MAX_VALUES, PADDING};
use super::view::{Members, View};

/// A kind of event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventType {
    /// The name of its C type, without `struct`.
    pub name: String,
    /// Its layout.
    pub layout: Layout,
    /// How whole events are read in place; none where each has to be decoded.
    plan: Option<Plan>,
}

/// The places of a struct's fields, those of nested structs among them.
#[derive(Debug, Clone, PartialEq)]
struct Plan {
    leaves: Vec<Leaf>,
}

/// A field that is no struct.
#[derive(Debug, Clone, PartialEq)]
struct Leaf {
    /// Its name; that of a field of a nested struct is `a.b`.
    path: String,
    field: Field,
}

impl EventType {
    /// Works out how events of a type are read.
    pub fn new(name: String, layout: Layout) -> Self {
        let plan = Plan::of(&layout);
        Self { name, layout, plan }
    }

    /// Whether an event of so many bytes can be read in place: it is a whole one of a struct of fixed size. A record of a
    /// perf buffer may be a few bytes longer.
    pub fn is_whole(&self, length: usize) -> bool {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        self.plan.is_some() && length.checked_sub(self.layout.size).is_some_and(|more| more <= PADDING)
    }

    /// Which of several kinds an event of so many bytes is: the size tells, where a perf buffer pads to 8 bytes. One of no
    /// kind's size is as much as there is of the smallest that is larger.
    pub fn choose(kinds: &[Self], length: usize) -> Option<&Self> {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        // The kernel pads: the largest that fits is the one that needs the least of that.
        let fits = |kind: &&Self| kind.layout.size <= length && length - kind.layout.size <= PADDING;
        let fitting = kinds.iter().filter(fits).rev().max_by_key(|kind| kind.layout.size);
        let larger = || kinds.iter().filter(|kind| kind.layout.size > length).min_by_key(|kind| kind.layout.size);
        fitting.or_else(larger).or_else(|| kinds.first())
    }

    /// The names of the fields of whole events, those of nested structs as `a.b`.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.plan.iter().flat_map(|plan| &plan.leaves).map(|leaf| leaf.path.as_str())
    }

    /// The fields of a whole event, as [`Self::paths`] names them.
    pub fn leaves<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = View<'a>> {
        self.plan.iter().flat_map(|plan| &plan.leaves).map(|leaf| leaf.field.view(bytes))
    }

    /// The fields of a whole event as they are declared.
    pub fn members<'a>(&'a self, bytes: &'a [u8]) -> Option<Members<'a>> {
        match self.layout.view(bytes) {
            View::Struct(members) => Some(members),
            _ => None,
        }
    }
}

impl Plan {
    /// None for what is no struct, has no fixed size, or has parts that are not all told apart.
    fn of(layout: &Layout) -> Option<Self> {
        let mut left = MAX_VALUES;
        let Shape::Struct(_) = &layout.shape else { return None };
        if !layout.is_plain(&mut left) {
            return None;
        }
        let mut leaves = Vec::new();
        collect(layout, "", 0, &mut leaves);
        Some(Self { leaves })
    }
}

/// Appends the fields of a struct that begins at a bit of the record.
fn collect(layout: &Layout, above: &str, base: u64, into: &mut Vec<Leaf>) {
    let Shape::Struct(fields) = &layout.shape else { return };
    for field in fields {
        let path = if above.is_empty() { field.name.clone() } else { format!("{above}.{}", field.name) };
        let bit_offset = base.saturating_add(field.bit_offset);
        match &field.layout.shape {
            Shape::Struct(inner) if !inner.is_empty() => collect(&field.layout, &path, bit_offset, into),
            // What is called `key` and has no fields is not written.
            Shape::Struct(_) if path == "key" => {}
            _ => into.push(Leaf { path, field: Field { bit_offset, ..field.clone() } }),
        }
    }
}

impl Layout {
    /// Whether all values of the type lie within it and there are not more of them than `left`, less which it makes them.
    fn is_plain(&self, left: &mut u32) -> bool {
        let Some(fewer) = left.checked_sub(1) else { return false };
        *left = fewer;
        match &self.shape {
            Shape::Struct(fields) => fields.iter().all(|field| {
                let bits = match field.bit_width {
                    0 => field.layout.size.saturating_mul(8),
                    width => u64::from(width),
                };
                field.bit_offset.checked_add(bits).is_some_and(|end| end <= self.size.saturating_mul(8))
                    && field.layout.is_plain(left)
            }),
            Shape::Array { element, flexible } => {
                let count = self.size.checked_div(element.size).and_then(|count| u32::try_from(count).ok());
                let mut each = *left;
                let inner = element.is_plain(&mut each);
                let used = count.and_then(|count| count.checked_mul(*left - each));
                *left = used.and_then(|used| left.checked_sub(used)).unwrap_or(0);
                !flexible && inner && *left > 0
            }
            Shape::Text { flexible } => !flexible,
            _ => true,
        }
    }
}
