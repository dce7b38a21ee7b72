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
    // The code of split units has its addresses there: without it no unit was split.
    if !main.has_section(".debug_addr") {
        return None;
    }
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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::{Options, Outcome, Place, Reach};
    use super::*;
    use crate::file::Contents;

    /// A program whose only unit is in `names.dwo`, built in `build` below the folder that is given back.
    fn program() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let build = folder.path().join("build");
        std::fs::create_dir(&build).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/names.cc");
        for arguments in [&["-c", source.to_str().unwrap()] as &[&str], &["-shared", "-o", "library.so", "names.o"]] {
            let flags = ["-g", "-gsplit-dwarf", "-fPIC"];
            let out = Command::new("g++").current_dir(&build).args(flags).args(arguments).output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        }
        folder
    }

    fn files(path: &Path, debug_dirs: Vec<PathBuf>) -> DebugFiles {
        let elf = Elf::parse(Contents::open(path, path).unwrap()).unwrap();
        DebugFiles::new(elf, Place::new(path, None), Options { debug_dirs, ..Options::default() })
    }

    #[test]
    fn units_are_found_where_they_were_built_or_moved_to() {
        let folder = program();
        let [build, elsewhere, given] = ["build", "elsewhere", "given"].map(|name| folder.path().join(name));
        let library = build.join("library.so");
        let find = |library: &Path, name: &str, comp_dir: Option<&Path>| {
            let files = files(library, vec![given.clone()]);
            let dwarf = files.dwarf(Reach::Disk).unwrap();
            let found = dwarf.split(Path::new(name), comp_dir);
            found.map(|elf| {
                assert!(elf.has_section(".debug_info.dwo"));
                elf.contents.path().to_owned()
            })
        };
        let built = Some(build.join("names.dwo"));
        assert_eq!(find(&library, "names.dwo", Some(&build)), built);
        assert_eq!(find(&library, "build/names.dwo", Some(folder.path())), built);
        assert_eq!(find(&library, "../build/names.dwo", Some(&build)), Some(build.join("../build/names.dwo")));
        assert_eq!(find(&library, build.join("names.dwo").to_str().unwrap(), Some(Path::new("/none"))), built);
        // Not where it was built: beside the program, by its path from there or by its name.
        assert_eq!(find(&library, "names.dwo", Some(Path::new("/none"))), built);
        assert_eq!(find(&library, "parts/names.dwo", Some(Path::new("/none"))), built);
        assert_eq!(find(&library, "names.dwo", None), built);
        // In a folder that the caller named: by the whole path, the path in the build, the name.
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::rename(&library, elsewhere.join("library.so")).unwrap();
        let whole = given.join("none/parts");
        std::fs::create_dir_all(&whole).unwrap();
        for place in [whole.join("names.dwo"), given.join("names.dwo")] {
            std::fs::copy(build.join("names.dwo"), &place).unwrap();
            let found = find(&elsewhere.join("library.so"), "parts/names.dwo", Some(Path::new("/none")));
            assert_eq!(found.as_ref(), Some(&place));
            std::fs::remove_file(place).unwrap();
        }
        assert_eq!(find(&elsewhere.join("library.so"), "names.dwo", Some(Path::new("/none"))), None);
        assert_eq!(find(&elsewhere.join("library.so"), "", Some(&build)), None);
        assert_eq!(find(&elsewhere.join("library.so"), &"x/".repeat(3000), Some(&build)), None);
    }

    #[test]
    fn many_units_that_are_not_there_are_told_in_short() {
        let folder = program();
        let files = files(&folder.path().join("build/library.so"), Vec::new());
        let dwarf = files.dwarf(Reach::Disk).unwrap();
        for number in 0..1000 {
            assert!(dwarf.split(Path::new(&format!("{number}.dwo")), Some(Path::new("/none"))).is_none());
        }
        // What is there is the program, not a unit.
        assert!(dwarf.split(Path::new("names.o"), Some(&folder.path().join("build"))).is_none());
        let list = files.consulted();
        let missing: Vec<_> = list.iter().filter(|c| c.outcome == Outcome::Missing).collect();
        // Each was looked for in `/none` and beside the program.
        assert_eq!(missing.iter().map(|c| 1 + c.more).sum::<usize>(), 2000);
        assert!(list.len() < 40, "{} lines", list.len());
        assert!(list.iter().any(|c| matches!(&c.outcome, Outcome::Refused(why) if why.contains("no split debug"))));
    }
}
