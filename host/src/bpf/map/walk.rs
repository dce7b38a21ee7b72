//! Ways through the entries of a map that changes meanwhile.

use std::collections::HashSet;

use super::{Batch, Entries, Map};
use crate::bpf::errno::Error;

/// Rows of a first batch. A bucket of a hash has to fit; where it does not, the batch grows.
const BATCH: u32 = 256;

/// Bytes of values that a first batch may have, and that a batch may grow to.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_BYTES_LIMIT: usize = 64 << 20;

/// Reads a hash by buckets, or by keys where the kernel cannot.
pub(super) fn hash(map: &Map) -> Result<Entries, Error> {
    let row = map.row_size()?;
    let fitting = u32::try_from(BATCH_BYTES / row.max(1)).unwrap_or(BATCH);
    let mut count = BATCH.min(map.max_entries()).min(fitting).max(1);
    let token_size = map.key_size().max(4);
    let mut entries = Entries::default();
    let mut from: Option<Vec<u8>> = None;
    loop {
        let rows = usize::try_from(count).unwrap_or(usize::MAX);
        let mut to = vec![0_u8; token_size];
        let mut keys = vec![0_u8; map.key_size().saturating_mul(rows)];
        let mut values = vec![0_u8; row.saturating_mul(rows)];
        let step = Batch { from: from.as_deref(), to: &mut to, keys: &mut keys, values: &mut values, count };
        match map.batch(step) {
            Ok((got, more)) => {
                let keys = keys.chunks_exact(map.key_size().max(1));
                let values = values.chunks_exact(row.max(1));
                entries.rows.extend(keys.zip(values).take(got).map(|(key, value)| (key.to_vec(), value.to_vec())));
                if !more {
                    return Ok(entries);
                }
                from = Some(to);
            }
            // A bucket does not fit: nothing of it was read, and the place to go on from is still the last one.
            Err(error) if error.errno == libc::ENOSPC && row.saturating_mul(rows) < BATCH_BYTES_LIMIT => {
                count = count.saturating_mul(2);
            }
            // Before Linux 5.6 there are no batches, and some types of map never got them.
            Err(error) if from.is_none() && matches!(error.errno, libc::EINVAL | libc::EOPNOTSUPP | 524) => {
                return by_key(map);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Reads an array by number: its entries are always there.
pub(super) fn array(map: &Map) -> Result<Entries, Error> {
    let mut entries = Entries::default();
    for number in 0..map.max_entries() {
        let key = number.to_ne_bytes();
        if let Some(value) = map.lookup(&key)? {
            entries.rows.push((key.to_vec(), value));
        }
    }
    Ok(entries)
}

/// Reads a map by walking its keys.
pub(super) fn by_key(map: &Map) -> Result<Entries, Error> {
    let next_key = |last: Option<&[u8]>| {
        let mut next = vec![0_u8; map.key_size()];
        Ok(map.next_key(last, &mut next)?.then_some(next))
    };
    let mut entries = walk(map.max_entries(), next_key, |key| map.lookup(key))?;
    if entries.incomplete.is_some() {
        entries.incomplete = Some(format!("map `{}` changed faster than it could be read", map.name()));
    }
    Ok(entries)
}

/// Walks keys one after the other. The kernel starts at the first key again when the one to go on from is gone, so
/// keys that were seen are skipped, and the walk ends after a number of steps that no unchanging map needs.
fn walk<E>(
    max_entries: u32,
    mut next_key: impl FnMut(Option<&[u8]>) -> Result<Option<Vec<u8>>, E>,
    mut lookup: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, E>,
) -> Result<Entries, E> {
    let mut entries = Entries::default();
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    let mut last: Option<Vec<u8>> = None;
    let limit = u64::from(max_entries).saturating_mul(4).saturating_add(64);
    for _ in 0..limit {
        let Some(next) = next_key(last.as_deref())? else { return Ok(entries) };
        if seen.insert(next.clone()) {
            // A key that is gone by now was not there all the time.
            if let Some(value) = lookup(&next)? {
                entries.rows.push((next.clone(), value));
            }
        }
        last = Some(next);
    }
    entries.incomplete = Some("it changed too fast".to_owned());
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::*;

    /// A map that keeps its order, and that starts again at the first key behind one that is gone.
    fn next_key(map: &BTreeMap<u8, u8>, last: Option<&[u8]>) -> Option<Vec<u8>> {
        let first = map.keys().next().map(|key| vec![*key]);
        match last {
            Some([last]) if map.contains_key(last) => map.range(last + 1..).next().map(|(key, _)| vec![*key]),
            _ => first,
        }
    }

    fn keys(entries: &Entries) -> Vec<u8> {
        entries.rows.iter().map(|(key, _)| key[0]).collect()
    }

    #[test]
    fn an_entry_that_goes_away_under_the_walk_repeats_nothing() {
        let map = RefCell::new((0..10).map(|key| (key, key)).collect::<BTreeMap<u8, u8>>());
        let next = |last: Option<&[u8]>| {
            if last == Some(&[5]) {
                map.borrow_mut().remove(&5);
            }
            Ok::<_, Infallible>(next_key(&map.borrow(), last))
        };
        let Ok(entries) = walk(10, next, |key| Ok(map.borrow().get(&key[0]).map(|value| vec![*value])));
        assert_eq!(keys(&entries), (0..10).collect::<Vec<_>>());
        assert_eq!(entries.incomplete, None);
    }

    #[test]
    fn a_map_that_never_holds_still_ends_and_says_so() {
        let map = RefCell::new((0..10).map(|key| (key, key)).collect::<BTreeMap<u8, u8>>());
        let next = |last: Option<&[u8]>| {
            // The key to go on from is always gone when it is asked for, and back a moment later.
            if let Some([last]) = last {
                map.borrow_mut().remove(last);
            }
            let next = next_key(&map.borrow(), last);
            map.borrow_mut().extend((0..10).map(|key| (key, key)));
            Ok::<_, Infallible>(next)
        };
        let Ok(entries) = walk(10, next, |key| Ok(Some(key.to_vec())));
        assert!(entries.incomplete.is_some());
        assert!(entries.rows.len() <= 10);
    }
}
