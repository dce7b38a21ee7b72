//! `dbcc symbols --lines`: the lines of a function's source, and where the code of each begins.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::{Value, json};
use symres::{CodeLine, Function};

use super::text::{Sink, short_path};
use crate::escape::harmless;

/// The most addresses that are shown for one line; a line of an inlined function may have hundreds.
const MOST_ADDRESSES: usize = 3;
/// Larger files are no source that a person wrote.
const MAX_SOURCE: u64 = 16 << 20;
/// Two lines with code that lie further apart are not of one function: what is between them is not shown.
const MAX_GAP: u32 = 40;

/// The lines of one function, for people: with the text of the source, where its file is here.
pub(super) fn write(function: &Function, lines: &[CodeLine], to: &mut Sink<'_>) -> io::Result<()> {
    let name = harmless(&function.name);
    if lines.is_empty() {
        return to.line(&format!("\nlines of {name}: the debug information does not tell them"));
    }
    for (file, addresses) in by_file(lines) {
        let source = source(Path::new(file));
        to.line(&format!("\nlines of {name} in {}:", short_path(file)))?;
        if source.is_none() {
            to.prose("note: ", &format!("the source is not here: {}", harmless(file)))?;
        }
        write_file(function, file, &addresses, source.as_deref(), to)?;
    }
    Ok(())
}

fn write_file(
    function: &Function,
    file: &str,
    addresses: &BTreeMap<u32, Vec<String>>,
    source: Option<&[String]>,
    to: &mut Sink<'_>,
) -> io::Result<()> {
    let cells: BTreeMap<u32, String> = addresses.iter().map(|(line, all)| (*line, shown(all))).collect();
    let last = cells.keys().next_back().copied().unwrap_or(0);
    let (numbers, width) = (last.to_string().len(), cells.values().map(String::len).max().unwrap_or(0));
    let write_line = |number: u32, to: &mut Sink<'_>| {
        let cell = cells.get(&number).map(String::as_str).unwrap_or_default();
        let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let text = source.and_then(|source| source.get(at?)).map(String::as_str).unwrap_or_default();
        to.clipped(&format!("{number:>numbers$}  {cell:<width$}  "), text)
    };
    // The declaration stands above the first line with code, often by a line or two.
    let declared = function.declared.as_ref().filter(|line| line.file == file).map(|line| line.line);
    let first = cells.keys().next().copied().unwrap_or(0);
    let mut next = declared.filter(|line| *line <= first && first - line < MAX_GAP).unwrap_or(first);
    for number in cells.keys().copied() {
        if source.is_some() {
            if number.saturating_sub(next) >= MAX_GAP {
                to.line(&format!("{:>numbers$}", "…"))?;
                next = number;
            }
            for number in next..number {
                write_line(number, to)?;
            }
        }
        write_line(number, to)?;
        next = number.saturating_add(1);
    }
    Ok(())
}

/// The addresses of each line, by file: the file with most of them first.
fn by_file(lines: &[CodeLine]) -> Vec<(&str, BTreeMap<u32, Vec<String>>)> {
    let mut files: BTreeMap<&str, BTreeMap<u32, Vec<String>>> = BTreeMap::new();
    for line in lines {
        let addresses = files.entry(&line.line.file).or_default().entry(line.line.line).or_default();
        let address = line.addr.to_string();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by_key(|(_, lines)| std::cmp::Reverse(lines.len()));
    files
}

fn shown(addresses: &[String]) -> String {
    let mut text = addresses.iter().take(MOST_ADDRESSES).cloned().collect::<Vec<_>>().join(" ");
    if let Some(more) = addresses.len().checked_sub(MOST_ADDRESSES).filter(|more| *more > 0) {
        text.push_str(&format!(" +{more}"));
    }
    text
}

/// The lines of a file, harmless; none where it cannot be read. The path comes from an untrusted file, and may lead to anything.
fn source(path: &Path) -> Option<Vec<String>> {
    let metadata = fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > MAX_SOURCE {
        return None;
    }
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(MAX_SOURCE).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.lines().map(|line| harmless(&line.replace('\t', "        ")).into_owned()).collect())
}

/// The same for programs.
pub(super) fn object(lines: &[CodeLine]) -> Value {
    let object = |line: &CodeLine| {
        json!({
            "file": line.line.file,
            "line": line.line.line,
            "address": line.addr.0,
            "offset": line.offset.0,
            "place": line.place.0,
        })
    };
    lines.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use symres::{FileOffset, SourceLine, VirtAddr};

    use super::*;
    use crate::symbols::table::tests::function;

    fn code(file: &str, line: u32, addr: u64) -> CodeLine {
        CodeLine {
            line: SourceLine { file: file.to_owned(), line },
            addr: VirtAddr(addr),
            offset: FileOffset(addr),
            place: VirtAddr(0x1000),
        }
    }

    fn shown(lines: &[CodeLine], declared: Option<SourceLine>) -> String {
        let function = Function { declared, ..function("f(int)", "_Z1fi", &[], Vec::new()) };
        let mut out = Vec::new();
        write(&function, lines, &mut Sink::new(&mut out, Some(60))).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_source_is_shown_beside_its_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cc");
        fs::write(
            &path,
            "int f(int a)\n{\n\tint b = a;\n\n  return b\u{1b}[31m + 1; // and a long comment that does not fit\n}\n",
        )
        .unwrap();
        let file = path.to_str().unwrap();
        let lines: Vec<CodeLine> = [(2, 0x1000), (3, 0x1004), (3, 0x1010), (3, 0x1020), (3, 0x1030), (5, 0x1008)]
            .map(|(l, a)| code(file, l, a))
            .into();
        let text = shown(&lines, Some(SourceLine { file: file.to_owned(), line: 1 }));
        let body: Vec<&str> = text.lines().skip(2).collect();
        insta::assert_snapshot!(body.join("\n"), @r#"
            1                           int f(int a)
            2  0x1000                   {
            3  0x1004 0x1010 0x1020 +1          int b = a;
            4
            5  0x1008                     return b\u{1b}[31m + 1; // an…
            "#);
    }

    #[test]
    fn without_the_source_there_are_the_lines_with_code() {
        let text = shown(&[code("/no/such/sql/a.cc", 12, 0x1000), code("/no/such/sql/a.cc", 15, 0x1008)], None);
        insta::assert_snapshot!(text.trim_start(), @r#"
            lines of f(int) in sql/a.cc:
            note: the source is not here: /no/such/sql/a.cc
            12  0x1000
            15  0x1008
            "#);
        assert!(shown(&[], None).contains("does not tell"));
        assert!(source(Path::new("/dev/zero")).is_none(), "no file that a person wrote");
    }
}
