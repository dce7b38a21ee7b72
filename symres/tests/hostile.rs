//! Damaged and hostile input: an error or an answer, in bounded time, and never a panic.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use anyhow::Result;
use symres::{Binary, Pattern};

use common::{Random, compile};

/// Uses everything that reads from the file.
fn exercise(bytes: Vec<u8>, patterns: &[Pattern]) {
    let Ok(binary) = Binary::from_bytes(bytes) else { return };
    let _ = binary.build_id();
    let _ = binary.usdt();
    for pattern in patterns {
        let _ = binary.functions(pattern);
    }
}

fn patterns() -> Vec<Pattern> {
    ["check_connection", "*", "no_such_thing", "_Z*", "ns::Point::operator=="]
        .iter()
        .filter_map(|p| p.parse().ok())
        .collect()
}

fn program() -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let path = compile(folder.path(), "library.so", &["-shared", "-fPIC", "-nostdlib", "-Wl,--hash-style=gnu"])?;
    Ok(std::fs::read(path)?)
}

#[test]
fn every_truncation() -> Result<()> {
    let bytes = program()?;
    let patterns = patterns();
    // The tables are at the end: there each length counts.
    let tables = bytes.len().saturating_sub(4096);
    let lengths = (0..tables).step_by(61).chain(tables..bytes.len());
    for len in lengths {
        exercise(bytes[..len].to_vec(), &patterns[..1]);
    }
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &bytes[..bytes.len() - 1])?;
    let message = Binary::open(file.path()).unwrap_err().to_string();
    assert!(message.contains("the section headers") && message.contains("behind the end of the file"), "{message}");
    Ok(())
}

#[test]
fn every_bit_of_the_headers() -> Result<()> {
    let bytes = program()?;
    let patterns = patterns();
    let number = |at: usize, len: usize| -> usize {
        bytes[at..at + len].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    // e_phoff, e_phnum, e_shoff, e_shnum of Elf64_Ehdr.
    let (phoff, phnum, shoff, shnum) = (number(0x20, 8), number(0x38, 2), number(0x28, 8), number(0x3c, 2));
    let places = (0..64).chain(phoff..phoff + phnum * 56).chain(shoff..shoff + shnum * 64);
    for place in places {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << bit;
            let all = place % 128 == 0;
            exercise(damaged, if all { &patterns } else { &patterns[..1] });
        }
    }
    Ok(())
}

#[test]
fn bytes_changed_anywhere() -> Result<()> {
    let bytes = program()?;
    let patterns = patterns();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..400 {
        let mut damaged = bytes.clone();
        for _ in 0..random.below(40) {
            let at = random.below(damaged.len());
            damaged[at] = match random.below(4) {
                0 => 0,
                1 => 0xff,
                _ => u8::try_from(random.next() & 0xff)?,
            };
        }
        exercise(damaged, &patterns);
    }
    Ok(())
}

