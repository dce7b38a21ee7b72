//! The rules of the house that a reader of the code relies on: which module may know which, and who may call C.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

/// The modules from the first stage to the last. A module may use itself and those before it.
const ORDER: &[&str] = &[
    "escape",
    "source",
    "linemap",
    "diag",
    "facts",
    "lex",
    "include",
    "bpf",
    "insn",
    "kernel",
    "kind",
    "directive",
    "builtin",
    "input",
    "cli",
    "config",
    "child",
    "toolchain",
    "template",
    "clang",
    "rewrite",
    "compile",
    "elf",
    "built",
    "foreign",
    "lint",
    "frontend",
    "cache",
    "kept",
    "lookup",
    "prototype",
    "resolve",
    "load",
    "verifier",
    "gate",
    "attach",
    "event",
    "watch",
    "decode",
    "carry",
    "saves",
    "output",
    "render",
    "symbols",
    "types",
    "session",
    "pipeline",
    "build",
    "check",
    "dump",
    "doctor",
    "ps",
    "list",
    "loading",
    "unpin",
    "run_once",
    "trace",
    "new",
    "completion",
    "lib",
    "main",
];

fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&root).unwrap();
                let top = inside.components().next().unwrap().as_os_str().to_str().unwrap();
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((top.trim_end_matches(".rs").to_owned(), path.clone(), text));
            }
        }
    }
    assert!(found.len() > 10, "found only {} files", found.len());
    found
}

/// Code lines before the file's tests, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    numbered
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn is_test_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "tests.rs" || name == "testing.rs")
        || path.components().any(|part| part.as_os_str() == "tests")
}

#[test]
fn a_stage_knows_only_earlier_stages() {
    let rank = |name: &str| ORDER.iter().position(|known| *known == name);
    let mut wrong = Vec::new();
    for (module, path, text) in sources() {
        let Some(own) = rank(&module) else {
            wrong.push(format!("{}: module `{module}` has no place in the order", path.display()));
            continue;
        };
        if is_test_file(&path) {
            continue;
        }
        for (number, line) in code(&text) {
            for used in line.split("crate::").skip(1) {
                let used: String =
                    used.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
                if rank(&used).is_some_and(|used| used > own) {
                    wrong.push(format!("{}:{number}: `{module}` uses the later `{used}`", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_wrappers_call_c() {
    let mut wrong = Vec::new();
    for (module, path, text) in sources() {
        for (number, line) in code(&text) {
            let place = format!("{}:{number}: {}", path.display(), line.trim());
            if line.contains("libbpf_sys") && module != "bpf" {
                wrong.push(format!("libbpf outside bpf/: {place}"));
            }
            if line.contains("clang_sys") && module != "clang" {
                wrong.push(format!("libclang outside clang/: {place}"));
            }
            if line.contains("unsafe_code") && !["bpf", "clang"].contains(&module.as_str()) {
                wrong.push(format!("unsafe code outside bpf/ and clang/: {place}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
