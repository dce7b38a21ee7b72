//! Addresses, file offsets and load biases of programs and libraries in all the ways in which they are linked, against the
//! memory of a process that runs them.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use symres::{Binary, LoadBias, Options, Pid, PlaceKind, RuntimeAddr};

use common::{output, readelf, search, segments};

/// A way to link: its name, the compiler and its flags.
type Layout = (&'static str, &'static str, &'static str);

const PROGRAMS: &[Layout] = &[
    ("pie", "gcc", "-pie -fPIE"),
    ("static-pie", "gcc", "-static-pie -fPIE"),
    ("no-pie", "gcc", "-no-pie -fno-PIE"),
    ("static", "gcc", "-static -no-pie -fno-PIE"),
    ("pie-noseparate", "gcc", "-pie -fPIE -Wl,-z,noseparate-code"),
    ("no-pie-noseparate", "gcc", "-no-pie -fno-PIE -Wl,-z,noseparate-code"),
    ("pie-2M", "gcc", "-pie -fPIE -Wl,-z,max-page-size=0x200000"),
    ("pie-64K-noseparate", "gcc", "-pie -fPIE -Wl,-z,max-page-size=0x10000 -Wl,-z,noseparate-code"),
    ("pie-4K", "gcc", "-pie -fPIE -Wl,-z,max-page-size=0x1000"),
    ("text-segment", "gcc", "-no-pie -fno-PIE -Wl,-Ttext-segment=0x5000000 -Wl,-z,noseparate-code"),
    ("section-start", "gcc", "-no-pie -fno-PIE -Wl,--section-start=.text=0x7000123"),
    ("ttext-pie", "gcc", "-pie -fPIE -Wl,-Ttext=0x7654321"),
    ("omagic", "gcc", "-static -no-pie -fno-PIE -Wl,-N"),
    ("nmagic", "gcc", "-static -no-pie -fno-PIE -Wl,-n"),
    ("gold-pie", "gcc", "-fuse-ld=gold -pie -fPIE"),
    ("gold-no-pie", "gcc", "-fuse-ld=gold -no-pie -fno-PIE"),
    ("lld-pie", "clang-19", "-fuse-ld=lld -pie -fPIE"),
    ("lld-no-pie", "clang-19", "-fuse-ld=lld -static -no-pie -fno-PIE"),
    ("lld-separate", "clang-19", "-fuse-ld=lld -pie -fPIE -Wl,-z,separate-loadable-segments"),
    ("lld-noseparate", "clang-19", "-fuse-ld=lld -static -no-pie -fno-PIE -Wl,-z,noseparate-code"),
    ("lld-2M", "clang-19", "-fuse-ld=lld -pie -fPIE -Wl,-z,max-page-size=0x200000"),
    ("lld-image-base", "clang-19", "-fuse-ld=lld -static -no-pie -fno-PIE -Wl,--image-base=0x23450000"),
];

/// A library is linked to an address where it may not be loaded.
const LIBRARIES: &[Layout] = &[
    ("library", "gcc", "-shared -fPIC"),
    ("library-noseparate", "gcc", "-shared -fPIC -Wl,-z,noseparate-code"),
    ("library-prelinked", "gcc", "-shared -fPIC -Wl,-Ttext-segment=0x3f12345000"),
    ("library-lld", "clang-19", "-fuse-ld=lld -shared -fPIC"),
    ("library-lld-prelinked", "clang-19", "-fuse-ld=lld -shared -fPIC -Wl,--image-base=0x3f12345000"),
    ("library-gold", "gcc", "-fuse-ld=gold -shared -fPIC"),
];

/// Two segments with code, whose bytes share pages of the file.
const SCRIPT: &str = "
ENTRY(_start)
PHDRS { first PT_LOAD FLAGS(5); second PT_LOAD FLAGS(5); third PT_LOAD FLAGS(6); }
SECTIONS {
  . = 0x10000 + SIZEOF_HEADERS;
  .text : { *(.text) *(.text.fill) } :first
  . = . + 0x5000;
  .text.probed : { *(.text.probed) } :second
  .eh_frame : { *(.eh_frame) } :second
  . = . + 0x3000;
  .data : { *(.data) } :third
  /DISCARD/ : { *(.note*) *(.comment) }
}
";

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mapping.c")
}

fn link(folder: &Path, (name, compiler, flags): &Layout, more: &[&str]) -> Result<PathBuf> {
    let path = folder.join(name);
    let mut command = Command::new(compiler);
    command.args(["-O1", "-nostdlib", "-fno-stack-protector", "-o"]).arg(&path).arg(source());
    output(command.args(flags.split(' ')).args(more)).with_context(|| (*name).to_owned())?;
    Ok(path)
}

/// A process that has written an address and waits.
struct Waiting {
    child: Child,
    addr: RuntimeAddr,
}

