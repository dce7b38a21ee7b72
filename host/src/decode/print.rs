//! Records of `bpf_trace_printk` and `bpf_printk`: `struct dbcc_print` of templates/dbcc/print.h and a C format.

use crate::facts::PrintFact;

/// Bytes of a record before its arguments.
const HEAD: usize = 48;
/// Bytes of each text slot behind the arguments (`DBCC_PRINT_TEXT`).
const TEXT: usize = 64;
/// Widest field and most digits that a format can ask for; no terminal is wider.
const MAX_WIDTH: usize = 1024;

/// A line that a probe printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Print {
    /// When: nanoseconds of CLOCK_MONOTONIC.
    pub ns: u64,
    /// Process (thread group) in whose context it was printed.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// Command name of the thread.
    pub comm: String,
    /// The CPU.
    pub cpu: u32,
    /// The formatted text without its last line end.
    pub message: String,
}

/// Why a record of a print cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrintError {
    /// It is too short for what it says that it holds.
    #[error("a record of bpf_trace_printk has only {length} bytes")]
    Short {
        /// Its length in bytes.
        length: usize,
    },
    /// It is of a call that the probe does not have.
    #[error("a record of bpf_trace_printk is of call {id}, but the probe has only {calls}")]
    UnknownCall {
        /// The number in the record.
        id: u32,
        /// How many calls the probe has.
        calls: usize,
    },
}

