//! What the kernel made of the programs: instructions after the verifier, and machine code.

use std::os::fd::BorrowedFd;

use super::Dump;
use super::listing::{Line, Listing, Row, bytes_of};
use super::machine;
use super::names::{InKernel, Symbols};
use crate::bpf::btf::{Btf, NameOffset, TypeId};
use crate::bpf::code::{self, LineInfo, ProgramCode};
use crate::elf;
use crate::insn;
use crate::load::Loaded;
use crate::pipeline::Failure;

/// A program in the kernel, and what the object knows of it.
struct InKernelCode {
    function: String,
    program: String,
    code: ProgramCode,
}

fn programs(dump: &Dump<'_>, loaded: &Loaded) -> Result<Vec<InKernelCode>, Failure> {
    let failed = |error: crate::bpf::Error| Failure::Run(error.into());
    let mut all = Vec::new();
    for program in loaded.programs().iter().filter(|one| dump.shows(&one.program) || dump.only == Some(&one.function)) {
        let handle = loaded.object().program(&program.program);
        let Some(fd) = handle.as_ref().and_then(|handle| handle.fd()) else { continue };
        let code = of(fd, &program.program).map_err(failed)?;
        all.push(InKernelCode { function: program.function.clone(), program: program.program.clone(), code });
    }
    Ok(all)
}

fn of(fd: BorrowedFd<'_>, name: &str) -> Result<ProgramCode, crate::bpf::Error> {
    code::of_program(fd, name)
}

/// The types of the object, for names of functions and files; none where it has none.
fn types(dump: &Dump<'_>) -> Option<Btf> {
    elf::relocations(&dump.compiled.elf).ok().map(|(btf, _)| btf)
}

fn text(btf: Option<&Btf>, offset: u32) -> String {
    btf.map(|btf| String::from_utf8_lossy(btf.string(NameOffset(offset))).into_owned()).unwrap_or_default()
}

fn line(dump: &Dump<'_>, btf: Option<&Btf>, info: &LineInfo) -> Line {
    dump.line(&text(btf, info.file), info.line, &text(btf, info.text))
}

/// The names of a program's functions, and the first instruction of each; at least the program itself.
fn functions(program: &InKernelCode, btf: Option<&Btf>) -> (Vec<String>, Vec<u32>) {
    let named =
        |(_, id): &(u32, u32)| btf.map(|btf| btf.get(TypeId(*id)).name().into_owned()).filter(|name| !name.is_empty());
    if program.code.functions.is_empty() {
        return (vec![program.program.clone()], vec![0]);
    }
    let names = program.code.functions.iter().map(|one| named(one).unwrap_or_else(|| "?".to_owned())).collect();
    (names, program.code.functions.iter().map(|(start, _)| *start).collect())
}

/// The instructions that the verifier left.
pub(super) fn xlated(dump: &Dump<'_>, loaded: &Loaded) -> Result<Vec<Result<Listing, String>>, Failure> {
    let (symbols, btf) = (Symbols::read(), types(dump));
    let mut listings = Vec::new();
    for program in programs(dump, loaded)? {
        let Some(bytes) = &program.code.xlated else {
            listings.push(Err(format!(
                "the kernel does not show the instructions of `{}`: {}",
                program.function,
                hidden()
            )));
            continue;
        };
        let (names, starts) = functions(&program, btf.as_ref());
        let in_kernel = InKernel { symbols: &symbols, functions: &names, starts: &starts };
        let rows: Vec<Row> = insn::decode(bytes)
            .into_iter()
            .map(|instruction| Row {
                at: u64::try_from(instruction.at).unwrap_or(u64::MAX),
                bytes: bytes_of(bytes, &instruction),
                text: insn::text(&instruction, &in_kernel),
                line: program
                    .code
                    .lines
                    .iter()
                    .find(|info| usize::try_from(info.instruction) == Ok(instruction.at))
                    .map(|info| line(dump, btf.as_ref(), info)),
                ..Row::default()
            })
            .collect();
        for (index, (name, start)) in names.iter().zip(&starts).enumerate() {
            let end = starts.get(index + 1).map_or(u64::MAX, |end| u64::from(*end));
            let own = |row: &&Row| row.at >= u64::from(*start) && row.at < end;
            listings.push(Ok(Listing {
                stage: "xlated",
                program: program.program.clone(),
                function: name.clone(),
                section: None,
                rows: rows.iter().filter(own).cloned().collect(),
                notes: Vec::new(),
            }));
        }
    }
    Ok(listings)
}

/// The machine code.
pub(super) fn jited(dump: &Dump<'_>, loaded: &Loaded) -> Result<Vec<Result<Listing, String>>, Failure> {
    let (symbols, btf) = (Symbols::read(), types(dump));
    let mut listings = Vec::new();
    for program in programs(dump, loaded)? {
        let bytes = match &program.code.jited {
            Some(bytes) if !bytes.is_empty() => bytes,
            Some(_) => {
                let setting = setting("net/core/bpf_jit_enable");
                listings.push(Err(format!(
                    "the kernel has no machine code of `{}`: it runs it by its interpreter (net.core.bpf_jit_enable is \
                     {setting})",
                    program.function
                )));
                continue;
            }
            None => {
                listings.push(Err(format!(
                    "the kernel does not show the machine code of `{}`: {}",
                    program.function,
                    hidden()
                )));
                continue;
            }
        };
        let (names, _) = functions(&program, btf.as_ref());
        let whole = [u32::try_from(bytes.len()).unwrap_or(u32::MAX)];
        let lengths = if program.code.jited_lengths.is_empty() { &whole[..] } else { &program.code.jited_lengths };
        let mut rest = bytes.as_slice();
        for (index, length) in lengths.iter().enumerate() {
            let (code, behind) = rest.split_at_checked(usize::try_from(*length).unwrap_or(0)).unwrap_or((rest, &[]));
            rest = behind;
            let start = program.code.jited_functions.get(index).copied();
            let lines: Vec<(u64, Line)> = program
                .code
                .jited_lines
                .iter()
                .zip(&program.code.lines)
                .filter_map(|(address, info)| Some((address.checked_sub(start?)?, info)))
                .filter(|(at, _)| *at < u64::from(*length))
                .map(|(at, info)| (at, line(dump, btf.as_ref(), info)))
                .collect();
            let (rows, notes) = machine::rows(code, start.unwrap_or(0), &lines, &symbols);
            listings.push(Ok(Listing {
                stage: "jited",
                program: program.program.clone(),
                function: names.get(index).cloned().unwrap_or_else(|| "?".to_owned()),
                section: None,
                rows,
                notes,
            }));
        }
    }
    Ok(listings)
}

/// Why the kernel may hide code (`bpf_dump_raw_ok`, include/linux/filter.h: as it hides addresses in /proc/kallsyms).
fn hidden() -> String {
    format!(
        "it hides addresses (kernel.kptr_restrict is {}, net.core.bpf_jit_harden is {}); they are shown to who has \
         CAP_SYSLOG where kptr_restrict is at most 1",
        setting("kernel/kptr_restrict"),
        setting("net/core/bpf_jit_harden")
    )
}

fn setting(name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/sys/{name}"));
    text.map_or_else(|_| "not known".to_owned(), |text| text.trim().to_owned())
}
