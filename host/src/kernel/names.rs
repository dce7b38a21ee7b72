//! The names of what can be traced in this kernel, for patterns.

use std::fs;
use std::io::Read as _;

use super::{Kernel, features};

/// The functions of the kernel that can be probed by name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Functions {
    /// Their names.
    pub names: Vec<String>,
    /// How many more fit and cannot be: the kernel does not trace them, or several have the name.
    pub left_out: usize,
}

/// The largest list of symbols that is read.
const LIMIT: u64 = 256 << 20;

/// A name of functions of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function<'s> {
    /// The name.
    pub name: &'s str,
    /// The module of the first that has it.
    pub module: Option<&'s str>,
    /// How many functions have it.
    pub count: usize,
    /// Whether ftrace can trace them, as far as is known: what it cannot is refused to kprobes too.
    pub traced: bool,
    /// Whether they are among those that kprobes must not be set at, since they would end up in themselves
    /// (Documentation/trace/kprobes.rst, "Blacklist"). ftrace traces many of them.
    pub blacklisted: bool,
}

/// What the kernel shows of its functions.
#[derive(Debug, Default)]
pub struct Symbols {
    /// `/proc/kallsyms`: `ADDRESS TYPE NAME [MODULE]` a line.
    symbols: String,
    /// `available_filter_functions` of tracefs: `NAME [MODULE]` a line.
    traceable: Option<String>,
    /// `kprobes/blacklist` of debugfs: `START-END NAME` a line.
    blacklist: Option<String>,
    /// What could not be read, in words.
    pub notes: Vec<String>,
}

/// Where debugfs has the functions that kprobes must not be set at.
const BLACKLIST: &str = "/sys/kernel/debug/kprobes/blacklist";

/// The functions of the kernel.
///
/// # Errors
/// Why the kernel does not tell them.
pub fn symbols(kernel: &Kernel) -> Result<Symbols, String> {
    let mut notes = Vec::new();
    let traceable = kernel.tracefs().map_err(ToString::to_string);
    let traceable = traceable.and_then(|fs| fs.read("available_filter_functions").map_err(|error| error.to_string()));
    let traceable = traceable.map_err(|why| {
        notes.push(format!("which functions can be traced is not known, so all are listed: {why}"));
    });
    let blacklist = bounded(BLACKLIST);
    if let Err(why) = &blacklist
        && features::kprobe().is_ok()
    {
        notes.push(format!("which functions are blacklisted is not known: {why}"));
    }
    Ok(Symbols { symbols: bounded("/proc/kallsyms")?, traceable: traceable.ok(), blacklist: blacklist.ok(), notes })
}

fn bounded(path: &str) -> Result<String, String> {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(LIMIT).read_to_string(&mut text));
    read.map(|_| text).map_err(|error| format!("{path}: {error}"))
}

impl Symbols {
    /// Those whose names fit, sorted by name.
    pub fn functions<'s>(&'s self, fits: &dyn Fn(&str) -> bool) -> Vec<Function<'s>> {
        let mut traceable = self.traceable.as_deref().map(|list| Words::new(list, 0, fits));
        let mut blacklist = Words::new(self.blacklist.as_deref().unwrap_or_default(), 1, fits);
        let mut all: Vec<(&'s str, Option<&'s str>)> =
            text_symbols(&self.symbols).filter(|(name, _)| fits(name)).collect();
        // Of one name, the first stays the first.
        all.sort_by_key(|(name, _)| *name);
        let of_a_name = all.chunk_by(|(one, _), (other, _)| one == other);
        let function = |same: &[(&'s str, Option<&'s str>)]| {
            let (name, module) = *same.first()?;
            let is_traceable = traceable.as_mut().is_none_or(|list| list.has(name));
            let traced = is_traceable && !module.is_some_and(is_made);
            Some(Function { name, module, count: same.len(), traced, blacklisted: blacklist.has(name) })
        };
        of_a_name.filter_map(function).collect()
    }
}

/// Words of a list, looked for in their order.
#[derive(Debug)]
struct Words<'t> {
    rest: std::iter::Peekable<std::vec::IntoIter<&'t str>>,
}

impl<'t> Words<'t> {
    /// The words of that number in lines, as far as they fit.
    fn new(text: &'t str, number: usize, fits: &dyn Fn(&str) -> bool) -> Self {
        let words = text.lines().filter_map(|line| line.split_ascii_whitespace().nth(number));
        let mut words: Vec<&str> = words.filter(|name| fits(name)).collect();
        words.sort_unstable();
        Self { rest: words.into_iter().peekable() }
    }

