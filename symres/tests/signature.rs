//! Signatures and the places of arguments, with a debugger as the witness.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;
#[path = "common/gdb.rs"]
mod gdb;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::need;
use symres::{Argument, Binary, Function, KnownBy, Location, Machine, Place, PlaceKind, Register, Role};

use common::{output, search};
use gdb::{Seen, Stop, Wanted};

/// The functions of `tests/data/arguments.cc`, and what the names of their variables begin with.
const FUNCTIONS: &[(&str, &str)] = &[
    ("ints", "ints"),
    ("used_once", "used_once"),
    ("floats", "floats"),
    ("mixed", "mixed"),
    ("small", "small"),
    ("pairs", "pairs"),
    ("large", "large"),
    ("spill", "spill"),
    ("vectors", "vectors"),
    ("pointers", "pointers"),
    ("returns", "returns"),
    ("gives_pair", "gives_pair"),
    ("gives_mixed", "gives_mixed"),
    ("gives_floats", "gives_floats"),
    ("gives_extended", "gives_extended"),
    ("variadic", "variadic"),
    ("unused", "unused"),
    ("cloned", "cloned"),
    ("inlined", "inlined"),
    ("passed_on", "passed_on"),
    ("owners", "owners"),
    ("owners_on_stack", "owners_on_stack"),
    ("gives_owner", "gives_owner"),
    ("empties", "empties"),
    ("plains", "plains"),
    ("Object::method", "method"),
    ("Object::over", "over"),
    ("Object::none", "none"),
    ("Object::quick", "quick"),
    ("callables", "callables"),
    ("Middle::Middle", "Middle"),
    ("operator()", "lambda"),
    ("complexes", "complexes"),
    ("old_style", "old_style"),
    ("packeds", "packeds"),
];

/// What is asked of a build.
#[derive(Clone, Copy)]
enum Demand {
    /// Every argument of every body is found, at its entry.
    All,
    /// Nothing is wrong; so many values are found at least. (Of what a function does not use, and of what is computed
    /// from other values, optimised code has none.)
    AtLeast(usize),
}

const CPP: &[&str] = &["-x", "c++"];
const GNU_C: &[&str] = &["-x", "c", "-std=gnu11"];

/// Compilers, languages and options, without which the tables of the same program differ in form.
const BUILDS: &[(&str, &[&str], &[&str], Demand)] = &[
    ("g++", CPP, &["-O0", "-g"], Demand::All),
    ("g++", CPP, &["-O0", "-gdwarf-2"], Demand::All),
    ("g++", CPP, &["-O0", "-gdwarf-4", "-fdebug-types-section"], Demand::All),
    ("g++", CPP, &["-Og", "-gdwarf-3"], Demand::AtLeast(115)),
    ("g++", CPP, &["-O1", "-gdwarf-4"], Demand::AtLeast(115)),
    ("g++", CPP, &["-O2", "-gdwarf-2"], Demand::AtLeast(115)),
    ("g++", CPP, &["-O2", "-g", "-fcf-protection=full", "-fno-omit-frame-pointer"], Demand::AtLeast(115)),
    ("g++", CPP, &["-O2", "-gdwarf-5", "-flto"], Demand::AtLeast(100)),
    ("g++", CPP, &["-O2", "-gdwarf-2", "-gstrict-dwarf"], Demand::AtLeast(98)),
    ("g++", CPP, &["-O3", "-gdwarf-5", "-fno-asynchronous-unwind-tables"], Demand::AtLeast(115)),
    ("gcc", GNU_C, &["-O0", "-gdwarf-3"], Demand::All),
    ("gcc", GNU_C, &["-O2", "-gdwarf-5", "-gstrict-dwarf"], Demand::AtLeast(85)),
    ("clang++-19", CPP, &["-O0", "-gdwarf-2"], Demand::All),
    ("clang++-19", CPP, &["-O0", "-g"], Demand::All),
    ("clang++-19", CPP, &["-Og", "-gdwarf-3"], Demand::AtLeast(108)),
    ("clang++-19", CPP, &["-O2", "-gdwarf-4"], Demand::AtLeast(108)),
    ("clang++-19", CPP, &["-O3", "-g", "-gsimple-template-names"], Demand::AtLeast(108)),
    ("clang-19", GNU_C, &["-O0", "-gdwarf-4"], Demand::All),
    ("clang-19", GNU_C, &["-O1", "-gdwarf-5"], Demand::AtLeast(90)),
];

