//! MiniDebugInfo: `.gnu_debugdata`, an ELF file with a symbol table of what `.dynsym` leaves out, packed by `xz` into the
//! binary itself (GDB's documentation, "Debugging information in a special section"). Fedora ships its packages so.

use crate::elf::Elf;
use crate::file::Contents;

/// The section holds a symbol table; the largest known ones are some megabytes packed.
const MAX_PACKED: u64 = 64 << 20;
/// The most that it unpacks to.
const MAX_UNPACKED: u64 = 512 << 20;
/// Symbols shrink to a tenth or so.
const MAX_RATIO: u64 = 64;
/// What unpacks to less than this is unpacked whatever its factor.
const SMALL: u64 = 1 << 20;

/// The packed file: none when there is none, the reason when it cannot be read.
pub(super) fn unpack(binary: &Elf) -> Option<Result<Elf, String>> {
    let section = match binary.section_data(".gnu_debugdata") {
        Ok(section) => section.filter(|section| section.len() > 0)?,
        Err(error) => return Some(Err(error.to_string())),
    };
    let unpacked = || {
        if section.len() > MAX_PACKED {
            return Err(format!("`.gnu_debugdata` of {} bytes is beyond the limit of {MAX_PACKED}", section.len()));
        }
        let packed = section.all().map_err(|error| error.to_string())?;
        let bytes = unxz(&packed).map_err(|why| format!("`.gnu_debugdata`: {why}"))?;
        let contents = Contents::part_in_memory(bytes, binary.contents.path().to_owned());
        Elf::parse_debug(contents).map_err(|error| format!("`.gnu_debugdata`: {error}"))
    };
    Some(unpacked())
}

/// Unpacks an `.xz` file.
fn unxz(packed: &[u8]) -> Result<Vec<u8>, String> {
    // The decoder holds a whole block in memory before anything can be said about its size. What the file says about its
    // blocks is at its end and need not be true, but each chunk of a block says how much it holds, and the decoder stops
    // there: these are added up first.
    let size = unpacked_size(packed).ok_or("it is not an xz file, or damaged")?;
    if size > MAX_UNPACKED || size > SMALL && size / MAX_RATIO > packed.len() as u64 {
        return Err(format!("it says to hold {size} bytes packed in {}", packed.len()));
    }
    let mut bytes = Vec::new();
    lzma_rs::xz_decompress(&mut &*packed, &mut bytes).map_err(|error| match error {
        lzma_rs::error::Error::IoError(error) => error.to_string(),
        lzma_rs::error::Error::HeaderTooShort(error) => error.to_string(),
        lzma_rs::error::Error::LzmaError(why) | lzma_rs::error::Error::XzError(why) => why,
    })?;
    Ok(bytes)
}

/// What the chunks of all blocks hold together. Layout: "The .xz File Format", sections 2.1, 3.1 and 5.3.1, and for the
/// chunks of LZMA2 the first bytes of each as the reference implementation (`lzma2_decoder.c`) reads them.
fn unpacked_size(packed: &[u8]) -> Option<u64> {
    let byte = |at: usize| packed.get(at).copied();
    let half = |at: usize| Some(u64::from(byte(at)?) << 8 | u64::from(byte(at + 1)?));
    if !packed.starts_with(b"\xfd7zXZ\0") {
        return None;
    }
    // The size of each block's checksum, by the type in the stream's flags.
    let check = match byte(7)? {
        0 => 0,
        1 => 4,
        4 => 8,
        10 => 32,
        _ => return None,
    };
    let mut at = 12;
    let mut size = 0_u64;
    // Each round goes on by four bytes at least.
    loop {
        let header = usize::from(byte(at)?);
        if header == 0 {
            return Some(size);
        }
        let block = at;
        at += (header + 1) * 4;
        loop {
            let control = byte(at)?;
            let (head, holds, takes) = match control {
                0 => break,
                1 | 2 => (3, half(at + 1)? + 1, half(at + 1)? + 1),
                0x80.. => {
                    let properties = usize::from(control >= 0xc0);
                    let holds = (u64::from(control & 0x1f) << 16) + half(at + 1)? + 1;
                    (5 + properties, holds, half(at + 3)? + 1)
                }
                _ => return None,
            };
            at = at.checked_add(head)?.checked_add(usize::try_from(takes).ok()?)?;
            size = size.checked_add(holds)?;
        }
        at += 1;
        at = block + (at - block).next_multiple_of(4) + check;
    }
}
