//! What compilers said of themselves whose paths do not tell their version: a file for each, with the number.

use std::path::Path;

use super::{Cache, key};
use crate::toolchain::Versions;

/// How the names of these files begin.
pub(super) const PREFIX: &str = "clang-";

impl Versions for Cache {
    fn known(&self, clang: &Path) -> Option<u32> {
        let bytes = self.bytes(&name(clang)?).ok()??;
        std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
    }

    /// That it cannot be kept is no reason to fail: the compiler is asked again.
    fn learn(&self, clang: &Path, version: u32) {
        if let Some(name) = name(clang) {
            self.write(&name, format!("{version}\n").as_bytes()).ok();
        }
    }
}

fn name(clang: &Path) -> Option<String> {
    key::identity(clang).map(|identity| format!("{PREFIX}{identity}"))
}
