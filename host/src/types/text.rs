//! Layouts for people: declarations in C with the place and the size of each member behind them, as pahole shows them.

use std::io::{self, Write};

use symres::layout::{
    Gap, Gaps, Member, NamedType, Record, Role, Shape, TypeKind, TypeNumber, Types, gaps, resolve, size_in, size_of,
    spell,
};

use super::path::Place;
use super::read::Reading;
use super::{CACHE_LINE, MAX_DEPTH, Shown};
use crate::escape::harmless;

/// Wider types push what stands behind them to the right.
const WIDEST_TYPE: usize = 34;
const WIDEST_NAME: usize = 30;

/// Writes what a type is.
pub(super) fn write(types: &dyn Types, shown: &Shown<'_>, ty: TypeNumber, out: &mut dyn Write) -> io::Result<()> {
    match types.shape(ty) {
        Shape::Typedef { of, .. } => {
            let name = spell(types, ty, "").to_string();
            writeln!(out, "typedef {};", harmless(&spell(types, of, &name).to_string()))?;
            let (behind, shape) = resolve(types, of);
            match shape {
                Shape::Record { .. } | Shape::Enumeration { .. } => {
                    writeln!(out)?;
                    write(types, shown, behind, out)
                }
                _ => size_line(size_of(types, ty), out),
            }
        }
        Shape::Enumeration { name, size } => enumeration(types, ty, name.as_deref(), size, out),
        Shape::Record { .. } => match types.record(ty) {
            Some(record) => Writer { types, shown, out }.whole(&record),
            None => writeln!(out, "{}; /* declared only */", harmless(&spell(types, ty, "").to_string())),
        },
        _ => {
            writeln!(out, "{};", harmless(&spell(types, ty, "").to_string()))?;
            size_line(size_of(types, ty), out)
        }
    }
}

fn size_line(size: Option<u64>, out: &mut dyn Write) -> io::Result<()> {
    match size {
        Some(size) => writeln!(out, "    /* size: {size} */"),
        None => writeln!(out, "    /* it has no size */"),
    }
}

fn enumeration(
    types: &dyn Types,
    ty: TypeNumber,
    name: Option<&str>,
    size: Option<u64>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let name = name.map(|name| format!("{} ", harmless(name))).unwrap_or_default();
    writeln!(out, "enum {name}{{")?;
    let values = types.enumerators(ty);
    let width = values.iter().map(|(name, _)| name.len()).max().unwrap_or(0).min(WIDEST_TYPE);
    for (name, value) in &values {
        writeln!(out, "    {:width$} = {value},", harmless(name))?;
    }
    let size = size.map_or_else(|| "unknown".to_owned(), |size| size.to_string());
    writeln!(out, "\n    /* size: {size}, values: {} */\n}};", values.len())
}

/// Writes one record and what is in it.
struct Writer<'w> {
    types: &'w dyn Types,
    shown: &'w Shown<'w>,
    out: &'w mut dyn Write,
}

/// Where a record lies in the one that is shown.
#[derive(Clone, Copy)]
struct At {
    indent: usize,
    /// Where the places of members stand.
    column: usize,
    /// In bits.
    offset: u64,
    depth: usize,
}

