//! What a word of the command line asks for.

use anyhow::{Context as _, bail};

use super::{Asked, SOURCES, Source};
use crate::diag::nearest;
use crate::kind::{self, Matcher, NamePattern, binary_and_rest, is_regex};

/// What is asked for: kinds, and names in them.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) sources: Vec<&'static Source>,
    /// The binary to look into.
    pub(super) binary: Option<String>,
    /// The pattern, or a name; empty for everything.
    pub(super) text: String,
    matcher: Option<Matcher>,
}

impl Query {
    /// Reads `[KIND:]PATTERN` or `KIND:BINARY:PATTERN`; with a process, patterns without a kind are of what that runs.
    ///
    /// # Errors
    /// When the kind is none, a binary is missing, or a regular expression is wrong.
    pub(super) fn new(word: &str, of_process: bool) -> anyhow::Result<Self> {
        let (kinds, rest) = match word.split_once(':').filter(|_| !is_regex(word)) {
            Some((kind, rest)) => match meant(kind) {
                kinds if !kinds.is_empty() => (kinds, rest),
                _ if !of_process && !is_of_the_kernel(kind, rest) => {
                    bail!(unlisted(kind).unwrap_or_else(|| unknown(kind)))
                }
                _ => (Vec::new(), word),
            },
            None => (Vec::new(), word),
        };
        let (binary, pattern) = match kinds.first() {
            Some(source) if source.of_binary && !of_process => of_binary(source.kind, rest)?,
            Some(source) if source.of_binary && source.kind != "usdt" => {
                let (binary, pattern) = binary_and_rest(rest);
                (binary.map(str::to_owned), pattern)
            }
            _ => (None, rest),
        };
        let sources = match kinds.is_empty() {
            false => kinds,
            true => SOURCES.iter().filter(|source| is_asked(source, word.is_empty(), of_process)).collect(),
        };
        let text = if pattern == "*" { "" } else { pattern };
        let matcher = NamePattern::of(text).map_err(anyhow::Error::msg).with_context(|| format!("`{text}`"))?;
        let matcher = matcher.map(|pattern| pattern.matcher()).transpose().map_err(anyhow::Error::msg)?;
        Ok(Self { sources, binary, text: text.to_owned(), matcher })
    }

    /// The same, for any name.
    pub(super) fn of_everything(&self) -> Self {
        Self { sources: self.sources.clone(), binary: self.binary.clone(), text: String::new(), matcher: None }
    }

    /// The same with the kind that was perhaps meant by what stands before a `:`.
    pub(super) fn kind_meant(&self) -> Option<String> {
        let (before, rest) = self.text.split_once(':').filter(|_| self.sources.len() > 1)?;
        nearest(before, SOURCES.iter().map(|source| source.kind)).map(|kind| format!("{kind}:{rest}"))
    }

    /// What there is to say where nothing fits and a kind of directive that has no list stands before the `:`. It is searched for
    /// all the same: tracepoints have a category `xdp`.
    pub(super) fn unlisted(&self) -> Option<String> {
        self.text.split_once(':').filter(|_| self.sources.len() > 1).and_then(|(word, _)| unlisted(word))
    }

    /// Whether it may stand for many names.
    pub(super) fn is_pattern(&self) -> bool {
        self.matcher.is_some() || self.text.is_empty()
    }

    /// Whether a name fits.
    pub(super) fn fits(&self, name: &str) -> bool {
        match &self.matcher {
            Some(matcher) => matcher.fits(name),
            None => self.text.is_empty() || self.text == name,
        }
    }

    /// Whether a name of a group fits: by both, as `GROUP:NAME`, or by one of them.
    pub(super) fn fits_in(&self, group: &str, name: &str) -> bool {
        self.text.is_empty() || self.fits(&format!("{group}:{name}")) || self.fits(name) || self.fits(group)
    }

    /// Whether a function of the kernel fits: by its name, or as `MODULE:NAME`, where the kernel itself is `vmlinux`.
    pub(super) fn fits_function(&self, module: Option<&str>, name: &str) -> bool {
        match self.text.contains(':') {
            true => self.fits(&format!("{}:{name}", module.unwrap_or("vmlinux"))),
            false => self.fits(name),
        }
    }
}

