//! What of BPF is in the kernel, whoever made it: programs, maps and links, by their numbers.

use std::ffi::{c_int, c_long, c_void};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use libbpf_sys as sys;

use super::btf::{Btf, TypeId};
use super::errno::{Error, check};
use super::program::{c_string, text};
use super::sys::new_fd;

mod link;
mod perf;

pub use link::{LinkInfo, Place};
pub use perf::{Event, EventKind, event};

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A program.
    Program,
    /// A map.
    Map,
    /// A link: a program that is attached.
    Link,
}

impl ObjectKind {
    /// All.
    pub const ALL: [Self; 3] = [Self::Program, Self::Map, Self::Link];

    /// Its name, for people and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Map => "map",
            Self::Link => "link",
        }
    }

    /// The field of `/proc/PID/fdinfo/FD` that has the number of an object of this kind (kernel/bpf/syscall.c:
    /// bpf_prog_show_fdinfo and its like).
    pub fn field(self) -> &'static str {
        match self {
            Self::Program => "prog_id",
            Self::Map => "map_id",
            Self::Link => "link_id",
        }
    }
}

/// An object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// What it is.
    pub kind: ObjectKind,
    /// Its number, which no other of its kind has.
    pub number: u32,
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{} {}", self.kind.name(), self.number)
    }
}

/// The numbers of all objects of a kind, in rising order. Objects come and go meanwhile.
///
/// # Errors
/// The kernel's: `EPERM` without CAP_SYS_ADMIN.
pub fn all(kind: ObjectKind) -> Result<Vec<ObjectId>, Error> {
    let mut found = Vec::new();
    let mut last = 0;
    loop {
        let mut next = 0;
        let what = || format!("list the {}s of the kernel", kind.name());
        // SAFETY: the answer is a valid place to write to.
        let step = check(what, || unsafe {
            match kind {
                ObjectKind::Program => sys::bpf_prog_get_next_id(last, &raw mut next),
                ObjectKind::Map => sys::bpf_map_get_next_id(last, &raw mut next),
                ObjectKind::Link => sys::bpf_link_get_next_id(last, &raw mut next),
            }
        });
        match step {
            Ok(_) => found.push(ObjectId { kind, number: next }),
            Err(error) if error.errno == libc::ENOENT => return Ok(found),
            Err(error) => return Err(error),
        }
        last = next;
    }
}

/// A descriptor of an object; none if it is gone.
///
/// # Errors
/// The kernel's: `EPERM` without CAP_SYS_ADMIN.
pub fn open(id: ObjectId) -> Result<Option<OwnedFd>, Error> {
    let what = || format!("open {id}");
    // SAFETY: the calls take a number alone.
    let returned = check(what, || unsafe {
        match id.kind {
            ObjectKind::Program => sys::bpf_prog_get_fd_by_id(id.number),
            ObjectKind::Map => sys::bpf_map_get_fd_by_id(id.number),
            ObjectKind::Link => sys::bpf_link_get_fd_by_id(id.number),
        }
    });
    match returned {
        Err(error) if error.errno == libc::ENOENT => Ok(None),
        returned => owned(returned?, what).map(Some),
    }
}

/// A descriptor of what is pinned at a path.
///
/// # Errors
/// The kernel's: `ENOENT`, `EACCES`, and `EINVAL` for a file that is no object of BPF.
pub fn open_pinned(path: &Path) -> Result<OwnedFd, Error> {
    let what = || format!("open the pinned object `{}`", path.display());
    let shown = path.to_str().ok_or_else(|| Error::new(what(), libc::EINVAL))?;
    let name = c_string(shown).map_err(|error| Error::from_io(what(), &error))?;
    // SAFETY: the path outlives the call.
    owned(check(what, || unsafe { sys::bpf_obj_get(name.as_ptr()) })?, what)
}

fn owned(returned: c_int, what: impl FnOnce() -> String) -> Result<OwnedFd, Error> {
    // SAFETY: callers pass what a call returned that makes a new descriptor.
    unsafe { new_fd(c_long::from(returned)) }.map_err(|error| Error::from_io(what(), &error))
}

