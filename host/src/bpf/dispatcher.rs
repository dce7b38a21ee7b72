//! Programs that stand at a place in lieu of a probe's own and run that one of its versions which a [`Switch`] points to.
//!
//! A dispatcher is nine instructions: it reads the switch once and jumps (`bpf_tail_call`) to the program in that slot of
//! the place's array. So each hit runs exactly one version, and what identifies the hit (its context, the cookie of the
//! link, the address of the function) is the same as without a dispatcher.

use std::os::fd::AsRawFd as _;

use libbpf_sys as sys;
use object::write::{Object as Elf, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

use super::errno::Error;
use super::object::{LoadFailure, Object, OpenObject};
use super::switch::{ProgramArray, Switch};

/// What a program is to the kernel's loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    pub(super) program_type: sys::bpf_prog_type,
    pub(super) attach_type: sys::bpf_attach_type,
}

impl Form {
    /// Whether the kernel's types describe what it is attached to (fentry, fexit, fmod_ret, tp_btf, LSM).
    pub fn is_typed(self) -> bool {
        matches!(self.program_type, sys::BPF_PROG_TYPE_TRACING | sys::BPF_PROG_TYPE_LSM)
    }

    /// What a program of this form returns that changes nothing, as if it were not there. None for forms of which there
    /// is no such value, or none on all kernels.
    pub fn neutral(self) -> Option<i32> {
        match self.program_type {
            sys::BPF_PROG_TYPE_KPROBE
            | sys::BPF_PROG_TYPE_TRACEPOINT
            | sys::BPF_PROG_TYPE_RAW_TRACEPOINT
            | sys::BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE
            | sys::BPF_PROG_TYPE_PERF_EVENT
            | sys::BPF_PROG_TYPE_LSM => Some(0),
            sys::BPF_PROG_TYPE_TRACING => (self.attach_type != sys::BPF_TRACE_ITER).then_some(0),
            // XDP_PASS.
            sys::BPF_PROG_TYPE_XDP => Some(2),
            // TC_ACT_UNSPEC, and TCX_NEXT of its links.
            sys::BPF_PROG_TYPE_SCHED_CLS => Some(-1),
            // The kernel goes on.
            sys::BPF_PROG_TYPE_CGROUP_SKB
            | sys::BPF_PROG_TYPE_CGROUP_SOCK
            | sys::BPF_PROG_TYPE_CGROUP_SOCK_ADDR
            | sys::BPF_PROG_TYPE_CGROUP_SOCKOPT
            | sys::BPF_PROG_TYPE_CGROUP_DEVICE
            | sys::BPF_PROG_TYPE_CGROUP_SYSCTL
            | sys::BPF_PROG_TYPE_SOCK_OPS
            | sys::BPF_PROG_TYPE_SK_LOOKUP => Some(1),
            _ => None,
        }
    }
}

/// Loads a dispatcher of a form; `function` is what of the kernel's types a typed one is verified against. The object has
/// one program, of that name.
///
/// # Errors
/// The kernel's, with the verifier's last words.
pub fn load(
    name: &str,
    form: Form,
    function: Option<&str>,
    switch: &Switch,
    array: &ProgramArray,
) -> Result<Object, Error> {
    let neutral =
        form.neutral().ok_or_else(|| Error::new(format!("put `{name}` behind a switch"), libc::EOPNOTSUPP))?;
    // The kernel hands over a function's address (`bpf_get_func_ip`, Linux 5.15) where the program at the place asks for
    // it; what that one jumps to does not count (kernel/bpf/trampoline.c).
    let with_address = |ask: bool| load_with(name, form, function, &code(switch, array, neutral, ask));
    if form.is_typed() {
        return with_address(true).or_else(|_| with_address(false));
    }
    with_address(false)
}

fn load_with(name: &str, form: Form, function: Option<&str>, code: &[u8]) -> Result<Object, Error> {
    let elf = elf(name, code).map_err(|error| Error {
        said: error.to_string(),
        ..Error::new(format!("write the dispatcher of `{name}`"), libc::EINVAL)
    })?;
    let mut open = OpenObject::open(&elf)?;
    for mut program in open.programs() {
        program.set_form(form)?;
        if let Some(function) = function {
            program.set_function(function)?;
        }
    }
    open.load().map_err(|LoadFailure { mut error, rejected }| {
        error.what = format!("load the dispatcher of `{name}`");
        let last = rejected.as_ref().and_then(|rejected| rejected.log.lines().rev().find(|line| !line.is_empty()));
        error.said = last.map(str::to_owned).unwrap_or(error.said);
        error
    })
}

/// `BPF_FUNC_tail_call` and `BPF_FUNC_get_func_ip` of include/uapi/linux/bpf.h.
const TAIL_CALL: i32 = 12;
const GET_FUNC_IP: i32 = 173;

/// The instructions (Documentation/bpf/standardization/instruction-set.rst).
fn code(switch: &Switch, array: &ProgramArray, neutral: i32, ask_for_address: bool) -> Vec<u8> {
    let mut code = Vec::new();
    let mut add = |op: u8, to: u8, from: u8, value: i32| {
        code.push(op);
        code.push(to | from << 4);
        code.extend_from_slice(&0_i16.to_ne_bytes());
        code.extend_from_slice(&value.to_ne_bytes());
    };
    // r6 = ctx
    add(0xbf, 6, 1, 0);
    if ask_for_address {
        add(0x85, 0, 0, GET_FUNC_IP);
    }
    // r1 = address of the switch's value: BPF_PSEUDO_MAP_VALUE
    add(0x18, 1, 2, switch.fd().as_raw_fd());
    add(0, 0, 0, 0);
    // r3 = *(u32 *)r1
    add(0x61, 3, 1, 0);
    // r2 = array: BPF_PSEUDO_MAP_FD
    add(0x18, 2, 1, array.fd().as_raw_fd());
    add(0, 0, 0, 0);
    // r1 = ctx; bpf_tail_call(r1, r2, r3)
    add(0xbf, 1, 6, 0);
    add(0x85, 0, 0, TAIL_CALL);
    // The slot is empty: r0 = neutral; exit
    add(0xb7, 0, 0, neutral);
    add(0x95, 0, 0, 0);
    code
}

/// An object file of one program. Maps are in its instructions as descriptors of this process, so it needs no relocation.
fn elf(name: &str, code: &[u8]) -> Result<Vec<u8>, object::write::Error> {
    let order = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };
    let mut elf = Elf::new(BinaryFormat::Elf, Architecture::Bpf, order);
    let section = elf.add_section(Vec::new(), b"dbcc_dispatcher".to_vec(), SectionKind::Text);
    elf.append_section_data(section, code, 8);
    let license = elf.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    elf.append_section_data(license, b"GPL\0", 1);
    elf.add_symbol(Symbol {
        name: name.as_bytes().to_vec(),
        value: 0,
        size: u64::try_from(code.len()).unwrap_or(0),
        kind: SymbolKind::Text,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    elf.write()
}
