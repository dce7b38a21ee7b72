//! The kernel itself.

use crate::kernel::security::{self, Lockdown};
use crate::kernel::{self, btf};
use crate::template;

use super::finding::Finding;
use super::host::{Host, words};

/// The oldest version that dbcc is made for.
const OLDEST: (u32, u32) = (5, 10);

pub(super) fn version(_: &Host) -> Finding {
    let release = kernel::release();
    let release = release.trim();
    let (major, minor) = OLDEST;
    if kernel::is_at_least(major, minor) {
        return Finding::ok(format!("Linux {release}"));
    }
    let costs = "dbcc is made for later kernels; helpers and ways to attach that it uses may be missing";
    Finding::limited(format!("Linux {release}"), costs, format!("use Linux {major}.{minor} or later"))
}

pub(super) fn architecture(_: &Host) -> Finding {
    let own = std::env::consts::ARCH;
    let known: Vec<&str> = template::architectures().collect();
    if known.contains(&own) {
        return Finding::ok(own);
    }
    let known = known.join(" and ");
    Finding::missing(own, "no probe can be compiled", format!("use a machine of one of those that dbcc knows: {known}"))
}

pub(super) fn btf(host: &Host) -> Finding {
    match host.kernel.btf() {
        Ok(types) => Finding::ok(format!("{} types in {}", types.types().count(), btf::VMLINUX)),
        Err(error) => {
            let mend = "use a kernel with CONFIG_DEBUG_INFO_BTF=y; those of distributions have it";
            Finding::missing(error.to_string(), "dbcc takes the kernel's types from it: no probe runs", mend)
        }
    }
}

pub(super) fn lockdown(_: &Host) -> Finding {
    const MEND: &str = "boot with `lockdown=none`; where Secure Boot turns it on, that must be turned off";
    match security::lockdown() {
        Ok(Lockdown::None) => Finding::ok("none"),
        Ok(Lockdown::NotBuilt) => Finding::ok("this kernel has none"),
        Ok(Lockdown::Integrity) => {
            let costs = "probes cannot write to the memory of processes (bpf_probe_write_user)";
            Finding::limited("integrity", costs, MEND)
        }
        Ok(Lockdown::Confidentiality) => {
            let costs = "probes cannot read the kernel's memory, and kprobes, perf events and tracefs are refused";
            Finding::limited("confidentiality", costs, MEND)
        }
        Err(error) => Finding::unknown(words(&error), "read /sys/kernel/security/lockdown as root"),
    }
}
