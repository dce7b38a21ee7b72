//! Which findings are shown, and which of them are errors.

use crate::diag::{Diagnostic, Severity, nearest};
use crate::directive::Allow;
use crate::facts::Finding;
use crate::lex::{Lexed, TokenKind};
use crate::source::{Source, Span};

use super::{LINTS, by_name};

/// The name that stands for every lint.
const ALL: &str = "all";

/// What the command line says of lints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels {
    allowed: Vec<String>,
    denied: Vec<String>,
}

/// The lines of a text that a directive is about; none for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reach(Option<u32>);

impl Levels {
    /// Takes the names behind `--allow` and `--deny`.
    ///
    /// # Errors
    /// What is said of the first that is no lint's.
    pub fn new(allowed: &[String], denied: &[String]) -> Result<Self, String> {
        match allowed.iter().chain(denied).find(|name| *name != ALL && by_name(name).is_none()) {
            Some(name) => Err(unknown(name)),
            None => Ok(Self { allowed: allowed.to_vec(), denied: denied.to_vec() }),
        }
    }

    /// The findings that are to be shown, in the order of the text; those that are denied are errors.
    pub fn shown(&self, findings: &[Finding], allows: &[Allow], source: &Source) -> Vec<Finding> {
        let lexed = Lexed::new(&source.text);
        let places: Vec<(Reach, &Allow)> =
            allows.iter().map(|allow| (reach(allow.span, &lexed, source), allow)).collect();
        let named = |names: &[String], lint: &str| names.iter().any(|name| name == lint || name == ALL);
        let is_allowed = |finding: &Finding| {
            let line = finding.diagnostic.span.map(|span| source.line_column(span.start).line);
            let here = |reach: Reach| reach.0.is_none() || reach.0 == line;
            named(&self.allowed, &finding.lint)
                || places.iter().any(|(reach, allow)| here(*reach) && named(&allow.lints, &finding.lint))
        };
        let shown = findings.iter().filter(|finding| !is_allowed(finding)).cloned();
        let mut shown: Vec<Finding> = shown
            .map(|mut finding| {
                if named(&self.denied, &finding.lint) {
                    finding.diagnostic.severity = Severity::Error;
                }
                finding
            })
            .collect();
        shown.sort_by_key(|finding| finding.diagnostic.span.map(|span| span.start));
        shown
    }
}

/// What a directive is about: the line that it ends; on a line of its own, the next line of code; above all code,
/// everything.
fn reach(directive: Span, lexed: &Lexed<'_>, source: &Source) -> Reach {
    let mut code = lexed.tokens().iter().filter(|token| token.kind != TokenKind::Comment);
    let line = |offset: u32| source.line_column(offset).line;
    let own = line(directive.start);
    let before = code.by_ref().take_while(|token| token.span.start < directive.start).map(|token| token.span.end);
    match before.last() {
        None => Reach(None),
        Some(end) if line(end) == own => Reach(Some(own)),
        Some(_) => {
            let next = lexed
                .tokens()
                .iter()
                .find(|token| token.kind != TokenKind::Comment && token.span.start > directive.start);
            Reach(Some(next.map_or(own, |token| line(token.span.start))))
        }
    }
}

/// A warning for each name that directives allow and that is no lint's.
pub fn allows(allows: &[Allow]) -> Vec<Diagnostic> {
    let named = allows.iter().flat_map(|allow| allow.lints.iter().map(move |name| (name, allow.span)));
    let wrong = named.filter(|(name, _)| *name != ALL && by_name(name).is_none());
    wrong.map(|(name, span)| Diagnostic::warning(unknown(name), span)).collect()
}

/// What is said of a name that is no lint's.
pub(super) fn unknown(name: &str) -> String {
    let names = LINTS.iter().map(|lint| lint.name());
    match nearest(name, names) {
        Some(near) => format!("there is no lint `{name}`; did you mean `{near}`?"),
        None => format!("there is no lint `{name}`; `dbcc check --explain` lists them"),
    }
}
