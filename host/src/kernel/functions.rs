//! Whether a function of the kernel can be traced by fentry and fexit.

use super::Kernel;
use super::btf::{self, Function};
use crate::bpf::program::ProgramType;
use crate::bpf::{Error, errno, trial};

/// Why a function cannot be traced by fentry or fexit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// The kernel's error number; none where it was not asked.
    pub errno: Option<i32>,
    /// The reason for people, a clause without a subject of its own: "the kernel refuses …".
    pub reason: String,
}

/// Attaches a program that does nothing to the entry or return of a function and takes it away again.
///
/// # Errors
/// Why the kernel does not take it.
pub fn try_fentry(kernel: &Kernel, name: &str, returns: bool) -> Result<Function, Refusal> {
    let unasked = |reason: String| Refusal { errno: None, reason };
    // Where all are refused, that is the reason, and the kernel's types, which take some milliseconds, are not needed.
    if let Err(error) = trial::tracing_program() {
        return Err(Refusal { errno: Some(error.errno), reason: refused(&error) });
    }
    let types = kernel.btf().map_err(|error| unasked(error.to_string()))?;
    let function = btf::function(types, name).ok_or_else(|| {
        unasked(format!("the kernel's BTF has no function `{name}` (inlined everywhere, or in a module)"))
    })?;
    let kind = if returns { ProgramType::Fexit } else { ProgramType::Fentry };
    match trial::traced(kind, function.id.0) {
        Ok(()) => Ok(function),
        Err(error) => Err(Refusal { errno: Some(error.errno), reason: explain(&error, name) }),
    }
}

fn refused(error: &Error) -> String {
    format!("the kernel refuses every fentry and fexit program: {} ({})", errno::describe(error.errno), lockdown())
}

/// What is known about a refusal for lack of permission.
fn lockdown() -> &'static str {
    if super::capability::missing().is_empty() {
        "by lockdown, a security module or its configuration"
    } else {
        "this process lacks capabilities"
    }
}

fn explain(error: &Error, name: &str) -> String {
    // The last line of the verifier's that is not its statistics is the reason.
    let said = error.said.lines().rev().find(|line| !line.is_empty() && !line.starts_with("processed "));
    match (error.errno, said) {
        (_, Some(said)) => format!("the kernel does not trace `{name}`: {said}"),
        (libc::EBUSY, None) => format!("`{name}` is being traced by something that does not share it (EBUSY)"),
        (libc::E2BIG, None) => format!("`{name}` has as many programs as the kernel allows (E2BIG)"),
        // ENOTSUPP, which user space has no name for (include/linux/errno.h).
        (524, None) => format!(
            "this kernel has no trampolines for `{name}`: it takes more arguments than the kernel hands over (those in registers, \
             before Linux 6.6), or none are made on this architecture"
        ),
        (number, None) => format!("the kernel does not trace `{name}`: {}", errno::describe(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_in_words() {
        let mut error = Error::new("load a trial program", libc::EINVAL);
        error.said =
            "bpf_prog_load: x\nThe address of function f cannot be found\nprocessed 0 insns (limit 1000000)".into();
        assert_eq!(explain(&error, "f"), "the kernel does not trace `f`: The address of function f cannot be found");
        error.said.clear();
        assert_eq!(explain(&error, "f"), "the kernel does not trace `f`: invalid argument");
        error.errno = libc::EBUSY;
        assert!(explain(&error, "f").contains("EBUSY"));
    }

    #[test]
    fn a_function_that_is_not_there_is_refused() {
        let refusal = try_fentry(&Kernel::new(), "no_such_function_of_any_kernel", false).unwrap_err();
        assert!(refusal.errno.is_some() || refusal.reason.contains("no_such_function_of_any_kernel"), "{refusal}");
    }
}
