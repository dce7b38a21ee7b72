//! A set of 32-bit numbers that is looked for at every byte of a section.

use gimli::Endianity;
use gimli::RunTimeEndian;
use memchr::memmem::Finder;

/// So many numbers are looked for one by one, which `memchr` does with vector instructions at the speed of memory.
const FEW: usize = 6;
/// Bits of the coarse map: 32 kB, so that it stays in the first cache.
const COARSE_BITS: u32 = 18;

/// The numbers, as intervals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    /// Sorted, apart from each other, both ends included.
    intervals: Vec<(u32, u32)>,
    /// Where there are more than [`FEW`] intervals: most numbers that are asked for are none of the set.
    coarse: Option<Coarse>,
}

impl Values {
    /// The union of intervals, each with both its ends.
    pub(crate) fn new(mut intervals: Vec<(u32, u32)>) -> Self {
        intervals.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::with_capacity(intervals.len());
        for (low, high) in intervals {
            match joined.last_mut() {
                Some((_, end)) if low <= end.saturating_add(1) => *end = high.max(*end),
                _ => joined.push((low, high)),
            }
        }
        joined.shrink_to_fit();
        let coarse = (joined.len() > FEW).then(|| Coarse::new(&joined));
        Self { intervals: joined, coarse }
    }

    /// The numbers of both.
    pub(crate) fn union(&self, other: &Self) -> Self {
        Self::new(self.intervals.iter().chain(&other.intervals).copied().collect())
    }

    pub(crate) fn contains(&self, value: u32) -> bool {
        if self.coarse.as_ref().is_some_and(|coarse| !coarse.may_contain(value)) {
            return false;
        }
        let behind = self.intervals.partition_point(|(low, _)| *low <= value);
        behind.checked_sub(1).and_then(|at| self.intervals.get(at)).is_some_and(|(_, high)| value <= *high)
    }

    /// Prepares to look for them in data of this byte order.
    pub(crate) fn scanner(&self, endian: RunTimeEndian) -> Scanner<'_> {
        let count: u64 = self.intervals.iter().map(|(low, high)| u64::from(high - low) + 1).sum();
        if count > FEW as u64 {
            let coarse = self.coarse.clone().unwrap_or_else(|| Coarse::new(&self.intervals));
            return Scanner { values: self, endian, way: Way::Many(coarse) };
        }
        let finder = |value: u32| {
            let mut needle = [0; 4];
            endian.write_u32(&mut needle, value);
            Finder::new(&needle).into_owned()
        };
        let finders = self.intervals.iter().flat_map(|(low, high)| *low..=*high).map(finder).collect();
        Scanner { values: self, endian, way: Way::Few(finders) }
    }
}

/// See [`Values::scanner`].
#[derive(Debug)]
pub(crate) struct Scanner<'v> {
    values: &'v Values,
    endian: RunTimeEndian,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Few(Vec<Finder<'static>>),
    Many(Coarse),
}

impl Scanner<'_> {
    /// Calls `found` with the position of one of the numbers, wherever they stand in `bytes`; it returns the position from
    /// which to go on, so that what it is not interested in can be passed over.
    pub(crate) fn scan(&self, bytes: &[u8], mut found: impl FnMut(usize) -> usize) {
        match &self.way {
            Way::Few(finders) => {
                for finder in finders {
                    let mut from = 0;
                    while let Some(at) = bytes.get(from..).and_then(|rest| finder.find(rest)) {
                        from = found(from + at).max(from + at + 1);
                    }
                }
            }
            Way::Many(coarse) => {
                let mut from = 0;
                while let Some(rest) = bytes.get(from..) {
                    let swap = self.endian.is_big_endian();
                    let hit = rest.windows(4).position(|word| {
                        let word = <[u8; 4]>::try_from(word).unwrap_or_default();
                        let value = if swap { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) };
                        coarse.may_contain(value) && self.values.contains(value)
                    });
                    let Some(at) = hit else { break };
                    from = found(from + at).max(from + at + 1);
                }
            }
        }
    }
}

/// One bit for each run of 2^`shift` numbers from `low` on: whether one of the set is among them.
#[derive(Clone, Debug)]
struct Coarse {
    low: u32,
    span: u32,
    shift: u32,
    bits: Vec<u64>,
}

impl Coarse {
    fn new(intervals: &[(u32, u32)]) -> Self {
        let low = intervals.first().map_or(0, |(low, _)| *low);
        let span = intervals.last().map_or(0, |(_, high)| high - low);
        let shift = (u32::BITS - span.leading_zeros()).saturating_sub(COARSE_BITS);
        let mut bits = vec![0_u64; (span >> shift) as usize / 64 + 1];
        for (from, to) in intervals {
            for bit in (from - low) >> shift..=(to - low) >> shift {
                if let Some(word) = bits.get_mut(bit as usize / 64) {
                    *word |= 1 << (bit % 64);
                }
            }
        }
        Self { low, span, shift, bits }
    }

    #[inline]
    fn may_contain(&self, value: u32) -> bool {
        let from_low = value.wrapping_sub(self.low);
        if from_low > self.span {
            return false;
        }
        let bit = from_low >> self.shift;
        self.bits.get(bit as usize / 64).is_some_and(|word| word >> (bit % 64) & 1 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(values: &Values, endian: RunTimeEndian, bytes: &[u8]) -> Vec<usize> {
        let mut at = Vec::new();
        values.scanner(endian).scan(bytes, |hit| {
            at.push(hit);
            hit
        });
        at.sort_unstable();
        at
    }

    #[test]
    fn intervals_are_joined() {
        let values = Values::new(vec![(7, 9), (1, 2), (3, 3), (8, 20), (u32::MAX, u32::MAX)]);
        assert_eq!(values.intervals, [(1, 3), (7, 20), (u32::MAX, u32::MAX)]);
        let inside: Vec<u32> = (0..30).filter(|v| values.contains(*v)).collect();
        assert_eq!(inside, (1..=3).chain(7..=20).collect::<Vec<_>>());
        assert!(values.contains(u32::MAX));
    }

    #[test]
    fn few_and_many_find_the_same() {
        let mut bytes = Vec::new();
        for value in [5_u32, 70_000, 9, 5, 1 << 30] {
            bytes.push(0xee);
            bytes.extend(value.to_le_bytes());
        }
        let few = Values::new(vec![(5, 5), (1 << 30, 1 << 30)]);
        assert_eq!(positions(&few, RunTimeEndian::Little, &bytes), [1, 16, 21]);
        let many = Values::new(vec![(5, 5), (1 << 30, 1 << 30), (100_000, 100_020)]);
        assert_eq!(positions(&many, RunTimeEndian::Little, &bytes), [1, 16, 21]);
        bytes.extend(100_007_u32.to_be_bytes());
        assert_eq!(positions(&many, RunTimeEndian::Big, &bytes), [25]);
    }

    #[test]
    fn what_is_passed_over_is_not_reported() {
        let bytes: Vec<u8> = [5_u32; 4].iter().flat_map(|v| v.to_le_bytes()).collect();
        for values in [Values::new(vec![(5, 5)]), Values::new(vec![(5, 5), (100, 200)])] {
            let mut at = Vec::new();
            values.scanner(RunTimeEndian::Little).scan(&bytes, |hit| {
                at.push(hit);
                hit + 8
            });
            assert_eq!(at, [0, 8]);
        }
    }
}
