//! Where symbols and debug information are found beside a binary, with files that the usual tools make.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use symres::{Binary, Consulted, DebugSource, Options, Outcome, Reason, Table};

use common::{body, compile, output, search};

/// A `static` function: only `.symtab` and the debug information know it.
const LOCAL: &str = "::check_connection(THD*)";

/// A program, its debug file, and what is left of it.
struct Parts {
    folder: tempfile::TempDir,
    whole: PathBuf,
    debug: PathBuf,
    stripped: PathBuf,
}

impl Parts {
    fn new() -> Result<Self> {
        Self::with(&[])
    }

    fn with(flags: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let whole = compile(folder.path(), "whole", &[&["-DWITH_LIBC", "-g", "-Wl,--build-id"], flags].concat())?;
        let (debug, stripped) = (folder.path().join("kept.debug"), folder.path().join("bin/program"));
        fs::create_dir(folder.path().join("bin"))?;
        output(Command::new("objcopy").arg("--only-keep-debug").args([&whole, &debug]))?;
        output(Command::new("objcopy").arg("--strip-all").args([&whole, &stripped]))?;
        Ok(Self { folder, whole, debug, stripped })
    }

    fn link(&self) -> Result<()> {
        output(Command::new("objcopy").arg("--add-gnu-debuglink").args([&self.debug, &self.stripped]))?;
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts the debug file where `name` says, below the folder.
    fn put(&self, name: &str) -> Result<PathBuf> {
        put(&self.debug, &self.path(name))
    }

    /// Where a `.build-id` tree has the file.
    fn in_tree(&self) -> Result<String> {
        tree_name(&self.whole)
    }

    fn options(&self, dirs: &[&str]) -> Options {
        Options { debug_dirs: dirs.iter().map(|dir| self.path(dir)).collect(), ..Options::default() }
    }

    /// The function is found as `nm` has it in the whole file, in the symbol table of `debug`.
    #[track_caller]
    fn check_found(&self, options: &Options, debug: &Path) {
        let binary = Binary::open_with(&self.stripped, options).unwrap();
        check_like(&binary, &self.whole, Table::Symtab);
        let consulted = binary.consulted();
        assert_eq!(used(&consulted), [debug], "{consulted:?}");
        assert_eq!(binary.debug_info().unwrap().main, debug);
    }

    /// It is not, and this was said about `debug`.
    #[track_caller]
    fn check_refused(&self, options: &Options, debug: &Path, why: &str) {
        let binary = Binary::open_with(&self.stripped, options).unwrap();
        let answer = search(&binary, LOCAL).unwrap();
        let reason = answer.reason.unwrap();
        assert!(matches!(&reason, Reason::DebugFileRefused { file, .. } if file == debug), "{reason:?}");
        assert!(reason.to_string().contains(why), "{reason}");
        check_said(&binary.consulted(), debug, why);
        assert_eq!(binary.debug_info(), None);
    }
}

fn put(file: &Path, to: &Path) -> Result<PathBuf> {
    fs::create_dir_all(to.parent().context("no folder")?)?;
    fs::copy(file, to)?;
    Ok(to.to_owned())
}

/// From what `readelf` says.
fn build_id(path: &Path) -> Result<String> {
    let text = output(Command::new("readelf").arg("-n").arg(path))?;
    let id = text.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
    Ok(id.context("no build ID")?.trim().to_owned())
}

fn tree_name(path: &Path) -> Result<String> {
    let id = build_id(path)?;
    Ok(format!(".build-id/{}/{}.debug", &id[..2], &id[2..]))
}

#[track_caller]
fn check_like(binary: &Binary, whole: &Path, table: Table) {
    let listed = output(Command::new("nm").arg(whole)).unwrap();
    let line = listed.lines().find(|line| line.ends_with(" _ZL16check_connectionP3THD")).unwrap();
    let addr = u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap();
    let answer = search(binary, LOCAL).unwrap();
    assert_eq!(answer.reason, None, "{:?}", binary.consulted());
    assert_eq!(answer.matches.len(), 1);
    assert_eq!(body(&answer.matches[0]).addr.0, addr);
    assert!(answer.matches[0].tables.contains(&table), "{:?}", answer.matches[0].tables);
    // The code is that of the binary, not what the debug file has in its place.
    let file = fs::read(binary.path()).unwrap();
    let at = usize::try_from(body(&answer.matches[0]).offset.0).unwrap();
    let entry = &body(&answer.matches[0]).entry;
    assert!(entry.iter().any(|byte| *byte != 0));
    assert_eq!(file[at..at + entry.len()], entry[..]);
}

fn used(consulted: &[Consulted]) -> Vec<&Path> {
    consulted.iter().filter(|c| c.outcome == Outcome::Used).map(|c| c.file.as_path()).collect()
}

#[track_caller]
fn check_said(consulted: &[Consulted], file: &Path, why: &str) {
    let found = consulted.iter().find(|c| c.file == file).unwrap_or_else(|| panic!("{consulted:?}"));
    match &found.outcome {
        Outcome::Refused(said) => assert!(said.contains(why), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_binary_needs_no_other_file() -> Result<()> {
    let parts = Parts::new()?;
    let binary = Binary::open(&parts.whole)?;
    check_like(&binary, &parts.whole, Table::Symtab);
    assert_eq!(binary.consulted(), []);
    assert_eq!(binary.debug_info().unwrap().main, parts.whole);
    Ok(())
}

#[test]
fn by_build_id_in_a_given_folder() -> Result<()> {
    let parts = Parts::new()?;
    let options = parts.options(&["none", "tree"]);
    let binary = Binary::open_with(&parts.stripped, &options)?;
    let answer = search(&binary, LOCAL)?;
    assert!(matches!(answer.reason, Some(Reason::NoSymbols | Reason::Stripped { .. })), "{:?}", answer.reason);
    let id = parts.in_tree()?;
    let missing: Vec<PathBuf> = binary.consulted().into_iter().map(|c| c.file).collect();
    let expect = [parts.path("none").join(&id), parts.path("tree").join(&id), Path::new("/usr/lib/debug").join(&id)];
    assert_eq!(missing, expect);
    let debug = parts.put(&format!("tree/{id}"))?;
    parts.check_found(&options, &debug);
    Ok(())
}

#[test]
fn by_build_id_through_links() -> Result<()> {
    let parts = Parts::new()?;
    let place = parts.path("tree").join(parts.in_tree()?);
    fs::create_dir_all(place.parent().unwrap())?;
    symlink("../../../kept.debug", &place)?;
    parts.check_found(&parts.options(&["tree"]), &place);
    Ok(())
}

#[test]
fn of_another_build_it_is_not_used() -> Result<()> {
    let parts = Parts::new()?;
    let other = Parts::with(&["-O2"])?;
    let place = parts.path("tree").join(parts.in_tree()?);
    put(&other.debug, &place)?;
    let why = format!("build ID {} instead of {}", build_id(&other.whole)?, build_id(&parts.whole)?);
    parts.check_refused(&parts.options(&["tree"]), &place, &why);
    Ok(())
}

#[test]
fn by_debug_link() -> Result<()> {
    let parts = Parts::new()?;
    parts.link()?;
    fs::rename(&parts.debug, parts.path("moved"))?;
    let options = parts.options(&["given"]);
    let own = parts.path("bin").strip_prefix("/")?.to_owned();
    let by_path = Path::new("given").join(own).join("kept.debug");
    let places = ["bin/kept.debug", "bin/.debug/kept.debug", by_path.to_str().unwrap(), "given/kept.debug"];
    for place in places {
        let place = put(&parts.path("moved"), &parts.path(place))?;
        parts.check_found(&options, &place);
        fs::remove_file(place)?;
    }
    // Through a link, the folder of the file itself counts too.
    let link = parts.path("link");
    symlink(&parts.stripped, &link)?;
    put(&parts.path("moved"), &parts.path("bin/kept.debug"))?;
    check_like(&Binary::open(&link)?, &parts.whole, Table::Symtab);
    Ok(())
}

#[test]
fn by_debug_link_of_elfutils() -> Result<()> {
    let parts = Parts::new()?;
    fs::copy(&parts.whole, &parts.stripped)?;
    output(Command::new("eu-strip").arg("-f").arg(parts.path("bin/program.debug")).arg(&parts.stripped))?;
    parts.check_found(&Options::default(), &parts.path("bin/program.debug"));
    Ok(())
}

#[test]
fn without_build_ids_the_checksum_decides() -> Result<()> {
    let parts = Parts::with(&["-Wl,--build-id=none"])?;
    parts.link()?;
    let place = parts.put("bin/kept.debug")?;
    parts.check_found(&Options::default(), &place);
    let mut bytes = fs::read(&place)?;
    bytes.push(0);
    fs::write(&place, bytes)?;
    parts.check_refused(&Options::default(), &place, "it does not match: CRC ");
    Ok(())
}

#[test]
fn by_debug_link_with_the_wrong_build_or_checksum() -> Result<()> {
    let parts = Parts::new()?;
    parts.link()?;
    let other = Parts::with(&["-O2"])?;
    let place = put(&other.debug, &parts.path("bin/kept.debug"))?;
    parts.check_refused(&Options::default(), &place, "it does not match: build ID ");
    let mut bytes = fs::read(&parts.debug)?;
    bytes.push(0);
    fs::write(&place, bytes)?;
    parts.check_refused(&Options::default(), &place, "it does not match: CRC ");
    Ok(())
}

/// As `prelink` leaves a library: all addresses are others than when its debug file was made.
#[test]
fn a_binary_that_was_moved() -> Result<()> {
    let parts = Parts::new()?;
    output(Command::new("objcopy").args(["--change-section-address", ".text+0x10000"]).arg(&parts.debug))?;
    parts.link()?;
    let place = parts.put("bin/kept.debug")?;
    parts.check_refused(&Options::default(), &place, "was that prelinked?");
    Ok(())
}

/// A debug file that is rewritten while it is read, or whose symbols are damaged, does not take away what the binary has.
#[test]
fn a_debug_file_that_is_damaged() -> Result<()> {
    let parts = Parts::with(&["-rdynamic"])?;
    let place = parts.put(&format!("tree/{}", parts.in_tree()?))?;
    let options = parts.options(&["tree"]);
    let binary = Binary::open_with(&parts.stripped, &options)?;
    assert_eq!(search(&binary, LOCAL)?.matches.len(), 1);
    let whole = fs::read(&place)?;
    fs::OpenOptions::new().write(true).open(&place)?.set_len(64)?;
    let answer = search(&binary, "plain_c")?;
    assert_eq!(answer.matches[0].tables, [Table::Dynsym]);
    let reason = search(&binary, LOCAL)?.reason.unwrap();
    assert!(matches!(&reason, Reason::DebugFileRefused { file, .. } if *file == place), "{reason:?}");
    check_said(&binary.consulted(), &place, "failed to read");
    // The symbol table links to strings that are not there: sh_link of Elf64_Shdr, where sh_type is SHT_SYMTAB.
    let mut bytes = whole;
    let number = |at: usize, len: usize| bytes[at..at + len].iter().rev().fold(0, |sum, b| sum << 8 | usize::from(*b));
    let (table, count) = (number(0x28, 8), number(0x3c, 2));
    let symtab = (0..count).map(|index| table + index * 64).find(|at| number(at + 4, 4) == 2).unwrap();
    bytes[symtab + 0x28..symtab + 0x2c].fill(0xff);
    fs::write(&place, bytes)?;
    let binary = Binary::open_with(&parts.stripped, &options)?;
    // Its debug information is whole and still tells of the function.
    assert_eq!(search(&binary, "plain_c")?.matches[0].tables, [Table::Dynsym, Table::Dwarf]);
    check_said(&binary.consulted(), &place, "links to strings that do not exist");
    Ok(())
}

/// What is in the place of a debug file may be anything.
#[test]
fn what_is_no_debug_file() -> Result<()> {
    let parts = Parts::new()?;
    parts.link()?;
    let place = parts.path("bin/kept.debug");
    let refused = |why: &str| -> Result<()> {
        parts.check_refused(&Options::default(), &place, why);
        if place.is_dir() {
            fs::remove_dir(&place)?
        } else {
            fs::remove_file(&place)?
        }
        Ok(())
    };
    fs::create_dir(&place)?;
    refused("is not a regular file")?;
    output(Command::new("mkfifo").arg(&place))?;
    refused("is not a regular file")?;
    symlink("/dev/zero", &place)?;
    refused("is not a regular file")?;
    symlink("kept.debug", &place)?;
    // metadata of a loop of links fails as a removal does not.
    parts.check_refused(&Options::default(), &place, "Too many levels of symbolic links");
    fs::remove_file(&place)?;
    fs::write(&place, "text")?;
    refused("is not an ELF file")?;
    fs::write(&place, &fs::read(&parts.debug)?[..5000])?;
    refused("reaches behind the end of the file")?;
    // The link leads to the binary itself.
    symlink(&parts.stripped, &place)?;
    let binary = Binary::open(&parts.stripped)?;
    assert!(search(&binary, LOCAL)?.matches.is_empty());
    assert_eq!(used(&binary.consulted()), [] as [&Path; 0]);
    Ok(())
}

/// A symbol table, but no DWARF: that is asked for too.
#[test]
fn a_binary_with_symbols_asks_for_debug_information() -> Result<()> {
    let parts = Parts::new()?;
    output(Command::new("objcopy").arg("--strip-debug").args([&parts.whole, &parts.stripped]))?;
    let debug = parts.put(&format!("tree/{}", parts.in_tree()?))?;
    let binary = Binary::open_with(&parts.stripped, &parts.options(&["tree"]))?;
    check_like(&binary, &parts.whole, Table::Symtab);
    assert_eq!(binary.debug_info().context("no debug information")?.main, debug);
    Ok(())
}

/// Made as GDB's documentation says that distributions make it.
fn mini_debug_info(parts: &Parts, xz: &[&str]) -> Result<()> {
    let [symbols, keep, mini] = ["symbols", "keep", "mini"].map(|name| parts.path(name));
    output(Command::new("objcopy").arg("--only-keep-debug").args([&parts.whole, &symbols]))?;
    let names = |arguments: &[&str], types: &str| -> Result<Vec<String>> {
        let text = output(Command::new("nm").args(arguments).arg(&parts.whole))?;
        let fields = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        Ok(fields.filter(|f| f.len() == 3 && types.contains(f[1])).map(|f| f[2].to_owned()).collect())
    };
    let dynamic = names(&["-D", "--defined-only"], "TtWwVvDdBbRr")?;
    let kept: Vec<String> =
        names(&["--defined-only"], "TtWw")?.into_iter().filter(|name| !dynamic.contains(name)).collect();
    fs::write(&keep, kept.join("\n"))?;
    output(
        Command::new("objcopy")
            .args(["-S", "--remove-section", ".gdb_index", "--remove-section", ".comment"])
            .arg(format!("--keep-symbols={}", keep.display()))
            .args([&symbols, &mini]),
    )?;
    pack(parts, &mini, xz)
}

/// Puts a file into `.gnu_debugdata`, packed.
fn pack(parts: &Parts, file: &Path, xz: &[&str]) -> Result<()> {
    output(Command::new("xz").args(["--keep", "--force"]).args(xz).arg(file))?;
    let section = format!(".gnu_debugdata={}.xz", file.display());
    let packed = parts.path("packed");
    output(Command::new("objcopy").args(["--add-section", &section]).args([&parts.stripped, &packed]))?;
    fs::rename(packed, &parts.stripped)?;
    Ok(())
}

#[test]
fn symbols_that_are_packed_into_the_binary() -> Result<()> {
    for xz in [&[] as &[&str], &["--check=crc32"], &["--check=none", "-9"], &["--block-size=4096"]] {
        let parts = Parts::new()?;
        mini_debug_info(&parts, xz)?;
        let binary = Binary::open(&parts.stripped)?;
        check_like(&binary, &parts.whole, Table::MiniDebug);
        let consulted = binary.consulted();
        let own = consulted.iter().find(|c| c.source == DebugSource::MiniDebug).unwrap();
        assert_eq!((own.file.as_path(), &own.outcome), (parts.stripped.as_path(), &Outcome::Used), "{xz:?}");
    }
    Ok(())
}

#[test]
fn packed_symbols_that_are_damaged_or_a_bomb() -> Result<()> {
    let check = |parts: &Parts, why: &str| {
        parts.check_refused(&Options::default(), &parts.stripped, why);
    };
    let parts = Parts::new()?;
    mini_debug_info(&parts, &["--check=sha256"])?;
    check(&parts, "SHA-256");
    // 128 MiB in 20 kB.
    let parts = Parts::new()?;
    let zeroes = parts.path("zeroes");
    fs::File::create(&zeroes)?.set_len(128 << 20)?;
    pack(&parts, &zeroes, &["-0"])?;
    check(&parts, "it says to hold 134217728 bytes");
    let parts = Parts::new()?;
    fs::write(parts.path("text"), "no ELF file")?;
    pack(&parts, &parts.path("text"), &[])?;
    check(&parts, "is not an ELF file");
    let parts = Parts::new()?;
    let section = format!(".gnu_debugdata={}", parts.debug.display());
    output(Command::new("objcopy").args(["--add-section", &section]).arg(&parts.stripped))?;
    check(&parts, "it is not an xz file, or damaged");
    Ok(())
}

/// Two programs that share what `dwz` finds in both.
fn shared(flags: &[&str]) -> Result<(tempfile::TempDir, [PathBuf; 2], PathBuf)> {
    let folder = tempfile::tempdir()?;
    let one = compile(folder.path(), "one", &["-DWITH_LIBC", "-g", "-Wl,--build-id"])?;
    let two = compile(folder.path(), "two", &["-DWITH_LIBC", "-g", "-Wl,--build-id", "-O2"])?;
    let common = folder.path().join("common");
    output(Command::new("dwz").args(flags).arg("-m").arg(&common).args([&one, &two]))?;
    Ok((folder, [one, two], common))
}

#[test]
fn what_several_files_share() -> Result<()> {
    for flags in [&[] as &[&str], &["--relative"], &["--relative", "--dwarf-5"]] {
        let (folder, programs, common) = shared(flags)?;
        for program in &programs {
            let found = Binary::open(program)?.debug_info().context("no debug information")?;
            assert_eq!((&found.main, found.supplementary.as_ref()), (program, Some(&common)), "{flags:?}");
        }
        // Programs that were moved together stay together.
        if !flags.is_empty() {
            let elsewhere = folder.path().join("elsewhere");
            fs::create_dir(&elsewhere)?;
            for file in ["one", "common"] {
                fs::rename(folder.path().join(file), elsewhere.join(file))?;
            }
            let found = Binary::open(&elsewhere.join("one"))?.debug_info().unwrap();
            assert_eq!(found.supplementary, Some(elsewhere.join("common")), "{flags:?}");
        }
    }
    Ok(())
}

#[test]
fn what_several_files_share_by_build_id() -> Result<()> {
    let (folder, [one, _], common) = shared(&[])?;
    let tree = folder.path().join("tree");
    let place = tree.join(tree_name(&common)?);
    fs::create_dir_all(place.parent().unwrap())?;
    fs::rename(&common, &place)?;
    assert_eq!(Binary::open(&one)?.debug_info().unwrap().supplementary, None);
    let options = Options { debug_dirs: vec![tree], ..Options::default() };
    assert_eq!(Binary::open_with(&one, &options)?.debug_info().unwrap().supplementary, Some(place));
    Ok(())
}

/// Cut off while it is open, it does not take away what the binary's own symbols tell.
#[test]
fn what_several_files_share_is_damaged() -> Result<()> {
    let (_folder, [one, _], common) = shared(&[])?;
    let binary = Binary::open(&one)?;
    assert_eq!(binary.debug_info().unwrap().supplementary.as_ref(), Some(&common));
    fs::OpenOptions::new().write(true).open(&common)?.set_len(64)?;
    assert_eq!(search(&binary, LOCAL)?.matches.len(), 1);
    assert_eq!(search(&binary, "no_such_thing")?.matches, []);
    Ok(())
}

#[test]
fn what_several_files_share_of_another_build_or_itself() -> Result<()> {
    let (_folder, [one, two], common) = shared(&[])?;
    let expect = |why: &str| {
        let binary = Binary::open(&one).unwrap();
        assert_eq!(binary.debug_info().unwrap().supplementary, None);
        check_said(&binary.consulted(), &common, why);
    };
    fs::copy(&two, &common)?;
    expect("it does not match: build ID ");
    fs::remove_file(&common)?;
    fs::hard_link(&one, &common)?;
    let binary = Binary::open(&one)?;
    assert_eq!(binary.debug_info().unwrap().supplementary, None);
    // It refers to itself, with its own build ID.
    let mut section = b"common\0".to_vec();
    section.extend(binary.build_id().unwrap());
    let file = one.with_file_name("section");
    fs::write(&file, section)?;
    fs::remove_file(&common)?;
    let update = format!(".gnu_debugaltlink={}", file.display());
    output(Command::new("objcopy").args(["--update-section", &update]).args([&one, &common]))?;
    let itself = Binary::open(&common)?;
    assert_eq!(itself.debug_info().unwrap().supplementary, None);
    Ok(())
}

#[test]
fn packages_of_split_units() -> Result<()> {
    for (dwarf, tool) in [("-gdwarf-4", "dwp"), ("-gdwarf-5", "llvm-dwp-19")] {
        let folder = tempfile::tempdir()?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/names.cc");
        let program = folder.path().join("program");
        let link = |arguments: &[&str]| {
            output(Command::new("g++").current_dir(&folder).args(arguments).args([
                dwarf,
                "-gsplit-dwarf",
                "-DWITH_LIBC",
            ]))
        };
        link(&["-c", "-o", "names.o", source.to_str().unwrap()])?;
        link(&["-o", "program", "names.o", "-Wl,--build-id"])?;
        let before = Binary::open(&program)?.debug_info().unwrap();
        assert_eq!((before.main.as_path(), before.package), (program.as_path(), None));
        let package = folder.path().join("program.dwp");
        output(Command::new(tool).current_dir(&folder).args(["-e", "program", "-o", "program.dwp"]))?;
        assert_eq!(Binary::open(&program)?.debug_info().unwrap().package, Some(package.clone()), "{tool}");
        // Beside the debug file, under its name or the program's.
        let (debug, stripped) = (folder.path().join("program.debug"), folder.path().join("bin/program"));
        fs::create_dir(folder.path().join("bin"))?;
        output(Command::new("objcopy").arg("--only-keep-debug").args([&program, &debug]))?;
        output(Command::new("objcopy").arg("--strip-all").args([&program, &stripped]))?;
        output(Command::new("objcopy").arg("--add-gnu-debuglink").args([&debug, &stripped]))?;
        let options = Options { debug_dirs: vec![folder.path().to_owned()], ..Options::default() };
        let found = Binary::open_with(&stripped, &options)?.debug_info().unwrap();
        assert_eq!((found.main, found.package), (debug, Some(package.clone())));
        // Something else of that name.
        fs::write(&package, fs::read(&program)?)?;
        let binary = Binary::open(&program)?;
        assert_eq!(binary.debug_info().unwrap().package, None);
        check_said(&binary.consulted(), &package, "it is no package of split debug information");
    }
    Ok(())
}

/// Debian's debug file for the C library, where it is installed.
#[test]
fn the_debug_file_that_a_distribution_installs() -> Result<()> {
    let libc = Binary::find("libc.so.6")?;
    let place = Path::new("/usr/lib/debug").join(tree_name(libc.path())?);
    if !place.exists() {
        return dbcc_tests::need::Skip::optional("the package libc6-dbg is not installed").report();
    }
    let answer = search(&libc, "__libc_start_call_main")?;
    assert_eq!(answer.matches.len(), 1, "{:?}", libc.consulted());
    assert_eq!(answer.matches[0].tables[0], Table::Symtab);
    assert_eq!(libc.debug_info().context("no debug information")?.main, place);
    Ok(())
}
