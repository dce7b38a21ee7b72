//! Damaged debug information: an answer or an error, whatever the bytes are, in bounded memory, and what is sound beside the
//! damage is found.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use symres::{Answer, Binary, Error, Options, Pattern};
use symres_fuzz::image::{self, COMPRESSED, Part};

use common::{Random, output};

/// One pattern of each form; the first is of a function that sound parts of the handmade files have.
const PATTERNS: &[&str] = &["sound", "leaf", "outer::Shape::*", "*", "/^l.*f$/", "0x401010", "inlined.cc:24", "leaf+4"];

fn exercise(bytes: Vec<u8>) {
    if let Ok(binary) = Binary::from_bytes(bytes) {
        for pattern in PATTERNS.iter().filter_map(|text| text.parse::<Pattern>().ok()) {
            let _ = binary.functions(&pattern);
        }
    }
}

/// Asserts that this process never had more memory than a file under 1 MB is worth, beside what a test takes by itself.
#[track_caller]
fn memory_is_bounded() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches("kB").trim().parse().unwrap();
    assert!(kib < 256 << 10, "{kib} KiB at the peak");
}

/// The programs of `tests/data/inlined.cc` that are damaged.
fn programs(folder: &Path) -> Result<Vec<PathBuf>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let small = ["-w", "-g", "-nostdlib", "-static", "-no-pie", "-fno-rtti", "-Wl,-e,main", "-Wl,-Ttext=0x401000"];
    let mut list = Vec::new();
    for flags in ["-O2 -gdwarf-2", "-O1 -gdwarf-4 -fdebug-types-section", "-O2 -gdwarf-5", "-O1 -gdwarf-5 -gz=zlib"] {
        let path = folder.join(format!("program{}", list.len()));
        let mut command = Command::new("g++");
        command.args(small).args(flags.split(' ')).arg("-o").arg(&path);
        output(command.arg(data.join("inlined.cc")).arg(data.join("inlined_other.cc")))?;
        list.push(path);
    }
    Ok(list)
}

/// The sections of a program by `readelf`: name, offset, size.
fn sections(program: &Path) -> Result<Vec<(String, usize, usize)>> {
    let text = output(Command::new("readelf").args(["-SW"]).arg(program))?;
    let hex = |text: &str| usize::from_str_radix(text, 16);
    let mut list = Vec::new();
    for line in text.lines() {
        // [Nr] Name Type Address Off Size …
        let Some((_, rest)) = line.split_once("] .") else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        if let [name, kind, _, offset, size, ..] = fields.as_slice()
            && *kind != "NOBITS"
        {
            list.push((format!(".{name}"), hex(offset)?, hex(size)?));
        }
    }
    Ok(list)
}

#[test]
fn cut_off_at_every_structure() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for program in programs(folder.path())? {
        let bytes = fs::read(&program)?;
        let mut ends = vec![bytes.len()];
        for (_, offset, size) in sections(&program)? {
            ends.extend([offset, offset + size / 2, offset + size]);
        }
        for end in ends {
            for len in end.saturating_sub(2)..=end + 2 {
                exercise(bytes[..len.min(bytes.len())].to_vec());
            }
        }
    }
    memory_is_bounded();
    Ok(())
}

/// Each section ends early at every length: a header that says so, with all else as it was.
#[test]
fn sections_that_end_early() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for program in programs(folder.path())? {
        let bytes = fs::read(&program)?;
        let parts: Vec<Part> = sections(&program)?
            .into_iter()
            .filter_map(|(name, offset, size)| {
                let bytes = bytes[offset..offset + size].to_vec();
                Some(Part { kind: image::kind_of(&name)?, flags: 0, bytes })
            })
            .collect();
        assert!(parts.len() > 6, "{} sections", parts.len());
        for (index, part) in parts.iter().enumerate() {
            for len in (0..part.bytes.len()).step_by((part.bytes.len() / 40).max(1)) {
                let mut cut = parts.clone();
                cut[index].bytes.truncate(len);
                exercise(image::elf(&cut));
            }
        }
    }
    memory_is_bounded();
    Ok(())
}

