//! From a type to one of its members, through members, elements and pointers.

use symres::layout::{Member, Role, Shape, TypeNumber, Types, resolve, size_of, spell};

use crate::diag::nearest;

/// Anonymous records and base classes nest a few levels deep.
const MAX_NESTING: usize = 32;
/// Members of members may have been meant, so many levels deep; anonymous ones count.
const MAX_DEEPER: usize = 6;
/// More names of members are not compared with one that is misspelt.
const MAX_NAMES: usize = 10_000;

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// `.name` or `->name`.
    Member(String),
    /// `[N]`.
    Element(u64),
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The pointers that are followed on the way, in order: where each is in the object before.
    pub(super) through: Vec<Hop>,
    /// The type of the object that the last of them points to: that in which the place is.
    pub(super) object: TypeNumber,
    /// From the start of that object, in bits.
    pub(super) bit_offset: u64,
    /// Of a bit field.
    pub(super) bit_width: Option<u64>,
    /// Its type.
    pub(super) ty: TypeNumber,
    /// Of an array of several dimensions, the lengths of those that no index was given for.
    pub(super) rest: Vec<Option<u64>>,
    /// As C writes it, from `p`, a pointer to the first object.
    pub(super) expression: String,
}

impl Place {
    /// In bytes.
    pub(super) fn size(&self, types: &dyn Types) -> Option<u64> {
        let one = size_of(types, self.ty)?;
        self.rest.iter().try_fold(one, |size, length| size.checked_mul((*length)?))
    }

    /// Its type as C writes it.
    pub(super) fn describe(&self, types: &dyn Types) -> String {
        let length = |length: &Option<u64>| length.map_or_else(String::new, |length| length.to_string());
        let rest: String = self.rest.iter().map(|one| format!("[{}]", length(one))).collect();
        spell(types, self.ty, &rest).to_string()
    }
}

/// A pointer that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    /// In which object it is.
    pub(super) object: TypeNumber,
    /// From the start of that, in bytes.
    pub(super) offset: u64,
    /// Its type.
    pub(super) ty: TypeNumber,
}

/// Splits `NAME.member->other[3]` into the name of a type and steps.
///
/// # Errors
/// What is wrong with a step.
pub(super) fn split(text: &str) -> Result<(&str, Vec<Step>), String> {
    let end = start_of_path(text);
    let (name, mut rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (index, behind) = inside.split_once(']').ok_or_else(|| format!("`{rest}`: a `]` is missing"))?;
            let index = parse_index(index.trim()).ok_or_else(|| format!("`[{index}]` is no index: give a number"))?;
            steps.push(Step::Element(index));
            rest = behind.trim_start();
            continue;
        }
        let named = rest.strip_prefix("->").or_else(|| rest.strip_prefix('.'));
        let named = named.ok_or_else(|| format!("`{rest}`: `.`, `->` or `[` is expected"))?.trim_start();
        let end = named.find(|letter: char| !is_word(letter)).unwrap_or(named.len());
        let (member, behind) = named.split_at_checked(end).unwrap_or((named, ""));
        if member.is_empty() {
            return Err(format!("`{text}`: the name of a member is missing"));
        }
        steps.push(Step::Member(member.to_owned()));
        rest = behind.trim_start();
    }
    Ok((name.trim(), steps))
}

/// Names of members may have a `$` (clang's `_vptr$THD`).
fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '$')
}

fn parse_index(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Where the name of the type ends: template arguments are part of it, and so is a `.` that no name of a member follows.
fn start_of_path(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        match letter {
            '<' | '(' => depth += 1,
            '>' if before == '-' && depth == 0 => return at - 1,
            '>' | ')' => depth = depth.saturating_sub(1),
            '.' | '[' if depth == 0 => return at,
            _ => {}
        }
        before = letter;
    }
    text.len()
}

/// A way through a type.
struct Walk<'t> {
    types: &'t dyn Types,
    place: Place,
}

