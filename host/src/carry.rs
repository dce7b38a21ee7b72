//! Which maps of a running version of a probe the next one goes on with, and why it starts others empty.

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionIndex};

use crate::bpf::map::Definition;
use crate::bpf::{self, Map, OpenObject};
use crate::decode::Types;
use crate::facts::Compiled;

mod difference;
mod family;

use difference::{Side, difference};
use family::{Family, family};

/// What becomes of the maps of the running version.
#[derive(Debug, Default)]
pub struct Plan {
    /// Maps that the next version takes over with what is in them: its name for them, and the maps.
    pub carried: Vec<(String, Map)>,
    /// Maps of both versions that the next one starts empty.
    pub reset: Vec<Reset>,
    /// Maps that the next version does not have.
    pub gone: Vec<String>,
}

/// A map that starts empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// Its name.
    pub map: String,
    /// What changed.
    pub why: String,
}

/// Why maps cannot be compared.
#[derive(Debug, thiserror::Error)]
#[error("cannot compare the maps of two versions of the probe: {0}")]
pub struct CarryError(String);

impl From<bpf::Error> for CarryError {
    fn from(error: bpf::Error) -> Self {
        Self(error.to_string())
    }
}

/// One version, as far as its maps matter.
struct Version<'v> {
    compiled: &'v Compiled,
    file: object::File<'v>,
    types: Types,
}

/// Compares the maps of the running version with those that the next one declares.
///
/// A map is carried over where its type, size and flags are the same and its keys and values have the same BTF: fields by
/// name, place, size and sign. Buffers of events, maps of constants and maps that are filled from outside belong to one
/// version; pinned maps are shared by their path.
///
/// # Errors
/// When an object cannot be read, or the kernel does not tell what a map is.
pub fn plan(maps: &[Map], running: &Compiled, next: &Compiled) -> Result<Plan, CarryError> {
    let (old, new) = (Version::new(running)?, Version::new(next)?);
    let declared = OpenObject::open(&next.elf)?.definitions();
    let mut plan = Plan::default();
    for map in maps {
        let name = plain(map.name());
        let was = map.definition()?;
        let Family::Kept(limits) = family(name, &was.type_name()) else { continue };
        let pinned = |version: &Version<'_>| version.is_pinned(name);
        let Some((called, is)) = declared.iter().find(|(called, _)| plain(called) == name) else {
            if !pinned(&old) && !name.starts_with('.') {
                plan.gone.push(name.to_owned());
            }
            continue;
        };
        if pinned(&new) {
            continue;
        }
        let why = match limits {
            _ if pinned(&old) => Some("it was shared by a path, and is not any more".to_owned()),
            Some(limits) => Some((*limits).to_owned()),
            None => changed(name, was, *is, &old, &new),
        };
        match why {
            None => plan.carried.push((called.clone(), map.clone())),
            Some(why) => plan.reset.push(Reset { map: name.to_owned(), why }),
        }
    }
    Ok(plan)
}

/// The section of a map of global data; the name of another map as it is.
fn plain(name: &str) -> &str {
    name.find('.').and_then(|dot| name.get(dot..)).unwrap_or(name)
}

/// What changed in a map that both versions have.
fn changed(name: &str, was: Definition, is: Definition, old: &Version<'_>, new: &Version<'_>) -> Option<String> {
    if was.map_type != is.map_type {
        let [was, is] = [was, is].map(|definition| definition.type_name());
        return Some(format!("its type is {is} now, and was {was}"));
    }
    if name.starts_with('.') {
        return data_changed(name, old, new);
    }
    let sides = [("key", was.key_size, is.key_size), ("value", was.value_size, is.value_size)];
    let types = |version: &Version<'_>| version.types.map(name).unwrap_or_default();
    let (before, after) = (types(old), types(new));
    for ((side, was, is), (before, after)) in
        sides.into_iter().zip([(before.key, after.key), (before.value, after.value)])
    {
        let inside = match (before, after) {
            (Some(before), Some(after)) => {
                difference(Side { types: &old.types, id: before }, Side { types: &new.types, id: after })
            }
            (None, None) => None,
            _ => Some("only one of the versions says its type".to_owned()),
        };
        let inside = inside.map(|inside| format!(" ({inside})"));
        match (was.cmp(&is), inside) {
            (std::cmp::Ordering::Equal, None) => {}
            (std::cmp::Ordering::Equal, Some(inside)) => return Some(format!("{side} changed{inside}")),
            (order, inside) => {
                let verb = if order.is_lt() { "grew" } else { "shrank" };
                return Some(format!("{side} {verb} from {was} to {is} bytes{}", inside.unwrap_or_default()));
            }
        }
    }
    if was.max_entries != is.max_entries {
        return Some(format!("it has room for {} entries now, and had for {}", is.max_entries, was.max_entries));
    }
    (was.flags != is.flags).then(|| format!("its flags are {:#x} now, and were {:#x}", is.flags, was.flags))
}

/// What changed in global variables: a variable, its place, its type or what it starts with.
fn data_changed(section: &str, old: &Version<'_>, new: &Version<'_>) -> Option<String> {
    let (before, after) = (old.variables(section), new.variables(section));
    for (name, place) in &after {
        match before.iter().find(|(known, _)| known == name) {
            None => return Some(format!("variable `{name}` added")),
            Some((_, known)) if known != place => return Some(format!("variable `{name}` moved or changed its size")),
            Some(_) => {}
        }
        let types = old.types.of_variable(name).zip(new.types.of_variable(name));
        let inside = types.and_then(|(before, after)| {
            difference(Side { types: &old.types, id: before }, Side { types: &new.types, id: after })
        });
        if let Some(inside) = inside {
            return Some(format!("variable `{name}` changed ({inside})"));
        }
    }
    if let Some((name, _)) = before.iter().find(|(name, _)| after.iter().all(|(other, _)| other != name)) {
        return Some(format!("variable `{name}` removed"));
    }
    (old.bytes(section) != new.bytes(section)).then(|| "a variable starts with another value".to_owned())
}

impl<'v> Version<'v> {
    fn new(compiled: &'v Compiled) -> Result<Self, CarryError> {
        let wrong = |error: &dyn std::fmt::Display| CarryError(error.to_string());
        let file = object::File::parse(compiled.elf.as_slice()).map_err(|error| wrong(&error))?;
        let types = Types::from_elf(&compiled.elf).map_err(|error| wrong(&error))?;
        Ok(Self { compiled, file, types })
    }

    fn is_pinned(&self, map: &str) -> bool {
        self.compiled.facts.maps.iter().any(|fact| fact.name == map && fact.pin.is_some())
    }

    fn section(&self, name: &str) -> Option<SectionIndex> {
        self.file.section_by_name(name).map(|section| section.index())
    }

    /// Variables of a section with offset and size, in bytes.
    fn variables(&self, section: &str) -> Vec<(&str, (u64, u64))> {
        let Some(section) = self.section(section) else { return Vec::new() };
        let symbols = self.file.symbols().filter(|symbol| symbol.section_index() == Some(section) && symbol.size() > 0);
        symbols.filter_map(|symbol| Some((symbol.name().ok()?, (symbol.address(), symbol.size())))).collect()
    }

    /// What a section starts with; empty for one that starts with zeroes.
    fn bytes(&self, section: &str) -> &'v [u8] {
        self.file.section_by_name(section).and_then(|section| section.data().ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