/// The kinds that are meant by a word: one of its own names, or whatever a directive or a section (`SEC("raw_tp.w/…")`) names
/// it by. A kind of directive may be several here, as `perf_event` is.
pub(super) fn meant(word: &str) -> Vec<&'static Source> {
    let is_named = |source: &&Source| source.kind == word || source.aliases.contains(&word);
    if let Some(source) = SOURCES.iter().find(is_named) {
        return vec![source];
    }
    let Some(kind) = kind::by_word(word).or_else(|| kind::by_section(word).map(|(kind, _)| kind)) else {
        return Vec::new();
    };
    match SOURCES.iter().find(|source| source.kind == kind.name()) {
        Some(source) => vec![source],
        None => SOURCES.iter().filter(|source| source.directive == Some(kind.name())).collect(),
    }
}

/// What there is to say of a kind of directive that has no list.
fn unlisted(word: &str) -> Option<String> {
    let kind = kind::by_type(word).filter(|_| meant(word).is_empty())?;
    Some(format!("places of `{}` are not listed; a directive names one as {}", word.escape_default(), kind.grammar()))
}

fn is_asked(source: &Source, everything: bool, of_process: bool) -> bool {
    if of_process {
        return matches!(source.kind, "uprobe" | "usdt");
    }
    source.asked == Asked::Always || (source.asked == Asked::ByName && everything)
}

/// Whether what has a `:` and no kind can be the name of a tracepoint with its category, or of an event of a cache.
fn is_of_the_kernel(category: &str, name: &str) -> bool {
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-*?:".contains(&byte));
    !category.is_empty() && !name.is_empty() && is_name(category) && is_name(name) && !name.starts_with(':')
}

fn unknown(kind: &str) -> String {
    let kinds: Vec<&str> = SOURCES.iter().map(|source| source.kind).collect();
    format!(
        "`{}` is no kind of probe; kinds are {}; functions of a binary are listed by `uprobe:BINARY:PATTERN`",
        kind.escape_default(),
        kinds.join(", ")
    )
}

