//! What the kernel's verifier says about a program, on the user's line and in words.
//!
//! The log ends with the instruction that was refused and a line that says why, in the verifier's terms. The instruction
//! is traced back by the object's line table and the line map; the reason is explained by the row of `rules` that knows
//! it, else shown as it is.

use crate::diag::Diagnostic;
use crate::elf::{self, Contents};
use crate::facts::Compiled;
use crate::source::{Source, Span};

mod rules;

/// The most bytes of the end of a log that are looked at; a reason is on its last lines, and the instructions before
/// it are only for a refused instruction that is in a template.
const MAX_TAIL: usize = 1 << 20;

/// The message for a program that the verifier refused. `function` is the user's name of it, `program` the object's.
pub fn explain(function: &str, program: &str, log: &str, compiled: &Compiled, source: &Source) -> Diagnostic {
    let log = Log::parse(log);
    let contents = elf::read(&compiled.elf).ok();
    let place = contents.as_ref().and_then(|contents| place(&log, program, contents, compiled, source));
    let span =
        place.or_else(|| compiled.facts.programs.iter().find(|fact| fact.function == function).map(|fact| fact.span));
    let Some(said) = log.reason() else {
        return Diagnostic::error(format!("the kernel's verifier refuses `{function}` and does not say why"), span);
    };
    let Some(explained) = rules::explain(&log.reasons) else {
        return Diagnostic::error(format!("the verifier refuses `{function}`: {said}"), span);
    };
    let mut diagnostic = Diagnostic::error(format!("the verifier refuses `{function}`: {}", explained.what), span)
        .note(format!("the kernel says: {}", explained.said))
        .help(explained.help);
    let acquired = number_behind(explained.said, "alloc_insn=").zip(contents.as_ref());
    let acquired = acquired.and_then(|(instruction, contents)| own(instruction, program, contents, compiled, source));
    diagnostic.labels.extend(acquired.map(|span| (span, "acquired here".to_owned())));
    diagnostic
}

/// The refused instruction's place in the user's text. An instruction of a template is shown where the user's code led
/// to it: at the last instruction before it that has a place.
fn place(log: &Log<'_>, program: &str, contents: &Contents, compiled: &Compiled, source: &Source) -> Option<Span> {
    let instructions = log.named.into_iter().chain(log.instructions.iter().rev().copied());
    instructions.into_iter().find_map(|instruction| own(instruction, program, contents, compiled, source))
}

/// The place in the user's text that an instruction came from; none for instructions of templates.
fn own(instruction: usize, program: &str, contents: &Contents, compiled: &Compiled, source: &Source) -> Option<Span> {
    let place = contents.place(program, instruction)?;
    let file = place.file.rsplit('/').next().unwrap_or_default();
    (file == compiled.file).then(|| compiled.line_map.word_at(place.at, &compiled.text, source))?
}

/// A verifier's log.
#[derive(Debug, Default)]
struct Log<'a> {
    /// The instructions that were looked at, in the order of the log.
    instructions: Vec<usize>,
    /// The instruction that the reason names.
    named: Option<usize>,
    /// The lines that say why, in the order of the log.
    reasons: Vec<&'a str>,
}

impl<'a> Log<'a> {
    fn parse(log: &'a str) -> Self {
        let start = log.len().saturating_sub(MAX_TAIL);
        let start = (start..=log.len()).find(|start| log.is_char_boundary(*start)).unwrap_or(0);
        let mut parsed = Self::default();
        for line in log.get(start..).unwrap_or_default().lines().map(str::trim) {
            if let Some(instruction) = instruction(line) {
                parsed.instructions.push(instruction);
                parsed.reasons.clear();
            } else if !is_state(line) {
                parsed.reasons.push(line);
            }
        }
        parsed.named = parsed.reasons.iter().rev().find_map(|reason| named_instruction(reason));
        parsed
    }

    /// The line that says why; of several the last, which is the most general, but for those that only conclude.
    fn reason(&self) -> Option<&'a str> {
        let concludes = |line: &&&str| {
            line.starts_with("BPF_EXIT instruction")
                || line.starts_with("verification time")
                || line.starts_with("-- END")
        };
        self.reasons.iter().rev().find(|line| !concludes(line)).or(self.reasons.last()).copied()
    }
}

/// The number of `12: (79) r1 = …`.
fn instruction(line: &str) -> Option<usize> {
    let (number, rest) = line.split_once(": (")?;
    let code = rest.get(..2)?;
    (code.bytes().all(|byte| byte.is_ascii_hexdigit()) && rest.get(2..3) == Some(")")).then(|| number.parse().ok())?
}

/// The instruction that a reason names, as in `back-edge from insn 26 to 12`.
fn named_instruction(reason: &str) -> Option<usize> {
    number_behind(reason, "insn ")
}

fn number_behind(text: &str, word: &str) -> Option<usize> {
    let rest = text.split_once(word)?.1;
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// Whether a line is about the state of the analysis and not about what is wrong.
fn is_state(line: &str) -> bool {
    let numbered = || {
        let (number, rest) = line.split_once(": ").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && rest.starts_with(['R', 'f', 's'])
    };
    let frame =
        || line.strip_prefix("frame").is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()));
    let registers = || {
        let rest = line.strip_prefix('R').unwrap_or_default();
        let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
        digits > 0
            && rest
                .get(digits..)
                .is_some_and(|rest| rest.starts_with('=') || rest.starts_with("_w=") || rest.starts_with("_rw="))
    };
    const STATE: &[&str] = &[
        ";",
        "from ",
        "processed ",
        "stack depth",
        "caller:",
        "callee:",
        "returning from callee",
        "to caller at",
        "mark_precise",
        "propagating ",
        "parent ",
        "last_idx",
        "regs=",
        "func#",
        "Validating ",
        "verification time",
        "live regs",
        "max_states",
        "-- BEGIN",
        "-- END",
        "Func#",
        "Live regs",
        "stack=",
        "refs=",
        "cur state: ",
        "old state: ",
    ];
    line.is_empty() || numbered() || frame() || registers() || STATE.iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests;
