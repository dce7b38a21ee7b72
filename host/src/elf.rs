//! Stage 7: what is in an object file: programs, maps, and which line of the text each instruction came from.
//!
//! The file comes from clang or from a cache, and is read as if it came from anybody: every offset is checked.

use std::collections::BTreeMap;

use object::elf::{
    FileHeader64, R_BPF_64_32, R_BPF_64_64, RelocationType, SHF_EXECINSTR, STB_LOCAL, STT_FUNC, STT_OBJECT,
};
use object::read::elf::{FileHeader as _, Rel as _, SectionHeader as _, Sym as _};
use object::{Endianness, SectionIndex, SymbolIndex};

use crate::bpf::btf::{Btf, Kind, NameOffset};
use crate::diag::Diagnostic;
use crate::facts::Facts;
use crate::lex::{Lexed, TokenKind};
use crate::source::{LineColumn, Source, Span};

mod code;
mod ext;
mod lines;
mod relocations;
mod stacks;

pub use code::{FunctionCode, Section, SourceLine, SymbolRelocation, code};
use lines::Line;
pub use relocations::{Relocation, RelocationKind, relocations};

/// Bytes of an instruction (include/uapi/linux/bpf.h, `struct bpf_insn`).
const INSTRUCTION: u64 = 8;
/// The most instructions of a program that are laid out; the verifier takes no more than a million.
const MAX_INSTRUCTIONS: usize = 1 << 20;
/// The most names without a body that are told.
const MAX_UNDEFINED: usize = 64;

/// Why an object cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// It is no ELF file, or a damaged one.
    #[error("the object file is damaged: {0}")]
    Damaged(String),
    /// It is for another machine.
    #[error("the object file is not for BPF (its machine is number {0})")]
    Machine(u16),
    /// It has no BTF, so neither types nor lines.
    #[error("the object file has no BTF; it was compiled without -g")]
    NoBtf,
}

/// A function of the object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Function {
    name: String,
    section: usize,
    /// In bytes, from the start of the section.
    offset: u64,
    /// In bytes.
    size: u64,
    global: bool,
}

/// A call, or another reference to a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reference {
    /// Index into the functions.
    to: usize,
}

/// What is in an object file.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// Names of the programs: global functions in sections of their own.
    pub programs: Vec<String>,
    /// Names of the maps that are declared, `.rodata.dbcc` and its like included under their section's name.
    pub maps: Vec<String>,
    /// Names of functions that are called and have no body, and are none of the kernel's (`__ksym`).
    pub undefined: Vec<String>,
    functions: Vec<Function>,
    /// Which function begins at a section and offset.
    starts: BTreeMap<(usize, u64), usize>,
    /// Names of the sections with code.
    sections: BTreeMap<usize, String>,
    /// For each section and offset in bytes: the function that the instruction there refers to.
    references: BTreeMap<(usize, u64), Reference>,
    /// For each section: its lines, in the order of offsets.
    lines: BTreeMap<usize, Vec<Line>>,
}

/// Where an instruction came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file as clang was told it.
    pub file: &'a str,
    /// Line and column in it.
    pub at: LineColumn,
}