/// The binary and the pattern of `BINARY[:PATTERN]`.
fn of_binary<'w>(kind: &str, rest: &'w str) -> anyhow::Result<(Option<String>, &'w str)> {
    let (binary, pattern) = match binary_and_rest(rest) {
        (Some(binary), pattern) => (binary, pattern),
        (None, binary) => (binary, ""),
    };
    if binary.is_empty() || binary.contains('*') {
        bail!("{kind}:{rest}: no binary is named; write {kind}:BINARY:PATTERN, as in {kind}:mysqld:*, or give --pid N");
    }
    Ok((Some(binary.to_owned()), pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(word: &str, of_process: bool) -> (Vec<&'static str>, Option<String>, String) {
        let query = Query::new(word, of_process).unwrap();
        (query.sources.iter().map(|source| source.kind).collect(), query.binary, query.text)
    }

    #[test]
    fn words_name_kinds_and_binaries() {
        let of = |kind: &'static str, binary: Option<&str>, text: &str| {
            (vec![kind], binary.map(str::to_owned), text.to_owned())
        };
        assert_eq!(query("kprobe:tcp_*", false), of("kprobe", None, "tcp_*"));
        assert_eq!(query("kfunc:tcp_*", false), of("fentry", None, "tcp_*"));
        assert_eq!(query("tracepoint:syscalls:*execve*", false), of("tracepoint", None, "syscalls:*execve*"));
        assert_eq!(query("uprobe:mysqld:*lock*", false), of("uprobe", Some("mysqld"), "*lock*"));
        assert_eq!(query("uprobe:mysqld:THD::*", false), of("uprobe", Some("mysqld"), "THD::*"));
        assert_eq!(query("uprobe:/bin/true", false), of("uprobe", Some("/bin/true"), ""));
        assert_eq!(query("usdt:postgres:*", false), of("usdt", Some("postgres"), ""));
        assert_eq!(query("usdt:postgres:postgresql:query*", false), of("usdt", Some("postgres"), "postgresql:query*"));
        assert_eq!(query("usdt:python:*", true), of("usdt", None, "python:*"));
        assert_eq!(query("uprobe:libc.so.6:read", true), of("uprobe", Some("libc.so.6"), "read"));
        assert_eq!(query("active:", false), of("active", None, ""));
    }

    /// What a directive or a section names a kind by, names it here: no table has a word that the other does not know.
    #[test]
    fn kinds_have_the_names_that_directives_and_sections_have() {
        for kind in kind::KINDS {
            let words = kind.aliases().iter().chain(kind.sections()).copied().chain([kind.name()]);
            // A section may say more of a program than its kind, behind a `/`.
            for word in words.filter(|word| !word.contains('/')) {
                let listed: Vec<&str> = meant(word).iter().map(|source| source.directive.unwrap_or_default()).collect();
                match UNLISTED.contains(&kind.name()) {
                    true => {
                        let error = Query::new(&format!("{word}:"), false).unwrap_err().to_string();
                        assert!(error.contains(kind.grammar()), "{word}: {error}");
                    }
                    false => {
                        assert!(!listed.is_empty() && listed.iter().all(|listed| *listed == kind.name()), "{word}")
                    }
                }
            }
        }
        for source in SOURCES {
            let kind = source.directive.map(|directive| kind::by_name(directive).unwrap());
            // What is a kind of directive under the same name is attached by it, and has no other names but its own.
            if let Some(same) = kind::by_word(source.kind) {
                assert_eq!(kind.map(kind::Kind::name), Some(same.name()), "{}", source.kind);
                assert!(source.aliases.is_empty(), "{}", source.kind);
            }
            for alias in source.aliases {
                assert!(kind::by_type(alias).is_none(), "`{alias}` is a kind of directive too");
            }
        }
    }

    /// Kinds of directives whose places are devices, cgroups, maps and the like, or functions that nothing tells apart.
    const UNLISTED: &[&str] = &[
        "fmod_ret",
        "xdp",
        "tc",
        "socket",
        "flow_dissector",
        "sk_lookup",
        "cgroup_skb",
        "cgroup_sock",
        "cgroup_sock_addr",
        "sock_ops",
        "cgroup_sockopt",
        "cgroup_device",
        "cgroup_sysctl",
        "sk_skb",
        "sk_msg",
        "sched_act",
        "lwt_in",
        "lwt_out",
        "lwt_xmit",
        "lwt_seg6local",
        "sk_reuseport",
    ];

    #[test]
    fn without_a_kind_the_kernel_is_searched_or_the_process() {
        let (kinds, _, text) = query("*switch*", false);
        assert!(kinds.contains(&"kprobe") && kinds.contains(&"lsm") && !kinds.contains(&"uprobe"), "{kinds:?}");
        assert!(!kinds.contains(&"active") && !kinds.contains(&"kretprobe"), "{kinds:?}");
        assert_eq!(text, "*switch*");
        assert!(query("", false).0.contains(&"active"));
        assert_eq!(query("sched:sched_switch", false).2, "sched:sched_switch");
        assert_eq!(query("/a:b/", false).2, "/a:b/");
        assert_eq!(query("*", true).0, ["uprobe", "usdt"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |word: &str| format!("{:#}", Query::new(word, false).unwrap_err());
        assert!(error("/usr/sbin/mysqld:main").contains("uprobe:BINARY:PATTERN"));
        assert!(error("std::move").contains("is no kind of probe"));
        assert_eq!(Query::new("kprob:x", false).unwrap().kind_meant().as_deref(), Some("kprobe:x"));
        assert_eq!(Query::new("sched:x", false).unwrap().kind_meant(), None);
        assert!(error("uprobe:").contains("uprobe:BINARY:PATTERN"));
        assert!(error("usdt:*").contains("no binary is named"));
        assert!(error("kprobe:/(/").contains("regular expression"));
    }

    #[test]
    fn functions_fit_by_their_modules_too() {
        let fits = |word: &str, module| Query::new(word, false).unwrap().fits_function(module, "caches_show");
        for (word, module) in [("kfunc:9p:*", Some("9p")), ("fentry:vmlinux:c*", None), ("kprobe:/p:c/", Some("9p"))] {
            assert!(fits(word, module), "{word}");
        }
        assert!(fits("kprobe:caches_show", Some("9p")));
        assert!(!fits("kfunc:9p:*", None) && !fits("kfunc:vmlinux:*", Some("9p")));
    }

    #[test]
    fn names_fit_whole_and_in_their_groups() {
        let fits = |word: &str| Query::new(word, false).unwrap().fits_in("sched", "sched_switch");
        for word in ["", "*", "sched:*", "sched_switch", "sched:sched_switch", "sched", "*switch", "/:sched_sw/"] {
            assert!(fits(word), "{word}");
        }
        for word in ["sched_swi", "net:*", "switch"] {
            assert!(!fits(word), "{word}");
        }
    }
}
