//! Where the arguments of USDT probes are, in the form in which programs read it from the map `__bpf_usdt_specs`
//! (libbpf's usdt.bpf.h).
//!
//! libbpf writes that map itself where it attaches a program, and numbers the entries for one object. Versions of a probe
//! that take turns at one attachment need numbers that all of them understand: [`Specs`] gives those out.

use std::collections::BTreeSet;
#[cfg(target_arch = "x86_64")]
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use libbpf_sys as sys;

use super::errno::{Error, check};
use super::switch::make_map;

/// `BPF_USDT_MAX_ARG_CNT` of usdt.bpf.h, and the size of `struct __bpf_usdt_arg_spec`.
const MOST_ARGUMENTS: usize = 12;
const ARGUMENT_SIZE: usize = 24;
/// The size of `struct __bpf_usdt_spec`: the arguments, a cookie, the number of arguments, and padding.
const SIZE: usize = MOST_ARGUMENTS * ARGUMENT_SIZE + 16;
/// For how many forms of arguments there is room.
const ENTRIES: u32 = 1024;

/// An argument of a probe at one of its sites.
#[derive(Debug, Clone, Copy)]
pub struct Argument<'a> {
    /// Its size in bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// Whether it is a signed number.
    pub signed: bool,
    /// Where its value is.
    pub place: Place<'a>,
}

/// Where the value of an argument is.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// It is this number.
    Constant(i64),
    /// In a register, by the assembler's name.
    Register(&'a str),
    /// In memory.
    Memory {
        /// The register that holds the address, or its base.
        base: &'a str,
        /// A register that is added to it, and what it is multiplied by: 1, 2, 4 or 8.
        index: Option<(&'a str, u8)>,
        /// What is added, in bytes.
        offset: i64,
    },
}

/// The arguments of a probe at one of its sites, as an entry of the map.
#[derive(Clone, PartialEq, Eq)]
pub struct Spec(Box<[u8; SIZE]>);

impl Spec {
    /// The entry for these arguments; none where programs cannot read one of them.
    pub fn new(arguments: &[Argument<'_>]) -> Option<Self> {
        let mut bytes = Box::new([0; SIZE]);
        let (places, rest) = bytes.split_at_mut(MOST_ARGUMENTS * ARGUMENT_SIZE);
        if arguments.len() > MOST_ARGUMENTS {
            return None;
        }
        for (to, argument) in places.chunks_exact_mut(ARGUMENT_SIZE).zip(arguments) {
            to.copy_from_slice(&argument.encode()?);
        }
        let count = u16::try_from(arguments.len()).ok()?.to_ne_bytes();
        rest.get_mut(8..10)?.copy_from_slice(&count);
        Some(Self(bytes))
    }
}

impl std::fmt::Debug for Spec {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "Spec({:02x?})", self.0.as_slice())
    }
}

impl Argument<'_> {
    /// `struct __bpf_usdt_arg_spec`, as compilers lay out its bit fields on x86-64 and arm64.
    fn encode(self) -> Option<[u8; ARGUMENT_SIZE]> {
        let (kind, value, register, index, scale) = match self.place {
            Place::Constant(value) => (0_u8, value, 0, 0, 0),
            Place::Register(name) => (1, 0, register(name)?, 0, 0),
            Place::Memory { base, index: None, offset } => (2, offset, register(base)?, 0, 0),
            Place::Memory { base, index: Some((index, scale)), offset } => {
                (3, offset, register(base)?, register(index)?, scale.checked_ilog2()?)
            }
        };
        let bits = 8_u8.checked_mul(self.size).filter(|bits| matches!(bits, 8 | 16 | 32 | 64))?;
        let index = index | u16::try_from(scale).ok()? << 12;
        let mut bytes = [0; ARGUMENT_SIZE];
        bytes.get_mut(..8)?.copy_from_slice(&value.to_ne_bytes());
        bytes.get_mut(8..10)?.copy_from_slice(&[kind, 0]);
        bytes.get_mut(10..12)?.copy_from_slice(&index.to_ne_bytes());
        bytes.get_mut(14..16)?.copy_from_slice(&register.to_ne_bytes());
        bytes.get_mut(16..18)?.copy_from_slice(&[u8::from(self.signed), 64 - bits]);
        Some(bytes)
    }
}