impl Writer<'_> {
    fn whole(&mut self, record: &Record) -> io::Result<()> {
        if let Some(declared) = &record.declared {
            writeln!(self.out, "/* {} */", harmless(&declared.to_string()))?;
        }
        let name = record.name.as_deref().map(|name| format!("{name} ")).unwrap_or_default();
        writeln!(self.out, "{} {}{}{{", record.kind.word(), harmless(&name), self.bases(record))?;
        let unused = gaps(self.types, record);
        let column = 4 + self.widest(record) + 1 + WIDEST_NAME;
        self.members(record, &unused, At { indent: 1, column, offset: 0, depth: 0 })?;
        self.statics(record)?;
        self.summary(record, &unused)?;
        writeln!(self.out, "}};")
    }

    /// Columns for the types of members.
    fn widest(&self, record: &Record) -> usize {
        let spelt = record
            .members
            .iter()
            .map(|member| spell(self.types, member.ty, member.name.as_deref().unwrap_or_default()).ty.chars().count());
        spelt.filter(|width| *width <= WIDEST_TYPE).max().unwrap_or(0)
    }

    /// `: A, virtual B`.
    fn bases(&self, record: &Record) -> String {
        let bases = record.members.iter().filter_map(|member| {
            let virtually = match member.role {
                Role::Base => "",
                Role::VirtualBase => "virtual ",
                Role::Field | Role::VirtualTable => return None,
            };
            Some(format!("{virtually}{}", harmless(&spell(self.types, member.ty, "").to_string())))
        });
        let bases: Vec<String> = bases.collect();
        if bases.is_empty() { String::new() } else { format!(": {} ", bases.join(", ")) }
    }

    fn members(&mut self, record: &Record, unused: &Gaps, at: At) -> io::Result<()> {
        let spelt = |member: &Member| spell(self.types, member.ty, member.name.as_deref().unwrap_or_default());
        let all: Vec<_> = record.members.iter().map(spelt).collect();
        let width = self.widest(record);
        let rest = at.column.saturating_sub(at.indent * 4 + width + 1);
        let indent = "    ".repeat(at.indent);
        let mut line = at.offset / 8 / CACHE_LINE;
        for ((member, spelt), gap) in record.members.iter().zip(all).zip(&unused.before) {
            self.gap(*gap, &indent)?;
            let place = member.bit_offset.map(|bits| at.offset.saturating_add(bits));
            if record.kind != TypeKind::Union {
                self.cache_line(place, &mut line, &indent)?;
            }
            let element = element(self.types, member.ty);
            let inner = self.types.record(resolve(self.types, element).0);
            let inner = inner.filter(|_| opens(self.types, self.shown, element, at.depth));
            let comment = self.comment(member, place);
            let Some(inner) = inner else {
                let declarator = match member.role {
                    Role::Base | Role::VirtualBase => "<base class>;".to_owned(),
                    _ => format!("{}{};", harmless(&spelt.declarator), width_of(member)),
                };
                let ty = harmless(&spelt.ty);
                writeln!(self.out, "{indent}{ty:width$} {declarator:rest$} {comment}")?;
                continue;
            };
            let name = match &inner.name {
                Some(name) => format!("{} ", harmless(name)),
                None => String::new(),
            };
            writeln!(self.out, "{indent}{} {name}{{", inner.kind.word())?;
            let deeper =
                At { indent: at.indent + 1, column: at.column, offset: place.unwrap_or(0), depth: at.depth + 1 };
            let inner_gaps = gaps(self.types, &inner);
            self.members(&inner, &inner_gaps, deeper)?;
            self.gap(inner_gaps.end, &format!("{indent}    "))?;
            let declarator = match (member.role, &member.name) {
                (Role::Base | Role::VirtualBase, _) => " <base class>;".to_owned(),
                (_, None) => ";".to_owned(),
                _ => format!(" {};", harmless(&outside(&spelt.declarator, &spelt.ty))),
            };
            let closing = format!("}}{declarator}");
            let columns = at.column.saturating_sub(at.indent * 4);
            writeln!(self.out, "{indent}{closing:columns$} {comment}")?;
        }
        Ok(())
    }

    fn comment(&self, member: &Member, place: Option<u64>) -> String {
        let size = size_in(self.types, member).unwrap_or(0);
        let what = match member.role {
            Role::VirtualTable => " virtual table",
            Role::VirtualBase => return format!("/*  differs {size:>5} */"),
            Role::Field | Role::Base => "",
        };
        match (place, member.bit_width) {
            (Some(bits), None) => format!("/* {:>5} {size:>5}{what} */", bits / 8),
            (Some(bits), Some(_)) => {
                let (bytes, bits) = unit(bits, size);
                format!("/* {bytes:>5}:{bits:>2} {size:>2} */")
            }
            (None, _) => format!("/* unknown {size:>5} */"),
        }
    }

    fn gap(&mut self, gap: Gap, indent: &str) -> io::Result<()> {
        let text = match (gap.bytes, gap.bits) {
            (0, 0) => return Ok(()),
            (0, bits) => format!("{} unused", counted(bits, "bit")),
            (bytes, 0) => format!("{} unused", counted(bytes, "byte")),
            (bytes, bits) => format!("{} and {} unused", counted(bits, "bit"), counted(bytes, "byte")),
        };
        writeln!(self.out, "{indent}/* {text} */")
    }

    /// Says where another cache line begins.
    fn cache_line(&mut self, place: Option<u64>, line: &mut u64, indent: &str) -> io::Result<()> {
        let Some(bytes) = place.map(|bits| bits / 8) else { return Ok(()) };
        let now = bytes / CACHE_LINE;
        if now <= *line {
            return Ok(());
        }
        *line = now;
        let start = now * CACHE_LINE;
        match bytes - start {
            0 => writeln!(self.out, "{indent}/* --- cache line {now} ({start} bytes) --- */"),
            into => {
                writeln!(
                    self.out,
                    "{indent}/* --- cache line {now} ({start} bytes) began {} ago --- */",
                    counted(into, "byte")
                )
            }
        }
    }

    fn statics(&mut self, record: &Record) -> io::Result<()> {
        if !record.statics.is_empty() {
            writeln!(self.out)?;
        }
        for member in &record.statics {
            let spelt = spell(self.types, member.ty, &member.name).to_string();
            writeln!(self.out, "    static {};", harmless(&spelt))?;
        }
        Ok(())
    }

    fn summary(&mut self, record: &Record, unused: &Gaps) -> io::Result<()> {
        let lines = record.size.div_ceil(CACHE_LINE);
        writeln!(self.out)?;
        writeln!(self.out, "    /* size: {}, cache lines: {lines}, members: {} */", record.size, record.members.len())?;
        let holes = || unused.before.iter().filter(|gap| !gap.is_empty());
        if holes().next().is_some() {
            let bytes: u64 = holes().map(|gap| gap.bytes).sum();
            let bits: u64 = holes().map(|gap| gap.bits).sum();
            let room = match (bytes, bits) {
                (bytes, 0) => counted(bytes, "byte"),
                (0, bits) => counted(bits, "bit"),
                (bytes, bits) => format!("{} and {}", counted(bytes, "byte"), counted(bits, "bit")),
            };
            writeln!(self.out, "    /* holes: {}, together {room} */", holes().count())?;
        }
        if !unused.end.is_empty() {
            let Gap { bytes, bits } = unused.end;
            let bits = if bits > 0 { format!(" and {}", counted(bits, "bit")) } else { String::new() };
            writeln!(self.out, "    /* padding at the end: {}{bits} */", counted(bytes, "byte"))?;
        }
        for note in &record.notes {
            writeln!(self.out, "    /* {} */", harmless(note))?;
        }
        Ok(())
    }
}

