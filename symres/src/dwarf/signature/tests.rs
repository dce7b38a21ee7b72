//! Descriptions of what compilers make of the programs below.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use gimli::{DebugInfoOffset, Dwarf, DwarfFileType, RunTimeEndian};

use super::*;
use crate::dwarf::reader::Section;
use crate::dwarf::sections::{Reader, Sections};
use crate::elf::{Elf, Machine};
use crate::file::Contents;
use crate::location::{KnownBy, Location};

struct Program<'s> {
    dwarf: Rc<Dwarf<Reader<'s>>>,
    units: RefCell<HashMap<usize, Rc<DebugUnit<Reader<'s>>>>>,
    frames: OnceCell<Frames<Reader<'s>>>,
    sections: &'s Sections<'s>,
    elf: &'s Elf,
}

impl<'s> Program<'s> {
    fn unit(&self, header: gimli::UnitHeader<Reader<'s>>) -> Rc<DebugUnit<Reader<'s>>> {
        let key = header.offset().0 | usize::from(header.debug_types_offset().is_some()) << 60;
        let make = || Rc::new(DebugUnit::new(Rc::clone(&self.dwarf), Rc::new(self.dwarf.unit(header).unwrap())));
        Rc::clone(self.units.borrow_mut().entry(key).or_insert_with(make))
    }

    fn headers(&self) -> Vec<gimli::UnitHeader<Reader<'s>>> {
        let mut headers: Vec<_> = self.dwarf.units().map(Result::unwrap).collect();
        headers.extend(self.dwarf.type_units().map(Result::unwrap));
        headers
    }

    /// Every function of this name with code, and its inlined copies: the described entry, the outer one, the address.
    fn places(&self, name: &str) -> Vec<(Die<Reader<'s>>, Die<Reader<'s>>, u64, SiteKind)> {
        let context = Context::new(self, Machine::X86_64, 1 << 30);
        let mut found = Vec::new();
        for header in self.headers() {
            let unit = self.unit(header);
            let mut outer = None;
            let mut cursor = unit.unit.entries();
            while let Some(entry) = cursor.next_dfs().unwrap() {
                let die = Die { unit: Rc::clone(&unit), offset: entry.offset() };
                let inlined = entry.tag() == gimli::DW_TAG_inlined_subroutine;
                if entry.tag() == gimli::DW_TAG_subprogram {
                    outer = Some(die.clone());
                } else if !inlined {
                    continue;
                }
                let Ok(ranges) = unit.dwarf.die_ranges(&unit.unit, entry) else { continue };
                let ranges: Vec<_> = ranges.map(Result::unwrap).collect();
                let Some(range) = ranges.first() else { continue };
                let entry_pc = entry.attr_value(gimli::DW_AT_entry_pc);
                let entry_pc = entry_pc.and_then(|value| unit.dwarf.attr_address(&unit.unit, value).unwrap());
                context.begin();
                let named = context
                    .chain(&die)
                    .iter()
                    .any(|(die, entry)| context.text(die, entry, gimli::DW_AT_name).as_deref() == Some(name));
                if named {
                    let kind = if inlined { SiteKind::Inside } else { SiteKind::Entry { copy: false } };
                    let pc = if inlined { entry_pc.unwrap_or(range.begin) } else { range.begin };
                    found.push((die, outer.clone().unwrap(), pc, kind));
                }
            }
        }
        found
    }

    fn describe(&self, name: &str) -> Vec<Description> {
        let context = Context::new(self, Machine::X86_64, 1 << 30);
        let places = self.places(name);
        let describe = |(die, outer, pc, kind): &(Die<_>, Die<_>, u64, SiteKind)| {
            describe(&context, die, Some(&Site { outer, pc: *pc, kind: *kind }))
        };
        places.iter().map(describe).collect()
    }
}