/// Reads an object file.
///
/// # Errors
/// When it is no BPF object of this machine's byte order, is damaged, or has no BTF.
pub fn read(elf: &[u8]) -> Result<Contents, ElfError> {
    let damaged = |error: object::read::Error| ElfError::Damaged(error.to_string());
    let header = FileHeader64::<Endianness>::parse(elf).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let machine = header.e_machine(endian);
    if machine != object::elf::EM_BPF {
        return Err(ElfError::Machine(machine.0));
    }
    let sections = header.sections(endian, elf).map_err(damaged)?;
    let symbols = sections.symbols(endian, elf, object::elf::SHT_SYMTAB).map_err(damaged)?;
    let mut contents = Contents::default();

    let name = |index: usize| {
        let section = sections.section(SectionIndex(index)).ok()?;
        std::str::from_utf8(sections.section_name(endian, section).ok()?).ok()
    };
    let executable = |index: usize| {
        let section = sections.section(SectionIndex(index));
        section.is_ok_and(|section| section.sh_flags(endian).0 & SHF_EXECINSTR.0 != 0)
    };
    let text_of = |index: SymbolIndex| {
        let symbol = symbols.symbol(index).ok()?;
        Some(String::from_utf8_lossy(symbols.symbol_name(endian, symbol).ok()?).into_owned())
    };
    for (index, symbol) in symbols.enumerate() {
        let Some(section) = symbol.st_shndx(endian).index().map(usize::from) else { continue };
        let Some(symbol_name) = text_of(index).filter(|name| !name.is_empty()) else { continue };
        if symbol.st_type() == STT_FUNC && executable(section) {
            let global = symbol.st_bind() != STB_LOCAL;
            if global && name(section) != Some(".text") {
                contents.programs.push(symbol_name.clone());
            }
            let start = (section, symbol.st_value(endian));
            contents.starts.entry(start).or_insert(contents.functions.len());
            contents.functions.push(Function {
                name: symbol_name,
                section,
                offset: symbol.st_value(endian),
                size: symbol.st_size(endian),
                global,
            });
        } else if symbol.st_type() == STT_OBJECT && name(section) == Some(".maps") {
            contents.maps.push(symbol_name);
        }
    }
    for index in 0..sections.len() {
        let data = name(index).filter(|name| [".rodata", ".data", ".bss"].iter().any(|prefix| is_data(name, prefix)));
        contents.maps.extend(data.map(String::from));
    }

    for (index, section) in sections.enumerate() {
        let Ok(Some((relocations, _))) = section.rel(endian, elf) else { continue };
        let target = usize::try_from(section.sh_info(endian)).unwrap_or(usize::MAX);
        if !executable(target) {
            continue;
        }
        let code = sections.section(SectionIndex(target)).and_then(|section| section.data(endian, elf));
        let code = code.map_err(damaged)?;
        for relocation in relocations {
            let offset = relocation.r_offset(endian);
            let Some(symbol_index) = relocation.symbol(endian) else { continue };
            let Ok(symbol) = symbols.symbol(symbol_index) else {
                return Err(ElfError::Damaged(format!("section {} refers to a symbol that is not there", index.0)));
            };
            let kind = relocation.r_type(endian);
            if kind != R_BPF_64_32 && kind != R_BPF_64_64 {
                continue;
            }
            if symbol.is_undefined(endian) {
                let known =
                    |name: &String| contents.undefined.len() >= MAX_UNDEFINED || contents.undefined.contains(name);
                let unknown = text_of(symbol_index).filter(|name| kind == R_BPF_64_32 && !known(name));
                contents.undefined.extend(unknown);
                continue;
            }
            // A reference to a local function is to its section, and the rest stands in the instruction.
            let Some(section) = symbol.st_shndx(endian).index().map(usize::from) else { continue };
            let inside = match symbol.st_type() {
                STT_FUNC => Some(symbol.st_value(endian)),
                _ => addend(code, offset, kind),
            };
            contents.refer((target, offset), section, inside);
        }
    }
    contents
        .direct_calls(|section| sections.section(SectionIndex(section)).and_then(|found| found.data(endian, elf)).ok());

    let section_data = |wanted: &str| {
        let (_, section) = sections.section_by_name(endian, wanted.as_bytes())?;
        section.data(endian, elf).ok()
    };
    let btf = Btf::parse(section_data(".BTF").ok_or(ElfError::NoBtf)?.to_vec());
    let btf = btf.map_err(|error| ElfError::Damaged(error.to_string()))?;
    let externs = btf.types().filter(|found| found.kind() == Kind::DataSection && found.name_bytes() == b".ksyms");
    let kernel: Vec<_> = externs.flat_map(|found| found.variables()).map(|(id, _, _)| btf.get(id).name()).collect();
    contents.undefined.retain(|name| !kernel.iter().any(|known| known == name));
    let by_name: BTreeMap<&str, usize> = (0..sections.len())
        .filter(|index| executable(*index))
        .filter_map(|index| Some((name(index)?, index)))
        .collect();
    contents.sections = by_name.iter().map(|(name, index)| (*index, (*name).to_owned())).collect();
    for (section, lines) in lines::read(section_data(".BTF.ext").unwrap_or_default(), &btf)? {
        if let Some(index) = by_name.get(section.as_str()) {
            contents.lines.insert(*index, lines);
        }
    }
    Ok(contents)
}

