//! How a compiled probe is kept: one file that says what it is of, and whose checksum tells whether it is whole.

use std::io;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::facts::Compiled;
use crate::source::Source;

/// How a file starts; changes with its layout.
const MAGIC: &[u8; 8] = b"dbcc\x002\r\n";
/// The most bytes that tell what an entry is of.
const MAX_HEAD: usize = 64 << 10;
/// As many bytes of a file as [`label`] needs.
pub(super) const START: u64 = 8 + 32 + 8 + MAX_HEAD as u64;

/// What an entry is of, for people.
#[derive(Serialize, Deserialize)]
struct Head {
    /// The probe's file, or the name of a built-in probe.
    probe: String,
}

/// An entry: magic, digest of the rest, length of the head, head, length of the JSON, JSON, object. Lengths have 8 bytes,
/// little-endian.
pub(super) fn encode(probe: &str, compiled: &Compiled) -> io::Result<Vec<u8>> {
    let head = serde_json::to_vec(&Head { probe: probe.to_owned() })?;
    if head.len() > MAX_HEAD {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the probe's path is too long"));
    }
    let json = serde_json::to_vec(compiled)?;
    let parts = [&length(&head)[..], &head, &length(&json)[..], &json, &compiled.elf];
    let digest = parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part)).finalize();
    Ok([MAGIC.as_slice(), &digest, &parts.concat()].concat())
}

/// What was kept; none where the bytes are not what was written.
pub(super) fn decode(bytes: &[u8]) -> Option<Compiled> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (digest, payload) = rest.split_first_chunk::<32>()?;
    if Sha256::digest(payload).as_slice() != digest {
        return None;
    }
    let (_, rest) = part(payload)?;
    let (json, elf) = part(rest)?;
    let mut compiled: Compiled = serde_json::from_slice(json).ok()?;
    compiled.elf = elf.to_vec();
    Some(compiled)
}

/// What an entry is of, by its first [`START`] bytes; none where they do not say.
pub(super) fn label(bytes: &[u8]) -> Option<String> {
    let rest = bytes.strip_prefix(MAGIC)?.get(32..)?;
    let (head, _) = part(rest)?;
    serde_json::from_slice::<Head>(head).ok().map(|head| head.probe)
}

/// How people know a probe: the path of its file, or the name of a built-in one.
pub(super) fn name(source: &Source) -> String {
    let file = std::path::Path::new(&source.name).file_name();
    let path = source.dir.as_ref().zip(file).map(|(dir, file)| dir.join(file));
    let path = path.map(|path| std::path::absolute(&path).unwrap_or(path));
    path.map_or_else(|| source.name.clone(), |path| path.display().to_string())
}

fn length(part: &[u8]) -> [u8; 8] {
    u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes()
}

/// A part behind its length, and what follows.
fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
}