/// Which object a descriptor of this process is of; none if of none that is known here.
pub fn identify(fd: BorrowedFd<'_>) -> Option<ObjectId> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
    identify_by(&text)
}

/// Which object a text of `/proc/PID/fdinfo/FD` is about.
pub fn identify_by(fdinfo: &str) -> Option<ObjectId> {
    // A link's has the number of its program too.
    [ObjectKind::Link, ObjectKind::Map, ObjectKind::Program].into_iter().find_map(|kind| {
        let number = fdinfo.lines().find_map(|line| line.strip_prefix(kind.field())?.strip_prefix(':'))?;
        Some(ObjectId { kind, number: number.trim().parse().ok()? })
    })
}

/// Bytes of memory that an object is charged for, as `/proc/self/fdinfo` says; none where it does not.
pub fn memory(fd: BorrowedFd<'_>) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("memlock:"))?.trim().parse().ok()
}

/// What the kernel says of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramInfo {
    /// Its type, as libbpf names it.
    pub kind: String,
    /// The number of that type (`enum bpf_prog_type`).
    pub kind_number: u32,
    /// Its name: the whole name of its function where its BTF has it, else up to 15 bytes of it.
    pub name: String,
    /// The digest of its instructions.
    pub tag: String,
    /// Nanoseconds since the machine was started.
    pub load_time: u64,
    /// The user who loaded it.
    pub uid: u32,
    /// Bytes of its instructions as the verifier left them, and of the processor's; 0 where they are not told.
    pub xlated: u32,
    /// Bytes of the processor's code.
    pub jited: u32,
    /// The numbers of its maps.
    pub maps: Vec<u32>,
    /// How long it ran, in nanoseconds, while the kernel counted that.
    pub run_time: u64,
    /// How often it ran, while the kernel counted that.
    pub run_count: u64,
}

/// The most maps of a program (`MAX_USED_MAPS` of include/linux/bpf.h).
const MOST_MAPS: usize = 64;

/// What the kernel says of a program.
///
/// # Errors
/// The kernel's.
pub fn program(fd: BorrowedFd<'_>) -> Result<ProgramInfo, Error> {
    let mut maps = [0_u32; MOST_MAPS];
    let asked = sys::bpf_prog_info {
        nr_map_ids: u32::try_from(MOST_MAPS).unwrap_or(0),
        map_ids: address(maps.as_mut_ptr()),
        ..Default::default()
    };
    // SAFETY: the array is as long as said, and outlives the call.
    let info = unsafe { ask(fd, asked, "program")? };
    let count = usize::try_from(info.nr_map_ids).unwrap_or(0);
    let short = name(&info.name);
    let cut = short.len() + 1 == info.name.len();
    let full = if cut { whole_name(fd, &info).filter(|whole| whole.starts_with(&short)) } else { None };
    Ok(ProgramInfo {
        kind: type_name(info.type_),
        kind_number: info.type_,
        name: full.unwrap_or(short),
        tag: info.tag.iter().map(|byte| format!("{byte:02x}")).collect(),
        load_time: info.load_time,
        uid: info.created_by_uid,
        xlated: info.xlated_prog_len,
        jited: info.jited_prog_len,
        maps: maps.into_iter().take(count).collect(),
        run_time: info.run_time_ns,
        run_count: info.run_cnt,
    })
}

/// The name of a type of programs, as libbpf has it.
pub fn type_name(number: u32) -> String {
    // SAFETY: the function takes any number; what it returns is null or a constant string.
    match unsafe { text(sys::libbpf_bpf_prog_type_str(number)) } {
        name if name.is_empty() => format!("type {number}"),
        name => name,
    }
}

