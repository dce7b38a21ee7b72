//! Where a USDT probe's arguments are: `-4@%edi 8@-16(%rbp) 4@$7`, as the compiler's assembler operands.

/// More arguments are not looked at: `<sys/sdt.h>` knows 12.
const MAX_ARGUMENTS: usize = 64;

/// An argument of a USDT probe at one place in the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsdtArgument {
    /// As the note has it.
    pub text: String,
    /// Its size in bytes; none where the note does not say.
    pub size: Option<u8>,
    /// Whether it is a signed number.
    pub signed: bool,
    /// Whether it is a floating point number.
    pub float: bool,
    /// Where its value is.
    pub place: UsdtPlace,
}

/// Where the value of an argument is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsdtPlace {
    /// It is this number.
    Constant(i64),
    /// In a register, by the assembler's name without `%`.
    Register(String),
    /// In memory.
    Memory {
        /// The register that holds the address, or its base.
        base: Option<String>,
        /// A register that is added to it, and what it is multiplied by.
        index: Option<(String, u8)>,
        /// What is added, in bytes.
        offset: i64,
        /// A symbol whose address is added: a global variable (with the base `rip`, its distance is meant).
        symbol: Option<String>,
    },
    /// In a form that is not known.
    Unknown,
}

impl UsdtArgument {
    /// Why BPF programs cannot read it; none where they can.
    pub fn unreadable(&self) -> Option<&'static str> {
        match &self.place {
            UsdtPlace::Register(name) if is_vector(name) => {
                Some("it is in a floating point register, which the kernel does not hand to probes")
            }
            UsdtPlace::Memory { symbol: Some(_), .. } => Some("it is in a global variable, given by its symbol"),
            UsdtPlace::Unknown => Some("its place is written in an unknown form"),
            UsdtPlace::Constant(_) | UsdtPlace::Register(_) | UsdtPlace::Memory { .. } => match self.size {
                Some(1 | 2 | 4 | 8) => None,
                _ => Some("its size is not 1, 2, 4 or 8 bytes"),
            },
        }
    }
}

/// Whether a register is one for floating point numbers and vectors: x86-64 `xmm0`, `ymm0`, `zmm0`, `st`; arm64 `v0`,
/// `q0`, `d0`, `s0`, `h0`, `b0`.
fn is_vector(name: &str) -> bool {
    let x86 = ["xmm", "ymm", "zmm", "mm", "st"].iter().any(|prefix| {
        name.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b"()".contains(&b)))
    });
    let arm = name.strip_prefix(['v', 'q', 'd', 's', 'h', 'b']);
    x86 || arm.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

/// Takes the arguments of a note apart.
pub(super) fn parse(text: &str) -> Vec<UsdtArgument> {
    let mut rest = text.trim();
    let mut arguments = Vec::new();
    while !rest.is_empty() && arguments.len() < MAX_ARGUMENTS {
        let (one, behind) = split(rest);
        arguments.push(argument(one.trim()));
        rest = behind.trim_start();
    }
    arguments
}

/// The first argument, and the others: a blank separates, except inside of brackets (`-4@[sp, 96]`).
fn split(text: &str) -> (&str, &str) {
    let mut depth = 0_u32;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth = depth.saturating_add(1),
            b')' | b']' => depth = depth.saturating_sub(1),
            b' ' | b'\t' if depth == 0 => return text.split_at_checked(at).unwrap_or((text, "")),
            _ => {}
        }
    }
    (text, "")
}

fn argument(text: &str) -> UsdtArgument {
    let unknown =
        |size, signed, float| UsdtArgument { text: text.to_owned(), size, signed, float, place: UsdtPlace::Unknown };
    let Some((size, operand)) = text.split_once('@') else { return unknown(None, false, false) };
    let (digits, float) = match size.strip_suffix('f') {
        Some(digits) => (digits, true),
        None => (size, false),
    };
    let (digits, signed) = match digits.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (digits, false),
    };
    let size = digits.parse::<u8>().ok().filter(|size| *size > 0);
    UsdtArgument { place: place(operand.trim()).unwrap_or(UsdtPlace::Unknown), ..unknown(size, signed, float) }
}

