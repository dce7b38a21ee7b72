//! Capabilities of this process (capabilities(7)).

use std::fs;

/// What CAP_SYS_ADMIN alone allowed before Linux 5.8, and these together allow since: loading and attaching programs.
const NEEDED: [(&str, u32); 2] = [("CAP_BPF", 39), ("CAP_PERFMON", 38)];

const SYS_ADMIN: u32 = 21;

/// The capabilities that this process lacks for loading and attaching programs; empty if it has what it needs, or if
/// that cannot be told.
pub fn missing() -> Vec<&'static str> {
    fs::read_to_string("/proc/self/status").ok().and_then(|status| missing_in(&status)).unwrap_or_default()
}

/// Whether this process has CAP_SYS_ADMIN, which a mount of tracefs needs.
pub fn has_sys_admin() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective(&status).is_some_and(|set| set & (1 << SYS_ADMIN) != 0)
}

fn missing_in(status: &str) -> Option<Vec<&'static str>> {
    let effective = effective(status)?;
    let has = |number: u32| effective & (1 << number) != 0;
    if has(SYS_ADMIN) {
        return Some(Vec::new());
    }
    Some(NEEDED.iter().filter(|(_, number)| !has(*number)).map(|(name, _)| *name).collect())
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
