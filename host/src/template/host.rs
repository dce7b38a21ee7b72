//! What C must know of the machine that a probe is compiled for and BTF does not tell.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

/// The most bytes of a kernel configuration that are read; Debian's has 260 kB.
const MAX_CONFIGURATION: u64 = 4 << 20;

/// The machine and the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The kernel's release, as `uname -r` prints it.
    pub release: String,
    /// `LINUX_VERSION_CODE`.
    pub version_code: u32,
    /// Binary logarithm of the page size.
    pub page_shift: u32,
}

impl Host {
    /// The running kernel.
    ///
    /// # Errors
    /// When `/proc/sys/kernel` cannot be read or the release is no version.
    pub fn running() -> Result<Self, String> {
        let read = |name: &str| {
            let path = format!("/proc/sys/kernel/{name}");
            let text = std::fs::read_to_string(&path);
            text.map(|text| text.trim().to_owned()).map_err(|error| format!("cannot read {path}: {error}"))
        };
        let release = read("osrelease")?;
        let version = read("version")?;
        let signature = std::fs::read_to_string("/proc/version_signature").unwrap_or_default();
        let version_code = version_code(&release, &version, &signature)
            .ok_or_else(|| format!("the kernel's release `{release}` is no version"))?;
        Ok(Self { release, version_code, page_shift: rustix::param::page_size().trailing_zeros() })
    }

    /// The configuration macros among `wanted` that are set, with their values, as the kernel's autoconf.h has them; none
    /// where the kernel's configuration is nowhere to be found.
    pub fn configuration(&self, wanted: &BTreeSet<String>) -> Option<Vec<(String, String)>> {
        if wanted.is_empty() {
            return Some(Vec::new());
        }
        let places = [format!("/boot/config-{}", self.release), format!("/lib/modules/{}/config", self.release)];
        let text = places.iter().find_map(|path| plain(Path::new(path))).or_else(|| compressed("/proc/config.gz"));
        Some(configuration(&text?, wanted))
    }
}

/// `LINUX_VERSION_CODE` of the running kernel. A distribution's release may name only the start of its series
/// (`6.1.0-18-amd64` is 6.1.76), so what Ubuntu and Debian say elsewhere comes first, as libbpf does it
/// (`get_kernel_version`).
fn version_code(release: &str, version: &str, signature: &str) -> Option<u32> {
    let ubuntu = signature.split_whitespace().nth(2);
    let debian = version.split_once("Debian ").and_then(|(_, rest)| rest.split_whitespace().next());
    [ubuntu, debian, Some(release)].into_iter().flatten().find_map(code)
}

/// The code of `6.1.76…`; patch levels above 255 count as 255, as in the kernel's Makefile.
fn code(text: &str) -> Option<u32> {
    let mut numbers = text.splitn(3, '.').map(|part| {
        let digits = part.find(|character: char| !character.is_ascii_digit()).unwrap_or(part.len());
        part.get(..digits).and_then(|digits| digits.parse::<u32>().ok())
    });
    let (major, minor) = (numbers.next()??, numbers.next()??);
    let patch = numbers.next().flatten().unwrap_or(0);
    (major < 256 && minor < 256).then_some((major << 16) + (minor << 8) + patch.min(255))
}

fn plain(path: &Path) -> Option<String> {
    limited(std::fs::File::open(path).ok()?)
}

fn compressed(path: &str) -> Option<String> {
    limited(flate2::read::GzDecoder::new(std::fs::File::open(path).ok()?))
}

fn limited(reader: impl std::io::Read) -> Option<String> {
    let mut text = String::new();
    reader.take(MAX_CONFIGURATION).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The macros that `autoconf.h` makes of a configuration: `y` is 1, `m` is 1 under the name with `_MODULE`.
fn configuration(text: &str, wanted: &BTreeSet<String>) -> Vec<(String, String)> {
    let set = text.lines().filter_map(|line| line.trim().split_once('='));
    let macros = set.map(|(name, value)| match value {
        "y" => (name.to_owned(), "1".to_owned()),
        "m" => (format!("{name}_MODULE"), "1".to_owned()),
        _ => (name.to_owned(), value.to_owned()),
    });
    macros.filter(|(name, _)| wanted.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_source_not_of_the_series() {
        let check = |release, version, signature, expect| {
            assert_eq!(version_code(release, version, signature), expect, "{release} {version} {signature}");
        };
        let debian = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)";
        check("6.1.0-18-amd64", debian, "", Some((6 << 16) + (1 << 8) + 76));
        check("5.15.0-25-generic", "#25-Ubuntu SMP", "Ubuntu 5.15.0-25.25-generic 5.15.30", Some(0x05_0f_1e));
        check("6.18.44-fc-v657", "#1 SMP", "", Some((6 << 16) + (18 << 8) + 44));
        check("4.9.337", "", "", Some(0x04_09_ff));
        check("6.12-rc1", "", "", Some(0x06_0c_00));
        check("next", "", "", None);
        check("300.1.1", "", "", None);
    }

    #[test]
    fn configuration_becomes_macros_as_in_autoconf() {
        let text = "# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=m\nCONFIG_HZ=250\nCONFIG_S=\"x=y\"\nCONFIG_OTHER=y\n";
        let names = ["CONFIG_A", "CONFIG_B", "CONFIG_C", "CONFIG_C_MODULE", "CONFIG_HZ", "CONFIG_S"];
        let wanted = names.map(String::from).into();
        let found = configuration(text, &wanted);
        let found: Vec<String> = found.into_iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(found, ["CONFIG_B 1", "CONFIG_C_MODULE 1", "CONFIG_HZ 250", "CONFIG_S \"x=y\""]);
    }

    #[test]
    fn the_running_kernel_is_known() {
        let host = Host::running().unwrap();
        assert!(host.version_code > 5 << 16, "{host:?}");
        assert!((12..=16).contains(&host.page_shift), "{host:?}");
    }
}
