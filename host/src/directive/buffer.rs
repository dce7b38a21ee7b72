//! How large the buffers of events are made.

use super::is_identifier;
use crate::source::Span;

/// What is written where a size is not understood.
pub(super) const HELP: &str =
    "write `//@ buffer MAP SIZE`, with a SIZE such as 512K, 4M or, for each CPU as in BCC, 64pages";

/// Bytes of a page, as far as sizes are counted in them.
const PAGE: u64 = 4096;

/// The most that a buffer may have: the kernel's limit for a ring buffer is 4 GiB, and all of it is memory that is gone.
const MOST: u64 = 1 << 30;

/// The size of the buffer of one map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buffer {
    /// Name of the map.
    pub map: String,
    /// Its size.
    pub size: BufferSize,
    /// Where the directive stands.
    pub span: Span,
}

/// How large a buffer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BufferSize {
    /// Bytes, of the buffers of all CPUs together.
    Bytes(u64),
    /// Pages for each CPU.
    Pages(u64),
}

impl BufferSize {
    /// Bytes of a ring buffer on a machine of so many CPUs: a power of two, and whole pages.
    pub fn ring_bytes(self, cpus: usize) -> u32 {
        let cpus = u64::try_from(cpus.max(1)).unwrap_or(u64::MAX);
        let bytes = match self {
            Self::Bytes(bytes) => bytes,
            Self::Pages(pages) => pages.saturating_mul(PAGE).saturating_mul(cpus),
        };
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(PAGE);
        u32::try_from(bytes.clamp(page, MOST).next_power_of_two()).unwrap_or(1 << 30)
    }

    /// Pages of each CPU's perf buffer on a machine of so many CPUs: a power of two.
    pub fn pages(self, cpus: usize) -> usize {
        let cpus = u64::try_from(cpus.max(1)).unwrap_or(u64::MAX);
        let pages = match self {
            Self::Bytes(bytes) => bytes.div_ceil(PAGE).div_ceil(cpus),
            Self::Pages(pages) => pages,
        };
        usize::try_from(pages.clamp(1, MOST / PAGE).next_power_of_two()).unwrap_or(1)
    }
}

/// Reads `MAP SIZE`.
pub(super) fn buffer(text: &str, span: Span) -> Result<Buffer, String> {
    let (map, size) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    if !is_identifier(map) {
        return Err(format!("`{map}` is no name of a map"));
    }
    Ok(Buffer { map: map.to_owned(), size: parse_size(size)?, span })
}

/// Reads a size: bytes, with `K`, `M` or `G` for multiples of 1024, or pages of each CPU, as in `64pages`.
///
/// # Errors
/// When it cannot be understood, is 0, or is more than 1 GiB.
pub fn parse_size(text: &str) -> Result<BufferSize, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let wrong = || format!("`{text}` is no size of a buffer; write 512K, 4M or 64pages");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let size = match unit.trim() {
        "" => BufferSize::Bytes(number),
        "K" | "k" | "KiB" => BufferSize::Bytes(number.saturating_mul(1 << 10)),
        "M" | "m" | "MiB" => BufferSize::Bytes(number.saturating_mul(1 << 20)),
        "G" | "g" | "GiB" => BufferSize::Bytes(number.saturating_mul(1 << 30)),
        "pages" | "page" => BufferSize::Pages(number),
        _ => return Err(wrong()),
    };
    let bytes = match size {
        BufferSize::Bytes(bytes) => bytes,
        BufferSize::Pages(pages) => pages.saturating_mul(PAGE),
    };
    if bytes == 0 || bytes > MOST {
        return Err(format!("`{text}` is out of range: buffers have from one byte, which means one page, to 1G"));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_size("512K"), Ok(BufferSize::Bytes(512 << 10)));
        assert_eq!(parse_size(" 4M"), Ok(BufferSize::Bytes(4 << 20)));
        assert_eq!(parse_size("65536"), Ok(BufferSize::Bytes(65536)));
        assert_eq!(parse_size("64pages"), Ok(BufferSize::Pages(64)));
        assert_eq!(parse_size("64 pages"), Ok(BufferSize::Pages(64)));
        for wrong in ["", "M", "-1", "1.5M", "0", "0pages", "2G", "4T", "99999999999999999999", "1000000pages"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_kernel_gets_powers_of_two() {
        assert_eq!(BufferSize::Bytes(3 << 20).ring_bytes(2), 4 << 20);
        assert_eq!(BufferSize::Bytes(1).ring_bytes(2), u32::try_from(rustix::param::page_size()).unwrap());
        assert_eq!(BufferSize::Bytes(1 << 30).ring_bytes(2), 1 << 30);
        assert_eq!(BufferSize::Pages(64).ring_bytes(4), 1 << 20);
        assert_eq!(BufferSize::Pages(u64::MAX).ring_bytes(4096), 1 << 30);
        assert_eq!(BufferSize::Bytes(1 << 20).pages(2), 128);
        assert_eq!(BufferSize::Bytes(1 << 20).pages(3), 128);
        assert_eq!(BufferSize::Bytes(1).pages(64), 1);
        assert_eq!(BufferSize::Pages(64).pages(64), 64);
        assert_eq!(BufferSize::Pages(3).pages(1), 4);
    }
}