#[test]
fn bytes_changed_in_debug_sections() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut random = Random(0x1234_5678_9abc_def1);
    for program in programs(folder.path())? {
        let bytes = fs::read(&program)?;
        let debug: Vec<_> = sections(&program)?.into_iter().filter(|(name, ..)| name.starts_with(".debug")).collect();
        for round in 0..300 {
            let mut damaged = bytes.clone();
            for _ in 0..=random.below(if round % 2 == 0 { 1 } else { 30 }) {
                let (_, offset, size) = &debug[random.below(debug.len())];
                let at = offset + random.below(*size);
                damaged[at] = match random.below(4) {
                    0 => 0,
                    1 => 0xff,
                    2 => damaged[at] ^ (1 << random.below(8)),
                    _ => u8::try_from(random.next() & 0xff)?,
                };
            }
            exercise(damaged);
        }
    }
    memory_is_bounded();
    Ok(())
}

/// What the handmade units use.
const ABBREVIATIONS: &[u8] = &[
    1, 0x11, 1, 0x03, 0x08, 0, 0, // compile_unit: name as a string; with children
    2, 0x2e, 0, 0x03, 0x08, 0x11, 0x01, 0x12, 0x07, 0, 0, // subprogram: name, low_pc, high_pc as data8
    3, 0x1d, 1, 0x31, 0x13, 0x11, 0x01, 0x12, 0x07, 0,
    0, // inlined_subroutine: abstract_origin as ref4, low_pc, high_pc
    4, 0x2e, 0, 0x47, 0x13, 0x11, 0x01, 0x12, 0x07, 0, 0, // subprogram: specification as ref4, low_pc, high_pc
    5, 0x0b, 1, 0, 0, // lexical_block
    6, 0x2e, 1, 0x01, 0x13, 0x03, 0x08, 0x20, 0x0b, 0, 0, // subprogram: sibling as ref4, name, inline
    7, 0x3d, 0, 0x18, 0x10, 0, 0, // imported_unit: import as ref_addr (8 bytes of address in DWARF 2, else 4)
    8, 0x2e, 0, 0x31, 0x10, 0x11, 0x01, 0x12, 0x07, 0,
    0, // subprogram: abstract_origin as ref_addr, low_pc, high_pc
    9, 0x2e, 0, 0x03, 0x08, 0x55, 0x17, 0, 0, // subprogram: name, ranges as sec_offset
    10, 0x2e, 0, 0x03, 0x16, 0, 0, // subprogram: name as indirect
    11, 0x2e, 0, 0x03, 0x0e, 0x11, 0x01, 0, 0, // subprogram: name as strp, low_pc
    12, 0x39, 1, 0x03, 0x08, 0, 0, // namespace: name
    13, 0x2e, 1, 0x03, 0x08, 0x11, 0x01, 0x12, 0x07, 0, 0, // subprogram: name, low_pc, high_pc; with children
    0,
];
/// An address in the files that [`image::elf`] makes.
const CODE: u64 = image::BASE + 0x1000;

/// A unit of DWARF 4 around these DIEs, which begin at offset 11 of it, or 18 with the unit's own DIE.
fn unit(dies: &[u8]) -> Vec<u8> {
    let mut body = vec![4, 0, 0, 0, 0, 0, 8, 1];
    body.extend(b"unit\0\0");
    body.pop();
    body.extend(dies);
    body.push(0);
    let mut unit = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
    unit.extend(body);
    unit
}

/// Where the first DIE inside of a unit is.
const FIRST: u32 = 17;

fn function(abbreviation: u8, what: &[u8], addr: u64, len: u64) -> Vec<u8> {
    [&[abbreviation][..], what, &addr.to_le_bytes(), &len.to_le_bytes()].concat()
}

fn sound() -> Vec<u8> {
    unit(&function(2, b"sound\0", CODE + 16, 16))
}

fn with_debug(info: &[u8], others: &[(&str, &[u8])]) -> Vec<u8> {
    let part = |name: &str, bytes: &[u8]| Part { kind: image::kind_of(name).unwrap(), flags: 0, bytes: bytes.to_vec() };
    let mut parts = vec![part(".text", &[0x90; 256]), part(".debug_info", info)];
    if !others.iter().any(|(name, _)| *name == ".debug_abbrev") {
        parts.push(part(".debug_abbrev", ABBREVIATIONS));
    }
    parts.extend(others.iter().map(|(name, bytes)| part(name, bytes)));
    image::elf(&parts)
}