/// Follows a path from an object of a type.
///
/// # Errors
/// Which step leads nowhere, and what may have been meant.
pub(super) fn follow(types: &dyn Types, from: TypeNumber, steps: &[Step]) -> Result<Place, String> {
    let place = Place {
        through: Vec::new(),
        object: from,
        bit_offset: 0,
        bit_width: None,
        ty: from,
        rest: Vec::new(),
        expression: "(*p)".to_owned(),
    };
    let mut walk = Walk { types, place };
    for step in steps {
        match step {
            Step::Member(name) => walk.member(name)?,
            Step::Element(index) => walk.element(*index)?,
        }
    }
    Ok(walk.place)
}

impl Walk<'_> {
    /// Goes to where a pointer points, so many bytes further.
    fn dereference(&mut self, to: TypeNumber, offset: u64) {
        let hop = Hop { object: self.place.object, offset: self.place.bit_offset / 8, ty: self.place.ty };
        self.place.through.push(hop);
        self.place.object = to;
        self.place.bit_offset = offset.saturating_mul(8);
        self.place.ty = to;
    }

    fn describe(&self) -> String {
        self.place.describe(self.types)
    }

    fn member(&mut self, name: &str) -> Result<(), String> {
        if !self.place.rest.is_empty() {
            return Err(format!("`{}` has no members, so no `{name}`", self.describe()));
        }
        let (ty, shape) = resolve(self.types, self.place.ty);
        let (record, sign) = match shape {
            Shape::Pointer { to, .. } => {
                let (pointed, _) = resolve(self.types, to);
                if self.types.record(pointed).is_none() {
                    return Err(self.no_record(to, name));
                }
                self.dereference(to, 0);
                (pointed, "->")
            }
            _ => (ty, "."),
        };
        let Some(found) = self.types.record(record) else { return Err(self.no_record(self.place.ty, name)) };
        let whole = found.size;
        let Some((offset, member)) = find(self.types, record, name, 0) else {
            return Err(self.no_member(record, name));
        };
        let offset = offset.ok_or_else(|| {
            format!("`{name}` of `{}` is in a virtual base class: its place differs between objects", self.describe())
        })?;
        if offset > whole.saturating_mul(8) {
            return Err(format!("`{name}` lies outside of `{}`: the type information is damaged", self.describe()));
        }
        let place = &mut self.place;
        place.bit_offset = place.bit_offset.saturating_add(offset);
        place.bit_width = member.bit_width;
        place.ty = member.ty;
        place.expression = match (place.expression.as_str(), sign) {
            ("(*p)", ".") => format!("p->{name}"),
            (before, sign) => format!("{before}{sign}{name}"),
        };
        Ok(())
    }

    fn element(&mut self, index: u64) -> Result<(), String> {
        let text = self.describe();
        if self.place.rest.is_empty() {
            match resolve(self.types, self.place.ty).1 {
                Shape::Array { of, lengths } => {
                    self.place.ty = of;
                    self.place.rest = lengths;
                }
                Shape::Pointer { to, .. } => {
                    let size = size_of(self.types, to);
                    let size = size.ok_or_else(|| format!("`{text}` points to what has no known size: `[{index}]`"))?;
                    self.dereference(to, index.saturating_mul(size));
                    self.place.expression.push_str(&format!("[{index}]"));
                    return Ok(());
                }
                _ => return Err(format!("`{text}` is neither an array nor a pointer: `[{index}]` has no meaning")),
            }
        }
        let Some((length, rest)) = self.place.rest.split_first() else {
            return Err(format!("`{text}` has no elements"));
        };
        // Arrays of no or no fixed length are as long as what is allocated behind the object.
        if let Some(length) = length.filter(|length| index >= *length && *length > 0) {
            return Err(format!("`{text}` has {length} elements; the last one is [{}]", length - 1));
        }
        self.place.rest = rest.to_vec();
        let size = self.place.size(self.types);
        let size = size.ok_or_else(|| format!("elements of `{text}` have no known size"))?;
        self.place.bit_offset = self.place.bit_offset.saturating_add(index.saturating_mul(size).saturating_mul(8));
        self.place.expression.push_str(&format!("[{index}]"));
        Ok(())
    }

    fn no_record(&self, ty: TypeNumber, name: &str) -> String {
        let text = spell(self.types, ty, "");
        match resolve(self.types, ty).1 {
            Shape::Record { .. } => format!("`{text}` is declared only, so that `{name}` of it is not known"),
            _ => format!("`{text}` has no members, so no `{name}`"),
        }
    }

    /// A member of one of the record's members that has the name, or one like it.
    fn deeper(&self, record: TypeNumber, name: &str) -> Option<String> {
        let mut ways = Vec::new();
        collect_deeper(self.types, record, "", &mut ways, 0);
        let shortest =
            |name: &str| ways.iter().filter(|way| last(way) == name).min_by_key(|way| way.split('.').count()).cloned();
        shortest(name).or_else(|| shortest(nearest(name, ways.iter().map(|way| last(way)))?))
    }

    fn no_member(&self, record: TypeNumber, name: &str) -> String {
        let mut names = Vec::new();
        collect(self.types, record, &mut names, 0);
        let near = nearest(name, names.iter().map(String::as_str));
        let near = near.map(str::to_owned).or_else(|| self.deeper(record, name));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        format!("`{}` has no member `{name}`{near}", spell(self.types, record, ""))
    }
}

