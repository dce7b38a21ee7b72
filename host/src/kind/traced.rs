//! tp_btf, lsm and fmod_ret: programs that the kernel's own types (BTF) describe, as those of fentry are. Their arguments
//! come by number, and their pointers are typed.

use super::{Attachment, Context, Kind, Options, Target, TargetError, TargetSpec};
use super::{target, target_error, wrong_target};
use crate::bpf::program::ProgramType;
use crate::bpf::{Error, Program};

/// What the rows differ in.
pub(super) struct Traced {
    name: &'static str,
    summary: &'static str,
    grammar: &'static str,
    prefixes: &'static [&'static str],
    sections: &'static [&'static str],
    program_type: ProgramType,
}

/// The row for tracepoints.
pub(super) static TP_BTF: Traced = Traced {
    name: "tp_btf",
    summary: "a tracepoint of the kernel, with typed arguments of its call",
    grammar: "tp_btf:EVENT",
    prefixes: &["tp_btf__"],
    sections: &["tp_btf"],
    program_type: ProgramType::TpBtf,
};

/// The row for security decisions.
pub(super) static LSM: Traced = Traced {
    name: "lsm",
    summary: "a hook of the security modules; what the program returns decides: 0 or -EPERM",
    grammar: "lsm:HOOK",
    prefixes: &["lsm__"],
    sections: &["lsm", "lsm.s"],
    program_type: ProgramType::Lsm,
};

/// The row for functions whose return value a program replaces.
pub(super) static FMOD_RET: Traced = Traced {
    name: "fmod_ret",
    summary: "a function of the kernel that allows error injection; what the program returns, if not 0, is returned instead",
    grammar: "fmod_ret:[MODULE:]FUNCTION",
    prefixes: &["kmod_ret__", "fmod_ret__"],
    sections: &["fmod_ret", "fmod_ret.s"],
    program_type: ProgramType::FmodRet,
};

impl Kind for Traced {
    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn grammar(&self) -> &'static str {
        self.grammar
    }

    fn prefixes(&self) -> &'static [&'static str] {
        self.prefixes
    }

    fn target_of_name(&self, rest: &str) -> String {
        rest.strip_prefix("vmlinux__").unwrap_or(rest).to_owned()
    }

    fn sections(&self) -> &'static [&'static str] {
        self.sections
    }

    fn context(&self) -> Context {
        Context::Arguments { returns: false }
    }

    fn program_type(&self) -> ProgramType {
        self.program_type
    }

    fn parse_target(&self, text: &str) -> Result<TargetSpec, TargetError> {
        let parsed = match self.program_type {
            ProgramType::TpBtf => target::raw_tracepoint(text),
            _ => target::whole_function(text),
        };
        parsed.map_err(target_error(self, text))
    }

    fn attach(&self, program: Program<'_>, target: &Target, _: &Options<'_>) -> Result<Attachment, Error> {
        match target {
            // It was chosen when the program was loaded.
            Target::KernelFunction { name, offset: 0 } | Target::RawTracepoint { name } => {
                let mut attached = program.attach_traced(&format!("{} `{name}`", self.name));
                if let Err(error) = &mut attached
                    && self.program_type == ProgramType::Lsm
                    && error.said.is_empty()
                {
                    error.said =
                        "the kernel asks BPF programs only where `bpf` stands in /sys/kernel/security/lsm".into();
                }
                attached.map(Attachment::new)
            }
            _ => Err(wrong_target(self, target)),
        }
    }
}
