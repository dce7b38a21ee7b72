//! Which clang compiles, and which libclang parses.
//!
//! Both must be of one version, so that what the rewriter sees is what the compiler will see. Versions are read from
//! where the files lie and how they are called, because running `clang --version` costs as much as a compilation; it is
//! run only where the paths do not tell, and once where that is remembered.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::facts::Toolchain;

/// The oldest version that is supported.
pub const OLDEST: u32 = 17;

/// Names the `clang` to use.
pub const CLANG_VARIABLE: &str = "DBCC_CLANG";

/// Names the libclang shared library to use.
pub const LIBCLANG_VARIABLE: &str = "DBCC_LIBCLANG";

/// How to install both.
pub const INSTALL: &str = "install clang 17 or newer with its libclang: `apt install clang-19 libclang1-19` (Debian, Ubuntu), \
                       `dnf install clang clang-libs` (Fedora, RHEL), `apk add clang19 clang19-libclang` (Alpine); or \
                       name them with DBCC_CLANG and DBCC_LIBCLANG";

/// Why there is no toolchain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolchainError {
    /// There is no clang.
    #[error("found no clang of version {OLDEST} or newer in /usr/lib/llvm-*/bin and PATH; {INSTALL}")]
    NoClang,
    /// There are only old ones.
    #[error("`{clang}` is clang {version}; dbcc needs {OLDEST} or newer; {INSTALL}", clang = clang.display())]
    Old {
        /// The newest.
        clang: PathBuf,
        /// Its version.
        version: u32,
    },
    /// There is no libclang for the clang that was found.
    #[error("found clang {version} at `{clang}` but no libclang of that version beside it; {INSTALL}", clang = clang.display())]
    NoLibclang {
        /// The clang.
        clang: PathBuf,
        /// Its version.
        version: u32,
    },
    /// A variable names something that is no file.
    #[error("{variable} names `{path}`, which is no file", path = path.display())]
    Variable {
        /// The variable.
        variable: &'static str,
        /// Its value.
        path: PathBuf,
    },
    /// A clang that a variable names does not say its version.
    #[error("cannot tell the version of `{path}`: `--version` does not print one", path = path.display())]
    NoVersion {
        /// The clang.
        path: PathBuf,
    },
}

/// Remembers what compilers said of themselves.
pub trait Versions {
    /// The major version of the compiler at a path, if it said so before and is the same file.
    fn known(&self, clang: &Path) -> Option<u32>;
    /// Remembers it.
    fn learn(&self, clang: &Path, version: u32);
}

/// Nothing is remembered.
impl Versions for () {
    fn known(&self, _clang: &Path) -> Option<u32> {
        None
    }

    fn learn(&self, _clang: &Path, _version: u32) {}
}

/// Where to look.
#[derive(Debug, Clone, Default)]
struct Places {
    /// Value of [`CLANG_VARIABLE`].
    clang: Option<PathBuf>,
    /// Value of [`LIBCLANG_VARIABLE`].
    libclang: Option<PathBuf>,
    /// The folders of PATH.
    path: Vec<PathBuf>,
    /// Folders with one folder an LLVM: `llvm-19`, `llvm19`.
    prefixes: Vec<PathBuf>,
    /// Folders with shared libraries.
    libraries: Vec<PathBuf>,
}

/// Finds a clang and its libclang: those that `DBCC_CLANG` and `DBCC_LIBCLANG` name, else the newest below
/// `/usr/lib/llvm-*`, else one on PATH.
///
/// # Errors
/// When there is none, or none that is new enough, or no libclang to it.
pub fn find() -> Result<Toolchain, ToolchainError> {
    find_with(&())
}

/// As [`find`]; the versions of those whose paths do not tell them are remembered.
///
/// # Errors
/// As [`find`].
pub fn find_with(versions: &dyn Versions) -> Result<Toolchain, ToolchainError> {
    let variable = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
    let places = Places {
        clang: variable(CLANG_VARIABLE),
        libclang: variable(LIBCLANG_VARIABLE),
        path: std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default(),
        prefixes: ["/usr/lib", "/usr/lib64", "/usr/local"].map(PathBuf::from).into(),
        libraries: [
            "/usr/lib64",
            "/usr/lib",
            "/usr/local/lib",
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
        ]
        .map(PathBuf::from)
        .into(),
    };
    find_in(&places, versions)
}

