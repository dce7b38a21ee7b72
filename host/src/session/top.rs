//! Which entries of a map are printed where only some are: chosen by their bytes, so that only those are decoded.

use std::cmp::Reverse;

use crate::decode::{Layout, NumberAt};

/// The entries with the largest numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Top {
    most: usize,
    in_key: bool,
    number: NumberAt,
}

impl Top {
    /// `most` entries by the number at a path such as `["value", "bytes"]`; none where the path leads to no number.
    pub fn new(most: usize, by: &[String], key: &Layout, value: &Layout) -> Option<Self> {
        let (side, rest) = by.split_first()?;
        let in_key = side == "key";
        let number = if in_key { key } else { value }.number_at(rest)?;
        Some(Self { most, in_key, number })
    }

    /// Keeps these entries, the largest first, and says how many there are besides. Values of a per-CPU map are summed
    /// up over blocks of `stride` bytes. Entries of one number are ordered by the bytes of their keys.
    pub(super) fn pick(&self, entries: &mut Vec<(Vec<u8>, Vec<u8>)>, stride: Option<usize>) -> usize {
        let rank = |(key, value): &(Vec<u8>, Vec<u8>)| match (self.in_key, stride) {
            (true, _) => self.number.read(key).unwrap_or(i128::MIN),
            (false, None) => self.number.read(value).unwrap_or(i128::MIN),
            (false, Some(stride)) => {
                let numbers = value.chunks(stride.max(1)).filter_map(|value| self.number.read(value));
                numbers.fold(0, i128::saturating_add)
            }
        };
        let mut ranked: Vec<_> = entries
            .iter()
            .enumerate()
            .map(|(index, entry)| (Reverse(rank(entry)), entry.0.as_slice(), index))
            .collect();
        let more = ranked.len().saturating_sub(self.most);
        if more > 0 {
            ranked.select_nth_unstable(self.most);
            ranked.truncate(self.most);
        }
        ranked.sort_unstable();
        let kept: Vec<usize> = ranked.into_iter().map(|(_, _, index)| index).collect();
        *entries = kept.into_iter().filter_map(|index| entries.get_mut(index).map(std::mem::take)).collect();
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::btf::{Btf, Kind, Writer};
    use crate::decode::Types;

    /// Entries with a `u32` key and the value `struct { u32 calls; s64 change; }`.
    fn top(most: usize, by: &str) -> Option<Top> {
        let mut writer = Writer::new();
        let (u32, s64) = (writer.int("unsigned int", 4, 32), writer.int("long long", 8, 64 | 1 << 24));
        let fields = [("calls".into(), u32, 0), ("change".into(), s64, 64)];
        let value = writer.record("value", Kind::Struct, false, 16, &fields);
        let types = Types::from_btf(Btf::parse(writer.finish()).unwrap());
        let by: Vec<String> = by.split('.').map(str::to_owned).collect();
        Top::new(most, &by, &types.layout(u32), &types.layout(value))
    }

    fn value(calls: u32, change: i64) -> Vec<u8> {
        [&calls.to_ne_bytes()[..], &[0; 4], &change.to_ne_bytes()].concat()
    }

    fn picked(most: usize, by: &str, values: &[Vec<u8>], stride: Option<usize>) -> (Vec<u32>, usize) {
        let mut entries: Vec<_> = (1_u32..).map(|key| key.to_ne_bytes().to_vec()).zip(values.iter().cloned()).collect();
        let more = top(most, by).unwrap().pick(&mut entries, stride);
        (entries.iter().map(|(key, _)| u32::from_ne_bytes(key.as_slice().try_into().unwrap())).collect(), more)
    }

    #[test]
    fn the_largest_come_first_and_the_others_are_counted() {
        let values = [value(7, -5), value(9, 0), value(8, 3), value(9, -1)];
        assert_eq!(picked(3, "value.calls", &values, None), (vec![2, 4, 3], 1));
        assert_eq!(picked(2, "value.change", &values, None), (vec![3, 2], 2));
        assert_eq!(picked(2, "key", &values, None), (vec![4, 3], 2));
        assert_eq!(picked(9, "key", &values, None), (vec![4, 3, 2, 1], 0));
        assert_eq!(picked(4, "key", &[], None), (vec![], 0));
    }

    #[test]
    fn values_of_cpus_are_added_up() {
        let two = |first, second| [value(first, 0), value(second, 0)].concat();
        let values = [two(5, 5), two(9, 0), two(0, 11)];
        assert_eq!(picked(2, "value.calls", &values, Some(16)), (vec![3, 1], 1));
    }

    #[test]
    fn only_numbers_have_an_order() {
        assert!(top(1, "value").is_none() && top(1, "value.name").is_none() && top(1, "key.pid").is_none());
    }
}
