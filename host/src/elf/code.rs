//! The code of an object, function by function, with what is relocated in it and the lines that it came from.

use object::elf::{FileHeader64, SHF_EXECINSTR, STT_FUNC, STT_SECTION};
use object::read::elf::{FileHeader as _, Rel as _, SectionHeader as _, Sym as _};
use object::{Endianness, SectionIndex};

use super::ext::{self, word};
use super::{ElfError, string};
use crate::bpf::btf::{Btf, Kind, NameOffset, TypeId};

/// `struct bpf_core_relo`.
const CORE_RECORD: u32 = 16;
/// `struct bpf_line_info`.
const LINE_RECORD: u32 = 16;
/// A way to a field has some ten steps.
const MAX_STEPS: usize = 64;

/// What CO-RE puts into an instruction (`enum bpf_core_relo_kind`), by number.
const CORE_KINDS: [&str; 13] = [
    "byte_off",
    "byte_sz",
    "field_exists",
    "signed",
    "lshift_u64",
    "rshift_u64",
    "local_type_id",
    "target_type_id",
    "type_exists",
    "type_size",
    "enumval_exists",
    "enumval_value",
    "type_matches",
];

/// A section of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// Whether it holds instructions.
    pub is_code: bool,
    /// How many relocations there are for it.
    pub relocations: usize,
}

/// A function of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionCode {
    /// Its name.
    pub name: String,
    /// The section that it is in.
    pub section: String,
    /// Its instructions.
    pub bytes: Vec<u8>,
    /// By their place in it, in bytes.
    pub relocations: Vec<(usize, SymbolRelocation)>,
    /// What CO-RE relocates, in words: `byte_off of sock.__sk_common.skc_daddr (0:0:0)`.
    pub core: Vec<(usize, String)>,
    /// The lines that it came from.
    pub lines: Vec<(usize, SourceLine)>,
}

/// What the linker or libbpf puts into an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolRelocation {
    /// As `llvm-objdump -r` calls it: `R_BPF_64_64`.
    pub kind: &'static str,
    /// The symbol.
    pub symbol: String,
}

/// A line of a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// The file as clang was told it.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
    /// Its words.
    pub text: String,
}

