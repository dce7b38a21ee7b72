//! Collects the C side of the compiler host into `OUT_DIR/include`, from where it is embedded: `templates/`, and the
//! headers that libbpf installs for BPF programs, from the libbpf that is linked. Comments are taken out, because every
//! probe's compilation reads these files twice. And lists, in `OUT_DIR/index.rs`, which header defines which name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Headers of libbpf that BPF programs include.
const LIBBPF: &[&str] =
    &["bpf_core_read.h", "bpf_endian.h", "bpf_helper_defs.h", "bpf_helpers.h", "bpf_tracing.h", "usdt.bpf.h"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?).join("include");
    let templates = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?)
        .join("..")
        .join("templates");
    let libbpf = env::var_os("DEP_BPF_INCLUDE").ok_or("libbpf-sys did not say where it installed libbpf's headers")?;
    let libbpf = PathBuf::from(libbpf).join("bpf");

    match fs::remove_dir_all(&out) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    println!("cargo::rerun-if-changed={}", templates.display());
    copy_tree(&templates, &out)?;
    let mut entries = BTreeMap::new();
    for header in headers(&templates)? {
        let text = fs::read_to_string(templates.join(&header))?;
        index(&header, &without_comments(&text, Lines::Keep), &mut entries)?;
    }
    let lines = entries.iter().map(|(name, (shape, header))| {
        format!("Entry {{ name: {name:?}, shape: Shape::{shape}, header: {header:?} }},\n")
    });
    fs::write(out.with_file_name("index.rs"), format!("&[\n{}]\n", lines.collect::<String>()))?;
    fs::create_dir_all(out.join("bpf"))?;
    for name in LIBBPF {
        let from = libbpf.join(name);
        println!("cargo::rerun-if-changed={}", from.display());
        let text = fs::read_to_string(&from).map_err(|error| format!("{}: {error}", from.display()))?;
        fs::write(out.join("bpf").join(name), without_blank_lines(&without_comments(&text, Lines::Join)))?;
    }
    Ok(())
}

/// Copies every header below `from`, line by line the same but without comments.
fn copy_tree(from: &Path, to: &Path) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).map_err(|error| format!("{}: {error}", from.display()))? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_tree(&path, &target)?;
        } else if path.extension().is_some_and(|extension| extension == "h") {
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            fs::write(target, without_comments(&text, Lines::Keep))?;
        }
    }
    Ok(())
}

/// The headers of `templates/` that answer `#include <linux/…>` and the like, by their names below it: neither those of
/// the host itself and of BCC nor the registers of an architecture.
fn headers(templates: &Path) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(templates.join(&folder))? {
            let entry = entry?;
            let name = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(name);
            } else if name.extension().is_some_and(|extension| extension == "h") {
                found.push(name.display().to_string());
            }
        }
    }
    found.retain(|name| !["dbcc/", "bcc/", "ctx_"].iter().any(|own| name.starts_with(own)));
    found.sort();
    Ok(found)
}

/// Adds what a header defines: a macro a line, `struct NAME {` and `typedef … NAME;` from the first column.
fn index(
    header: &str,
    text: &str,
    entries: &mut BTreeMap<String, (&'static str, String)>,
) -> Result<(), Box<dyn std::error::Error>> {
    for line in text.lines() {
        let found = if let Some(rest) = line.strip_prefix("#define ") {
            let (name, body) = rest.split_at(rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()));
            Some((name, macro_shape(name, body)))
        } else if let Some(rest) = line.strip_prefix("struct ") {
            rest.strip_suffix(" {").map(|name| (name, "Tag"))
        } else {
            let name = line.strip_prefix("typedef ").and_then(|rest| rest.strip_suffix(';'));
            name.and_then(|rest| rest.rsplit(|letter| !is_word(letter)).next()).map(|name| (name, "Constant"))
        };
        let Some((name, shape)) = found.filter(|(name, _)| !name.starts_with("DBCC_") && !name.starts_with("dbcc_"))
        else {
            continue;
        };
        let known = entries.entry(name.to_owned()).or_insert_with(|| (shape, header.to_owned()));
        if known.1 != header || known.0 != shape {
            return Err(format!("templates/{header} and templates/{}: both define `{name}`", known.1).into());
        }
    }
    Ok(())
}

/// How the uses of a macro look.
fn macro_shape(name: &str, body: &str) -> &'static str {
    if body.starts_with('(') {
        return "Function";
    }
    // A name in lower case for another name stands for the path to a member, or for a tag.
    let body = body.trim();
    let is_lower = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    let is_name = body.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    if is_lower && is_name && !body.starts_with("__attribute__") { "Alias" } else { "Constant" }
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// What becomes of the line ends inside block comments.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// They stay, so that lines keep their numbers; not for comments inside the definition of a macro.
    Keep,
    /// They go with the comment, as in the language.
    Join,
}

/// The text with each comment replaced by a blank. A comment that names the licence stays.
fn without_comments(text: &str, lines: Lines) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => literal(rest, first),
            '/' if rest.starts_with("//") => {
                let comment = rest.split('\n').next().unwrap_or_default();
                out.push_str(if comment.contains("SPDX") { comment } else { "" });
                rest = rest.get(comment.len()..).unwrap_or_default();
                continue;
            }
            '/' if rest.starts_with("/*") => {
                let end = rest.find("*/").map_or(rest.len(), |end| end + 2);
                let comment = rest.get(..end).unwrap_or_default();
                if comment.contains("SPDX") {
                    out.push_str(comment);
                } else {
                    out.push(' ');
                    out.extend(comment.chars().filter(|character| lines == Lines::Keep && *character == '\n'));
                }
                rest = rest.get(end..).unwrap_or_default();
                continue;
            }
            _ => first.len_utf8(),
        };
        let (kept, left) = rest.split_at(length);
        out.push_str(kept);
        rest = left;
    }
    out
}

/// The length of the literal that `text` starts with, or of its quote where the line ends before it does.
fn literal(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            '\n' if !escaped => break,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return index + 1,
            _ => {}
        }
    }
    1
}

/// The text without blank lines, but for those that end a macro.
fn without_blank_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines().map(str::trim_end) {
        if !line.is_empty() || out.ends_with("\\\n") {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}
