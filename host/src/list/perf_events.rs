//! What processors and the kernel count.

use std::fs;
use std::path::Path;

use super::Item;
use super::facts::Facts;
use crate::bpf::perf_event::{self, Sampling, Where};
use crate::kind::perf_event as named;

/// Where each PMU shows its events and how they are encoded
/// (Documentation/ABI/testing/sysfs-bus-event_source-devices-events and -format).
const PMUS: &str = "/sys/bus/event_source/devices";

/// The rate in what is written for a probe: so often a second for clocks, else each so manyth.
const PER_SECOND: &str = "99hz";
const EACH: &str = "1000000";

/// What processors count, by the names that perf gives it.
pub(super) fn hardware(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    Ok(of_type("hardware", facts))
}

/// What the kernel counts.
pub(super) fn software(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    Ok(of_type("software", facts))
}

/// Events of caches.
pub(super) fn cache(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    Ok(of_type("cache", facts))
}

fn of_type(event_type: &str, facts: &Facts<'_>) -> Vec<Item> {
    let fits = |name: &str| facts.query.fits_in(event_type, name);
    let those = named::named(event_type);
    let those = those.into_iter().filter(|event| fits(&event.name) || event.aliases.iter().any(|alias| fits(alias)));
    those.map(|event| item(event_type, event)).collect()
}

fn item(event_type: &str, event: named::Named) -> Item {
    let rate = if event.name.ends_with("clock") { PER_SECOND } else { EACH };
    let mut marks: Vec<String> = event.aliases.iter().map(|alias| format!("also {alias}")).collect();
    // On the first processor, which cannot be offline on most machines.
    if let Err(error) = perf_event::counting(event.counter, Sampling::Every(1 << 40), Where::Cpu(0)) {
        marks.push(match error.kind() {
            std::io::ErrorKind::PermissionDenied => "not allowed to this process".to_owned(),
            _ => "not counted by this machine".to_owned(),
        });
    }
    let target = Some(format!("{event_type}:{}:{rate}", event.name));
    Item { name: event.name, marks, target, ..Item::default() }
}

/// The events of each PMU, as perf writes them: `cpu/topdown-retiring/`.
pub(super) fn of_pmus(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    let mut found = Vec::new();
    for pmu in entries(Path::new(PMUS)) {
        let folder = Path::new(PMUS).join(&pmu);
        for event in entries(&folder.join("events")) {
            // `EVENT.scale` and `EVENT.unit` tell about EVENT.
            if event.contains('.')
                || !facts.query.fits_in(&pmu, &event) && !facts.query.fits(&format!("{pmu}/{event}/"))
            {
                continue;
            }
            let Ok(terms) = fs::read_to_string(folder.join("events").join(&event)) else { continue };
            let terms = terms.trim();
            let is_raw = fs::read_to_string(folder.join("type")).is_ok_and(|number| number.trim() == "4");
            let target = encode(terms, &|field| fs::read_to_string(folder.join("format").join(field)).ok())
                .filter(|_| is_raw)
                .map(|config| format!("raw:{config:#x}:{EACH}"));
            let mut marks = vec![terms.to_owned()];
            if target.is_none() {
                marks.push("perf alone can count it".to_owned());
            }
            found.push(Item { name: format!("{pmu}/{event}/"), marks, target, ..Item::default() });
        }
    }
    Ok(found)
}

/// Names in a folder of sysfs, sorted.
fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// The number for `event=0x3c,umask=0x1`: each value at the bits that its field has, such as `config:0-7,32-35`. None where
/// a field is not one of the first configuration, or has no value.
fn encode(terms: &str, format: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let mut config = 0_u64;
    for term in terms.split(',') {
        let (field, value) = term.split_once('=').unwrap_or((term, "1"));
        let mut value = match value.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok()?,
            None => value.parse().ok()?,
        };
        let format = format(field)?;
        for range in format.trim().strip_prefix("config:")?.split(',') {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            let (low, high): (u32, u32) = (low.parse().ok()?, high.parse().ok()?);
            let bits = high.checked_sub(low)?.checked_add(1)?;
            let mask = u64::MAX.checked_shr(64_u32.checked_sub(bits)?)?;
            config |= (value & mask).checked_shl(low)?;
            value = value.checked_shr(bits).unwrap_or(0);
        }
        if value != 0 {
            return None;
        }
    }
    Some(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_a_pmu_are_numbers() {
        let format = |field: &str| {
            Some(match field {
                "event" => "config:0-7,32-35\n".to_owned(),
                "umask" => "config:8-15\n".to_owned(),
                "any" => "config:21\n".to_owned(),
                "ldlat" => "config1:0-15\n".to_owned(),
                _ => return None,
            })
        };
        assert_eq!(encode("event=0x3c,umask=0x1", &format), Some(0x13c));
        assert_eq!(encode("event=0x1c2,any", &format), Some(0xc2 | 1 << 32 | 1 << 21));
        assert_eq!(encode("event=0xcd,ldlat=3", &format), None);
        assert_eq!(encode("nothing=1", &format), None);
        assert_eq!(encode("umask=0x100", &format), None, "it has eight bits");
    }
}