#[test]
fn arguments_are_where_they_are_said_to_be() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (compiler, language, options, demand) in BUILDS {
        let build = format!("{compiler} {}", options.join(" "));
        let program = folder.path().join("program");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/arguments.cc");
        output(
            Command::new(compiler)
                .args(["-no-pie", "-w", "-o"])
                .arg(&program)
                .args(*options)
                .args(*language)
                .arg(&source),
        )?;
        let stops = stops(&program)?;
        let seen = gdb::compare(&program, &stops, Machine::X86_64)?;
        let mut wrong = Vec::new();
        let mut same = 0;
        for wanted in stops.iter().flat_map(|stop| stop.wanted.iter().chain(&stop.at_return)) {
            match (seen.get(&wanted.name), demand) {
                (Some(Seen::Same), _) => same += 1,
                (None | Some(Seen::Unread), Demand::AtLeast(_)) => {}
                (seen, _) => wrong.push(format!("{}: {seen:?} at {:?}", wanted.name, wanted.location)),
            }
        }
        ensure!(wrong.is_empty(), "{build}:\n{}", wrong.join("\n"));
        let least = match demand {
            Demand::All => 95,
            Demand::AtLeast(least) => *least,
        };
        ensure!(same >= least, "{build}: only {same} values were found");
        std::fs::remove_file(&program)?;
    }
    Ok(())
}

/// All places of the functions, with the values to compare there.
fn stops(program: &Path) -> Result<Vec<Stop>> {
    let binary = Binary::open(program)?;
    let symbols = output(Command::new("nm").arg(program))?;
    let variables: Vec<&str> = symbols.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    let mut stops = Vec::new();
    for (pattern, prefix) in FUNCTIONS {
        for (number, function) in search(&binary, pattern)?.matches.iter().enumerate() {
            for (at, place) in function.places.iter().enumerate() {
                stops.push(stop(function, place, &format!("{prefix}#{number}.{at}"), prefix, &variables)?);
            }
        }
    }
    Ok(stops)
}

fn stop(function: &Function, place: &Place, name: &str, prefix: &str, variables: &[&str]) -> Result<Stop> {
    let signature = function.signature.as_ref().with_context(|| format!("`{}` has no signature", function.name))?;
    ensure!(signature.parameters.len() == place.arguments.len(), "{name}: {function:?}");
    let mut wanted = Vec::new();
    for (parameter, argument) in signature.parameters.iter().zip(&place.arguments) {
        let Some(given) = &parameter.name else { continue };
        let truth = format!("{prefix}_{given}");
        if variables.contains(&truth.as_str()) {
            let size = if parameter.ty.text == "long double" { 10 } else { parameter.ty.size.unwrap_or(8) };
            // The imaginary half has unused bytes too, the real half before it.
            let size = if parameter.ty.text == "long double _Complex" { 10 } else { size };
            wanted.push(Wanted { name: format!("{name}.{given}"), location: argument.location.clone(), size, truth });
        }
    }
    let truth = format!("{prefix}_return");
    let body = matches!(place.kind, PlaceKind::Body) && function.role == Role::Whole;
    let at_return = (body && variables.contains(&truth.as_str())).then(|| Wanted {
        name: format!("{name}.return"),
        location: signature.returns_in.clone().unwrap_or(Location::Unknown),
        size: signature.returns.as_ref().and_then(|ty| ty.size).unwrap_or(8),
        truth,
    });
    Ok(Stop { addr: place.addr.0, wanted, at_return })
}

/// What gdb says of a function.
#[derive(Debug, Default)]
struct Scope {
    /// Names and types.
    parameters: Vec<(String, String)>,
    ty: String,
    /// What `info scope` says of each symbol.
    places: BTreeMap<String, String>,
}

/// gdb's names of the parameters are those of the function's block; `info scope` may begin in the block of an inlined copy.
const SCOPES: &str = r#"
import gdb
gdb.execute('set pagination off')
gdb.execute('set width 0')
for addr in ADDRS:
    inner = gdb.block_for_pc(addr)
    # Inlined functions have blocks in that of the function around them.
    block, around = None, inner
    while around is not None:
        if around.function is not None and around.start == addr:
            block = around
        around = around.superblock
    if block is None:
        continue
    print('FUNCTION', addr, block.function.name)
    for symbol in block:
        if symbol.is_argument:
            print('PARAMETER', symbol.name, '|', str(symbol.type))
    print('TYPE', str(block.function.type))
    while inner.function is None:
        inner = inner.superblock
    if (inner.start, inner.end, inner.function.name) == (block.start, block.end, block.function.name):
        print(gdb.execute('info scope *%d' % addr, to_string=True))
