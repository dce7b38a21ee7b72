//! The one gate from what C functions return to errors with a subject.

use std::ffi::c_int;
use std::io;
use std::ptr::NonNull;

use super::log;

/// A call into libbpf or the kernel that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to {what}: {}{}", describe(*errno), first_line(said))]
pub struct Error {
    /// What was attempted, on what: "attach kprobe to `tcp_sendmsg`".
    pub what: String,
    /// The error number of the kernel (errno-base.h).
    pub errno: i32,
    /// What libbpf said about it, one message a line; empty if nothing.
    pub said: String,
}

impl Error {
    /// The error of an attempt, by number.
    pub fn new(what: impl Into<String>, errno: i32) -> Self {
        Self { what: what.into(), errno, said: String::new() }
    }

    /// The error of an attempt that failed in the standard library's hands.
    pub fn from_io(what: impl Into<String>, error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::new(what, errno),
            None => Self { what: what.into(), errno: libc::EIO, said: error.to_string() },
        }
    }

    /// Whether the kernel refused for lack of a right.
    pub fn is_permission(&self) -> bool {
        self.errno == libc::EPERM || self.errno == libc::EACCES
    }
}

/// The system's words for an error number, without the number.
pub fn describe(errno: i32) -> String {
    // The kernel's own ENOTSUPP, which it lets out of some BPF calls, has no words in the C library.
    if errno == 524 {
        return "not supported by this kernel".to_owned();
    }
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => format!("{}{}", words.get(..1).unwrap_or("").to_lowercase(), words.get(1..).unwrap_or("")),
        None => text,
    }
}

fn first_line(said: &str) -> String {
    said.lines().next().map(|line| format!(" ({line})")).unwrap_or_default()
}

/// Runs a call that returns zero or more, or a negative error number.
pub(super) fn check(what: impl FnOnce() -> String, call: impl FnOnce() -> c_int) -> Result<c_int, Error> {
    match log::capture(call) {
        (returned, _) if returned >= 0 => Ok(returned),
        (returned, said) => Err(Error { what: what(), errno: returned.saturating_neg(), said }),
    }
}

/// Runs a call that returns a pointer, or null with `errno` set (libbpf 1.0's convention).
pub(super) fn check_ptr<T>(what: impl FnOnce() -> String, call: impl FnOnce() -> *mut T) -> Result<NonNull<T>, Error> {
    let ((pointer, errno), said) = log::capture(|| {
        let pointer = call();
        (pointer, io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
    });
    NonNull::new(pointer).ok_or_else(|| Error { what: what(), errno, said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_subject() {
        let mut error = Error::new("attach kprobe to `f`", libc::ENOENT);
        assert_eq!(error.to_string(), "failed to attach kprobe to `f`: no such file or directory");
        error.said = "no such symbol\nmore".to_owned();
        assert_eq!(error.to_string(), "failed to attach kprobe to `f`: no such file or directory (no such symbol)");
        assert_eq!(Error::new("x", 524).to_string(), "failed to x: not supported by this kernel");
    }
}