/// The byte of the aligned unit of a bit field's type in which it begins, and the bit in that.
pub(super) fn unit(bit_offset: u64, size: u64) -> (u64, u64) {
    let size = size.max(1);
    let bytes = bit_offset / 8 / size * size;
    (bytes, bit_offset - bytes * 8)
}

fn width_of(member: &Member) -> String {
    member.bit_width.map(|width| format!(":{width}")).unwrap_or_default()
}

/// The type of an array's elements, or the type itself, without qualifiers.
pub(super) fn element(types: &dyn Types, mut ty: TypeNumber) -> TypeNumber {
    for _ in 0..MAX_DEPTH {
        match types.shape(ty) {
            Shape::Array { of, .. } | Shape::Qualified { of, .. } => ty = of,
            _ => break,
        }
    }
    ty
}

/// Whether it is shown what a member of this type, so deep, consists of. A type without a name cannot be looked up elsewhere.
pub(super) fn opens(types: &dyn Types, shown: &Shown<'_>, ty: TypeNumber, depth: usize) -> bool {
    depth < MAX_DEPTH && (depth < shown.depth || matches!(types.shape(ty), Shape::Record { name: None, .. }))
}

/// What stands around the name but for the type itself: pointers cannot be, since what is shown is part of the object.
fn outside(declarator: &str, ty: &str) -> String {
    let stars = ty.chars().rev().take_while(|letter| matches!(letter, '*' | '&')).count();
    format!("{}{declarator}", "*".repeat(stars))
}

pub(super) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Writes a list of names.
pub(super) fn names(all: &[NamedType], out: &mut dyn Write) -> io::Result<()> {
    for ty in all {
        let size = match (ty.size, ty.only_declared) {
            (_, true) => "declared only".to_owned(),
            (Some(size), false) => size.to_string(),
            (None, false) => "-".to_owned(),
        };
        writeln!(out, "{:9} {size:>13}  {}", ty.kind.word(), harmless(&ty.name))?;
    }
    Ok(())
}

/// Writes where a path leads.
pub(super) fn place(
    types: &dyn Types,
    path: &str,
    place: &Place,
    reading: &Reading,
    out: &mut dyn Write,
) -> io::Result<()> {
    let text = |ty| harmless(&spell(types, ty, "").to_string()).into_owned();
    writeln!(out, "{}", harmless(path))?;
    for hop in &place.through {
        writeln!(out, "    through   {} at byte {} of {}", text(hop.ty), hop.offset, text(hop.object))?;
    }
    writeln!(out, "    type      {}", harmless(&place.describe(types)))?;
    let object = text(place.object);
    let (bytes, bits) = (place.bit_offset / 8, place.bit_offset);
    writeln!(out, "    offset    {} ({}) of {object}", counted(bytes, "byte"), counted(bits, "bit"))?;
    match (place.bit_width, place.size(types)) {
        (Some(width), _) => writeln!(out, "    size      {}", counted(width, "bit"))?,
        (None, Some(size)) => writeln!(out, "    size      {}", counted(size, "byte"))?,
        (None, None) => writeln!(out, "    size      not known")?,
    }
    writeln!(out, "    read it   {}", harmless(&reading.expression))?;
    writeln!(out, "              with {}", harmless(&reading.parameter))
}
