//! What of a record no member uses.

use super::{Record, Role, TypeKind, Types, bits_of, size_of};

/// Unused room: first what is left of a bit field's unit, then whole bytes, then bits before a bit field in its unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gap {
    /// Bits beside bit fields.
    pub bits: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Gap {
    /// There is none.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// All of it in bits.
    pub fn all_bits(self) -> u64 {
        self.bytes.saturating_mul(8).saturating_add(self.bits)
    }
}

/// The unused room of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Before each member; as many as the record has.
    pub before: Vec<Gap>,
    /// Behind the last.
    pub end: Gap,
    /// What members take together, in bits; bits that several take count once.
    pub used: u64,
}

/// The unused room of a struct or class. A union has none but at its end. A member that lies in the padding of the base class
/// before it leaves no gap, and takes none.
pub fn gaps(types: &dyn Types, record: &Record) -> Gaps {
    let all = record.size.saturating_mul(8);
    if record.kind == TypeKind::Union {
        let used = record.members.iter().map(|member| bits_of(types, member)).max().unwrap_or(0).min(all);
        let end = Gap { bits: (all - used) % 8, bytes: (all - used) / 8 };
        return Gaps { before: vec![Gap::default(); record.members.len()], end, used };
    }
    let mut gaps = Gaps { before: Vec::with_capacity(record.members.len()), ..Gaps::default() };
    let mut end = 0_u64;
    // Where the unit of the bit field before ends.
    let mut unit_end = None;
    for member in &record.members {
        let Some(start) = member.bit_offset.filter(|_| member.role != Role::VirtualBase) else {
            gaps.before.push(Gap::default());
            continue;
        };
        let bits = bits_of(types, member);
        let unit = member.bit_width.and_then(|_| unit(start, size_of(types, member.ty)?));
        gaps.before.push(between(end, start, unit_end, unit.map(|(start, _)| start)));
        let next = start.saturating_add(bits);
        gaps.used += next.saturating_sub(start.max(end));
        if next >= end || member.bit_width.is_some() {
            end = end.max(next);
            unit_end = unit.map(|(_, end)| end.max(next));
        }
    }
    gaps.end = between(end, all, unit_end.map(|end| end.min(all)), None);
    gaps
}

/// The aligned unit of a bit field's type in which it begins, in bits.
fn unit(start: u64, size: u64) -> Option<(u64, u64)> {
    let bits = size.checked_mul(8).filter(|bits| *bits > 0)?;
    let from = start / bits * bits;
    Some((from, from.checked_add(bits)?))
}

/// The room from `end` to `start`: bits up to the end of the unit before and from the start of the unit behind, else bytes.
fn between(end: u64, start: u64, unit_end: Option<u64>, unit_start: Option<u64>) -> Gap {
    if start <= end {
        return Gap::default();
    }
    let first = unit_end.map_or(end, |unit| unit.clamp(end, start));
    let last = unit_start.map_or(start, |unit| unit.clamp(first, start));
    // What is left of a byte is never a byte.
    let bytes = (last - first) / 8;
    Gap { bits: (start - end) - bytes * 8, bytes }
}