/// Names that pass for symbols: real ones with characters changed, cut, doubled.
#[test]
fn names_changed_anywhere() {
    let seeds: &[&str] = &[
        "_Z16dispatch_command19enum_server_commandP3THDPcj",
        "_ZN3BoxIiLj4EE4pushERKi",
        "_ZZ11with_lambdaiENKUliE_clEi",
        "_ZNSt3mapISsiSt4lessISsESaISt4pairIKSsiEEEixERS3_",
        "_ZN2ns12_GLOBAL__N_16hiddenEi.part.0.cold",
        "_ZThn16_N10Item_param18set_out_param_infoEP10Send_field",
        "_ZN3fmt2v96detail10vformat_toIcEEvRNS1_6bufferIT_EENS0_17basic_string_viewIS4_EE",
        "_ZNK5wsrep12server_statecvSt10unique_ptrIiEEv",
        "_RNvNtCs1234_7mycrate3foo3bar",
        "operator<<(std::ostream&, Foo<Bar<int>, (a>b)> const&) const",
        "non-virtual thunk to Foo::bar(int (*)(char, long), ...)",
        "f(int)::{lambda(char, int)#1}::operator()(char) const",
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let alphabet = b"_ZNSEIKPRTLXJLj0123456789abcdefgiv.<>(){}[]:,*&~ @operator";
    for round in 0..60_000 {
        let mut text = seeds[round % seeds.len()].as_bytes().to_vec();
        for _ in 0..=random.below(6) {
            let at = random.below(text.len());
            let new = alphabet[random.below(alphabet.len())];
            match random.below(5) {
                0 => text.truncate(at.max(1)),
                1 => text.insert(at, new),
                2 => {
                    let part = text[at..].to_vec();
                    text.extend(part);
                }
                _ => text[at] = new,
            }
        }
        text.truncate(2000);
        let text = String::from_utf8(text).unwrap();
        let _ = text.parse::<Pattern>();
        let _ = symres::demangle(&text);
    }
}

/// Text that makes careless parsers recurse, backtrack or copy without end.
#[test]
fn text_made_to_keep_a_parser_busy() {
    let many = |part: &str| part.repeat(8000 / part.len());
    for part in ["<", "(", "a<", "a::", "const ", "a,", "operator", "operator<", "*a", "{", "[abi:", "(a<", "...,"] {
        for text in [many(part), format!("f({})", many(part)), format!("f<{}>(int)", many(part))] {
            let _ = text.parse::<Pattern>();
            let _ = symres::demangle(&format!("_Z{text}"));
        }
    }
    for part in ["N", "I", "P", "S_", "1aI", "XadL", "Dp", "JI", "T_", "U", "K", "F", "A_", "M1a"] {
        let _ = symres::demangle(&format!("_Z1f{}", many(part)));
        let _ = symres::demangle(&format!("_ZN{}E", many(part)));
    }
}

/// Each substitution doubles the text; written out it would fill memory.
#[test]
fn names_that_grow_exponentially() {
    let name_of_depth = |depth: u32| {
        let mut name = "_Z1f1AIiiE".to_owned();
        for level in 0..depth {
            // Itanium ABI, 5.1.10: S_ is the template's name, S0_ its instance, and so on, numbered in base 36.
            let (high, low) = (level * 2 / 36, level * 2 % 36);
            let digit = |n| char::from_digit(n, 36).unwrap_or('0').to_ascii_uppercase();
            let last = if high == 0 { format!("S{}_", digit(low)) } else { format!("S{}{}_", digit(high), digit(low)) };
            name.push_str(&format!("1BI{last}{last}E"));
        }
        name
    };
    let small = symres::demangle(&name_of_depth(2));
    assert_eq!(
        small,
        "f(A<int, int>, B<A<int, int>, A<int, int> >, B<B<A<int, int>, A<int, int> >, B<A<int, int>, A<int, int> > >)"
    );
    let large = name_of_depth(16);
    assert_eq!(symres::demangle(&large), large, "65536 times `int` and more");
    let huge = name_of_depth(40);
    assert_eq!(symres::demangle(&huge), huge);
}

/// A string table that all symbols share, each with all of it as its name.
#[test]
fn names_that_overlap() -> Result<()> {
    let mut bytes = program()?;
    let number = |bytes: &[u8], at: usize, len: usize| -> usize {
        bytes[at..at + len].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (shoff, shnum) = (number(&bytes, 0x28, 8), number(&bytes, 0x3c, 2));
    let section = |index: usize| shoff + index * 64;
    // sh_type 2 is SHT_SYMTAB; sh_offset, sh_size, sh_link of Elf64_Shdr.
    let symtab = (0..shnum).map(section).find(|at| number(&bytes, at + 4, 4) == 2).unwrap();
    let (offset, size) = (number(&bytes, symtab + 0x18, 8), number(&bytes, symtab + 0x20, 8));
    let strtab = section(number(&bytes, symtab + 0x28, 4));
    let (strings, strings_size) = (number(&bytes, strtab + 0x18, 8), number(&bytes, strtab + 0x20, 8));
    bytes[strings + 1..strings + strings_size - 1].fill(b'a');
    for symbol in (offset..offset + size).step_by(24) {
        bytes[symbol..symbol + 4].copy_from_slice(&1_u32.to_le_bytes());
    }
    let binary = Binary::from_bytes(bytes)?;
    // A name that is known is found without a look at the others.
    assert_eq!(binary.functions(&"work".parse()?)?.matches.len(), 1);
    let error = binary.functions(&"*".parse()?).unwrap_err().to_string();
    assert!(error.contains("names of section `.symtab` overlap"), "{error}");
    Ok(())
}
