//! Objects that dbcc did not make: programs in libbpf's style, whose sections say where they are attached.

use std::collections::BTreeMap;

use crate::bpf::OpenObject;
use crate::elf::{self, Contents};
use crate::facts::{Compiled, Facts, Form, ProgramFact, RegisterReads};
use crate::input::ObjectFile;
use crate::kind::{self, Kind};
use crate::linemap::LineMap;
use crate::source::{Source, Span};

/// The most lines of a text that is put together from an object.
const MAX_LINES: u32 = 200_000;

/// Why an object cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignError {
    /// It is no BPF object, or damaged.
    #[error(transparent)]
    Elf(#[from] elf::ElfError),
    /// libbpf does not take it.
    #[error(transparent)]
    Bpf(#[from] crate::bpf::Error),
    /// It has nothing to run.
    #[error("the object file has no program: no function in a section of its own, such as `kprobe/tcp_sendmsg`")]
    NoProgram,
}

/// What is in an object, as if dbcc had compiled it: its programs by their sections, and the lines of the text that its line
/// table holds.
///
/// # Errors
/// When libbpf or dbcc cannot read it, or it has no program.
pub fn read(object: &ObjectFile) -> Result<(Source, Compiled), ForeignError> {
    let contents = elf::read(&object.bytes)?;
    let mut open = OpenObject::open(&object.bytes)?;
    let (file, text) = text(&contents);
    let programs: Vec<ProgramFact> = open.programs().iter().map(|one| fact(&one.name(), &one.section())).collect();
    if programs.is_empty() {
        return Err(ForeignError::NoProgram);
    }
    let source = Source { parts: parts(&file), ..Source::from_text(&object.name, &text) };
    let facts = Facts { programs, ..Facts::default() };
    let compiled = Compiled {
        elf: object.bytes.clone(),
        text,
        file,
        line_map: LineMap::default(),
        facts,
        warnings: Vec::new(),
        lints: Vec::new(),
        stacks: Vec::new(),
        inputs: None,
    };
    Ok((source, compiled))
}

fn fact(name: &str, section: &str) -> ProgramFact {
    let (kind, target) = kind::by_section(section).map_or((None, None), |(kind, target)| (Some(kind), target));
    let kind = kind.map(Kind::name).unwrap_or_default().to_owned();
    let form = Form { kind: kind.clone(), program: name.to_owned(), arguments: None };
    ProgramFact {
        function: name.to_owned(),
        span: Span::new(0, 0),
        kind,
        target,
        forms: vec![form],
        registers_because: None,
        // It is not looked into.
        reads: RegisterReads::EVERYTHING,
    }
}

/// The file that most lines of the object come from, and those of its lines that the object holds, each in its place.
fn text(contents: &Contents) -> (String, String) {
    let mut files: BTreeMap<&str, BTreeMap<u32, &str>> = BTreeMap::new();
    for (file, line, text) in contents.written().filter(|(_, line, _)| (1..=MAX_LINES).contains(line)) {
        files.entry(file).or_default().insert(line, text);
    }
    let Some((file, lines)) = files.into_iter().max_by_key(|(_, lines)| lines.len()) else {
        return Default::default();
    };
    let mut text = String::new();
    let mut next = 1;
    for (line, words) in lines {
        text.extend((next..line).map(|_| '\n'));
        text.push_str(words.lines().next().unwrap_or_default());
        text.push('\n');
        next = line + 1;
    }
    (file.rsplit('/').next().unwrap_or_default().to_owned(), text)
}

fn parts(file: &str) -> Vec<crate::source::Part> {
    if file.is_empty() {
        return Vec::new();
    }
    vec![crate::source::Part { start: 0, file: file.to_owned(), line: 1 }]
}
