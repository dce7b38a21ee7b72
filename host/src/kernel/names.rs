//! The names of what can be traced in this kernel, for patterns.

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;

use super::Kernel;

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

/// The functions whose names fit.
///
/// # Errors
/// Why the kernel does not tell its functions.
pub fn functions(kernel: &Kernel, fits: &dyn Fn(&str) -> bool) -> Result<Functions, String> {
    let mut symbols = String::new();
    let file = fs::File::open("/proc/kallsyms").map_err(|error| format!("/proc/kallsyms: {error}"))?;
    file.take(LIMIT).read_to_string(&mut symbols).map_err(|error| format!("/proc/kallsyms: {error}"))?;
    let traceable = match kernel.tracefs() {
        Ok(tracefs) => tracefs.read("available_filter_functions").ok(),
        Err(_) => None,
    };
    Ok(choose(&symbols, traceable.as_deref(), fits))
}

/// `symbols` is kallsyms: `ADDRESS TYPE NAME [MODULE]`; `traceable` has `NAME [MODULE]` a line.
fn choose(symbols: &str, traceable: Option<&str>, fits: &dyn Fn(&str) -> bool) -> Functions {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for line in symbols.lines() {
        let mut words = line.split_whitespace();
        // Functions are `t` and `T`, weak ones `w` and `W` (nm(1)).
        let (Some(_), Some("t" | "T" | "w" | "W"), Some(name)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if fits(name) {
            *counts.entry(name).or_default() += 1;
        }
    }
    let all = counts.len();
    let once = |name: &&str| counts.get(name) == Some(&1);
    let mut names: Vec<String> = match traceable {
        Some(list) => {
            let listed = list.lines().filter_map(|line| line.split_whitespace().next());
            listed.filter(once).map(str::to_owned).collect()
        }
        None => counts.keys().copied().filter(once).map(str::to_owned).collect(),
    };
    names.sort_unstable();
    names.dedup();
    let left_out = all.saturating_sub(names.len());
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

    const SYMBOLS: &str = "0 T vfs_read\n0 t vfs_twice\n0 t vfs_twice\n0 T vfs_hidden\n0 D vfs_data\n0 t nf_x [nf]\n";

    #[test]
    fn functions_that_cannot_be_told_apart_or_traced_are_left_out() {
        let chosen = choose(SYMBOLS, Some("vfs_read\nvfs_twice\nnf_x [nf]\n"), &|name| name.starts_with("vfs_"));
        assert_eq!(chosen, Functions { names: vec!["vfs_read".into()], left_out: 2 });
    }

    #[test]
    fn without_a_list_of_traceable_functions_all_symbols_are_tried() {
        let chosen = choose(SYMBOLS, None, &|_| true);
        assert_eq!(
            chosen,
            Functions { names: vec!["nf_x".into(), "vfs_hidden".into(), "vfs_read".into()], left_out: 1 }
        );
    }
}
