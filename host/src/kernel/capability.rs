//! Capabilities of this process (capabilities(7)).

use std::fs;

/// What CAP_SYS_ADMIN alone allowed before Linux 5.8, and these together allow since: loading and attaching programs.
const NEEDED: [(&str, Capability); 2] = [("CAP_BPF", Capability::BPF), ("CAP_PERFMON", Capability::PERFMON)];

/// A capability by its number (include/uapi/linux/capability.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability(u32);

impl Capability {
    /// Read files of others.
    pub const DAC_READ_SEARCH: Self = Self(2);
    /// Send packets through programs, and sort them.
    pub const NET_ADMIN: Self = Self(12);
    /// Look into processes of other users.
    pub const SYS_PTRACE: Self = Self(19);
    /// Everything that has no capability of its own.
    pub const SYS_ADMIN: Self = Self(21);
    /// Raise limits.
    pub const SYS_RESOURCE: Self = Self(24);
    /// Read the kernel's addresses.
    pub const SYSLOG: Self = Self(34);
    /// Open perf events and read memory of the kernel.
    pub const PERFMON: Self = Self(38);
    /// Load programs and make maps.
    pub const BPF: Self = Self(39);
}

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set(u64);

impl Set {
    /// The effective ones of this process; none where `/proc` does not tell.
    pub fn of_this_process() -> Option<Self> {
        effective(&fs::read_to_string("/proc/self/status").ok()?).map(Self)
    }

    /// Whether one is among them.
    pub fn has(self, Capability(number): Capability) -> bool {
        self.0 & (1 << number) != 0
    }

    /// Whether one is among them, or CAP_SYS_ADMIN, which stands for it.
    pub fn allows(self, capability: Capability) -> bool {
        self.has(capability) || self.has(Capability::SYS_ADMIN)
    }
}

/// The capabilities that this process lacks for loading and attaching programs; empty if it has what it needs, or if
/// that cannot be told.
pub fn missing() -> Vec<&'static str> {
    fs::read_to_string("/proc/self/status").ok().and_then(|status| missing_in(&status)).unwrap_or_default()
}

/// Whether this process has CAP_SYS_ADMIN, which a mount of tracefs needs.
pub fn has_sys_admin() -> bool {
    Set::of_this_process().is_some_and(|set| set.has(Capability::SYS_ADMIN))
}

fn missing_in(status: &str) -> Option<Vec<&'static str>> {
    let effective = Set(effective(status)?);
    Some(NEEDED.iter().filter(|(_, needed)| !effective.allows(*needed)).map(|(name, _)| *name).collect())
}

/// The effective set: `CapEff` of proc_pid_status(5).
fn effective(status: &str) -> Option<u64> {
    let text = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(text.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_ones_are_named() {
        let check = |effective: &str, expect: Option<&[&str]>| {
            let status = format!("Name:\tx\nCapInh:\t0000000000000000\nCapEff:\t{effective}\nCapBnd:\t0\n");
            assert_eq!(missing_in(&status).as_deref(), expect, "{effective}");
        };
        check("0000000000000000", Some(&["CAP_BPF", "CAP_PERFMON"]));
        check("0000004000000000", Some(&["CAP_BPF"]));
        check("0000008000000000", Some(&["CAP_PERFMON"]));
        check("000000c000000000", Some(&[]));
        check("0000000000200000", Some(&[]));
        check("none", None);
        assert_eq!(missing_in(""), None);
    }
}
