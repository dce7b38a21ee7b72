//! Stage 5: from BCC's dialect to plain BPF C: facts from libclang's AST, edits, text and line map.
//!
//! The user's text is parsed as it is, under its own name, with map macros that declare typed methods (`DBCC_PARSE`). Its
//! functions become a [`tree::Tree`]; [`program`] and [`origin`] find out what functions are and whose memory pointers
//! point to; then each row of [`rule::RULES`] makes its edits. Edits are disjoint, and none adds or removes a line end
//! inside the text; what is generated stands behind it.

use std::borrow::Cow;

use crate::clang::{Library, Unit};
use crate::diag::{Diagnostic, Severity};
use crate::facts::{CompileRequest, Facts, Finding, MapFact, MapRole, ProgramFact, TailCall};
use crate::linemap::LineMap;
use crate::source::Span;
use crate::template::Templated;

pub mod context;
mod copied;
mod edit;
mod lower;
mod macros;
mod message;
pub mod origin;
pub mod program;
pub mod reads;
mod ring;
pub mod rule;
pub mod tail;
pub mod tree;
pub mod usdt;

#[cfg(test)]
mod tests;

use edit::compose;
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
    /// What lints found.
    pub lints: Vec<Finding>,
}

/// What looks at a probe that is understood, and changes nothing.
pub type Look<'l> = &'l dyn Fn(&Probe<'_, '_>) -> Vec<Finding>;

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

    /// Whether the kernel has a function of that name.
    fn has_function(&self, name: &str) -> bool;

    /// The names of all enumerators, for suggestions.
    fn enumerators(&self) -> Vec<String>;
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

    fn has_function(&self, _name: &str) -> bool {
        false
    }

    fn enumerators(&self) -> Vec<String> {
        Vec::new()
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
    /// Functions that are run by tail calls, as directives say.
    pub tail_calls: &'p [TailCall],
    /// What these functions are.
    pub tails: &'p tail::TailCalls,
    /// How functions use the contexts that they get.
    pub contexts: &'p context::Contexts,
    /// Whose memory pointers point to.
    pub origins: &'p origin::Origins,
    /// The maps.
    pub maps: &'p [rule::maps::Map],
    /// Whether prints go to the kernel's trace pipe, for programs that nobody of dbcc listens to.
    pub trace_pipe: bool,
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
    /// Places of constructs that must be edited and that the bodies of macros give, and what they are.
    pub in_macros: Vec<(Span, &'static str)>,
    /// Whether the text uses `dbcc_prints`.
    pub uses_prints: bool,
    /// Whether the text may use `dbcc_losses`.
    pub uses_losses: bool,
}

/// How often uses of macros are written out: macros in macros need one time each.
const MAX_ROUNDS: usize = 16;

/// The macros that compare a process with those of `--pid`.
const FILTERS: [&str; 2] = ["FILTER_PID", "FILTER_PID_OF"];

/// Rewrites a probe. `look` is shown the text as it is when nothing has to be written out any more.
///
/// # Errors
/// Everything that is wrong with it: what libclang says, and what rules say; or, as a single message, why it could not
/// be looked at.
pub fn rewrite(
    request: &CompileRequest,
    templated: &Templated,
    kernel: &dyn KernelFacts,
    look: Look<'_>,
) -> Result<Rewritten, Vec<Diagnostic>> {
    let fatal = |text: String| vec![Diagnostic::error(text, None)];
    let source = &request.source;
    if u32::try_from(source.text.len()).is_err() {
        return Err(fatal(format!("`{}` is too long", source.name)));
    }
    let library = Library::load(&request.toolchain.libclang).map_err(|error| fatal(error.to_string()))?;
    let path = templated.main_file();
    let mut arguments = templated.arguments.clone();
    arguments.extend(["-DDBCC_PARSE", "-ferror-limit=0"].map(String::from));

    let mut text = Cow::Borrowed(source.text.as_str());
    let mut map = LineMap::default();
    for round in 0..MAX_ROUNDS {
        let unit = Unit::parse(&library, &path, &text, &arguments).map_err(|error| fatal(error.to_string()))?;
        let trace = |span: Span| if round == 0 { Some(span) } else { map.to_source(span, source) };
        let traced = |messages| traced(messages, &trace);
        match once(&unit, &text, request, kernel, look).map_err(traced)? {
            Step::Rewritten(mut rewritten) => {
                rewritten.line_map = compose(&map, &rewritten.line_map);
                rewritten.warnings = traced(rewritten.warnings);
                for finding in &mut rewritten.lints {
                    trace_message(&mut finding.diagnostic, &trace);
                }
                let facts = &mut rewritten.facts;
                let programs = facts.programs.iter_mut().map(|program| &mut program.span);
                let maps = facts.maps.iter_mut().map(|map| &mut map.span);
                for span in programs.chain(maps).chain(facts.prints.iter_mut().map(|print| &mut print.span)) {
                    *span = trace(*span).unwrap_or(*span);
                }
                return Ok(*rewritten);
            }
            Step::WrittenOut(next, step) => {
                map = compose(&map, &step);
                text = Cow::Owned(next);
            }
        }
    }
    Err(fatal("the macros of this probe do not come to an end".to_owned()))
}

/// What looking at a text once comes to.
enum Step {
    /// It is done.
    Rewritten(Box<Rewritten>),
    /// Uses of macros had to be written out: the text to look at next, and how it came about.
    WrittenOut(String, LineMap),
}

fn once(
    unit: &Unit,
    text: &str,
    request: &CompileRequest,
    kernel: &dyn KernelFacts,
    look: Look<'_>,
) -> Result<Step, Vec<Diagnostic>> {
    let tree = lower::lower(unit, text);
    let mut messages = message::diagnostics(&unit.messages(), text, &tree, kernel);
    let has_errors = |messages: &[Diagnostic]| messages.iter().any(|message| message.severity == Severity::Error);
    if has_errors(&messages) {
        return Err(messages);
    }

    let mut roles = program::Roles::find(&tree, &request.functions);
    let tails = tail::TailCalls::find(&tree, &mut roles, &request.tail_calls);
    let contexts = context::Contexts::find(&tree, &roles);
    let origins = origin::Origins::find(&tree, &roles);
    let found = rule::maps::find(&tree);
    let mut maps = found.clone();
    let tail_calls = request.tail_calls.as_slice();
    let trace_pipe = request.defines.iter().any(|(name, _)| name == crate::facts::TRACE_PIPE);
    let probe = |maps| Probe {
        text,
        tree: &tree,
        roles: &roles,
        tail_calls,
        tails: &tails,
        contexts: &contexts,
        origins: &origins,
        maps,
        trace_pipe,
        kernel,
    };
    // What others read in dbcc's place is what the text says.
    if request.features.ringbuf && !trace_pipe {
        for index in ring::find(&probe(&found)) {
            if let Some(map) = maps.get_mut(index) {
                (map.role, map.stamped) = (MapRole::RingEvents(Vec::new()), true);
            }
        }
    }
    let probe = probe(&maps);
    let mut output = Output::default();
    for rule in rule::RULES {
        rule.apply(&probe, &mut output);
        output.edits.next_layer();
    }
    messages.append(&mut output.messages);
    messages.sort_by_key(|message| message.span.map(|span| span.start));
    if has_errors(&messages) {
        return Err(messages);
    }
    if !output.in_macros.is_empty() {
        return write_out(text, &tree, &output.in_macros);
    }

    let facts = Facts {
        maps: maps.iter().enumerate().map(|(index, map)| map_fact(index, map, &output.events)).collect(),
        programs: output.programs,
        prints: output.prints,
        uses_filter_pid: tree.expansions.iter().any(|expansion| FILTERS.contains(&expansion.name.as_str())),
        copied: copied::find(&tree),
    };
    let mut behind = String::new();
    if !text.ends_with('\n') {
        behind.push('\n');
    }
    if output.uses_losses {
        behind.push_str("struct dbcc_losses_map dbcc_losses SEC(\".maps\");\n");
    }
    if output.uses_prints {
        behind.push_str("struct dbcc_prints_map dbcc_prints SEC(\".maps\");\n");
    }
    behind.push_str(&output.behind);
    match output.edits.apply(text, &behind) {
        Ok((text, line_map)) => {
            let lints = look(&probe);
            Ok(Step::Rewritten(Box::new(Rewritten { text, line_map, facts, warnings: messages, lints })))
        }
        // One argument of a macro means different things at the places where the macro uses it.
        Err(conflict) => write_out(text, &tree, &[(conflict.span, "what is rewritten in two ways")]),
    }
}

/// Writes out the uses of macros that places are in.
fn write_out(text: &str, tree: &tree::Tree<'_>, places: &[(Span, &'static str)]) -> Result<Step, Vec<Diagnostic>> {
    let spans: Vec<Span> = places.iter().map(|(span, _)| *span).collect();
    let refused = |number: usize| {
        let (span, what) = places.get(number).copied().unwrap_or((Span::new(0, 0), "a construct"));
        vec![
            Diagnostic::error(format!("{what} stands in a macro, and cannot be rewritten there"), span)
                .help("write it without the macro, or make the macro a `static` function"),
        ]
    };
    let edits = macros::expand(text, tree, &spans).map_err(|(number, macros::Failed)| refused(number))?;
    let (next, step) = edits.apply(text, "").map_err(|_| refused(0))?;
    Ok(Step::WrittenOut(next, step))
}

