//! What the kernel has made of a loaded program: its instructions after the verifier, and the machine code.

use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd};

use libbpf_sys as sys;

use super::errno::{Error, check};

/// No program is larger, in bytes or in records.
const MAX_LENGTH: u32 = 64 << 20;

/// The code of a program in the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramCode {
    /// Its number.
    pub id: u32,
    /// Its instructions after the verifier; none where the kernel does not show them.
    pub xlated: Option<Vec<u8>>,
    /// Machine code of all its functions, one behind the other; empty where the kernel has none, none where it does not show it.
    pub jited: Option<Vec<u8>>,
    /// Where instructions came from.
    pub lines: Vec<LineInfo>,
    /// For each of `lines`: the address of the machine code; empty where the kernel does not show them.
    pub jited_lines: Vec<u64>,
    /// Addresses of the machine code of its functions.
    pub jited_functions: Vec<u64>,
    /// Bytes of the machine code of its functions.
    pub jited_lengths: Vec<u32>,
    /// The first instruction of each of its functions, and the function in the object's BTF.
    pub functions: Vec<(u32, u32)>,
    /// Instructions that the verifier looked at (0 before Linux 5.16).
    pub verified: u32,
}

/// `struct bpf_line_info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineInfo {
    /// The first instruction that it is about.
    pub instruction: u32,
    /// Where the file's name is in the strings of the object's BTF.
    pub file: u32,
    /// Where the words of the line are.
    pub text: u32,
    /// Counted from 1.
    pub line: u32,
}

/// Asks for the code of a program.
///
/// # Errors
/// The kernel's.
pub fn of_program(program: BorrowedFd<'_>, name: &str) -> Result<ProgramCode, Error> {
    let sizes = ask(program, name, sys::bpf_prog_info::default())?;
    let record = |size: u32, known: usize| {
        // A kernel that knows longer records takes the length that is asked for.
        size.min(u32::try_from(known).unwrap_or(0))
    };
    let line_size = record(sizes.line_info_rec_size, 16);
    let function_size = record(sizes.func_info_rec_size, 8);
    let mut xlated = room(sizes.xlated_prog_len);
    let mut jited = room(sizes.jited_prog_len);
    let mut lines = room(sizes.nr_line_info.saturating_mul(line_size));
    let mut jited_lines = room(sizes.nr_jited_line_info.saturating_mul(8));
    let mut addresses = room(sizes.nr_jited_ksyms.saturating_mul(8));
    let mut lengths = room(sizes.nr_jited_func_lens.saturating_mul(4));
    let mut functions = room(sizes.nr_func_info.saturating_mul(function_size));
    let question = sys::bpf_prog_info {
        xlated_prog_len: length(&xlated),
        xlated_prog_insns: address(&mut xlated),
        jited_prog_len: length(&jited),
        jited_prog_insns: address(&mut jited),
        nr_line_info: length(&lines) / line_size.max(1),
        line_info_rec_size: line_size,
        line_info: address(&mut lines),
        nr_jited_line_info: length(&jited_lines) / 8,
        jited_line_info_rec_size: 8,
        jited_line_info: address(&mut jited_lines),
        nr_jited_ksyms: length(&addresses) / 8,
        jited_ksyms: address(&mut addresses),
        nr_jited_func_lens: length(&lengths) / 4,
        jited_func_lens: address(&mut lengths),
        nr_func_info: length(&functions) / function_size.max(1),
        func_info_rec_size: function_size,
        func_info: address(&mut functions),
        ..Default::default()
    };
    let answer = ask(program, name, question)?;
    // What may not be seen has no address in the answer (kernel/bpf/syscall.c: `bpf_prog_get_info_by_fd`).
    let shown = |bytes: Vec<u8>, at: u64| (at != 0 || bytes.is_empty()).then_some(bytes);
    Ok(ProgramCode {
        id: answer.id,
        xlated: shown(xlated, answer.xlated_prog_insns),
        jited: shown(jited, answer.jited_prog_insns),
        lines: records(&lines, line_size).map(line).collect(),
        jited_lines: shown(jited_lines, answer.jited_line_info).map(|bytes| numbers(&bytes)).unwrap_or_default(),
        jited_functions: shown(addresses, answer.jited_ksyms).map(|bytes| numbers(&bytes)).unwrap_or_default(),
        jited_lengths: records(&lengths, 4).map(|bytes| word(bytes, 0)).collect(),
        functions: records(&functions, function_size).map(|bytes| (word(bytes, 0), word(bytes, 4))).collect(),
        verified: answer.verified_insns,
    })
}

fn ask(program: BorrowedFd<'_>, name: &str, mut info: sys::bpf_prog_info) -> Result<sys::bpf_prog_info, Error> {
    let mut length = u32::try_from(size_of_val(&info)).unwrap_or(0);
    check(
        || format!("ask for the code of program `{name}`"),
        // SAFETY: the program is open; the answer is as long as said, and so is each of the arrays that it points to, which
        // the caller keeps as long as the call.
        || unsafe { sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &raw mut info, &raw mut length) },
    )?;
    Ok(info)
}

fn room(length: u32) -> Vec<u8> {
    vec![0; usize::try_from(length.min(MAX_LENGTH)).unwrap_or(0)]
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(0)
}

/// Where the kernel is to write; nowhere where there is nothing to write.
fn address(bytes: &mut [u8]) -> u64 {
    let pointer: *mut c_void = bytes.as_mut_ptr().cast();
    if bytes.is_empty() { 0 } else { u64::try_from(pointer.expose_provenance()).unwrap_or(0) }
}

fn records(bytes: &[u8], size: u32) -> impl Iterator<Item = &[u8]> {
    bytes.chunks_exact(usize::try_from(size.max(1)).unwrap_or(1))
}

fn numbers(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk::<4>());
    bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

fn line(record: &[u8]) -> LineInfo {
    // BPF_LINE_INFO_LINE_NUM (include/uapi/linux/bpf.h).
    LineInfo {
        instruction: word(record, 0),
        file: word(record, 4),
        text: word(record, 8),
        line: word(record, 12) >> 10,
    }
}