fn find(file: Vec<u8>, name: &str) -> Result<Answer, Error> {
    let binary = Binary::from_bytes(file)?;
    binary.functions(&name.parse()?)
}

/// The sound unit, behind the damaged one and before it, is found, or the answer is an error.
#[track_caller]
fn check(what: &str, damaged: &[u8], others: &[(&str, &[u8])]) {
    for info in [[&sound()[..], damaged].concat(), [damaged, &sound()[..]].concat()] {
        let file = with_debug(&info, others);
        exercise(file.clone());
        match find(file, "sound") {
            Ok(answer) => {
                // What is damaged may refer to the sound function and be another body of it.
                let mut places = answer.matches.iter().flat_map(|function| &function.places);
                assert!(places.any(|place| place.addr.0 == CODE + 16), "{what}: {answer:?}");
            }
            Err(error) => assert!(!error.to_string().is_empty(), "{what}"),
        }
    }
}

#[test]
fn the_sound_unit_is_sound() -> Result<()> {
    let answer = find(with_debug(&sound(), &[]), "sound")?;
    assert_eq!(answer.matches.len(), 1, "{answer:?}");
    assert_eq!(answer.matches[0].places[0].addr.0, CODE + 16);
    assert_eq!(answer.matches[0].places[0].size.0, 16);
    Ok(())
}

/// An index for unwinding whose only entry leads to in front of `.eh_frame`: found by fuzzing.
#[test]
fn unwinding_that_begins_before_its_section() {
    // Version, and encodings of the pointer, the count and the table: absolute, 8, 4 and 8 bytes.
    let mut index = vec![1, 0x04, 0x03, 0x04];
    index.extend(0x5000_u64.to_le_bytes());
    index.extend(1_u32.to_le_bytes());
    index.extend([CODE.to_le_bytes(), 0x10_u64.to_le_bytes()].concat());
    let file = with_debug(&sound(), &[(".eh_frame", &[0; 64]), (".eh_frame_hdr", &index)]);
    let answer = find(file, &format!("{:#x}", CODE + 64)).unwrap();
    assert_eq!(answer.reason.map(|reason| reason.name()), Some("no-function"));
}

#[test]
fn references_that_lead_in_circles() {
    let at = |offset: u32| offset.to_le_bytes();
    // Each is the specification of itself, or of the other.
    check("itself", &unit(&function(4, &at(FIRST), CODE, 8)), &[]);
    let len = u32::try_from(function(4, &at(0), CODE, 8).len()).unwrap();
    let pair = [function(4, &at(FIRST + len), CODE, 8), function(4, &at(FIRST), CODE, 8)].concat();
    check("two", &unit(&pair), &[]);
    let mut chain = Vec::new();
    for link in 1..20_000 {
        chain.extend(function(4, &at(FIRST + link * len), CODE, 8));
    }
    check("a chain", &unit(&chain), &[]);
    // An inlined copy of itself.
    let inside = [function(3, &at(FIRST), CODE, 8), vec![0]].concat();
    check("inlined into itself", &unit(&inside), &[]);
    // Across units: of the unit itself, of the middle of a DIE, of what is behind the end.
    for target in [0, 11, FIRST, FIRST + 3, 40, 1 << 20, u32::MAX] {
        check("import", &unit(&[&[7][..], &at(target)].concat()), &[]);
        check("origin elsewhere", &unit(&function(8, &at(target), CODE, 8)), &[]);
        check("origin", &unit(&function(4, &at(target), CODE, 8)), &[]);
    }
    let imports: Vec<u8> = (0..20_000).flat_map(|_| [&[7][..], &at(0)].concat()).collect();
    check("many imports", &unit(&imports), &[]);
    memory_is_bounded();
}

#[test]
fn siblings_that_are_none() {
    for target in [0, 11, FIRST, FIRST + 1, 60, 1 << 20, u32::MAX] {
        let die = [&[6][..], &target.to_le_bytes(), b"leaf\0\x01", &[0]].concat();
        check("sibling", &unit(&[die.clone(), die, function(2, b"leaf\0", CODE, 8)].concat()), &[]);
    }
    memory_is_bounded();
}