/// Messages about a text in which macros are written out, as messages about the user's.
fn traced(mut messages: Vec<Diagnostic>, trace: &dyn Fn(Span) -> Option<Span>) -> Vec<Diagnostic> {
    for message in &mut messages {
        trace_message(message, trace);
    }
    messages
}

fn trace_message(message: &mut Diagnostic, trace: &dyn Fn(Span) -> Option<Span>) {
    message.span = message.span.and_then(trace);
    message.labels.retain_mut(|(span, _)| trace(*span).map(|place| *span = place).is_some());
}

/// What is promised of a map.
fn map_fact(index: usize, map: &rule::maps::Map, events: &[(usize, String)]) -> MapFact {
    let types = || events.iter().filter(|(of, _)| *of == index).map(|(_, name)| name.clone()).collect();
    let role = match &map.role {
        MapRole::PerfEvents(_) => MapRole::PerfEvents(types()),
        MapRole::RingEvents(_) => MapRole::RingEvents(types()),
        other => other.clone(),
    };
    MapFact { name: map.name.clone(), span: map.span, role, pin: map.shared(), stamped: map.stamped }
}

/// The text under a span; empty where it is none.
pub(crate) fn slice(text: &str, span: Span) -> &str {
    text.get(span.range()).unwrap_or_default()
}
