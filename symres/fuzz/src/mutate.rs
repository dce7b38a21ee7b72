//! Changes to inputs that are lists of parts.

use crate::image::{self, Part};

/// Changes one part of an input by `change` (bytes and seed to new bytes), or the list of parts itself, and keeps the input
/// below `max` bytes. The same seed makes the same change.
pub fn mutate(input: &[u8], max: usize, seed: u32, mut change: impl FnMut(&[u8], usize) -> Vec<u8>) -> Vec<u8> {
    let mut parts = image::decode(input);
    let number = usize::try_from(seed / 32).unwrap_or_default();
    let count = parts.len();
    let pick = number.checked_rem(count).unwrap_or_default();
    match (seed % 32, count) {
        (_, 0) => parts.push(Part { kind: low_byte(seed / 32) % 64, flags: 0, bytes: change(&[], max.min(64)) }),
        (0, _) => {
            parts.remove(pick);
        }
        (1, _) => {
            if let Some(part) = parts.get(pick).cloned() {
                parts.push(part);
            }
        }
        (2, _) => {
            let kind = match number % 8 {
                0 => image::PATTERN,
                _ => low_byte(seed / 256) % u8::try_from(image::ROWS.len()).unwrap_or(u8::MAX),
            };
            parts.push(Part { kind, flags: 0, bytes: change(&[], max.min(64)) });
        }
        (3, _) => {
            if let Some(part) = parts.get_mut(pick) {
                part.flags ^= 1 << (number / count % 4);
            }
        }
        (4, _) => {
            // The bytes of one section under the name of another.
            if let Some(part) = parts.get_mut(pick) {
                part.kind = low_byte(seed / 256) % u8::try_from(image::ROWS.len()).unwrap_or(u8::MAX);
            }
        }
        _ => {
            let others: usize = parts.iter().map(|part| part.bytes.len() + 6).sum();
            if let Some(part) = parts.get_mut(pick) {
                let most = max.saturating_sub(others - part.bytes.len());
                part.bytes = change(&part.bytes, most);
            }
        }
    }
    let mut output = image::encode(&parts);
    output.truncate(max);
    output
}

fn low_byte(number: u32) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low
}
