//! BTF as C, by libbpf's `btf_dump`.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;

use libbpf_sys as sys;

use super::TypeId;

/// Why BTF could not be printed as C.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// libbpf refuses the BTF.
    #[error("libbpf refuses the BTF: {0}")]
    Refused(std::io::Error),
    /// One type could not be printed.
    #[error("libbpf cannot print type {id} as C: {error}")]
    Type {
        /// Number of the type.
        id: u32,
        /// What libbpf answered.
        error: std::io::Error,
    },
}

/// Longest piece that libbpf prints at once: names, which the writer of the BTF bounds, and indentation.
const PIECE: usize = 4096;

/// The longest text that is made, in bytes; the whole of a kernel's types has 3 MB.
const MAX_TEXT: usize = 16 << 20;

/// An owner of libbpf's `struct btf`.
struct Parsed(NonNull<sys::btf>);

impl Drop for Parsed {
    fn drop(&mut self) {
        // SAFETY: the pointer is from btf__new and is freed once, here.
        unsafe { sys::btf__free(self.0.as_ptr()) }
    }
}

/// An owner of libbpf's `struct btf_dump`.
struct Dump(NonNull<sys::btf_dump>);

impl Drop for Dump {
    fn drop(&mut self) {
        // SAFETY: the pointer is from btf_dump__new and is freed once, here.
        unsafe { sys::btf_dump__free(self.0.as_ptr()) }
    }
}

/// What the printing callback writes to.
struct Sink {
    text: Vec<u8>,
    /// Whether what is printed is kept.
    open: bool,
    /// Whether something was longer than its limit.
    overflow: bool,
}

/// Prints types as C, each with what it needs by value before it and with forward declarations for what it only points
/// to. Nothing is printed twice. The types in `hidden` are taken as printed already.
///
/// libbpf recurses over the types: the caller answers for a depth and for names (at most 256 bytes) that are bounded,
/// as [`super::Writer`] makes them.
///
/// # Errors
/// When libbpf refuses the BTF, or a type holds itself.
pub fn dump_c(btf: &[u8], hidden: &[TypeId], shown: &[TypeId]) -> Result<String, DumpError> {
    let size = u32::try_from(btf.len()).map_err(|_| DumpError::Refused(std::io::ErrorKind::FileTooLarge.into()))?;
    // SAFETY: the data has `size` bytes; libbpf copies it.
    let parsed = unsafe { sys::btf__new(btf.as_ptr().cast(), size) };
    let parsed = Parsed(NonNull::new(parsed).ok_or_else(|| DumpError::Refused(std::io::Error::last_os_error()))?);
    let mut sink = Sink { text: Vec::with_capacity(btf.len() * 4), open: false, overflow: false };
    let context: *mut Sink = &raw mut sink;
    // SAFETY: `parsed` is live and outlives the dump, which is dropped first; `context` points to `sink`, which
    // outlives it too and is touched by nobody else while libbpf runs; null options mean the defaults.
    let dump = unsafe { sys::btf_dump__new(parsed.0.as_ptr(), Some(print), context.cast(), std::ptr::null()) };
    let dump = Dump(NonNull::new(dump).ok_or_else(|| DumpError::Refused(std::io::Error::last_os_error()))?);
    for (open, ids) in [(false, hidden), (true, shown)] {
        // SAFETY: `context` points to the live `sink`; libbpf is not running.
        unsafe { (*context).open = open };
        for TypeId(id) in ids.iter().copied() {
            // SAFETY: the dump is live; libbpf checks the id.
            let status = unsafe { sys::btf_dump__dump_type(dump.0.as_ptr(), id) };
            if status < 0 {
                let error = std::io::Error::from_raw_os_error(status.saturating_neg());
                return Err(DumpError::Type { id, error });
            }
        }
    }
    drop(dump);
    if sink.overflow {
        return Err(DumpError::Refused(std::io::ErrorKind::FileTooLarge.into()));
    }
    Ok(String::from_utf8_lossy(&sink.text).into_owned())
}

/// libbpf's printing callback: appends to the [`Sink`] behind `context`.
unsafe extern "C" fn print(context: *mut c_void, format: *const c_char, arguments: *mut sys::__va_list_tag) {
    // SAFETY: `context` is the sink that dump_c handed over; it alone uses it during the call.
    let sink = unsafe { &mut *context.cast::<Sink>() };
    if !sink.open || sink.overflow {
        return;
    }
    // SAFETY: libbpf passes a NUL-terminated format.
    let literal = unsafe { CStr::from_ptr(format) }.to_bytes();
    if !literal.contains(&b'%') {
        sink.text.extend_from_slice(literal);
        return;
    }
    let mut piece = [0u8; PIECE];
    // SAFETY: the buffer has PIECE bytes; format and arguments belong together and are used once.
    let length = unsafe { crate::bpf::sys::vsnprintf(piece.as_mut_ptr().cast(), PIECE, format, arguments.cast()) };
    match usize::try_from(length).ok().and_then(|length| piece.get(..length)) {
        Some(printed) if sink.text.len() < MAX_TEXT => sink.text.extend_from_slice(printed),
        _ => sink.overflow = true,
    }
}