#[test]
fn nesting_without_end() {
    // Blocks in blocks; the ends are missing, and then they are there.
    check("open blocks", &unit(&[5; 300_000]), &[]);
    check("blocks", &unit(&[vec![5; 200_000], vec![0; 200_000]].concat()), &[]);
    check("ends", &unit(&[0; 300_000]), &[]);
    let namespaces: Vec<u8> = b"\x0cname\0".repeat(50_000);
    check("namespaces", &unit(&[namespaces, function(2, b"leaf\0", CODE, 8)].concat()), &[]);
    // Each inlined copy has all those around it as callers.
    let copy = function(3, &FIRST.to_le_bytes(), CODE, 8);
    let leaf = [&[6][..], &(FIRST + 12).to_le_bytes(), b"leaf\0\x01", &[0]].concat();
    let body = function(13, b"main\0", CODE, 8);
    check("copies in copies", &unit(&[leaf, body, copy.repeat(20_000)].concat()), &[]);
    memory_is_bounded();
}

#[test]
fn units_that_are_none() {
    for (what, header) in [
        ("length 0", &[0_u8, 0, 0, 0][..]),
        ("length beyond the section", &[0xef, 0xff, 0xff, 0x7f, 4, 0, 0, 0, 0, 0, 8]),
        ("reserved length", &[0xf0, 0xff, 0xff, 0xff, 4, 0, 0, 0, 0, 0, 8]),
        ("64 bits", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 4, 0]),
        ("version 0", &[7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8]),
        ("version 9", &[7, 0, 0, 0, 9, 0, 0, 0, 0, 0, 8]),
        ("address of 3 bytes", &[7, 0, 0, 0, 4, 0, 0, 0, 0, 0, 3]),
        ("abbreviations beyond the section", &[8, 0, 0, 0, 4, 0, 0xff, 0xff, 0xff, 0xff, 8, 1]),
        ("abbreviations in their middle", &[8, 0, 0, 0, 4, 0, 3, 0, 0, 0, 8, 1]),
        ("unit type 0x7f", &[10, 0, 0, 0, 5, 0, 0x7f, 8, 0, 0, 0, 0, 1, 0]),
        ("no abbreviation", &[8, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8, 99]),
    ] {
        exercise(with_debug(&[header, &sound()].concat(), &[]));
        exercise(with_debug(&[&sound(), header].concat(), &[]));
        // What comes before is sound.
        if let Ok(answer) = find(with_debug(&[&sound(), header].concat(), &[]), "sound") {
            assert_eq!(answer.matches.len(), 1, "{what}: {answer:?}");
        }
    }
    // As many units as fit, each almost empty.
    exercise(with_debug(&[7, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8].repeat(80_000), &[]));
    exercise(with_debug(&unit(b"").repeat(40_000), &[]));
    memory_is_bounded();
}

#[test]
fn abbreviations_without_end() {
    // A declaration with 300,000 attributes of no size, and 100,000 declarations whose codes have gaps.
    let wide = [&[1, 0x11, 1][..], &[0x03, 0x19].repeat(300_000), &[0, 0, 0]].concat();
    let mut many = Vec::new();
    for code in 0..100_000_u32 {
        let code = code * 2039 + 1;
        let leb = [code & 0x7f | 0x80, code >> 7 & 0x7f | 0x80, code >> 14 & 0x7f | 0x80, code >> 21 & 0x7f];
        many.extend(leb.iter().map(|byte| u8::try_from(*byte).unwrap()));
        many.extend([0x11, 1, 0, 0]);
    }
    many.push(0);
    for (what, table) in [("attributes", wide), ("codes", many)] {
        // The long table is behind that of the sound unit.
        let abbreviations = [ABBREVIATIONS, &table].concat();
        let mut damaged = unit(b"");
        damaged[6..10].copy_from_slice(&u32::try_from(ABBREVIATIONS.len()).unwrap().to_le_bytes());
        check(what, &damaged, &[(".debug_abbrev", &abbreviations)]);
        // Each unit uses it.
        exercise(with_debug(&damaged.repeat(8_000), &[(".debug_abbrev", &abbreviations)]));
    }
    memory_is_bounded();
}