impl<'s> Reach<Reader<'s>> for Program<'s> {
    fn die(&self, _: &DebugUnit<Reader<'s>>, reference: Reference) -> Option<Die<Reader<'s>>> {
        match reference {
            Reference::Info(offset) => {
                let header = self.headers().into_iter().find(|header| {
                    header.debug_info_offset().is_some_and(|DebugInfoOffset(start)| {
                        (start..start + header.length_including_self()).contains(&offset.0)
                    })
                })?;
                let offset = offset.to_unit_offset(&header)?;
                Some(Die { unit: self.unit(header), offset })
            }
            Reference::Type(signature) => self.headers().into_iter().find_map(|header| match header.type_() {
                gimli::UnitType::Type { type_signature, type_offset } if type_signature == signature => {
                    Some(Die { unit: self.unit(header), offset: type_offset })
                }
                _ => None,
            }),
            Reference::Supplementary(_) => None,
        }
    }

    fn frames(&self) -> Option<&Frames<Reader<'s>>> {
        Some(self.frames.get_or_init(|| Frames::of(self.sections, self.elf, self.sections)))
    }
}

/// Opens a program.
fn open(path: &Path, test: impl FnOnce(&Program<'_>)) {
    let elf = Elf::parse(Contents::open(path, path).unwrap()).unwrap();
    let sections = Sections::of(&elf, DwarfFileType::Main).unwrap();
    let dwarf = Rc::new(sections.dwarf());
    test(&Program { dwarf, units: RefCell::default(), frames: OnceCell::new(), sections: &sections, elf: &elf });
}

/// Compiles a program into a shared library, which needs no `main`.
fn compile(source: &str, compiler: &[&str], test: impl FnOnce(&Program<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    let extension = if compiler[0].contains("++") { "cc" } else { "c" };
    let file = folder.path().join("source").with_extension(extension);
    std::fs::write(&file, source).unwrap();
    let out = folder.path().join("out.so");
    let output = Command::new(compiler[0])
        .args(["-shared", "-fPIC", "-w", "-o"])
        .arg(&out)
        .args(&compiler[1..])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{compiler:?}: {}", String::from_utf8_lossy(&output.stderr));
    open(&out, test);
}

/// A signature in one line.
fn line(description: &Description) -> String {
    let signature = &description.signature;
    let parameters: Vec<String> = signature
        .parameters
        .iter()
        .map(|p| format!("{} {} ({:?} {:?})", p.ty, p.name.as_deref().unwrap_or("-"), p.ty.class, p.ty.size))
        .collect();
    let arguments: Vec<String> = description
        .arguments
        .iter()
        .map(|a| {
            let by = match a.known_by {
                KnownBy::DebugInfo => "",
                KnownBy::CallingConvention => "!",
                _ => "?",
            };
            format!("{by}{}", a.location.text(Machine::X86_64))
        })
        .collect();
    let returned = signature.returns_in.as_ref().map_or_else(|| "-".to_owned(), |l: &Location| l.text(Machine::X86_64));
    format!(
        "{} in {returned} <- {} @ {}",
        signature.returns.as_ref().unwrap(),
        parameters.join("; "),
        arguments.join("; ")
    )
}

/// What an expression says at an instruction that is not the first of `f(int)`.
fn evaluated(program: &Program<'_>, bytes: &[u8], size: u64) -> String {
    // The reader of the program's sections lives as long as they do; what a test makes up may be kept for ever.
    let section: &'static Section<'static> =
        Box::leak(Box::new(Section::in_memory(Box::leak(bytes.to_vec().into_boxed_slice()), RunTimeEndian::Little)));
    let (die, ..) = program.places("f").swap_remove(0);
    let context = Context::new(program, Machine::X86_64, 1 << 20);
    context.begin();
    let instruction = location::Instruction::new(&die, 1);
    let expression = gimli::Expression(section.reader());
    let evaluated = expression::evaluate(&context, &instruction, &die, &expression, Some(size), 0);
    evaluated.location.text(Machine::X86_64)
}

#[test]
fn expressions_are_evaluated_as_far_as_possible() {
    compile("int f(int x) { return x; }", &["gcc", "-g", "-O1"], |program| {
        let check = |bytes: &[u8], size: u64, expected: &str| {
            assert_eq!(evaluated(program, bytes, size), expected, "{bytes:02x?}");
        };
        // DW_OP_reg5, DW_OP_breg5 8, DW_OP_bregx 5 -8, DW_OP_addr
        check(&[0x55], 8, "rdi");
        check(&[0x75, 8], 4, "[rdi+8]");
        check(&[0x92, 5, 0x78], 8, "[rdi-8]");
        check(&[0x03, 0x78, 0x56, 0, 0, 0, 0, 0, 0], 8, "[0x5678]");
        // Values: DW_OP_stack_value behind them.
        check(&[0x75, 8, 0x9f], 8, "rdi+8");
        check(&[0x75, 0, 0x9f], 8, "rdi");
        check(&[0x35, 0x9f], 4, "5");
        check(&[0x03, 0x78, 0x56, 0, 0, 0, 0, 0, 0, 0x9f], 8, "0x5678");
        // DW_OP_deref: the place behind a pointer, and what is there.
        check(&[0x77, 16, 0x06], 8, "[[rsp+16]]");
        check(&[0x77, 16, 0x06, 0x23, 24], 8, "[[rsp+16]+24]");
        check(&[0x77, 16, 0x06, 0x9f], 8, "[rsp+16]");
        check(&[0x77, 16, 0x06, 0x38, 0x22, 0x9f], 8, "[rsp+16]+8");
        // DW_OP_deref_size 4 is enough for four bytes, and not for eight.
        check(&[0x77, 16, 0x94, 4, 0x9f], 4, "[rsp+16]");
        check(&[0x77, 16, 0x94, 4, 0x9f], 8, "DW_OP_breg7 16; DW_OP_deref_size 4; DW_OP_stack_value");
        // DW_OP_const4u 0xffffffff, DW_OP_and: the lowest bytes are those of the register.
        check(&[0x75, 0, 0x0c, 0xff, 0xff, 0xff, 0xff, 0x1a, 0x9f], 4, "rdi");
        check(
            &[0x75, 0, 0x0c, 0xff, 0xff, 0xff, 0xff, 0x1a, 0x9f],
            8,
            "DW_OP_breg5 0; DW_OP_const4u 4294967295; DW_OP_and; DW_OP_stack_value",
        );
        // DW_OP_piece: in a register, nowhere, in memory.
        check(&[0x55, 0x93, 8, 0x93, 8], 16, "rdi:8, optimised out:8");
        check(&[0x77, 8, 0x93, 8, 0x35, 0x9f, 0x93, 4], 12, "[rsp+8]:8, 5:4");
        check(&[0x93, 8, 0x93, 8], 16, "optimised out");
        check(&[0x55, 0x93, 4], 4, "rdi");
        check(&[0x55, 0x9d, 4, 2], 1, "DW_OP_reg5; DW_OP_bit_piece 4 2");
        // DW_OP_implicit_value, and no operation at all.
        check(&[0x9e, 2, 0xab, 0xcd], 2, "bytes ab cd");
        check(&[], 4, "optimised out");
        // Numbers only: DW_OP_lit7 lit3 minus, lit1 lit4 shl, const1s -1 lit1 shra, lit2 lit2 eq.
        check(&[0x37, 0x33, 0x1c, 0x9f], 4, "4");
        check(&[0x31, 0x34, 0x24, 0x9f], 4, "16");
        check(&[0x09, 0xff, 0x31, 0x26, 0x9f], 4, "-1");
        check(&[0x32, 0x32, 0x29, 0x9f], 4, "1");
        // DW_OP_dup, swap, rot, over, drop
        check(&[0x33, 0x12, 0x22, 0x9f], 4, "6");
        check(&[0x31, 0x35, 0x16, 0x1c, 0x9f], 4, "4");
        check(&[0x31, 0x35, 0x14, 0x13, 0x1c, 0x9f], 4, "-4");
        // DW_OP_bra over DW_OP_lit1 when the condition is known
        check(&[0x31, 0x28, 1, 0, 0x31, 0x32, 0x9f], 4, "2");
        check(
            &[0x75, 0, 0x28, 1, 0, 0x31, 0x32, 0x9f],
            4,
            "DW_OP_breg5 0; DW_OP_bra 1; DW_OP_lit1; DW_OP_lit2; DW_OP_stack_value",
        );
        // DW_OP_entry_value(DW_OP_reg5): it is not kept; of rbx it is, and the stack pointer is known by the frame.
        check(&[0xa3, 1, 0x55, 0x9f], 4, "DW_OP_entry_value(reg5); DW_OP_stack_value");
        // Two registers, and one times two.
        check(&[0x75, 0, 0x74, 0, 0x22, 0x9f], 8, "DW_OP_breg5 0; DW_OP_breg4 0; DW_OP_plus; DW_OP_stack_value");
    });
}

#[test]
fn expressions_that_make_no_sense_end() {
    compile("int f(int x) { return x; }", &["gcc", "-g", "-O1"], |program| {
        // DW_OP_skip -3 for ever, and DW_OP_dup without an end.
        assert!(evaluated(program, &[0x2f, 0xfd, 0xff], 4).starts_with("DW_OP_skip"));
        assert!(evaluated(program, &[0x31, 0x12, 0x2f, 0xfc, 0xff], 4).starts_with("DW_OP_lit1"));
        let many: Vec<u8> = [0x55, 0x93, 1].into_iter().cycle().take(3 * 10_000).collect();
        assert!(evaluated(program, &many, 4).len() < 4096);
        // Nothing on the stack, too little behind, operations that do not exist.
        for bytes in
            [&[0x22][..], &[0x9f], &[0x06], &[0x03, 1], &[0xff], &[0x55, 0x55], &[0xa3, 200], &[0x9e, 0x80], &[0xf2]]
        {
            evaluated(program, bytes, 4);
        }
    });
}

/// Each function of it is compared with what its mangled name says. Templates are passed by value: of those that are only
/// declared there are no arguments, but the compiler's own spelling.
const SPELLINGS: &str = r#"
#include <cstddef>
namespace std { template<class T> struct box { T t; }; template<class T, class U = box<T>> struct vec { T *p; }; }
namespace ns { struct A { int x; struct Inner { int y; }; enum class E : short { One = 1 }; union U { int i; float f; };
    template<int N, unsigned U2, bool B, E e, char c> struct V { int z; }; }; }
namespace { struct Hidden { int h; }; }
template<class... T> struct Pack { int p; };
template<template<class> class C> struct Of { int o; };
enum Colour { Red, Green };
extern "C++" {
void f01(char const*, char* const, char const* const*) {}
void f02(unsigned long, unsigned int, short, unsigned char, signed char, long long, unsigned long long, bool) {}
void f03(float, double, long double, wchar_t, char16_t, char32_t) {}
void f04(ns::A*, ns::A::Inner const&, ns::A&&, ns::A::E, ns::A::U volatile*) {}
void f05(void (*)(int), int (*)(char const*, ...), void (*)()) {}
void f06(int ns::A::*, int (ns::A::*)(long), int (ns::A::*)(long) const) {}
void f07(int (*)[3], int (&)[4][5], char const (&)[6]) {}
void f08(std::vec<int> const&, std::vec<std::box<char const*>>, std::box<std::box<long>>) {}
void f09(ns::A::V<-4, 4u, true, ns::A::E::One, 'a'>) {}
void f10(Pack<int, char const*, Pack<>>, Pack<void (int)>, Of<std::box>) {}
void f11(decltype(nullptr), void*, void const*, Colour, Colour&) {}
void f12(void (*(*)(int))(char), char const* (*)(int), void (**)(int)) {}
void f13(int, ...) {}
void f14() {}
void f15(__int128, unsigned __int128) {}
__attribute__((used)) void f16(Hidden*, Hidden const&) {}
void f17(int* const* volatile*, void (*const*)(int), void (&)(long)) {}
}
"#;

#[test]
fn types_are_spelt_as_in_mangled_names() {
    for compiler in [
        &["g++", "-g"][..],
        &["g++", "-gdwarf-4", "-fdebug-types-section"],
        &["g++", "-gdwarf-2"],
        &["clang++-19", "-g"],
        &["clang++-19", "-gdwarf-4", "-gsimple-template-names"],
    ] {
        compile(SPELLINGS, compiler, |program| {
            for number in 1..=17 {
                let name = format!("f{number:02}");
                let (die, ..) = program.places(&name).swap_remove(0);
                let context = Context::new(program, Machine::X86_64, 1 << 30);
                context.begin();
                let entry = context.entry(&die).unwrap();
                let linkage = context.text(&die, &entry, gimli::DW_AT_linkage_name);
                let linkage = linkage.or_else(|| context.text(&die, &entry, gimli::DW_AT_MIPS_linkage_name));
                // GCC gives none to functions that only this file knows.
                let linkage = linkage.unwrap_or_else(|| "_Z3f16PN12_GLOBAL__N_16HiddenERKS0_".to_owned());
                let signature = describe(&context, &die, None).signature;
                let mut parameters: Vec<String> = signature.parameters.iter().map(|p| p.ty.to_string()).collect();
                if signature.variadic {
                    parameters.push("...".to_owned());
                }
                let text = format!("{name}({})", parameters.join(", "));
                let filtered = Command::new("c++filt").arg(&linkage).output().unwrap();
                let mut expected = String::from_utf8_lossy(&filtered.stdout).trim_end().to_owned();
                if compiler.contains(&"-gdwarf-2") {
                    // It does not know of them.
                    expected = expected.replace("&&", "&");
                }
                assert_eq!(text, expected, "{compiler:?}");
            }
        });
    }
}

/// What can be told of Rust, whose calling convention is its own affair.
#[test]
fn functions_of_rust() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("source.rs"), folder.path().join("out"));
    std::fs::write(&file, RUST).unwrap();
    let output = Command::new("rustc").arg("-g").arg("-o").arg(&out).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    open(&out, |program| {
        let check = |name: &str, expected: &str| assert_eq!(line(&program.describe(name)[0]), expected);
        check(
            "scalars",
            "u64 in rax <- i32 a (Signed Some(4)); bool b (Boolean Some(1)); char c (Character Some(4)); f64 d (Float \
             Some(8)); source::Level e (Unsigned Some(1)) @ !rdi; !rsi; !rdx; !xmm0; !rcx",
        );
        check(
            "wide",
            "usize in rax <- &str a (Aggregate Some(16)); &[u8] b (Aggregate Some(16)); u32 c (Unsigned Some(4)); *const \
             i8 d (Pointer Some(8)); &str e (Aggregate Some(16)) @ !rdi:8, rsi:8; !rdx:8, rcx:8; !r8; !r9; ![rsp+8]:8, \
             [rsp+16]:8",
        );
        check(
            "large",
            "alloc::string::String in - <- source::Owner a (Aggregate Some(40)); u32 b (Unsigned Some(4)); \
             core::option::Option<u32> c (Aggregate Some(8)); u32 d (Unsigned Some(4)) @ ![rsi]; !rdx; ?unknown; ?unknown",
        );
        check(
            "shapes",
            "() in - <- &source::Shape a (Pointer Some(8)); (i32, u8) b (Aggregate Some(8)); [u16; 3] c (Aggregate \
             Some(6)); fn(i32) -> i32 d (Pointer Some(8)) @ !rdi; ?unknown; ?unknown; ?unknown",
        );
        check(
            "method",
            "u32 in rax <- &source::Owner self (Pointer Some(8)); u32 more (Unsigned Some(4)) @ !rdi; !rsi",
        );
    });
}