"#;

fn scopes(program: &Path, addrs: &[u64]) -> Result<BTreeMap<u64, Scope>> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("scopes.py");
    std::fs::write(&script, format!("ADDRS = {addrs:?}\n{SCOPES}"))?;
    let text = output(Command::new("gdb").args(["-batch", "-nx", "-x"]).arg(&script).arg(program))?;
    let mut scopes: BTreeMap<u64, Scope> = BTreeMap::new();
    let mut current = 0;
    let mut symbol = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("FUNCTION ") {
            let (addr, _) = rest.split_once(' ').context("no name")?;
            current = addr.parse()?;
            scopes.insert(current, Scope::default());
        }
        let Some(scope) = scopes.get_mut(&current) else { continue };
        if let Some((name, ty)) = line.strip_prefix("PARAMETER ").and_then(|rest| rest.split_once(" | ")) {
            scope.parameters.push((name.to_owned(), ty.to_owned()));
        } else if let Some(ty) = line.strip_prefix("TYPE ") {
            scope.ty = ty.to_owned();
        } else if let Some((name, place)) = line.strip_prefix("Symbol ").and_then(|rest| rest.split_once(" is ")) {
            symbol = name.to_owned();
            // Those of inner blocks come first; a parameter is in the outermost.
            scope.places.insert(symbol.clone(), place.to_owned());
        } else if let Some(place) = scope.places.get_mut(&symbol) {
            place.push('\n');
            place.push_str(line);
        }
    }
    Ok(scopes)
}

/// `const char *` and `char const*` are one type: `charconst*` for comparison.
fn spelling(ty: &str) -> String {
    let mut text = ty.trim().to_owned();
    for qualifier in ["const ", "volatile "] {
        while let Some(rest) = text.strip_prefix(qualifier) {
            let end = rest.find(['*', '&']).unwrap_or(rest.len());
            let (name, behind) = rest.split_at(end);
            text = format!("{} {}{behind}", name.trim_end(), qualifier.trim_end());
        }
    }
    let words = ["unsigned", "long", "int", "short"];
    let mut text = text.replace("long unsigned int", "unsigned long").replace("short unsigned int", "unsigned short");
    if words.iter().all(|_| text.contains("long int")) {
        text = text.replace("long int", "long");
    }
    text.retain(|letter| letter != ' ');
    text
}

/// The place of a parameter at the function's entry, as gdb tells it; none where it is optimised out.
fn place_of(text: &str, addr: u64) -> Result<Option<Location>> {
    let valid = if text.starts_with("multi-location") {
        let mut lines = text.lines().skip(1);
        loop {
            let Some(line) = lines.next() else { return Ok(None) };
            let Some((range, place)) = line.trim().strip_prefix("Range ").and_then(|rest| rest.split_once(": ")) else {
                continue;
            };
            let (begin, end) = range.split_once('-').context("no range")?;
            let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16);
            if (hex(begin)?..hex(end)?).contains(&addr) {
                // The operations of an expression are on lines of their own.
                let operations = lines.next().filter(|_| place.ends_with(':'));
                break format!("{place} {}", operations.unwrap_or_default());
            }
        }
    } else {
        text.replace('\n', " ")
    };
    let register = |name: &str| (0..17).map(Register).find(|register| register.name(Machine::X86_64) == name);
    if let Some(name) = valid.split("a variable in $").nth(1) {
        return Ok(register(name.split([',', ' ']).next().unwrap_or_default()).map(Location::Register));
    }
    // `a variable at frame base reg $rsp offset 8+16`: that of the frame base, and that of the variable from there.
    if let Some((register, rest)) = valid.split("frame base reg $").nth(1).and_then(|rest| rest.split_once(" offset "))
    {
        ensure!(register == "rsp", "{valid}");
        let sum = rest.split([',', ' ']).next().unwrap_or_default().split('+').map(str::parse::<i64>);
        return Ok(Some(Location::Memory { base: Register(7), offset: sum.sum::<Result<_, _>>()? }));
    }
    // `0: DW_OP_fbreg 16`: from the CFA, which is behind the return address.
    if let Some(rest) = valid.split("DW_OP_fbreg ").nth(1) {
        let offset: i64 = rest.split_whitespace().next().unwrap_or_default().parse()?;
        return Ok(Some(Location::Memory { base: Register(7), offset: offset + 8 }));
    }
    Ok(None)
}

