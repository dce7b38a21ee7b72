//! Searches with an outline of the debug information find what searches without one find.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use symres::{Answer, Binary, Options, Progress};

use common::{output, search};

const NAMES: &[&str] = &[
    "check_connection",
    "leaf",
    "mix",
    "area",
    "grown",
    "outer::hidden",
    "operator()",
    "Shape",
    "*_connection",
    "/^outer::/",
    "main",
    "_Z16login_connectioni",
    "nowhere",
];

/// The program of two units. Where the project lies does not matter: with longer paths the offset of a name's text may be a
/// number that stands in the other unit, which is then read for it too.
fn compile(folder: &Path, flags: &[&str]) -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = here.join("tests/data");
    let anywhere = format!("-fdebug-prefix-map={}=/project", here.display());
    let program = folder.join("program");
    let sources = ["inlined.cc", "inlined_other.cc"].map(|name| data.join(name));
    output(Command::new("g++").args(["-g", "-w", "-O2", &anywhere]).args(flags).args(sources).arg("-o").arg(&program))?;
    Ok(program)
}

fn answers(program: &Path, options: &Options) -> Result<Vec<Answer>> {
    NAMES.iter().map(|name| search(&Binary::open_with(program, options)?, name)).collect()
}

/// The files that are kept, with what is in them.
fn kept(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn the_index_changes_no_answer() -> Result<()> {
    for flags in [&["-gdwarf-4"][..], &["-flto"], &["-fdebug-types-section"], &["-gsplit-dwarf"]] {
        let folder = tempfile::tempdir()?;
        let program = compile(folder.path(), flags)?;
        let index_dir = folder.path().join("indexes");
        let without = answers(&program, &Options::default())?;
        let steps = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&steps);
        let progress = Progress::new(move |step| {
            assert!(step.total.is_some_and(|total| step.done <= total), "{step:?}");
            count.fetch_add(1, Ordering::Relaxed);
        });
        let options = Options { index_dir: Some(index_dir.clone()), progress: Some(progress), ..Options::default() };
        assert_eq!(answers(&program, &options)?, without, "{flags:?}: while it is made");
        // The regular expression needs all units; what was searched for before it is remembered beside. What is in other files
        // may change without this one.
        let outlines = if flags == ["-gsplit-dwarf"] { 0 } else { 1 };
        assert_eq!(kept(&index_dir).len(), 1 + outlines, "{flags:?}");
        assert!(steps.load(Ordering::Relaxed) > 0, "{flags:?}");
        let made = kept(&index_dir);
        assert_eq!(answers(&program, &options)?, without, "{flags:?}: with it");
        let all = |options: &Options| search(&Binary::open_with(&program, options)?, "*");
        assert_eq!(all(&options)?, all(&Options::default())?, "{flags:?}");
        // Damaged ones are made anew.
        for (path, bytes) in &made {
            let mut damaged = bytes.clone();
            let middle = damaged.len() / 2;
            damaged[middle] ^= 1;
            fs::write(path, damaged)?;
        }
        assert_eq!(answers(&program, &options)?, without, "{flags:?}: damaged");
        assert_eq!(kept(&index_dir), made, "{flags:?}");
        // Another build at the same path is not looked up in it.
        let other = compile(folder.path(), &["-O0", "-gdwarf-4"])?;
        assert_eq!(other, program);
        assert_eq!(answers(&program, &options)?, answers(&program, &Options::default())?, "{flags:?}: replaced");
    }
    Ok(())
}

/// Where the checksum is in what is kept; it is of all behind it.
const CHECKSUM: std::ops::Range<usize> = 8..12;

/// What an earlier search found is believed: with a file that tells of one name where another stands, the other's units are not
/// read, until the file no longer fits.
#[test]
fn a_name_is_searched_for_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = compile(folder.path(), &["-gdwarf-4"])?;
    let index_dir = folder.path().join("indexes");
    let options = Options { index_dir: Some(index_dir.clone()), ..Options::default() };
    let find = |name: &str| search(&Binary::open_with(&program, &options)?, name);
    let places = find("leaf")?.matches[0].places.len();
    assert!(places > 3, "{places}");
    let (path, mut bytes) = kept(&index_dir).pop_first().unwrap();
    // `leaf` is in the one unit, and `slow` in the other.
    let at = bytes.windows(4).position(|word| word == b"leaf").unwrap();
    bytes[at..at + 4].copy_from_slice(b"slow");
    let checksum = crc32fast::hash(&bytes[CHECKSUM.end..]);
    bytes[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, &bytes)?;
    let in_dwarf = |answer: &Answer| answer.matches[0].declared.is_some();
    assert!(!in_dwarf(&find("slow")?));
    assert_eq!(find("leaf")?.matches[0].places.len(), places);
    // Of the other name it says what it said.
    assert!(!in_dwarf(&find("slow")?));
    bytes[at] ^= 1;
    fs::write(&path, bytes)?;
    assert!(in_dwarf(&find("slow")?));
    assert_eq!(kept(&index_dir).len(), 1);
    Ok(())
}

#[test]
fn functions_without_code_are_told_as_such() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [source, program] = ["source.cc", "program"].map(|name| folder.path().join(name));
    fs::write(
        &source,
        "struct Shape { int side; int missing(int); int there(int); };\n\
         __attribute__((noinline)) int Shape::there(int by) { return side * by; }\n\
         int unused(int a) { return a * 3; }\n\
         int main(int argc, char **) { Shape shape{argc}; return shape.there(2); }\n",
    )?;
    let flags = ["-g", "-O1", "-ffunction-sections", "-Wl,--gc-sections", "-o"];
    output(Command::new("g++").args(flags).args([&program, &source]))?;
    let index_dir = folder.path().join("indexes");
    let reason = |name: &str| -> Result<Option<String>> {
        let options = Options { index_dir: Some(index_dir.clone()), ..Options::default() };
        Ok(search(&Binary::open_with(&program, &options)?, name)?.reason.map(|reason| reason.name().to_owned()))
    };
    for _ in 0..2 {
        assert_eq!(reason("Shape::there")?, None);
        assert_eq!(reason("unused")?.as_deref(), Some("optimized-away"));
        assert_eq!(reason("Shape::missing")?.as_deref(), Some("only-declared"));
        assert_eq!(reason("nowhere")?.as_deref(), Some("not-there"));
        // The index, which the second round has.
        assert_eq!(reason("/^nothing[.]/")?.as_deref(), Some("not-there"));
    }
    // The index, and what was searched for before there was one.
    assert_eq!(kept(&index_dir).len(), 2);
    Ok(())
}
