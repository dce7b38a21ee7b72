//! Maps that are shared with other programs through the file system of BPF.

use std::path::Path;

use super::LoadError;
use crate::bpf::pin::{self, Pinned, Shape};
use crate::bpf::{Object, OpenObject};
use crate::facts::{Facts, MapFact, Pin};

/// How often a probe is loaded anew because somebody else was faster to pin a map.
pub(super) const ATTEMPTS: usize = 4;

/// The maps of a probe that are to be pinned when they are there.
#[derive(Debug, Default)]
pub(super) struct Waiting<'f> {
    maps: Vec<(&'f MapFact, &'f Pin)>,
}

/// Takes the maps that are pinned already in place of the object's own.
pub(super) fn reuse<'f>(object: &mut OpenObject, facts: &'f Facts) -> Result<Waiting<'f>, LoadError> {
    let mut waiting = Waiting::default();
    for map in &facts.maps {
        let Some(pin) = &map.pin else { continue };
        let Some(own) = object.shape(&map.name) else { continue };
        match Pinned::open(&pin.path) {
            Ok(Some(pinned)) => {
                if !fits(own, pinned.shape(), pin.made) {
                    return Err(unfit(map, pin, own, pinned.shape()));
                }
                object.reuse_map(&map.name, pinned.fd())?;
            }
            Ok(None) if !pin.made => return Err(missing(map, pin)),
            Ok(None) => {
                in_bpffs(map, pin)?;
                waiting.maps.push((map, pin));
            }
            Err(error) => {
                // What is no map is most often a file.
                in_bpffs(map, pin)?;
                return Err(failed(map, error.to_string(), "remove it, or write another path"));
            }
        }
    }
    Ok(waiting)
}

impl Waiting<'_> {
    /// Pins the maps that were made. Says whether all are; where not, somebody else has pinned one meanwhile, and this
    /// object is to be loaded anew.
    pub(super) fn pin(&self, object: &Object) -> Result<bool, LoadError> {
        let made = object.maps()?;
        for (fact, pin) in &self.maps {
            let Some(map) = made.iter().find(|map| **map.name() == *fact.name) else { continue };
            pin::make_folders(Path::new(&pin.path)).map_err(|error| {
                failed(fact, format!("the folders of `{}` cannot be made: {error}", pin.path), "write another path")
            })?;
            match map.pin(&pin.path) {
                Ok(()) => {}
                Err(error) if error.errno == libc::EEXIST => return Ok(false),
                Err(error) => return Err(failed(fact, error.to_string(), "write another path below /sys/fs/bpf")),
            }
        }
        Ok(true)
    }
}

/// Whether a pinned map can be used. As in BCC, the number of entries is that of whoever made it. The type of a map that
/// is declared elsewhere is not known from here.
fn fits(own: Shape, pinned: Shape, knows_type: bool) -> bool {
    let map_type = if knows_type { own.map_type } else { pinned.map_type };
    Shape { map_type, ..own } == pinned
}

fn in_bpffs(map: &MapFact, pin: &Pin) -> Result<(), LoadError> {
    match pin::is_in_bpffs(Path::new(&pin.path)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(failed(
            map,
            format!("`{}` is not in the file system of BPF, the only one that maps can be pinned in", pin.path),
            "write a path below /sys/fs/bpf, and mount it where it is not: mount -t bpf bpf /sys/fs/bpf",
        )),
        Err(error) => Err(failed(map, format!("`{}` cannot be looked at: {error}", pin.path), "write another path")),
    }
}

fn missing(map: &MapFact, pin: &Pin) -> LoadError {
    let name = &map.name;
    failed(
        map,
        format!("map `{name}` is declared elsewhere, and there is none at `{}`", pin.path),
        &format!(
            "run the program that makes it first, or declare it in both probes as \
             BPF_TABLE_PINNED(\"hash\", KEY, VALUE, {name}, SIZE, \"{}\")",
            pin.path
        ),
    )
}

fn unfit(map: &MapFact, pin: &Pin, own: Shape, pinned: Shape) -> LoadError {
    failed(
        map,
        format!("the map at `{}` is another than `{}`: it is a {pinned}, and this a {own}", pin.path, map.name),
        &format!("declare it as the other program does, write another path, or remove it: rm {}", pin.path),
    )
}

fn failed(map: &MapFact, message: String, help: &str) -> LoadError {
    LoadError::Text { span: map.span, message, help: help.to_owned() }
}
