//! Names and patterns that were made to break their readers: nothing panics, and what comes out is bounded.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use symres::{NameParts, Pattern, demangle, parameters_of_name};

use common::Random;

/// Whatever a symbol is, no more text than this is made of it; its own clone suffixes and the symbol itself come on top.
const MOST: usize = 80 << 10;

fn try_symbol(symbol: &str) {
    let shown = demangle(symbol);
    assert!(shown.len() <= MOST + 16 * symbol.len(), "{} bytes of {}", shown.len(), symbol.len());
    if let Some(parameters) = parameters_of_name(symbol) {
        assert!(parameters.types.iter().map(String::len).sum::<usize>() <= MOST);
    }
    for pattern in ["f", "A::*", "f(int, ...)", "<Vec<T> as Iterator>::next", "/x.*y$/"] {
        pattern.parse::<Pattern>().unwrap().matches_linkage_name(symbol);
    }
}

fn try_pattern(text: &str) {
    if let Ok(pattern) = text.parse::<Pattern>() {
        for symbol in SYMBOLS {
            pattern.matches_linkage_name(symbol);
        }
        let parameters = ["char const*".to_owned(), text.chars().take(200).collect()];
        let parts = NameParts { scopes: &["", "A<int>"], name: text, parameters: Some(&parameters), qualifiers: None };
        pattern.matches_parts(&parts);
        pattern.matches_file("/a/../b.cc");
        pattern.debug_words();
        pattern.wider();
    }
}

const SYMBOLS: &[&str] = &[
    "_ZL16check_connectionP3THD",
    "_ZN3FooC1Ev.isra.0.cold",
    "_ZThn16_N10Item_param18set_out_param_infoEP10Send_field",
    "_ZTchn16_h16_N7Derived5cloneEv",
    "_ZN3BoxIiLj4ESaIiEE7convertIlEEDTplfp_Lj4EET_",
    "_Z5textsRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEESt6vectorIS4_SaIS4_EEj",
    "_ZZ1fvENKUlT_E0_clIiEEDaS_",
    "_ZZN1A1fIJicEEEvDpT_ENKUlTyS1_E_clIlEEDaS1_",
    "_Z1fIJiRcEEvDpOT_",
    "_ZN5PointcvPT_IcEEv",
    "_Z5valueIXadL_ZNRS0_5Point6lvalueEvEEEiv",
    "_Z8trailingIiET_S0_QrqXplfp_Li1EE",
    "_Z3barPFivEM1AFvcERA3_KiDv4_f",
    "_ZGIW6shapesW5round",
    "_ZN5PointcvSt6vectorIiSaIiEEEv",
    "_ZN2nsW1mW1p4nameES0_",
    "_ZN93_$LT$alloc..vec..Vec$LT$T$C$A$GT$$u20$as$u20$core..iter..traits..collect..Extend$LT$T$GT$$GT$6extend17h0123456789abcdefE",
    "_RINvMNtCsgEmfK2I1SDS_4core5sliceSh11copy_withinINtNtNtB5_3ops5range14RangeInclusivejEECsfEOYDRpO4Ta_11miniz_oxide",
    "_RNCNvMs0_NtCs3LGw5nGcjh2_19rustc_mir_transform8simplifyNtB7_13CfgSimplifier8simplify0B9_.cold",
    "net/http.(*Server).Serve",
    "memcpy@@GLIBC_2.14",
];

const PATTERNS: &[&str] = &[
    "check_connection",
    "::ns::Foo<int, std::vector<Bar>>::operator()(char const*, ...) const &",
    "f()::{lambda(int)#1}::operator()",
    "<alloc::vec::Vec<T, A> as core::iter::Iterator>::next",
    "core::ptr::drop_in_place::<fn(u8) -> u8>",
    "foo() [clone .part.0] [clone .cold] + 0x10",
    "sql/sql_connect.cc:478",
    "/^(a|b)+[^c]*\\(.*$/",
    "write@plt",
    "operator\"\" _km",
    "const std::map<std::string, long> &f(unsigned long int = 3, struct X *x)",
];

