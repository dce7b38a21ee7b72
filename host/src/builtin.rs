//! The probes that are embedded in the binary, so that `dbcc netio` works from anywhere.

use std::io::Write;

use anyhow::Context as _;
use include_dir::{Dir, include_dir};

use crate::source::Source;

static PROBES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../probes");

/// A built-in probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its name: the file's name without `.c`.
    pub name: &'static str,
    /// Its C text.
    pub text: &'static str,
}

impl BuiltIn {
    /// The first line of the comment that the text begins with: what the probe answers.
    pub fn summary(&self) -> &'static str {
        self.text.lines().next().map(|line| line.trim_start_matches('/').trim()).unwrap_or_default()
    }

    /// The probe as a source, shown under the path that it has in the project.
    pub fn source(&self) -> Source {
        Source::from_text(format!("probes/{}.c", self.name), self.text)
    }
}

/// All built-in probes, by name.
pub fn all() -> Vec<BuiltIn> {
    let mut all: Vec<BuiltIn> = PROBES
        .files()
        .filter_map(|file| {
            let name = file.path().to_str()?.strip_suffix(".c")?;
            Some(BuiltIn { name, text: file.contents_utf8()? })
        })
        .collect();
    all.sort_by_key(|probe| probe.name);
    all
}

/// The built-in probe of that name.
pub fn find(name: &str) -> Option<BuiltIn> {
    all().into_iter().find(|probe| probe.name == name)
}

/// Lists the built-in probes, or writes the text of one.
///
/// # Errors
/// When there is none of that name, or writing fails.
pub fn show(name: Option<&str>, out: &mut dyn Write) -> anyhow::Result<()> {
    let Some(name) = name else {
        for probe in all() {
            let summary = probe.summary();
            let about = summary.strip_prefix(probe.name).unwrap_or(summary).trim_start_matches(':').trim();
            writeln!(out, "{:<16} {about}", probe.name)?;
        }
        return Ok(());
    };
    let probe = find(name).with_context(|| {
        let known: Vec<&str> = all().iter().map(|probe| probe.name).collect();
        format!("no built-in probe `{name}`; there are: {}", known.join(", "))
    })?;
    Ok(out.write_all(probe.text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_probe_says_what_it_answers() {
        let all = super::all();
        assert!(all.iter().any(|probe| probe.name == "netio"));
        for probe in all {
            assert!(probe.text.starts_with("// "), "{} does not begin with a comment", probe.name);
            assert!(probe.summary().len() > 10, "{}", probe.name);
        }
    }
}
