//! In which namespaces and classes an entry is. Entries do not refer to their parents: the way down to them is looked for.

use std::collections::HashMap;
use std::rc::Rc;

use gimli::{AttributeValue, DwTag, Reader, UnitOffset};

use super::die::{Context, Die};

/// Scopes nest a few levels deep.
const MAX_DEPTH: usize = 64;
/// What is kept of a unit.
const MAX_KNOWN: usize = 100_000;

/// What was learnt about a unit on the way.
#[derive(Default)]
pub(super) struct Known {
    /// The parents of entries, outermost first, without the unit's root.
    paths: HashMap<usize, Rc<[(UnitOffset, DwTag)]>>,
    /// Where the children of an entry without `DW_AT_sibling` end.
    ends: HashMap<usize, usize>,
}

/// The parents of an entry, outermost first. Empty at the top, and where the unit is damaged.
pub(super) fn parents<R: Reader<Offset = usize>>(context: &Context<'_, R>, die: &Die<R>) -> Rc<[(UnitOffset, DwTag)]> {
    if let Some(path) = die.unit.scopes.borrow().paths.get(&die.offset.0) {
        return Rc::clone(path);
    }
    let path: Rc<[_]> = find(context, die).unwrap_or_default().into();
    let known = &mut die.unit.scopes.borrow_mut().paths;
    if known.len() < MAX_KNOWN {
        known.insert(die.offset.0, Rc::clone(&path));
    }
    path
}

fn find<R: Reader<Offset = usize>>(context: &Context<'_, R>, die: &Die<R>) -> Option<Vec<(UnitOffset, DwTag)>> {
    let unit = &die.unit.unit;
    let target = die.offset.0;
    let mut known = die.unit.scopes.borrow_mut();
    let mut raw = unit.entries_raw(None).ok()?;
    // The entries whose children are being read: offset, tag, and whether the end of the children is to be kept.
    let mut open: Vec<(UnitOffset, DwTag, bool)> = Vec::new();
    let mut leaves = 0_u32;
    while !raw.is_empty() {
        let offset = raw.next_offset();
        if offset.0 == target {
            return Some(open.iter().skip(1).map(|(offset, tag, _)| (*offset, *tag)).collect());
        }
        if offset.0 > target {
            return None;
        }
        let Some(abbreviation) = raw.read_abbreviation().ok()? else {
            let (parent, _, keep) = open.pop()?;
            if keep && known.ends.len() < MAX_KNOWN {
                known.ends.insert(parent.0, raw.next_offset().0);
            }
            continue;
        };
        if !abbreviation.has_children() {
            raw.skip_attributes(abbreviation.attributes()).ok()?;
            // They are skipped in a fraction of the time that reading takes.
            leaves += 1;
            if leaves.is_multiple_of(32) {
                context.spend(1)?;
            }
            continue;
        }
        context.spend(1)?;
        let mut end = known.ends.get(&offset.0).copied();
        let mut keep = end.is_none();
        for specification in abbreviation.attributes() {
            let attribute = raw.read_attribute(*specification).ok()?;
            if specification.name() == gimli::DW_AT_sibling
                && let AttributeValue::UnitRef(sibling) = attribute.value()
            {
                keep = false;
                end = Some(sibling.0);
            }
        }
        match end {
            // Only forwards: a loop of siblings would never end.
            Some(end) if end <= target && end > offset.0 => raw = unit.entries_raw(Some(UnitOffset(end))).ok()?,
            _ if open.len() >= MAX_DEPTH => return None,
            _ => open.push((offset, abbreviation.tag(), keep)),
        }
    }
    None
}
