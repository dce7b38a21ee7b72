//! Stage 5: from BCC's dialect to plain BPF C: facts from libclang's AST, edits, text and line map.
//!
//! The user's text is parsed as it is, under its own name, with map macros that declare typed methods (`DBCC_PARSE`). Its
//! functions become a [`tree::Tree`]; [`program`] and [`origin`] find out what functions are and whose memory pointers
//! point to; then each row of [`rule::RULES`] makes its edits. Edits are disjoint, and none adds or removes a line end
//! inside the text; what is generated stands behind it.

use crate::clang::{Library, Unit};
use crate::diag::{Diagnostic, Severity};
use crate::facts::{CompileRequest, Facts, MapFact, MapRole, ProgramFact};
use crate::linemap::LineMap;
use crate::source::Span;
use crate::template::Templated;

mod edit;
mod lower;
mod message;
pub mod origin;
pub mod program;
pub mod rule;
pub mod suggest;
pub mod tree;

#[cfg(test)]
mod tests;

pub use edit::{Conflict, Edits};

/// A probe in plain BPF C.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// The user's text with edits inside its lines, and generated text behind it.
    pub text: String,
    /// From places in `text` to places in the source.
    pub line_map: LineMap,
    /// What was promised about programs and maps.
    pub facts: Facts,
    /// Warnings and notes.
    pub warnings: Vec<Diagnostic>,
}

/// What rewriting asks about the kernel that the probe will run on.
pub trait KernelFacts {
    /// How many arguments a kernel function takes, if BTF knows the function and fentry can hand them over: each in a
    /// register, and no variable number of them.
    fn arity(&self, function: &str) -> Option<u32>;

    /// The names of the members of a type as C writes it (`struct sock`), those of anonymous members included, for
    /// suggestions. Empty where the kernel has no such type.
    fn members(&self, record: &str) -> Vec<String>;

    /// Whether the kernel has a type of that name as C writes it (`struct sock`, `gfp_t`).
    fn has_type(&self, name: &str) -> bool;
}

/// A kernel of which nothing is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnknownKernel;

impl KernelFacts for UnknownKernel {
    fn arity(&self, _function: &str) -> Option<u32> {
        None
    }

    fn members(&self, _record: &str) -> Vec<String> {
        Vec::new()
    }

    fn has_type(&self, _name: &str) -> bool {
        false
    }
}

/// What is known about a probe when rules run.
pub struct Probe<'p, 'u> {
    /// The user's text.
    pub text: &'p str,
    /// Its functions and variables.
    pub tree: &'p tree::Tree<'u>,
    /// What each function is.
    pub roles: &'p program::Roles,
    /// Whose memory pointers point to.
    pub origins: &'p origin::Origins,
    /// The maps.
    pub maps: &'p [rule::maps::Map],
    /// The kernel.
    pub kernel: &'p dyn KernelFacts,
}

/// What rules make.
#[derive(Debug, Default)]
pub struct Output {
    /// Edits of the user's text.
    pub edits: Edits,
    /// Text that is appended: declarations, in order of being needed.
    pub behind: String,
    /// Programs, in the order of the text.
    pub programs: Vec<ProgramFact>,
    /// Types of events: the index of the map, and the C type. A type is there once for each map.
    pub events: Vec<(usize, String)>,
    /// Prints, in the order of the text.
    pub prints: Vec<crate::facts::PrintFact>,
    /// Errors, warnings and notes.
    pub messages: Vec<Diagnostic>,
    /// Whether the text uses `dbcc_prints`.
    pub uses_prints: bool,
    /// Whether the text may use `dbcc_losses`.
    pub uses_losses: bool,
}

/// Rewrites a probe.
///
/// # Errors
/// Everything that is wrong with it: what libclang says, and what rules say; or, as a single message, why it could not
/// be looked at.
pub fn rewrite(
    request: &CompileRequest,
    templated: &Templated,
    kernel: &dyn KernelFacts,
) -> Result<Rewritten, Vec<Diagnostic>> {
    let fatal = |text: String| vec![Diagnostic::error(text, None)];
    let text = request.source.text.as_str();
    if u32::try_from(text.len()).is_err() {
        return Err(fatal(format!("`{}` is too long", request.source.name)));
    }
    let library = Library::load(&request.toolchain.libclang).map_err(|error| fatal(error.to_string()))?;
    let path = templated.main_file();
    let mut arguments = templated.arguments.clone();
    arguments.extend(["-DDBCC_PARSE", "-ferror-limit=0"].map(String::from));
    let unit = Unit::parse(&library, &path, text, &arguments).map_err(|error| fatal(error.to_string()))?;

    let tree = lower::lower(&unit, text);
    let mut messages = message::diagnostics(&unit.messages(), text, &tree, kernel);
    if messages.iter().any(|message| message.severity == Severity::Error) {
        return Err(messages);
    }

    let roles = program::Roles::find(&tree, &request.functions);
    let origins = origin::Origins::find(&tree, &roles);
    let maps = rule::maps::find(&tree);
    let probe = Probe { text, tree: &tree, roles: &roles, origins: &origins, maps: &maps, kernel };
    let mut output = Output::default();
    for rule in rule::RULES {
        rule.apply(&probe, &mut output);
        output.edits.next_layer();
    }
    messages.append(&mut output.messages);
    messages.sort_by_key(|message| message.span.map(|span| span.start));
    if messages.iter().any(|message| message.severity == Severity::Error) {
        return Err(messages);
    }
    let facts = Facts {
        maps: maps.iter().enumerate().map(|(index, map)| map_fact(index, map, &output.events)).collect(),
        programs: output.programs,
        prints: output.prints,
        uses_filter_pid: tree.expansions.iter().any(|expansion| expansion.name == "FILTER_PID"),
    };
    if output.uses_prints {
        output.behind.insert_str(0, "struct dbcc_prints_map dbcc_prints SEC(\".maps\");\n");
    }
    if output.uses_losses {
        output.behind.insert_str(0, "struct dbcc_losses_map dbcc_losses SEC(\".maps\");\n");
    }
    let behind =
        if text.ends_with('\n') || output.behind.is_empty() { output.behind } else { format!("\n{}", output.behind) };
    let (text, line_map) = output.edits.apply(text, &behind).map_err(|conflict| {
        vec![
            Diagnostic::error("two rewritings meet here", conflict.span)
                .help("write this in two statements, without a macro around it"),
        ]
    })?;
    Ok(Rewritten { text, line_map, facts, warnings: messages })
}

/// What is promised of a map.
fn map_fact(index: usize, map: &rule::maps::Map, events: &[(usize, String)]) -> MapFact {
    let types = || events.iter().filter(|(of, _)| *of == index).map(|(_, name)| name.clone()).collect();
    let role = match &map.role {
        MapRole::PerfEvents(_) => MapRole::PerfEvents(types()),
        MapRole::RingEvents(_) => MapRole::RingEvents(types()),
        other => other.clone(),
    };
    MapFact { name: map.name.clone(), span: map.span, role }
}

/// The text under a span; empty where it is none.
pub(crate) fn slice(text: &str, span: Span) -> &str {
    text.get(span.range()).unwrap_or_default()
}
