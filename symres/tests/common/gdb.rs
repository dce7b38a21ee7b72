//! A debugger as a witness: what a program passes, and what is where an argument is said to be.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use symres::{Location, Machine};

/// An instruction, and what is wanted when it is reached for the first time.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    pub(crate) addr: u64,
    pub(crate) wanted: Vec<Wanted>,
    /// And when the function that begins there returns.
    pub(crate) at_return: Option<Wanted>,
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// For the test's messages; no two are equal.
    pub(crate) name: String,
    pub(crate) location: Location,
    pub(crate) size: u64,
    /// The global variable that holds the same value.
    pub(crate) truth: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Same,
    /// Found and true, in hexadecimal.
    Different(String, String),
    /// The location is none that can be read.
    Unread,
    /// The debugger could not.
    Failed(String),
}

/// Reads values by their locations. Registers are those of the innermost frame.
const SCRIPT: &str = r#"
import gdb, struct
gdb.execute('set pagination off')
gdb.execute('set confirm off')
gdb.execute('set width 0')
inferior = gdb.selected_inferior
def memory(addr, size):
    return inferior().read_memory(addr & (2**64 - 1), size).tobytes()
def register(name):
    if name.startswith('xmm'):
        parts = gdb.parse_and_eval('$' + name + '.v16_int8')
        return bytes(int(parts[i]) & 255 for i in range(16))
    return (int(gdb.parse_and_eval('$' + name)) & (2**64 - 1)).to_bytes(8, 'little')
def number(location):
    return int.from_bytes(read(location, 8), 'little')
class Unread(Exception):
    pass
def read(location, size):
    kind = location[0]
    if kind == 'register':
        return register(location[1])[:size]
    if kind == 'memory':
        return memory(int.from_bytes(register(location[1]), 'little') + location[2], size)
    if kind == 'static':
        return memory(location[1], size)
    if kind == 'indirect':
        return memory(number(location[1]) + location[2], size)
    if kind == 'number':
        return (location[1] & (2 ** (8 * size) - 1)).to_bytes(size, 'little')
    if kind == 'bytes':
        return bytes(location[1])
    if kind == 'sum':
        return ((number(location[1]) + location[2]) & (2 ** (8 * size) - 1)).to_bytes(size, 'little')
    if kind == 'pieces':
        return b''.join(read(part, length) for part, length in location[1])
    raise Unread()
def compare(name, location, size, truth):
    try:
        if location[0] == 'register' and location[1].startswith('st'):
            ours = float(gdb.parse_and_eval('(double)$' + location[1]))
            true = float(gdb.parse_and_eval('(double)*(long double*)&' + truth))
            print('SEEN', name, struct.pack('<d', ours).hex(), struct.pack('<d', true).hex())
            return
        addr = int(gdb.parse_and_eval('(unsigned long)&' + truth))
        if location[0] == 'synthetic':
            # The pointer is nowhere; what it points to is compared, as far as one byte.
            target = int.from_bytes(memory(addr, 8), 'little')
            print('SEEN', name, read(location[1], 1).hex(), memory(target + location[2], 1).hex())
            return
        ours = read(location, size)
        if len(ours) < size:
            # Only a part of it is told.
            raise Unread()
        print('SEEN', name, ours.hex(), memory(addr, size).hex())
    except Unread:
        print('UNREAD', name)
    except Exception as error:
        print('FAILED', name, str(error).replace('\n', ' '))
returns = {}
for addr in STOPS:
    gdb.execute('break *%d' % addr)
gdb.execute('run > /dev/null')
seen = set()
while inferior().pid != 0:
    pc = int(gdb.parse_and_eval('(unsigned long)$pc'))
    sp = int(gdb.parse_and_eval('(unsigned long)$sp'))
    if (pc, sp) in returns:
        compare(*returns.pop((pc, sp)))
    if pc in STOPS and pc not in seen:
        seen.add(pc)
        wanted, at_return = STOPS[pc]
        for one in wanted:
            compare(*one)
        if at_return is not None:
            back = int.from_bytes(memory(sp, 8), 'little')
            returns[(back, sp + 8)] = at_return
            gdb.execute('break *%d' % back)
    gdb.execute('continue')
"#;

/// Runs a program and compares. Values at instructions that are not reached are missing in what is returned.
pub(crate) fn compare(program: &Path, stops: &[Stop], machine: Machine) -> Result<BTreeMap<String, Seen>> {
    let wanted = |wanted: &Wanted| {
        format!("('{}', {}, {}, '{}')", wanted.name, python(&wanted.location, machine), wanted.size, wanted.truth)
    };
    // Two functions may begin at the same address, and two copies be at the same instruction.
    let mut by_addr: BTreeMap<u64, (Vec<String>, String)> = BTreeMap::new();
    for stop in stops {
        let entry = by_addr.entry(stop.addr).or_insert_with(|| (Vec::new(), "None".to_owned()));
        entry.0.extend(stop.wanted.iter().map(wanted));
        if let Some(at_return) = &stop.at_return {
            entry.1 = wanted(at_return);
        }
    }
    let mut script = String::from("STOPS = {\n");
    for (addr, (list, at_return)) in by_addr {
        writeln!(script, "  {addr}: ([{}], {at_return}),", list.join(", "))?;
    }
    script.push_str("}\n");
    script.push_str(SCRIPT);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("compare.py");
    std::fs::write(&file, script)?;
    let output = Command::new("gdb")
        .args(["-batch", "-nx", "-x"])
        .arg(&file)
        .arg(program)
        .env_remove("DEBUGINFOD_URLS")
        .output()
        .context("gdb")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "gdb: {text}{}", String::from_utf8_lossy(&output.stderr));
    let mut seen = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (name, what) = match words.as_slice() {
            ["SEEN", name, ours, truth] if ours == truth => (name, Seen::Same),
            ["SEEN", name, ours, truth] => (name, Seen::Different((*ours).to_owned(), (*truth).to_owned())),
            ["UNREAD", name] => (name, Seen::Unread),
            ["FAILED", name, error @ ..] => (name, Seen::Failed(error.join(" "))),
            _ => continue,
        };
        seen.insert((*name).to_owned(), what);
    }
    ensure!(!seen.is_empty() || stops.is_empty(), "gdb saw nothing: {text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(seen)
}

/// A location as a value of Python.
fn python(location: &Location, machine: Machine) -> String {
    let inner = |location: &Location| python(location, machine);
    match location {
        Location::Register(register) => format!("('register', '{}')", register.name(machine)),
        Location::Memory { base, offset } => format!("('memory', '{}', {offset})", base.name(machine)),
        Location::Static(addr) => format!("('static', {addr})"),
        Location::Indirect { pointer, offset } => format!("('indirect', {}, {offset})", inner(pointer)),
        Location::Constant(value) => format!("('number', {value})"),
        Location::Address(addr) => format!("('number', {addr})"),
        Location::Bytes(bytes) => format!("('bytes', {bytes:?})"),
        Location::Sum { of, offset } => format!("('sum', {}, {offset})", inner(of)),
        Location::Synthetic { target, offset } => format!("('synthetic', {}, {offset})", inner(target)),
        Location::Pieces(pieces) => {
            let pieces: Vec<String> =
                pieces.iter().map(|(piece, size)| format!("({}, {size})", inner(piece))).collect();
            format!("('pieces', [{}])", pieces.join(", "))
        }
        _ => "('none',)".to_owned(),
    }
}
