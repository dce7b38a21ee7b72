//! What is in an object: programs with the verifier's work on them, maps, sections, relocations.

use super::verified::Verified;
use super::{Dump, definitions};
use crate::bpf::Object;
use crate::bpf::map::Definition;
use crate::elf::Section;
use crate::insn::SIZE;
use crate::pipeline::Failure;

/// An overview of an object.
#[derive(Debug)]
pub(super) struct Overview {
    pub(super) programs: Vec<Program>,
    pub(super) maps: Vec<(String, Definition)>,
    pub(super) sections: Vec<Section>,
    /// Why the verifier was not asked, if it was not, or what it said.
    pub(super) not_loaded: Option<String>,
}

/// A function of the object.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) section: String,
    /// Places of 8 bytes.
    pub(super) instructions: usize,
    pub(super) relocations: usize,
    /// Those of CO-RE.
    pub(super) core: usize,
    /// What the verifier told of it; none where it was not loaded.
    pub(super) verified: Option<Verified>,
}

impl Overview {
    pub(super) fn new(dump: &Dump<'_>, object: Option<&Object>, not_loaded: Option<String>) -> Result<Self, Failure> {
        let told = object.map(Object::measured).unwrap_or_default();
        let programs = dump.code.iter().filter(|function| dump.shows(&function.name)).map(|function| Program {
            name: function.name.clone(),
            section: function.section.clone(),
            instructions: function.bytes.len() / SIZE,
            relocations: function.relocations.len(),
            core: function.core.len(),
            verified: told.iter().find(|(name, _)| *name == function.name).map(|(_, log)| Verified::parse(log)),
        });
        Ok(Self {
            programs: programs.collect(),
            maps: definitions(&dump.compiled.elf)?,
            sections: dump.sections.to_vec(),
            not_loaded,
        })
    }
}
