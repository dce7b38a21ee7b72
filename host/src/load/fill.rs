//! What directives put into maps, before anything is attached.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use super::{LoadError, LoadedProgram};
use crate::bpf::counter::{Counter, online_cpus};
use crate::bpf::map::{MapType, possible_cpus};
use crate::bpf::{Map, Object};
use crate::directive::{Fill, With, number};

/// Types of maps that entries of a kind of their own are put into: `enum bpf_map_type` of include/uapi/linux/bpf.h.
mod types {
    pub(super) const PROG_ARRAY: u32 = 3;
    pub(super) const CGROUP_ARRAY: u32 = 8;
    pub(super) const ARRAY_OF_MAPS: u32 = 12;
    pub(super) const HASH_OF_MAPS: u32 = 13;
    pub(super) const DEVMAP: u32 = 14;
    pub(super) const CPUMAP: u32 = 16;
    pub(super) const DEVMAP_HASH: u32 = 25;
}

/// Puts everything into maps.
pub(super) fn fill(object: &Object, programs: &[LoadedProgram], maps: &[Map], fills: &[Fill]) -> Result<(), LoadError> {
    for fill in fills {
        let filler = Filler { object, programs, maps, fill };
        filler.fill().map_err(|(message, help)| LoadError::Text { span: fill.span, message, help })?;
    }
    Ok(())
}

/// What is in the way, and what to do.
type Problem = (String, String);

struct Filler<'f> {
    object: &'f Object,
    programs: &'f [LoadedProgram],
    maps: &'f [Map],
    fill: &'f Fill,
}