/// The name of a program's function by its BTF, which is not cut to 15 bytes.
fn whole_name(fd: BorrowedFd<'_>, known: &sys::bpf_prog_info) -> Option<String> {
    if known.btf_id == 0 || known.nr_func_info == 0 {
        return None;
    }
    let mut first = sys::bpf_func_info::default();
    let asked = sys::bpf_prog_info {
        nr_func_info: 1,
        func_info_rec_size: u32::try_from(size_of_val(&first)).ok()?,
        func_info: address(&raw mut first),
        ..Default::default()
    };
    // SAFETY: there is room for one record, as said, and it outlives the call.
    unsafe { ask(fd, asked, "program") }.ok()?;
    let types = types(known.btf_id)?;
    Some(types.get(TypeId(first.type_id)).name().into_owned())
}

/// Types in the kernel by the number of their BTF: those of a program or map, or the kernel's own; none where they cannot be had.
pub fn types(number: u32) -> Option<Btf> {
    /// More than that is the kernel's own, or nonsense.
    const LIMIT: u32 = 64 << 20;
    let what = || format!("open BTF {number}");
    // SAFETY: the call takes a number alone.
    let fd = owned(check(what, || unsafe { sys::bpf_btf_get_fd_by_id(number) }).ok()?, what).ok()?;
    let fd = std::os::fd::AsFd::as_fd(&fd);
    // SAFETY: nothing is asked for that the answer would point to.
    let size = unsafe { ask(fd, sys::bpf_btf_info::default(), "BTF") }.ok()?.btf_size;
    let mut bytes = vec![0_u8; usize::try_from(size).ok().filter(|_| size <= LIMIT)?];
    let asked = sys::bpf_btf_info { btf: address(bytes.as_mut_ptr()), btf_size: size, ..Default::default() };
    // SAFETY: the bytes are as many as said, and outlive the call.
    unsafe { ask(fd, asked, "BTF") }.ok()?;
    Btf::parse(bytes).ok()
}

/// What the kernel says of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapInfo {
    /// Its type, as libbpf names it.
    pub kind: String,
    /// Up to 15 bytes of its name.
    pub name: String,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// How many entries it has room for.
    pub max_entries: u32,
}

/// What the kernel says of a map.
///
/// # Errors
/// The kernel's.
pub fn map(fd: BorrowedFd<'_>) -> Result<MapInfo, Error> {
    // SAFETY: nothing is asked for that the answer would point to.
    let info = unsafe { ask(fd, sys::bpf_map_info::default(), "map")? };
    // SAFETY: the function takes any number; what it returns is null or a constant string.
    let kind = match unsafe { text(sys::libbpf_bpf_map_type_str(info.type_)) } {
        name if name.is_empty() => format!("type {}", info.type_),
        name => name,
    };
    Ok(MapInfo {
        kind,
        name: name(&info.name),
        key_size: info.key_size,
        value_size: info.value_size,
        max_entries: info.max_entries,
    })
}

/// What the kernel says of a link.
///
/// # Errors
/// The kernel's.
pub fn link(fd: BorrowedFd<'_>) -> Result<LinkInfo, Error> {
    link::info(fd)
}

/// Asks about an object.
///
/// # Safety
/// What the question points to is as long as it says, and outlives the call.
unsafe fn ask<T>(fd: BorrowedFd<'_>, mut info: T, what: &str) -> Result<T, Error> {
    let mut length = u32::try_from(size_of::<T>()).unwrap_or(0);
    let to: *mut c_void = (&raw mut info).cast();
    check(
        || format!("ask about a {what}"),
        // SAFETY: the answer is as long as said; the rest is the caller's promise.
        || unsafe { sys::bpf_obj_get_info_by_fd(fd.as_raw_fd(), to, &raw mut length) },
    )?;
    Ok(info)
}

/// An address as the kernel takes it.
fn address<T>(pointer: *mut T) -> u64 {
    u64::try_from(pointer.expose_provenance()).unwrap_or(0)
}

/// A name in the fixed room that the kernel has for it.
fn name(bytes: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = bytes.iter().map(|byte| byte.to_ne_bytes()[0]).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
