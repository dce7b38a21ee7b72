//! An object file in libbpf's hands: open, then loaded.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex};

use libbpf_sys as sys;

use super::errno::{Error, check, check_ptr};
use super::log;
use super::map::{Definition, Map};
use super::pin::Shape;
use super::program::{OpenProgram, Program, c_string, text};

/// Room for the verifier's log of one program. It is memory only as far as the kernel writes: a log is asked for only
/// when a program was refused. (Before Linux 6.4 a longer log is cut at the end, since then at the start.)
const LOG_SIZE: usize = 16 << 20;

/// An object whose programs and maps can still be changed; nothing is in the kernel yet.
#[derive(Debug)]
#[must_use = "nothing is in the kernel before it is loaded"]
pub struct OpenObject {
    raw: NonNull<sys::bpf_object>,
    /// Maps that are pinned ones, by address: in the kernel they have the name that they were made with, and here that
    /// in the object.
    renamed: Vec<(usize, String)>,
    /// Whether the verifier is to tell what its work was.
    measured: bool,
}

/// A loaded object: its maps exist and its programs are verified. Dropping it gives up both, except for what links and
/// [`Map`]s still hold.
#[derive(Debug)]
#[must_use = "dropping an object unloads its programs"]
pub struct Object {
    raw: Arc<RawObject>,
    renamed: Vec<(usize, String)>,
    measured: Vec<(String, String)>,
}

/// The loaded object itself, which attachments hold that libbpf keeps something of in the object.
#[derive(Debug)]
pub(super) struct RawObject {
    raw: NonNull<sys::bpf_object>,
    /// Held while what the object keeps of its USDT attachments is used: libbpf locks nothing.
    pub(super) usdt: Mutex<()>,
}

/// Why an object was not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadFailure {
    /// What failed; `said` holds libbpf's messages.
    pub error: Error,
    /// The program that the verifier refused, if it was that.
    pub rejected: Option<Rejection>,
}

/// A program that the verifier refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Name of the program in the object.
    pub program: String,
    /// The verifier's log, with libbpf's explanations of failed CO-RE relocations.
    pub log: String,
    /// Whether the log was longer than what is kept of it (16 MiB).
    pub truncated: bool,
}

impl OpenObject {
    /// Parses an object file.
    ///
    /// # Errors
    /// `EINVAL` or `LIBBPF_ERRNO__FORMAT` for bytes that are no BPF object, with libbpf's reasons.
    pub fn open(elf: &[u8]) -> Result<Self, Error> {
        let name = c"dbcc";
        let options = sys::bpf_object_open_opts {
            sz: size_of::<sys::bpf_object_open_opts>().try_into().unwrap_or(0),
            object_name: name.as_ptr(),
            ..Default::default()
        };
        let length = u64::try_from(elf.len()).unwrap_or(0);
        let raw = check_ptr(
            || "read the BPF object".to_owned(),
            // SAFETY: the bytes are as many as said; libbpf copies what it keeps and is done with libelf when it
            // returns (bpf_object__elf_finish); the name and the options outlive the call.
            || unsafe { sys::bpf_object__open_mem(elf.as_ptr().cast(), length, &raw const options) },
        )?;
        Ok(Self { raw, renamed: Vec::new(), measured: false })
    }

    /// Has the verifier tell what its work was, for [`Object::measured`].
    pub fn measure(&mut self) {
        self.measured = true;
    }