fn place(operand: &str) -> Option<UsdtPlace> {
    if let Some(number) = operand.strip_prefix(['$', '#']) {
        return integer(number).map(UsdtPlace::Constant);
    }
    if let Some(register) = operand.strip_prefix('%') {
        return Some(UsdtPlace::Register(word(register)?));
    }
    // arm64: [base], [base, offset]
    if let Some(inside) = operand.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let (base, offset) = inside.split_once(',').unwrap_or((inside, "0"));
        let offset = offset.trim();
        let offset = integer(offset.strip_prefix('#').unwrap_or(offset))?;
        return Some(UsdtPlace::Memory { base: Some(word(base.trim())?), index: None, offset, symbol: None });
    }
    // x86-64: displacement(%base, %index, scale)
    if let Some((displacement, inside)) = operand.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
        let (offset, symbol) = displaced(displacement.trim())?;
        let mut parts = inside.split(',').map(str::trim);
        let register = |text: &str| word(text.strip_prefix('%')?);
        let base = match parts.next()? {
            "" => None,
            text => Some(register(text)?),
        };
        let index = match (parts.next(), parts.next().unwrap_or("1")) {
            (None, _) => None,
            (Some(index), scale) => {
                let scale = scale.parse().ok().filter(|scale| [1, 2, 4, 8].contains(scale))?;
                Some((register(index)?, scale))
            }
        };
        return parts.next().is_none().then_some(UsdtPlace::Memory { base, index, offset, symbol });
    }
    if let Some(number) = integer(operand) {
        return Some(UsdtPlace::Constant(number));
    }
    // arm64 writes registers without a sign, x86-64 global variables.
    let is_register = |name: &str| {
        name == "sp"
            || name
                .strip_prefix(['x', 'w', 'v', 'q', 'd', 's', 'h', 'b'])
                .is_some_and(|rest| (1..=2).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if is_register(operand) {
        return Some(UsdtPlace::Register(operand.to_owned()));
    }
    match displaced(operand)? {
        (offset, Some(symbol)) => Some(UsdtPlace::Memory { base: None, index: None, offset, symbol: Some(symbol) }),
        (_, None) => None,
    }
}

/// A displacement: a number, a symbol, or the sum of both (`-8`, `count`, `count+4`, `4+count`).
fn displaced(text: &str) -> Option<(i64, Option<String>)> {
    if text.is_empty() {
        return Some((0, None));
    }
    if let Some(number) = integer(text) {
        return Some((number, None));
    }
    let mut offset = 0_i64;
    let mut symbol = None;
    let mut rest = text;
    while !rest.is_empty() {
        let start = usize::from(rest.starts_with(['+', '-']));
        let end = rest.get(start..)?.find(['+', '-']).map_or(rest.len(), |at| at + start);
        let (term, behind) = rest.split_at_checked(end)?;
        let bare = term.strip_prefix('+').unwrap_or(term);
        match integer(bare) {
            Some(number) => offset = offset.checked_add(number)?,
            None if symbol.is_none() => symbol = Some(symbol_name(bare)?),
            None => return None,
        }
        rest = behind;
    }
    Some((offset, symbol))
}

fn symbol_name(text: &str) -> Option<String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.$@".contains(&byte);
    (!text.is_empty() && text.bytes().all(good)).then(|| text.to_owned())
}

fn word(text: &str) -> Option<String> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| text.to_owned())
}