fn find_in(places: &Places, versions: &dyn Versions) -> Result<Toolchain, ToolchainError> {
    for (variable, path) in [(CLANG_VARIABLE, &places.clang), (LIBCLANG_VARIABLE, &places.libclang)] {
        if let Some(path) = path.as_ref().filter(|path| !path.is_file()) {
            return Err(ToolchainError::Variable { variable, path: path.clone() });
        }
    }
    let mut found = match &places.clang {
        Some(clang) => {
            let version = version(clang, versions).ok_or_else(|| ToolchainError::NoVersion { path: clang.clone() })?;
            vec![(version, clang.clone())]
        }
        None => candidates(places, versions),
    };
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let mut first_without = None;
    for (version, clang) in found {
        if version < OLDEST {
            return Err(first_without.unwrap_or(ToolchainError::Old { clang, version }));
        }
        match places.libclang.clone().or_else(|| libclang(&clang, version, &places.libraries)) {
            Some(libclang) => return Ok(Toolchain { clang, libclang, version }),
            None => first_without = first_without.or(Some(ToolchainError::NoLibclang { clang, version })),
        }
    }
    Err(first_without.unwrap_or(ToolchainError::NoClang))
}

/// Every clang whose version can be told, the preferred of each version first.
fn candidates(places: &Places, versions: &dyn Versions) -> Vec<(u32, PathBuf)> {
    let mut found = Vec::new();
    for entry in places.prefixes.iter().filter_map(|prefix| std::fs::read_dir(prefix).ok()).flatten().flatten() {
        let name = entry.file_name();
        let clang = entry.path().join("bin/clang");
        if let Some(version) = numbered(&name, "llvm").filter(|_| clang.is_file()) {
            found.push((version, clang));
        }
    }
    for clang in places.path.iter().filter(|dir| dir.is_absolute()).map(|dir| dir.join("clang")) {
        if let Some(version) = clang.is_file().then(|| version(&clang, versions)).flatten() {
            found.push((version, clang));
        }
    }
    if found.is_empty() {
        // `clang-19` without a plain `clang`: Alpine, and packages of LLVM's own repository.
        let entries = places.path.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
        let numbered = entries.filter_map(|entry| Some((numbered(&entry.file_name(), "clang")?, entry.path())));
        found.extend(numbered.filter(|(_, path)| path.is_file()));
    }
    found
}

/// The number in `llvm-19`, `llvm19`, `clang-19`.
fn numbered(name: &OsStr, prefix: &str) -> Option<u32> {
    let rest = name.to_str()?.strip_prefix(prefix)?;
    rest.strip_prefix('-').unwrap_or(rest).parse().ok()
}

/// The major version of a clang: from its real path, from the folder of its own headers, or from what it prints.
fn version(clang: &Path, versions: &dyn Versions) -> Option<u32> {
    let real = std::fs::canonicalize(clang).ok()?;
    let from_name = numbered(real.file_name()?, "clang");
    let from_prefix = real.ancestors().skip(1).find_map(|folder| numbered(folder.file_name()?, "llvm"));
    let from_path = from_name.or(from_prefix);
    from_path.or_else(|| versions.known(&real)).or_else(|| {
        let printed = printed_version(clang)?;
        versions.learn(&real, printed);
        Some(printed)
    })
}

/// The major version that `clang --version` prints.
fn printed_version(clang: &Path) -> Option<u32> {
    let output = Command::new(clang).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    major(std::str::from_utf8(&output.stdout).ok()?)
}