    /// Whether a word is there that is not before those that were looked for.
    fn has(&mut self, word: &str) -> bool {
        while self.rest.next_if(|other| *other < word).is_some() {}
        self.rest.peek().is_some_and(|other| *other == word)
    }
}

/// Whether what kallsyms calls a module is code that the kernel made itself: programs of BPF, trampolines of ftrace and kprobes.
fn is_made(module: &str) -> bool {
    module == "bpf" || module.starts_with("__builtin__")
}

/// The functions in kallsyms, with the modules that they are in.
fn text_symbols(symbols: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    symbols.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        // Functions are `t` and `T`, weak ones `w` and `W` (nm(1)).
        let (Some(_), Some("t" | "T" | "w" | "W"), Some(name)) = (words.next(), words.next(), words.next()) else {
            return None;
        };
        Some((name, words.next().map(|module| module.trim_matches(['[', ']']))))
    })
}

/// The functions whose names fit.
///
/// # Errors
/// Why the kernel does not tell its functions.
pub fn functions(kernel: &Kernel, fits: &dyn Fn(&str) -> bool) -> Result<Functions, String> {
    let traceable = match kernel.tracefs() {
        Ok(tracefs) => tracefs.read("available_filter_functions").ok(),
        Err(_) => None,
    };
    let symbols = bounded("/proc/kallsyms")?;
    Ok(choose(&Symbols { symbols, traceable, ..Symbols::default() }, fits))
}

fn choose(symbols: &Symbols, fits: &dyn Fn(&str) -> bool) -> Functions {
    let all = symbols.functions(fits);
    let one = all.iter().filter(|function| function.count == 1 && function.traced);
    let names: Vec<String> = one.map(|function| function.name.to_owned()).collect();
    let left_out = all.len().saturating_sub(names.len());
    Functions { names, left_out }
}

/// The tracepoints whose `category:name` fits, by category and name.
///
/// # Errors
/// Why the kernel does not tell them.
pub fn tracepoints(kernel: &Kernel, fits: &dyn Fn(&str, &str) -> bool) -> Result<Vec<(String, String)>, String> {
    let tracefs = kernel.tracefs().map_err(ToString::to_string)?;
    let events = tracefs.read("available_events").map_err(|error| error.to_string())?;
    let pairs = events.lines().filter_map(|line| line.split_once(':'));
    let mut found: Vec<(String, String)> = pairs
        .filter(|(category, name)| fits(category, name))
        .map(|(category, name)| (category.to_owned(), name.to_owned()))
        .collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOLS: &str = "0 T vfs_read\n0 t vfs_twice\n0 t vfs_twice\n0 T vfs_hidden\n0 D vfs_data\n0 t nf_x [nf]\n0 t bpf_prog_1 [bpf]\n";

    fn symbols(traceable: Option<&str>, blacklist: Option<&str>) -> Symbols {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Symbols { symbols: SYMBOLS.into(), traceable: owned(traceable), blacklist: owned(blacklist), notes: vec![] }
    }

    #[test]
    fn functions_that_cannot_be_told_apart_or_traced_are_left_out() {
        let symbols = symbols(Some("vfs_read\nvfs_twice\nnf_x [nf]\n"), None);
        let chosen = choose(&symbols, &|name| name.starts_with("vfs_"));
        assert_eq!(chosen, Functions { names: vec!["vfs_read".into()], left_out: 2 });
    }

    #[test]
    fn without_a_list_of_traceable_functions_all_symbols_are_tried() {
        let chosen = choose(&symbols(None, None), &|_| true);
        assert_eq!(
            chosen,
            Functions { names: vec!["nf_x".into(), "vfs_hidden".into(), "vfs_read".into()], left_out: 2 }
        );
    }

    #[test]
    fn what_is_known_of_a_function_is_told() {
        let symbols = symbols(Some("vfs_read\nnf_x [nf]\n"), Some("0xffff-0xffff\tvfs_twice\n0x1-0x2\tvfs_read\n"));
        let function = |name, module, count, traced, blacklisted| Function { name, module, count, traced, blacklisted };
        let expected = [
            function("bpf_prog_1", Some("bpf"), 1, false, false),
            function("nf_x", Some("nf"), 1, true, false),
            function("vfs_hidden", None, 1, false, false),
            function("vfs_read", None, 1, true, true),
            function("vfs_twice", None, 2, false, true),
        ];
        assert_eq!(symbols.functions(&|_| true), expected);
    }
}
