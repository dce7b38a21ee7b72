//! Golden tests: a probe in, rewritten C out, which must itself compile without a warning.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;
use crate::facts::{Features, FunctionKind};
use crate::source::Source;
use crate::template::{Host, KernelText, Needs, write};

/// The running kernel's answers, but for the arity of a few functions that not every kernel has.
struct TestKernel(crate::bpf::btf::Btf);

impl KernelFacts for TestKernel {
    fn arity(&self, function: &str) -> Option<u32> {
        match function {
            "tcp_sendmsg" | "tcp_cleanup_rbuf" => Some(if function == "tcp_sendmsg" { 3 } else { 2 }),
            "vfs_read" => Some(4),
            _ => None,
        }
    }

    fn members(&self, record: &str) -> Vec<String> {
        crate::kernel::btf::members(&self.0, record)
    }

    fn has_type(&self, name: &str) -> bool {
        !self.members(name).is_empty()
    }
}

fn request(text: &str, attach: &[&str]) -> CompileRequest {
    let functions = attach.iter().map(|attach| {
        let (point, function) = attach.split_once('=').expect("KIND:TARGET=FUNCTION");
        let (kind, target) = point.split_once(':').expect("KIND:TARGET");
        FunctionKind { function: function.into(), kind: kind.into(), target: target.into() }
    });
    CompileRequest {
        source: Source::from_text("probe.c", text),
        functions: functions.collect(),
        defines: Vec::new(),
        features: Features { kprobe: true, fentry: true, uprobe: true, ringbuf: true, ..Features::default() },
        toolchain: crate::toolchain::find().expect("the tests need clang"),
    }
}

fn templated(request: &CompileRequest) -> Templated {
    let needs = Needs::of(request).expect("the request is good");
    let btf = crate::kernel::btf::load().expect("the tests need a kernel with BTF");
    let types = crate::kernel::btf::slice(&btf, &needs.names).expect("the kernel's types can be sliced").text;
    let host = Host::running().expect("the host tells its version");
    write(request, &needs, &KernelText { types, tracepoints: Vec::new() }, &host)
        .expect("the include tree can be written")
}

/// Rewrites, and checks that the result compiles.
pub(super) fn rewritten(text: &str, attach: &[&str]) -> Result<Rewritten, Vec<Diagnostic>> {
    let request = request(text, attach);
    let templated = templated(&request);
    let kernel = TestKernel(crate::kernel::btf::load().expect("the tests need a kernel with BTF"));
    let rewritten = rewrite(&request, &templated, &kernel)?;
    let mut child = Command::new(&request.toolchain.clang)
        .args(&templated.arguments)
        .args(["-Wall", "-Wno-unused-function", "-Wno-unused-variable", "-c", "-o", "/dev/null", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("clang runs");
    child.stdin.take().expect("it is piped").write_all(rewritten.text.as_bytes()).expect("clang reads");
    let output = child.wait_with_output().expect("clang ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{}\n{said}", rewritten.text);
    let lines = |text: &str| text.lines().count();
    assert!(lines(&rewritten.text) >= lines(text), "line ends were removed: {}", rewritten.text);
    Ok(rewritten)
}

/// The rewritten text.
#[track_caller]
pub(super) fn golden(text: &str, attach: &[&str]) -> String {
    match rewritten(text, attach) {
        Ok(rewritten) => rewritten.text,
        Err(messages) => panic!("{messages:#?}"),
    }
}

/// The messages, one a line: severity, place, what is there, message; then notes and help.
#[track_caller]
pub(super) fn messages(text: &str, attach: &[&str]) -> String {
    let found = match rewritten(text, attach) {
        Ok(rewritten) => rewritten.warnings,
        Err(messages) => messages,
    };
    let source = Source::from_text("probe.c", text);
    let mut out = String::new();
    for message in found {
        let place = message.span.map(|span| (source.line_column(span.start), source.slice(span).to_owned()));
        let place = place.map_or_else(String::new, |(at, text)| format!(" {}:{} `{text}`", at.line, at.column));
        out.push_str(&format!("{:?}{place}: {}\n", message.severity, message.message));
        for (span, label) in &message.labels {
            let at = source.line_column(span.start);
            out.push_str(&format!("  at {}:{} `{}`: {label}\n", at.line, at.column, source.slice(*span)));
        }
        message.notes.iter().for_each(|note| out.push_str(&format!("  note: {note}\n")));
        message.help.iter().for_each(|help| out.push_str(&format!("  help: {help}\n")));
    }
    out
}

/// What the acceptance programs become, for a look; they are not part of the project.
#[test]
#[ignore = "for people: prints what the file that DBCC_REWRITE names becomes"]
fn show() {
    let path = std::env::var("DBCC_REWRITE").expect("DBCC_REWRITE names a probe");
    let attach = std::env::var("DBCC_ATTACH").unwrap_or_default();
    let attach: Vec<&str> = attach.split_whitespace().collect();
    let text = std::fs::read_to_string(path).expect("the probe can be read");
    println!("{}", messages(&text, &attach));
    if let Ok(rewritten) = rewritten(&text, &attach) {
        println!("{}\n{:#?}", rewritten.text, rewritten.facts);
    }
}