/// The number behind `clang version`, which distributions put their names before.
fn major(text: &str) -> Option<u32> {
    let rest = text.split_once("clang version ")?.1;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// The libclang of a version: beside the clang, else among the shared libraries.
fn libclang(clang: &Path, version: u32, libraries: &[PathBuf]) -> Option<PathBuf> {
    let real = std::fs::canonicalize(clang).ok()?;
    let prefix = real.parent()?.parent()?;
    let beside = ["lib", "lib64"].map(|folder| prefix.join(folder));
    // Below a prefix of its own, a library without a number is of that version.
    let own = numbered(prefix.file_name()?, "llvm") == Some(version);
    let folders = beside.iter().map(|folder| (folder, own)).chain(libraries.iter().map(|folder| (folder, false)));
    folders.filter_map(|(folder, own)| best_library(folder, version, own)).next()
}

/// The library in a folder, by name: `libclang-19.so.1`, `libclang.so.19.1`, and, where `any`, `libclang.so.1`.
fn best_library(folder: &Path, version: u32, any: bool) -> Option<PathBuf> {
    let names = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    names.sort();
    let (dashed, dotted) = (format!("libclang-{version}.so"), format!("libclang.so.{version}"));
    let of_version = |name: &str, start: &str| name == start || name.starts_with(&format!("{start}."));
    let found = names.iter().find(|name| of_version(name, &dashed) || of_version(name, &dotted));
    let found = found.or_else(|| names.iter().find(|name| any && of_version(name, "libclang.so")));
    found.map(|name| folder.join(name)).filter(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes empty files below a folder.
    fn files(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in names {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        root
    }

    fn places(root: &Path) -> Places {
        Places {
            path: vec![root.join("bin")],
            prefixes: vec![root.join("usr/lib")],
            libraries: vec![root.join("usr/lib64")],
            ..Places::default()
        }
    }

    fn check(names: &[&str], expect: Result<(&str, &str, u32), &str>) {
        let root = files(names);
        let found = find_in(&places(root.path()), &());
        let expect = expect.map(|(clang, libclang, version)| Toolchain {
            clang: root.path().join(clang),
            libclang: root.path().join(libclang),
            version,
        });
        match (found, expect) {
            (Ok(found), Ok(expect)) => assert_eq!(found, expect),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expect) => panic!("{found:?} instead of {expect:?}"),
        }
    }

    #[test]
    fn the_newest_that_is_complete_is_taken() {
        let debian = "usr/lib/llvm-17/bin/clang";
        check(
            &[debian, "usr/lib/llvm-17/lib/libclang-17.so.1", "usr/lib/llvm-9/bin/clang", "usr/lib/llvm-19/bin/clang"],
            Ok((debian, "usr/lib/llvm-17/lib/libclang-17.so.1", 17)),
        );
        check(
            &["usr/lib/llvm19/bin/clang", "usr/lib/llvm19/lib/libclang.so.1", "usr/lib/llvm19/lib/libclang-cpp.so.19"],
            Ok(("usr/lib/llvm19/bin/clang", "usr/lib/llvm19/lib/libclang.so.1", 19)),
        );
        check(
            &["bin/clang-18", "usr/lib64/libclang.so.18.1", "usr/lib64/libclang.so.17"],
            Ok(("bin/clang-18", "usr/lib64/libclang.so.18.1", 18)),
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        check(&[], Err("found no clang of version 17 or newer"));
        check(&["usr/lib/llvm-14/bin/clang"], Err("is clang 14; dbcc needs 17 or newer"));
        check(&["usr/lib/llvm-19/bin/clang"], Err("no libclang of that version beside it; install clang 17"));
        check(&["usr/lib/llvm-19/bin/clang", "usr/lib64/libclang.so.18"], Err("found clang 19 at"));
    }

    #[test]
    fn variables_come_first_and_must_name_files() {
        let root = files(&["usr/lib/llvm-19/bin/clang", "usr/lib/llvm-19/lib/libclang.so", "my/clang-18", "my/lib.so"]);
        let mut places = places(root.path());
        places.clang = Some(root.path().join("my/clang-18"));
        places.libclang = Some(root.path().join("my/lib.so"));
        let found = find_in(&places, &()).unwrap();
        assert_eq!((found.version, found.libclang), (18, root.path().join("my/lib.so")));
        places.libclang = Some(root.path().join("my/none.so"));
        let error = find_in(&places, &()).unwrap_err().to_string();
        assert!(error.starts_with("DBCC_LIBCLANG names"), "{error}");
    }

    #[test]
    fn the_version_stands_behind_the_name_of_the_distribution() {
        assert_eq!(major("Debian clang version 19.1.7 (3~deb12u1)\nTarget: x86_64"), Some(19));
        assert_eq!(major("Ubuntu clang version 18.1.3"), Some(18));
        assert_eq!(major("gcc 12"), None);
    }
}
