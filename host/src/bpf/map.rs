//! Maps of a loaded object: what they are and what is in them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use libbpf_sys as sys;

use super::errno::{Error, check};
use super::object::map_name;
use super::program::text;

mod walk;

/// The type of a map, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapType {
    /// Keys and values; least-recently-used ones and tries included.
    Hash,
    /// Values by number.
    Array,
    /// A perf buffer.
    PerfEventArray,
    /// A ring buffer.
    RingBuffer,
    /// Stack traces by number.
    StackTrace,
    /// A queue or a stack: values without keys.
    Queue,
    /// Anything else, by its number in `enum bpf_map_type`.
    Other(u32),
}

/// A map of a loaded object. It is a handle: clones are the same map, and it stays alive without the object.
#[derive(Debug, Clone)]
pub struct Map {
    name: Arc<str>,
    fd: Arc<OwnedFd>,
    map_type: MapType,
    per_cpu: bool,
    key_size: usize,
    value_size: usize,
    max_entries: u32,
    key_type: u32,
    value_type: u32,
}

/// How a map is declared or was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// Its number in `enum bpf_map_type`.
    pub map_type: u32,
    /// Size of a key in bytes.
    pub key_size: u32,
    /// Size of a value in bytes.
    pub value_size: u32,
    /// The most entries that it can hold.
    pub max_entries: u32,
    /// `BPF_F_…`.
    pub flags: u32,
}

impl Definition {
    /// The name of its type, as in `hash`.
    pub fn type_name(&self) -> String {
        // SAFETY: the function takes any number; what it returns is null or a constant string.
        let name = unsafe { text(sys::libbpf_bpf_map_type_str(self.map_type)) };
        if name.is_empty() { format!("map of type {}", self.map_type) } else { name }
    }
}

/// What was in a map while it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// Keys and values, in the kernel's order (by number for arrays, none for hashes). A per-CPU value is one block of
    /// [`Map::value_stride`] bytes for each possible CPU.
    pub rows: Vec<(Vec<u8>, Vec<u8>)>,
    /// Why entries are missing, if any are.
    pub incomplete: Option<String>,
}

impl Map {
    /// A map of libbpf's; none where the object has it and the kernel does not.
    ///
    /// # Safety
    /// The map belongs to a loaded object that stays so during the call.
    pub(super) unsafe fn of_object(raw: NonNull<sys::bpf_map>) -> Result<Option<Self>, Error> {
        let name = map_name(raw);
        let raw = raw.as_ptr();
        // SAFETY: by the caller's promise, here and in the calls below, which read fields of the map.
        let fd = unsafe { sys::bpf_map__fd(raw) };
        if fd < 0 {
            return Ok(None);
        }
        // SAFETY: the descriptor is open as long as the object.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) }
            .try_clone_to_owned()
            .map_err(|error| Error::from_io(format!("keep map `{name}`"), &error))?;
        // SAFETY: as above.
        let (number, key_size, value_size, max_entries, key_type, value_type) = unsafe {
            (
                sys::bpf_map__type(raw),
                sys::bpf_map__key_size(raw),
                sys::bpf_map__value_size(raw),
                sys::bpf_map__max_entries(raw),
                sys::bpf_map__btf_key_type_id(raw),
                sys::bpf_map__btf_value_type_id(raw),
            )
        };
        let map_type = match number {
            sys::BPF_MAP_TYPE_HASH
            | sys::BPF_MAP_TYPE_PERCPU_HASH
            | sys::BPF_MAP_TYPE_LRU_HASH
            | sys::BPF_MAP_TYPE_LRU_PERCPU_HASH
            | sys::BPF_MAP_TYPE_LPM_TRIE
            | sys::BPF_MAP_TYPE_CGROUP_STORAGE
            | sys::BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE => MapType::Hash,
            sys::BPF_MAP_TYPE_ARRAY | sys::BPF_MAP_TYPE_PERCPU_ARRAY => MapType::Array,
            sys::BPF_MAP_TYPE_PERF_EVENT_ARRAY => MapType::PerfEventArray,
            sys::BPF_MAP_TYPE_RINGBUF => MapType::RingBuffer,
            sys::BPF_MAP_TYPE_STACK_TRACE => MapType::StackTrace,
            sys::BPF_MAP_TYPE_QUEUE | sys::BPF_MAP_TYPE_STACK => MapType::Queue,
            other => MapType::Other(other),
        };
        let per_cpu = matches!(
            number,
            sys::BPF_MAP_TYPE_PERCPU_HASH
                | sys::BPF_MAP_TYPE_LRU_PERCPU_HASH
                | sys::BPF_MAP_TYPE_PERCPU_ARRAY
                | sys::BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE
        );
        let size = |size: u32| usize::try_from(size).unwrap_or(usize::MAX);
        Ok(Some(Self {
            name: name.into(),
            fd: Arc::new(fd),
            map_type,
            per_cpu,
            key_size: size(key_size),
            value_size: size(value_size),
            max_entries,
            key_type,
            value_type,
        }))
    }

