//! What libbpf says while it works.
//!
//! libbpf has one print function for the whole process. The one set here keeps messages for the thread that is inside
//! [`capture`] and drops those of any other, so that two pipelines in one process do not mix. A host that sets a print
//! function of its own afterwards takes the details out of this crate's errors, and nothing else.

use std::cell::RefCell;
use std::ffi::{c_char, c_int};
use std::sync::Once;

use libbpf_sys::{__va_list_tag, LIBBPF_DEBUG, libbpf_print_level, libbpf_set_print};

use super::sys;

/// The most that is kept of one message, and of all messages of one call.
const MESSAGE_LIMIT: usize = 4096;
const TOTAL_LIMIT: usize = 64 << 10;

thread_local! {
    static CAPTURED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a call and returns what libbpf said meanwhile on this thread.
pub(super) fn capture<T>(call: impl FnOnce() -> T) -> (T, String) {
    static SET: Once = Once::new();
    // SAFETY: the print function may be set at any time; `keep` has its type and never unwinds.
    SET.call_once(|| unsafe {
        libbpf_set_print(Some(keep));
    });
    let outer = CAPTURED.replace(Some(String::new()));
    let returned = call();
    let said = CAPTURED.replace(outer).unwrap_or_default();
    (returned, said.trim_end().to_owned())
}

unsafe extern "C" fn keep(level: libbpf_print_level, format: *const c_char, arguments: *mut __va_list_tag) -> c_int {
    if level >= LIBBPF_DEBUG {
        return 0;
    }
    let mut buffer = [0_u8; MESSAGE_LIMIT];
    // SAFETY: the buffer is as long as said; libbpf hands on a format and the arguments that belong to it, which are
    // used once.
    let length = unsafe { sys::vsnprintf(buffer.as_mut_ptr().cast(), buffer.len(), format, arguments.cast()) };
    let length = usize::try_from(length).unwrap_or(0).min(MESSAGE_LIMIT - 1);
    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
    let text = text.strip_prefix("libbpf: ").unwrap_or(&text);
    // A thread that is ending has no place to keep it; that is no reason to unwind into C.
    let _ = CAPTURED.try_with(|captured| {
        if let Ok(mut captured) = captured.try_borrow_mut()
            && let Some(said) = captured.as_mut()
            && said.len() + text.len() <= TOTAL_LIMIT
        {
            said.push_str(text);
        }
    });
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_libbpf_says_on_this_thread() {
        let garbage = [0_u8; 16];
        let ((), said) = capture(|| {
            // SAFETY: the bytes outlive the call, which refuses them.
            let object = unsafe {
                libbpf_sys::bpf_object__open_mem(
                    garbage.as_ptr().cast(),
                    garbage.len().try_into().unwrap(),
                    std::ptr::null(),
                )
            };
            assert!(object.is_null());
        });
        assert!(said.contains("elf"), "{said:?}");
        assert_eq!(capture(|| ()).1, "");
    }
}