    /// Its programs, in the order of the object.
    pub fn programs(&mut self) -> Vec<OpenProgram<'_>> {
        let mut programs = Vec::new();
        let mut last = ptr::null_mut();
        loop {
            // SAFETY: the object is open, and the last program is null or belongs to it.
            last = unsafe { sys::bpf_object__next_program(self.raw.as_ptr(), last) };
            match NonNull::new(last) {
                // SAFETY: the program belongs to this object, which is borrowed as long as the list.
                Some(raw) => programs.push(unsafe { OpenProgram::new(raw) }),
                None => return programs,
            }
        }
    }

    /// Writes the start of the initial value of a map of global data, such as `.rodata.dbcc`. Says whether the object
    /// has that map.
    ///
    /// # Errors
    /// `E2BIG` if the map's value is smaller than the bytes.
    pub fn set_initial_value(&mut self, map: &str, bytes: &[u8]) -> Result<bool, Error> {
        let what = || format!("set the initial value of map `{map}`");
        let name = c_string(map).map_err(|error| Error::from_io(what(), &error))?;
        // SAFETY: the object is open and the name outlives the call.
        let raw = unsafe { sys::bpf_object__find_map_by_name(self.raw.as_ptr(), name.as_ptr()) };
        if raw.is_null() {
            return Ok(false);
        }
        let mut size = 0;
        // SAFETY: the map belongs to the open object; the size is a valid place to write to.
        let value = unsafe { sys::bpf_map__initial_value(raw, &raw mut size) };
        if value.is_null() || usize::try_from(size).unwrap_or(0) < bytes.len() {
            return Err(Error::new(what(), libc::E2BIG));
        }
        // SAFETY: the value is at least as long as the bytes, writable before loading, and no part of them.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), value.cast(), bytes.len()) };
        Ok(true)
    }

    /// Makes a map at least as large as `entries`, if the object has a map of that name.
    ///
    /// # Errors
    /// libbpf's; none is known for an open object.
    pub fn grow_map(&mut self, map: &str, entries: u32) -> Result<(), Error> {
        // SAFETY: the map belongs to the open object.
        let is_enough = |raw: NonNull<_>| unsafe { sys::bpf_map__max_entries(raw.as_ptr()) } >= entries;
        if self.find_map(map).is_none_or(is_enough) { Ok(()) } else { self.set_entries(map, entries) }
    }

    /// Sets how many entries a map has, or bytes of a ring buffer, if the object has a map of that name.
    ///
    /// # Errors
    /// libbpf's; none is known for an open object.
    pub fn set_entries(&mut self, map: &str, entries: u32) -> Result<(), Error> {
        let Some(raw) = self.find_map(map) else { return Ok(()) };
        let what = || format!("set the size of map `{map}`");
        // SAFETY: the map belongs to the open object; nothing is created yet.
        check(what, || unsafe { sys::bpf_map__set_max_entries(raw.as_ptr(), entries) }).map(drop)
    }

    /// What kind of map the one of that name will be; none if the object has none.
    pub fn shape(&self, map: &str) -> Option<Shape> {
        let raw = self.find_map(map)?.as_ptr();
        // SAFETY: the map belongs to the open object.
        unsafe {
            Some(Shape {
                map_type: sys::bpf_map__type(raw),
                key_size: sys::bpf_map__key_size(raw),
                value_size: sys::bpf_map__value_size(raw),
            })
        }
    }

    /// How its maps are declared, by name.
    pub fn definitions(&self) -> Vec<(String, Definition)> {
        let mut definitions = Vec::new();
        let mut last = ptr::null_mut();
        loop {
            // SAFETY: the object is open, and the last map is null or belongs to it.
            last = unsafe { sys::bpf_object__next_map(self.raw.as_ptr(), last) };
            let Some(raw) = NonNull::new(last) else { return definitions };
            // SAFETY: the map belongs to the open object.
            let definition = unsafe {
                Definition {
                    map_type: sys::bpf_map__type(last),
                    key_size: sys::bpf_map__key_size(last),
                    value_size: sys::bpf_map__value_size(last),
                    max_entries: sys::bpf_map__max_entries(last),
                    flags: sys::bpf_map__map_flags(last),
                }
            };
            definitions.push((map_name(raw), definition));
        }
    }

    /// Takes a map that is there in place of the one of that name, which then is not made.
    ///
    /// # Errors
    /// `ENOENT` if the object has no such map; the kernel's.
    pub fn reuse_map(&mut self, map: &str, there: BorrowedFd<'_>) -> Result<(), Error> {
        let what = || format!("take the map that is there for `{map}`");
        let raw = self.find_map(map).ok_or_else(|| Error::new(what(), libc::ENOENT))?;
        // SAFETY: the map belongs to the open object; libbpf keeps a duplicate of the descriptor.
        check(what, || unsafe { sys::bpf_map__reuse_fd(raw.as_ptr(), there.as_raw_fd()) })?;
        self.renamed.push((raw.as_ptr().addr(), map.to_owned()));
        Ok(())
    }

    fn find_map(&self, map: &str) -> Option<NonNull<sys::bpf_map>> {
        let name = c_string(map).ok()?;
        // SAFETY: the object is open and the name outlives the call.
        NonNull::new(unsafe { sys::bpf_object__find_map_by_name(self.raw.as_ptr(), name.as_ptr()) })
    }

    /// Creates the maps, relocates the selected programs against this kernel's types and has them verified.
    ///
    /// # Errors
    /// The first failure: a map that was not created, a program that was refused (with the verifier's log).
    pub fn load(mut self) -> Result<Object, LoadFailure> {
        let mut logs = Vec::new();
        let measured = self.measured;
        for mut program in self.programs() {
            if measured && let Err(error) = program.set_statistics() {
                return Err(LoadFailure { error, rejected: None });
            }
            // Zero pages: the kernel touches what it writes, so many programs do not cost many megabytes.
            let mut buffer = vec![0_u8; LOG_SIZE];
            // SAFETY: the buffers are kept until this function ends, which either frees the object or, after a
            // successful load, leaves a log that libbpf does not look at again.
            match unsafe { program.set_log(&mut buffer) } {
                Ok(()) => logs.push((program.name(), buffer)),
                Err(error) => return Err(LoadFailure { error, rejected: None }),
            }
        }
        let loaded = check(
            || "load the BPF object".to_owned(),
            // SAFETY: the object is open.
            || unsafe { sys::bpf_object__load(self.raw.as_ptr()) },
        );
        match loaded {
            Ok(_) => {
                let (raw, renamed) = (self.raw, std::mem::take(&mut self.renamed));
                let measured = if self.measured { told(&logs) } else { Vec::new() };
                // The raw object changes its owner.
                std::mem::forget(self);
                Ok(Object { raw: Arc::new(RawObject { raw, usdt: Mutex::new(()) }), renamed, measured })
            }
            Err(error) => {
                let rejected = logs.iter().find_map(|(program, buffer)| rejection(program, buffer));
                Err(LoadFailure { error, rejected })
            }
        }
    }
}