/// Names of a register, by size, and where the kernel's `struct pt_regs` has it.
#[cfg(target_arch = "x86_64")]
const REGISTERS: &[([&str; 4], usize)] = {
    use libc::user_regs_struct as regs;
    &[
        (["rip", "eip", "ip", ""], offset_of!(regs, rip)),
        (["rax", "eax", "ax", "al"], offset_of!(regs, rax)),
        (["rbx", "ebx", "bx", "bl"], offset_of!(regs, rbx)),
        (["rcx", "ecx", "cx", "cl"], offset_of!(regs, rcx)),
        (["rdx", "edx", "dx", "dl"], offset_of!(regs, rdx)),
        (["rsi", "esi", "si", "sil"], offset_of!(regs, rsi)),
        (["rdi", "edi", "di", "dil"], offset_of!(regs, rdi)),
        (["rbp", "ebp", "bp", "bpl"], offset_of!(regs, rbp)),
        (["rsp", "esp", "sp", "spl"], offset_of!(regs, rsp)),
        (["r8", "r8d", "r8w", "r8b"], offset_of!(regs, r8)),
        (["r9", "r9d", "r9w", "r9b"], offset_of!(regs, r9)),
        (["r10", "r10d", "r10w", "r10b"], offset_of!(regs, r10)),
        (["r11", "r11d", "r11w", "r11b"], offset_of!(regs, r11)),
        (["r12", "r12d", "r12w", "r12b"], offset_of!(regs, r12)),
        (["r13", "r13d", "r13w", "r13b"], offset_of!(regs, r13)),
        (["r14", "r14d", "r14w", "r14b"], offset_of!(regs, r14)),
        (["r15", "r15d", "r15w", "r15b"], offset_of!(regs, r15)),
    ]
};

/// Where the kernel's `struct pt_regs` has a register, in bytes.
#[cfg(target_arch = "x86_64")]
fn register(name: &str) -> Option<u16> {
    let found = REGISTERS.iter().find(|(names, _)| !name.is_empty() && names.contains(&name));
    found.and_then(|(_, offset)| u16::try_from(*offset).ok())
}

/// Where the kernel's `struct user_pt_regs` has a register, in bytes: 31 of 8 bytes, then the stack pointer.
#[cfg(target_arch = "aarch64")]
fn register(name: &str) -> Option<u16> {
    let number = match name {
        "sp" => 31,
        name => name.strip_prefix(['x', 'w'])?.parse::<u16>().ok().filter(|number| *number < 31)?,
    };
    number.checked_mul(8)
}

/// The map of all versions of a probe, with numbers for what is in it.
#[derive(Debug)]
pub struct Specs {
    map: OwnedFd,
    taken: Mutex<BTreeSet<u32>>,
}

/// An entry of the map, by its number. Dropping it gives the number free.
#[derive(Debug)]
#[must_use = "dropping it gives the number free"]
pub struct Entry {
    specs: Arc<Specs>,
    number: u32,
}

impl Specs {
    /// An empty map.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> Result<Arc<Self>, Error> {
        let size = u32::try_from(SIZE).unwrap_or(0);
        let map = make_map(sys::BPF_MAP_TYPE_ARRAY, c"dbcc_usdt", size, ENTRIES, None);
        let map = map.map_err(|error| Error::from_io("make a map for the arguments of USDT probes", &error))?;
        Ok(Arc::new(Self { map, taken: Mutex::default() }))
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// `E2BIG` if there is no room, and the kernel's.
    pub fn enter(self: &Arc<Self>, spec: &Spec) -> Result<Entry, Error> {
        let what = || "note where the arguments of a USDT probe are".to_owned();
        let number = {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let number = (0..ENTRIES).find(|number| !taken.contains(number)).ok_or_else(|| Error {
                said: format!("the USDT probes have them in more than {ENTRIES} different places"),
                ..Error::new(what(), libc::E2BIG)
            })?;
            taken.insert(number);
            number
        };
        let entry = Entry { specs: Arc::clone(self), number };
        let key = number.to_ne_bytes();
        check(
            what,
            // SAFETY: the map is open; key and value are as long as its keys and values.
            || unsafe {
                sys::bpf_map_update_elem(self.map.as_raw_fd(), key.as_ptr().cast(), spec.0.as_ptr().cast(), 0)
            },
        )?;
        Ok(entry)
    }
}

impl AsFd for Specs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

impl Entry {
    /// Its number: the cookie of an attachment whose arguments are there.
    pub fn number(&self) -> u64 {
        self.number.into()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.specs.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}
