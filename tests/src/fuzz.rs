//! Mutated probe texts: whatever a text is, `dbcc check` ends by itself, with a verdict, and without having crashed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use fastrand::Rng;

use crate::dbcc;

/// What a text may be built of beside the tokens of the seeds: what tends to upset a compiler or those who read its AST.
const NASTY: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    ";",
    "->",
    "*",
    "&",
    "#",
    "##",
    "\\\n",
    "\"",
    "'",
    "/*",
    "*/",
    "\n#define X X X\n",
    "\n#define F(x) F(x x)\n",
    "\n#include __FILE__\n",
    "\n#if\n",
    "\n#pragma unroll\n",
    "__VA_ARGS__",
    "_Pragma(\"once\")",
    "BPF_HASH",
    "BPF_HASH(m, struct m, struct m)",
    "BPF_PERF_OUTPUT(e)",
    "BPF_TABLE(\"hash\", int, int, int, -1)",
    "m.lookup(m.lookup)",
    ".perf_submit(",
    "TRACEPOINT_PROBE(a, b)",
    "KFUNC_PROBE(",
    "bpf_usdt_readarg(0, ctx, ctx)",
    "bpf_trace_printk(\"%n%s%9999999999d\", )",
    "struct task_struct *",
    "struct x { struct x x; };",
    "union",
    "typeof(",
    "sizeof(int[-1])",
    "[0x7fffffffffffffff]",
    "18446744073709551616",
    "__attribute__((section(\"maps\")))",
    "asm volatile(\"r0 = 0\")",
    "goto *",
    "({",
    "})",
    "SEC(\"kprobe/\")",
    "FILTER_PID",
    "\n//@ attach kprobe:=\n",
    "\n//@ print %{}{{}\n",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "ä",
];

/// The most edits of one text.
const MAX_EDITS: usize = 8;

/// The longest text: `dbcc` has its own bound, which is tested elsewhere.
const MAX_LENGTH: usize = 200_000;

/// Texts to start from.
///
/// # Errors
/// A folder or a file in it cannot be read.
pub fn seeds(folders: &[PathBuf]) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for folder in folders {
        let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "c") {
                files.push(path);
            }
        }
    }
    // The order of a folder is not the same everywhere, and a run must be repeatable.
    files.sort();
    files
        .iter()
        .map(|path| {
            let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        })
        .collect()
}

/// The text that comes of a number: the same each time for the same seeds.
pub fn mutated(seeds: &[String], number: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(number);
    let Some(seed) = random.choice(seeds) else { return Vec::new() };
    let mut tokens: Vec<String> = tokens(seed).into_iter().map(str::to_owned).collect();
    for _ in 0..random.usize(1..=MAX_EDITS) {
        edit(&mut random, &mut tokens, seeds);
    }
    let mut bytes: Vec<u8> = tokens.concat().into_bytes();
    bytes.truncate(MAX_LENGTH);
    if random.u8(..) < 16 && !bytes.is_empty() {
        // A byte that need not be UTF-8.
        let place = random.usize(..bytes.len());
        if let Some(byte) = bytes.get_mut(place) {
            *byte = random.u8(..);
        }
    }
    bytes
}

/// Changes a text in one way.
fn edit(random: &mut Rng, tokens: &mut Vec<String>, seeds: &[String]) {
    let length = tokens.len();
    let start = random.usize(..=length);
    let end = (start + random.usize(..12)).min(length);
    match random.u8(..10) {
        0 | 1 => drop(tokens.drain(start..end)),
        2 => {
            let copy: Vec<String> = tokens.get(start..end).unwrap_or_default().to_vec();
            let times = if random.u8(..) < 8 { 500 } else { 1 };
            tokens.splice(start..start, copy.iter().cycle().take(copy.len() * times).cloned());
        }
        3 if length > 0 => tokens.swap(random.usize(..length), random.usize(..length)),
        4 | 5 => tokens.insert(start, random.choice(NASTY).copied().unwrap_or_default().to_owned()),
        6 => {
            let word = random.choice(NASTY).copied().unwrap_or_default();
            tokens.splice(start..end.min(start + 1), [word.to_owned()]);
        }
        7 => {
            // A piece of another text.
            let other = random.choice(seeds).map(|other| self::tokens(other)).unwrap_or_default();
            let from = random.usize(..=other.len());
            let piece = other.iter().skip(from).take(random.usize(..60)).map(|token| (*token).to_owned());
            let piece: Vec<String> = piece.collect();
            tokens.splice(start..end, piece);
        }
        8 => {
            // Nested deep: what follows a tree down must not run out of stack.
            let (open, close) = *random
                .choice(&[("(", ")"), ("{", "}"), ("[", "]"), ("*", ""), ("-", ""), ("!", "")])
                .unwrap_or(&("(", ")"));
            let depth = 1 << random.u32(..13);
            tokens.insert(end, close.repeat(depth));
            tokens.insert(start, open.repeat(depth));
        }
        _ => tokens.truncate(start),
    }
}

/// A text cut into words, numbers, single characters and blanks; together they are the text.
fn tokens(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut found = Vec::new();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if is_word(first) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (token, behind) = rest.split_at(length);
        found.push(token);
        rest = behind;
    }
    found
}

/// Has `dbcc check` look at a text. `Some` says what is wrong with how it ended.
///
/// # Errors
/// It could not be started, or did not end.
pub fn check(text: &[u8], folder: &Path) -> Result<Option<String>> {
    let file = folder.join("probe.c");
    fs::write(&file, text)?;
    let mut command = dbcc::command()?;
    command.args(["check", "--json", "--no-cache"]).arg(&file);
    let finished = crate::process::run(command)?;
    let (out, said) = (finished.stdout(), finished.stderr());
    let verdict = out.lines().any(|line| {
        let record = serde_json::from_str::<serde_json::Value>(line);
        let of = |record: &serde_json::Value, name: &str| record.get(name).cloned().unwrap_or_default();
        record.is_ok_and(|record| of(&record, "kind") == "check" && of(&record, "compiled").is_boolean())
    });
    let all = format!("{out}{said}");
    let wrong = match finished.code() {
        None => Some(format!("ended by signal {}", finished.signal().unwrap_or_default())),
        Some(0 | 1) if !verdict && said.is_empty() => Some("gave no verdict".to_owned()),
        Some(0..=2) => ["panicked at", "the compiler crashed", "was stopped", "was killed"]
            .iter()
            .find(|sign| all.contains(**sign))
            .map(|sign| format!("said `{sign}`")),
        Some(code) => Some(format!("ended with status {code}")),
    };
    Ok(wrong.map(|wrong| format!("{wrong}\n{all}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_the_text() {
        let text = "int f(void *ctx) { return x1->y; } // ä\u{0}";
        assert_eq!(tokens(text).concat(), text);
        assert_eq!(tokens("a1->b"), ["a1", "-", ">", "b"]);
    }

    #[test]
    fn a_number_always_gives_the_same_text_and_another_one_gives_another() {
        let seeds = ["int a(void *ctx) { return 0; }\n".to_owned(), "BPF_HASH(m, u32, u64);\n".to_owned()];
        assert_eq!(mutated(&seeds, 7), mutated(&seeds, 7));
        let different: std::collections::BTreeSet<_> = (0..50).map(|number| mutated(&seeds, number)).collect();
        assert!(different.len() > 40, "{}", different.len());
    }
}
