//! Split DWARF: units in files of their own (`.dwo`), or all of them in a package (`.dwp`) beside the binary.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::place::Candidate;
use super::{DebugFiles, DebugSource};
use crate::elf::Elf;

/// Longer paths are no paths on Linux (`PATH_MAX`).
const MAX_PATH: usize = 4096;

/// The package of the binary, or of its debug file: `NAME.dwp`.
pub(super) fn package(files: &DebugFiles, main: &Elf) -> Option<Elf> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut add = |candidate: Candidate| {
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    };
    for of in files.paths(main) {
        for file in files.place.files_at(&of) {
            // `server.debug` has `server.debug.dwp` or `server.dwp`.
            let stem = file.own_path().extension().is_some_and(|extension| extension == "debug");
            let names = [file.own_path().file_name(), file.own_path().file_stem().filter(|_| stem)];
            for name in names.into_iter().flatten() {
                let mut name = OsString::from(name);
                name.push(".dwp");
                add(file.beside(&name));
                for folder in &files.options().debug_dirs {
                    add(Candidate::new(None, folder.join(&name)));
                }
            }
        }
    }
    files.first_of(DebugSource::Package, candidates, |found| {
        let is_package = found.has_section(".debug_cu_index") && found.has_section(".debug_info.dwo");
        is_package.then_some(()).ok_or_else(|| "it is no package of split debug information".to_owned())
    })
}

/// The file of one unit.
pub(super) fn unit(files: &DebugFiles, main: &Elf, name: &Path, comp_dir: Option<&Path>) -> Option<Elf> {
    let too_long = |path: &Path| path.as_os_str().len() > MAX_PATH;
    if name.as_os_str().is_empty() || too_long(name) || comp_dir.is_some_and(too_long) {
        return None;
    }
    // As the compiler wrote it: relative to the folder that it worked in.
    let built: PathBuf = comp_dir.map_or_else(|| name.to_owned(), |folder| folder.join(name));
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut add = |candidate: Candidate| {
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    };
    if built.is_absolute() {
        if let Some(root) = &files.place.root {
            add(Candidate::new(Some(root.clone()), built.clone()));
        }
        add(Candidate::new(None, built.clone()));
    }
    // Moved with the binary, with or without its folders; or collected in a folder that the caller named.
    let file = name.file_name().map(Path::new);
    for of in files.paths(main) {
        for folder in files.place.folders_of(&of) {
            for name in [Some(name).filter(|name| name.is_relative()), file].into_iter().flatten() {
                add(folder.file(name));
            }
        }
    }
    for folder in &files.options().debug_dirs {
        let below = built.strip_prefix("/").unwrap_or(&built);
        for name in [Some(below), Some(name).filter(|name| name.is_relative()), file].into_iter().flatten() {
            add(Candidate::new(None, folder.join(name)));
        }
    }
    files.first_of(DebugSource::Split, candidates, |found| {
        let is_split = found.has_section(".debug_info.dwo");
        is_split.then_some(()).ok_or_else(|| "it has no split debug information".to_owned())
    })
}