#[test]
fn forms_that_lead_nowhere() {
    // DW_FORM_indirect of DW_FORM_indirect, and of an unknown form.
    check("indirect", &unit(&[&[10][..], &[0x16; 200_000]].concat()), &[]);
    check("indirect to an unknown form", &unit(&[10, 0x7e, 0]), &[]);
    // A string behind the section, and one that does not end.
    let name = |at: u32| [&[11][..], &at.to_le_bytes(), &CODE.to_le_bytes()].concat();
    check("string", &unit(&[name(0), name(3), name(4), name(u32::MAX)].concat()), &[(".debug_str", b"leaf")]);
    // One long name for many functions.
    let long = [vec![b'a'; 400_000], b"leaf\0".to_vec()].concat();
    let names: Vec<u8> = (0..40_000).flat_map(name).collect();
    check("overlapping names", &unit(&names), &[(".debug_str", &long)]);
    memory_is_bounded();
}

#[test]
fn ranges_without_end() {
    let function = |at: u32| [&[9][..], b"leaf\0", &at.to_le_bytes()].concat();
    let one = [CODE.to_le_bytes(), (CODE + 1).to_le_bytes()].concat();
    // A list that does not end; all functions have it.
    let list = one.repeat(30_000);
    let functions: Vec<u8> = (0..30_000).flat_map(|n| function(n * 16)).collect();
    check("ranges", &unit(&functions), &[(".debug_ranges", &list)]);
    check("behind the section", &unit(&function(u32::MAX)), &[(".debug_ranges", &list)]);
    let backwards = [(CODE + 8).to_le_bytes(), CODE.to_le_bytes(), [0xff; 8], [0xff; 8]].concat();
    check("backwards", &unit(&function(0)), &[(".debug_ranges", &backwards)]);
    memory_is_bounded();
}

#[test]
fn line_programs_without_end() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = programs(folder.path())?.swap_remove(0);
    let bytes = fs::read(&program)?;
    let (_, offset, size) =
        sections(&program)?.into_iter().find(|(name, ..)| name == ".debug_line").context("lines")?;
    // Each field of the header of a line program at its most: length, version, header length, …
    for at in 0..20 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[offset + at] = value;
            exercise(damaged);
        }
    }
    // Rows without end: special opcodes up to the end of the section.
    let mut damaged = bytes.clone();
    let body = offset + size / 2..offset + size;
    damaged[body].fill(0xfe);
    exercise(damaged);
    memory_is_bounded();
    Ok(())
}

/// `Elf64_Chdr`: `ch_type`, `ch_reserved`, `ch_size`, `ch_addralign`.
fn chdr(kind: u32, size: u64) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &[0; 4], &size.to_le_bytes(), &1_u64.to_le_bytes()].concat()
}

/// A stream of a gigabyte of zeros and more in less than a megabyte: blocks of zlib that are complete by themselves, repeated.
fn zlib_of_zeros(blocks: usize) -> Vec<u8> {
    let mut zeros = Vec::new();
    flate2::read::ZlibEncoder::new(&[0; 1 << 20][..], flate2::Compression::best()).read_to_end(&mut zeros).unwrap();
    // A stored block of no bytes may follow any block; what ends a stream is the flag of its last block. The block of
    // the encoder is a last one, so the flag is taken back (RFC 1951, 3.2.3).
    let mut block = zeros[2..zeros.len() - 4].to_vec();
    block[0] &= !1;
    let mut stream = zeros[..2].to_vec();
    for _ in 0..blocks {
        stream.extend(&block);
    }
    stream
}

/// A frame of zstd with blocks of 128 KiB of one byte, four bytes each (RFC 8878, 3.1.1.2).
fn zstd_of_zeros(blocks: usize) -> Vec<u8> {
    // Window of 1 MiB, no checksum, no content size.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50];
    // Block_Header: last, type RLE (1), size.
    let header = ((128_u32 << 10) << 3 | 1 << 1).to_le_bytes();
    for _ in 0..blocks {
        frame.extend(&header[..3]);
        frame.push(0);
    }
    frame
}

