//! Stage 6: from plain BPF C to an object file, by a clang of its own process.
//!
//! Clang is run by argument vector in the probe's private folder, with bounds on its time and output. What it says is
//! parsed and shown on the line that the user wrote.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::child::{ChildError, Limits, Running, start};
use crate::diag::{Diagnostic, Severity};
use crate::facts::{CompileRequest, Toolchain};
use crate::rewrite::Rewritten;
use crate::source::Source;
use crate::template::{MAIN_FILE, Templated};

pub(crate) mod exhausted;
mod files;
mod message;
mod stack;

/// What clang may use. The largest of BCC's tools compile in half a second and give 200 kB.
const LIMITS: Limits = Limits { time: Duration::from_secs(90), stdout: 64 << 20, stderr: 4 << 20 };

/// Variables by which clang finds further headers or options: what it makes of a probe is to depend on none of them.
pub(crate) const VARIABLES: [&str; 4] = ["CPATH", "C_INCLUDE_PATH", "CCC_OVERRIDE_OPTIONS", "SOURCE_DATE_EPOCH"];

/// The most messages that clang writes before it gives up.
const MAX_ERRORS: &str = "-ferror-limit=64";

/// An object file, and what clang said about the text.
#[derive(Debug, Clone)]
pub struct Object {
    /// The ELF file.
    pub elf: Vec<u8>,
    /// Warnings on the user's lines.
    pub warnings: Vec<Diagnostic>,
    /// The files outside of the probe's private folder that were read for it.
    pub files: Vec<PathBuf>,
    /// The functions that have something on the stack, and its size in bytes.
    pub frames: Vec<(String, u64)>,
}

/// A compiler that was started and waits for the text. A third of clang's time goes by before it looks at its input, so
/// it is started while the text is still being rewritten.
#[derive(Debug)]
pub struct Compiler(Result<Running, ChildError>);

/// Starts the compiler for a probe, whose include tree need not be written yet. That it cannot be started is said by
/// [`Compiler::compile`].
pub fn begin(request: &CompileRequest, templated: &Templated) -> Compiler {
    Compiler(start(&mut clang(&request.toolchain, templated)))
}

/// Compiles a rewritten probe.
///
/// # Errors
/// As [`Compiler::compile`].
pub fn compile(
    request: &CompileRequest,
    templated: &Templated,
    rewritten: &Rewritten,
) -> Result<Object, Vec<Diagnostic>> {
    begin(request, templated).compile(request, templated, rewritten)
}

impl Compiler {
    /// Compiles a rewritten probe.
    ///
    /// # Errors
    /// Every error of clang's, on the user's line where it has one; or one message when clang could not be run, ran too
    /// long, or crashed.
    pub fn compile(
        self,
        request: &CompileRequest,
        templated: &Templated,
        rewritten: &Rewritten,
    ) -> Result<Object, Vec<Diagnostic>> {
        let running = self.0.map_err(|error| vec![not_run(&error)])?;
        // Clang puts the lines of the text into the object, and reads them from here.
        let place = templated.main_file();
        std::fs::write(&place, &rewritten.text)
            .map_err(|error| vec![Diagnostic::error(format!("cannot write `{}`: {error}", place.display()), None)])?;
        let input = format!("# 1 \"./{MAIN_FILE}\"\n{}", rewritten.text);
        let finished = running.finish(input.into_bytes(), LIMITS).map_err(|error| vec![not_run(&error)])?;
        let said = String::from_utf8_lossy(&finished.stderr);
        let said_by_part = message::parse(&said);
        let mut messages = diagnostics(&said_by_part, &request.source, rewritten);
        if finished.status.success() && !finished.stdout.is_empty() {
            let files = files::read(templated.root.path())
                .map_err(|error| vec![Diagnostic::error(format!("compiling failed: {error}"), None)])?;
            return Ok(Object {
                elf: finished.stdout,
                warnings: messages,
                files,
                frames: stack::frames(&said_by_part),
            });
        }
        if let Some(error) = exhausted::exhausted(finished.status, &said) {
            return Err(vec![error]);
        }
        if !messages.iter().any(|message| message.severity == Severity::Error) {
            messages.push(unexplained(&request.toolchain.clang, finished.status, &said));
        }
        Err(messages)
    }
}

/// The compiler's command: text on standard input, object on standard output, messages in a form that can be parsed.
fn clang(toolchain: &Toolchain, templated: &Templated) -> Command {
    let root = templated.root.path();
    let mut command = Command::new(&toolchain.clang);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
        .current_dir(root)
        .env("LC_ALL", "C")
        .arg("--no-default-config")
        // Paths inside the private folder are relative, so that the object does not depend on its name.
        .args(templated.arguments.iter().map(|argument| relative(argument, root)))
        .arg("-fdebug-compilation-dir=.")
        // A hint for linkers in a section of its own, which nothing that reads BPF objects knows.
        .arg("-fno-addrsig")
        .args(["-fno-color-diagnostics", "-fno-caret-diagnostics", "-fdiagnostics-print-source-range-info", MAX_ERRORS])
        // The size of each function's stack, and what lies on it.
        .args(["-Wframe-larger-than=0", "-Rpass-analysis=stack-frame-layout"])
        .args(files::ARGUMENTS)
        .args(["-c", "-o", "-", "-"]);
    command
}

fn relative(argument: &str, root: &Path) -> String {
    match argument.strip_prefix(&*root.to_string_lossy()) {
        Some(inside) => format!(".{inside}"),
        None => argument.to_owned(),
    }
}

fn not_run(error: &ChildError) -> Diagnostic {
    let diagnostic = Diagnostic::error(format!("compiling failed: {error}"), None);
    match error {
        ChildError::Time { .. } | ChildError::Output { .. } => {
            diagnostic.help("make the probe smaller: look for macros or loops that expand to very much code")
        }
        _ => diagnostic,
    }
}

/// The messages of a run, once each.
fn diagnostics(messages: &[message::Message<'_>], source: &Source, rewritten: &Rewritten) -> Vec<Diagnostic> {
    let mut found = stack::diagnostics(messages, source, rewritten);
    found.extend(message::diagnostics(messages, source, rewritten));
    // A function that has two forms, and a helper that is inlined into several, are complained about as often; and what
    // BPF lacks is missing several times in one expression.
    let line = |one: &Diagnostic| one.span.map(|span| source.line_column(span.start).line);
    let mut once: Vec<Diagnostic> = Vec::new();
    for diagnostic in found {
        let known = once.iter().any(|known| {
            *known == diagnostic
                || diagnostic.message.starts_with("BPF ")
                    && known.message == diagnostic.message
                    && line(known) == line(&diagnostic)
        });
        if !known {
            once.push(diagnostic);
        }
    }
    once
}

/// The message for a clang that failed without saying where.
fn unexplained(clang: &Path, status: std::process::ExitStatus, said: &str) -> Diagnostic {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines
        .find(|line| line.contains("error:"))
        .or_else(|| said.lines().map(str::trim).find(|line| !line.is_empty()));
    let diagnostic = Diagnostic::error(format!("`{}` failed ({status})", clang.display()), None);
    match first {
        Some(line) => diagnostic.note(format!("it said: {line}")),
        None => diagnostic.note("it said nothing"),
    }
}

#[cfg(test)]
mod tests;