/// What the verifier told of programs that it took.
fn told(logs: &[(String, Vec<u8>)]) -> Vec<(String, String)> {
    let text =
        |bytes: &[u8]| String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
    logs.iter().map(|(program, log)| (program.clone(), text(log))).filter(|(_, log)| !log.is_empty()).collect()
}

fn rejection(program: &str, buffer: &[u8]) -> Option<Rejection> {
    let length = buffer.iter().position(|&byte| byte == 0).unwrap_or(buffer.len());
    let log = String::from_utf8_lossy(buffer.get(..length)?).into_owned();
    (length > 0).then(|| Rejection { program: program.to_owned(), log, truncated: length + 1 >= LOG_SIZE })
}

impl Object {
    /// What the verifier told of its work, by program; see [`OpenObject::measure`].
    pub fn measured(&self) -> &[(String, String)] {
        &self.measured
    }

    /// The loaded program of that name; none if the object has none or it was not selected.
    pub fn program(&self, name: &str) -> Option<Program<'_>> {
        let name = c_string(name).ok()?;
        // SAFETY: the object is loaded and the name outlives the call.
        let raw = unsafe { sys::bpf_object__find_program_by_name(self.raw.raw.as_ptr(), name.as_ptr()) };
        // SAFETY: the program belongs to this object, which is borrowed as long as the handle.
        let program = unsafe { Program::new(NonNull::new(raw)?, &self.raw) };
        program.fd().is_some().then_some(program)
    }

    /// Its maps, in the order of the object, those of global data included.
    ///
    /// # Errors
    /// The kernel's, when it gives out no more descriptors.
    pub fn maps(&self) -> Result<Vec<Map>, Error> {
        let mut maps = Vec::new();
        let mut last = ptr::null_mut();
        loop {
            // SAFETY: the object is loaded, and the last map is null or belongs to it.
            last = unsafe { sys::bpf_object__next_map(self.raw.raw.as_ptr(), last) };
            let Some(raw) = NonNull::new(last) else { return Ok(maps) };
            // SAFETY: the map belongs to the loaded object.
            if let Some(map) = unsafe { Map::of_object(raw)? } {
                let renamed = self.renamed.iter().find(|(known, _)| *known == raw.as_ptr().addr());
                maps.push(match renamed {
                    Some((_, name)) => map.named(name),
                    None => map,
                });
            }
        }
    }
}

impl Drop for OpenObject {
    fn drop(&mut self) {
        // SAFETY: this is the object's only owner, and it is not used again.
        log::capture(|| unsafe { sys::bpf_object__close(self.raw.as_ptr()) });
    }
}

impl Drop for RawObject {
    fn drop(&mut self) {
        // SAFETY: this is the object's only owner, and it is not used again; links and maps that outlive it hold
        // descriptors of their own, or the object itself.
        log::capture(|| unsafe { sys::bpf_object__close(self.raw.as_ptr()) });
    }
}

// SAFETY: an object is private memory and descriptors; libbpf keeps nothing about it for the thread that made it.
unsafe impl Send for OpenObject {}
// SAFETY: as above.
unsafe impl Send for RawObject {}
// SAFETY: what is done through a shared object only reads it, but for USDT attachments, which hold the lock.
unsafe impl Sync for RawObject {}

/// The name of a map as the source has it: libbpf puts the object's name before those of global data.
pub(super) fn map_name(raw: NonNull<sys::bpf_map>) -> String {
    // SAFETY: the map is alive while its object is borrowed by the caller, and so is its name.
    unsafe { text(sys::bpf_map__name(raw.as_ptr())) }
}