/// Whether a section is `.rodata` or `.rodata.name`, which libbpf makes a map of.
fn is_data(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) && !name.contains(".str")
}

/// What an instruction says about where in the section its target is, in bytes.
fn addend(code: &[u8], offset: u64, kind: RelocationType) -> Option<u64> {
    let immediate = immediate(code, offset)?;
    match kind {
        // A call: relative to the next instruction, in instructions; clang writes -1 + target.
        R_BPF_64_32 => u64::try_from(i64::from(immediate) + 1).ok()?.checked_mul(INSTRUCTION),
        _ => u64::try_from(immediate).ok(),
    }
}

/// The 32-bit operand of the instruction at an offset.
fn immediate(code: &[u8], offset: u64) -> Option<i32> {
    let start = usize::try_from(offset).ok()?.checked_add(4)?;
    let bytes = code.get(start..start.checked_add(4)?)?;
    Some(i32::from_le_bytes(bytes.try_into().ok()?))
}

impl Contents {
    fn refer(&mut self, from: (usize, u64), section: usize, offset: Option<u64>) {
        if let Some(to) = offset.and_then(|offset| self.starts.get(&(section, offset)).copied()) {
            self.references.insert(from, Reference { to });
        }
    }

    /// Calls inside a section have no relocation: the distance stands in the instruction.
    fn direct_calls<'a>(&mut self, code: impl Fn(usize) -> Option<&'a [u8]>) {
        /// `BPF_JMP | BPF_CALL` and, as source register, `BPF_PSEUDO_CALL`.
        const CALL: [u8; 2] = [0x85, 0x10];
        let sections: std::collections::BTreeSet<usize> =
            self.functions.iter().map(|function| function.section).collect();
        for section in sections {
            let code = code(section).unwrap_or_default();
            for (index, instruction) in code.chunks_exact(8).enumerate().take(MAX_INSTRUCTIONS) {
                let offset = u64::try_from(index).unwrap_or(u64::MAX).saturating_mul(INSTRUCTION);
                if instruction.starts_with(&CALL) && !self.references.contains_key(&(section, offset)) {
                    let distance = immediate(code, offset).map_or(0, i64::from);
                    let to = i64::try_from(index).unwrap_or(i64::MAX).saturating_add(distance).saturating_add(1);
                    let to = u64::try_from(to).ok().and_then(|to| to.checked_mul(INSTRUCTION));
                    self.refer((section, offset), section, to);
                }
            }
        }
    }

    /// Where an instruction of a loaded program came from. libbpf appends the functions that a program calls behind it,
    /// each when its first call is met (`bpf_object__reloc_code`); the verifier counts instructions in the whole.
    pub fn place(&self, program: &str, instruction: usize) -> Option<Place<'_>> {
        let main = self.functions.iter().position(|function| function.global && function.name == program)?;
        let mut order = vec![main];
        self.append_callees(main, &mut order, 0);
        let mut left = u64::try_from(instruction).ok()?.checked_mul(INSTRUCTION)?;
        for function in order.into_iter().filter_map(|index| self.functions.get(index)) {
            match left.checked_sub(function.size) {
                Some(rest) => left = rest,
                None => return self.line(function.section, function.offset.checked_add(left)?),
            }
        }
        None
    }

    fn append_callees(&self, function: usize, order: &mut Vec<usize>, depth: usize) {
        // The verifier refuses more than 8 frames; libbpf does not count, and a damaged file may hold a circle, which
        // ends because each function is appended once.
        let Some(found) = self.functions.get(function).filter(|_| depth < 64) else { return };
        let range = (found.section, found.offset)..(found.section, found.offset.saturating_add(found.size));
        for (_, reference) in self.references.range(range) {
            if !order.contains(&reference.to) {
                order.push(reference.to);
                self.append_callees(reference.to, order, depth + 1);
            }
        }
    }

    fn line(&self, section: usize, offset: u64) -> Option<Place<'_>> {
        let lines = self.lines.get(&section)?;
        let upto = lines.partition_point(|line| line.offset <= offset);
        let line = lines.get(upto.checked_sub(1)?)?;
        Some(Place { file: &line.file, at: line.at })
    }

    /// The lines of texts that instructions came from: file, number, words.
    pub fn written(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.lines.values().flatten().map(|line| (line.file.as_str(), line.at.line, line.text.as_str()))
    }

    /// The section of a program, unless it has others too that are not among `all`.
    pub fn section_of(&self, program: &str, all: &[&str]) -> Option<&str> {
        let found = self.functions.iter().find(|function| function.global && function.name == program)?;
        let beside = self.functions.iter().filter(|function| function.section == found.section);
        let own = beside.into_iter().all(|function| all.contains(&function.name.as_str()));
        self.sections.get(&found.section).filter(|_| own).map(String::as_str)
    }

    /// What rewriting promised and the object does not hold, and what the probe calls that is not there.
    ///
    /// # Errors
    /// A message for each.
    pub fn check(&self, facts: &Facts, source: &Source) -> Result<(), Vec<Diagnostic>> {
        let mut wrong = Vec::new();
        for name in &self.undefined {
            let message = format!("`{name}` is called but has no body");
            wrong.push(
                Diagnostic::error(message, call_of(name, source))
                    .note("a BPF program is complete in itself: there is nothing to link it with")
                    .help(format!(
                        "define `{name}` in the probe, or declare it `__ksym` if it is a function of the kernel"
                    )),
            );
        }
        // A call without a body may take its program with it; what is missing then is no news.
        if wrong.is_empty() {
            for fact in &facts.programs {
                for form in fact.forms.iter().filter(|form| !self.programs.contains(&form.program)) {
                    let message = format!("no program `{}` was made of `{}`", form.program, fact.function);
                    wrong.push(Diagnostic::error(message, fact.span).help("a program must not be `static`"));
                }
            }
            for fact in facts.maps.iter().filter(|fact| !self.maps.contains(&fact.name)) {
                let message = format!("no map `{}` was made of its declaration", fact.name);
                wrong.push(Diagnostic::error(message, fact.span));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// Where a function is first called: its name before a parenthesis, not behind a type.
fn call_of(name: &str, source: &Source) -> Option<Span> {
    let lexed = Lexed::new(&source.text);
    let tokens: Vec<_> = lexed.tokens().iter().filter(|token| token.kind != TokenKind::Comment).collect();
    let found = tokens.windows(3).filter_map(|window| match window {
        [before, token, open] => {
            let called = open.kind == TokenKind::Punctuation(b'(') && lexed.spelling(token) == name;
            let declared = before.kind == TokenKind::Identifier && lexed.spelling(before) != "return";
            called.then_some((declared, token.span))
        }
        _ => None,
    });
    found.min_by_key(|(declared, span)| (*declared, span.start)).map(|(_, span)| span)
}

/// A string of the BTF.
fn string(btf: &Btf, offset: u32) -> String {
    String::from_utf8_lossy(btf.string(NameOffset(offset))).into_owned()
}

#[cfg(test)]
mod tests;
