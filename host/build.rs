//! Collects the C side of the compiler host into `OUT_DIR/include`, from where it is embedded: `templates/`, and the
//! headers that libbpf installs for BPF programs, from the libbpf that is linked. Comments are taken out, because every
//! probe's compilation reads these files twice.

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