/// What the grammars are made of.
const TOKENS: &[&str] = &[
    "_Z",
    "_ZN",
    "_R",
    "E",
    "I",
    "J",
    "S_",
    "S0_",
    "St",
    "Sa",
    "Ss",
    "T_",
    "T0_",
    "TL0__",
    "N",
    "Z",
    "Ul",
    "E_",
    "Dp",
    "DT",
    "Dt",
    "X",
    "L",
    "Li",
    "Lb1E",
    "F",
    "P",
    "R",
    "O",
    "K",
    "V",
    "A3_",
    "M",
    "C1",
    "D2",
    "cv",
    "pl",
    "cl",
    "sr",
    "srN",
    "sZ",
    "sP",
    "fp_",
    "il",
    "tl",
    "rq",
    "Q",
    "W",
    "17h",
    "9999999999",
    "18446744073709551616",
    "0",
    "3foo",
    "$LT$",
    "..",
    "B_",
    "B0_",
    "NvC1a",
    "{",
    "}",
    "<",
    ">",
    "(",
    ")",
    "[",
    "]",
    "::",
    "*",
    "&",
    ",",
    "...",
    "…",
    "operator",
    "->",
    "{lambda",
    "'",
    "\"",
    " as ",
    "<impl ",
    "/",
    "+",
    "@plt",
    ".cc:",
    "0x",
    "é",
    "const ",
    "unsigned ",
    "[abi:",
    " [clone ",
];

fn mutated(seed: &str, others: &[&str], random: &mut Random) -> String {
    let mut chars: Vec<char> = seed.chars().collect();
    for _ in 0..=random.below(6) {
        let at = random.below(chars.len() + 1);
        match random.below(6) {
            0 => drop(chars.drain(at..(at + random.below(5)).min(chars.len()))),
            1 => drop(chars.splice(at..at, TOKENS[random.below(TOKENS.len())].chars())),
            2 => {
                let other: Vec<char> = others[random.below(others.len())].chars().collect();
                let from = random.below(other.len());
                drop(chars.splice(at..at, other[from..].iter().copied()));
            }
            3 => {
                let end = (at + random.below(12)).min(chars.len());
                let part: Vec<char> = chars[at..end].to_vec();
                for _ in 0..random.below(40) {
                    drop(chars.splice(at..at, part.iter().copied()));
                }
            }
            4 if at < chars.len() => chars[at] = char::from(u8::try_from(32 + random.below(95)).unwrap()),
            _ => chars.truncate(chars.len().max(1) - random.below(3).min(chars.len())),
        }
        chars.truncate(20_000);
    }
    chars.into_iter().collect()
}

#[test]
fn mutated_symbols() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..6_000 {
        let seed = SYMBOLS[random.below(SYMBOLS.len())];
        try_symbol(&mutated(seed, SYMBOLS, &mut random));
    }
}

#[test]
fn mutated_patterns() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..3_000 {
        let seed = PATTERNS[random.below(PATTERNS.len())];
        try_pattern(&mutated(seed, PATTERNS, &mut random));
    }
}

#[test]
fn deep_symbols() {
    for unit in [
        "P", "R", "K", "F", "A1_", "M1A", "N1a", "Z", "1aI", "X", "Xpl", "Dp", "DT", "DO", "U1a", "U1aI", "Ul", "UlT_",
        "cv", "TtTp", "Tp", "sr1aI", "srNT_I", "J", "LZ", "L_Z", "L", "Xil", "Xtl1a", "Xrq", "XrQ", "Q", "1aILi",
        "St1aI", "1aIS_", "ZN", "NS_1aI", "TC", "TA", "GR", "fl", "Xqu", "NvC1a", "INv", "Nv", "RS", "FKC", "DNv",
        "YRS", "XsRS", "TRT", "B_", "Bs_",
    ] {
        for start in ["_Z", "_Z1f", "_Z1fI", "_R", "_RINvC1a1b", "_ZN"] {
            for count in [10, 150, 2_000] {
                let nested = format!("{start}{}", unit.repeat(count));
                try_symbol(&nested);
                try_symbol(&format!("{nested}i{}", "E".repeat(count)));
                try_symbol(&format!("{nested}1a{}v", "E".repeat(count)));
            }
        }
    }
}