/// The sections with bytes, and the functions in the order of sections and places.
///
/// # Errors
/// As for [`super::read`].
pub fn code(elf: &[u8]) -> Result<(Vec<Section>, Vec<FunctionCode>), ElfError> {
    let damaged = |error: object::read::Error| ElfError::Damaged(error.to_string());
    let header = FileHeader64::<Endianness>::parse(elf).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    if header.e_machine(endian) != object::elf::EM_BPF {
        return Err(ElfError::Machine(header.e_machine(endian).0));
    }
    let table = header.sections(endian, elf).map_err(damaged)?;
    let symbols = table.symbols(endian, elf, object::elf::SHT_SYMTAB).map_err(damaged)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut sections = Vec::new();
    for (_, section) in table.enumerate().skip(1) {
        sections.push(Section {
            name: text(table.section_name(endian, section).map_err(damaged)?),
            size: section.sh_size(endian),
            is_code: section.sh_flags(endian).0 & SHF_EXECINSTR.0 != 0,
            relocations: 0,
        });
    }
    // Without BTF there are neither lines nor CO-RE relocations; the code is there all the same.
    let data = |name: &str| {
        let (_, section) = table.section_by_name(endian, name.as_bytes())?;
        section.data(endian, elf).ok()
    };
    let btf = data(".BTF").and_then(|bytes| Btf::parse(bytes.to_vec()).ok());
    let extra = data(".BTF.ext").unwrap_or_default();
    let mut functions: Vec<(usize, u64, FunctionCode)> = Vec::new();
    for symbol in symbols.iter() {
        let Some(index) = symbol.st_shndx(endian).index().filter(|_| symbol.st_type() == STT_FUNC) else { continue };
        let Ok(section) = table.section(SectionIndex(usize::from(index))) else { continue };
        let bytes = section.data(endian, elf).map_err(damaged)?;
        let start = usize::try_from(symbol.st_value(endian)).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(symbol.st_size(endian)).unwrap_or(usize::MAX));
        let name = text(symbols.symbol_name(endian, symbol).map_err(damaged)?);
        let code = bytes
            .get(start..end)
            .ok_or_else(|| ElfError::Damaged(format!("function `{name}` reaches behind the end of its section")))?;
        functions.push((
            usize::from(index),
            symbol.st_value(endian),
            FunctionCode {
                name,
                section: text(table.section_name(endian, section).map_err(damaged)?),
                bytes: code.to_vec(),
                relocations: Vec::new(),
                core: Vec::new(),
                lines: Vec::new(),
            },
        ));
    }
    functions.sort_by(|a, b| (a.0, a.1, &a.2.name).cmp(&(b.0, b.1, &b.2.name)));
    for (_, section) in table.enumerate() {
        let Ok(Some((relocations, _))) = section.rel(endian, elf) else { continue };
        let target = usize::try_from(section.sh_info(endian)).unwrap_or(usize::MAX);
        if let Some(section) = target.checked_sub(1).and_then(|index| sections.get_mut(index)) {
            section.relocations += relocations.len();
        }
        for relocation in relocations {
            let symbol = relocation.symbol(endian).and_then(|index| symbols.symbol(index).ok());
            let Some(symbol) = symbol else { continue };
            let own = text(symbols.symbol_name(endian, symbol).unwrap_or_default());
            let section = symbol.st_shndx(endian).index().filter(|_| symbol.st_type() == STT_SECTION);
            let section = section.and_then(|index| table.section(SectionIndex(usize::from(index))).ok());
            let name = match section {
                Some(section) => text(table.section_name(endian, section).unwrap_or_default()),
                None => own,
            };
            let kind = match relocation.r_type(endian) {
                object::elf::R_BPF_64_64 => "R_BPF_64_64",
                object::elf::R_BPF_64_32 => "R_BPF_64_32",
                _ => "R_BPF_64_ABS",
            };
            let at = usize::try_from(relocation.r_offset(endian)).unwrap_or(usize::MAX);
            for (_, start, function) in functions.iter_mut().filter(|(index, _, _)| *index == target) {
                if let Some(inside) = inside(*start, function.bytes.len(), at) {
                    function.relocations.push((inside, SymbolRelocation { kind, symbol: name.clone() }));
                }
            }
        }
    }
    if let Some(btf) = &btf {
        let mut add = |field, least, each: &dyn Fn(&mut FunctionCode, usize, &[u8])| -> Option<()> {
            for (section, records) in ext::records(extra, field, least)? {
                let section = string(btf, section);
                for record in records {
                    let at = usize::try_from(word(record, 0)?).ok()?;
                    for (_, start, function) in functions.iter_mut().filter(|(_, _, one)| one.section == section) {
                        if let Some(inside) = inside(*start, function.bytes.len(), at) {
                            each(function, inside, record);
                        }
                    }
                }
            }
            Some(())
        };
        // What is cut short ends the list; `elf::read` has said so.
        let _ = add(ext::LINES, LINE_RECORD, &|function, at, record| {
            let number = |at| word(record, at).unwrap_or(0);
            let line =
                SourceLine { file: string(btf, number(4)), line: number(12) >> 10, text: string(btf, number(8)) };
            function.lines.push((at, line));
        });
        let _ = add(ext::RELOCATIONS, CORE_RECORD, &|function, at, record| {
            let number = |at| word(record, at).unwrap_or(0);
            let way = string(btf, number(8));
            let kind = usize::try_from(number(12)).ok().and_then(|kind| CORE_KINDS.get(kind)).unwrap_or(&"?");
            function.core.push((at, format!("{kind} of {} ({way})", field(btf, TypeId(number(4)), &way, number(12)))));
        });
    }
    Ok((sections, functions.into_iter().map(|(_, _, function)| function).collect()))
}

/// The place in a function that begins at `start` and has `len` bytes of the byte `at` of its section.
fn inside(start: u64, len: usize, at: usize) -> Option<usize> {
    at.checked_sub(usize::try_from(start).ok()?).filter(|at| *at < len)
}

/// The field that a way of indexes leads to, by names: `0:2:1` from `struct sock` is `sock.sk_x.sk_y`.
fn field(btf: &Btf, root: TypeId, way: &str, kind: u32) -> String {
    let name = |ty: TypeId| {
        let name = btf.unqualified(ty).name().into_owned();
        if name.is_empty() { "(anonymous)".to_owned() } else { name }
    };
    let mut text = name(root);
    let mut steps = way.split(':').take(MAX_STEPS).map(|step| step.parse::<usize>().unwrap_or(usize::MAX));
    let mut ty = btf.underlying(root);
    let first = steps.next();
    // Of an enumerator the first step is the one; of fields it is an element, as of an array.
    if matches!(kind, 10 | 11) {
        let value = first.and_then(|index| ty.enumerators().nth(index)).map(|(name, _)| name);
        let value = value.unwrap_or(NameOffset(0));
        return format!("{text}::{}", String::from_utf8_lossy(btf.string(value)));
    }
    if let Some(index) = first.filter(|index| *index > 0) {
        text.push_str(&format!("[{index}]"));
    }
    for index in steps {
        if ty.kind() == Kind::Array {
            text.push_str(&format!("[{index}]"));
            ty = btf.underlying(ty.array().map_or(TypeId::VOID, |array| array.element));
            continue;
        }
        let Some(member) = ty.members().nth(index) else {
            text.push_str(".?");
            break;
        };
        if member.name != NameOffset(0) {
            text.push_str(&format!(".{}", String::from_utf8_lossy(btf.string(member.name))));
        }
        ty = btf.underlying(member.id);
    }
    text
}