/// A number: decimal or hexadecimal, up to the largest of 64 bits without sign.
fn integer(text: &str) -> Option<i64> {
    let (digits, negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.bytes().next().filter(u8::is_ascii_digit).and_then(|_| digits.parse().ok())?,
    };
    let value = value.cast_signed();
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (Option<u8>, bool, UsdtPlace) {
        let parsed = parse(text);
        assert_eq!(parsed.len(), 1, "{text}: {parsed:?}");
        let UsdtArgument { size, signed, place, .. } = parsed[0].clone();
        (size, signed, place)
    }

    fn memory(base: Option<&str>, index: Option<(&str, u8)>, offset: i64, symbol: Option<&str>) -> UsdtPlace {
        UsdtPlace::Memory {
            base: base.map(str::to_owned),
            index: index.map(|(name, scale)| (name.to_owned(), scale)),
            offset,
            symbol: symbol.map(str::to_owned),
        }
    }

    #[test]
    fn operands_of_x86_64() {
        assert_eq!(one("-4@%edi"), (Some(4), true, UsdtPlace::Register("edi".into())));
        assert_eq!(one("8@%r15"), (Some(8), false, UsdtPlace::Register("r15".into())));
        assert_eq!(one("1@$-9"), (Some(1), false, UsdtPlace::Constant(-9)));
        assert_eq!(one("8@$18446744073709551615"), (Some(8), false, UsdtPlace::Constant(-1)));
        assert_eq!(one("-2@-1204(%rbp)"), (Some(2), true, memory(Some("rbp"), None, -1204, None)));
        assert_eq!(one("8@(%rsp)"), (Some(8), false, memory(Some("rsp"), None, 0, None)));
        assert_eq!(one("4@-8(%rax,%rbx,4)"), (Some(4), false, memory(Some("rax"), Some(("rbx", 4)), -8, None)));
        assert_eq!(one("4@(%rax,%rbx)"), (Some(4), false, memory(Some("rax"), Some(("rbx", 1)), 0, None)));
        assert_eq!(one("4@(,%rbx,8)"), (Some(4), false, memory(None, Some(("rbx", 8)), 0, None)));
        assert_eq!(one("-4@count(%rip)"), (Some(4), true, memory(Some("rip"), None, 0, Some("count"))));
        assert_eq!(one("-4@count+16(%rip)"), (Some(4), true, memory(Some("rip"), None, 16, Some("count"))));
        assert_eq!(one("-4@16+count(%rip)"), (Some(4), true, memory(Some("rip"), None, 16, Some("count"))));
        assert_eq!(one("4@count"), (Some(4), false, memory(None, None, 0, Some("count"))));
    }

    #[test]
    fn operands_of_arm64() {
        assert_eq!(one("-4@[sp, 96]"), (Some(4), true, memory(Some("sp"), None, 96, None)));
        assert_eq!(one("8@[x1]"), (Some(8), false, memory(Some("x1"), None, 0, None)));
        assert_eq!(one("4@x0"), (Some(4), false, UsdtPlace::Register("x0".into())));
        assert_eq!(one("4@5"), (Some(4), false, UsdtPlace::Constant(5)));
    }

    #[test]
    fn what_probes_cannot_read() {
        let why = |text: &str| parse(text)[0].unreadable();
        assert_eq!(why("8@%rax"), None);
        assert_eq!(why("8@-8(%rbp)"), None);
        assert!(why("8f@%xmm0").unwrap().contains("floating"));
        assert!(parse("8f@%xmm0")[0].float);
        assert!(why("4@count(%rip)").unwrap().contains("global"));
        assert!(why("16@%rax").unwrap().contains("size"));
        assert!(why("%rax").unwrap().contains("unknown"));
    }

    #[test]
    fn several_are_separated_by_blanks_outside_of_brackets() {
        let texts = |text: &str| parse(text).into_iter().map(|argument| argument.text).collect::<Vec<_>>();
        assert_eq!(texts("8@%rax -4@$7  1@(%rsp)"), ["8@%rax", "-4@$7", "1@(%rsp)"]);
        assert_eq!(texts("-4@[sp, 96] 8@x0"), ["-4@[sp, 96]", "8@x0"]);
        assert_eq!(texts(""), [""; 0]);
    }

    #[test]
    fn hostile_texts_are_unknown_places() {
        let hostile = [
            "@",
            "8@",
            "-@%rax",
            "8@%",
            "8@(",
            "8@)",
            "8@((((",
            "8@$",
            "8@--",
            "8@+",
            "8@-(%rax)",
            "8@(%rax,)",
            "8@[",
            "8@[]",
            "8@(%rax,%rbx,3)",
            "999@%rax",
            "8@99999999999999999999999",
            "8@a+b(%rip)",
            "8@9223372036854775807+1+a(%rip)",
            "é@é",
        ];
        for text in hostile {
            let parsed = parse(text);
            assert!(parsed.iter().all(|argument| argument.unreadable().is_some()), "{text}: {parsed:?}");
        }
        assert_eq!(parse(&"1@$1 ".repeat(1000)).len(), MAX_ARGUMENTS);
    }
}