/// Each part holds the one before twice: forty of them would be a trillion letters.
#[test]
fn doubling_symbols() {
    let mut symbol = "_Z1f1a".to_owned();
    for at in 0..200 {
        // `b<a, a>`; the template takes a substitution too.
        let before = match 2 * at {
            0 => "S_".to_owned(),
            at => format!("S{}_", radix36(at - 1)),
        };
        symbol.push_str(&format!("1bI{before}{before}E"));
        match at {
            0 => assert_eq!(demangle(&symbol), "f(a, b<a, a>)"),
            1 => assert_eq!(demangle(&symbol), "f(a, b<a, a>, b<b<a, a>, b<a, a> >)"),
            _ if at < 16 || at % 40 == 0 => try_symbol(&symbol),
            _ => {}
        }
    }
    assert_eq!(demangle(&symbol), symbol, "what would be too long stays as it is");
    // Packs in packs, and template parameters that lead back to themselves.
    let packs = format!("_Z1fIJ{}EEv{}", "i".repeat(2_000), "DpT_".repeat(2_000));
    try_symbol(&packs);
    try_symbol(&format!("_Z1fIJ{}EEvDpP{}", "i".repeat(2_000), "1aIJDpT_EE".repeat(100)));
    for circle in [
        "_ZN1AcvT_IS_EEv",
        "_ZN1AcvT_IT_EEv",
        "_Z1fIT_EvT_",
        "_Z1fIT0_T_EvT_T0_",
        "_Z1fIJDpT_EEvDpT_",
        "_ZN1AcvP1BIT_EIS3_EEv",
    ] {
        try_symbol(circle);
    }
    // Back references of Rust.
    try_symbol(&format!("_RINvC1a1b{}E", "TB8_B8_E".repeat(500)));
    try_symbol(&format!("_RINvC1a1bTTTTTuuEuEuEuE{}E", "TBa_Ba_Ba_Ba_E".repeat(500)));
}

fn radix36(mut number: u32) -> String {
    let mut out = Vec::new();
    loop {
        out.push(char::from_digit(number % 36, 36).unwrap().to_ascii_uppercase());
        number /= 36;
        if number == 0 {
            return out.iter().rev().collect();
        }
    }
}

#[test]
fn deep_patterns() {
    for unit in [
        "a<",
        "(",
        "a::",
        "<",
        "{",
        "[",
        "const ",
        "a<b,",
        "operator",
        "<a as ",
        "f(",
        "+1",
        ":1",
        "@plt",
        " [clone .a]",
        "*",
        "'",
        "\"",
        "->",
    ] {
        for count in [10, 1_000, 8_000] {
            let nested = unit.repeat(count);
            try_pattern(&nested);
            try_pattern(&format!("f{nested}"));
            try_pattern(&format!("f({nested})"));
            try_pattern(&format!("/{nested}/"));
        }
    }
    assert!("a".repeat(10_000).parse::<Pattern>().is_err());
    assert!("/(((a{90}){90}){90}){90}/".parse::<Pattern>().is_err());
    // Wildcards that would be tried again and again by a matcher that goes back.
    let stars: Pattern = "*a".repeat(1_000).parse().unwrap();
    assert!(!stars.matches_linkage_name(&"a".repeat(900)));
    let regex: Pattern = "/(a*)*(a*)*(a|aa)*b$/".parse().unwrap();
    assert!(!regex.matches_linkage_name(&"a".repeat(5_000)));
}

#[test]
fn long_symbols() {
    for symbol in [
        "a".repeat(1 << 18),
        format!("_Z262144{}v", "a".repeat(1 << 18)),
        format!("_ZN{}E", "1".repeat(1 << 18)),
        "_GLOBAL__N_".repeat(22_000),
    ] {
        try_symbol(&symbol);
        try_symbol(&format!("_Z{symbol}.cold"));
    }
    try_symbol(&format!("_Z1fv{}", ".isra.0".repeat(1_000)));
    try_symbol(&format!("_Z1f{}", "17h".repeat(100_000)));
}
