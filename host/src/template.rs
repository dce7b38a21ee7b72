//! Stage 4: the C side of the compiler host: preamble, headers that answer `#include <linux/…>`, kernel types.

/// A probe with everything around it that clang needs.
#[derive(Debug)]
pub struct Templated {
    /// A private directory with the include tree for this probe: templates, the slice of kernel types, empty answers
    /// for kernel headers that have no template. It is removed when this value is dropped.
    pub root: tempfile::TempDir,
    /// Arguments for clang, the same for libclang and for the compiler: target, include path, `-include` of the
    /// preamble, `-D` of features and of the user. Rewriting adds `-DDBCC_PARSE`, under which map macros declare
    /// objects with callable members, so that `map.lookup(&key)` has a type.
    pub arguments: Vec<String>,
}