/// Every n-th function of the server.
fn sample(server: &Path) -> Result<Vec<(u64, String)>> {
    let symbols = output(Command::new("nm").arg(server))?;
    let mut functions: Vec<(u64, String)> = symbols
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [addr, "t" | "T" | "W", name] = words.as_slice() else { return None };
            name.starts_with("_Z").then(|| Some((u64::from_str_radix(addr, 16).ok()?, (*name).to_owned())))?
        })
        .collect();
    functions.sort();
    functions.dedup_by_key(|(addr, _)| *addr);
    let step = functions.len() / 70;
    Ok(functions.into_iter().skip(step / 2).step_by(step).collect())
}

#[test]
fn signatures_of_mysql_are_those_of_gdb() -> Result<()> {
    let server: PathBuf = match need::mysql56() {
        Ok(server) => server,
        Err(skip) => return skip.report(),
    };
    let sample = sample(&server)?;
    let addrs: Vec<u64> = sample.iter().map(|(addr, _)| *addr).collect();
    let scopes = scopes(&server, &addrs)?;
    ensure!(scopes.len() >= 50, "gdb knows {} of {} functions", scopes.len(), sample.len());
    let binary = Binary::open(&server)?;
    let (mut parameters, mut places) = (0, 0);
    let mut wrong = Vec::new();
    for (addr, scope) in &scopes {
        let mangled = &sample.iter().find(|(sampled, _)| sampled == addr).context("not sampled")?.1;
        match compare(&binary, mangled, *addr, scope) {
            Ok((more_parameters, more_places)) => {
                parameters += more_parameters;
                places += more_places;
            }
            Err(error) => wrong.push(format!("{mangled}: {error}\n  gdb: {scope:?}")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(parameters >= 80 && places >= 60, "{parameters} parameters, {places} places");
    Ok(())
}

/// How many parameters were compared, and how many places.
fn compare(binary: &Binary, mangled: &str, addr: u64, scope: &Scope) -> Result<(usize, usize)> {
    // Constructors have names in the debug information that no symbol has.
    let answer = search(binary, &symres::demangle(mangled))?;
    let found = answer.matches.iter().find_map(|function| {
        let place = function.places.iter().find(|place| place.addr.0 == addr)?;
        Some((function, place))
    });
    let (function, place) = found.context("is not found")?;
    let signature = function.signature.as_ref().context("has no signature")?;
    // gdb shows what a constructor gets besides.
    let theirs: Vec<_> = scope.parameters.iter().filter(|(name, _)| !name.starts_with("__")).collect();
    let names: Vec<&str> = signature.parameters.iter().filter_map(|p| p.name.as_deref()).collect();
    let expected: Vec<&str> = theirs.iter().map(|(name, _)| name.as_str()).collect();
    ensure!(names == expected, "{names:?}");
    let returns = signature.returns.as_ref().context("no type is returned")?;
    let (returned, _) = scope.ty.split_once('(').context("no function")?;
    ensure!(spelling(&returns.text) == spelling(returned), "returns {returns}");
    let named = signature.parameters.iter().zip(&place.arguments).filter(|(parameter, _)| parameter.name.is_some());
    let mut places = 0;
    for ((parameter, argument), (name, ty)) in named.zip(&theirs) {
        // What is `const` itself is so for the function alone.
        let pointer = ty.contains(['*', '&']);
        let ty = if pointer { ty.strip_suffix(" const") } else { ty.strip_prefix("const ") }.unwrap_or(ty);
        ensure!(spelling(&parameter.ty.text) == spelling(ty), "{name} is {}", parameter.ty);
        places += usize::from(check_place(name, argument, scope, addr)?);
    }
    Ok((theirs.len(), places))
}

/// Whether gdb tells the place, too.
fn check_place(name: &str, argument: &Argument, scope: &Scope, addr: u64) -> Result<bool> {
    let told = scope.places.get(name).map(|text| place_of(text, addr)).transpose()?.flatten();
    match told {
        Some(place) => {
            ensure!(argument.location == place, "{name} in {argument:?}");
            Ok(true)
        }
        // Where it does not know, the calling convention may.
        None => {
            let known = argument.known_by == KnownBy::DebugInfo
                && !matches!(argument.location, Location::OptimizedOut | Location::Expression(_));
            ensure!(!known || !scope.places.contains_key(name), "{name} in {argument:?}");
            Ok(false)
        }
    }
}