/// Adds the names of the members of members, with the way to them.
fn collect_deeper(types: &dyn Types, record: TypeNumber, way: &str, into: &mut Vec<String>, depth: usize) {
    let Some(record) = types.record(record).filter(|_| depth < MAX_DEEPER) else { return };
    for member in record.members {
        if into.len() >= MAX_NAMES {
            return;
        }
        let (ty, shape) = resolve(types, member.ty);
        let name = member.name.unwrap_or_default();
        let way = if way.is_empty() || name.is_empty() { format!("{way}{name}") } else { format!("{way}.{name}") };
        if matches!(shape, Shape::Record { .. }) {
            collect_deeper(types, ty, &way, into, depth + 1);
        }
        if !name.is_empty() {
            into.push(way);
        }
    }
}

/// The last part of a way.
fn last(way: &str) -> &str {
    way.rsplit('.').next().unwrap_or(way)
}

/// Whether the members of a member are used as if they were the record's own.
fn is_open(member: &Member) -> bool {
    member.name.is_none() && member.bit_width.is_none()
}

/// A member of that name and where it is, in bits (none where that differs between objects); in anonymous records and base
/// classes too.
fn find(types: &dyn Types, record: TypeNumber, name: &str, depth: usize) -> Option<(Option<u64>, Member)> {
    let record = types.record(record).filter(|_| depth < MAX_NESTING)?;
    if let Some(member) = record.members.iter().find(|member| member.name.as_deref() == Some(name)) {
        return Some((member.bit_offset, member.clone()));
    }
    record.members.iter().filter(|member| is_open(member)).find_map(|member| {
        let (ty, _) = resolve(types, member.ty);
        let base = matches!(member.role, Role::Base | Role::VirtualBase);
        // A base class by its own name is the object of it.
        if base && types.record(ty).is_some_and(|record| record.name.as_deref() == Some(name)) {
            return Some((member.bit_offset, member.clone()));
        }
        let (offset, found) = find(types, ty, name, depth + 1)?;
        Some((offset.zip(member.bit_offset).map(|(inner, outer)| inner.saturating_add(outer)), found))
    })
}

fn collect(types: &dyn Types, record: TypeNumber, into: &mut Vec<String>, depth: usize) {
    let Some(record) = types.record(record).filter(|_| depth < MAX_NESTING) else { return };
    for member in record.members {
        if into.len() >= MAX_NAMES {
            return;
        }
        match member.name {
            Some(name) => into.push(name),
            None => collect(types, resolve(types, member.ty).0, into, depth + 1),
        }
    }
}
