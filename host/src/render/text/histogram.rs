//! Histograms, in the form that BCC's users know.

use super::cell::Cell;
use crate::decode::Value;
use crate::output::{MapRow, Scale};

/// Width of the longest bar.
const BAR: usize = 40;

/// The slots of one histogram with their counts, and the key that it belongs to without the slot.
struct Group {
    key: Vec<(String, Value)>,
    slots: Vec<(u64, u64)>,
}

/// The histograms of a map's rows, which are sorted by key: one for each key without its slot. Of more than `most`, the
/// rest is counted.
pub(super) fn of(rows: &[&MapRow], scale: Scale, most: usize) -> String {
    let mut groups: Vec<Group> = Vec::new();
    let mut strange = 0u64;
    for row in rows {
        let (key, slot) = split(&row.key);
        let number = |value: &Value| value.integer().and_then(|number| u64::try_from(number).ok());
        let (Some(slot), Some(count)) = (slot.and_then(number), number(&row.value)) else {
            strange += 1;
            continue;
        };
        // The slot is the last field, so that rows of one group follow one another.
        match groups.last_mut() {
            Some(last) if last.key == key => last.slots.push((slot, count)),
            _ => groups.push(Group { key, slots: vec![(slot, count)] }),
        }
    }
    let mut text = String::new();
    let hidden = groups.len().saturating_sub(most);
    for Group { key, slots } in groups.into_iter().take(most) {
        if !key.is_empty() {
            let fields: Vec<String> =
                key.iter().map(|(name, value)| format!("{name} = {}", Cell::of(value).text)).collect();
            text.push_str(&format!("{}\n", fields.join(", ")));
        }
        one(&slots, scale, most, &mut text);
    }
    if hidden > 0 {
        text.push_str(&format!("… and {hidden} more histograms; --json writes all\n"));
    }
    if strange > 0 {
        text.push_str(&format!("… and {strange} entries that are no slots of a histogram\n"));
    }
    text
}

/// A key without its slot, and the slot: the key itself, or its last field.
fn split(key: &Value) -> (Vec<(String, Value)>, Option<&Value>) {
    match key {
        Value::Struct(fields) => match fields.split_last() {
            Some(((_, slot), group)) => (group.to_vec(), Some(slot)),
            None => (Vec::new(), None),
        },
        slot => (Vec::new(), Some(slot)),
    }
}

fn one(slots: &[(u64, u64)], scale: Scale, most: usize, into: &mut String) {
    let counted: Vec<&(u64, u64)> = slots.iter().filter(|(_, count)| *count > 0).collect();
    let (Some((first, _)), Some((last, _))) = (counted.first(), counted.last()) else {
        into.push_str("nothing was counted\n");
        return;
    };
    let highest = counted.iter().map(|(_, count)| *count).max().unwrap_or(1);
    let span = usize::try_from(last - first).unwrap_or(usize::MAX);
    // Slots between that are empty are shown, unless they are too many.
    let shown: Vec<(u64, u64)> = if span < most.max(64) {
        let count = |slot| counted.iter().find(|(found, _)| *found == slot).map_or(0, |(_, count)| *count);
        (*first..=*last).map(|slot| (slot, count(slot))).collect()
    } else {
        counted.iter().take(most).map(|slot| **slot).collect()
    };
    let labels: Vec<String> = shown.iter().map(|(slot, _)| label(*slot, scale)).collect();
    let heading = "value";
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).max(heading.len());
    let counts = shown.iter().map(|(_, count)| count.to_string().len()).max().unwrap_or(0).max("count".len());
    into.push_str(&format!("  {heading:<width$} : {:<counts$}  distribution\n", "count"));
    for (label, (_, count)) in labels.iter().zip(&shown) {
        let bar = usize::try_from(u128::from(*count) * 40 / u128::from(highest)).unwrap_or(BAR).min(BAR);
        into.push_str(&format!("  {label:<width$} : {count:<counts$} |{:<BAR$}|\n", "*".repeat(bar)));
    }
    if let Some(hidden @ 1..) = counted.len().checked_sub(shown.len()) {
        into.push_str(&format!("… and {hidden} more slots; --json writes all\n"));
    }
}

/// The values that a slot counts.
fn label(slot: u64, scale: Scale) -> String {
    let power = |exponent: u64| u32::try_from(exponent).ok().and_then(|exponent| 1u128.checked_shl(exponent));
    match (scale, slot) {
        (Scale::Linear, slot) => slot.to_string(),
        // bpf_log2l puts 0 and 1 into slot 1; slot 0 is what other code puts there.
        (Scale::Log2, 0) => format!("{:>10}", 0),
        (Scale::Log2, 1) => format!("{:>10} -> {:<10}", 0, 1),
        (Scale::Log2, slot) => match (power(slot - 1), power(slot)) {
            (Some(low), Some(high)) if slot < 127 => format!("{low:>10} -> {:<10}", high - 1),
            _ => format!("slot {slot}"),
        },
    }
}
