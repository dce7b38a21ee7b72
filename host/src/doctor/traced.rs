//! What the kernel's own types describe beside functions: tracepoints, hooks of security modules, return values.

use rustix::process::{getpid, getsid};

use crate::bpf::program::ProgramType;
use crate::bpf::trial;
use crate::kernel::{btf, security};

use super::finding::Finding;
use super::host::Host;

pub(super) fn tp_btf(host: &Host) -> Finding {
    let costs = "no tp_btf: tracepoint and raw_tracepoint serve the same events, with arguments that have no types";
    let tracepoint = host.kernel.btf().ok().and_then(|types| btf::raw_tracepoint(types, "sched_process_exit"));
    let Some(tracepoint) = tracepoint else {
        return Finding::missing("the kernel's BTF has no tracepoints", costs, "use Linux 5.5 or later, with BTF");
    };
    match trial::traced(ProgramType::TpBtf, tracepoint.0) {
        Ok(()) => Finding::ok("a program was attached to a tracepoint by its types, and taken away"),
        Err(error) => host.refused(error, costs, "use Linux 5.5 or later, with BTF"),
    }
}

/// A hook that only this process comes by: it is asked when somebody asks for the session of a process (getsid(2)).
const LSM_HOOK: &str = "bpf_lsm_task_getsid";

pub(super) fn lsm(host: &Host) -> Finding {
    let costs = "no lsm: no probe can see or refuse what security modules are asked about";
    let hook = host.kernel.btf().ok().and_then(|types| btf::function(types, LSM_HOOK));
    let Some(hook) = hook else {
        let seen = format!("the kernel's BTF does not have `{LSM_HOOK}`");
        return Finding::missing(seen, costs, "use Linux 5.7 or later, built with CONFIG_BPF_LSM");
    };
    let occasion = || {
        // That it is asked is all; no session of one's own is refused.
        let _ = getsid(Some(getpid()));
    };
    match trial::decides(hook.id.0, occasion) {
        Ok(true) => Finding::ok("a program was asked, agreed, and was taken away"),
        Ok(false) => {
            // A program can be attached all the same, and is never run.
            let others = security::modules().unwrap_or_else(|_| "…".to_owned());
            let mend = format!("boot with `lsm={others},bpf`: as it is, and `bpf` behind it");
            Finding::missing("programs can be attached, and the kernel asks none of them", costs, mend)
        }
        Err(error) => host.refused(error, costs, "see fentry, which is refused for the same reasons, and lockdown"),
    }
}

/// Functions of two sorts allow it: those that the security modules are asked by, always; and those that allow errors to be
/// injected. As with fentry, nobody calls the second but the kernel's own tests (net/bpf/test_run.c).
const ASKING: &str = "security_task_getsid";
const INJECTABLE: &str = "bpf_modify_return_test";

pub(super) fn fmod_ret(host: &Host) -> Finding {
    let costs = "no fmod_ret: no probe can replace what functions of the kernel return";
    let attach = |name: &str| {
        let function = host.kernel.btf().ok().and_then(|types| btf::function(types, name))?;
        Some(trial::traced(ProgramType::FmodRet, function.id.0))
    };
    match (attach(ASKING), attach(INJECTABLE)) {
        (Some(Ok(())), Some(Ok(()))) => Finding::ok("a program was attached to two functions, and taken away"),
        (Some(Ok(())), _) => {
            let costs = "no fmod_ret on functions that allow error injection";
            let mend = "use a kernel with CONFIG_FUNCTION_ERROR_INJECTION";
            Finding::limited("a program was attached to `security_…`, which is all that allows it", costs, mend)
        }
        (Some(Err(error)), _) => host.refused(error, costs, "see fentry, which is refused for the same reasons"),
        (None, _) => {
            let seen = format!("the kernel's BTF does not have `{ASKING}`");
            Finding::missing(seen, costs, "use Linux 5.7 or later, built with CONFIG_SECURITY")
        }
    }
}