    /// The same map by another name.
    pub(super) fn named(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }

    /// How it was made, as the kernel tells it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn definition(&self) -> Result<Definition, Error> {
        let mut info = sys::bpf_map_info::default();
        let mut length = u32::try_from(size_of_val(&info)).unwrap_or(0);
        check(
            || self.what("ask about"),
            // SAFETY: the map is open, and the answer is as long as said.
            || unsafe { sys::bpf_map_get_info_by_fd(self.raw_fd(), &raw mut info, &raw mut length) },
        )?;
        let (map_type, key_size, value_size) = (info.type_, info.key_size, info.value_size);
        Ok(Definition { map_type, key_size, value_size, max_entries: info.max_entries, flags: info.map_flags })
    }

    /// Its name in the source; `.rodata`, `.bss`, … for global data.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it is.
    pub fn map_type(&self) -> MapType {
        self.map_type
    }

    /// Whether each entry has one value for each possible CPU.
    pub fn is_per_cpu(&self) -> bool {
        self.per_cpu
    }

    /// Size of a key in bytes.
    pub fn key_size(&self) -> usize {
        self.key_size
    }

    /// Size of a value (of one CPU) in bytes.
    pub fn value_size(&self) -> usize {
        self.value_size
    }

    /// Bytes from the value of one CPU to that of the next: the value's size, rounded up to 8.
    pub fn value_stride(&self) -> usize {
        self.value_size.next_multiple_of(8)
    }

    /// The most entries it can hold; bytes for a ring buffer.
    pub fn max_entries(&self) -> u32 {
        self.max_entries
    }

    /// Number of the key's type in the object's BTF; 0 if it has none.
    pub fn key_type(&self) -> u32 {
        self.key_type
    }

    /// Number of the value's type in the object's BTF; 0 if it has none.
    pub fn value_type(&self) -> u32 {
        self.value_type
    }

    /// All its entries.
    ///
    /// Where the kernel can (hashes since Linux 5.6), they are read by bucket, so that an entry that is there all the
    /// time is found exactly once, whatever else changes. Elsewhere keys are walked one after the other; an entry that
    /// goes away under the walk makes it start again, so a map that changes faster than it is read is reported as
    /// incomplete rather than read forever.
    ///
    /// Of a queue or a stack only the value that is taken next can be seen without taking it; it has an empty key.
    ///
    /// # Errors
    /// The kernel's; `EOPNOTSUPP` for a map that has no entries to read, such as a ring buffer.
    pub fn entries(&self) -> Result<Entries, Error> {
        match self.map_type {
            MapType::Hash => walk::hash(self),
            MapType::Array => walk::array(self),
            MapType::StackTrace => walk::by_key(self),
            MapType::Queue => {
                let next = self.lookup(&[])?.map(|value| (Vec::new(), value));
                Ok(Entries { rows: next.into_iter().collect(), incomplete: None })
            }
            MapType::PerfEventArray | MapType::RingBuffer | MapType::Other(_) => {
                Err(Error::new(self.what("read"), libc::EOPNOTSUPP))
            }
        }
    }

    /// All its entries, by walking keys even where the kernel can read by buckets.
    #[cfg(test)]
    pub(crate) fn entries_by_key(&self) -> Result<Entries, Error> {
        walk::by_key(self)
    }

    /// The value of one key; none if the map has no such key. A per-CPU value is one block for each possible CPU.
    ///
    /// # Errors
    /// The kernel's; `EINVAL` for a key of the wrong size.
    pub fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.check_size(key, self.key_size)?;
        let mut value = vec![0_u8; self.row_size()?];
        let found = check(
            || self.what("look up a key in"),
            // SAFETY: the key is as long as the map's keys, the value as long as the kernel writes (checked above and
            // by `row_size`).
            || unsafe {
                // A map without keys takes no address of one.
                let key = if key.is_empty() { ptr::null() } else { key.as_ptr() };
                sys::bpf_map_lookup_elem(self.raw_fd(), key.cast(), value.as_mut_ptr().cast())
            },
        );
        match found {
            Ok(_) => Ok(Some(value)),
            Err(error) if error.errno == libc::ENOENT => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the value of one key. A per-CPU value is one block for each possible CPU.
    ///
    /// # Errors
    /// The kernel's: `E2BIG` if the map is full; `EINVAL` for a key or value of the wrong size.
    pub fn update(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.check_size(key, self.key_size)?;
        self.check_size(value, self.row_size()?)?;
        check(
            || self.what("update"),
            // SAFETY: key and value are as long as the kernel reads (checked above).
            || unsafe { sys::bpf_map_update_elem(self.raw_fd(), key.as_ptr().cast(), value.as_ptr().cast(), 0) },
        )
        .map(drop)
    }

    /// Removes one key. Says whether it was there.
    ///
    /// # Errors
    /// The kernel's; `EINVAL` for a key of the wrong size and for arrays, whose entries cannot be removed.
    pub fn delete(&self, key: &[u8]) -> Result<bool, Error> {
        self.check_size(key, self.key_size)?;
        let deleted = check(
            || self.what("delete from"),
            // SAFETY: the key is as long as the map's keys (checked above).
            || unsafe { sys::bpf_map_delete_elem(self.raw_fd(), key.as_ptr().cast()) },
        );
        match deleted {
            Ok(_) => Ok(true),
            Err(error) if error.errno == libc::ENOENT => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Bytes of one value as the kernel hands it out: for per-CPU maps a block for each possible CPU.
    fn row_size(&self) -> Result<usize, Error> {
        if self.per_cpu { Ok(self.value_stride().saturating_mul(possible_cpus()?)) } else { Ok(self.value_size) }
    }

    fn check_size(&self, bytes: &[u8], size: usize) -> Result<(), Error> {
        if bytes.len() == size { Ok(()) } else { Err(Error::new(self.what("use"), libc::EINVAL)) }
    }

    fn what(&self, verb: &str) -> String {
        format!("{verb} map `{}`", self.name)
    }

    pub(super) fn raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// The key behind the given one, or the first; none at the end.
    fn next_key(&self, key: Option<&[u8]>, next: &mut [u8]) -> Result<bool, Error> {
        if let Some(key) = key {
            self.check_size(key, self.key_size)?;
        }
        self.check_size(next, self.key_size)?;
        let found = check(
            || self.what("walk through"),
            // SAFETY: both are as long as the map's keys (checked above), or there is no first one.
            || unsafe {
                let key = key.map_or(ptr::null(), <[u8]>::as_ptr);
                sys::bpf_map_get_next_key(self.raw_fd(), key.cast(), next.as_mut_ptr().cast())
            },
        );
        match found {
            Ok(_) => Ok(true),
            Err(error) if error.errno == libc::ENOENT => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// One step of a batch lookup into `keys` and `values`, which have room for `count` rows. Returns how many rows
    /// were read and whether there are more.
    fn batch(&self, step: Batch<'_>) -> Result<(usize, bool), Error> {
        let Batch { from, to, keys, values, count } = step;
        let rows = usize::try_from(count).unwrap_or(usize::MAX);
        self.check_size(keys, self.key_size.saturating_mul(rows))?;
        self.check_size(values, self.row_size()?.saturating_mul(rows))?;
        // A hash keeps the number of a bucket there, a trie or an array a key.
        let token = self.key_size.max(4);
        self.check_size(to, token)?;
        if let Some(from) = from {
            self.check_size(from, token)?;
        }
        let mut count = count;
        let options = sys::bpf_map_batch_opts {
            sz: size_of::<sys::bpf_map_batch_opts>().try_into().unwrap_or(0),
            ..Default::default()
        };
        let read = check(
            || self.what("read"),
            // SAFETY: tokens, keys and values have the sizes that the kernel reads and writes (checked above), the
            // count is how many rows fit, and the options outlive the call.
            || unsafe {
                sys::bpf_map_lookup_batch(
                    self.raw_fd(),
                    from.map_or(ptr::null_mut(), |from| from.as_ptr().cast_mut().cast()),
                    to.as_mut_ptr().cast(),
                    keys.as_mut_ptr().cast(),
                    values.as_mut_ptr().cast(),
                    &raw mut count,
                    &raw const options,
                )
            },
        );
        let got = usize::try_from(count).unwrap_or(usize::MAX).min(rows);
        match read {
            Ok(_) => Ok((got, true)),
            Err(error) if error.errno == libc::ENOENT => Ok((got, false)),
            Err(error) => Err(error),
        }
    }
}

/// Buffers of one step of a batch lookup.
struct Batch<'b> {
    from: Option<&'b [u8]>,
    to: &'b mut [u8],
    keys: &'b mut [u8],
    values: &'b mut [u8],
    count: u32,
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How many CPUs the kernel may ever have: the number of values in an entry of a per-CPU map.
///
/// # Errors
/// That of reading `/sys/devices/system/cpu/possible`.
pub fn possible_cpus() -> Result<usize, Error> {
    let what = || "count the possible CPUs".to_owned();
    // SAFETY: the call has no arguments.
    let count = check(what, || unsafe { sys::libbpf_num_possible_cpus() })?;
    usize::try_from(count).map_err(|error| Error::from_io(what(), &io::Error::other(error)))
}
