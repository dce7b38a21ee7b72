//! What the section holds: a head with a checksum over the whole file, JSON, and the objects of further variants.
//!
//! | bytes | |
//! |---|---|
//! | 8 | `dbcc-obj` |
//! | 4 | version of this layout and of the JSON |
//! | 4 | zero |
//! | 32 | SHA-256 of the file, with these bytes zero |
//! | 8 | length of the JSON |
//! | | the JSON: [`Contents`] |
//! | | the objects of the variants behind the first, one behind another |
//!
//! Numbers are little-endian, as the object's are.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Built, section};
use crate::input::MAX_OBJECT;

const MAGIC: &[u8; 8] = b"dbcc-obj";
/// Changes with the layout, and with what the JSON must hold.
const VERSION: u32 = 1;
/// Where the checksum is in the section.
const CHECKSUM: std::ops::Range<usize> = 16..48;
/// Length of what stands before the JSON.
const HEAD: usize = 56;

/// The most variants of a probe.
const MAX_VARIANTS: usize = 64;

/// Why an object file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuiltError {
    /// It is no ELF file, or not what it says of itself.
    #[error("the object file is damaged: {0}")]
    Damaged(String),
    /// It is not as it was written.
    #[error("the object file is not as `dbcc build` wrote it: its checksum is wrong; build or copy it again")]
    Checksum,
    /// Its layout is not known here.
    #[error(
        "the object file was made by another dbcc (its layout is version {0}, this one knows {VERSION}); build it again"
    )]
    Version(u32),
    /// It is larger than anything plausible.
    #[error("the object file has more than {MAX_OBJECT} bytes")]
    TooLarge,
    /// It cannot be written.
    #[error("cannot write the object file: {0}")]
    Write(String),
}

/// The JSON.
#[derive(Serialize, Deserialize)]
struct Contents {
    built: Built,
    /// Length of the object of each variant behind the first, in bytes.
    objects: Vec<u64>,
}

pub(super) fn write(built: &Built) -> Result<Vec<u8>, BuiltError> {
    let failed = |why: String| BuiltError::Write(why);
    let (first, others) = built.variants.split_first().ok_or_else(|| failed("there is no object".into()))?;
    let mut objects = Vec::new();
    let mut lengths = Vec::new();
    for other in others {
        lengths.push(u64::try_from(other.compiled.elf.len()).unwrap_or(u64::MAX));
        objects.extend_from_slice(&other.compiled.elf);
    }
    let contents = Contents { built: built.clone(), objects: lengths };
    let json = serde_json::to_vec(&contents).map_err(|error| failed(error.to_string()))?;
    let mut payload = Vec::from(MAGIC);
    payload.extend(VERSION.to_le_bytes());
    payload.extend([0; 4 + 32]);
    payload.extend(u64::try_from(json.len()).unwrap_or(u64::MAX).to_le_bytes());
    payload.extend(json);
    payload.extend(objects);
    let mut bytes =
        section::compose(&first.compiled.elf, payload, &first.hidden).map_err(|error| failed(error.to_string()))?;
    seal(&mut bytes).ok_or_else(|| failed("its section .dbcc is not where it should be".into()))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_OBJECT) {
        return Err(BuiltError::TooLarge);
    }
    Ok(bytes)
}

pub(super) fn read(bytes: &[u8]) -> Result<Option<Built>, BuiltError> {
    let damaged = |why: &str| BuiltError::Damaged(why.to_owned());
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_OBJECT) {
        return Err(BuiltError::TooLarge);
    }
    let place = section::find(bytes).map_err(|error| damaged(&error.to_string()))?;
    let Some(place) = place else { return Ok(None) };
    let payload = bytes.get(place.clone()).filter(|payload| payload.len() >= HEAD && payload.starts_with(MAGIC));
    let payload = payload.ok_or_else(|| damaged("its section .dbcc is not dbcc's, or is cut short"))?;
    let version = number::<4>(payload, 8).map(u32::from_le_bytes).unwrap_or_default();
    if version != VERSION {
        return Err(BuiltError::Version(version));
    }
    if checksum(bytes, place.start).as_ref().map(<[u8; 32]>::as_slice) != payload.get(CHECKSUM) {
        return Err(BuiltError::Checksum);
    }
    let length = number::<8>(payload, HEAD - 8).map(u64::from_le_bytes).unwrap_or(u64::MAX);
    let rest = payload.get(HEAD..).unwrap_or_default();
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let (json, mut rest) = rest.split_at_checked(length).ok_or_else(|| damaged("its section .dbcc is cut short"))?;
    let Contents { mut built, objects } =
        serde_json::from_slice(json).map_err(|error| damaged(&format!("its section .dbcc: {error}")))?;
    if built.variants.len() != objects.len() + 1 || built.variants.len() > MAX_VARIANTS {
        return Err(damaged("it does not hold the objects that it says"));
    }
    for (index, variant) in built.variants.iter_mut().enumerate() {
        let mut elf = match index.checked_sub(1).and_then(|index| objects.get(index)) {
            None => bytes.to_vec(),
            Some(length) => {
                let length = usize::try_from(*length).unwrap_or(usize::MAX);
                let (elf, behind) =
                    rest.split_at_checked(length).ok_or_else(|| damaged("an object in it is cut short"))?;
                rest = behind;
                elf.to_vec()
            }
        };
        section::show(&mut elf, &variant.hidden).map_err(|error| damaged(&error.to_string()))?;
        variant.compiled.elf = elf;
    }
    Ok(Some(built))
}

/// Writes the checksum of a file into its section; none where it has none.
pub(super) fn seal(bytes: &mut [u8]) -> Option<()> {
    let section = section::find(bytes).ok()??;
    let checksum = checksum(bytes, section.start)?;
    bytes.get_mut(section)?.get_mut(CHECKSUM)?.copy_from_slice(&checksum);
    Some(())
}

/// The SHA-256 of a file whose section starts at an offset, the bytes of the checksum taken for zero.
fn checksum(bytes: &[u8], section: usize) -> Option<[u8; 32]> {
    let before = bytes.get(..section.checked_add(CHECKSUM.start)?)?;
    let behind = bytes.get(section.checked_add(CHECKSUM.end)?..)?;
    Some(Sha256::new().chain_update(before).chain_update([0; 32]).chain_update(behind).finalize().into())
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
