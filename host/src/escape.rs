//! Text from outside, made harmless: what a traced program or a binary calls itself must not control the terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Bytes as text: bytes that are no UTF-8 become `\xNN`.
pub(crate) fn readable(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}"); // writing to a String cannot fail
        }
    }
    Cow::Owned(out)
}

/// Text on one line, without anything that a terminal obeys: control characters become `\n`, `\t`, `\r` or `\u{…}`,
/// and so do those that turn the direction of writing.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: &u8| (b' '..0x7f).contains(byte);
    if text.as_bytes().iter().all(is_plain) || !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmful(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Controls (C0, delete, C1), line and paragraph separators, and the marks and overrides of direction of Unicode's
/// bidirectional algorithm (UAX #9).
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
