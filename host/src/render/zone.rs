//! The time zone of this place.

use std::io::Read as _;

use jiff::tz::TimeZone;

/// Where the zone of this machine is kept (localtime(5)).
const LOCALTIME: &str = "/etc/localtime";
/// The largest file of a zone that is read, in bytes; they have some 3 kB.
const MAX_ZONE: u64 = 1 << 20;

/// The zone that `TZ` names, else that of this machine. Only its file is read: a search among all zones that are installed,
/// which knows its name too, takes as long as loading a probe.
pub(super) fn here() -> TimeZone {
    let own = std::env::var_os("TZ").is_none().then(|| read(LOCALTIME)).flatten();
    own.unwrap_or_else(TimeZone::system)
}

fn read(path: &str) -> Option<TimeZone> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(MAX_ZONE).read_to_end(&mut bytes).ok()?;
    TimeZone::tzif("local", &bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_read_from_its_file_alone() {
        let path = "/usr/share/zoneinfo/America/New_York";
        if !std::path::Path::new(path).exists() {
            eprintln!("skipped: {path} is not installed");
            return;
        }
        let (own, known) = (read(path).unwrap(), TimeZone::get("America/New_York").unwrap());
        for second in [0, 1_700_000_000, 1_720_000_000, 4_000_000_000] {
            let time = jiff::Timestamp::from_second(second).unwrap();
            assert_eq!(own.to_offset(time), known.to_offset(time), "{time}");
        }
        assert!(read("/etc/passwd").is_none() && read("/nonexistent").is_none());
    }
}
