//! Programs and libraries by their names alone: where a shell and the dynamic linker look.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::error::Error;
use crate::process;

/// Where servers are though a user's PATH often has none of them.
const SBIN: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// A program by its name, in the folders of PATH and in those of servers.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .chain(SBIN.iter().map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0))
}

/// Where the dynamic linker looks: the folders of its configuration, then its defaults.
fn library_dirs() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    let mut configs = vec![PathBuf::from("/etc/ld.so.conf")];
    if let Ok(entries) = std::fs::read_dir("/etc/ld.so.conf.d") {
        let mut more: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
        more.sort();
        configs.extend(more.into_iter().filter(|p| p.extension() == Some(OsStr::new("conf"))));
    }
    for config in configs {
        let text = std::fs::read_to_string(config).unwrap_or_default();
        dirs.extend(text.lines().map(str::trim).filter(|l| l.starts_with('/')).map(PathBuf::from));
    }
    dirs.extend(["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"].map(PathBuf::from));
    dirs
}

/// A shared library by its file name, or by what follows `lib` in it.
pub(super) fn library(name: &str) -> Result<Option<PathBuf>, Error> {
    let dirs = library_dirs();
    if let Some(path) = dirs.iter().map(|dir| dir.join(name)).find(|path| path.is_file()) {
        return Ok(Some(path));
    }
    let mut found: Vec<(PathBuf, PathBuf)> = Vec::new();
    for dir in &dirs {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let file = entry.file_name();
            if file.to_str().is_some_and(|file| process::is_library_name(file, name))
                && let Ok(real) = entry.path().canonicalize()
                && !found.iter().any(|(_, other)| *other == real)
            {
                found.push((entry.path(), real));
            }
        }
    }
    match found.as_slice() {
        [] => Ok(None),
        [(path, _)] => Ok(Some(path.clone())),
        several => Err(Error::SeveralLibraries {
            name: name.to_owned(),
            candidates: several.iter().map(|(path, _)| path.display().to_string()).collect(),
        }),
    }
}
