//! What is fuzzed: one row for each kind of untrusted bytes.

use symres::layout::{TypeName, gaps, spell};
use symres::{Binary, KernelVersion, Options, Pattern, VirtAddr};

use crate::image::{self, Part};
use crate::index;

/// A way to use symres on an input.
#[derive(Debug)]
pub struct Target {
    /// As `ci/fuzz-symres` names it.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Inputs are lists of parts ([`image::decode`]): the fuzzer changes one part at a time.
    pub parts: bool,
    /// The sections that a seed of it holds, by the start of their names; none where seeds are whole files.
    pub sections: &'static [&'static str],
    /// Uses the input. A panic is a finding.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "elf", about: "whole files", parts: false, sections: &[], run: elf },
    Target {
        name: "dwarf",
        about: "debug information in a sound file",
        parts: true,
        sections: &[".text", ".symtab", ".strtab", ".debug", ".zdebug"],
        run: sections,
    },
    Target {
        name: "symbols",
        about: "symbol tables, relocations and procedure linkage tables in a sound file",
        parts: true,
        sections: &[".text", ".symtab", ".strtab", ".dyn", ".gnu.version", ".rela", ".plt", ".got", ".eh_frame"],
        run: sections,
    },
    Target {
        name: "notes",
        about: "build IDs and USDT probes",
        parts: true,
        sections: &[".note", ".stapsdt"],
        run: notes,
    },
    Target {
        name: "files",
        about: "what leads to debug files, and the files: debug link, package, supplementary file, MiniDebugInfo",
        parts: true,
        sections: &[".text", ".symtab", ".strtab", ".debug", ".note.gnu.build-id", ".gnu_debug"],
        run: files,
    },
    Target { name: "index", about: "kept indexes", parts: false, sections: &[], run: index::run },
    Target { name: "names", about: "symbols, mangled names and patterns", parts: false, sections: &[], run: names },
];

/// The target of that name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// One of each form that a pattern may have, with names of the seeds.
const PATTERNS: &[&str] = &[
    "*",
    "main",
    "leaf",
    "outer::Shape::area",
    "outer::Shape::*",
    "twice<int>",
    "leaf(int)",
    "_Z*",
    "/^l.*f$/",
    "0x401010",
    "main+4",
    "fixture.cc:20",
    "check_connectoin",
];

/// So many of [`PATTERNS`] are looked for in an input; which ones, its bytes decide.
const SEARCHES: usize = 4;
/// Of so many places of an answer everything is asked: what is asked costs the same for each, and `*` matches all.
const PLACES: usize = 8;

/// Asks the binary that an input became for what it can tell.
fn exercise(binary: &Binary, input: &[u8], own: Option<&str>) {
    let _ = binary.build_id();
    let _ = binary.file_offset(VirtAddr(image::BASE));
    let _ = binary.debug_info();
    let _ = binary.each_symbol(|_| {});
    types(binary);
    let kernel = KernelVersion { major: 6, minor: 1 };
    let first = usize::try_from(crc32fast::hash(input)).unwrap_or_default() % PATTERNS.len();
    for text in PATTERNS.iter().cycle().skip(first).take(SEARCHES).copied().chain(own) {
        let Ok(pattern) = text.parse::<Pattern>() else { continue };
        let _ = binary.list(&pattern);
        let Ok(answer) = binary.functions(&pattern) else { continue };
        let lines = binary.lines();
        for function in answer.matches.iter().take(PLACES) {
            let _ = lines.as_ref().map(|lines| lines.of(function));
            for place in function.places.iter().take(PLACES) {
                let _ = binary.site(place, kernel);
                let _ = binary.calls(place);
            }
        }
    }
}

/// Of so many types of an answer all is asked.
const TYPES: usize = 16;

/// Looks at types of the seeds, and at what their members are.
fn types(binary: &Binary) {
    for name in ["*", "Shape"] {
        let Ok(name) = name.parse::<TypeName>() else { continue };
        let _ = binary.type_names(&name);
        let _ = binary.with_types(&name, |types, found| {
            for ty in found.iter().take(TYPES) {
                let _ = spell(types, *ty, "it");
                let _ = types.enumerators(*ty);
                let Some(record) = types.record(*ty) else { continue };
                let _ = gaps(types, &record);
                for member in record.members.iter().take(TYPES) {
                    let _ = spell(types, member.ty, "member");
                }
            }
        });
    }
}

fn elf(input: &[u8]) {
    if let Ok(binary) = Binary::from_bytes(input.to_vec()) {
        let _ = binary.usdt();
        exercise(&binary, input, None);
    }
}

fn sections(input: &[u8]) {
    let parts = image::decode(input);
    if let Ok(binary) = Binary::from_bytes(image::elf(&parts)) {
        exercise(&binary, input, image::pattern(&parts).as_deref());
    }
}

fn notes(input: &[u8]) {
    let parts: Vec<Part> = image::decode(input);
    if let Ok(binary) = Binary::from_bytes(image::elf(&parts)) {
        let _ = binary.build_id();
        let _ = binary.usdt();
    }
}

/// What the files of such an input are called, in their order: the names by which the seeds find each other.
pub const FILES: &[&str] = &["main", "debug", "common", "main.dwp"];

fn files(input: &[u8]) {
    let parts = image::decode(input);
    // A folder for each input: whatever a file is taken for, it is of this input.
    let Ok(folder) = tempfile::tempdir() else { return };
    for (name, file) in FILES.iter().zip(image::files(&parts)) {
        if std::fs::write(folder.path().join(name), file).is_err() {
            return;
        }
    }
    let options = Options { debug_dirs: vec![folder.path().to_owned()], ..Options::default() };
    if let Ok(binary) = Binary::open_with(&folder.path().join("main"), &options) {
        exercise(&binary, input, image::pattern(&parts).as_deref());
        let _ = binary.consulted();
    }
}

/// The first line is a pattern, the others are names of functions.
fn names(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.split('\n');
    let pattern = lines.next().and_then(|line| line.parse::<Pattern>().ok());
    let names: Vec<&str> = lines.take(20).collect();
    for name in &names {
        let _ = symres::demangle(name);
        let _ = name.parse::<Pattern>();
    }
    let Some(pattern) = pattern else { return };
    if let Ok(binary) = Binary::from_bytes(image::elf(&with_functions(&names))) {
        let _ = binary.functions(&pattern);
    }
}

/// A symbol table with a function of each name.
fn with_functions(names: &[&str]) -> Vec<Part> {
    let part = |name: &str, bytes| image::kind_of(name).map(|kind| Part { kind, flags: 0, bytes });
    let mut strings = vec![0];
    // Elf64_Sym of 24 bytes; the first is not a symbol.
    let mut symbols = vec![0; 24];
    for (addr, name) in (image::BASE + 0x1000..).zip(names) {
        symbols.extend(u32::try_from(strings.len()).unwrap_or_default().to_le_bytes());
        symbols.extend([0x12, 0, 1, 0]); // STB_GLOBAL, STT_FUNC; in section 1
        symbols.extend(addr.to_le_bytes());
        symbols.extend(1_u64.to_le_bytes());
        strings.extend(name.bytes().filter(|byte| *byte != 0));
        strings.push(0);
    }
    [part(".text", vec![0x90; 64]), part(".symtab", symbols), part(".strtab", strings)].into_iter().flatten().collect()
}
