//! What is asked for: from words on the command line to binaries and a pattern.

use symres::{Binary, Options, Pattern, PatternForm, Pid, RuntimeAddr, VirtAddr};

use crate::cli::SymbolsArgs;
use crate::kind::binary_and_rest;
use crate::lookup::Lookup;

/// A search.
#[derive(Debug)]
pub(super) struct Query {
    /// Where to look; at least one, the one that is meant first of all in front.
    pub(super) binaries: Vec<Binary>,
    /// What to look for; none for everything.
    pub(super) pattern: Option<Pattern>,
    /// What is to be known of how it came to be.
    pub(super) notes: Vec<String>,
}

/// The words, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// A path, a name, a process id; none means the executable of `--pid`.
    pub(super) binary: Option<String>,
    /// A function, an address, a line; none means all functions.
    pub(super) pattern: Option<String>,
}

/// What the words mean: `BINARY PATTERN`, `BINARY:PATTERN`, `PATTERN` with `--pid`, and with `all` a `BINARY` alone.
pub(super) fn words(args: &SymbolsArgs, all: bool) -> anyhow::Result<Words> {
    let has_process = args.pid.is_some();
    let text = |text: &str| Some(text.to_owned());
    match (args.binary.as_deref(), args.pattern.as_deref()) {
        (Some(binary), Some(pattern)) => Ok(Words { binary: text(binary), pattern: text(pattern) }),
        (Some(word), None) => Ok(match binary_and_rest(word) {
            // A path may hold a `:`.
            _ if all && !has_process && std::path::Path::new(word).is_file() => {
                Words { binary: text(word), pattern: None }
            }
            (Some(binary), pattern) if !pattern.is_empty() => Words { binary: text(binary), pattern: text(pattern) },
            _ if has_process => Words { binary: None, pattern: text(word) },
            _ if all => Words { binary: text(word), pattern: None },
            _ => anyhow::bail!(
                "no function is named: write `dbcc symbols {word} FUNCTION`, or `dbcc symbols --list {word}` for all"
            ),
        }),
        _ if all && has_process => Ok(Words::default()),
        _ if has_process => anyhow::bail!("no function is named: give one, or --list for all"),
        _ => anyhow::bail!("no binary is named: give a path, a name on PATH, or --pid N"),
    }
}

impl Query {
    /// Opens what the words name.
    ///
    /// # Errors
    ///
    /// When the pattern is none, or the binary cannot be found or read.
    pub(super) fn new(args: &SymbolsArgs, lookup: &Lookup) -> anyhow::Result<Self> {
        let Words { binary, pattern } = words(args, args.list)?;
        let pattern = pattern.map(|pattern| pattern.parse()).transpose()?;
        // `words` has refused it.
        anyhow::ensure!(args.pid.is_some() || binary.is_some(), "no binary is named");
        if let (Some(pid), None) = (args.pid, &binary)
            && let Some(query) = Self::at_address(Pid(pid), pattern.as_ref(), lookup.options())?
        {
            return Ok(query);
        }
        let (binaries, notes) = lookup.binaries(args.pid, binary.as_deref())?;
        Ok(Self { binaries, pattern, notes })
    }

    /// For an address of a process's memory the file that is mapped there.
    fn at_address(pid: Pid, pattern: Option<&Pattern>, options: &Options) -> anyhow::Result<Option<Self>> {
        let Some(PatternForm::Address(VirtAddr(addr))) = pattern.map(Pattern::form) else { return Ok(None) };
        let Some((binary, virt)) = Binary::at_address(pid, RuntimeAddr(addr), options)? else { return Ok(None) };
        let mut notes = Vec::new();
        if virt.0 != addr {
            notes.push(format!("{addr:#x} of process {pid} is {virt} of this file"));
        }
        Ok(Some(Self { binaries: vec![binary], pattern: Some(virt.to_string().parse()?), notes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pid: Option<u32>, all: bool, given: &[&str], binary: Option<&str>, pattern: Option<&str>) {
        let mut given = given.iter().map(|word| (*word).to_owned());
        let args = SymbolsArgs { pid, binary: given.next(), pattern: given.next(), ..SymbolsArgs::default() };
        let expected = Words { binary: binary.map(str::to_owned), pattern: pattern.map(str::to_owned) };
        assert_eq!(words(&args, all).unwrap(), expected, "{args:?}");
    }

    #[test]
    fn one_word_may_hold_both() {
        check(None, false, &["mysqld", "f"], Some("mysqld"), Some("f"));
        check(None, false, &["mysqld:f+0x10"], Some("mysqld"), Some("f+0x10"));
        check(None, false, &["mysqld:THD::init"], Some("mysqld"), Some("THD::init"));
        check(None, false, &["mysqld:sql_connect.cc:478"], Some("mysqld"), Some("sql_connect.cc:478"));
        check(None, false, &["mysqld:0x57a8c0"], Some("mysqld"), Some("0x57a8c0"));
    }

    #[test]
    fn a_process_stands_for_its_executable() {
        check(Some(1), false, &["f"], None, Some("f"));
        check(Some(1), false, &["THD::init"], None, Some("THD::init"));
        check(Some(1), false, &["a.cc:478"], None, Some("a.cc:478"));
        check(Some(1), false, &["libc.so.6:write"], Some("libc.so.6"), Some("write"));
        check(Some(1), false, &["c", "write"], Some("c"), Some("write"));
        check(Some(1), true, &[], None, None);
    }

    #[test]
    fn a_list_needs_no_pattern() {
        check(None, true, &["mysqld"], Some("mysqld"), None);
        check(None, true, &["mysqld", "THD::*"], Some("mysqld"), Some("THD::*"));
        check(None, true, &["/bin/true"], Some("/bin/true"), None);
    }

    #[test]
    fn what_is_missing_is_said() {
        let error = |pid, given: Option<&str>| {
            let args = SymbolsArgs { pid, binary: given.map(str::to_owned), ..SymbolsArgs::default() };
            words(&args, false).unwrap_err().to_string()
        };
        assert!(error(None, None).contains("--pid N"));
        assert!(error(None, Some("mysqld")).contains("--list mysqld"));
        assert!(error(Some(1), None).contains("no function is named"));
    }
}
