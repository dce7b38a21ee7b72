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

/// Walks keys one after the other. The kernel starts at the first key again when the one to go on from is gone, so
/// keys that were seen are skipped, and the walk ends after a number of steps that no unchanging map needs.
pub(super) fn by_key(map: &Map) -> Result<Entries, Error> {
    let mut entries = Entries::default();
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    let mut last: Option<Vec<u8>> = None;
    let mut again = 0_u64;
    let limit = u64::from(map.max_entries()).saturating_mul(3).saturating_add(64);
    loop {
        let mut next = vec![0_u8; map.key_size()];
        if !map.next_key(last.as_deref(), &mut next)? {
            return Ok(entries);
        }
        if seen.insert(next.clone()) {
            // A key that is gone by now was not there all the time.
            if let Some(value) = map.lookup(&next)? {
                entries.rows.push((next.clone(), value));
            }
        } else {
            again += 1;
        }
        if again > limit || u64::try_from(seen.len()).is_ok_and(|seen| seen > limit) {
            entries.incomplete = Some(format!("map `{}` changed faster than it could be read", map.name()));
            return Ok(entries);
        }
        last = Some(next);
    }
}