impl Filler<'_> {
    fn fill(&self) -> Result<(), Problem> {
        let name = &self.fill.map;
        let map = self.map(name).ok_or_else(|| {
            let names: Vec<&str> = self.maps.iter().map(|map| &**map.name()).filter(|name| is_own(name)).collect();
            (format!("the probe has no map `{name}`"), format!("its maps are {}", names.join(", ")))
        })?;
        let text = match &self.fill.with {
            With::Function(function) => return self.function(map, function),
            With::Text(text) => text.as_str(),
        };
        match map.map_type() {
            MapType::Other(types::PROG_ARRAY) => {
                Err((format!("`{name}` holds programs"), "write `//@ tail_call ARRAY[INDEX] = FUNCTION`".to_owned()))
            }
            MapType::PerfEventArray => self.counters(map, text),
            MapType::Other(types::CGROUP_ARRAY) => {
                let group = File::open(text).map_err(|error| {
                    let help = "write the path of a control group, as in /sys/fs/cgroup/user.slice";
                    (format!("cannot open the control group `{text}`: {error}"), help.to_owned())
                })?;
                self.descriptor(map, &group.into())
            }
            MapType::Other(types::ARRAY_OF_MAPS | types::HASH_OF_MAPS) => {
                let inner = self.map(text).ok_or_else(|| {
                    (format!("the probe has no map `{text}`"), "write the name of a map that it declares".to_owned())
                })?;
                let value = inner.as_fd().as_raw_fd();
                self.update(map, &value.to_ne_bytes())
            }
            MapType::Other(types::DEVMAP | types::DEVMAP_HASH) if number(text).is_none() => {
                let index = fs::read_to_string(format!("/sys/class/net/{text}/ifindex")).ok();
                let index = index.and_then(|index| index.trim().parse::<u32>().ok()).ok_or_else(|| {
                    (format!("there is no network interface `{text}`"), "`ip link` lists them".to_owned())
                })?;
                self.number(map, u64::from(index))
            }
            MapType::Hash | MapType::Array | MapType::Other(types::CPUMAP | types::DEVMAP | types::DEVMAP_HASH) => {
                let value = number(text).ok_or_else(|| {
                    (
                        format!("`{text}` is no number"),
                        "write a decimal number, or a hexadecimal one behind 0x".to_owned(),
                    )
                })?;
                self.number(map, value)
            }
            _ => Err((
                format!("nothing can be put into `{name}` from outside of a program"),
                "maps of programs, maps, counters, control groups, devices, CPUs and numbers can be filled".to_owned(),
            )),
        }
    }

    fn map(&self, name: &str) -> Option<&Map> {
        self.maps.iter().find(|map| **map.name() == *name)
    }

    fn function(&self, map: &Map, function: &str) -> Result<(), Problem> {
        let program = self.programs.iter().find(|program| program.function == function);
        let program = program.and_then(|program| self.object.program(&program.program));
        let fd = program.and_then(|program| program.fd()).ok_or_else(|| {
            (format!("the probe has no program `{function}`"), "write the name of one of its functions".to_owned())
        })?;
        self.update(map, &fd.as_raw_fd().to_ne_bytes())
    }

    /// A counter for each CPU that runs, or for the CPU that the key says.
    fn counters(&self, map: &Map, text: &str) -> Result<(), Problem> {
        let counter = Counter::parse(text).map_err(|error| (error, "perf(1) lists them: perf list".to_owned()))?;
        let cpus = match self.fill.key {
            Some(cpu) => vec![u32::try_from(cpu).unwrap_or(u32::MAX)],
            None => online_cpus().map_err(|error| (error.to_string(), String::new()))?,
        };
        for cpu in cpus {
            let event = counter.open(cpu).map_err(|error| {
                let help = "this processor, or this virtual machine, may not have that counter; \
                            the software: ones are everywhere";
                (format!("cannot start the counter `{text}` on CPU {cpu}: {error}"), help.to_owned())
            })?;
            // The map holds the event.
            self.put(map, u64::from(cpu), &event.as_raw_fd().to_ne_bytes())?;
        }
        Ok(())
    }

    fn descriptor(&self, map: &Map, fd: &OwnedFd) -> Result<(), Problem> {
        self.update(map, &fd.as_raw_fd().to_ne_bytes())
    }

    fn number(&self, map: &Map, value: u64) -> Result<(), Problem> {
        let value = bytes(value, map.value_size()).ok_or_else(|| self.not_a_number(map, "values", map.value_size()))?;
        if !map.is_per_cpu() {
            return self.update(map, &value);
        }
        let cpus = possible_cpus().map_err(|error| (error.to_string(), String::new()))?;
        let mut each = value;
        each.resize(map.value_stride(), 0);
        self.update(map, &each.repeat(cpus))
    }

    fn update(&self, map: &Map, value: &[u8]) -> Result<(), Problem> {
        let key = self.fill.key.ok_or_else(|| {
            (format!("`{}` has entries, and none is named", map.name()), "write MAP[KEY] = VALUE".to_owned())
        })?;
        self.put(map, key, value)
    }

    fn put(&self, map: &Map, key: u64, value: &[u8]) -> Result<(), Problem> {
        let bytes = bytes(key, map.key_size()).ok_or_else(|| self.not_a_number(map, "keys", map.key_size()))?;
        map.update(&bytes, value).map_err(|error| {
            let help = match error.errno {
                libc::E2BIG => format!("it has {} entries", map.max_entries()),
                libc::EBADF if map.map_type() == MapType::Other(types::CGROUP_ARRAY) => {
                    "it must be a folder of control groups of version 2: `mount -t cgroup2` says where they are"
                        .to_owned()
                }
                libc::EINVAL => "what is put into a map must be of the kind that it was declared for".to_owned(),
                _ => String::new(),
            };
            (format!("`{}[{key}]` cannot be set: {error}", map.name()), help)
        })
    }

    fn not_a_number(&self, map: &Map, what: &str, size: usize) -> Problem {
        let name = map.name();
        (
            format!("the {what} of `{name}` are of {size} bytes, and no numbers that fit"),
            "fill it in the probe".to_owned(),
        )
    }
}

/// A number as a value of a size; none where it does not fit, as a signed one either.
fn bytes(number: u64, size: usize) -> Option<Vec<u8>> {
    let signed = number.cast_signed();
    match size {
        1 => u8::try_from(number).ok().or(i8::try_from(signed).ok().map(i8::cast_unsigned)).map(|n| vec![n]),
        2 => u16::try_from(number)
            .ok()
            .or(i16::try_from(signed).ok().map(i16::cast_unsigned))
            .map(|n| n.to_ne_bytes().to_vec()),
        4 => u32::try_from(number)
            .ok()
            .or(i32::try_from(signed).ok().map(i32::cast_unsigned))
            .map(|n| n.to_ne_bytes().to_vec()),
        8 => Some(number.to_ne_bytes().to_vec()),
        _ => None,
    }
}

fn is_own(name: &str) -> bool {
    !name.starts_with("dbcc_") && !name.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_or_are_refused() {
        assert_eq!(bytes(255, 1), Some(vec![255]));
        assert_eq!(bytes(256, 1), None);
        assert_eq!(bytes(u64::MAX, 4), Some(vec![255; 4]));
        assert_eq!(bytes(1 << 32, 4), None);
        assert_eq!(bytes(7, 8), Some(7_u64.to_ne_bytes().to_vec()));
        assert_eq!(bytes(7, 12), None);
    }
}