/// Formats a record; `calls` are the probe's prints.
///
/// The conversions are those of the kernel's bpf_trace_printk: `%d %i %u %x %X %o %c %s %p` with the lengths `hh h l ll
/// z`, flags, width and precision, and `%%`. Others are shown as they are written, and so are conversions without an
/// argument.
///
/// # Errors
/// When the record is too short, or of a call that the probe does not have.
pub fn decode_print(record: &[u8], calls: &[PrintFact]) -> Result<Print, PrintError> {
    let short = PrintError::Short { length: record.len() };
    let (Some(ns), Some(pid), Some(tid)) = (u64_at(record, 0), u32_at(record, 8), u32_at(record, 12)) else {
        return Err(short);
    };
    let (Some(cpu), Some(id), Some(count)) = (u32_at(record, 32), u32_at(record, 36), u32_at(record, 40)) else {
        return Err(short);
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let end = count.checked_mul(8).and_then(|length| length.checked_add(HEAD));
    let arguments = end.and_then(|end| record.get(HEAD..end)).ok_or_else(|| short.clone())?;
    let texts = end.and_then(|end| record.get(end..)).unwrap_or_default();
    let index = usize::try_from(id).unwrap_or(usize::MAX);
    let call = calls.get(index).ok_or(PrintError::UnknownCall { id, calls: calls.len() })?;
    let mut message = format(&call.format, arguments, texts);
    if message.ends_with('\n') {
        message.pop();
    }
    let comm = lossy(record.get(16..32).unwrap_or_default());
    Ok(Print { ns, pid, tid, comm, cpu, message })
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Text up to its first NUL.
fn lossy(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// A conversion: what stands between `%` and its letter, with it.
#[derive(Debug, Default, Clone, Copy)]
struct Conversion {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
    bits: u32,
    letter: char,
}

fn format(format: &str, arguments: &[u8], texts: &[u8]) -> String {
    let mut arguments = arguments.chunks_exact(8).filter_map(|bytes| u64_at(bytes, 0));
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let written = match parse(from, &mut arguments) {
            Some((length, conversion)) if conversion.letter == '%' => {
                out.push('%');
                length
            }
            Some((length, conversion)) => match arguments.next() {
                Some(argument) => {
                    convert(conversion, argument, texts, &mut out);
                    length
                }
                None => copy(from, length, &mut out),
            },
            None => copy(from, 1, &mut out),
        };
        rest = from.get(written..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Shows a conversion as it is written.
fn copy(from: &str, length: usize, out: &mut String) -> usize {
    out.push_str(from.get(..length).unwrap_or_default());
    length
}

/// Reads a conversion that `from` starts with: its length and what it asks for; none where it is not known.
fn parse(from: &str, arguments: &mut impl Iterator<Item = u64>) -> Option<(usize, Conversion)> {
    let bytes = from.as_bytes();
    let mut at = 1;
    let mut found = Conversion { bits: 32, ..Conversion::default() };
    loop {
        match bytes.get(at)? {
            b'-' => found.left = true,
            b'0' => found.zero = true,
            b'+' => found.plus = true,
            b' ' => found.space = true,
            b'#' => found.alternate = true,
            _ => break,
        }
        at += 1;
    }
    let mut number = |at: &mut usize| {
        if bytes.get(*at) == Some(&b'*') {
            *at += 1;
            return arguments.next().and_then(|width| usize::try_from(width).ok()).unwrap_or(0).min(MAX_WIDTH);
        }
        let mut number = 0usize;
        while let Some(digit) = bytes.get(*at).filter(|byte| byte.is_ascii_digit()) {
            number = (number * 10 + usize::from(digit - b'0')).min(MAX_WIDTH);
            *at += 1;
        }
        number
    };
    found.width = number(&mut at);
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        found.precision = Some(number(&mut at));
    }
    loop {
        match bytes.get(at)? {
            b'l' | b'z' | b'j' | b't' | b'L' => found.bits = 64,
            b'h' => found.bits = if found.bits == 16 { 8 } else { 16 },
            _ => break,
        }
        at += 1;
    }
    found.letter = char::from(*bytes.get(at)?);
    at += 1;
    match found.letter {
        'p' => {
            // The kernel's own suffixes (%px, %pK, %pS, …) do not change that it is an address.
            at += usize::from(bytes.get(at).is_some_and(|next| b"xKBsS".contains(next)));
        }
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'c' | 's' | '%' => {}
        _ => return None,
    }
    Some((at, found))
}

fn convert(conversion: Conversion, argument: u64, texts: &[u8], out: &mut String) {
    let unused = 64 - conversion.bits;
    let unsigned = argument << unused >> unused;
    let signed = argument.cast_signed() << unused >> unused;
    let (sign, digits) = match conversion.letter {
        'd' | 'i' => {
            let sign = match (signed < 0, conversion.plus, conversion.space) {
                (true, ..) => "-",
                (_, true, _) => "+",
                (_, _, true) => " ",
                _ => "",
            };
            (sign, signed.unsigned_abs().to_string())
        }
        'u' => ("", unsigned.to_string()),
        'x' => (if conversion.alternate && unsigned != 0 { "0x" } else { "" }, format!("{unsigned:x}")),
        'X' => (if conversion.alternate && unsigned != 0 { "0X" } else { "" }, format!("{unsigned:X}")),
        'o' => ("", format!("{unsigned:o}")),
        'p' => ("0x", format!("{argument:x}")),
        'c' => {
            let byte = u8::try_from(argument & 0xff).unwrap_or_default();
            return pad(conversion, &String::from_utf8_lossy(&[byte]), out);
        }
        _ => {
            let slot = usize::try_from(argument).ok().and_then(|slot| slot.checked_mul(TEXT));
            let slot = slot.and_then(|at| texts.get(at..at.checked_add(TEXT)?));
            let text = lossy(slot.unwrap_or_default());
            let length = conversion.precision.unwrap_or(usize::MAX);
            return pad(conversion, &text.chars().take(length).collect::<String>(), out);
        }
    };
    let digits = if conversion.precision == Some(0) && digits == "0" { String::new() } else { digits };
    let wanted = conversion.precision.unwrap_or(0).saturating_sub(digits.len());
    let mut digits = "0".repeat(wanted) + &digits;
    if conversion.letter == 'o' && conversion.alternate && !digits.starts_with('0') {
        digits.insert(0, '0');
    }
    // C ignores the flag 0 where there is a precision or the flag -.
    let zero = conversion.zero && !conversion.left && conversion.precision.is_none();
    let filling = if zero { conversion.width.saturating_sub(sign.len() + digits.len()) } else { 0 };
    pad(conversion, &format!("{sign}{}{digits}", "0".repeat(filling)), out);
}

fn pad(conversion: Conversion, text: &str, out: &mut String) {
    let blanks = " ".repeat(conversion.width.saturating_sub(text.chars().count()));
    if conversion.left {
        out.push_str(text);
        out.push_str(&blanks);
    } else {
        out.push_str(&blanks);
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests;
