//! Whether probes can be compiled.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::child::{self, Limits};
use crate::config::CompileSettings;
use crate::escape::harmless;
use crate::facts::Features;
use crate::input::Input;
use crate::pipeline::{self, Failure};
use crate::source::Source;
use crate::toolchain::{INSTALL, OLDEST, ToolchainError};

use super::finding::Finding;
use super::host::Host;

/// What a compiler may use to say its version.
const LIMITS: Limits = Limits { time: Duration::from_secs(5), stdout: 1 << 16, stderr: 1 << 16 };

/// What is lost without a compiler.
const COSTS: &str = "no probe can be compiled; those that `dbcc build` made elsewhere run";

/// The least that a probe can be, and something of each stage: a map, a type of the kernel, a read of it.
const PROBE: &str = "#include <linux/sched.h>\nBPF_HASH(seen, u32);\n\
                     int kprobe__do_exit(struct pt_regs *ctx) {\n\
                     struct task_struct *task = (struct task_struct *)bpf_get_current_task();\n\
                     u32 key = task->tgid;\nseen.increment(key);\nreturn 0;\n}\n";

pub(super) fn clang(host: &Host) -> Finding {
    match host.toolchain() {
        Ok(found) => {
            let version = printed(&found.clang).unwrap_or_else(|| found.version.to_string());
            Finding::ok(format!("{version} at {} ({OLDEST} or newer is needed)", found.clang.display()))
        }
        Err(ToolchainError::NoLibclang { clang, version }) => {
            let version = printed(clang).unwrap_or_else(|| version.to_string());
            Finding::ok(format!("{version} at {} ({OLDEST} or newer is needed)", clang.display()))
        }
        Err(error @ ToolchainError::Old { .. }) => Finding::missing(first(error), COSTS, INSTALL),
        Err(error @ ToolchainError::Variable { variable, .. }) if *variable == crate::toolchain::LIBCLANG_VARIABLE => {
            Finding::unknown(format!("not looked for: {error}"), "see libclang")
        }
        Err(error) => Finding::missing(first(error), COSTS, INSTALL),
    }
}

pub(super) fn libclang(host: &Host) -> Finding {
    match host.toolchain() {
        Ok(found) => Finding::ok(format!("{} at {}", found.version, found.libclang.display())),
        Err(error @ ToolchainError::NoLibclang { .. }) => Finding::missing(first(error), COSTS, INSTALL),
        Err(error @ ToolchainError::Variable { variable, .. }) if *variable == crate::toolchain::LIBCLANG_VARIABLE => {
            Finding::missing(error.to_string(), COSTS, "unset the variable, or name a library that is there")
        }
        Err(_) => Finding::unknown("not looked for: it must be of the version of clang", "see clang"),
    }
}

pub(super) fn compile(host: &Host) -> Finding {
    if host.toolchain().is_err() {
        return Finding::missing("there is no compiler", COSTS, "see clang and libclang");
    }
    let began = Instant::now();
    let input = Input::Text(Source::from_text("probe.c", PROBE));
    match pipeline::prepare(&input, &CompileSettings::default(), &host.kernel, || Features::ALL) {
        Ok(_) => Finding::ok(format!("a probe was compiled in {} ms", began.elapsed().as_millis())),
        Err(Failure::Probe { diagnostics, .. }) => {
            let why = diagnostics.first().map(|diagnostic| diagnostic.message.clone()).unwrap_or_default();
            Finding::missing(harmless(&why), COSTS, "a clang of another build: it may be without the target bpf")
        }
        Err(Failure::Run(error) | Failure::Unusable(error)) => {
            Finding::missing(format!("{error:#}"), COSTS, "see clang and libclang")
        }
        Err(Failure::Quiet) => Finding::unknown("it was not tried to the end", ""),
    }
}

/// The message without how to install, which is said apart.
fn first(error: &ToolchainError) -> String {
    error.to_string().replace(&format!("; {INSTALL}"), "")
}

/// The version as clang prints it, such as `19.1.7`.
fn printed(clang: &std::path::Path) -> Option<String> {
    let finished = child::run(Command::new(clang).arg("--version"), Vec::new(), LIMITS).ok()?;
    let text = String::from_utf8(finished.stdout).ok()?;
    let version = text.split_once("clang version ")?.1.split_whitespace().next()?;
    Some(harmless(version).into_owned())
}