impl Waiting {
    fn start(program: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| program.display().to_string())?;
        let mut addr = [0; 8];
        let read = child.stdout.as_mut().context("no output")?.read_exact(&mut addr);
        let waiting = Self { child, addr: RuntimeAddr(u64::from_le_bytes(addr)) };
        read.with_context(|| format!("{} did not write an address", program.display()))?;
        Ok(waiting)
    }

    fn pid(&self) -> Pid {
        Pid(self.child.id())
    }

    /// Where in the file the code at the address is, as the kernel says.
    fn file_offset(&self) -> Result<u64> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.child.id()))?;
        let offset = |line: &str| {
            let mut fields = line.split(' ');
            let (start, end) = fields.next()?.split_once('-')?;
            let hex = |text: &str| u64::from_str_radix(text, 16).ok();
            let (start, end) = (hex(start)?, hex(end)?);
            (start..end).contains(&self.addr.0).then_some(self.addr.0 - start + hex(fields.nth(1)?)?)
        };
        maps.lines().find_map(offset).with_context(|| format!("{:#x} is not in {maps}", self.addr.0))
    }

    fn memory(&self, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        fs::File::open(format!("/proc/{}/mem", self.child.id()))?.read_exact_at(&mut bytes, self.addr.0)?;
        Ok(bytes)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Compares all that there is to know of `probe_me` in `path`, which `process` has loaded.
fn compare(path: &Path, process: &Waiting) -> Result<()> {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let binary = Binary::open(path)?;
    let function = search(&binary, "probe_me")?.matches.remove(0);
    let place = &function.places[0];

    let listed = readelf(path)?.into_iter().find(|listed| listed.name == "probe_me").unwrap();
    assert_eq!((place.addr.0, place.size.0), (listed.addr, listed.size), "{name}");
    let in_segments: Vec<u64> = segments(path)?
        .into_iter()
        .filter(|(vaddr, _, size)| (*vaddr..vaddr + size).contains(&listed.addr))
        .map(|(vaddr, offset, _)| listed.addr - vaddr + offset)
        .collect();
    assert_eq!(in_segments, [place.offset.0], "{name}");
    assert_eq!(place.offset.0, process.file_offset()?, "{name}");

    let len = place.entry.len();
    assert!(len >= 5, "{name}");
    let offset = usize::try_from(place.offset.0)?;
    assert_eq!(fs::read(path)?[offset..offset + len], place.entry, "{name}");
    assert_eq!(process.memory(len)?, place.entry, "{name}");

    let biases = binary.load_biases(process.pid())?;
    assert_eq!(biases, [LoadBias(process.addr.0.wrapping_sub(listed.addr))], "{name}");
    assert_eq!(biases[0].runtime(place.addr), process.addr, "{name}");
    assert_eq!(binary.virt_addr(process.pid(), process.addr)?, Some(place.addr), "{name}");
    let inside = RuntimeAddr(process.addr.0 + 1);
    let (found, addr) = Binary::at_address(process.pid(), inside, &Options::default())?.context(name.clone())?;
    assert_eq!((found.path(), addr.0), (path, listed.addr + 1), "{name}");
    let at = search(&found, &addr.to_string())?.matches.remove(0);
    assert_eq!(at.mangled, "probe_me", "{name}");
    assert!(matches!(at.places[0].kind, PlaceKind::Inside { from_entry, .. } if from_entry.0 == 1), "{name}");
    Ok(())
}

#[test]
fn programs_of_all_layouts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for layout in PROGRAMS {
        let path = link(folder.path(), layout, &[])?;
        compare(&path, &Waiting::start(&path)?)?;
    }
    Ok(())
}

#[test]
fn segments_that_share_pages() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("script");
    fs::write(&script, SCRIPT)?;
    let with_script = format!("-Wl,-T,{}", script.display());
    let path = link(folder.path(), &("script", "gcc", "-static -no-pie -fno-PIE"), &[&with_script])?;
    assert_eq!(segments(&path)?.len(), 2);
    compare(&path, &Waiting::start(&path)?)
}

#[test]
fn libraries_of_all_layouts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let main = folder.path().join("main.c");
    fs::write(&main, "void in_library(void);\nint main(void) { in_library(); }\n")?;
    for layout in LIBRARIES {
        let library = link(folder.path(), layout, &["-DLIBRARY"])?;
        let program = folder.path().join("program");
        let rpath = format!("-Wl,-rpath,{}", folder.path().display());
        output(Command::new("gcc").arg("-o").arg(&program).arg(&main).arg(&library).arg(rpath))?;
        let process = Waiting::start(&program)?;
        compare(&library, &process)?;
        // The program itself has another bias, and does not have this code.
        let program = Binary::open(&program)?;
        assert_eq!(program.load_biases(process.pid())?.len(), 1);
        assert_eq!(program.virt_addr(process.pid(), process.addr)?, None);
    }
    Ok(())
}

#[test]
fn a_file_that_is_not_loaded_has_no_bias() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = link(folder.path(), &PROGRAMS[0], &[])?;
    let other = link(folder.path(), &PROGRAMS[1], &[])?;
    let process = Waiting::start(&path)?;
    assert_eq!(Binary::open(&other)?.load_biases(process.pid())?, []);
    assert!(Binary::at_address(process.pid(), RuntimeAddr(0x10), &Options::default())?.is_none());
    Ok(())
}