#[test]
fn compressed_sections_that_unpack_to_anything() {
    let bombs = [
        ("zlib", [chdr(1, 1 << 30), zlib_of_zeros(900)].concat()),
        ("zlib, and it says so", [chdr(1, 1 << 16), zlib_of_zeros(20)].concat()),
        ("zlib of 16 EiB", [chdr(1, u64::MAX), zlib_of_zeros(4)].concat()),
        ("zstd", [chdr(2, 1 << 34), zstd_of_zeros(1 << 17)].concat()),
        ("zstd of 16 EiB", [chdr(2, u64::MAX), zstd_of_zeros(4)].concat()),
        ("zstd, less than it says", [chdr(2, 1 << 40), zstd_of_zeros(1)].concat()),
        ("unknown", chdr(77, 1 << 20)),
        ("header alone", chdr(1, 100)),
        ("half a header", chdr(1, 100)[..11].to_vec()),
    ];
    for (what, bytes) in bombs {
        assert!(bytes.len() < 1 << 20, "{what}: {} bytes", bytes.len());
        for name in [".debug_info", ".debug_abbrev", ".debug_str", ".debug_line"] {
            let mut parts = vec![
                Part { kind: image::kind_of(".text").unwrap(), flags: 0, bytes: vec![0x90; 64] },
                Part { kind: image::kind_of(name).unwrap(), flags: COMPRESSED, bytes: bytes.clone() },
            ];
            for (other, bytes) in [(".debug_info", sound()), (".debug_abbrev", ABBREVIATIONS.to_vec())] {
                if other != name {
                    parts.push(Part { kind: image::kind_of(other).unwrap(), flags: 0, bytes });
                }
            }
            exercise(image::elf(&parts));
        }
    }
    memory_is_bounded();
}

/// A debug link with a wrong checksum leads nowhere, one that leads to the file itself and one to a damaged file do neither.
#[test]
fn debug_links_that_lead_astray() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = programs(folder.path())?.swap_remove(2);
    let (stripped, debug) = (folder.path().join("stripped"), folder.path().join("debug"));
    output(Command::new("objcopy").arg("--only-keep-debug").arg(&program).arg(&debug))?;
    output(Command::new("strip").arg("-o").arg(&stripped).arg(&program))?;
    output(Command::new("objcopy").arg(format!("--add-gnu-debuglink={}", debug.display())).arg(&stripped))?;
    let leaf: Pattern = "leaf".parse()?;
    let places = |path: &Path| -> Result<usize> {
        let binary = Binary::open_with(path, &Options::default())?;
        Ok(binary.functions(&leaf)?.matches.iter().map(|function| function.places.len()).sum())
    };
    assert!(places(&stripped)? > 5, "the file that the link leads to is used");
    let good = fs::read(&debug)?;
    let mut wrong = good.clone();
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    fs::write(&debug, &wrong)?;
    assert_eq!(places(&stripped)?, 0, "a wrong checksum");
    fs::write(&debug, &good[..good.len() / 2])?;
    assert_eq!(places(&stripped)?, 0, "half a file");
    fs::write(&debug, b"")?;
    assert_eq!(places(&stripped)?, 0, "an empty file");
    fs::remove_file(&debug)?;
    std::os::unix::fs::symlink("stripped", &debug)?;
    assert_eq!(places(&stripped)?, 0, "the file itself");
    fs::remove_file(&debug)?;
    fs::create_dir(&debug)?;
    assert_eq!(places(&stripped)?, 0, "a folder");
    memory_is_bounded();
    Ok(())
}

/// A MiniDebugInfo that unpacks to more than a server's symbols take, and one that has one itself.
#[test]
fn minidebuginfo_that_grows() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let part = |name: &str, flags, bytes| Part { kind: image::kind_of(name).unwrap(), flags, bytes };
    let text = part(".text", 0, vec![0x90; 64]);
    let zeros = folder.path().join("zeros");
    let command = format!("head -c 2000M /dev/zero | xz -0 --check=crc32 > {}", zeros.display());
    output(Command::new("sh").arg("-c").arg(command))?;
    let packed = fs::read(&zeros)?;
    assert!(packed.len() < 1 << 20, "{} bytes", packed.len());
    exercise(image::elf(&[text.clone(), part(".gnu_debugdata", 0, packed)]));
    let mut inner = image::elf(std::slice::from_ref(&text));
    for _ in 0..8 {
        inner = image::elf(&[text.clone(), part(".gnu_debugdata", image::XZ, inner)]);
    }
    exercise(inner);
    memory_is_bounded();
    Ok(())
}