const RUST: &str = r#"
pub enum Shape { Round(f64), Square { side: u32 } }
#[derive(Clone, Copy)] pub enum Level { Low, High }
pub struct Owner { name: String, age: u32, more: u64 }
pub fn scalars(a: i32, b: bool, c: char, d: f64, e: Level) -> u64 { std::hint::black_box((a, b, c, d, e as u8)).0 as u64 }
pub fn wide(a: &str, b: &[u8], c: u32, d: *const i8, e: &str) -> usize { std::hint::black_box(d); a.len() + b.len() + c as usize + e.len() }
pub fn large(a: Owner, b: u32, c: Option<u32>, d: u32) -> String { std::hint::black_box((b, c, d)); a.name }
pub fn shapes(a: &Shape, b: (i32, u8), c: [u16; 3], d: fn(i32) -> i32) { std::hint::black_box((a, b, c, d)); }
impl Owner { pub fn method(&self, more: u32) -> u32 { std::hint::black_box(self.age + more) } }
fn id(x: i32) -> i32 { x }
fn main() {
    scalars(-1, true, 'c', 1.5, Level::High);
    wide("text", b"bytes", 5, std::ptr::null(), "more");
    let owner = Owner { name: "n".into(), age: 3, more: 4 };
    owner.method(owner.more as u32);
    large(owner, 6, Some(7), 8);
    shapes(&Shape::Round(1.0), (1, 2), [1, 2, 3], id);
    let _ = (Shape::Square { side: 1 }, Level::Low);
}
"#;
